"""What admins may do about the vault and the auth profiles that name entries of it."""

from dataclasses import field
from typing import Literal

from palyra.core.values import value


@value
class SetSecret:
    """Keeps a secret under a reference, in place of any that is there."""

    ref: str
    text: str = field(repr=False)
    kind: Literal["set_secret"] = "set_secret"


@value
class DeleteSecret:
    """A secret leaves the vault."""

    ref: str
    kind: Literal["delete_secret"] = "delete_secret"


@value
class RevealSecret:
    """Tells a secret in the result's `data`; that it was told is written down."""

    ref: str
    kind: Literal["reveal_secret"] = "reveal_secret"


@value
class RotateVault:
    """Seals everything with a new key; `cancel` takes back one that waits to be put into the variable."""

    cancel: bool = False
    kind: Literal["rotate_vault"] = "rotate_vault"


@value
class AbandonVault:
    """Gives up a vault that cannot be opened. `secrets` is how many that are, to be known by who asks."""

    secrets: int
    kind: Literal["abandon_vault"] = "abandon_vault"


@value
class AddProfile:
    """`expires_at` is UTC unix ms, for tokens alone."""

    profile_id: str
    provider: str
    vault_ref: str
    type: Literal["api_key", "token"] = "api_key"
    expires_at: int | None = None
    enabled: bool = True
    kind: Literal["add_profile"] = "add_profile"


@value
class RemoveProfile:
    """A credential of a provider goes."""

    profile_id: str
    kind: Literal["remove_profile"] = "remove_profile"


SecretsCommand = SetSecret | DeleteSecret | RevealSecret | RotateVault | AbandonVault | AddProfile | RemoveProfile
