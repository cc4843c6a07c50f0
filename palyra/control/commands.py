"""What a console may do. Each command names its object and the version the operator saw."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

GrantScope = Literal["once", "session", "timeboxed", "amount"]


@dataclass(frozen=True, slots=True)
class DecideApproval:
    """Allows or denies. `scope`: once, session, timeboxed, amount (allow only). `amount` is nano-dollars for USD
    budgets, else tokens or requests. `version` None decides whatever version is current."""

    approval_id: str
    decision: Literal["allow", "deny"]
    version: int | None = None
    scope: GrantScope = "once"
    duration_seconds: int | None = None
    amount: int | None = None
    reason: str = ""
    kind: Literal["decide_approval"] = "decide_approval"


@dataclass(frozen=True, slots=True)
class RevokeGrant:
    grant_id: str
    kind: Literal["revoke_grant"] = "revoke_grant"


@dataclass(frozen=True, slots=True)
class CancelRun:
    run_id: str
    reason: str = ""
    kind: Literal["cancel_run"] = "cancel_run"


@dataclass(frozen=True, slots=True)
class AddPolicy:
    """`fields` are a policy's fields as text, as an operator types them."""

    fields: dict[str, str] = field(default_factory=dict)
    kind: Literal["add_policy"] = "add_policy"


@dataclass(frozen=True, slots=True)
class EditPolicy:
    policy_id: str
    fields: dict[str, str] = field(default_factory=dict)
    revision: int | None = None
    kind: Literal["edit_policy"] = "edit_policy"


@dataclass(frozen=True, slots=True)
class RemovePolicy:
    policy_id: str
    revision: int | None = None
    kind: Literal["remove_policy"] = "remove_policy"


Command = Annotated[
    DecideApproval | RevokeGrant | CancelRun | AddPolicy | EditPolicy | RemovePolicy,
    Field(discriminator="kind"),
]
