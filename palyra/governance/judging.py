"""Judging: what each matching budget says to an attempt, and whether a counter takes an amount. Moves nothing."""

from typing import NamedTuple

from palyra.config.choices import RoutingMode
from palyra.core.scope import Scope
from palyra.governance.books import Books, Place
from palyra.governance.counters import USD_UNIT, Budget, Judged
from palyra.governance.evaluate import (
    CounterView,
    Demand,
    Pricing,
    UsageBudgetEvaluation,
    demanded,
    evaluate_budget_policies,
)
from palyra.governance.grants import Asker, Grant, GrantBook
from palyra.governance.modes import policy_mode

ENFORCED = RoutingMode.ENFORCED


class Step(NamedTuple):
    """What one counter is about to move. `short` of it must come from `grants`, which are empty if they do not do.

    `flat`: the amount stands for an unknown price.
    """

    amount: int
    enforced: bool
    short: int
    grants: list[Grant]
    flat: bool
    fits: bool

    @property
    def drawn_at_most(self) -> int:
        """What the hold itself may draw; being over before it came is not for it to pay."""
        return min(self.amount, self.short)


class Judge:
    """Counters and grants as requests find them. `default_mode` is the mode of a policy without its own."""

    def __init__(self, books: Books, grants: GrantBook, default_mode: RoutingMode) -> None:
        self.books = books
        self.grants = grants
        self.default_mode = default_mode

    def views(
        self, scope: Scope, provider: str, model: str, *, at: int, run_id: str, denied: frozenset[str]
    ) -> tuple[CounterView, ...]:
        """Every counter an attempt would move, as it stands."""
        asker = Asker(scope.principal, scope.session, run_id)
        places = self.books.match(scope, provider, model).standing(at)
        return tuple([self._seen(place, asker, at, place.budget.policy_id in denied) for place in places])

    def view(self, budget: Budget, value: str, judged: Judged | None, asker: Asker, start: int, at: int) -> CounterView:
        """One counter as a slice finds it whose hold is counted from `start`."""
        window = budget.window(start if budget.rolling is None else at)
        return self._seen(Place(budget, value, judged, start, window), asker, at, denied=False)

    def _seen(self, place: Place, asker: Asker, at: int, denied: bool) -> CounterView:
        budget, value, judged, start, window = place
        serving = self.grants.serving(budget.policy_id, value, asker, start, at)
        available = sum([grant.remaining for grant in serving]) if serving else 0
        if judged is None:
            return CounterView(budget.policy, value, window, 0, 0, 0, available, denied)
        return CounterView(budget.policy, value, window, judged.settled, judged.held, judged.drawn, available, denied)

    def evaluate_one(self, view: CounterView, demand: Demand, requested: RoutingMode | None) -> UsageBudgetEvaluation:
        """One policy's judgement about a demand."""
        return evaluate_budget_policies([view], demand, default_mode=self.default_mode, requested_mode=requested)[0]

    def admit(
        self, budget: Budget, value: str, demand: Demand, asker: Asker, requested: RoutingMode | None, at: int
    ) -> Step:
        """Whether a new hold fits one counter."""
        amount, pricing = demanded(budget.policy, demand)
        step = self.weigh(budget, value, budget.at(value, at), amount, asker, requested, None, at)
        if budget.unit != USD_UNIT or demand.usd is not None:
            return step
        return step._replace(flat=pricing is Pricing.FLAT, fits=step.fits and pricing is not Pricing.BLOCK)

    def weigh(
        self,
        budget: Budget,
        value: str,
        judged: Judged | None,
        amount: int,
        asker: Asker,
        requested: RoutingMode | None,
        start: int | None,
        at: int,
    ) -> Step:
        """Whether one counter takes an amount; `start` is the hold's window there, None for the one at `at`."""
        projected, room = amount, budget.hard
        if judged is not None:
            projected += judged.settled + judged.held
            room += judged.drawn
        if budget.advises:
            enforced = False
        elif budget.has_mode:
            mode = policy_mode(budget.policy, projected > budget.soft, self.default_mode, requested)
            enforced = mode is ENFORCED
        else:
            enforced = self.enforces(requested)
        short = projected - room
        if short <= 0:
            return Step(amount, enforced, 0, [], False, True)
        start = budget.start(at) if start is None else start
        serving = self.grants.serving(budget.policy_id, value, asker, start, at)
        if sum(grant.remaining for grant in serving) < short:
            return Step(amount, enforced, short, [], False, False)
        return Step(amount, enforced, short, serving, False, True)

    def enforces(self, requested: RoutingMode | None) -> bool:
        """Whether a policy without a mode of its own is enforced for a request."""
        return self.default_mode is ENFORCED or requested is ENFORCED
