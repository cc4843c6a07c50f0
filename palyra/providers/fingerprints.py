"""Telling whether a credential is still the same one, without keeping any of it."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable
from pathlib import Path

from palyra.core.private_files import private_lock, read_private, write_private
from palyra.core.redact import Secret

KEY_FILE = "fingerprint.key"
KEY_BYTES = 32
DIGITS = 12
"""Hexadecimal digits of a fingerprint."""


class Fingerprints:
    """HMAC-SHA-256 under a key that never leaves the state directory.

    The key is its own and not derived from the vault's: sealing the vault anew must not make refused credentials look
    changed, and credentials of variables are told apart where there is no vault, or none that can be opened.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def open(cls, state_dir: Path, entropy: Callable[[int], bytes] = secrets.token_bytes) -> "Fingerprints":
        """Reads the key, or makes one: a file, 0600, with one base64url line.

        A new key makes every credential look changed, so what was noted of them (cooling, refusals) is forgotten; so
        is what was noted under a file that holds no key. Raises StateError when the file is not private.
        """
        path = state_dir / KEY_FILE
        with private_lock(state_dir):
            key = _key_of(read_private(path, 1024))
            if key is None:
                key = entropy(KEY_BYTES)
                write_private(path, base64.urlsafe_b64encode(key) + b"\n")
        return cls(key)

    @classmethod
    def read(cls, state_dir: Path, entropy: Callable[[int], bytes] = secrets.token_bytes) -> "Fingerprints":
        """Reads the key and writes nothing: without a usable one every credential looks new.

        Raises StateError when the file is not private.
        """
        return cls.given(read_private(state_dir / KEY_FILE, 1024), entropy)

    @classmethod
    def given(cls, data: bytes | None, entropy: Callable[[int], bytes] = secrets.token_bytes) -> "Fingerprints":
        """With the key in what was read from its file; without a usable one every credential looks new."""
        return cls(_key_of(data) or entropy(KEY_BYTES))

    def of(self, secret: Secret) -> str:
        """A keyed digest by which a secret is known again: DIGITS hexadecimal digits of HMAC-SHA-256."""
        return hmac.new(self._key, secret.reveal().encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:DIGITS]


def _key_of(data: bytes | None) -> bytes | None:
    if data is None:
        return None
    try:
        key = base64.b64decode(data.strip(), altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    return key if len(key) == KEY_BYTES else None
