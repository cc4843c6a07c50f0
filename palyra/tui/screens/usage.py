"""Usage: what was used, when, and by whom; every bucket leads to its runs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from palyra.control.snapshots import Snapshot, Topic
from palyra.control.usage_queries import (
    UsageAnswer,
    UsageEntry,
    UsageNumbers,
    UsageStep,
)
from palyra.core.errors import PalyraError
from palyra.core.safe_text import safe
from palyra.core.usage_filter import ANYTHING
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.commands.action import bindings
from palyra.tui.commands.general import EVERYWHERE
from palyra.tui.commands.lists import LISTS, Back
from palyra.tui.commands.usage import BREAKDOWN, DAYS, HOURS, MEASURE, USAGE
from palyra.tui.details.teach import point_a_client_here
from palyra.tui.details.usage import panel_lines, under_lines
from palyra.tui.dialogs.export import ExportDialog, UsageExport
from palyra.tui.dialogs.what_if import WhatIfDialog
from palyra.tui.inquiry import Inquiry
from palyra.tui.screens.listing import ListScreen, Order
from palyra.tui.screens.runs import RunsOf
from palyra.tui.subjects import AllUsage, Subject
from palyra.tui.themes import Tone
from palyra.tui.usage_view import (
    ALL,
    BREAKDOWNS,
    MEASURES,
    MOST_PAGES,
    SMALL_PLOT,
    Bucket,
    Measure,
    Sight,
    bucket_title,
    bucket_words,
    filter_for,
    look,
    metric_line,
    name_of,
    plot_of,
    query_for,
    ranked,
    series_of,
    span_of,
)
from palyra.tui.widgets.charts import Plot
from palyra.tui.widgets.columns import Column
from palyra.tui.widgets.lines import BLANK, Line, Lines, Part, line, muted, part
from palyra.tui.widgets.live_table import LiveTable
from palyra.tui.widgets.rows import CellValue

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
PAUSES = 10
"""And after so many times as long as the last answer took: a long question must not keep a reader to itself."""
ROWS_BESIDE_PLOT = 26
"""Rows of the frame, the words, a table of a few rows and what stands under it."""
FRAME_ROWS = 8
"""Beside plot, list and what stands under it: the frame, the grid, what is told of a bar, the heading."""
TALL_PLOT = 11
"""Rows of the plot where there is room for all else; more on terminals that are higher still."""


class UsageScreen(ListScreen):
    """Metric grid, timeline with a cursor, breakdown."""

    NAME = "usage"
    LABEL = "Usage"
    TOPICS: ClassVar[tuple[Topic, ...]] = (Topic.USAGE, Topic.BUDGETS)
    COLUMNS = COLUMNS
    FIELDS = ("name",)
    ORDERS = (
        Order("measure"),
        Order("cost", "cost", lambda entry: _first(entry, entry.numbers.cost_nano_usd), descending=True),
        Order("requests", "requests", lambda entry: _first(entry, entry.numbers.requests), descending=True),
        Order("tokens", "tokens", lambda entry: _first(entry, entry.numbers.total_tokens), descending=True),
        Order("name", "name", lambda entry: "" if isinstance(entry, AllUsage) else f" {entry.key}"),
    )
    ACTIONS = (*USAGE, Back(), *LISTS, *EVERYWHERE)
    BINDINGS = bindings(ACTIONS)

    def __init__(self) -> None:
        super().__init__()
        self.bucket_kind: Bucket = "hour"
        self._measure = 0
        self._by = 0
        self._pages = 1
        self._sight: Sight | None = None
        self._at: int | None = None
        self._plot: Plot | None = None
        self._inquiry: Inquiry[Sight] | None = None
        self._asked: tuple[object, int, int] | None = None
        self._took_ms = 0

    def compose_body(self) -> ComposeResult:
        with Horizontal(id="split"):
            with Vertical(id="left"):
                yield Lines(id="metrics")
                yield Lines(id="plot")
                yield Lines(id="words")
                yield LiveTable(self.COLUMNS, id="list")
                yield Lines(id="preview")
            yield Lines(id="detail")

    # What is looked at.

    @property
    def zone(self) -> str:
        """Days are the house's, so that what is told of a day is what budgets count in it."""
        return self.house_zone

    @property
    def measure(self) -> Measure:
        """What the bars measure."""
        return MEASURES[self._measure]

    @property
    def by(self) -> str:
        """What usage is broken down by."""
        return BREAKDOWNS[self._by]

    @property
    def _answer(self) -> UsageAnswer | None:
        return None if self._sight is None else self._sight.usage

    @property
    def used(self) -> bool:
        """Whether anything happened in the shown time."""
        total = None if self._answer is None else self._answer.total
        return total is not None and bool(total.requests or total.attempts)

    @property
    def span_title(self) -> str:
        """The time that is shown, in words."""
        return "last 24 h" if self.bucket_kind == "hour" else "last 30 days"

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
        """Moves the cursor by so many bars."""
        if self._answer is None or not self._answer.timeline:
            return
        steps = self._answer.timeline
        to = max(0, min(len(steps) - 1, self._cursor + by))
        self._at = steps[to].start if to < len(steps) - 1 else None
        self.redraw()

    def next_measure(self) -> None:
        """Measures what comes next in MEASURES."""
        self._measure = (self._measure + 1) % len(MEASURES)
        self.forget_rows()
        self.redraw()

    def next_breakdown(self) -> None:
        """Breaks down by what comes next in BREAKDOWNS."""
        self._by = (self._by + 1) % len(BREAKDOWNS)
        self._pages = 1
        self.table.set_columns((replace(COLUMNS[0], title=safe(self.by)), *COLUMNS[1:]), ())
        self.forget_rows()
        self._refresh_numbers()
        self.redraw()

    @property
    def has_more(self) -> bool:
        """Whether the breakdown goes on behind what is listed."""
        answer = self._answer
        return answer is not None and answer.by == self.by and bool(answer.next_cursor) and self._pages < MOST_PAGES

    def show_more(self) -> None:
        """Asks for more lines of the breakdown."""
        self._pages += 1
        self._refresh_numbers()

    def show_buckets(self, bucket: Bucket) -> None:
        """Shows hours or days."""
        self.bucket_kind, self._at, self._pages = bucket, None, 1
        self._refresh_numbers()
        self.redraw()

    async def show_runs(self) -> None:
        """Goes to the runs of the bucket under the cursor, of the selected row."""
        step, subject = self.bucket, self.subject
        if step is None:
            return
        title = bucket_title(step, self.bucket_kind, self.zone)
        where = ANYTHING
        if isinstance(subject, UsageEntry):
            title = f"{title} {name_of(self.by, subject.key)}"
            where = filter_for(self.by, subject.key)
        await self.palyra.show_runs(RunsOf(title, step.start, step.end, where, self.NAME))

    # Asking.

    def take(self, snapshot: Snapshot) -> None:
        super().take(snapshot)
        if self._asked is None or self._is_stale(snapshot):
            self._refresh_numbers()

    def _is_stale(self, snapshot: Snapshot) -> bool:
        assert self._asked is not None
        _, total, at = self._asked
        crossed = self.now // show.HOUR != at // show.HOUR
        pause = max(STALE_MS, PAUSES * self._took_ms)
        return crossed or (snapshot.requests_total != total and self.now - at >= pause)

    def _refresh_numbers(self) -> None:
        if self.snapshot is None:
            return
        query = query_for(self.bucket_kind, self.by, self.zone, self.now)
        self._asked = (query, self.snapshot.requests_total, self.now)
        if self._inquiry is None:
            self._inquiry = Inquiry(self.palyra.spawn, self._apply, self._fail)
        pages = self._pages
        self._inquiry.ask(lambda: look(self.palyra.control, query, pages))

    def _apply(self, sight: Sight) -> None:
        self._sight = sight
        self._took_ms = 0 if self._asked is None else self.now - self._asked[2]
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
        self.set_class(not self.used, "-nothing")
        super().draw_body(snapshot)
        if answer is None or not self.used:
            return
        self._lines("metrics").show_line(metric_line(answer.total, answer.median_latency_ms if self.wide else None))
        series = series_of(answer, self.measure)
        tall = max(TALL_PLOT, self.size.height // 3 - 2)
        height = max(SMALL_PLOT, min(tall, self.size.height - ROWS_BESIDE_PLOT))
        # What neither the list nor what stands under it needs is the plot's.
        spare = self.size.height - FRAME_ROWS - len(self._subjects) - len(self._under())
        height = min(max(height, spare), 2 * self.size.height // 3)
        width = self.size.width - 2
        self._plot = plot_of(
            answer, self.measure, series, self._cursor, self.zone, width=width, height=height, marks=self._marks
        )
        self._lines("plot").show([(part(" "), *row) for row in self._plot.lines])
        step = self.bucket
        if step is not None:
            words = bucket_words(step, self._cursor, answer.bucket, series, self.zone, width, marks=self._marks)
            self._lines("words").show([words, BLANK])

    def items(self, snapshot: Snapshot) -> Sequence[Subject]:
        answer = self._answer
        if answer is None or answer.by != self.by or not answer.breakdown:
            return []
        return [AllUsage(answer.total), *ranked(answer.breakdown, self.measure)]

    def fields(self, subject: Subject) -> Mapping[str, str]:
        return {"name": name_of(self.by, subject.key) if isinstance(subject, UsageEntry) else ALL}

    def cells_of(self, subject: Subject) -> tuple[CellValue, ...]:
        assert isinstance(subject, UsageEntry | AllUsage)
        numbers: UsageNumbers = subject.numbers
        name, tone = f"{ALL} {self.by}s", Tone.MUTED
        if isinstance(subject, UsageEntry):
            name, tone = subject.key or name_of(self.by, ""), Tone.PLAIN
        whole = 0 if self._answer is None else self.measure.of(self._answer.total)
        share = self.measure.of(numbers) / whole if whole else 0.0
        return (
            part(name, tone),
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
        lines = self._under()
        under.display = bool(lines)
        under.show(lines)

    def _under(self) -> list[Line]:
        sight, snapshot = self._sight, self.snapshot
        if sight is None or snapshot is None or self.has_class("-nothing"):
            return []
        if self.wide:
            return [BLANK, *panel_lines(sight, snapshot, self.zone, self.now, self.size.width - 1)]
        return under_lines(sight, snapshot, self.by, self.zone, self.now, self.size.width)

    def teach(self, snapshot: Snapshot) -> list[Line]:
        if self._answer is None or self._answer.by != self.by:
            return [BLANK, line(" ", muted("asking the journal …"))]
        if self._answer.total.requests:
            return [BLANK, line(" ", muted(f"no request of this time names a {self.by}"))]
        return point_a_client_here(snapshot.engine, self.size.width)

    def title_left(self) -> Line:
        return (*super().title_left(), muted(f" {glyphs.TRAIL} "), part(f"{self.span_title} by {self.by}"))

    def summary(self) -> Line:
        """What can be looked at in other ways, with the keys for it."""
        other = (DAYS, "days") if self.bucket_kind == "hour" else (HOURS, "hours")
        parts: list[Part] = []
        for action, word in ((MEASURE, self.measure.name), (BREAKDOWN, self.by), other):
            key = self.key_of(action).split(",")[0]
            parts += [part(f"  {key} ", Tone.ACCENT, bold=True), muted(word)]
        return tuple(parts)

    # Acting.

    def open_detail(self) -> None:
        self.palyra.spawn(self.show_runs())

    def on_click(self, event: events.Click) -> None:
        if self._plot is None or self._answer is None or event.widget is None or event.widget.id != "plot":
            return
        bucket = self._plot.bucket_at(event.x - event.widget.region.x - 1)
        if bucket is not None:
            self.move_bucket(bucket - self._cursor)

    def what_if_dialog(self) -> WhatIfDialog:
        """Asks what another limit would have meant for the shown span."""
        assert self.snapshot is not None, "offered only with budgets at hand"
        palyra = self.palyra
        return WhatIfDialog(
            palyra.control,
            palyra.spawn,
            palyra.clock,
            budgets=self.snapshot.budgets,
            span=span_of(self.bucket_kind, self.zone, self.now),
            title=self.span_title,
        )

    def export_dialog(self) -> ExportDialog:
        """Asks how the shown span is to be written out."""
        assert self.snapshot is not None, "offered only with numbers at hand"
        assert self._answer is not None, "offered only with numbers at hand"
        palyra = self.palyra
        span = span_of(self.bucket_kind, self.zone, self.now)
        what = UsageExport(palyra.control, span, self.span_title, self._answer.total.attempts)
        return ExportDialog(what, palyra.spawn, palyra.clock, palyra.copy, state_dir=self.snapshot.engine.state_dir)


def _first(entry: UsageEntry | AllUsage, amount: int) -> float:
    """What a list is ordered by: all together stays on top."""
    return float("inf") if isinstance(entry, AllUsage) else amount
