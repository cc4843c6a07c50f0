"""The vault and the auth profiles: what a console may ask, and what it is told. Never a secret."""

from typing import Literal

from palyra.core.values import value


@value
class VaultQuery:
    """How the vault does and which names it holds. Answer: VaultAnswer."""

    kind: Literal["vault"] = "vault"


@value
class VaultEntry:
    """`state`: resolved, missing (empty), locked, wrong_key, tampered. Times are UTC unix ms, 0 where unknown."""

    ref: str
    state: str
    created_at: int
    updated_at: int


@value
class VaultAnswer:
    """`state`: absent, ok, locked, wrong_key, damaged, newer. `offered_key_id` is of the key that was found.

    `pending`: a new key waits to be put into the variable. `missing` are references of the configuration and the
    profiles that the vault has no entry for, or that are none.
    """

    state: str
    problem: str
    key_source: str
    key_id: str
    offered_key_id: str
    path: str
    pending: bool
    entries: tuple[VaultEntry, ...] = ()
    missing: tuple[str, ...] = ()


@value
class AuthQuery:
    """The credentials of providers, without their secrets. Answer: AuthAnswer."""

    kind: Literal["auth"] = "auth"


@value
class ProfileRow:
    """`state`: eligible, cooling_down (`until`), or its health. `bucket` is how soon it ends. `provider_uses` tells
    whether its provider lists it."""

    profile_id: str
    provider: str
    type: str
    vault_ref: str
    enabled: bool
    provider_uses: bool
    state: str
    health: str
    bucket: str
    until: int | None
    expires_at: int | None
    last_used: int | None
    last_error: str
    last_error_at: int | None
    detail: str


@value
class AuthAnswer:
    """`buckets` count profiles by how soon they end, the empty ones included; `unusable` says why there can be none."""

    profiles: tuple[ProfileRow, ...]
    buckets: dict[str, int]
    problems: tuple[str, ...]
    unusable: str
    path: str


SecretsAsked = VaultQuery | AuthQuery
SecretsTold = VaultAnswer | AuthAnswer
