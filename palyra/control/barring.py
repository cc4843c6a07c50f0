"""What would be refused whatever the operator's role, told before they press a key."""

from dataclasses import replace

from palyra.control.doctor_acts import FLAG, repairs_reserved
from palyra.control.snapshots import ApprovalView, OperatorView, Snapshot
from palyra.engine import Engine
from palyra.governance.four_eyes import Decider, FourEyesError, check_four_eyes
from palyra.vault.identity import account_of


def with_bars(shot: Snapshot, engine: Engine) -> Snapshot:
    """A snapshot that says of its operator, and of its pending approvals, what the engine would refuse them."""
    operator = shot.operator
    barred = ""
    if not engine.access.flag(FLAG):
        barred = repairs_reserved(operator, account_of(engine.state_owner))
    if barred:
        shot = replace(shot, operator=replace(operator, repairs_barred=barred))
    if engine.desk.settings.four_eyes and shot.approvals:
        shot = replace(shot, approvals=tuple(_with_bar(view, operator, engine) for view in shot.approvals))
    return shot


def _with_bar(view: ApprovalView, operator: OperatorView, engine: Engine) -> ApprovalView:
    record = engine.desk.find(view.approval_id)
    if record is None or view.status != "pending":
        return view
    try:
        check_four_eyes(record, Decider(operator.name, operator.attestation, operator.account))
    except FourEyesError as error:
        return replace(view, barred=error.message)
    return view
