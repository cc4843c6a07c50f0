"""Everything that can happen to a ledger, in any order, against sums done the slow and obvious way.

I1 no admission beyond hard + grants on an enforced counter; I2 a hold ends once; I3 nothing is used before it is
durable, and what was lost was never used; I4 an unknown price is never $0 for free; I5 rebuilding gives equal counters;
I6 a second end changes nothing.
"""

import itertools
import sys
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from palyra.config.choices import OrphanHolds, RoutingMode
from palyra.core.clock import SystemClock
from palyra.governance.evaluate import Demand
from palyra.governance.grants import GrantState
from palyra.governance.policy_input import edit_policy
from palyra.journal.changes import HoldTaken
from tests.governance.checked_ledger import BEGINNINGS, DAY, HOUR, MINUTE, Asker, CheckedLedger, left_behind
from tests.governance.policies import policy, scope
from tests.governance.slow_books import start_in

STREAM_LASTS_MS = DAY
"""No stream goes on longer, and no clock is set back further in all."""
CALM = 4
"""Holds that are asked for before policies or modes are changed again or the engine dies."""
WHOLE_EVERY = 40
"""Steps after which everything is counted again."""

ids = st.sampled_from(["p1", "p2", "p3"])
rules = st.sampled_from(
    list(
        itertools.product(
            ["estimated_cost_usd", "estimated_cost_usd", "total_tokens", "requests"],
            ["block", "approval_required", "advise"],
            ["flat:0.00000002", "allow", "block"],
            ["none", "none", "mode:suggest", "mode:enforced"],
        )
    )
)
"""Metric, action, what happens at an unknown price, and the override."""
intervals = st.sampled_from(["hourly", "daily", "weekly", "monthly", "rolling_24h", "rolling_30d", "lifetime"])
zones = st.sampled_from(
    ["UTC", "Europe/Prague", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia"]
)
scopes = st.sampled_from(
    [("global", "*"), ("user", "*"), ("user", "ann"), ("session", "*"), ("model", "a/x"), ("tag", "team=*")]
)
dollars = st.sampled_from(["0", "0.00000001", "0.00000005", "0.0000001", "0.0000005"])
kinds = st.sampled_from(["once", "session", "timeboxed", "amount"])
amounts = st.integers(0, 60)
picks = st.integers(0, 999)
askers = st.sampled_from(
    list(
        itertools.product(
            ["ann", "bob"],
            ["main", "side"],
            ["a/x", "b/y"],
            ["", "red"],
            ["", "r1", "r2"],
            [None, None, RoutingMode.ENFORCED],
        )
    )
)


class LedgerMachine(CheckedLedger, RuleBasedStateMachine):
    taken: ClassVar[int] = 0
    """Steps of all machines of this kind."""

    def __init__(self) -> None:
        RuleBasedStateMachine.__init__(self)
        CheckedLedger.__init__(self)
        self.steps = 0
        self.asked: Asker = ("ann", "main", "a/x", "", "", None)

    @initialize(
        action=st.sampled_from(["block", "approval_required"]),
        interval=intervals,
        zone=zones,
        beginning=st.sampled_from(BEGINNINGS),
    )
    def first_policies(self, action: str, interval: str, zone: str, beginning: int) -> None:
        self.wall = beginning
        self.clock = SystemClock(lambda: self.wall * 1_000_000)
        self.put(policy("p1", hard="0.0000001", action=action))
        self.put(policy("p2", hard=300, metric_kind="total_tokens", interval_kind=interval, timezone=zone))

    # Holds

    @rule(usd=st.integers(-9, 60), tokens=amounts, asker=askers)
    def reserve(self, usd: int, tokens: int, asker: Asker) -> None:
        self.asked = asker
        row = self.reserving(usd, tokens, asker)
        if row is not None:
            self.submit(HoldTaken(row))

    @rule(usd=st.integers(-1, 20), tokens=st.integers(0, 20))
    def reserve_once_more(self, usd: int, tokens: int) -> None:
        self.reserve(usd, tokens, self.asked)

    @rule(usd=st.integers(0, 9), tokens=st.integers(0, 9), asker=askers)
    def reserve_little(self, usd: int, tokens: int, asker: Asker) -> None:
        self.reserve(usd, tokens, asker)

    @rule(usd=st.integers(-9, 60), tokens=amounts, asker=askers)
    def reserve_in_vain(self, usd: int, tokens: int, asker: Asker) -> None:
        """The hold cannot be written, so that it is given back; a start never learns of it."""
        row = self.reserving(usd, tokens, asker)
        if row is not None:
            assert self.ledger.release(row.hold_id, at=self.now).first

    @precondition(lambda self: self.books.open)
    @rule(pick=picks, usd=amounts, tokens=amounts)
    def grow(self, pick: int, usd: int, tokens: int) -> None:
        row, now = self.pick(pick), self.now
        if self.elapsed - self.begun.get(row.hold_id, self.elapsed) > STREAM_LASTS_MS:
            return
        requested = self.requested.get(row.hold_id)
        refused = False
        draws: dict[str, int] = {}
        grants = self.grants
        for record, value in self.matching(row):
            move = next((move for move in row.moves if move.policy_id == record.policy_id), None)
            amount = usd if row.bound_usd is not None else 0
            amount = {"estimated_cost_usd": amount, "total_tokens": tokens}.get(record.metric_kind, 0)
            if move is None or not amount:
                continue
            start = start_in(record, row.created_at)
            settled, held, drawn = self.books.sums_of_growth(record, value, row.created_at, now)
            live = self.books.live(grants, record, move.scope_value, row.scope, row.run_id, start, now)
            hard = 10**30 if record.hard_limit is None else record.hard_limit
            short = settled + held + amount - hard - drawn
            refused = refused or (short > live and self.enforces(record, settled + held + amount, requested))
            draws[record.policy_id] = min(amount, short) if 0 < short <= live else 0
        before = self.ledger.counters(now)
        growth = self.ledger.grow(row.hold_id, usd, tokens, now)
        assert (growth.change is None) is refused
        if growth.change is None:
            assert any(evaluation.refused for evaluation in growth.against)
            assert self.ledger.counters(now) == before
            return
        paid = {move.policy_id: sum(share for _, share in move.drawn) for move in row.moves}
        for grown in growth.change.moves:
            grew = sum(share for _, share in grown.drawn) - paid[grown.policy_id]
            assert grew == draws.get(grown.policy_id, 0)
        self.grown_at = max(self.grown_at, now)
        self.submit(growth.change)

    @precondition(lambda self: self.books.open)
    @rule(pick=picks, tenths=st.integers(1, 10))
    def give_back(self, pick: int, tenths: int) -> None:
        """A stream gives back what it will hardly need; not what it drew from grants."""
        row = self.pick(pick)
        usd = None if row.bound_usd is None else -((row.bound_usd - (row.metered_usd or 0)) * tenths // 10)
        used = (row.metered_input or 0) + (row.metered_output or 0)
        tokens = -((row.bound_tokens - used) * tenths // 10)
        if tokens >= 0 or (usd is not None and usd > 0):
            return
        growth = self.ledger.grow(row.hold_id, usd, tokens, self.now)
        assert growth.against == ()
        given = {"estimated_cost_usd": usd or 0, "total_tokens": tokens}
        known = {record.policy_id for record, _ in self.matching(row)}
        expected = [
            move._replace(held=move.held + (given.get(move.metric, 0) if move.policy_id in known else 0))
            for move in row.moves
        ]
        if any(move.drawn or move.held < 0 for move in expected):
            assert growth.change is None
            return
        assert growth.change is not None
        assert list(growth.change.moves) == expected
        self.submit(growth.change)

    @precondition(lambda self: self.books.open)
    @rule(pick=picks, used=amounts)
    def meter(self, pick: int, used: int) -> None:
        sent = self.sent(self.pick(pick).hold_id)
        priced = None if sent.bound_usd is None else min(used, sent.bound_usd)
        tokens = min(used, sent.bound_tokens) if self.proven else used
        self.submit(self.ledger.meter(sent.hold_id, tokens // 2, tokens - tokens // 2, priced))

    @precondition(lambda self: self.books.open)
    @rule(pick=picks, used=st.integers(-9, 90))
    def settle(self, pick: int, used: int) -> None:
        """What was used has been durable before; a negative cost is nobody's to know."""
        sent = self.sent(self.pick(pick).hold_id)
        usd, tokens = None if used < 0 else used, max(0, used)
        if self.proven:
            usd = None if usd is None or sent.bound_usd is None else min(usd, sent.bound_usd)
            tokens = min(tokens, sent.bound_tokens)
        ending = self.ledger.settle(sent.hold_id, at=self.now, usd=usd, tokens=tokens)
        self.ended(ending, usd, tokens, 1)

    @precondition(lambda self: self.books.open)
    @rule(pick=picks, sent=st.booleans())
    def release(self, pick: int, sent: bool) -> None:
        row = self.pick(pick)
        if sent:
            self.sent(row.hold_id)
        self.ended(self.ledger.release(row.hold_id, at=self.now), 0, 0, 0)

    @precondition(lambda self: self.books.open)
    @rule(pick=picks)
    def expire(self, pick: int) -> None:
        row = self.pick(pick)
        self.sent(row.hold_id)
        self.ended(self.ledger.expire(row.hold_id, at=self.now), *left_behind(row))

    @precondition(lambda self: self.ends)
    @rule(pick=picks, used=amounts)
    def end_again(self, pick: int, used: int) -> None:
        hold_id = list(self.ends)[pick % len(self.ends)]
        before, version = self.ledger.counters(self.now), self.ledger.version
        for ending in (
            self.ledger.settle(hold_id, at=self.now, usd=used, tokens=used),
            self.ledger.release(hold_id, at=self.now),
            self.ledger.expire(hold_id, at=self.now),
        ):
            assert not ending.first
            assert ending.change == self.ends[hold_id]
        assert (self.ledger.counters(self.now), self.ledger.version) == (before, version)

    # Time

    @rule(step=st.sampled_from([1, 1, 1, 999, 59_999, MINUTE, HOUR // 2, HOUR, 5 * HOUR, DAY, 32 * DAY]))
    def wait(self, step: int) -> None:
        self.wall = self.now + step
        self.elapsed += step

    @rule(step=st.sampled_from([1, 30_000, MINUTE, MINUTE + 1, HOUR, 20 * HOUR]))
    def clock_steps_back(self, step: int) -> None:
        """By up to a minute it is held still; further it is believed."""
        now = self.now
        if now - step >= self.latest - STREAM_LASTS_MS:
            self.wall = now - step
            assert self.now == (now if step <= MINUTE else now - step)

    @rule(ahead=st.sampled_from([0, MINUTE, HOUR, 5 * HOUR, 40 * DAY]))
    def look_ahead(self, ahead: int) -> None:
        """What would be said later, if nothing came between; it moves nothing."""
        principal, session, model, _, _, _ = self.asked
        at, held_for = self.now + ahead, scope(principal, session)
        for said in self.ledger.evaluate(held_for, model[0], model, Demand(1, 1), at=at):
            settled, held, _ = self.books.sums(self.records[said.policy_id], said.scope_value, at)
            assert (said.settled, said.held) == (settled, held)

    # Grants

    @rule(policy_id=ids, kind=kinds, value=st.sampled_from(["*", "ann", "main", "team=red"]), cap=amounts)
    def allow_anybody(self, policy_id: str, kind: str, value: str, cap: int) -> None:
        if policy_id in self.records:
            self.give(policy_id, value, "bob", "main", kind, cap, 60)

    @precondition(lambda self: self.short)
    @rule(kind=kinds, more=st.sampled_from([-1, 0, 0, 5, 50]), minutes=st.sampled_from([1, 60, 300, 60 * 24 * 30]))
    def allow(self, kind: str, more: int, minutes: int) -> None:
        """Somebody who was refused is let through, or nearly."""
        policy_id, value, principal, session, short = self.short.pop()
        if policy_id in self.records:
            self.give(policy_id, value, principal, session, kind, short + more, minutes)

    @precondition(lambda self: any(self.ledger.grants))
    @rule(pick=picks, state=st.sampled_from([GrantState.REVOKED, GrantState.VOID, None, None, None]))
    def revoke_or_sweep(self, pick: int, state: GrantState | None) -> None:
        grants = self.grants
        if state is None:
            self.ledger.grants.sweep(self.now)
        else:
            self.ledger.grants.end(grants[pick % len(grants)].grant_id, state)

    # Policies

    @precondition(lambda self: self.calm >= CALM)
    @rule(
        change=st.sampled_from(["add", "limit", "window", "action", "disable", "remove"]),
        policy_id=ids,
        hard=dollars,
        interval=intervals,
        zone=zones,
        kind=scopes,
        rules=rules,
    )
    def change_policy(
        self,
        change: str,
        policy_id: str,
        hard: str,
        interval: str,
        zone: str,
        kind: tuple[str, str],
        rules: tuple[str, str, str, str],
    ) -> None:
        record = self.records.get(policy_id)
        metric, action, unknown, override = rules
        if record is None or change == "add":
            limit: Any = hard if metric == "estimated_cost_usd" else round(float(hard) * 1e9)
            self.put(
                policy(
                    policy_id,
                    hard=limit,
                    interval_kind=interval,
                    timezone=zone,
                    scope_kind=kind[0],
                    scope_id=kind[1],
                    metric_kind=metric,
                    action=action,
                    on_unknown_price=unknown,
                    routing_override=override,
                )
            )
        elif change == "limit":
            text = hard if record.metric_kind == "estimated_cost_usd" else str(round(float(hard) * 1e9))
            self.put(edit_policy(record, {"hard_limit": text}))
        elif change == "window":
            self.put(edit_policy(record, {"interval_kind": interval, "timezone": zone}))
        elif change == "action":
            self.put(edit_policy(record, {"action": action, "routing_override": override}))
        elif change == "disable":
            self.put(edit_policy(record, {"enabled": "false" if record.enabled else "true"}))
        elif len(self.records) > 1:
            del self.records[policy_id]
            self.ledger.grants.void(policy_id)
            self.change_policies(recounts=True)

    @precondition(lambda self: self.calm >= CALM)
    @rule(mode=st.sampled_from([*RoutingMode, RoutingMode.ENFORCED, RoutingMode.ENFORCED, RoutingMode.ENFORCED]))
    def change_mode(self, mode: RoutingMode) -> None:
        self.calm = 0
        self.mode = mode
        self.ledger.judge.default_mode = mode

    # Death

    @precondition(lambda self: self.calm >= CALM)
    @rule(lose=st.integers(0, 4), orphans=st.sampled_from([None, OrphanHolds.CHARGE, OrphanHolds.RELEASE]))
    def crash(self, lose: int, orphans: OrphanHolds | None) -> None:
        self.restart(lose, orphans)

    # What holds after every step

    @invariant()
    def holds_are_open_or_ended_once(self) -> None:
        type(self).taken += self.steps > 0
        self.steps += 1
        assert len(self.ledger.open_holds()) == len(self.books.open)
        if self.steps % WHOLE_EVERY == 0:
            self.whole()

    def teardown(self) -> None:
        self.whole()


class EstimatingMachine(LedgerMachine):
    """More may be used than was held, which is charged in full."""

    proven = False
    taken = 0


def run_machine(machine: type[LedgerMachine], steps: int, *, each: int = 250) -> None:
    """Runs machines until they have taken that many steps together."""
    machine.taken = 0
    while machine.taken < steps:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=-(-(steps - machine.taken) // each),
                stateful_step_count=each,
                deadline=None,
                phases=[Phase.reuse, Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            ),
        )
    assert machine.taken >= steps
    sys.stdout.write(f"{machine.__name__}: {machine.taken:,} steps\n")


def test_the_ledger_keeps_its_promises_whatever_happens() -> None:
    run_machine(LedgerMachine, 100_000)


def test_the_ledger_keeps_its_books_when_more_is_used_than_was_held() -> None:
    run_machine(EstimatingMachine, 10_000)


@pytest.mark.soak
def test_the_ledger_keeps_its_promises_for_long() -> None:
    run_machine(LedgerMachine, 1_000_000, each=400)
