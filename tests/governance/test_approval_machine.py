"""Approvals and grants under any sequence of askers, deciders, holds, edits, clocks and restarts."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from palyra.core.errors import BadInputError, ConflictError
from palyra.governance.approval_record import ApprovalDecision, ApprovalRecord, ApprovalStatus
from palyra.governance.approvals import DENIED_FOR_MS, ApprovalDesk, ApprovalSettings, Ruling
from palyra.governance.evaluate import Demand
from palyra.governance.four_eyes import Decider
from palyra.governance.grants import Grant, GrantKind, GrantState
from palyra.governance.overrides import TooOftenError
from palyra.governance.policy_set import PolicySet
from palyra.journal.changes import ApprovalSaved, Change, GrantSaved, HoldTaken
from palyra.journal.rows import ApprovalRow, GrantRow, HoldRow
from tests.governance.office import NOON, Office
from tests.governance.policies import CENT, policy, scope
from tests.governance.store import Store

PEOPLE = st.sampled_from(["ann", "bob"])
SESSIONS = st.sampled_from(["main", "side"])
AMOUNTS = st.sampled_from([1, 40 * CENT, 90 * CENT, 120 * CENT, 300 * CENT])
STEPS_MS = st.sampled_from([1, 999, 59_999, 60_000, 600_000, 899_999, 3_600_000, 13 * 3_600_000])
SCOPES = st.sampled_from(list(GrantKind))


class Journal(Store):
    """What is durable of approvals and grants too; versions only grow."""

    def __init__(self) -> None:
        super().__init__()
        self.approvals: dict[str, ApprovalRow] = {}
        self.grants: dict[str, GrantRow] = {}

    def keep(self, changes: tuple[Change, ...]) -> None:
        for change in changes:
            if isinstance(change, ApprovalSaved):
                before = self.approvals.get(change.row.approval_id)
                assert before is None or change.row.version > before.version
                self.approvals[change.row.approval_id] = change.row
            elif isinstance(change, GrantSaved):
                self.grants[change.row.grant_id] = change.row


class Desks(RuleBasedStateMachine):
    """One desk with its ledger; everything that was told to be durable, and nothing else, outlives a restart."""

    @initialize()
    def begin(self) -> None:
        self.hards = {"day": 100 * CENT, "each": 150 * CENT}
        self.revisions = dict.fromkeys(self.hards, 1)
        self.highest = dict(self.hards)
        self.office = Office(*self.policies())
        self.journal = Journal()
        self.now = NOON
        self.runs = 0
        self.first_word: dict[str, tuple[ApprovalDecision, str]] = {}
        self.denials: dict[tuple[str, str, str], int] = {}
        self.drawn_at_end: dict[str, int] = {}

    def policies(self) -> PolicySet:
        return PolicySet(
            policy(
                name,
                hard=f"{hard // CENT / 100:.2f}",
                action="approval_required",
                revision=self.revisions[name],
                scope_kind="user" if name == "each" else "global",
            )
            for name, hard in self.hards.items()
        )

    @property
    def desk(self) -> ApprovalDesk:
        return self.office.desk

    def known(self) -> list[ApprovalRecord]:
        return [ApprovalRecord.from_row(row) for row in self.journal.approvals.values()]

    def pending(self) -> list[ApprovalRecord]:
        return [record for record in self.known() if record.pending]

    # Asking

    @rule(who=PEOPLE, session=SESSIONS, usd=AMOUNTS)
    def request(self, who: str, session: str, usd: int) -> None:
        """A run is planned: it is held where it fits, and asks where it does not."""
        self.runs += 1
        run_id = f"r{self.runs}"
        office = self.office
        denied = self.desk.denied(who, session, self.now)
        told = office.ledger.evaluate(
            scope(who, session), "openai", "openai/gpt", Demand(usd, 0), at=self.now, run_id=run_id, denied=denied
        )
        refused = [item for item in told if item.refused]
        known = {grant.row.grant_id: grant.row for grant in office.grants}
        held = office.hold(usd=usd, principal=who, session=session, run_id=run_id, at=self.now)
        assert isinstance(held, HoldRow) == (not refused)
        if isinstance(held, HoldRow):
            self.journal.submit(HoldTaken(held))
            self.check_draws(held, known, who, session)
        elif not any(item.policy_id in denied for item in refused):
            record = office.ask(usd=usd, principal=who, session=session, run_id=run_id, at=self.now)
            if record.approval_id not in self.journal.approvals:
                self.journal.keep((ApprovalSaved(record.row()),))

    def check_draws(self, held: HoldRow, known: dict[str, GrantRow], who: str, session: str) -> None:
        """Only live grants that serve this requester were drawn from, and only by what the limit lacked."""
        for move in held.moves:
            for grant_id, share in move.drawn:
                grant = known[grant_id]
                assert share > 0
                assert grant.state == GrantState.ACTIVE
                assert grant.expires_at is None or self.now < grant.expires_at
                assert (grant.policy_id, grant.scope_value) == (move.policy_id, move.scope_value)
                if grant.kind != GrantKind.AMOUNT:
                    assert (grant.principal, grant.session or session) == (who, session)

    @rule(who=PEOPLE, session=st.sampled_from(["", "main"]), name=st.sampled_from(["day", "each"]), usd=AMOUNTS)
    def ask_in_words(self, who: str, session: str, name: str, usd: int) -> None:
        text = f"{usd // CENT / 100:.2f}" if usd >= CENT else ""
        try:
            opened = self.office.room(name, principal=who, session=session, amount=text, at=self.now)
        except TooOftenError:
            assert self.now - self.denials[who, session, name] < DENIED_FOR_MS
            return
        self.journal.keep(opened.changes)

    # Deciding

    @precondition(lambda self: self.pending())
    @rule(data=st.data(), allow=st.booleans(), scope_=SCOPES, by=st.sampled_from(["olga", "pete"]))
    def decide(self, data: st.DataObject, allow: bool, scope_: GrantKind, by: str) -> None:
        record = data.draw(st.sampled_from(self.pending()))
        terms: dict[str, Any] = {}
        if scope_ is GrantKind.TIMEBOXED:
            terms["duration_ms"] = 60_000
        if scope_ is GrantKind.AMOUNT:
            terms["amount"] = 50 * CENT
        decision = ApprovalDecision.ALLOW if allow else ApprovalDecision.DENY
        ruling = Ruling(decision, Decider(by), scope_ if allow else GrantKind.ONCE, **(terms if allow else {}))
        try:
            resolved = self.desk.decide(record.approval_id, ruling, self.now, policies=self.office.policies)
        except ConflictError:
            assert self.now >= record.expires_at
            return
        except BadInputError:
            pytest.fail("every ruling here makes sense")
        assert record.approval_id not in self.first_word
        self.first_word[record.approval_id] = (decision, by)
        self.journal.keep(resolved.changes)
        assert len(resolved.grants) == (len(record.evaluations) if allow else 0)
        if not allow:
            for policy_id in record.policy_ids:
                self.denials[record.principal, record.session, policy_id] = self.now

    @precondition(lambda self: self.first_word)
    @rule(data=st.data())
    def come_too_late(self, data: st.DataObject) -> None:
        approval_id = data.draw(st.sampled_from(sorted(self.first_word)))
        with pytest.raises(ConflictError) as caught:
            self.desk.decide(
                approval_id, Ruling(ApprovalDecision.DENY, Decider("late")), self.now, policies=self.office.policies
            )
        decision, by = self.first_word[approval_id]
        assert f"resolved/{decision} by {by}" in caught.value.message

    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        live = sorted(grant.row.grant_id for grant in self.office.grants if grant.live(self.now))
        if live:
            self.journal.keep(self.desk.revoke(data.draw(st.sampled_from(live)), Decider("olga"), self.now))

    # Ending holds

    @rule(data=st.data(), share=st.sampled_from([0, 1, 50, 100]), sent=st.booleans())
    def end_hold(self, data: st.DataObject, share: int, sent: bool) -> None:
        ledger = self.office.ledger
        held = sorted(row.hold_id for row in ledger.open_holds())
        if not held:
            return
        hold_id = data.draw(st.sampled_from(held))
        row = ledger.open_hold(hold_id)
        assert row is not None
        if not sent:
            self.journal.submit(ledger.release(hold_id, at=self.now).change)
        else:
            usd = (row.bound_usd or 0) * share // 100
            self.journal.submit(ledger.settle(hold_id, at=self.now, usd=usd, tokens=0).change)

    # Time, edits, restarts

    @rule(step=STEPS_MS)
    def time_passes(self, step: int) -> None:
        self.now += step

    @rule()
    def sweep(self) -> None:
        ended, changes = self.desk.sweep(self.now)
        self.journal.keep(changes)
        assert all(record.decision is ApprovalDecision.TIMEOUT for record in ended)
        assert all(self.now < record.expires_at for record in self.pending())

    @rule(name=st.sampled_from(["day", "each"]), hard=st.sampled_from([80 * CENT, 100 * CENT, 200 * CENT]))
    def edit(self, name: str, hard: int) -> None:
        if self.hards[name] == hard:
            return
        self.hards[name] = hard
        self.highest[name] = max(self.highest[name], hard)
        self.revisions[name] += 1
        self.office.policies = self.policies()
        self.journal.change(self.office.ledger, self.office.policies, self.now)
        ended, changes = self.desk.void(name, self.now)
        self.journal.keep(changes)
        assert all(name in record.policy_ids for record in ended)
        assert not [record for record in self.pending() if name in record.policy_ids]
        assert not [grant for grant in self.office.grants if grant.row.policy_id == name and grant.live(self.now)]

    @rule()
    def restart(self) -> None:
        before = self.office
        told = (self.standing(), before.ledger.counters(self.now))
        grants = [row for row in self.journal.grants.values() if row.state == GrantState.ACTIVE]
        ledger = self.journal.restore(before.policies, self.now, grants)
        office = Office(*before.policies)
        office.policies, office.ledger, office.grants = before.policies, ledger, ledger.grants
        office.ids, office.holds = before.ids, before.holds
        decided = sorted(
            (record for record in self.known() if not record.pending), key=lambda one: one.resolved_at or 0
        )
        office.desk = ApprovalDesk(before.desk._new_id, ledger.grants, ApprovalSettings(), [*decided, *self.pending()])
        assert office.desk.reconcile(office.policies, self.now) == ()
        self.office = office
        assert (self.standing(), ledger.counters(self.now)) == told

    def standing(self) -> dict[str, Any]:
        """What a restart must not change."""
        live = {
            grant.row.grant_id: (grant.drawn, grant.state(self.now))
            for grant in self.office.grants
            if grant.row.state == GrantState.ACTIVE
        }
        denied = {
            (who, session): self.desk.denied(who, session, self.now)
            for who in ("ann", "bob")
            for session in ("", "main", "side")
        }
        return {"pending": sorted(one.approval_id for one in self.desk.pending()), "grants": live, "denied": denied}

    # What always holds

    @invariant()
    def nothing_stands_above_limit_and_grants(self) -> None:
        """Of a window that has ended only what is held is told, not what was drawn for it."""
        for state in self.office.ledger.counters(self.now):
            budget = self.office.ledger.budget(state.policy_id)
            assert budget is not None
            if state.window_start >= budget.window(self.now).start:
                assert state.settled + state.held <= self.highest[state.policy_id] + state.drawn

    @invariant()
    def no_grant_gives_more_than_its_cap_nor_anything_once_it_ended(self) -> None:
        for grant in self.office.grants:
            assert 0 <= grant.drawn <= grant.row.cap
            self.check_once(grant)
            if grant.row.state == GrantState.ACTIVE:
                continue
            most = self.drawn_at_end.setdefault(grant.row.grant_id, grant.drawn)
            assert grant.drawn <= most
            self.drawn_at_end[grant.row.grant_id] = grant.drawn

    def check_once(self, grant: Grant) -> None:
        if grant.row.kind == GrantKind.ONCE:
            assert len(grant.users) <= 1

    @invariant()
    def memory_tells_what_is_durable(self) -> None:
        for row in self.journal.approvals.values():
            durable = ApprovalRecord.from_row(row)
            record = self.desk.find(durable.approval_id)
            if record is not None:
                assert replace(record, run_ids=()) == replace(durable, run_ids=())
            if durable.status is ApprovalStatus.PENDING:
                assert record is not None
            word = self.first_word.get(durable.approval_id)
            if word is not None:
                assert (durable.decision, durable.decided_by) == word

    @invariant()
    def a_denial_answers_for_a_minute_and_no_longer(self) -> None:
        for (who, session, name), at in self.denials.items():
            assert (name in self.desk.denied(who, session, self.now)) == (self.now - at < DENIED_FOR_MS)


def test_any_sequence() -> None:
    run_state_machine_as_test(
        Desks,
        settings=settings(
            max_examples=120,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )


@pytest.mark.soak
def test_very_many_sequences() -> None:
    run_state_machine_as_test(
        Desks,
        settings=settings(
            max_examples=3_000, stateful_step_count=80, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
