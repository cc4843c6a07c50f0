"""Counting again from what the journal remembers: at start, and when a policy's window, scope or metric changes.

One function says what a hold row counts for in a policy; live counters are moved by the same amounts, so that counting
again gives the same numbers bit for bit.
"""

from collections.abc import Callable

from palyra.config.choices import MetricKind
from palyra.core.values import value
from palyra.core.windows import window_for
from palyra.governance.burn import Tally
from palyra.governance.counters import KEPT_MS, Budget
from palyra.governance.evaluate import Demand, demanded
from palyra.governance.forecast import has_calendar
from palyra.governance.holds import ended_row
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.governance.policy_set import PolicySet
from palyra.journal.changes import HoldEnded
from palyra.journal.rows import CounterMove, HoldRow

HELD, RELEASED = "held", "released"


@value
class Counted:
    """What one hold counts for in one policy. `move` is what the hold itself recorded there, if it did."""

    settled: int
    held: int
    drawn: int
    move: CounterMove | None


@value
class Drawing:
    """What a run's hold drew from a grant. `sent`: the hold has ended and charged, so the grant was used."""

    grant_id: str
    run_id: str
    amount: int
    sent: bool


def counted(policy: UsageBudgetPolicyRecord, row: HoldRow) -> Counted:
    """The recorded amounts where the hold recorded any in this policy's metric, else those its facts give."""
    move = next((move for move in row.moves if move.policy_id == policy.policy_id), None)
    if move is None or move.metric != policy.metric_kind:
        amount = _amount(policy, row)
        return Counted(0, amount, 0, None) if row.state == HELD else Counted(amount, 0, 0, None)
    drawn = sum(share for _, share in move.drawn)
    if row.state == HELD:
        return Counted(0, move.held, drawn, move)
    return Counted(move.actual or 0, 0, drawn, move)


def _amount(policy: UsageBudgetPolicyRecord, row: HoldRow) -> int:
    if row.state == RELEASED:
        return 0
    if row.state == HELD:
        return demanded(policy, Demand(row.bound_usd, row.bound_tokens))[0]
    if policy.metric_kind is MetricKind.REQUESTS:
        return row.requests
    if policy.metric_kind is MetricKind.TOTAL_TOKENS:
        return row.actual_tokens or 0
    alike = row.folded if row.actual_usd is None else 1
    return alike * demanded(policy, Demand(row.actual_usd, 0))[0]


def history_start(policy: UsageBudgetPolicyRecord, at: int) -> int:
    """The earliest `created` instant whose holds a policy's counters need at an instant."""
    return max(0, window_for(policy.interval_kind, policy.timezone, max(0, at - KEPT_MS)).start)


class Recount:
    """Counters being counted again while the ledger goes on.

    Feed it every hold row created since `since` (and every open one, however old), read at or after the moment it was
    begun; then hand it back to the ledger. Rows of holds that are open, or ended meanwhile, are the ledger's to count;
    of those that ended before, it knows the end where the journal could not yet be told.
    """

    def __init__(
        self,
        policies: PolicySet,
        affected: PolicySet,
        at: int,
        since: int,
        known: Callable[[str], bool],
        end_of: Callable[[str], HoldEnded | None],
        *,
        restoring: bool,
    ) -> None:
        self.policies = policies
        self.affected = affected
        self.since = since
        self.fresh = {policy.policy_id: Budget(policy) for policy in affected}
        self.tallies = {
            policy.policy_id: Tally(window_for(policy.interval_kind, policy.timezone, at), at)
            for policy in affected
            if has_calendar(policy.interval_kind)
        }
        """When what is counted was charged, for budgets whose windows end."""
        self.found_open: list[HoldRow] = []
        """Open holds of a dead engine, which the ledger has to take over."""
        self.ended: list[HoldRow] = []
        """Holds that ended since this was begun, added by the ledger."""
        self.draws: list[Drawing] = []
        """Every draw from a grant, when restoring."""
        self._restoring = restoring
        self._ended_ids: set[str] = set()
        self._at = at
        self._known = known
        self._end_of = end_of

    @property
    def needs_rows(self) -> bool:
        """False when nothing has to be counted again and it can be handed back at once."""
        return self._restoring or len(self.affected) > 0

    def add(self, row: HoldRow) -> None:
        """One row of the journal, in any order."""
        if row.hold_id in self._ended_ids or self._known(row.hold_id):
            return
        if self._restoring:
            sent = row.state != HELD
            self.draws += [
                Drawing(grant_id, row.run_id, share, sent) for move in row.moves for grant_id, share in move.drawn
            ]
        if row.state != HELD:
            self.count(row)
            return
        end = None if self._restoring else self._end_of(row.hold_id)
        if end is None:
            self.found_open.append(row)
        else:
            self.count(ended_row(row, end))

    def add_ended(self, row: HoldRow) -> None:
        """A hold that ended while this was under way."""
        self._ended_ids.add(row.hold_id)
        self.ended.append(row)

    def count(self, row: HoldRow) -> None:
        """Counts one row in every affected policy it matches."""
        for policy, scope_value in self.affected.match(row.scope, row.provider, row.model):
            budget = self.fresh[policy.policy_id]
            if budget.known_until(row.created_at) <= self._at:
                continue
            part = counted(policy, row)
            cell = budget.find(scope_value, row.created_at) or budget.make(scope_value, row.created_at)
            cell.move(part.settled, part.held, part.drawn)
            tally = self.tallies.get(policy.policy_id)
            if tally is not None:
                charged_at = row.created_at if row.terminal_at is None else row.terminal_at
                tally.add(scope_value, cell.start, charged_at, part.settled)
