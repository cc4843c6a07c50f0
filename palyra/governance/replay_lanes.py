"""Counters of a replay: one lane for each way a policy ever counted, fed all along, whether it is in force yet or not.

A policy that is edited to count otherwise counts again what was spent before; here its new lane has seen it already, so
no history has to be kept to replay an edit, nor to try a policy that nobody had.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from palyra.config.choices import OverrideKind, PolicyAction
from palyra.core.scope import Scope
from palyra.core.values import value
from palyra.core.windows import ROLLING
from palyra.governance.counters import NEVER, Budget, Cell, Judged, RollingTotal
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.governance.policy_set import PolicySet

BLOCKS, ASKS, ADVISES = range(3)
RULES = {PolicyAction.BLOCK: BLOCKS, PolicyAction.APPROVAL_REQUIRED: ASKS, PolicyAction.ADVISE: ADVISES}
MATCHES_KEPT = 100_000
WINDOWS_KEPT = 4
"""Windows of a calendar budget that stay known in any case."""
BUCKETS_KEPT = 3_000
"""Buckets of a rolling budget that stay known once they no longer count: those of two days, and some."""


@dataclass(slots=True)
class Bite:
    """What a policy did to the requests of the period. `first_at` is the first it stopped."""

    refused: int = 0
    approvals: int = 0
    would_refuse: int = 0
    over_soft: int = 0
    first_at: int | None = None


class Lane:
    """One policy counting one way. `after` is the lane whose amounts it takes over where both count a request: a policy
    that counts anew in the same metric counts what each request was counted for before."""

    __slots__ = ("bite", "budget", "end", "in_force", "places", "policy_id", "routes", "start")

    def __init__(self, policy: UsageBudgetPolicyRecord, bite: Bite) -> None:
        self.budget = Budget(policy)
        self.policy_id = policy.policy_id
        self.in_force = False
        self.bite = bite
        self.places: dict[str, Place] = {}
        self.start = self.end = 0
        """The window that was asked for last."""
        self.adopt(policy)

    def adopt(self, policy: UsageBudgetPolicyRecord) -> None:
        """Takes over other terms that count alike."""
        self.budget.adopt(policy)
        self.routes = policy.routing_override.kind in (OverrideKind.DEGRADE, OverrideKind.MODEL)

    @property
    def policy(self) -> UsageBudgetPolicyRecord:
        """The policy it counts for."""
        return self.budget.policy

    def place(self, value: str) -> "Place":
        """Where a scope's value is counted; made where there is none."""
        found = self.places.get(value)
        if found is None:
            found = self.places[value] = Place(self, value)
        return found


class Place:
    """One counter of a lane, with the cell that charges move now. `soft` and `hard` are those of the terms in force."""

    __slots__ = ("cell", "hard", "judged", "lane", "rule", "soft", "total", "unit", "value")

    def __init__(self, lane: Lane, value: str) -> None:
        self.lane = lane
        self.value = value
        self.unit = lane.budget.unit
        self.cell = Cell(lane.budget, value, 0, 0)
        self.judged: Judged = self.cell
        self.total: RollingTotal | None = None
        self.adopt()

    def adopt(self) -> None:
        """Takes over the lane's terms."""
        self.soft = self.lane.budget.soft
        self.hard = self.lane.budget.hard
        self.rule = RULES[self.lane.policy.action]

    def turn(self, at: int) -> Judged:
        """Finds the cell of an instant. Returns what a request is judged by."""
        if self.lane.budget.rolling is not None:
            return self._turn_total(at)
        lane, budget = self.lane, self.lane.budget
        if not lane.start <= at < lane.end:
            window = budget.window(at)
            lane.start, lane.end = window.start, NEVER if window.end is None else window.end
            if len(budget.windows) > WINDOWS_KEPT:
                _forget_windows(budget)
        cells = budget.windows.setdefault(lane.start, {})
        cell = cells.get(self.value)
        if cell is None:
            cell = cells[self.value] = Cell(budget, self.value, lane.start, lane.end)
        self.cell = self.judged = cell
        return cell

    def _turn_total(self, at: int) -> Judged:
        total = self.total
        if total is None:
            rolling = ROLLING[self.lane.budget.policy.interval_kind]
            total = self.lane.budget.totals[self.value] = RollingTotal(rolling.bucket_ms, rolling.span)
            self.total = self.judged = total
        start = at - at % total.bucket_ms
        order = total.order
        if start != total.start:
            low, first = start - total.span_ms, total.first
            if start > total.start and (first == len(order) or order[first] >= low):
                # What `turn` does, where nothing leaves the window.
                total.start, total.end, total.low = start, start + total.bucket_ms, low
            else:
                total.turn(at)
                if total.first > 2 * BUCKETS_KEPT:
                    _forget_buckets(total)
        cell = total.cells.get(start)
        if cell is None:
            budget = self.lane.budget
            if order and start < order[-1]:
                cell = total.add(budget, self.value, start)
            else:
                # What `add` does, where time goes forward.
                cell = total.cells[start] = Cell(budget, self.value, start, start + total.bucket_ms, total)
                order.append(start)
        self.cell = cell
        return total


def _forget_windows(budget: Budget) -> None:
    """Drops the windows that a ledger would have forgotten some windows ago: a clock may be ahead for a moment."""
    known = sorted(budget.windows)
    for start in known[:-WINDOWS_KEPT]:
        if budget.known_until(start) <= known[-WINDOWS_KEPT]:
            del budget.windows[start]


def _forget_buckets(total: RollingTotal) -> None:
    """Drops the oldest buckets that no longer count, many at once."""
    gone = total.first - BUCKETS_KEPT
    for start in total.order[:gone]:
        del total.cells[start]
    del total.order[:gone]
    total.first = BUCKETS_KEPT


def judged_growth(cell: Cell, at: int) -> Judged:
    """A slice counts where its hold does; a hold that outlived its rolling window is judged by its own bucket."""
    total = cell.total
    if total is None:
        return cell
    if not total.start <= at < total.end:
        total.turn(at)
    return total if cell.start >= total.low else cell


@value
class Phase:
    """The policies in force from one event on."""

    seq: int
    policies: tuple[UsageBudgetPolicyRecord, ...]


class Lanes:
    """Every lane of a replay, and which of them a request moves."""

    def __init__(self, phases: Sequence[Phase]) -> None:
        self.bites: dict[str, Bite] = {}
        self._lanes: dict[tuple[object, ...], Lane] = {}
        self._until: dict[tuple[object, ...], int] = {}
        for index, phase in enumerate(phases):
            for policy in phase.policies:
                key = policy.counting
                self._until[key] = index
                if key not in self._lanes:
                    bite = self.bites.setdefault(policy.policy_id, Bite())
                    self._lanes[key] = Lane(policy, bite)
        self._phases = phases
        self._phase = -1
        self.modes = False
        """Whether a policy in force has a mode of its own."""
        self._in_force: dict[str, Lane] = {}
        self._layers: list[tuple[PolicySet, dict[str, Lane]]] = []
        self._matches: dict[tuple[object, ...], tuple[list[Place], list[Place]]] = {}

    def next_phase(self) -> None:
        """Puts the next phase's policies in force; lanes nobody needs any more are dropped."""
        self._phase += 1
        self._matches.clear()
        phase = self._phases[self._phase]
        for lane in self._lanes.values():
            lane.in_force = False
        self._in_force = {}
        for policy in phase.policies:
            lane = self._lanes[policy.counting]
            lane.adopt(policy)
            lane.in_force = True
            self._in_force[policy.policy_id] = lane
        for key, last in self._until.items():
            if last < self._phase:
                self._lanes.pop(key, None)
        self.modes = any(lane.budget.has_mode for lane in self._in_force.values())
        self._layers = [(PolicySet(lane.policy for lane in self._in_force.values()), self._in_force)]
        waiting = [lane for lane in self._lanes.values() if not lane.in_force]
        while waiting:
            layer: dict[str, Lane] = {}
            for lane in waiting:
                layer.setdefault(lane.policy_id, lane)
            self._layers.append((PolicySet(lane.policy for lane in layer.values()), layer))
            waiting = [lane for lane in waiting if layer[lane.policy_id] is not lane]

    def lane(self, policy_id: str) -> Lane | None:
        """The lane of a policy in force."""
        return self._in_force.get(policy_id)

    def get(self, policy_id: str) -> UsageBudgetPolicyRecord | None:
        """A policy in force."""
        lane = self._in_force.get(policy_id)
        return None if lane is None else lane.policy

    def match(self, scope: Scope, provider: str, model: str) -> tuple[list[Place], list[Place]]:
        """The counters a request moves: of policies in force, by id, and of those that are not yet or no longer."""
        tags = tuple(scope.tags.items()) if scope.tags else ()
        values = (scope.principal, scope.session, scope.key_id, scope.channel, scope.agent, scope.job)
        key = (values, tags, provider, model)
        known = self._matches.get(key)
        if known is not None:
            return known
        if len(self._matches) >= MATCHES_KEPT:
            self._matches.clear()
        found: list[list[Place]] = [[], []]
        for number, (policies, lanes) in enumerate(self._layers):
            places = found[min(number, 1)]
            for policy, scope_value in policies.match(scope, provider, model):
                place = lanes[policy.policy_id].place(scope_value)
                place.adopt()
                places.append(place)
        self._matches[key] = (found[0], found[1])
        return found[0], found[1]
