"""What admins may do about who has access: operators and gateway keys. Tokens and features are beside approvals."""

from typing import Literal

from palyra.core.values import value

RoleName = Literal["viewer", "approver", "admin"]


@value
class AddOperator:
    """`identities` are like `unix:<account>` and `ssh_key:SHA256:<fingerprint>`."""

    operator_id: str
    role: RoleName = "viewer"
    name: str = ""
    identities: tuple[str, ...] = ()
    kind: Literal["add_operator"] = "add_operator"


@value
class SetOperator:
    """What is None stays; identities are added and taken away."""

    operator_id: str
    role: RoleName | None = None
    name: str | None = None
    enabled: bool | None = None
    add_identities: tuple[str, ...] = ()
    remove_identities: tuple[str, ...] = ()
    kind: Literal["set_operator"] = "set_operator"


@value
class RemoveOperator:
    """An operator goes; what they did stays in the audit."""

    operator_id: str
    kind: Literal["remove_operator"] = "remove_operator"


@value
class AddKey:
    """Makes a gateway key; the result's `data` tells it, this once. `expires_at` is UTC unix ms."""

    key_id: str
    principal: str
    name: str = ""
    channel: str = ""
    agent: str = ""
    tags: tuple[str, ...] = ()
    allowed_models: tuple[str, ...] = ()
    may_act_for: tuple[str, ...] = ()
    may_set_mode: bool = False
    expires_at: int | None = None
    kind: Literal["add_key"] = "add_key"


@value
class SetKey:
    """What is None stays; an empty channel or agent is not pinned, an empty list is what it is in the registry.
    `never_expires` takes the expiry away."""

    key_id: str
    name: str | None = None
    principal: str | None = None
    enabled: bool | None = None
    channel: str | None = None
    agent: str | None = None
    tags: tuple[str, ...] | None = None
    allowed_models: tuple[str, ...] | None = None
    may_act_for: tuple[str, ...] | None = None
    may_set_mode: bool | None = None
    expires_at: int | None = None
    never_expires: bool = False
    kind: Literal["set_key"] = "set_key"


@value
class RevokeKey:
    """Ends a key for good."""

    key_id: str
    kind: Literal["revoke_key"] = "revoke_key"


@value
class AddFlag:
    """Writes a feature that the registry lacks, off."""

    name: str
    kind: Literal["add_flag"] = "add_flag"


@value
class RemoveFlag:
    """Takes a feature out of the registry, so that it counts as off; also one that this program does not know."""

    name: str
    kind: Literal["remove_flag"] = "remove_flag"


AccessCommand = AddOperator | SetOperator | RemoveOperator | AddKey | SetKey | RevokeKey | AddFlag | RemoveFlag
