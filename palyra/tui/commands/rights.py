"""Whether the operator may do something, and why not."""

from palyra.control.snapshots import OperatorView
from palyra.tui.bridge import Link
from palyra.tui.commands.action import Right

_ROLE_NEEDED = {Right.DECIDE: "approver", Right.ADMINISTER: "admin", Right.REPAIR: "admin"}


def refusal(right: Right, operator: OperatorView | None, link: Link, *, read_only: bool) -> str:
    """Why they may not, without a full stop; empty when they may. `operator` is None before the first snapshot."""
    if read_only:
        return "started with --read-only"
    if link is Link.GONE:
        return "the engine is gone"
    if operator is None:
        return "not connected yet"
    allowed = {
        Right.SEE: True,
        Right.DECIDE: operator.may_approve,
        Right.ADMINISTER: operator.may_administer,
        Right.REPAIR: operator.may_repair,
    }
    if allowed[right]:
        return operator.repairs_barred if right is Right.REPAIR else ""
    return f"needs the role {_ROLE_NEEDED[right]}, {operator.name} is {operator.role}"
