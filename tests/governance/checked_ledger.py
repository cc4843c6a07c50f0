"""A ledger whose every answer is checked against sums done the slow and obvious way."""

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from palyra.config.choices import OrphanHolds, RoutingMode
from palyra.core.clock import SystemClock
from palyra.governance.evaluate import Demand
from palyra.governance.grants import GrantState
from palyra.governance.holds import ClockBehindError, Ending
from palyra.governance.ledger import Ledger
from palyra.governance.modes import policy_mode
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.governance.policy_set import PolicySet
from palyra.governance.verify import verify
from palyra.journal.changes import HoldTaken
from palyra.journal.rows import GrantRow, HoldRow
from tests.core.test_windows import at as instant
from tests.governance.policies import scope
from tests.governance.slow_books import SlowBooks, amount_of, start_in, value_of
from tests.governance.store import HoldChange, Store, request

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
BEGINNINGS = [
    instant("2026-11-22T00:00"),
    instant("2026-03-28T22:30"),
    instant("2026-10-24T21:30"),
    instant("2026-04-04T13:40"),
    instant("2011-12-29T20:00"),
]
"""Some of them where clocks are about to move, by an hour, by half of one, or by a whole day."""
Asker = tuple[str, str, str, str, str, RoutingMode | None]
"""Principal, session, model, team, run, and the mode asked for."""


class CheckedLedger:
    """A ledger with a clock, a journal that may lose what is not durable yet, and slow books beside it."""

    proven: ClassVar[bool] = True
    """Whether nothing is ever used beyond its bound, as the `proven` estimator has it."""

    def __init__(self) -> None:
        self.wall = BEGINNINGS[0]
        self.elapsed = 0
        self.clock = SystemClock(lambda: self.wall * 1_000_000)
        self.latest = 0
        self.number = 0
        self.mode = RoutingMode.ENFORCED
        self.records: dict[str, UsageBudgetPolicyRecord] = {}
        self.durable = Store()
        self.unsent: list[list[HoldChange]] = []
        self.store = Store()
        """What will be durable once everything submitted is."""
        self.books = SlowBooks([], [])
        self.ledger = Ledger()
        self.ends: dict[str, HoldChange] = {}
        self.requested: dict[str, RoutingMode | None] = {}
        self.begun: dict[str, int] = {}
        self.grown_at = 0
        self.calm = 0
        """Holds asked for since policies or modes were changed or the engine died."""
        self.short: list[tuple[str, str, str, str, int]] = []
        """Who was refused by which counters lately, and what they were short of."""

    @property
    def now(self) -> int:
        now = self.clock.now_ms()
        self.latest = max(self.latest, now)
        return now

    @property
    def grants(self) -> list[GrantRow]:
        return [grant.row for grant in self.ledger.grants]

    def submit(self, *changes: HoldChange) -> None:
        self.unsent.append(list(changes))
        self.store.submit(*changes)
        for change in changes:
            self.books.put(self.store.rows[change.row.hold_id if isinstance(change, HoldTaken) else change.hold_id])

    def flush(self, units: int | None = None) -> None:
        for unit in self.unsent[:units]:
            self.durable.submit(*unit)
        self.unsent.clear()

    def sent(self, hold_id: str) -> HoldRow:
        """The hold's row as it covers what is sent: waited for where it grew, at once where it gave back."""
        if hold_id not in self.durable.rows:
            self.flush()
        durable, now = self.durable.rows[hold_id], self.store.rows[hold_id]
        usd = durable.bound_usd if durable.bound_usd is None else min(durable.bound_usd, now.bound_usd or 0)
        return durable._replace(bound_usd=usd, bound_tokens=min(durable.bound_tokens, now.bound_tokens))

    def read_again(self) -> None:
        self.store.rows = dict(self.durable.rows)
        self.books = SlowBooks(self.records.values(), self.store.rows.values())

    def new_id(self, prefix: str) -> str:
        self.number += 1
        return f"{prefix}{self.number}"

    def put(self, record: UsageBudgetPolicyRecord) -> None:
        """Puts a new or edited policy in force; an edit voids its grants."""
        before = self.records.get(record.policy_id)
        if before is not None and before.sha256 != record.sha256:
            self.ledger.grants.void(record.policy_id)
        self.records[record.policy_id] = record
        self.change_policies(recounts=before is None or not before.counts_like(record))

    def change_policies(self, *, recounts: bool) -> None:
        self.calm = 0
        before = self.ledger.counters(self.now)
        self.flush()
        self.durable.change(self.ledger, PolicySet(self.records.values()), self.now)
        if recounts:
            self.read_again()
        else:
            self.books.records = dict(self.records)
            assert self.ledger.counters(self.now) == before

    def matching(self, row: HoldRow) -> Iterator[tuple[UsageBudgetPolicyRecord, str]]:
        for _, record in sorted(self.records.items()):
            value = value_of(record, row.scope, row.provider, row.model)
            if value is not None:
                yield record, value

    def enforces(self, record: UsageBudgetPolicyRecord, projected: int, requested: RoutingMode | None) -> bool:
        over = record.soft is not None and projected > record.soft
        mode = policy_mode(record, over, self.mode, requested)
        return record.action != "advise" and mode is RoutingMode.ENFORCED

    def reserving(self, usd: int, tokens: int, asker: Asker) -> HoldRow | None:
        """Asks for a hold, and checks the answer against the slow sums. A negative price is nobody's to know."""
        principal, session, model, team, run, requested = asker
        self.calm += 1
        now, hold_id, bound = self.now, self.new_id("h"), None if usd < 0 else usd
        held_for = scope(principal, session, {"team": team} if team else {})
        run_id = run or hold_id
        asked = request(
            hold_id,
            now,
            bound,
            tokens,
            scope=held_for,
            provider=model[0],
            model=model,
            requested_mode=requested,
            run_id=run_id,
        )
        try:
            self.ledger.books.attend(now)
        except ClockBehindError:
            with pytest.raises(ClockBehindError):
                self.ledger.hold(asked)
            self.restart(0, OrphanHolds.CHARGE)
            return None
        says = {
            one.policy_id: one
            for one in self.ledger.evaluate(
                held_for,
                model[0],
                model,
                Demand(bound, tokens),
                at=now,
                run_id=run_id,
                requested_mode=requested,
            )
        }
        expected: list[tuple[Any, ...]] = []
        draws: list[int] = []
        refused = False
        grants = self.grants
        for _, record in sorted(self.records.items()):
            value = value_of(record, held_for, model[0], model)
            if value is None:
                continue
            said, start = says.pop(record.policy_id), start_in(record, now)
            settled, held, drawn = self.books.sums(record, value, now)
            live = self.books.live(grants, record, value, held_for, run_id, start, now)
            amount = amount_of(record, bound, tokens, 1)
            assert (said.settled, said.held, said.bound, said.grants) == (settled, held, amount, drawn + live)
            hard = 10**30 if record.hard_limit is None else record.hard_limit
            unpriced = bound is None and record.metric_kind == "estimated_cost_usd"
            refuses = unpriced and str(record.on_unknown_price) == "block"
            short = settled + held + amount - hard - drawn
            refuses = refuses or short > live
            enforced = self.enforces(record, settled + held + amount, requested)
            assert said.status.refusing is (refuses and record.action != "advise")
            assert said.refused is (refuses and enforced)
            refused = refused or said.refused
            if said.refused and short > live:
                self.short.append((record.policy_id, value, principal, session, short - live))
            expected.append(
                (record.policy_id, value, start, record.metric_kind, amount, None, enforced, record.hard_limit)
            )
            draws.append(min(amount, short) if 0 < short <= live else 0)
        assert not says
        outcome = self.ledger.hold(asked)
        assert isinstance(outcome, HoldRow) is not refused
        if not isinstance(outcome, HoldRow):
            return None
        assert [(*move[:7], move.limit) for move in outcome.moves] == expected
        assert [sum(share for _, share in move.drawn) for move in outcome.moves] == draws
        self.requested[hold_id], self.begun[hold_id] = requested, self.elapsed
        return outcome

    def ended(self, ending: Ending, usd: int | None, tokens: int, requests: int) -> None:
        """The first end of a hold, that charges these amounts and nothing else."""
        change, row = ending.change, self.store.rows[ending.change.hold_id]
        assert ending.first
        assert (change.actual_usd, change.actual_tokens, change.requests) == (usd, tokens, requests)
        assert len(change.moves) == len(row.moves)
        for move, before in zip(change.moves, row.moves, strict=True):
            charged = {"total_tokens": tokens, "requests": requests}.get(move.metric, usd)
            assert move.actual == (before.held if charged is None else charged)
            assert (move[:5], move.enforced, move.limit) == (before[:5], before.enforced, before.limit)
            paid = sum(share for _, share in before.drawn)
            unused = max(0, move.held - (move.actual or 0))
            stays = 0 if change.state == "released" else max(0, paid - unused)
            assert sum(share for _, share in move.drawn) == stays
        self.ends[change.hold_id] = change
        self.submit(change)

    def give(self, policy_id: str, value: str, principal: str, session: str, kind: str, cap: int, minutes: int) -> None:
        record, now = self.records[policy_id], self.now
        row = GrantRow(
            grant_id=self.new_id("g"),
            version=1,
            approval_id="a",
            kind=kind,
            policy_id=policy_id,
            scope_value=value,
            principal=principal,
            session=session,
            cap=cap,
            metric=record.metric_kind.value,
            created_at=now,
            expires_at=now + minutes * MINUTE,
            window_start=start_in(record, now) if kind == "amount" else None,
            state="active",
        )
        self.ledger.grants.add(row)

    def restart(self, lose: int, orphans: OrphanHolds | None) -> None:
        self.calm = 0
        self.flush(max(0, len(self.unsent) - lose))
        self.ends.clear()
        self.requested.clear()
        self.ledger = self.durable.restore(PolicySet(self.records.values()), self.now, self.grants, self.mode)
        self.read_again()
        assert {row.hold_id for row in self.ledger.open_holds()} == self.books.open.keys()
        if orphans is None:
            return
        for row in self.ledger.open_holds():
            charged = left_behind(row) if orphans is OrphanHolds.CHARGE else (0, 0, 0)
            self.ended(self.ledger.recover(row.hold_id, at=self.now, orphans=orphans), *charged)
        assert self.ledger.open_holds() == ()

    def whole(self) -> None:
        """Everything counted again: I5, I2, and I1 over all that was ever admitted."""
        now, policies, grants = self.now, PolicySet(self.records.values()), self.grants
        again = Store()
        again.rows = dict(self.store.rows)
        rebuilt = again.restore(policies, now, grants, self.mode)
        live = self.ledger.counters(now)
        assert rebuilt.counters(now) == live
        for grant, same in zip(self.ledger.grants, rebuilt.grants, strict=True):
            if grant.row.state == GrantState.ACTIVE:
                assert (grant.drawn, grant.runs, grant.sent) == (same.drawn, same.runs, same.sent)
                assert 0 <= grant.drawn <= grant.row.cap
                assert grant.drawn == sum(grant.runs.values()) == self.books.drawn[grant.row.grant_id]
                assert grant.users == self.books.users(grant.row.grant_id)
        assert rebuilt.open_holds() == self.ledger.open_holds()
        assert not self.books.open.keys() & self.ends.keys()
        report = verify(self.store.rows.values(), policies, now, live=live, grants=grants)
        assert report.differences == ()
        # Nothing journaled tells when a hold grew, so a clock set back since then hides which window it grew in.
        assert report.ok or now < self.grown_at, report
        assert report.open_holds == self.ledger.open_holds()
        if self.proven:
            assert all(not row.overrun for row in self.store.rows.values())

    def pick(self, number: int) -> HoldRow:
        holds = self.ledger.open_holds()
        return holds[number % len(holds)]


def left_behind(row: HoldRow) -> tuple[int | None, int, int]:
    """What a hold is charged whose owner is gone: the last meter reading, else its bound."""
    if row.metered_input is None:
        return row.bound_usd, row.bound_tokens, 1
    return row.metered_usd, row.metered_input + (row.metered_output or 0), 1
