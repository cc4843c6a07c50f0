"""Sums done the slow and obvious way: from hold rows alone, without any of the ledger's own arithmetic."""

from collections import Counter
from collections.abc import Iterable

from palyra.config.choices import UnknownPriceChoice
from palyra.core.scope import Scope
from palyra.core.windows import charge_start
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.journal.rows import GrantRow, HoldRow

BUCKETS = {"rolling_24h": (60_000, 1_440), "rolling_30d": (3_600_000, 720)}
"""Milliseconds of a bucket of rolling budgets, and how many later a charge still counts."""

Sums = list[int]
"""Settled, held, drawn."""


def value_of(record: UsageBudgetPolicyRecord, held_for: Scope, provider: str, model: str) -> str | None:
    """The counter a request moves in one policy."""
    wanted = record.scope_id
    values = {"user": held_for.principal, "session": held_for.session, "model": model, "provider": provider}
    if not record.enabled:
        return None
    if record.scope_kind == "global":
        return "*"
    if record.scope_kind == "tag":
        name = wanted.partition("=")[0]
        return f"{name}={held_for.tags[name]}" if name in held_for.tags else None
    value = values[record.scope_kind]
    return value if value and wanted in ("*", value) else None


def amount_of(record: UsageBudgetPolicyRecord, usd: int | None, tokens: int, requests: int) -> int:
    """An amount in a policy's unit; an unknown price is worth what the policy says."""
    if record.metric_kind == "total_tokens":
        return tokens
    if record.metric_kind == "requests":
        return requests
    if usd is not None:
        return usd
    return record.on_unknown_price.flat if record.on_unknown_price.choice is UnknownPriceChoice.FLAT else 0


def counts_for(record: UsageBudgetPolicyRecord, row: HoldRow) -> Sums:
    """What a hold counts for in a policy: what it recorded there in this metric, else what its facts give."""
    for move in row.moves:
        if move.policy_id == record.policy_id and move.metric == record.metric_kind:
            drawn = sum(share for _, share in move.drawn)
            return [0, move.held, drawn] if row.state == "held" else [move.actual or 0, 0, drawn]
    if row.state == "held":
        return [0, amount_of(record, row.bound_usd, row.bound_tokens, 1), 0]
    if row.state == "released":
        return [0, 0, 0]
    return [amount_of(record, row.actual_usd, row.actual_tokens or 0, row.requests), 0, 0]


def start_in(record: UsageBudgetPolicyRecord, at: int) -> int:
    return charge_start(record.interval_kind, record.timezone, at)


def _counts(record: UsageBudgetPolicyRecord, start: int, at: int) -> bool:
    """Whether what was counted from `start` is part of the window at an instant."""
    if record.interval_kind in BUCKETS:
        length, most = BUCKETS[record.interval_kind]
        return at // length - start // length <= most
    return start_in(record, at) == start


class SlowBooks:
    """Hold rows with their sums by policy, scope value and start of the window or bucket."""

    def __init__(self, records: Iterable[UsageBudgetPolicyRecord], rows: Iterable[HoldRow]) -> None:
        self.records = {record.policy_id: record for record in records}
        self.rows: dict[str, HoldRow] = {}
        self.open: dict[str, HoldRow] = {}
        self.drawn: Counter[str] = Counter()
        self._users: dict[str, Counter[str]] = {}
        self._sums: dict[tuple[str, str], dict[int, Sums]] = {}
        for row in rows:
            self.put(row)

    def put(self, row: HoldRow) -> None:
        """A new row, or what became of one."""
        before = self.rows.get(row.hold_id)
        if before is not None:
            self._add(before, -1)
        self.rows[row.hold_id] = row
        self._add(row, 1)
        if row.state == "held":
            self.open[row.hold_id] = row
        else:
            self.open.pop(row.hold_id, None)

    def take_back(self, hold_id: str) -> None:
        """A row that never came to be."""
        self._add(self.rows.pop(hold_id), -1)
        self.open.pop(hold_id, None)

    def _add(self, row: HoldRow, sign: int) -> None:
        for record in self.records.values():
            value = value_of(record, row.scope, row.provider, row.model)
            if value is None:
                continue
            cells = self._sums.setdefault((record.policy_id, value), {})
            sums = cells.setdefault(start_in(record, row.created_at), [0, 0, 0])
            for index, number in enumerate(counts_for(record, row)):
                sums[index] += sign * number
        for move in row.moves:
            for grant_id, share in move.drawn:
                self.drawn[grant_id] += sign * share
                self._users.setdefault(grant_id, Counter())[row.run_id] += sign

    def sums(self, record: UsageBudgetPolicyRecord, value: str, at: int) -> tuple[int, int, int]:
        """What counts in a policy's window at an instant."""
        cells = self._sums.get((record.policy_id, value), {})
        counting = [sums for start, sums in cells.items() if _counts(record, start, at)]
        settled, held, drawn = (sum(sums[index] for sums in counting) for index in range(3))
        return settled, held, drawn

    def sums_of_growth(
        self, record: UsageBudgetPolicyRecord, value: str, created: int, at: int
    ) -> tuple[int, int, int]:
        """What a slice is judged by: the window its hold was taken in, or the present one while it reaches there."""
        start = start_in(record, created)
        if record.interval_kind in BUCKETS and _counts(record, start, at):
            return self.sums(record, value, at)
        settled, held, drawn = self._sums.get((record.policy_id, value), {}).get(start, (0, 0, 0))
        return settled, held, drawn

    def users(self, grant_id: str) -> set[str]:
        """Runs that hold something of a grant, or were sent with it."""
        return {run_id for run_id, times in self._users.get(grant_id, Counter()).items() if times}

    def live(
        self,
        grants: Iterable[GrantRow],
        record: UsageBudgetPolicyRecord,
        value: str,
        held_for: Scope,
        run_id: str,
        start: int,
        at: int,
    ) -> int:
        """What grants have left for a run in a counter whose window begins at `start`."""
        left = 0
        for grant in grants:
            if (grant.policy_id, grant.scope_value, grant.state) != (record.policy_id, value, "active"):
                continue
            if grant.expires_at is not None and at >= grant.expires_at:
                continue
            if grant.kind == "amount":
                serves = grant.window_start == start
            else:
                serves = (grant.principal, grant.session) == (held_for.principal, held_for.session)
            users = self.users(grant.grant_id)
            if grant.kind == "once" and users and run_id not in users:
                serves = False
            if serves:
                left += grant.cap - self.drawn[grant.grant_id]
        return left
