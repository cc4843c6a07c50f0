"""Budgets: every policy's counters, how full they are and when they renew."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from palyra.control.snapshots import BudgetView, Snapshot, Topic
from palyra.core.safe_text import safe
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.commands.action import bindings
from palyra.tui.commands.budgets import BUDGETS
from palyra.tui.commands.general import EVERYWHERE
from palyra.tui.commands.lists import LISTS, OPENING
from palyra.tui.details.budget import budget_lines, scope_words
from palyra.tui.details.gauges import gauge_parts
from palyra.tui.details.words import budget_mark, level_tone
from palyra.tui.screens.listing import ListScreen, Order
from palyra.tui.subjects import Subject
from palyra.tui.themes import Tone
from palyra.tui.widgets.columns import Column
from palyra.tui.widgets.lines import BLANK, Line, line, muted, part, strong
from palyra.tui.widgets.live_table import CellValue, cell

GAUGE_CELLS = 6
COLUMNS = (
    Column("sign", safe(""), 1),
    Column("budget", safe("budget"), 12, flex=2, most=34),
    Column("covers", safe("covers"), 10, flex=3, most=30, priority=2),
    Column("window", safe("window"), 8, priority=4),
    Column("used", safe("used"), 12),
    Column("settled", safe("settled"), 9, align="right"),
    Column("held", safe("held"), 7, align="right", priority=3),
    Column("limit", safe("limit"), 9, align="right"),
    Column("renews", safe("renews"), 14, priority=1),
    Column("full", safe("when full"), 10, priority=5),
)
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
            part(scope_words(subject), Tone.MUTED),
            part(subject.interval_kind.replace("rolling_", ""), Tone.MUTED),
            cell(*gauge_parts(ratio, GAUGE_CELLS, level), part(f" {show.percent(ratio)}", level)),
            part(bare(metric, subject.settled), plain),
            part(bare(metric, subject.held), Tone.MUTED),
            part(bare(metric, limit), plain),
            cell(muted(show.renewal(subject.window_end, subject.timezone, self.now)), ticking=True),
            part(_FULL.get(subject.action, subject.action), Tone.MUTED),
        )

    def detail(self, subject: Subject, width: int) -> list[Line]:
        assert isinstance(subject, BudgetView)
        return budget_lines(subject, self.zone, self.now, width)

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
        text = show.plural(self._listed, "counter") + (f" {glyphs.SEPARATOR} {over} full" if over else "")
        return (muted(text),)


def bare(metric: str, amount: int | None) -> str:
    """An amount of a budget without its unit's word, for a column of numbers."""
    return show.quantity(metric, amount).removesuffix(" tok").removesuffix(" req")
