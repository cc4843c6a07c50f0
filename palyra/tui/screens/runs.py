"""Runs: what is going on and what went through, newest first; or the runs of one bucket of the timeline."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from palyra.control.queries import (
    RunDetail,
    RunQuery,
    RunsPage,
    RunsQuery,
)
from palyra.control.snapshots import RunView, Snapshot, Topic
from palyra.control.text_queries import PARTS, RunTexts, RunTextsQuery
from palyra.control.usage_queries import UsageRunsQuery
from palyra.core.errors import PalyraError
from palyra.core.safe_text import safe
from palyra.core.usage_filter import ANYTHING, UsageFilter
from palyra.core.values import value
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.commands.action import bindings
from palyra.tui.commands.explain import Explain
from palyra.tui.commands.general import EVERYWHERE
from palyra.tui.commands.lists import LISTS, OPENING
from palyra.tui.commands.runs import CANCEL
from palyra.tui.details.run import run_lines
from palyra.tui.details.teach import point_a_client_here
from palyra.tui.details.texts import text_lines
from palyra.tui.details.words import run_mark, run_words
from palyra.tui.inquiry import Inquiry
from palyra.tui.screens.listing import Order
from palyra.tui.screens.paging import PAGE, PagedScreen
from palyra.tui.subjects import Subject
from palyra.tui.themes import Tone
from palyra.tui.widgets.columns import Column
from palyra.tui.widgets.lines import BLANK, Line, Part, line, muted, part
from palyra.tui.widgets.rows import CellValue
from palyra.tui.window import Page, Turn

COST_CELLS = 9
COLUMNS = (
    Column("sign", safe(""), 1),
    Column("state", safe("state"), 18),
    Column("who", safe("who"), 10, flex=2, most=26),
    Column("session", safe("session"), 10, flex=1, most=24, priority=2),
    Column("model", safe("model"), 14, flex=2, most=34),
    Column("tokens", safe("tokens"), 7, align="right"),
    Column("cost", safe("cost"), COST_CELLS, align="right"),
    Column("beat", safe("beat"), 5, align="right", priority=1),
    Column("age", safe("age"), 6, align="right"),
)
"""What a live run holds stands where its cost will be, and why one did not complete where its state is."""
ROOMY_COLUMNS = (
    Column("sign", safe(""), 1),
    Column("state", safe("state"), 9),
    Column("who", safe("who"), 12, flex=2, most=36),
    Column("session", safe("session"), 12, flex=1, most=36),
    Column("model", safe("model"), 14, flex=2, most=40),
    Column("tokens", safe("tokens"), 7, align="right"),
    Column("cost", safe("cost"), COST_CELLS, align="right"),
    Column("held", safe("held"), 7, align="right"),
    Column("beat", safe("beat"), 6, align="right"),
    Column("why", safe("why"), 18, flex=1, most=40),
    Column("age", safe("age"), 6, align="right"),
)
SILENT_MS = 30_000
"""A run that did not beat for so long is said to be silent; they beat every 15 s although nothing happens."""


@value
class RunsOf:
    """The runs that ended in [since, until), UTC unix ms, for whom they were, and where they were opened from."""

    title: str
    since: int
    until: int
    where: UsageFilter = ANYTHING
    came_from: str = ""


class RunsScreen(PagedScreen[RunView]):
    """Live runs and the newest ended ones; older pages come as the cursor nears the end, and the oldest with `G`."""

    NAME = "runs"
    LABEL = "Runs"
    WHAT = "Runs"
    TOPICS: ClassVar[tuple[Topic, ...]] = (Topic.RUNS,)
    COLUMNS = COLUMNS
    ROOMY = 112
    ROOMY_COLUMNS = ROOMY_COLUMNS
    FIELDS = ("state", "who", "session", "model", "provider", "why", "key", "id")
    ORDERS = (
        Order("newest"),
        Order("cost", "cost", lambda run: run.cost_nano_usd or 0, descending=True),
        Order("tokens", "tokens", lambda run: run.input_tokens + run.output_tokens, descending=True),
        Order("who", "who", lambda run: run.principal),
    )
    ACTIONS = (Explain(), CANCEL, *OPENING, *LISTS, *EVERYWHERE)
    BINDINGS = bindings(ACTIONS)

    def __init__(self) -> None:
        super().__init__()
        self.view: RunsOf | None = None
        self._drawn: RunsOf | None = None
        """Of which view the list is that was drawn last."""
        self._between: dict[str, RunView] = {}
        """Ended runs that newer ones pushed out of the snapshot since the pages began."""
        self._torn = False
        """Whether more of them were pushed out than are known, so that the pages have to begin anew."""
        self._until: int | None = None
        """Pages hold what was accepted before it: the rest is in snapshots."""
        self._details: Inquiry[tuple[RunDetail, RunTexts | None]] | None = None
        self._detail: RunDetail | None = None
        self._words: RunTexts | None = None
        """What it was asked and answered; None where that is not wanted."""
        self._wanted: tuple[str, int] | None = None

    # Which runs.

    def show_view(self, view: RunsOf | None) -> None:
        """Shows a part of history, or with None what goes on now."""
        self.view = view
        if self.opened:
            self.close_detail()
        self.forget()
        if self.snapshot is not None:
            self.begin()
            self.redraw()

    def begin(self, *, edge: str = "") -> None:
        """Asks for what the snapshot may not have. It has those that ended last: one that is not among them ended
        before them, so it was accepted before the first of them ended."""
        runs = () if self.snapshot is None else self.snapshot.runs
        ends = [run.finished_at or run.accepted_at for run in runs if not run.live]
        self._until = min(ends, default=self.now) + 1
        self._torn = False
        super().begin(edge=edge)

    def begun(self) -> None:
        until = self._until
        self._between = {key: run for key, run in self._between.items() if until is None or run.accepted_at >= until}

    def items(self, snapshot: Snapshot) -> Sequence[Subject]:
        drawn, self._drawn = self._drawn, self.view
        if self.view is not None or self.window.slid:
            return list(self.window)
        live = [run for run in snapshot.runs if run.live]
        ended = {run.run_id: run for run in self.window} | self._between
        ended.update((run.run_id, run) for run in snapshot.runs if not run.live)
        looked_at = self.subject if drawn is None else None
        if isinstance(looked_at, RunView) and not looked_at.live:
            # Newer ones push it out of the snapshot, and the cursor would go from run to run at the list's end.
            ended.setdefault(looked_at.run_id, looked_at)
        for run in live:
            ended.pop(run.run_id, None)
        floor = self._floor
        newest = sorted(
            (run for run in ended.values() if run.accepted_at >= floor or run is looked_at),
            key=lambda run: -run.accepted_at,
        )
        return [*sorted(live, key=lambda run: -run.accepted_at), *newest]

    @property
    def _floor(self) -> int:
        """What was accepted before it comes with its page: between it and what is listed are others."""
        if self._order or self.window.complete:
            return 0
        return min((run.accepted_at for run in self.window), default=0)

    def beside(self) -> int:
        if self.view is not None or self.snapshot is None or self._until is None:
            return 0
        # What a page will have is counted with the pages.
        both = (*self.snapshot.runs, *self._between.values())
        newer = [run for run in both if run.accepted_at >= self._until]
        return sum(map(self.passes, newer)) if self.filter else len(newer)

    def fetcher(self, turn: Turn) -> Callable[[], Awaitable[Page[RunView]]]:
        ask, query = self.palyra.control.ask, self._query(turn, PAGE)

        async def fetched() -> Page[RunView]:
            page: RunsPage = await ask(query)
            return Page(page.runs, page.next_cursor, page.newer_cursor)

        return fetched

    def counter(self) -> Callable[[], Awaitable[int]]:
        ask, query = self.palyra.control.ask, replace(self._query(Turn(), 1), counted=True)

        async def counted() -> int:
            page: RunsPage = await ask(query)
            return page.total or 0

        return counted

    def _query(self, turn: Turn, limit: int) -> RunsQuery | UsageRunsQuery:
        view, terms = self.view, self.filter.terms
        if view is None:
            return RunsQuery(until=self._until, limit=limit, cursor=turn.cursor, terms=terms, upward=turn.upward)
        return UsageRunsQuery(view.since, view.until, view.where, limit, turn.cursor, terms, turn.upward)

    # Drawing.

    def fields(self, subject: Subject) -> Mapping[str, str]:
        assert isinstance(subject, RunView)
        return {
            "state": subject.state,
            "who": subject.principal,
            "session": subject.session,
            "model": subject.model,
            "provider": subject.provider,
            "why": subject.reason,
            "key": subject.key_id,
            "id": subject.run_id,
        }

    def moment_of(self, subject: Subject) -> object:
        assert isinstance(subject, RunView)
        now = self.now
        beat = None if subject.beat_at is None or not subject.live else show.age(now - subject.beat_at)
        return show.age(now - subject.accepted_at), beat

    def cells_of(self, subject: Subject) -> tuple[CellValue, ...]:
        assert isinstance(subject, RunView)
        glyph, word, tone = run_mark(subject)
        beat = None if subject.beat_at is None or not subject.live else self.now - subject.beat_at
        silent = f"silent {show.age(beat)}" if beat is not None and beat >= SILENT_MS else ""
        why = subject.phase if subject.live else "" if subject.reason == "stop" else subject.reason
        before = (part(glyph, tone), part(subject.principal), part(subject.session, Tone.MUTED))
        numbers = (
            part(show.short_model(subject.model)),
            part(show.tokens(subject.input_tokens + subject.output_tokens)),
        )
        told_beat = part("" if beat is None else show.age(beat), Tone.WARN if silent else Tone.MUTED)
        age = muted(show.age(self.now - subject.accepted_at))
        sign, who, session = before
        if self.laid_out_roomy:
            held = part(show.money(subject.held_nano_usd) if subject.live else "", Tone.ACCENT)
            reason = part(silent, Tone.WARN) if silent else part(why, Tone.MUTED)
            return (sign, part(word, tone), who, session, *numbers, cost_part(subject), held, told_beat, reason, age)
        state = part(silent, Tone.WARN) if silent else part(run_words(subject), tone)
        cost = part(f"≤{_held(subject.held_nano_usd)}", Tone.ACCENT) if subject.live else cost_part(subject)
        return (sign, state, who, session, *numbers, cost, told_beat, age)

    def detail(self, subject: Subject, width: int) -> list[Line]:
        assert isinstance(subject, RunView)
        known = self._detail if self._detail is not None and self._detail.run.run_id == subject.run_id else None
        lines = run_lines(subject, known, self.zone, self.now, width)
        if known is not None and self._words is not None:
            lines += [row for name in PARTS for row in text_lines(self._words, name, width)]
        return lines

    def look_up(self, subject: Subject) -> None:
        if not isinstance(subject, RunView) or not (self.opened or self.wide):
            return
        wanted = (subject.run_id, subject.version)
        if wanted == self._wanted:
            return
        self._wanted = wanted
        if self._details is None:
            self._details = Inquiry(self.palyra.spawn, self._show_detail, self._no_detail)
        self._details.ask(lambda: self._read(subject.run_id))

    async def _read(self, run_id: str) -> tuple[RunDetail, RunTexts | None]:
        control = self.palyra.control
        detail = await control.ask(RunQuery(run_id))
        return detail, await control.ask(RunTextsQuery(run_id)) if self.palyra.habits.show_prompts else None

    def _show_detail(self, found: tuple[RunDetail, RunTexts | None]) -> None:
        self._detail, self._words = found
        self.draw_detail()

    def _no_detail(self, error: PalyraError) -> None:
        self.flash(f"The run could not be read: {error}", Tone.WARN)

    def teach(self, snapshot: Snapshot) -> list[Line]:
        if not self.window.begun:
            return [BLANK, line(" ", muted("asking the journal …"))]
        if self.view is not None:
            return [BLANK, line(" ", muted("no runs in "), part(self.view.title), muted("; esc goes back"))]
        return point_a_client_here(snapshot.engine, self.size.width)

    def trail(self, subject: Subject) -> str:
        return show.short_id(subject.run_id) if isinstance(subject, RunView) else ""

    def title_left(self) -> Line:
        left = super().title_left()
        if self.view is None:
            return left
        return (*left[:2], muted(f" {glyphs.TRAIL} "), part(self.view.title, Tone.ACCENT), *left[2:])

    def summary(self) -> Line:
        if self.snapshot is None:
            return ()
        live = f"{self.snapshot.runs_live} live {glyphs.SEPARATOR} " if self.view is None else ""
        return (muted(f"{live}{self.found()}"),)

    # Moving.

    def take(self, snapshot: Snapshot) -> None:
        first = self.snapshot is None
        self._keep_pushed_out(snapshot)
        if not first and self._torn and self.view is None and not self.window.slid:
            # Something is missing, and not only older ones are looked at: once it is there, all is drawn, once.
            self.snapshot = snapshot
            self.begin()
            return
        super().take(snapshot)
        if first:
            self.begin()

    def _keep_pushed_out(self, snapshot: Snapshot) -> None:
        """A snapshot has the newest runs only: those before them stay in the list until a page has them."""
        before = [] if self.snapshot is None else [run for run in self.snapshot.runs if not run.live]
        shown = {run.run_id for run in snapshot.runs}
        gone = {run.run_id: run for run in before if run.run_id not in shown}
        self._between |= gone
        self._torn = self._torn or (bool(before) and len(gone) == len(before)) or len(self._between) > 2 * PAGE

    @property
    def can_go_back(self) -> bool:
        return super().can_go_back or self.view is not None

    def go_back(self) -> None:
        view = self.view
        if super().can_go_back or view is None:
            super().go_back()
            return
        self.show_view(None)
        if view.came_from:
            self.palyra.go(view.came_from)


def cost_part(run: RunView) -> Part:
    """What the run cost; nothing yet while it lives, and never $0 where there was no price."""
    if run.live or (run.cost_nano_usd is None and not run.attempts):
        return muted(show.NONE)
    if run.cost_nano_usd is None:
        return part("unpriced", Tone.WARN)
    return part(show.run_money(run.cost_nano_usd), Tone.PLAIN if run.cost_nano_usd else Tone.MUTED)


def _held(amount: int | None) -> str:
    """As short as a narrow column, and not less than it is."""
    text = show.money(amount)
    return text if amount is None or len(text) < COST_CELLS else show.run_money(-(-amount // 100_000) * 100_000)
