"""What a grant is good for: whom it serves, how far, until when, and what ending it leaves."""

import pytest

from palyra.core.errors import ConflictError, NotFoundError
from palyra.governance.grants import GrantKind, GrantState
from palyra.journal.changes import ApprovalSaved, AuditAdded, GrantSaved, HoldTaken
from tests.core.test_windows import at as instant
from tests.governance.office import NOON, OLGA, Office, allow
from tests.governance.policies import CENT, DOLLAR, policy, scope
from tests.governance.store import Store, refused, request, taken


def test_an_allowed_request_passes_once() -> None:
    office = Office()
    resolved = office.decide(office.ask())
    (grant,) = resolved.grants
    assert (grant.kind, grant.cap, grant.principal, grant.session) == ("once", 22 * CENT, "ann", "main")
    assert (grant.expires_at, grant.granted_by) == (NOON + 3_600_000, "olga")
    assert resolved.record.state() == "resolved/allow by olga"
    assert {type(change) for change in resolved.changes} == {ApprovalSaved, AuditAdded, GrantSaved}
    assert office.admitted()
    assert not office.admitted(run_id="r2")


def test_a_once_grant_serves_the_requesters_next_run_too() -> None:
    office = Office()
    office.decide(office.ask(run_id="r1"))
    assert not office.admitted(run_id="b1", principal="bob")
    assert office.admitted(run_id="r2")


@pytest.mark.parametrize("charged", [120 * CENT, 1])
def test_a_run_that_was_sent_has_used_its_grant_whatever_it_cost_and_after_a_restart_too(charged: int) -> None:
    office, store = Office(), Store()
    (grant,) = office.decide(office.ask(run_id="r1")).grants
    row = taken(office.hold(run_id="r1"))
    store.submit(HoldTaken(row))
    store.submit(office.ledger.settle(row.hold_id, at=NOON, usd=charged, tokens=1).change)
    again = store.restore(office.policies, NOON, [grant])
    for ledger in (office.ledger, again):
        refused(ledger.hold(request("next", NOON, 121 * CENT, scope=scope("ann", "main"), run_id="r2")))
        assert [one.state(NOON) for one in ledger.grants] == [GrantState.USED]
    (saved,) = [change for change in office.desk.sweep(NOON + 3_600_000)[1] if isinstance(change, GrantSaved)]
    assert (saved.row.state, saved.row.uses) == ("used", 1)


def test_a_run_that_was_not_sent_gives_the_use_back() -> None:
    office, store = Office(), Store()
    (grant,) = office.decide(office.ask(run_id="r1")).grants
    row = taken(office.hold(run_id="r1"))
    store.submit(HoldTaken(row))
    store.submit(office.ledger.release(row.hold_id, at=NOON).change)
    again = store.restore(office.policies, NOON, [grant])
    for ledger in (office.ledger, again):
        taken(ledger.hold(request("next", NOON, 120 * CENT, scope=scope("ann", "main"), run_id="r2")))


def test_while_somebody_waits_a_grant_for_one_run_is_for_those_who_asked() -> None:
    office = Office()
    approval_id = office.ask(run_id="r1").approval_id
    office.desk.join(approval_id)
    office.desk.join(approval_id)
    office.decide(office.ask(run_id="r2"))
    office.desk.leave(approval_id)
    assert not office.admitted(run_id="quicker")
    assert office.admitted(run_id="r2")


def test_when_nobody_waits_any_more_the_requesters_next_run_is_served() -> None:
    office = Office()
    record = office.ask(run_id="r1")
    office.desk.join(record.approval_id)
    office.decide(record)
    assert not office.admitted(run_id="next")
    office.desk.leave(record.approval_id)
    assert office.admitted(run_id="next")


def test_a_once_cap_leaves_a_tenth_for_a_longer_prompt_and_no_more() -> None:
    office = Office()
    office.decide(office.ask(120 * CENT))
    assert not office.admitted(usd=122 * CENT + 1)
    assert office.admitted(usd=122 * CENT)


def test_a_session_grant_is_capped_by_the_limit() -> None:
    office = Office()
    (grant,) = office.decide(office.ask(), allow(GrantKind.SESSION)).grants
    assert (grant.cap, grant.expires_at) == (DOLLAR, NOON + 86_400_000)
    assert office.admitted(usd=DOLLAR)
    assert office.admitted(usd=DOLLAR, run_id="r2")
    assert not office.admitted(usd=1, run_id="r3")


def test_a_session_grant_serves_at_least_the_request_it_was_given_for() -> None:
    office = Office(policy(hard="0.01", action="approval_required"))
    office.decide(office.ask(50 * CENT), allow(GrantKind.SESSION))
    assert office.admitted(usd=50 * CENT)


def test_a_timeboxed_grant_ends_to_the_millisecond() -> None:
    office = Office()
    (grant,) = office.decide(office.ask(), allow(GrantKind.TIMEBOXED, duration_ms=60_000)).grants
    held = office.grants.get(grant.grant_id)
    assert held is not None
    assert held.state(NOON + 59_999) is GrantState.ACTIVE
    assert held.state(NOON + 60_000) is GrantState.EXPIRED
    assert not office.admitted(at=NOON + 60_000)
    assert office.admitted(at=NOON + 59_999)


def test_an_amount_serves_anybody_in_this_window() -> None:
    office = Office()
    (grant,) = office.decide(office.ask(), allow(GrantKind.AMOUNT, amount=50 * CENT)).grants
    assert (grant.cap, grant.expires_at) == (50 * CENT, instant("2026-11-23T00:00"))
    assert office.admitted(usd=150 * CENT, principal="bob", session="other")
    assert not office.admitted(usd=1)


def test_an_amount_given_after_midnight_serves_the_day_it_is_given_on() -> None:
    office = Office(ttl_ms=86_400_000)
    tomorrow = instant("2026-11-23T00:00:01")
    (grant,) = office.decide(
        office.ask(at=tomorrow - 2_000), allow(GrantKind.AMOUNT, amount=50 * CENT), at=tomorrow
    ).grants
    assert grant.window_start == instant("2026-11-23T00:00")
    assert office.admitted(usd=150 * CENT, at=tomorrow)


def test_an_amount_on_a_rolling_budget_lives_as_long_as_its_window() -> None:
    office = Office(policy(action="approval_required", interval_kind="rolling_24h"))
    (grant,) = office.decide(office.ask(), allow(GrantKind.AMOUNT, amount=50 * CENT)).grants
    assert (grant.window_start, grant.expires_at) == (None, NOON + 86_400_000)
    assert office.admitted(usd=150 * CENT, at=NOON + 120_000)


def test_a_revoked_grant_serves_no_more_and_what_was_drawn_stays() -> None:
    office = Office()
    (grant,) = office.decide(office.ask(), allow(GrantKind.SESSION)).grants
    taken(office.hold(usd=150 * CENT))
    saved, _ = office.desk.revoke(grant.grant_id, OLGA, NOON)
    assert isinstance(saved, GrantSaved)
    assert saved.row.state == "revoked"
    assert not office.admitted(usd=1, run_id="r2")
    assert [state.drawn for state in office.ledger.counters(NOON)] == [50 * CENT]
    with pytest.raises(ConflictError, match="already revoked"):
        office.desk.revoke(grant.grant_id, OLGA, NOON)
    with pytest.raises(NotFoundError):
        office.desk.revoke("nobody", OLGA, NOON)


def test_a_grant_to_one_leaves_another_asking_and_both_alone() -> None:
    office = Office()
    (grant,) = office.decide(office.ask(principal="ann"), allow(GrantKind.SESSION)).grants
    bobs = office.ask(principal="bob")
    assert bobs.pending
    held = office.grants.get(grant.grant_id)
    assert held is not None
    assert held.state(NOON) is GrantState.ACTIVE
