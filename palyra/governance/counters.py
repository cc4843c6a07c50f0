"""Counters in memory: what is settled and held per policy, scope value and window. Plain ints, moved in place.

A `Cell` is what one charge moves for life: a window of a calendar budget, or a bucket of a rolling one. What a request
is judged by is the `Cell` itself for a calendar budget, and for a rolling one the `RollingTotal` over its buckets.
"""

from bisect import insort

from palyra.config.choices import MetricKind, OverrideKind, PolicyAction
from palyra.core.values import value
from palyra.core.windows import ROLLING, Window, charge_start, window_for
from palyra.governance.policy import UsageBudgetPolicyRecord

KEPT_MS = 48 * 3_600_000
"""How long a window that has ended stays known, so that a wall clock set back finds what was spent."""
NEVER = 2**63 - 1
UNITS = {MetricKind.ESTIMATED_COST_USD: 0, MetricKind.TOTAL_TOKENS: 1, MetricKind.REQUESTS: 2}
"""Where a metric's amount is in (dollars, tokens, requests)."""
USD_UNIT, TOKENS_UNIT, REQUESTS_UNIT = 0, 1, 2


class Cell:
    """One window's or bucket's sums. [start, end) is the window, or the bucket; `total` is set for buckets."""

    __slots__ = ("budget", "drawn", "end", "held", "scope_value", "settled", "start", "total")

    def __init__(
        self, budget: "Budget", scope_value: str, start: int, end: int, total: "RollingTotal | None" = None
    ) -> None:
        self.budget = budget
        self.scope_value = scope_value
        self.start = start
        self.end = end
        self.total = total
        self.settled = 0
        self.held = 0
        self.drawn = 0

    def move(self, settled: int, held: int, drawn: int) -> None:
        """Adds to the sums, and to the rolling total while this bucket is part of it."""
        self.settled += settled
        self.held += held
        self.drawn += drawn
        total = self.total
        if total is not None and self.start >= total.low:
            total.settled += settled
            total.held += held
            total.drawn += drawn

    @property
    def empty(self) -> bool:
        """Whether nothing was ever counted in it."""
        return not (self.settled or self.held or self.drawn)


class RollingTotal:
    """The sums over the buckets that count at an instant. [start, end) is the bucket of that instant."""

    __slots__ = ("bucket_ms", "cells", "drawn", "end", "first", "held", "low", "order", "settled", "span_ms", "start")

    def __init__(self, bucket_ms: int, span: int) -> None:
        self.bucket_ms = bucket_ms
        self.span_ms = span * bucket_ms
        self.start = 0
        self.end = 0
        self.low = 0
        self.settled = 0
        self.held = 0
        self.drawn = 0
        self.cells: dict[int, Cell] = {}
        self.order: list[int] = []
        self.first = 0
        """Where in `order` (bucket starts, rising) the buckets that count begin."""

    def turn(self, at: int) -> None:
        """Makes the sums those of the window at an instant, earlier or later than the last one."""
        self.start = at - at % self.bucket_ms
        self.end = self.start + self.bucket_ms
        self.low = self.start - self.span_ms
        order, cells = self.order, self.cells
        while self.first < len(order) and order[self.first] < self.low:
            self._add(cells[order[self.first]], -1)
            self.first += 1
        while self.first > 0 and order[self.first - 1] >= self.low:
            self.first -= 1
            self._add(cells[order[self.first]], 1)

    def add(self, budget: "Budget", scope_value: str, start: int) -> Cell:
        """A new bucket that begins at `start`."""
        cell = self.cells[start] = Cell(budget, scope_value, start, start + self.bucket_ms, self)
        insort(self.order, start)
        if start < self.low:
            self.first += 1
        return cell

    def forget(self, cell: Cell) -> None:
        """Drops a bucket that no longer counts; one nobody asked about since is still part of the sums."""
        del self.cells[cell.start]
        self.order.remove(cell.start)
        if cell.start < self.low:
            self.first -= 1
        else:
            self._add(cell, -1)

    def _add(self, cell: Cell, sign: int) -> None:
        self.settled += sign * cell.settled
        self.held += sign * cell.held
        self.drawn += sign * cell.drawn


Judged = Cell | RollingTotal
"""What a request is judged by in one budget."""


@value
class CounterState:
    """One cell's sums as a value; `window_start` is its bucket's start in a rolling budget."""

    policy_id: str
    scope_value: str
    window_start: int
    metric: str
    settled: int
    held: int
    drawn: int


class Budget:
    """One policy with its counters."""

    __slots__ = (
        "advises",
        "hard",
        "has_mode",
        "limit",
        "metric",
        "plain_hard",
        "policy",
        "policy_id",
        "rolling",
        "rolls",
        "soft",
        "totals",
        "unit",
        "windows",
    )

    def __init__(self, policy: UsageBudgetPolicyRecord) -> None:
        self.rolling = ROLLING.get(policy.interval_kind)
        self.rolls = "" if self.rolling is None else policy.interval_kind.value
        self.windows: dict[int, dict[str, Cell]] = {}
        """Every known window of a calendar budget, by its start and scope value."""
        self.totals: dict[str, RollingTotal] = {}
        self.adopt(policy)

    def adopt(self, policy: UsageBudgetPolicyRecord) -> None:
        """Takes over edited terms; the counters stay."""
        self.policy = policy
        self.policy_id = policy.policy_id
        self.metric = policy.metric_kind.value
        self.limit = policy.hard_limit
        self.hard = NEVER if policy.hard_limit is None else policy.hard_limit
        self.soft = NEVER if policy.soft is None else policy.soft
        self.unit = UNITS[policy.metric_kind]
        self.advises = policy.action is PolicyAction.ADVISE
        self.has_mode = policy.routing_override.kind is OverrideKind.MODE
        self.plain_hard = -1 if self.advises or self.has_mode else self.hard
        """Up to here a hold needs no second look; nothing gets by a budget whose rule is not simply its limit."""

    def at(self, scope_value: str, at: int) -> Judged | None:
        """What a request at an instant is judged by; None when nothing was ever counted there."""
        if self.rolling is None:
            return self.find(scope_value, at)
        total = self.totals.get(scope_value)
        if total is not None and not total.start <= at < total.end:
            total.turn(at)
        return total

    def counting(self, at: int) -> dict[str, Judged]:
        """What requests at an instant would be judged by, for every scope value that was ever counted there."""
        if self.rolling is None:
            return dict(self.windows.get(self.start(at), {}))
        for total in self.totals.values():
            total.turn(at)
        return dict(self.totals)

    def start(self, at: int) -> int:
        """Where a charge at an instant is counted."""
        return charge_start(self.policy.interval_kind, self.policy.timezone, at)

    def window(self, at: int) -> Window:
        """The window of its policy that holds the instant, UTC unix ms."""
        return window_for(self.policy.interval_kind, self.policy.timezone, at)

    def find(self, scope_value: str, at: int) -> Cell | None:
        """The cell that a charge at an instant moves, if anything was ever counted there."""
        if self.rolling is None:
            return self.windows.get(self.start(at), {}).get(scope_value)
        total = self.totals.get(scope_value)
        return None if total is None else total.cells.get(self.start(at))

    def make(self, scope_value: str, at: int) -> Cell:
        """A new cell for charges at an instant; `find` has found none."""
        if self.rolling is not None:
            total = self.totals.get(scope_value)
            if total is None:
                total = self.totals[scope_value] = RollingTotal(self.rolling.bucket_ms, self.rolling.span)
                total.turn(at)
            return total.add(self, scope_value, self.start(at))
        window = self.window(at)
        cell = Cell(self, scope_value, window.start, NEVER if window.end is None else window.end)
        self.windows.setdefault(window.start, {})[scope_value] = cell
        return cell

    def known_until(self, at: int) -> int:
        """Until when a charge made at an instant stays known; `NEVER` for a lifetime."""
        if self.rolling is not None:
            return at - at % self.rolling.bucket_ms + (self.rolling.span + 1) * self.rolling.bucket_ms + KEPT_MS
        end = self.window(at).end
        return NEVER if end is None else end + KEPT_MS

    def forget(self, cell: Cell) -> None:
        """Drops a cell that stopped counting long ago."""
        total = cell.total
        if total is None:
            window = self.windows[cell.start]
            del window[cell.scope_value]
            if not window:
                del self.windows[cell.start]
        else:
            total.forget(cell)
            if not total.cells:
                self.totals.pop(cell.scope_value, None)

    @property
    def counters(self) -> int:
        """How many cells there are."""
        windows = sum(len(window) for window in self.windows.values())
        return windows + sum(len(total.cells) for total in self.totals.values())

    def all_cells(self) -> list[Cell]:
        """Every cell it has, of windows and of rolling totals."""
        cells = [cell for window in self.windows.values() for cell in window.values()]
        for total in self.totals.values():
            cells += total.cells.values()
        return cells

    def states(self, at: int) -> list[CounterState]:
        """Every cell that counts at an instant or holds something open, without those at zero.

        Of a cell that no longer counts only what is held is told: what else is known depends on when it was counted.
        """
        return [
            self._state(cell, known=self._counts(cell, at))
            for cell in self.all_cells()
            if not cell.empty and (cell.held or self._counts(cell, at))
        ]

    def _state(self, cell: Cell, *, known: bool) -> CounterState:
        return CounterState(
            self.policy_id,
            cell.scope_value,
            cell.start,
            self.metric,
            cell.settled if known else 0,
            cell.held,
            cell.drawn if known else 0,
        )

    def _counts(self, cell: Cell, at: int) -> bool:
        """A bucket of the future counts too: the clock was set back, and what was spent stays spent."""
        if cell.total is not None:
            return at < cell.end + cell.total.span_ms
        return cell.start <= at < cell.end
