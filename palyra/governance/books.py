"""The counters of all policies together: which of them an attempt moves, and how long their past stays known."""

import heapq
import itertools
from collections.abc import Iterator, Mapping

from palyra.core.scope import Scope
from palyra.governance.counters import KEPT_MS, Budget, Cell, CounterState, RollingTotal
from palyra.governance.holds import ClockBehindError
from palyra.governance.policy_set import PolicySet

MATCHES_KEPT = 8_192
_HOUR_MS = 3_600_000

Judged = Cell | RollingTotal
"""What a request is judged by in one budget."""


class Books:
    """One `Budget` for each policy, enabled or not."""

    def __init__(self, policies: PolicySet) -> None:
        self.policies = policies
        self._budgets = {policy.policy_id: Budget(policy) for policy in policies}
        self._matches: dict[tuple[object, ...], tuple[tuple[Budget, str], ...]] = {}
        self._due: list[tuple[int, int, Budget, Cell]] = []
        self._order = itertools.count()
        self._covered_from = 0

    def __iter__(self) -> Iterator[Budget]:
        return iter(self._budgets.values())

    def get(self, policy_id: str) -> Budget | None:
        return self._budgets.get(policy_id)

    def match(self, scope: Scope, provider: str, model: str) -> tuple[tuple[Budget, str], ...]:
        """Every budget an attempt moves, with the scope value of its counter, in the order of policy ids."""
        tags = tuple(sorted(scope.tags.items())) if scope.tags else ()
        key = (
            scope.principal,
            scope.session,
            scope.key_id,
            scope.channel,
            scope.agent,
            scope.job,
            provider,
            model,
            tags,
        )
        found = self._matches.get(key)
        if found is None:
            if len(self._matches) >= MATCHES_KEPT:
                self._matches.clear()
            found = self._matches[key] = tuple(
                (self._budgets[policy.policy_id], value)
                for policy, value in self.policies.match(scope, provider, model)
            )
        return found

    def cell(self, budget: Budget, value: str, at: int) -> Cell:
        """The cell that a charge at an instant moves."""
        cell = budget.find(value, at)
        if cell is None:
            cell = budget.make(value, at)
            self._remember(budget, cell, at)
        return cell

    def attend(self, at: int) -> None:
        """Forgets windows that ended long ago. Raises ClockBehindError for an instant in a forgotten one."""
        if at < self._covered_from:
            raise ClockBehindError
        while self._due and self._due[0][0] <= at:
            due, _, budget, cell = heapq.heappop(self._due)
            if cell.held:
                heapq.heappush(self._due, (at + _HOUR_MS, next(self._order), budget, cell))
                continue
            budget.forget(cell)
            self._covered_from = max(self._covered_from, due - KEPT_MS)

    def replace(self, policies: PolicySet, fresh: Mapping[str, Budget], at: int) -> None:
        """Puts other policies in force: with recounted counters where there are any, else with those they have."""
        budgets: dict[str, Budget] = {}
        for policy in policies:
            budget = fresh.get(policy.policy_id)
            if budget is None:
                budget = self._budgets[policy.policy_id]
                budget.adopt(policy)
            budgets[policy.policy_id] = budget
        self.policies = policies
        self._budgets = budgets
        self._matches.clear()
        if fresh:
            self._covered_from = max(self._covered_from, at - KEPT_MS)
        for budget in fresh.values():
            for cell in budget.all_cells():
                self._remember(budget, cell, cell.start)

    def states(self, at: int) -> tuple[CounterState, ...]:
        """Every counter that counts at an instant or holds something open, in a fixed order, without zeros."""
        states = [state for budget in self._budgets.values() for state in budget.states(at)]
        return tuple(sorted(states, key=lambda state: (state.policy_id, state.scope_value, state.window_start)))

    def _remember(self, budget: Budget, cell: Cell, at: int) -> None:
        heapq.heappush(self._due, (budget.known_until(at), next(self._order), budget, cell))
