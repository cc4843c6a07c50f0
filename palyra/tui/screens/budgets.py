"""Budgets: every policy's counters, how full they are and when they renew."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from palyra.control.queries import BudgetDetail, BudgetQuery
from palyra.control.snapshots import BudgetView, Snapshot, Topic
from palyra.core.errors import PalyraError
from palyra.core.plural import plural
from palyra.core.safe_text import safe
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.commands.action import bindings
from palyra.tui.commands.budgets import BUDGETS
from palyra.tui.commands.general import EVERYWHERE
from palyra.tui.commands.lists import LISTS, OPENING
from palyra.tui.details.budget import budget_lines, scope_words
from palyra.tui.details.days import days_of_budget
from palyra.tui.details.gauges import gauge_parts
from palyra.tui.details.words import budget_mark, level_tone
from palyra.tui.inquiry import Inquiry
from palyra.tui.screens.days import DaysBefore
from palyra.tui.screens.listing import ListScreen, Order
from palyra.tui.subjects import Subject
from palyra.tui.themes import Tone
from palyra.tui.widgets.columns import Column
from palyra.tui.widgets.lines import BLANK, Line, line, muted, part, strong
from palyra.tui.widgets.rows import CellValue, cell

GAUGE_CELLS = 4
ROOMY = 100
"""From this width on a list has room for what kind a scope is of."""
MOMENTS_FROM = 135
"""From this width on it has room for the moment at which a window ends."""
COLUMNS = (
    Column("sign", safe(""), 1),
    Column("budget", safe("budget"), 13, flex=2, most=34),
    Column("covers", safe("covers"), 13, flex=3, most=30),
    Column("window", safe("window"), 7, priority=1),
    Column("used", safe("used"), 11),
    Column("amount", safe("so far"), 8, align="right"),
    Column("settled", safe("settled"), 8, align="right", priority=2),
    Column("held", safe("held"), 8, align="right", priority=2),
    Column("limit", safe("limit"), 8, align="right"),
    Column("ahead", safe("forecast"), 8, align="right"),
    Column("renews", safe("renews"), 6, flex=1, most=15),
    Column("full", safe("when full"), 9, priority=3),
)
_WINDOWS = {"rolling_24h": "24 h", "rolling_30d": "30 d", "lifetime": "life"}
_FULL = {"block": "block", "approval_required": "ask", "advise": "warn"}


class BudgetsScreen(ListScreen):
    """The fullest first."""

    NAME = "budgets"
    LABEL = "Budgets"
    TOPICS: ClassVar[tuple[Topic, ...]] = (Topic.BUDGETS,)
    COLUMNS = COLUMNS
    FIELDS = ("budget", "covers", "window", "status", "full", "from")
    ORDERS = (
        Order("how full", "used", lambda item: (item.enabled, item.used_ratio), descending=True),
        Order("name", "budget", lambda item: (item.policy_id, item.scope_value)),
        Order("renewal", "renews", lambda item: item.window_end or 2**62),
    )
    ACTIONS = (*OPENING, *BUDGETS, *LISTS, *EVERYWHERE)
    BINDINGS = bindings(ACTIONS)

    def __init__(self) -> None:
        super().__init__()
        self._inquiry: Inquiry[BudgetDetail] | None = None
        self._asked_for: tuple[object, ...] | None = None
        self._known: BudgetDetail | None = None
        self._days = DaysBefore(self)

    def items(self, snapshot: Snapshot) -> Sequence[Subject]:
        return snapshot.budgets

    def fields(self, subject: Subject) -> Mapping[str, str]:
        assert isinstance(subject, BudgetView)
        return {
            "budget": f"{subject.policy_id} {subject.name}",
            "covers": scope_words(subject),
            "window": subject.interval_kind,
            "status": subject.status,
            "full": _FULL.get(subject.action, subject.action),
            "from": subject.source,
        }

    def cells_of(self, subject: Subject) -> tuple[CellValue, ...]:
        assert isinstance(subject, BudgetView)
        glyph, _, tone = budget_mark(subject)
        plain = Tone.PLAIN if subject.enabled else Tone.MUTED
        ratio, metric = subject.used_ratio, subject.metric_kind
        level = level_tone(ratio, subject) if subject.enabled else Tone.MUTED
        limit = subject.hard_limit if subject.hard_limit is not None else subject.soft_limit
        return (
            part(glyph, tone),
            part(subject.policy_id, plain),
            part(self._covers(subject), plain),
            part(_WINDOWS.get(subject.interval_kind, subject.interval_kind), Tone.MUTED),
            cell(*gauge_parts(ratio, GAUGE_CELLS, level), part(f" {show.percent(ratio)}", level)),
            part(show.brief(metric, subject.settled + subject.held), plain),
            part(show.brief(metric, subject.settled), Tone.MUTED),
            part(show.brief(metric, subject.held), Tone.MUTED),
            part(show.brief(metric, limit), plain),
            self._ahead(subject),
            muted(self._renews(subject)),
            part(_FULL.get(subject.action, subject.action), Tone.MUTED),
        )

    def _covers(self, budget: BudgetView) -> str:
        """Whose counter it is; where room is short, without the kind of a scope that its value tells."""
        if self.table.size.width >= ROOMY or budget.scope_value in ("", "*"):
            return scope_words(budget)
        return budget.scope_value

    def _ahead(self, budget: BudgetView) -> CellValue:
        """When it reaches its limit, else where it will stand at the end of its window."""
        forecast = budget.forecast
        if forecast is None or not budget.enabled:
            return muted(show.NONE)
        if forecast.reaches_at is not None:
            near = forecast.reaches_at - self.now <= show.DAY
            then = show.local(forecast.reaches_at, budget.timezone)
            return part(f"{then:%H:%M}" if near else f"{then:%m-%d}", Tone.WARN)
        return part(show.brief(forecast.metric_kind, forecast.projected), Tone.MUTED)

    def _renews(self, budget: BudgetView) -> str:
        """The time left; with the moment itself where there is room for it."""
        if budget.window_end is None:
            return "never"
        if self.table.size.width >= MOMENTS_FROM:
            return show.renewal(budget.window_end, budget.timezone, self.now)
        return show.span(budget.window_end - self.now)

    def detail(self, subject: Subject, width: int) -> list[Line]:
        assert isinstance(subject, BudgetView)
        known = self._known if self._known is not None and self._known.policy_id == subject.policy_id else None
        path = "" if self.snapshot is None else self.snapshot.engine.config_path
        return budget_lines(subject, known, path, self.zone, self.now, width)

    def look_up(self, subject: Subject) -> None:
        if not isinstance(subject, BudgetView) or not (self.opened or self.wide):
            return
        wanted = (subject.policy_id, subject.revision, subject.settled, subject.granted)
        if wanted == self._asked_for:
            return
        self._asked_for = wanted
        if self._inquiry is None:
            self._inquiry = Inquiry(self.palyra.spawn, self._apply, self._fail)
        self._inquiry.ask(lambda: self.palyra.control.ask(BudgetQuery(subject.policy_id)))

    def beneath(self, subject: Subject, width: int, rows: int) -> list[Line]:
        """What the days before were like."""
        assert isinstance(subject, BudgetView)
        return self._days.lines(days_of_budget(subject), width, rows)

    def _apply(self, detail: BudgetDetail) -> None:
        self._known = detail
        self.draw_detail()

    def _fail(self, error: PalyraError) -> None:
        self._asked_for = None
        self.flash(f"The budget could not be read: {error}", Tone.WARN)

    def teach(self, snapshot: Snapshot) -> list[Line]:
        return [
            line(" ", strong("No budgets yet: "), muted("everything passes, and is counted.")),
            BLANK,
            line(" ", part("n", Tone.ACCENT, bold=True), muted("  makes one here, or add it to palyra.toml:")),
            BLANK,
            *(
                line("   ", part(text, Tone.ACCENT))
                for text in ("[[budgets]]", 'policy_id = "team-day"', 'interval_kind = "daily"', "hard_limit = 45.00")
            ),
        ]

    def trail(self, subject: Subject) -> str:
        return subject.policy_id if isinstance(subject, BudgetView) else ""

    def summary(self) -> Line:
        if self.snapshot is None:
            return ()
        over = sum(item.enabled and item.used_ratio >= 1 for item in self.snapshot.budgets)
        text = plural(self._listed, "counter") + (f" {glyphs.SEPARATOR} {over} full" if over else "")
        return (muted(text),)
