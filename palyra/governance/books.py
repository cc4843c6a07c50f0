"""The counters of all policies together: which of them an attempt moves, and how long their past stays known."""

import heapq
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from palyra.core.scope import Scope
from palyra.core.windows import Window
from palyra.governance.counters import KEPT_MS, NEVER, Budget, Cell, CounterState, Judged
from palyra.governance.holds import ClockBehindError
from palyra.governance.policy_set import PolicySet
from palyra.journal.moves import Amounts, Places

MATCHES_KEPT = 8_192
_HOUR_MS = 3_600_000


class Place(NamedTuple):
    """A counter at an instant: what a request is judged by there (None where nothing was ever counted), where a charge
    is counted, and the window."""

    budget: Budget
    value: str
    judged: Judged | None
    start: int
    window: Window


class Footing:
    """Every cell that one kind of request moves, and what it is judged by, from `start` until `end`: while it lasts,
    no window is looked for."""

    __slots__ = ("cells", "end", "parts", "places", "rolling", "standing", "start")

    def __init__(self, lines: Sequence[tuple[Budget, str]], cells: Sequence[Cell]) -> None:
        self.cells = tuple(cells)
        self.start = max([cell.start for cell in cells], default=0)
        self.end = min([cell.end for cell in cells], default=NEVER)
        self.standing: tuple[Place, ...] = tuple(
            Place(budget, value, cell.total or cell, cell.start, budget.window(cell.start))
            for (budget, value), cell in zip(lines, cells, strict=True)
        )
        self.parts: tuple[tuple[Cell, Judged, int, Budget], ...] = tuple(
            (cell, cell.total or cell, budget.unit, budget) for (budget, _), cell in zip(lines, cells, strict=True)
        )
        self.rolling = tuple((cell.total, cell.start) for cell in cells if cell.total is not None)
        heads = [
            (budget.policy_id, value, cell.start, budget.metric, budget.limit, budget.rolls)
            for (budget, value), cell in zip(lines, cells, strict=True)
        ]
        self.places = Places(tuple(heads), tuple(budget.unit for budget, _ in lines))

    def holds(self, at: int) -> bool:
        """Whether it tells of an instant; a rolling total may have been turned to another one."""
        if not self.start <= at < self.end:
            return False
        for total, start in self.rolling:
            if total.start != start:
                break
        else:
            return True
        return False

    def plainly_takes(self, amounts: Amounts) -> bool:
        """Whether every counter has room below its limit and no rule but its limit."""
        for _, judged, unit, budget in self.parts:
            if judged.settled + judged.held + amounts[unit] > budget.plain_hard:
                return False
        return True


class Match:
    """Every counter that one kind of request moves, as budget and scope value, in the order of policy ids.

    `footing` is that of the newest hold.
    """

    __slots__ = ("footing", "lines")

    def __init__(self, lines: tuple[tuple[Budget, str], ...]) -> None:
        self.lines = lines
        self.footing: Footing | None = None

    def standing(self, at: int) -> Sequence[Place]:
        """Where every counter stands that a request at an instant moves."""
        footing = self.footing
        if footing is not None and footing.holds(at):
            return footing.standing
        return [
            Place(budget, value, budget.at(value, at), budget.start(at), budget.window(at))
            for budget, value in self.lines
        ]


class Books:
    """One `Budget` for each policy, enabled or not."""

    def __init__(self, policies: PolicySet) -> None:
        self.policies = policies
        self._budgets = {policy.policy_id: Budget(policy) for policy in policies}
        self._matches: dict[tuple[object, ...], Match] = {}
        self._due: list[tuple[int, int, Budget, Cell]] = []
        self._order = itertools.count()
        self._covered_from = 0
        self.gaps: tuple[tuple[int, int], ...] = ()
        """Times (UTC unix ms, ends exclusive) of which not all that was used is known: rows of the journal are lost."""

    def __iter__(self) -> Iterator[Budget]:
        return iter(self._budgets.values())

    def get(self, policy_id: str) -> Budget | None:
        """The counters of a policy."""
        return self._budgets.get(policy_id)

    def match(self, scope: Scope, provider: str, model: str) -> Match:
        """Every counter an attempt moves."""
        tags = tuple(scope.tags.items()) if scope.tags else ()
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
            found = self._matches[key] = Match(
                tuple(
                    (self._budgets[policy.policy_id], value)
                    for policy, value in self.policies.match(scope, provider, model)
                )
            )
        return found

    def cell(self, budget: Budget, value: str, at: int) -> Cell:
        """The cell that a charge at an instant moves."""
        cell = budget.find(value, at)
        if cell is None:
            cell = budget.make(value, at)
            self._remember(budget, cell, at)
        return cell

    def refoot(self, match: Match, footing: Footing, at: int) -> Footing:
        """The footing of another instant: most cells are still the same."""
        cells: list[Cell] = []
        for (budget, value), before in zip(match.lines, footing.cells, strict=True):
            cell = before if before.start <= at < before.end else self.cell(budget, value, at)
            if cell.total is not None:
                cell.total.turn(at)
            cells.append(cell)
        match.footing = Footing(match.lines, cells)
        return match.footing

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

    def behind(self, at: int) -> bool:
        """Whether an instant lies where not every window is known any more."""
        return at < self._covered_from

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
            known_from = 0 if len(fresh) == len(budgets) else self._covered_from
            self._covered_from = max(known_from, at - KEPT_MS)
        for budget in fresh.values():
            for cell in budget.all_cells():
                self._remember(budget, cell, cell.start)

    @property
    def counters(self) -> int:
        """How many counters are in memory."""
        return sum(budget.counters for budget in self._budgets.values())

    def states(self, at: int) -> tuple[CounterState, ...]:
        """Every counter that counts at an instant or holds something open, in a fixed order, without zeros."""
        states = [state for budget in self._budgets.values() for state in budget.states(at)]
        return tuple(sorted(states, key=lambda state: (state.policy_id, state.scope_value, state.window_start)))

    def _remember(self, budget: Budget, cell: Cell, at: int) -> None:
        heapq.heappush(self._due, (budget.known_until(at), next(self._order), budget, cell))
