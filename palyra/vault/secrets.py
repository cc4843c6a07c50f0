"""Looking up what a vault reference names."""

from enum import StrEnum
from typing import Protocol

from palyra.core.redact import Secret
from palyra.core.values import value


class SecretState(StrEnum):
    """What became of a look-up."""

    RESOLVED = "resolved"
    INVALID_REF = "invalid_ref"
    MISSING = "missing"
    """No entry, or an empty one."""
    LOCKED = "locked"
    """There is no key to open the vault with."""
    WRONG_KEY = "wrong_key"
    TAMPERED = "tampered"

    @property
    def unreadable(self) -> bool:
        """Whether something is there that cannot be read."""
        return self in (SecretState.LOCKED, SecretState.WRONG_KEY, SecretState.TAMPERED)


@value
class Resolution:
    """`secret` is set exactly when `state` is resolved."""

    state: SecretState
    secret: Secret | None = None


class SecretSource(Protocol):
    """Somewhere secrets are kept by reference (`<scope>/<key>`)."""

    def resolve(self, ref: str) -> Resolution:
        """Never raises: what is wrong is told by the state."""
        ...
