"""Room asked for in words: by an operator ahead of need, by a refused caller's own key, and what a grant of it does."""

import re
from typing import Any

import pytest

from palyra.core.errors import ConflictError
from palyra.core.money import Usd
from palyra.core.scope import Scope
from palyra.governance.approval_record import Applicant, ApprovalRecord
from palyra.governance.approvals import DENIED_FOR_MS, PENDING_MOST
from palyra.governance.four_eyes import Decider
from palyra.governance.grants import GrantKind
from palyra.governance.overrides import OverrideInputError, TooOftenError
from palyra.journal.changes import ApprovalSaved, AuditAdded
from palyra.journal.rows import HoldRow
from tests.governance.office import ALLOW, DENY, NOON, Office, allow
from tests.governance.policies import CENT, DOLLAR, policy

ASKING = "approval_required"
KEY = Decider("key:ci", "key")
ANNS_KEY = Scope("ann", "main", "ci", tags={"team": "red"})


def faults(error: pytest.ExceptionInfo[OverrideInputError]) -> dict[str, str]:
    return {fault.field: f"{fault.message} {fault.fix}" for fault in error.value.faults}


def test_room_for_an_amount_is_shown_and_granted_as_the_excess() -> None:
    office = Office(policy(hard="10", action=ASKING))
    office.hold(usd=3 * DOLLAR)
    opened = office.room(amount="2.00", session="main")
    record = opened.record
    (item,) = record.evaluations
    assert (opened.fresh, record.run_ids, record.wanted) == (True, (), 2 * DOLLAR)
    assert (item.held, item.bound, item.projected, record.excess(item)) == (3 * DOLLAR, 0, 3 * DOLLAR, 2 * DOLLAR)
    assert record.risk == "medium"
    (grant,) = office.decide(record).grants
    assert (grant.kind, grant.cap) == ("once", 220 * CENT)
    assert not office.admitted(usd=920 * CENT + 1, run_id="r2")
    assert office.admitted(usd=920 * CENT, run_id="r3")


def test_room_without_an_amount_reaches_up_to_the_limit_once_more() -> None:
    office = Office()
    (grant,) = office.decide(office.room().record).grants
    assert grant.cap == DOLLAR
    assert office.admitted(usd=2 * DOLLAR)


def test_a_grant_of_it_serves_the_requesters_next_run_in_each_session_or_in_the_one_named() -> None:
    office = Office()
    office.decide(office.room().record)
    assert not office.admitted(usd=150 * CENT, principal="bob", run_id="b1")
    assert office.admitted(usd=150 * CENT, session="any", run_id="r1")
    other = Office()
    other.decide(other.room(session="main").record)
    assert not other.admitted(usd=150 * CENT, session="any", run_id="r1")
    assert other.admitted(usd=150 * CENT, session="main", run_id="r2")


@pytest.mark.parametrize("kind", [GrantKind.SESSION, GrantKind.AMOUNT])
def test_it_can_be_answered_with_every_kind_of_grant(kind: GrantKind) -> None:
    office = Office()
    ruling = allow(kind, amount=5 * DOLLAR) if kind is GrantKind.AMOUNT else allow(kind)
    office.decide(office.room().record, ruling)
    assert office.admitted(usd=150 * CENT, session="x", run_id="r1")
    assert office.admitted(usd=10 * CENT, session="y", run_id="r2")


def test_room_in_a_budget_that_blocks_lets_its_requests_pass() -> None:
    office = Office(policy(action="block"))
    assert not office.admitted(usd=150 * CENT)
    office.decide(office.room(amount="1.00").record)
    assert office.admitted(usd=150 * CENT)


def test_who_asked_and_why_is_kept_with_the_record_and_in_the_audit() -> None:
    office = Office()
    opened = office.room(amount="2", reason="  a long thesis ")
    saved, audit = opened.changes
    assert isinstance(saved, ApprovalSaved)
    assert isinstance(audit, AuditAdded)
    record = ApprovalRecord.from_row(saved.row)
    assert record == opened.record
    assert record.applicants == (Applicant("olga", "", "uid", "a long thesis"),)
    assert (audit.actor, audit.payload["wanted"], audit.payload["reason"]) == ("olga", 2 * DOLLAR, "a long thesis")


# Joining


def test_an_equal_pending_one_is_joined_and_changes_nothing() -> None:
    office = Office()
    first = office.room(amount="2")
    again = office.room(amount="2")
    assert (again.fresh, again.changes, again.record) == (False, (), first.record)
    assert len(office.desk.pending()) == 1


def test_an_amount_is_taken_over_where_none_was_named_and_the_first_one_stands() -> None:
    office = Office()
    record = office.room().record
    named = office.room(amount="0.30", by=KEY, key=ANNS_KEY, reason="and how much")
    assert (named.record.wanted, named.record.version, named.not_taken) == (30 * CENT, record.version + 1, None)
    assert (named.record.risk, record.risk) == ("medium", "low")
    saved, audit = named.changes
    assert isinstance(saved, ApprovalSaved)
    assert isinstance(audit, AuditAdded)
    assert (ApprovalRecord.from_row(saved.row).wanted, audit.payload["wanted"]) == (30 * CENT, 30 * CENT)
    assert office.desk.get(record.approval_id).excess(record.evaluations[0]) == 30 * CENT
    for amount, not_taken in (("0.30", None), ("0.50", 50 * CENT), ("", None)):
        again = office.room(amount=amount)
        assert (again.changes, again.not_taken, again.record) == ((), not_taken, named.record)


def test_the_same_person_can_name_an_amount_later() -> None:
    office = Office()
    office.room()
    later = office.room(amount="2")
    assert (later.record.wanted, len(later.record.applicants)) == (2 * DOLLAR, 1)


def test_words_join_the_record_of_the_refused_request_and_the_decider_sees_them() -> None:
    office = Office()
    seen = office.ask(run_id="r1")
    opened = office.room(session="main", by=KEY, key=ANNS_KEY, reason="the release waits")
    assert opened.record.approval_id == seen.approval_id
    assert not opened.fresh
    assert [one.reason for one in opened.record.applicants] == ["the release waits"]
    assert [type(change) for change in opened.changes] == [ApprovalSaved, AuditAdded]
    with pytest.raises(ConflictError) as caught:
        office.decide(seen, ALLOW, version=seen.version)
    assert caught.value.code == "stale_version"
    (grant,) = office.decide(opened.record, version=opened.record.version).grants
    assert grant.cap == 22 * CENT, "what was refused, not what somebody wrote, bounds a grant for one run"


def test_a_refused_request_joins_words_that_came_before_it() -> None:
    office = Office()
    record = office.room(session="main").record
    joined = office.ask(run_id="r1")
    assert (joined.approval_id, joined.run_ids) == (record.approval_id, ("r1",))


@pytest.mark.parametrize("other", [{"principal": "bob"}, {"session": "main"}])
def test_another_principal_or_session_is_another_question(other: dict[str, Any]) -> None:
    office = Office()
    assert office.room(**other).record.approval_id != office.room().record.approval_id


# Refusing to ask


def test_every_field_at_fault_is_named_at_once() -> None:
    office = Office(policy(action=ASKING), policy("soft", hard="5", action="advise"))
    with pytest.raises(OverrideInputError) as caught:
        office.room("dya", "soft", "day", "day", principal="an nn", session="a b", amount="lots", reason=" ")
    told = faults(caught)
    assert set(told) == {
        "policy_ids[0]",
        "policy_ids[1]",
        "policy_ids[3]",
        "principal",
        "session",
        "amount",
        "reason",
    }
    assert 'Did you mean "day"?' in told["policy_ids[0]"]
    assert "only warns" in told["policy_ids[1]"]
    assert "named twice" in told["policy_ids[3]"]
    assert office.desk.pending() == []


@pytest.mark.parametrize(
    ("asked", "field", "says"),
    [
        ({"amount": "0"}, "amount", "above zero"),
        ({"amount": "2.01"}, "amount", r"above what may be granted \(\$2\.00\)"),
        ({"amount": "1e30"}, "amount", "at most 9000000000"),
        ({"reason": "x" * 501}, "reason", "at most 500"),
        ({"amount": "-1"}, "amount", "cannot be negative"),
    ],
)
def test_amounts_and_reasons_have_bounds(asked: dict[str, str], field: str, says: str) -> None:
    office = Office(max_grant_usd=Usd(2 * DOLLAR))
    with pytest.raises(OverrideInputError) as caught:
        office.room(**asked)  # type: ignore[arg-type]
    assert re.search(says, faults(caught)[field])


def test_a_limit_of_nothing_needs_an_amount() -> None:
    office = Office(policy(hard="0", action=ASKING))
    with pytest.raises(OverrideInputError, match="a limit of 0 once more"):
        office.room()
    office.decide(office.room(amount="1.00").record)
    assert office.admitted(usd=110 * CENT)


def test_amounts_of_tokens_are_whole_and_one_amount_counts_one_thing() -> None:
    office = Office(policy("usd", action=ASKING), policy("tok", hard="1000", metric_kind="total_tokens", action=ASKING))
    assert office.room("tok", amount="1_500").record.wanted == 1500
    for names, amount in ((("tok",), "1.5"), (("tok", "usd"), "5")):
        with pytest.raises(OverrideInputError) as caught:
            office.room(*names, amount=amount)
        assert set(faults(caught)) == {"amount"}


def test_a_budget_that_counts_several_things_apart_has_to_know_which() -> None:
    office = Office(policy("per-model", action=ASKING, scope_kind="model", scope_id="*"))
    with pytest.raises(OverrideInputError, match="counts each model apart"):
        office.room("per-model")
    record = office.room("per-model=openai/gpt").record
    assert [item.scope_value for item in record.evaluations] == ["openai/gpt"]
    office.decide(record)
    assert office.admitted(usd=150 * CENT)


def test_what_is_known_of_the_requester_names_the_counter() -> None:
    office = Office(
        policy("each", action=ASKING, scope_kind="user"),
        policy("bobs", action=ASKING, scope_kind="user", scope_id="bob"),
        policy("talk", action=ASKING, scope_kind="session"),
    )
    assert [item.scope_value for item in office.room("each").record.evaluations] == ["ann"]
    assert [item.scope_value for item in office.room("talk", session="s").record.evaluations] == ["s"]
    for wrong in ("bobs", "each=bob", "bobs=ann"):
        with pytest.raises(OverrideInputError):
            office.room(wrong)


def test_a_disabled_budget_refuses_nothing_that_could_be_asked_for() -> None:
    office = Office(policy(action=ASKING, enabled="false"))
    with pytest.raises(OverrideInputError, match="switched off"):
        office.room()


def test_a_key_may_ask_only_about_budgets_that_count_its_requests() -> None:
    office = Office(
        policy("day", action=ASKING),
        policy("bobs", action=ASKING, scope_kind="user", scope_id="bob"),
        policy("other-key", action=ASKING, scope_kind="key", scope_id="nightly"),
        policy("blue", action=ASKING, scope_kind="tag", scope_id="team=blue"),
        policy("red", action=ASKING, scope_kind="tag", scope_id="team=red"),
        policy("teams", action=ASKING, scope_kind="tag", scope_id="team=*"),
    )
    asked = office.room("day", "red", "teams", by=KEY, key=ANNS_KEY, session="main").record
    assert [item.scope_value for item in asked.evaluations] == ["*", "team=red", "team=red"]
    for hidden in ("bobs", "other-key", "blue", "nothing"):
        with pytest.raises(OverrideInputError) as caught:
            office.room(hidden, by=KEY, key=ANNS_KEY, session="main")
        assert f'no budget "{hidden}" that counts your requests' in faults(caught)["policy_ids[0]"]


def test_after_a_denial_nobody_asks_again_for_a_minute() -> None:
    office = Office()
    office.decide(office.room().record, DENY)
    with pytest.raises(TooOftenError, match="Ask again in 60 s") as caught:
        office.room()
    assert caught.value.retry_ms == DENIED_FOR_MS
    assert office.room(principal="bob").fresh
    assert office.room(at=NOON + DENIED_FOR_MS).fresh


def test_so_many_may_wait_for_one_principal() -> None:
    office = Office()
    for number in range(PENDING_MOST):
        office.room(session=f"s{number}")
    with pytest.raises(TooOftenError) as caught:
        office.room()
    assert (caught.value.code, caught.value.retry_ms) == ("queue_full", None)


def test_a_hold_taken_meanwhile_draws_only_what_it_lacks() -> None:
    office = Office()
    office.decide(office.room(amount="5.00").record)
    held = office.hold(usd=150 * CENT)
    assert isinstance(held, HoldRow)
    assert [share for move in held.moves for _, share in move.drawn] == [50 * CENT]
