"""Four eyes: two people stand behind an approval, whatever names they come under."""

import pytest

from palyra.core.scope import Scope
from palyra.governance.approval_record import ApprovalDecision
from palyra.governance.approvals import Ruling
from palyra.governance.four_eyes import Decider, FourEyesError
from tests.governance.office import OLGA, Office


def rules(office: Office, principal: str, by: Decider) -> bool:
    """Whether `by` may decide on a refused request of a principal."""
    record = office.ask(principal=principal)
    for decision in (ApprovalDecision.DENY, ApprovalDecision.ALLOW):
        try:
            office.decide(record, Ruling(decision, by))
        except FourEyesError:
            assert office.desk.get(record.approval_id).pending
            continue
        return True
    return False


@pytest.mark.parametrize(
    ("principal", "by", "may"),
    [
        ("ann", OLGA, True),
        ("ann", Decider("ann"), False),
        ("ann", Decider("olga", "uid", account="ann"), False),
        ("ann", Decider("unix:ann", "uid", account="ann"), False),
        ("ann", Decider("local:ann", "owner", account="ann"), False),
        ("unix:ann", Decider("ann"), False),
        ("local", Decider("local:ann", "owner", account="ann"), False),
        ("local", Decider("olga", "uid", account="ops"), True),
        ("ann", Decider("olga", "claimed", account="ops"), False),
        ("ops", Decider("olga", "ssh_key", account="ops"), True),
        ("ops", Decider("olga", "uid", account="ops"), False),
    ],
)
def test_a_requester_by_any_name_may_not_decide(principal: str, by: Decider, may: bool) -> None:
    assert rules(Office(four_eyes=True), principal, by) is may
    assert rules(Office(), principal, by)


@pytest.mark.parametrize(
    ("asks", "decides", "may"),
    [
        (Decider("olga"), Decider("olga"), False),
        (Decider("olga"), Decider("pete"), True),
        (Decider("olga", "claimed"), Decider("pete"), False),
        (Decider("olga"), Decider("pete", "claimed"), False),
        (Decider("olga", "claimed"), Decider("pete", "claimed"), False),
        (Decider("local:ops", "owner", "ops"), Decider("olga", "uid", "ops"), False),
        (Decider("alice", "ssh_key", "ops"), Decider("bob", "ssh_key", "ops"), True),
        (Decider("alice", "ssh_key", "ops"), Decider("alice", "ssh_key", "ops"), False),
        (Decider("key:ci", "key"), Decider("olga"), True),
        (Decider("key:ci", "key"), Decider("ann"), False),
    ],
)
def test_who_asked_in_words_may_not_decide_either(asks: Decider, decides: Decider, may: bool) -> None:
    office = Office(four_eyes=True)
    key = Scope("ann", "", "ci") if asks.attestation == "key" else None
    record = office.room(by=asks, key=key).record
    ruling = Ruling(ApprovalDecision.ALLOW, decides)
    if may:
        assert office.decide(record, ruling).grants
    else:
        with pytest.raises(FourEyesError):
            office.decide(record, ruling)


def test_everybody_who_asked_is_barred() -> None:
    office = Office(four_eyes=True)
    office.ask(run_id="r1")
    for name in ("olga", "pete"):
        record = office.room(session="main", by=Decider(name)).record
    assert [one.name for one in record.applicants] == ["olga", "pete"]
    for name in ("olga", "pete", "ann"):
        with pytest.raises(FourEyesError):
            office.decide(record, Ruling(ApprovalDecision.ALLOW, Decider(name)))
    assert office.decide(record, Ruling(ApprovalDecision.ALLOW, Decider("quinn"))).record.decided_by == "quinn"
