"""The vault file, `vault.json`, as values: what it holds, what it must look like, and how its entries are sealed.

Pure: no file is read or written here. AES-256-GCM; each write has a fresh nonce of 96 bits. What is authenticated with
an entry is `palyra-vault-v1`, its scope and its key, separated by zero bytes, so that an entry moved to another
reference cannot be opened. Binary fields are base64.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from palyra.core.values import value
from palyra.core.vault_refs import split_ref

VERSION = 1
KEY_BYTES = 32
NONCE_BYTES = 12
MAX_ENTRIES = 4096
MAX_VALUE = 64 * 1024
"""Bytes of a value in UTF-8."""
MAX_FILE = 32 * 1024 * 1024

_MARK = "palyra-vault-v1"
_CHECK_TEXT = b"palyra-vault-key-check"
_CHECK_MARK = f"{_MARK}\0\0key_check".encode()

Entropy = Callable[[int], bytes]


class DamagedError(Exception):
    """The file is not of the vault's format; the message says where."""


class NewerError(Exception):
    """The file is of a later version, which is the message."""


class TamperedError(Exception):
    """Something does not authenticate under the key."""


@value
class EntryFacts:
    """What can be told of an entry without its value. Times are UTC unix ms, 0 where none can be read."""

    ref: str
    created_at: int
    updated_at: int


def key_id_of(key: bytes) -> str:
    """How a key is named: the first 8 hexadecimal digits of SHA-256 of a fixed text and the key."""
    return hashlib.sha256(b"palyra-vault-key-id" + key).hexdigest()[:8]


class VaultFile:
    """A vault file's data. Changes give a new file and keep whatever fields are not known here."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._data = data

    @classmethod
    def new(cls, key: bytes, entropy: Entropy) -> "VaultFile":
        """An empty vault under a key."""
        check = _seal(key, _CHECK_TEXT, _CHECK_MARK, entropy)
        return cls({"version": VERSION, "key_id": key_id_of(key), "key_check": check, "entries": {}})

    @classmethod
    def parse(cls, text: bytes) -> "VaultFile":
        """Raises DamagedError, NewerError. An entry whose fields are broken is kept, and told when it is opened."""
        try:
            data = json.loads(text, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise DamagedError(str(error) if isinstance(error, _TwiceError) else "it is no JSON") from None
        if not isinstance(data, dict):
            raise DamagedError("it is no object")
        version = data.get("version")
        if isinstance(version, bool) or not isinstance(version, int) or version < VERSION:
            raise DamagedError("it has no version this program understands")
        if version > VERSION:
            raise NewerError(str(version))
        if not isinstance(data.get("key_id"), str):
            raise DamagedError("key_id is missing")
        if _sealed(data.get("key_check")) is None:
            raise DamagedError("key_check is missing or broken")
        entries = data.get("entries")
        if not isinstance(entries, dict):
            raise DamagedError("entries is no object")
        if len(entries) > MAX_ENTRIES:
            raise DamagedError(f"it has more than {MAX_ENTRIES} entries")
        for ref in entries:
            if split_ref(ref) is None:
                raise DamagedError("an entry is not named by a reference")
        return cls(data)

    def render(self) -> bytes:
        """As its file has it."""
        return json.dumps(self._data, indent=1).encode() + b"\n"

    @property
    def key_id(self) -> str:
        """Of the key the file says it is sealed with."""
        return str(self._data["key_id"])

    @property
    def refs(self) -> tuple[str, ...]:
        """The references it has secrets for."""
        return tuple(self._entries)

    @property
    def _entries(self) -> Mapping[str, Any]:
        entries: Mapping[str, Any] = self._data["entries"]
        return entries

    def __contains__(self, ref: str) -> bool:
        return ref in self._entries

    def facts(self) -> tuple[EntryFacts, ...]:
        """What is known of a secret without opening it."""
        return tuple(
            EntryFacts(ref, _time(entry, "created_at"), _time(entry, "updated_at"))
            for ref, entry in sorted(self._entries.items())
        )

    def opens_with(self, key: bytes) -> bool:
        """Whether this is the key the file is sealed with."""
        try:
            return _open(key, self._data["key_check"], _CHECK_MARK) == _CHECK_TEXT
        except TamperedError:
            return False

    def get(self, key: bytes, ref: str) -> str | None:
        """An entry's value; None where there is no entry or it is empty. Raises TamperedError."""
        if ref not in self._entries:
            return None
        try:
            return _open(key, self._entries[ref], _bound_to(ref)).decode() or None
        except UnicodeDecodeError:
            raise TamperedError from None

    def with_entry(self, key: bytes, ref: str, text: str, now_ms: int, entropy: Entropy) -> "VaultFile":
        """With an entry set, as of `now_ms` (UTC unix ms)."""
        before = self._entries.get(ref)
        created = _time(before, "created_at") or now_ms
        sealed = _seal(key, text.encode(), _bound_to(ref), entropy)
        entry = {**(before if isinstance(before, dict) else {}), **sealed, "created_at": created, "updated_at": now_ms}
        return self._with({**self._entries, ref: entry})

    def without_entry(self, ref: str) -> "VaultFile":
        """The same without that secret."""
        return self._with({name: entry for name, entry in self._entries.items() if name != ref})

    def under(self, key: bytes, values: Mapping[str, str], entropy: Entropy) -> "VaultFile":
        """The same entries, with these values, sealed with another key. Their times stay."""
        sealed = {
            ref: {**self._entries[ref], **_seal(key, text.encode(), _bound_to(ref), entropy)}
            for ref, text in values.items()
        }
        empty = VaultFile.new(key, entropy)._data
        return VaultFile({**self._data, **empty, "entries": sealed})

    def _with(self, entries: Mapping[str, Any]) -> "VaultFile":
        return VaultFile({**self._data, "entries": entries})


class _TwiceError(ValueError):
    pass


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _TwiceError("a name is written twice")
    return found


def _bound_to(ref: str) -> bytes:
    parts = split_ref(ref)
    assert parts is not None
    return "\0".join([_MARK, *parts]).encode("ascii")


def _seal(key: bytes, plain: bytes, bound_to: bytes, entropy: Entropy) -> dict[str, str]:
    nonce = entropy(NONCE_BYTES)
    sealed = AESGCM(key).encrypt(nonce, plain, bound_to)
    return {"nonce": base64.b64encode(nonce).decode(), "ciphertext": base64.b64encode(sealed).decode()}


def _open(key: bytes, sealed: object, bound_to: bytes) -> bytes:
    found = _sealed(sealed)
    if found is None:
        raise TamperedError
    try:
        return AESGCM(key).decrypt(*found, bound_to)
    except InvalidTag:
        raise TamperedError from None


def _sealed(found: object) -> tuple[bytes, bytes] | None:
    """Nonce and ciphertext, or None where they are not written as they must be."""
    if not isinstance(found, dict):
        return None
    try:
        nonce, ciphertext = (base64.b64decode(found[name], validate=True) for name in ("nonce", "ciphertext"))
    except (KeyError, TypeError, ValueError, binascii.Error):
        return None
    return (nonce, ciphertext) if len(nonce) == NONCE_BYTES and len(ciphertext) >= 16 else None


def _time(entry: object, name: str) -> int:
    found = entry.get(name) if isinstance(entry, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) and found >= 0 else 0
