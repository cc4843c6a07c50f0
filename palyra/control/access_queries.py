"""Who has access: what a console may ask, and what it is told. Never a token, nor the digest of one."""

from typing import Literal

from palyra.core.values import value


@value
class AccessQuery:
    """Who may do what. Answer: AccessAnswer."""

    kind: Literal["access"] = "access"


@value
class OperatorRow:
    """`identities` are like `unix:<account>`. `created_at` is UTC unix ms, 0 where unknown."""

    operator_id: str
    name: str
    role: str
    enabled: bool
    identities: tuple[str, ...]
    has_token: bool
    created_at: int


@value
class KeyRow:
    """`state`: active, disabled, expired, revoked. Empty `allowed_models` are all, empty `may_act_for` nobody."""

    key_id: str
    name: str
    principal: str
    state: str
    channel: str
    agent: str
    tags: tuple[str, ...]
    allowed_models: tuple[str, ...]
    may_act_for: tuple[str, ...]
    may_set_mode: bool
    created_at: int
    expires_at: int | None
    revoked_at: int | None


@value
class AccessAnswer:
    """`unavailable` says why nobody is let in, empty where the registry is sound; `faults` are records that cannot be
    used. `flags` has every feature there is."""

    operators: tuple[OperatorRow, ...]
    keys: tuple[KeyRow, ...]
    flags: dict[str, bool]
    unavailable: str = ""
    faults: tuple[str, ...] = ()
