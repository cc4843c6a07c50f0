"""Where every budget stands now, for people: its fullest counters in their current windows."""

from dataclasses import dataclass
from heapq import nlargest

from palyra.config.choices import ScopeKind
from palyra.core.windows import Window
from palyra.governance.evaluate import EvaluationStatus
from palyra.governance.grants import Grant
from palyra.governance.ledger import Ledger
from palyra.governance.policy import ANY, UsageBudgetPolicyRecord


@dataclass(frozen=True, slots=True)
class Standing:
    """One counter of a policy in its current window; amounts in the metric's unit.

    `granted` is what grants add to the limit: drawn and still available. `counters` is how many scope values the
    policy counts at present.
    """

    policy: UsageBudgetPolicyRecord
    scope_value: str
    window: Window
    settled: int
    held: int
    granted: int
    counters: int

    @property
    def used(self) -> int:
        return self.settled + self.held

    @property
    def status(self) -> EvaluationStatus:
        hard, soft = self.policy.hard_limit, self.policy.soft
        if hard is not None and self.used > hard + self.granted:
            return EvaluationStatus.HARD_LIMIT
        if hard is not None and self.used > hard:
            return EvaluationStatus.OVERRIDE_APPLIED
        if soft is not None and self.used > soft:
            return EvaluationStatus.SOFT_LIMIT
        return EvaluationStatus.OK


def standings(ledger: Ledger, at: int, *, most: int = 3, only: str = "") -> tuple[Standing, ...]:
    """Every policy in the order of ids, or the one named, with at most that many of its counters, fullest first."""
    grants: dict[tuple[str, str], list[Grant]] = {}
    for grant in ledger.grants:
        if grant.live(at):
            grants.setdefault((grant.row.policy_id, grant.row.scope_value), []).append(grant)
    found: list[Standing] = []
    for budget in sorted(ledger.books, key=lambda one: one.policy_id):
        if only not in ("", budget.policy_id):
            continue
        counting = budget.counting(at)
        fullest = nlargest(most, counting.items(), key=lambda item: item[1].settled + item[1].held)
        window = budget.window(at)
        for value, judged in fullest:
            available = sum(grant.remaining for grant in grants.get((budget.policy_id, value), ()))
            found.append(
                Standing(
                    budget.policy,
                    value,
                    window,
                    judged.settled,
                    judged.held,
                    judged.drawn + available,
                    len(counting),
                )
            )
        if not fullest:
            value = ANY if budget.policy.scope_kind is ScopeKind.GLOBAL else budget.policy.scope_id
            available = sum(grant.remaining for grant in grants.get((budget.policy_id, value), ()))
            found.append(Standing(budget.policy, value, window, 0, 0, available, 0))
    return tuple(found)
