"""Who asks: records opened, joined, bounded in number, and how risky they are."""

import pytest

from palyra.core.errors import ConflictError
from palyra.governance.approval_record import ApprovalRecord, ApprovalStatus, risk_of
from palyra.governance.approvals import (
    PENDING_MOST,
    RESOLVED_KEPT,
    Petition,
)
from palyra.journal.changes import ApprovalSaved, AuditAdded
from tests.governance.office import DENY, NOON, TTL, Office
from tests.governance.policies import CENT, policy
from tests.governance.store import refused


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


def flood(office: Office, count: int = PENDING_MOST, principal: str = "ann") -> list[ApprovalRecord]:
    return [office.ask(principal=principal, session=f"s{number}") for number in range(count)]


def test_one_principal_has_so_many_pending_records_and_others_are_not_kept_from_asking() -> None:
    office = Office()
    records = flood(office)
    refusal = tuple(item for item in refused(office.hold()).evaluations if item.refused)
    assert office.desk.open(Petition("ann", "one more", "r", refusal), NOON) is None
    with pytest.raises(ConflictError, match="wait for an answer to ann"):
        office.room()
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


def test_only_the_newest_decided_records_are_kept() -> None:
    office = Office()
    for number in range(RESOLVED_KEPT + 1):
        office.decide(office.ask(session=f"s{number}"), DENY, at=NOON + number)
    assert len(office.desk.decided()) == RESOLVED_KEPT
    assert office.desk.decided()[-1].session == "s1"


def test_a_record_survives_the_journal() -> None:
    office = Office()
    record = office.decide(office.ask()).record
    assert ApprovalRecord.from_row(record.row()) == record
