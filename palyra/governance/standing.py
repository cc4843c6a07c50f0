"""Where every budget stands now, for people: its fullest counters in their current windows."""

from collections.abc import Iterator
from heapq import nlargest

from palyra.config.choices import ScopeKind
from palyra.core.values import value
from palyra.core.windows import Window
from palyra.governance.burn import CounterKey
from palyra.governance.evaluate import EvaluationStatus
from palyra.governance.forecast import Forecast, burn_since, forecast, has_calendar
from palyra.governance.ledger import Ledger
from palyra.governance.policy import ANY, UsageBudgetPolicyRecord


@value
class Standing:
    """One counter of a policy in its current window; amounts in the metric's unit.

    `granted` is what grants add to the limit: drawn and still available. `counters` is how many scope values the
    policy counts at present. `incomplete`: what was used in this window is not all known, since rows of the journal
    are lost.
    """

    policy: UsageBudgetPolicyRecord
    scope_value: str
    window: Window
    settled: int
    held: int
    granted: int
    counters: int
    incomplete: bool = False

    @property
    def used(self) -> int:
        """Settled and held together, in the metric of the policy."""
        return self.settled + self.held

    @property
    def status(self) -> EvaluationStatus:
        """Where that stands to the limits; equality with a limit passes."""
        hard, soft = self.policy.hard_limit, self.policy.soft
        if hard is not None and self.used > hard + self.granted:
            return EvaluationStatus.HARD_LIMIT
        if hard is not None and self.used > hard:
            return EvaluationStatus.OVERRIDE_APPLIED
        if soft is not None and self.used > soft:
            return EvaluationStatus.SOFT_LIMIT
        return EvaluationStatus.OK


def undrawn(ledger: Ledger, at: int) -> dict[CounterKey, int]:
    """What live grants could still add to each counter."""
    rest: dict[CounterKey, int] = {}
    for grant in ledger.grants:
        if grant.live(at):
            key = (grant.row.policy_id, grant.row.scope_value)
            rest[key] = rest.get(key, 0) + grant.remaining
    return rest


def incomplete(ledger: Ledger, window: Window) -> bool:
    """Whether rows of this window are lost."""
    return any(
        until > window.start and (window.end is None or since < window.end) for since, until in ledger.books.gaps
    )


def standing_of(ledger: Ledger, key: CounterKey, at: int, available: int = 0) -> Standing | None:
    """One counter, `available` being what live grants could still add; None when its policy is gone.

    It stands at nothing where nothing was charged in the current window.
    """
    policy_id, value = key
    budget = ledger.books.get(policy_id)
    if budget is None:
        return None
    judged, window = budget.at(value, at), budget.window(at)
    if judged is None:
        return Standing(budget.policy, value, window, 0, 0, available, 0, incomplete(ledger, window))
    drawn = judged.drawn + available
    return Standing(budget.policy, value, window, judged.settled, judged.held, drawn, 1, incomplete(ledger, window))


def forecast_of(ledger: Ledger, line: Standing, at: int) -> Forecast | None:
    """Where a counter is going; None for windows without a calendar and those of which too little has elapsed."""
    policy = line.policy
    if not policy.enabled or not has_calendar(policy.interval_kind):
        return None
    since = burn_since(line.window, at)
    if since is None:
        return None
    burned = ledger.burns.since((policy.policy_id, line.scope_value), line.window, since, line.settled)
    limit = None if policy.hard_limit is None else policy.hard_limit + line.granted
    return forecast(line.window, at, used=line.used, burned=burned, limit=limit)


def standings(ledger: Ledger, at: int, *, most: int = 3, only: str = "") -> tuple[Standing, ...]:
    """Every policy in the order of ids, or the one named, with at most that many of its counters, fullest first."""
    return tuple(each_standing(ledger, at, most=most, only=only))


def each_standing(ledger: Ledger, at: int, *, most: int = 3, only: str = "") -> Iterator[Standing]:
    """The same one by one, so that others may have their turn in between; each is true when it is given."""
    available = undrawn(ledger, at)
    for budget in sorted(ledger.books, key=lambda one: one.policy_id):
        if only not in ("", budget.policy_id):
            continue
        counting = budget.counting(at)
        fullest = nlargest(most, counting.items(), key=lambda item: item[1].settled + item[1].held)
        window = budget.window(at)
        torn = incomplete(ledger, window)
        for scope_value, judged in fullest:
            rest = available.get((budget.policy_id, scope_value), 0)
            drawn = judged.drawn + rest
            settled, held, count = judged.settled, judged.held, len(counting)
            yield Standing(budget.policy, scope_value, window, settled, held, drawn, count, torn)
        if not fullest:
            scope_value = ANY if budget.policy.scope_kind is ScopeKind.GLOBAL else budget.policy.scope_id
            rest = available.get((budget.policy_id, scope_value), 0)
            yield Standing(budget.policy, scope_value, window, 0, 0, rest, 0, torn)
