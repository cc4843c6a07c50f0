import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.core.errors import BadInputError, ConflictError, NotFoundError
from palyra.core.money import MAX, Usd
from palyra.governance.approval_record import ApprovalDecision, ApprovalRecord, ApprovalStatus, risk_of
from palyra.governance.approvals import (
    DENIED_FOR_MS,
    PENDING_MOST,
    RESOLVED_KEPT,
    ApprovalDesk,
    ApprovalSettings,
    Decider,
    FourEyesError,
    Petition,
    Resolved,
    Ruling,
    request_usage_budget_override,
)
from palyra.governance.evaluate import Demand, UsageBudgetEvaluation
from palyra.governance.grants import GrantBook, GrantKind, GrantState
from palyra.governance.ledger import Ledger
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.governance.policy_set import PolicySet
from palyra.journal.changes import ApprovalSaved, AuditAdded, GrantSaved, HoldTaken
from palyra.journal.rows import HoldRow
from tests.core.test_windows import at as instant
from tests.governance.policies import CENT, DOLLAR, policy, scope
from tests.governance.store import Store, refused, request, taken

NOON = instant("2026-11-22T12:00")
TTL = 900_000
OLGA = Decider("olga")
ALLOW = Ruling(ApprovalDecision.ALLOW, OLGA)
DENY = Ruling(ApprovalDecision.DENY, OLGA, reason="too dear")


class Office:
    """A ledger that asks for approval from $1 on, and the desk beside it."""

    def __init__(self, *policies: UsageBudgetPolicyRecord, **settings: Any) -> None:
        self.policies = PolicySet(policies or [policy(action="approval_required")])
        self.grants = GrantBook()
        self.ledger = Ledger(self.policies, grants=self.grants)
        ids = itertools.count(1)
        self.desk = ApprovalDesk(lambda: f"id{next(ids)}", self.grants, ApprovalSettings(**settings))
        self.holds = itertools.count(1)

    def ask(
        self, usd: int = 120 * CENT, principal: str = "ann", session: str = "main", run_id: str = "r1", at: int = NOON
    ) -> ApprovalRecord:
        evaluations = self.ledger.evaluate(
            scope(principal, session), "openai", "openai/gpt", Demand(usd, 0), at=at, run_id=run_id
        )
        breached = tuple(item for item in evaluations if item.refused)
        assert breached
        opened = self.desk.open(Petition(principal, session, run_id, breached), at)
        assert opened is not None
        return opened.record

    def decide(self, record: ApprovalRecord, ruling: Ruling = ALLOW, at: int = NOON, **kwargs: Any) -> Resolved:
        return self.desk.decide(record.approval_id, ruling, at, policies=self.policies, **kwargs)

    def hold(
        self, usd: int = 120 * CENT, principal: str = "ann", session: str = "main", run_id: str = "r1", at: int = NOON
    ) -> Any:
        number = next(self.holds)
        return self.ledger.hold(request(f"h{number}", at, usd, scope=scope(principal, session), run_id=run_id))

    def admitted(self, **asked: Any) -> bool:
        return isinstance(self.hold(**asked), HoldRow)


def allow(scope: GrantKind, **terms: Any) -> Ruling:
    return Ruling(ApprovalDecision.ALLOW, OLGA, scope, **terms)


# Opening


def test_a_refused_request_opens_one_record_over_every_budget_it_breaches() -> None:
    office = Office(
        policy("day", action="approval_required"),
        policy("user", hard="0.50", scope_kind="user", action="approval_required"),
        policy("wide", hard="50"),
    )
    opened = office.desk.open(
        Petition("ann", "main", "r1", tuple(item for item in refused(office.hold()).evaluations if item.refused)), NOON
    )
    assert opened is not None
    record = opened.record
    assert record.policy_ids == ("day", "user")
    assert [(item.revision, item.sha256) for item in record.evaluations] == [
        (1, office.policies.get(name).sha256)  # type: ignore[union-attr]
        for name in ("day", "user")
    ]
    assert (record.requested_at, record.expires_at, record.status) == (NOON, NOON + TTL, ApprovalStatus.PENDING)
    saved, audit = opened.changes
    assert isinstance(saved, ApprovalSaved)
    assert isinstance(audit, AuditAdded)
    assert audit.payload["subjects"] == ["usage-budget:day", "usage-budget:user"]


def test_an_equal_request_joins_the_pending_record() -> None:
    office = Office()
    first = office.ask(run_id="r1")
    again = office.ask(run_id="r2")
    assert again.approval_id == first.approval_id
    assert again.run_ids == ("r1", "r2")
    assert len(office.desk.pending()) == 1


@pytest.mark.parametrize("other", [{"principal": "bob"}, {"session": "side"}])
def test_another_principal_or_session_gets_a_record_of_its_own(other: dict[str, str]) -> None:
    office = Office()
    assert office.ask().approval_id != office.ask(**other).approval_id  # type: ignore[arg-type]


def test_another_set_of_budgets_is_another_question() -> None:
    office = Office(policy("day", action="approval_required"), policy("big", hard="2", action="approval_required"))
    assert office.ask(120 * CENT).approval_id != office.ask(220 * CENT).approval_id


def test_a_decided_record_is_not_joined() -> None:
    office = Office()
    first = office.ask()
    office.decide(first, DENY)
    assert office.ask().approval_id != first.approval_id


def test_waiting_counts_open_connections() -> None:
    office = Office()
    approval_id = office.ask().approval_id
    office.desk.join(approval_id)
    office.desk.join(approval_id)
    office.desk.leave(approval_id)
    assert office.desk.waiting(approval_id) == 1
    office.desk.leave(approval_id)
    assert office.desk.waiting(approval_id) == 0


@pytest.mark.parametrize(
    ("usd", "hard", "risk"),
    [
        (110, "1.00", "low"),
        (111, "1.00", "medium"),
        (150, "1.00", "medium"),
        (151, "1.00", "high"),
        (200, "1.00", "high"),
        (201, "1.00", "critical"),
        (1, "0", "critical"),
    ],
)
def test_risk_is_the_excess_as_a_share_of_the_limit(usd: int, hard: str, risk: str) -> None:
    office = Office(policy(hard=hard, action="approval_required"))
    assert office.ask(usd * CENT).risk == risk


def test_the_worst_budget_sets_the_risk() -> None:
    office = Office(
        policy("a", action="approval_required"), policy("b", hard="0.10", scope_kind="user", action="approval_required")
    )
    record = office.ask(105 * CENT)
    assert record.risk == risk_of([record.evaluations[1]]) == "critical"
    assert record.leading.policy_id == "b"


# Deciding


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


# Denying


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


# Many


def flood(office: Office, count: int = PENDING_MOST, principal: str = "ann") -> list[ApprovalRecord]:
    return [office.ask(principal=principal, session=f"s{number}") for number in range(count)]


def test_one_principal_has_so_many_pending_records_and_others_are_not_kept_from_asking() -> None:
    office = Office()
    records = flood(office)
    refusal = tuple(item for item in refused(office.hold()).evaluations if item.refused)
    assert office.desk.open(Petition("ann", "one more", "r", refusal), NOON) is None
    with pytest.raises(ConflictError, match="wait for an answer to ann"):
        override(office)
    joined = office.ask(session="s0", run_id="r2")
    assert (joined.approval_id, joined.run_ids) == (records[0].approval_id, ("r1", "r2"))
    office.ask(principal="bob")
    assert len(office.desk.pending()) == PENDING_MOST + 1
    office.decide(records[0], DENY)
    assert office.ask(session="one more").pending
    assert office.desk.open(Petition("ann", "s0", "r", refusal), NOON) is None


def test_pending_records_are_told_oldest_first_and_decided_ones_newest_first() -> None:
    office = Office()
    first, second, third = (office.ask(session=name, at=NOON + at) for at, name in enumerate("abc"))
    office.ask(session="a", run_id="r2", at=NOON + 9)
    assert [record.approval_id for record in office.desk.pending()] == [
        first.approval_id,
        second.approval_id,
        third.approval_id,
    ]
    office.decide(first, DENY, at=NOON + 10)
    office.decide(third, at=NOON + 11)
    assert [record.approval_id for record in office.desk.decided()] == [third.approval_id, first.approval_id]


def test_a_decision_taken_back_is_asked_again_and_can_be_joined() -> None:
    office = Office()
    record = office.ask()
    office.desk.take_back(office.decide(record), NOON)
    assert office.ask(run_id="r2").approval_id == record.approval_id
    assert not office.admitted()
    assert office.desk.decided() == []
    assert office.decide(record).grants


def test_only_the_newest_decided_records_are_kept() -> None:
    office = Office()
    for number in range(RESOLVED_KEPT + 1):
        office.decide(office.ask(session=f"s{number}"), DENY, at=NOON + number)
    assert len(office.desk.decided()) == RESOLVED_KEPT
    assert office.desk.decided()[-1].session == "s1"


def test_denials_that_no_longer_answer_are_forgotten_though_nobody_asks() -> None:
    office = Office()
    office.decide(office.ask(), DENY)
    office.desk.sweep(NOON + DENIED_FOR_MS - 1)
    assert office.desk.denied("ann", "main", NOON) == {"day"}
    office.desk.sweep(NOON + DENIED_FOR_MS)
    assert office.desk.denied("ann", "main", NOON) == frozenset()


# Asking ahead


def override(office: Office, **kwargs: Any) -> ApprovalRecord:
    evaluations: tuple[UsageBudgetEvaluation, ...] = office.ledger.evaluate(
        scope("ann", ""), "openai", "openai/gpt", Demand(0, 0), at=NOON
    )
    given = {"principal": "ann", "session": "", "by": OLGA, "at": NOON, **kwargs}
    return request_usage_budget_override(office.desk, office.policies, evaluations, **given).record


def test_room_can_be_asked_for_ahead_of_need_for_every_session() -> None:
    office = Office()
    record = override(office)
    assert record.policy_ids == ("day",)
    office.decide(record, allow(GrantKind.SESSION), at=NOON)
    assert office.admitted(usd=150 * CENT, session="any")
    assert not office.admitted(usd=150 * CENT, principal="bob", run_id="r2")


def test_room_for_one_run_ahead_of_need_reaches_up_to_the_limit() -> None:
    office = Office()
    (grant,) = office.decide(override(office)).grants
    assert grant.cap == DOLLAR


def test_who_asked_ahead_may_not_decide_where_four_eyes_do() -> None:
    office = Office(four_eyes=True)
    record = override(office)
    with pytest.raises(FourEyesError):
        office.decide(record)


def test_room_on_a_budget_nobody_knows_is_refused() -> None:
    office = Office()
    record = office.ask()
    with pytest.raises(NotFoundError):
        request_usage_budget_override(
            office.desk, PolicySet(), record.evaluations, principal="ann", session="", by=OLGA, at=NOON
        )


# Keeping


def test_a_record_survives_the_journal() -> None:
    office = Office()
    record = office.decide(office.ask()).record
    assert ApprovalRecord.from_row(record.row()) == record
