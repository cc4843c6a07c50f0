"""The first word counts: deciding, four eyes, denials, running out, and terms edited meanwhile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.core.errors import BadInputError, ConflictError, NotFoundError
from palyra.core.money import MAX, Usd
from palyra.governance.approval_record import ApprovalDecision, ApprovalRecord
from palyra.governance.approvals import (
    DENIED_FOR_MS,
    ApprovalDesk,
    Ruling,
)
from palyra.governance.four_eyes import Decider, FourEyesError
from palyra.governance.grants import GrantBook, GrantKind, GrantState
from palyra.governance.policy_set import PolicySet
from palyra.journal.changes import GrantSaved
from tests.governance.office import ALLOW, DENY, NOON, OLGA, TTL, Office, allow
from tests.governance.policies import CENT, DOLLAR, policy
from tests.governance.store import Store, taken


@pytest.mark.parametrize(
    ("ruling", "says"),
    [
        (allow(GrantKind.TIMEBOXED), "duration_seconds"),
        (allow(GrantKind.ONCE, duration_ms=5_000), "duration_seconds"),
        (allow(GrantKind.TIMEBOXED, duration_ms=999), "out of range"),
        (allow(GrantKind.TIMEBOXED, duration_ms=30 * 86_400_000 + 1), "out of range"),
        (allow(GrantKind.AMOUNT), "amount"),
        (allow(GrantKind.SESSION, amount=5), "amount"),
        (allow(GrantKind.AMOUNT, amount=0), "above zero"),
        (allow(GrantKind.AMOUNT, amount=MAX + 1), "larger than anything"),
        (allow(GrantKind.AMOUNT, amount=2 * DOLLAR + 1), r"\$2\.00"),
        (Ruling(ApprovalDecision.DENY, OLGA, reason="x" * 501), "500 characters"),
    ],
)
def test_a_bad_ruling_names_its_field_and_decides_nothing(ruling: Ruling, says: str) -> None:
    office = Office(max_grant_usd=Usd(2 * DOLLAR))
    record = office.ask()
    with pytest.raises(BadInputError, match=says):
        office.decide(record, ruling)
    assert office.desk.get(record.approval_id).pending
    assert list(office.grants) == []


def test_an_amount_cannot_serve_dollars_and_tokens_at_once() -> None:
    office = Office(
        policy("usd", action="approval_required"),
        policy("req", hard=0, metric_kind="requests", action="approval_required"),
    )
    with pytest.raises(BadInputError, match="count different things"):
        office.decide(office.ask(), allow(GrantKind.AMOUNT, amount=5))


@pytest.mark.parametrize("late", [DENY, ALLOW])
def test_the_first_word_counts_and_a_later_one_hears_it(late: Ruling) -> None:
    office = Office()
    record = office.ask()
    office.decide(record, ALLOW)
    with pytest.raises(ConflictError, match="already resolved/allow by olga") as caught:
        office.decide(record, late)
    assert caught.value.code == "already_decided"
    assert len(list(office.grants)) == 1


@given(st.lists(st.tuples(st.sampled_from(["ann", "bea", "cid"]), st.booleans()), min_size=2, max_size=30))
def test_of_many_deciders_exactly_one_wins(deciders: list[tuple[str, bool]]) -> None:
    office = Office()
    record = office.ask()
    won: list[tuple[str, bool]] = []
    for name, allows in deciders:
        decision = ApprovalDecision.ALLOW if allows else ApprovalDecision.DENY
        try:
            office.decide(record, Ruling(decision, Decider(name)))
        except ConflictError:
            continue
        won.append((name, allows))
    assert won == deciders[:1]
    assert office.desk.get(record.approval_id).decided_by == deciders[0][0]
    assert len(list(office.grants)) == int(deciders[0][1])


def test_a_decision_on_another_version_than_the_one_seen_is_stale() -> None:
    office = Office()
    record = office.ask()
    with pytest.raises(ConflictError) as caught:
        office.decide(record, version=record.version + 1)
    assert caught.value.code == "stale_version"
    assert office.decide(record, version=record.version).record.decision is ApprovalDecision.ALLOW


def test_joining_a_record_does_not_make_the_deciders_view_stale() -> None:
    office = Office()
    seen = office.ask(run_id="r1")
    office.ask(run_id="r2")
    assert office.decide(seen, version=seen.version).record.decision is ApprovalDecision.ALLOW


def test_four_eyes_refuse_the_requester_and_a_name_nobody_proved() -> None:
    office = Office(four_eyes=True)
    record = office.ask()
    for decider in (Decider("ann"), Decider("olga", "claimed")):
        with pytest.raises(FourEyesError):
            office.decide(record, Ruling(ApprovalDecision.ALLOW, decider))
    assert office.decide(record).record.decided_by == "olga"
    alone = Office()
    assert alone.decide(alone.ask(), Ruling(ApprovalDecision.ALLOW, Decider("ann"))).grants


def test_an_unknown_approval_is_not_found() -> None:
    with pytest.raises(NotFoundError):
        Office().desk.get("nobody")


def test_a_denial_answers_for_a_minute() -> None:
    office = Office()
    office.decide(office.ask(), DENY)
    assert office.desk.denied("ann", "main", NOON + DENIED_FOR_MS - 1) == {"day"}
    assert office.desk.denied("ann", "side", NOON) == frozenset()
    assert office.desk.denied("bob", "main", NOON) == frozenset()
    assert office.desk.denied("ann", "main", NOON + DENIED_FOR_MS) == frozenset()


def test_a_denial_is_remembered_over_a_restart() -> None:
    office = Office()
    record = office.decide(office.ask(), DENY).record
    again = ApprovalDesk(lambda: "x", GrantBook(), records=[ApprovalRecord.from_row(record.row())])
    assert again.denied("ann", "main", NOON + 1) == {"day"}


# Ending


def test_nobody_answering_is_a_timeout_and_a_late_word_comes_too_late() -> None:
    office = Office()
    record = office.ask()
    assert office.desk.sweep(NOON + TTL - 1) == ([], ())
    with pytest.raises(ConflictError, match="resolved/timeout"):
        office.decide(record, at=NOON + TTL)
    (ended,), changes = office.desk.sweep(NOON + TTL)
    assert (ended.approval_id, ended.decision) == (record.approval_id, ApprovalDecision.TIMEOUT)
    assert changes
    assert office.desk.sweep(NOON + TTL) == ([], ())


def test_a_sweep_ends_grants_whose_time_has_come() -> None:
    office = Office()
    (grant,) = office.decide(office.ask()).grants
    _, changes = office.desk.sweep(NOON + 3_600_000)
    assert [change.row.state for change in changes if isinstance(change, GrantSaved)] == ["expired"]
    held = office.grants.get(grant.grant_id)
    assert held is not None
    assert held.row.state == "expired"


def test_an_edited_limit_voids_what_was_granted_and_asked_but_not_what_was_spent() -> None:
    office, store = Office(policy(hard="10", action="approval_required")), Store()
    taken(office.hold(usd=7 * DOLLAR))
    office.ledger.settle("h1", at=NOON, usd=7 * DOLLAR, tokens=1)
    (grant,) = office.decide(office.ask(4 * DOLLAR, session="other"), allow(GrantKind.SESSION)).grants
    pending = office.ask(5 * DOLLAR)
    office.policies = PolicySet([policy(hard="12", action="approval_required")])
    store.change(office.ledger, office.policies, NOON)
    (ended,), changes = office.desk.void("day", NOON)
    assert (ended.approval_id, ended.decision, ended.reason) == (
        pending.approval_id,
        ApprovalDecision.ERROR,
        "policy_edited",
    )
    assert [change.row.state for change in changes if isinstance(change, GrantSaved)] == ["void"]
    held = office.grants.get(grant.grant_id)
    assert held is not None
    assert held.state(NOON) is GrantState.VOID
    assert [state.settled for state in office.ledger.counters(NOON)] == [7 * DOLLAR]
    with pytest.raises(ConflictError, match="resolved/error"):
        office.decide(pending)


def test_terms_edited_while_no_engine_ran_are_found_at_start() -> None:
    office = Office(policy("a", action="approval_required"), policy("b", hard="2", action="approval_required"))
    resolved = office.decide(office.ask(220 * CENT), allow(GrantKind.SESSION))
    pending = office.ask(130 * CENT, session="side")
    records = [ApprovalRecord.from_row(record.row()) for record in (resolved.record, pending)]
    grants = GrantBook(resolved.grants)
    desk = ApprovalDesk(lambda: "x", grants, records=records)
    assert desk.reconcile(office.policies, NOON) == ()
    edited = PolicySet([policy("a", hard="3", action="approval_required"), *(office.policies.get("b"),)])  # type: ignore[list-item]
    assert desk.reconcile(edited, NOON)
    assert desk.get(pending.approval_id).decision is ApprovalDecision.ERROR
    assert {grant.row.policy_id: grant.row.state for grant in grants} == {"a": "void", "b": "active"}


def test_a_decision_taken_back_is_asked_again_and_can_be_joined() -> None:
    office = Office()
    record = office.ask()
    office.desk.take_back(office.decide(record), NOON)
    assert office.ask(run_id="r2").approval_id == record.approval_id
    assert not office.admitted()
    assert office.desk.decided() == []
    assert office.decide(record).grants


def test_denials_that_no_longer_answer_are_forgotten_though_nobody_asks() -> None:
    office = Office()
    office.decide(office.ask(), DENY)
    office.desk.sweep(NOON + DENIED_FOR_MS - 1)
    assert office.desk.denied("ann", "main", NOON) == {"day"}
    office.desk.sweep(NOON + DENIED_FOR_MS)
    assert office.desk.denied("ann", "main", NOON) == frozenset()
