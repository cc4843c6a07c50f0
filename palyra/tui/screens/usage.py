"""Usage: what was used, when, and by whom; every bucket leads to its runs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from palyra.control.queries import UsageAnswer, UsageEntry, UsageStep
from palyra.control.snapshots import Snapshot, Topic
from palyra.core.errors import PalyraError
from palyra.core.safe_text import safe
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.commands.action import bindings
from palyra.tui.commands.general import EVERYWHERE
from palyra.tui.commands.lists import LISTS, Back
from palyra.tui.commands.usage import USAGE
from palyra.tui.details.teach import point_a_client_here
from palyra.tui.details.words import level_tone
from palyra.tui.inquiry import Inquiry
from palyra.tui.screens.listing import ListScreen, Order
from palyra.tui.screens.runs import RunsOf
from palyra.tui.subjects import Subject
from palyra.tui.themes import Tone
from palyra.tui.usage_view import (
    ALL,
    BREAKDOWNS,
    MEASURES,
    SMALL_PLOT,
    TALL_PLOT,
    Bucket,
    Measure,
    bucket_title,
    bucket_words,
    metric_line,
    plot_of,
    query_for,
    series_of,
)
from palyra.tui.widgets.charts import Plot
from palyra.tui.widgets.columns import Column
from palyra.tui.widgets.lines import BLANK, Line, Lines, line, muted, part
from palyra.tui.widgets.live_table import CellValue, LiveTable

COLUMNS = (
    Column("name", safe("model"), 20, flex=3, most=48),
    Column("requests", safe("requests"), 9, align="right"),
    Column("refused", safe("refused"), 8, align="right", priority=3),
    Column("failed", safe("failed"), 8, align="right", priority=4),
    Column("input", safe("input"), 9, align="right", priority=5),
    Column("output", safe("output"), 9, align="right", priority=6),
    Column("tokens", safe("tokens"), 9, align="right"),
    Column("cost", safe("cost"), 11, align="right"),
    Column("share", safe("share"), 7, align="right"),
    Column("latency", safe("latency"), 9, align="right", priority=1),
)
STALE_MS = 3_000
"""Numbers are asked for again at most this often, and only after something happened."""
ROWS_BESIDE_PLOT = 17
"""Rows of the frame, the words and a table of a few rows."""
_FILTERS = {"model": "model", "user": "principal", "session": "session"}


class UsageScreen(ListScreen):
    """Metric grid, timeline with a cursor, breakdown."""

    NAME = "usage"
    LABEL = "Usage"
    TOPICS: ClassVar[tuple[Topic, ...]] = (Topic.USAGE,)
    COLUMNS = COLUMNS
    FIELDS = ("name",)
    ORDERS = (
        Order("cost"),
        Order("requests", "requests", lambda entry: entry.numbers.requests, descending=True),
        Order("tokens", "tokens", lambda entry: entry.numbers.total_tokens, descending=True),
        Order("name", "name", lambda entry: entry.key),
    )
    ACTIONS = (*USAGE, Back(), *LISTS, *EVERYWHERE)
    BINDINGS = bindings(ACTIONS)

    def __init__(self) -> None:
        super().__init__()
        self.bucket_kind: Bucket = "hour"
        self._measure = 0
        self._by = 0
        self._answer: UsageAnswer | None = None
        self._at: int | None = None
        self._plot: Plot | None = None
        self._inquiry: Inquiry[UsageAnswer] | None = None
        self._asked: tuple[object, int, int] | None = None

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="split"):
            with Vertical(id="left"):
                yield Lines(id="metrics")
                yield Lines(id="plot")
                yield Lines(id="words")
                yield LiveTable(self.COLUMNS, clock=self.palyra.clock, id="list")
                yield Lines(id="preview")
            yield Lines(id="detail")

    # What is looked at.

    @property
    def measure(self) -> Measure:
        return MEASURES[self._measure]

    @property
    def by(self) -> str:
        return BREAKDOWNS[self._by]

    @property
    def bucket(self) -> UsageStep | None:
        """The bucket under the cursor; the newest unless moved away from it."""
        if self._answer is None or not self._answer.timeline:
            return None
        return self._answer.timeline[self._cursor]

    @property
    def _cursor(self) -> int:
        steps = () if self._answer is None else self._answer.timeline
        return next((number for number, step in enumerate(steps) if step.start == self._at), len(steps) - 1)

    def move_bucket(self, by: int) -> None:
        if self._answer is None or not self._answer.timeline:
            return
        steps = self._answer.timeline
        to = max(0, min(len(steps) - 1, self._cursor + by))
        self._at = steps[to].start if to < len(steps) - 1 else None
        self.redraw()

    def next_measure(self) -> None:
        self._measure = (self._measure + 1) % len(MEASURES)
        self.forget_rows()
        self.redraw()

    def next_breakdown(self) -> None:
        self._by = (self._by + 1) % len(BREAKDOWNS)
        self.table.set_columns((replace(COLUMNS[0], title=safe(self.by)), *COLUMNS[1:]), ())
        self.forget_rows()
        self._refresh_numbers()
        self.redraw()

    def show_buckets(self, bucket: Bucket) -> None:
        self.bucket_kind, self._at = bucket, None
        self._refresh_numbers()
        self.redraw()

    async def show_runs(self) -> None:
        """Goes to the runs of the bucket under the cursor, of the selected row."""
        step, subject = self.bucket, self.subject
        if step is None:
            return
        title = bucket_title(step, self.bucket_kind, self.zone)
        name = subject.key if isinstance(subject, UsageEntry) else ""
        field = _FILTERS.get(self.by, "")
        if name and field:
            title = f"{title} {show.short_model(name) if field == 'model' else name}"
        wanted = {field: name} if name and field else {}
        await self.palyra.show_runs(RunsOf(title, step.start, step.end, came_from=self.NAME, **wanted))

    # Asking.

    def take(self, snapshot: Snapshot) -> None:
        super().take(snapshot)
        if self._asked is None or self._is_stale(snapshot):
            self._refresh_numbers()

    def _is_stale(self, snapshot: Snapshot) -> bool:
        assert self._asked is not None
        _, total, at = self._asked
        crossed = self.now // show.HOUR != at // show.HOUR
        return crossed or (snapshot.requests_total != total and self.now - at >= STALE_MS)

    def _refresh_numbers(self) -> None:
        if self.snapshot is None:
            return
        query = query_for(self.bucket_kind, self.by, self.zone, self.now)
        self._asked = (query, self.snapshot.requests_total, self.now)
        if self._inquiry is None:
            self._inquiry = Inquiry(self.palyra.spawn, self._apply, self._fail)
        self._inquiry.ask(lambda: self.palyra.control.ask(query))

    def _apply(self, answer: UsageAnswer) -> None:
        self._answer = answer
        self.forget_rows()
        self.redraw()

    def _fail(self, error: PalyraError) -> None:
        self.flash(f"Usage could not be read: {error}", Tone.WARN)

    # Drawing.

    @property
    def _marks(self) -> bool:
        return self.palyra.colourless

    def draw_body(self, snapshot: Snapshot) -> None:
        answer = self._answer
        nothing = answer is not None and not answer.total.requests and not answer.total.refused
        self.set_class(answer is None or nothing, "-nothing")
        super().draw_body(snapshot)
        if answer is None or nothing:
            return
        self._lines("metrics").show_line(metric_line(answer.total))
        series = series_of(answer, self.measure)
        height = max(SMALL_PLOT, min(TALL_PLOT, self.size.height - ROWS_BESIDE_PLOT))
        width = self.size.width - 2
        self._plot = plot_of(
            answer, self.measure, series, self._cursor, self.zone, width=width, height=height, marks=self._marks
        )
        self._lines("plot").show([(part(" "), *row) for row in self._plot.lines])
        step = self.bucket
        if step is not None:
            words = bucket_words(step, self._cursor, answer.bucket, series, self.zone, marks=self._marks)
            self._lines("words").show([words, BLANK])

    def items(self, snapshot: Snapshot) -> Sequence[Subject]:
        answer = self._answer
        if answer is None or answer.by != self.by or not answer.breakdown:
            return []
        return [UsageEntry("", answer.total, 1.0), *answer.breakdown]

    def fields(self, subject: Subject) -> Mapping[str, str]:
        assert isinstance(subject, UsageEntry)
        return {"name": subject.key}

    def cells_of(self, subject: Subject) -> tuple[CellValue, ...]:
        assert isinstance(subject, UsageEntry)
        numbers = subject.numbers
        tone = Tone.PLAIN if subject.key else Tone.MUTED
        whole = 0 if self._answer is None else self.measure.of(self._answer.total)
        share = self.measure.of(numbers) / whole if whole else 0.0
        return (
            part(subject.key or f"{ALL} {self.by}s", tone),
            part(show.count(numbers.requests), tone),
            part(show.count(numbers.refused), tone),
            part(show.count(numbers.failed), tone),
            part(show.tokens(numbers.input_tokens), tone),
            part(show.tokens(numbers.output_tokens), tone),
            part(show.tokens(numbers.total_tokens), tone),
            part(show.money(numbers.cost_nano_usd), tone),
            part(show.percent(share), tone),
            part(show.latency(numbers.average_latency_ms), tone),
        )

    def draw_detail(self) -> None:
        self._notice_change(self.subject)
        under = self._lines("preview")
        snapshot = self.snapshot
        lines = [] if snapshot is None else self._under(snapshot)
        under.display = bool(lines)
        under.show(lines)

    def _under(self, snapshot: Snapshot) -> list[Line]:
        lines: list[Line] = []
        budget = snapshot.tightest
        if budget is not None:
            metric = budget.metric_kind
            used = show.quantity(metric, budget.settled + budget.held)
            lines.append(
                line(
                    muted(" tightest   "),
                    part(budget.policy_id),
                    " ",
                    part(used, level_tone(budget.used_ratio, budget)),
                    muted(" of "),
                    part(show.quantity(metric, budget.hard_limit)),
                    muted(f", renews {show.renewal(budget.window_end, budget.timezone, self.now)}"),
                )
            )
        lines += [line(muted(" alert      "), part(alert.summary, Tone.WARN)) for alert in snapshot.alerts[:2]]
        return lines

    def teach(self, snapshot: Snapshot) -> list[Line]:
        if self._answer is None or self._answer.by != self.by:
            return [BLANK, line(" ", muted("asking the journal …"))]
        if self._answer.total.requests:
            return [BLANK, line(" ", muted(f"no request of this time names a {self.by}"))]
        return point_a_client_here(snapshot.engine, self.size.width)

    def title_left(self) -> Line:
        span = "last 24 h" if self.bucket_kind == "hour" else "last 30 days"
        return (*super().title_left(), muted(f" {glyphs.TRAIL} "), part(f"{span}, {self.measure.name} by model"))

    def summary(self) -> Line:
        return ()

    # Acting.

    def open_detail(self) -> None:
        self.palyra.spawn(self.show_runs())

    def on_click(self, event: events.Click) -> None:
        if self._plot is None or self._answer is None or event.widget is None or event.widget.id != "plot":
            return
        bucket = self._plot.bucket_at(event.x - event.widget.region.x - 1)
        if bucket is not None:
            self.move_bucket(bucket - self._cursor)
