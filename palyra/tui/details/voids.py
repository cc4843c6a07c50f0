"""What an edit of a budget takes away, by name."""

from palyra.control.queries import BudgetDetail
from palyra.core.plural import plural
from palyra.tui import format as show

NAMED = 3


def void_words(budget: BudgetDetail) -> str:
    """Which grants and pending approvals end with an edit that decides something."""
    grants = [
        f"{one.kind} of {one.principal} ({show.quantity(one.metric_kind, one.cap - one.drawn)} left)"
        for one in budget.grants
    ]
    pending = [f"{one.principal}{f' ({one.waiting} waiting)' if one.waiting else ''}" for one in budget.approvals]
    parts = [_named("grant", grants), _named("pending approval", pending)]
    words = " and ".join(part for part in parts if part)
    return f"Voids {words}. What was spent stays counted." if words else "Nothing is granted or pending on it."


def _named(noun: str, names: list[str]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{plural(len(names), noun)}: {', '.join(names[:NAMED])}{more}"
