"""What a replay finds: sums over requests, each counted once however often it was decided."""

from dataclasses import dataclass, field

from palyra.governance.evaluate import UsageBudgetEvaluation
from palyra.governance.explain import evaluation_message
from palyra.governance.plan_record import Disposition

EXAMPLES = 40
PER_KIND = 8
"""How many requests are shown that changed in the same way."""
FATES_KEPT = 50_000

WORDS = {
    Disposition.SERVED: "served",
    Disposition.BLOCKED: "blocked",
    Disposition.APPROVAL: "approval_required",
    Disposition.UNSERVABLE: "no_candidate",
}


def word(disposition: Disposition, clamped: bool) -> str:
    """What became of a request; `clamped`: had it been served, then with less."""
    return "clamped" if clamped and disposition is Disposition.SERVED else WORDS[disposition]


def _together(cost: int | None, more: int | None) -> int | None:
    """What attempts cost; None where nobody knows of one."""
    return None if cost is None or more is None else cost + more


_REFUSED = (Disposition.BLOCKED, Disposition.APPROVAL)


@dataclass(slots=True)
class Example:
    """A request that would have gone another way. `ref` is its run's number."""

    ref: int
    at: int
    principal: str
    session: str
    model_before: str
    model_after: str
    before: str
    after: str
    policy_ids: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    cost_before: int | None = 0
    cost_after: int | None = 0


@dataclass(slots=True)
class Fate:
    """How a request stands, then and now, that asked for a person, was decided again or went another way: later
    decisions of it change that."""

    before: Disposition
    after: Disposition
    asked_before: bool
    asked_after: bool
    differs: bool


@dataclass(slots=True)
class Tally:
    """Costs are nano-dollars. `strengths` counts plans whose budgets answered otherwise (ok, soft limit …) though the
    request went the same way."""

    requests: int = 0
    differences: int = 0
    denied_before: int = 0
    denied_after: int = 0
    approvals_before: int = 0
    approvals_after: int = 0
    rerouted: int = 0
    clamped_before: int = 0
    clamped_after: int = 0
    cut_before: int = 0
    cut_after: int = 0
    estimated: int = 0
    cost_before: int = 0
    cost_after: int = 0
    unpriced_before: int = 0
    unpriced_after: int = 0
    strengths: int = 0
    examples: dict[int, Example] = field(default_factory=dict)
    """By the run's number."""
    _kinds: dict[tuple[str, str], int] = field(default_factory=dict)
    _fates: dict[int, Fate] = field(default_factory=dict)

    def decided(
        self, ref: int, before: Disposition, after: Disposition, *, again: bool, later: bool = False, differs: bool
    ) -> bool:
        """One decision of a request, then and now; `later`: it was let through before, and its attempt failed. Returns
        whether it is the first of the request that differs."""
        fate = self._fates.get(ref)
        if fate is None:
            fate = Fate(Disposition.SERVED, Disposition.SERVED, False, False, False)
            self.requests += not later
            if Disposition.APPROVAL in (before, after) or again or differs:
                if len(self._fates) >= FATES_KEPT:
                    del self._fates[next(iter(self._fates))]
                self._fates[ref] = fate
        self.denied_before += (before in _REFUSED) - (fate.before in _REFUSED)
        self.denied_after += (after in _REFUSED) - (fate.after in _REFUSED)
        fate.before, fate.after = before, after
        if before is Disposition.APPROVAL and not fate.asked_before:
            fate.asked_before = True
            self.approvals_before += 1
        if after is Disposition.APPROVAL and not fate.asked_after:
            fate.asked_after = True
            self.approvals_after += 1
        first = differs and not fate.differs
        self.differences += first
        fate.differs |= differs
        return first

    def stopped(self, ref: int) -> bool:
        """Whether a request is refused now, so that nothing comes after."""
        fate = self._fates.get(ref)
        return fate is not None and fate.after in _REFUSED

    def spent_before(self, usd: int | None, flat: int | None, example: Example | None) -> None:
        """What a request was charged; `flat` where nobody knew the price."""
        cost = flat if usd is None else usd
        if cost is None:
            self.unpriced_before += 1
        else:
            self.cost_before += cost
        if example is not None:
            example.cost_before = _together(example.cost_before, cost)

    def spent_after(self, cost: int | None, example: Example | None) -> None:
        """A request that was let through would have cost that, in nano-dollars; None: nobody knows."""
        if cost is None:
            self.unpriced_after += 1
        else:
            self.cost_after += cost
        if example is not None:
            example.cost_after = _together(example.cost_after, cost)

    def spent_after_all(self, cost: int | None) -> None:
        """Takes an estimate back: what was really spent is known."""
        if cost is None:
            self.unpriced_after -= 1
        else:
            self.cost_after -= cost

    def wants(self, before: str, after: str) -> bool:
        """Whether another request that changed like this would be shown."""
        return len(self.examples) < EXAMPLES and self._kinds.get((before, after), 0) < PER_KIND

    def show(self, example: Example, evaluations: tuple[UsageBudgetEvaluation, ...]) -> None:
        """Keeps an example, unless there are many of its kind."""
        kind = (example.before, example.after)
        if example.ref in self.examples or not self.wants(*kind):
            return
        self._kinds[kind] = self._kinds.get(kind, 0) + 1
        told = [item for item in evaluations if item.refused] or [item for item in evaluations if item.over_soft]
        example.policy_ids = tuple(item.policy_id for item in told)
        example.reasons = tuple(evaluation_message(item) for item in told)
        self.examples[example.ref] = example
