"""Opening the books: counters rebuilt from hold rows, compared with the live ones, and limits checked. Pure.

How far an enforced counter stands above what it may: what was admitted under the limit (settled + held, never above
the limit of the latest lawful admission), less what was drawn from grants, what ended above its bound, and that limit.
Left out is what nobody promised to keep under a limit: holds of advising policies and looser modes, and holds counted
again under another window, scope or metric. Lowering a limit changes no admission that was lawful when it was made.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from palyra.config.choices import PolicyAction
from palyra.core.values import value
from palyra.core.windows import ROLLING, charge_start, window_for
from palyra.governance.counters import CounterState
from palyra.governance.grants import GrantBook
from palyra.governance.ledger import Ledger
from palyra.governance.moves import actual_amount
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.governance.policy_set import PolicySet
from palyra.governance.recount import HELD, RELEASED, counted
from palyra.journal.rows import CounterMove, GrantRow, HoldRow


@value
class Difference:
    """Two numbers that should be one, in the metric's unit. `what`: settled, held, drawn, grant, or a hold's own."""

    policy_id: str
    scope_value: str
    window_start: int
    metric: str
    what: str
    live: int
    rebuilt: int


@value
class Overshoot:
    """How far one counter of an enforced policy stands above what it may, in the metric's unit; 0 when it does not."""

    policy_id: str
    scope_value: str
    window_start: int
    metric: str
    amount: int


@value
class LedgerReport:
    """`overshoot` has the worst counter of every enforced policy; `open_holds` the rows that are still held."""

    holds: int
    counters: int
    open_holds: tuple[HoldRow, ...]
    overshoot: tuple[Overshoot, ...]
    differences: tuple[Difference, ...]

    @property
    def ok(self) -> bool:
        """No difference and no overshoot. Whether open holds belong to live runs is for the caller to say."""
        return not self.differences and not any(item.amount for item in self.overshoot)


@dataclass(slots=True)
class _Sum:
    """One cell of an enforced budget: what was lawfully admitted there, and what allows it."""

    amount: int = 0
    allowed: int = 0
    limit: int = 0


@dataclass(slots=True)
class _Audit:
    """Sums per policy, scope value and cell start."""

    policies: dict[str, dict[str, dict[int, _Sum]]] = field(default_factory=dict)

    def cell(self, policy_id: str, scope_value: str, start: int) -> _Sum:
        return self.policies.setdefault(policy_id, {}).setdefault(scope_value, {}).setdefault(start, _Sum())


def verify(
    hold_rows: Iterable[HoldRow],
    policies: PolicySet,
    at: int,
    *,
    live: Sequence[CounterState] | None = None,
    grants: Iterable[GrantRow] = (),
    corrected: Collection[str] = (),
) -> LedgerReport:
    """Rebuilds every counter from `hold_rows` and compares with `live`, read at the same moment.

    Without live counters the rows are compared with themselves: what each hold recorded with what its facts give.
    `corrected` are the holds whose usage somebody put right later: what was admitted beside them went by what they had
    charged before, so they count for nothing in an overshoot.
    """
    book = GrantBook(grants)
    rebuilt = Ledger(grants=book)
    recount = rebuilt.begin(policies, at, restoring=True)
    audit = _Audit()
    differences: list[Difference] = []
    holds = 0
    newest = at
    for row in hold_rows:
        holds += row.folded
        newest = max(newest, row.created_at, row.terminal_at or 0)
        recount.add(row)
        differences += _own_differences(row)
        for policy, scope_value in (
            () if row.hold_id in corrected else policies.match(row.scope, row.provider, row.model)
        ):
            _audit(audit, policy, scope_value, row)
    rebuilt.apply(recount, at)
    counters = rebuilt.counters(at)
    if live is not None:
        differences += _compare(live, counters)
    differences += [
        Difference(grant.row.policy_id, grant.row.scope_value, 0, grant.row.metric, "grant", grant.drawn, grant.row.cap)
        for grant in book
        if grant.drawn > grant.row.cap
    ]
    overshoot = [_worst(policy, audit, newest) for policy in policies if policy.enabled and _limits(policy)]
    return LedgerReport(
        holds=holds,
        counters=len(counters),
        open_holds=rebuilt.open_holds(),
        overshoot=tuple(item for item in overshoot if item is not None),
        differences=tuple(differences),
    )


def _limits(policy: UsageBudgetPolicyRecord) -> bool:
    return policy.hard_limit is not None and policy.action is not PolicyAction.ADVISE


def _own_differences(row: HoldRow) -> list[Difference]:
    """What a hold recorded for its counters against its own facts."""
    found: list[Difference] = []
    for move in row.moves:
        if row.state == HELD:
            if move.actual is not None:
                found.append(_difference(move, "actual of an open hold", move.actual, 0))
            continue
        if row.state == RELEASED:
            expected = 0
        else:
            expected = actual_amount(move, row.actual_usd, row.actual_tokens or 0, row.requests)
        if move.actual != expected:
            found.append(_difference(move, f"actual of hold {row.hold_id}", move.actual or 0, expected))
    return found


def _difference(move: CounterMove, what: str, live: int, rebuilt: int) -> Difference:
    return Difference(move.policy_id, move.scope_value, move.window_start, move.metric, what, live, rebuilt)


def _compare(live: Sequence[CounterState], rebuilt: Sequence[CounterState]) -> list[Difference]:
    """Every number that differs between two sets of counters; one that is absent is zero."""
    numbers: dict[tuple[str, str, int, str], dict[str, list[int]]] = {}
    for side, states in enumerate((live, rebuilt)):
        for state in states:
            entry = numbers.setdefault((state.policy_id, state.scope_value, state.window_start, state.metric), {})
            for what, number in (("settled", state.settled), ("held", state.held), ("drawn", state.drawn)):
                entry.setdefault(what, [0, 0])[side] = number
    return [
        Difference(*key, what, pair[0], pair[1])
        for key, entry in sorted(numbers.items())
        for what, pair in entry.items()
        if pair[0] != pair[1]
    ]


def _audit(audit: _Audit, policy: UsageBudgetPolicyRecord, value: str, row: HoldRow) -> None:
    """Adds a hold to the cell it was lawfully admitted to, if it was."""
    part = counted(policy, row)
    move = part.move
    if move is None or not move.enforced or move.limit is None or move.scope_value != value:
        return
    start = charge_start(policy.interval_kind, policy.timezone, row.created_at)
    rolling = policy.interval_kind.value if policy.interval_kind in ROLLING else ""
    if (move.window_start, move.rolling) != (start, rolling):
        return
    cell = audit.cell(policy.policy_id, value, start)
    cell.amount += part.settled + part.held
    cell.allowed += part.drawn + max(0, (move.actual or 0) - move.held)
    cell.limit = max(cell.limit, move.limit)


def _worst(policy: UsageBudgetPolicyRecord, audit: _Audit, at: int) -> Overshoot | None:
    """The counter of a policy that stands highest against what it may; None when it never admitted anything.

    A stream that grows charges the bucket it began in, long after older buckets have left; so a rolling budget can
    only be checked in its newest window.
    """
    found: list[tuple[int, int, str]] = []
    for scope_value, cells in audit.policies.get(policy.policy_id, {}).items():
        if policy.interval_kind in ROLLING:
            start = window_for(policy.interval_kind, policy.timezone, at).start
            counting = [cell for began, cell in cells.items() if began >= start]
            cells = {start: _together(counting)} if counting else {}
        found += [(cell.amount - cell.allowed - cell.limit, start, scope_value) for start, cell in cells.items()]
    if not found:
        return None
    above, start, scope_value = max(found)
    return Overshoot(policy.policy_id, scope_value, start, policy.metric_kind.value, max(0, above))


def _together(cells: list[_Sum]) -> _Sum:
    return _Sum(
        sum(cell.amount for cell in cells), sum(cell.allowed for cell in cells), max(cell.limit for cell in cells)
    )
