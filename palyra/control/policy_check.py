"""Whether a budget's fields would be accepted, asked while they are typed: the rules the engine itself obeys."""

from collections.abc import Collection, Mapping

from palyra.core.values import value
from palyra.governance.policy_input import PolicyInputError, parse_policy


@value
class PolicyFault:
    """What is wrong with one field, and what to write instead."""

    field: str
    message: str
    fix: str = ""


def policy_faults(fields: Mapping[str, str], *, taken: Collection[str] = ()) -> tuple[PolicyFault, ...]:
    """Every fault of a policy's fields as typed, in the order of fields. `taken` are ids another policy has."""
    faults: list[PolicyFault] = []
    try:
        parse_policy(fields)
    except PolicyInputError as error:
        faults = [PolicyFault(fault.field, fault.message, fault.fix) for fault in error.faults]
    policy_id = fields.get("policy_id", "").strip()
    if policy_id in taken:
        faults.append(PolicyFault("policy_id", f'"{policy_id}" exists already', "Edit it, or choose another id."))
    return tuple(faults)


def decides_otherwise(before: Mapping[str, str], after: Mapping[str, str]) -> bool:
    """Whether an edit changes what the policy decides, which voids its grants and pending approvals. Both must be
    without faults."""
    return parse_policy(before).sha256 != parse_policy(after).sha256
