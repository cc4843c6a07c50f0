"""Where the vault's key is kept: a variable, a file, or the key ring of the desktop or the system.

A holder keeps one key and, while a rotation is under way, the next one beside it. None of them ever replaces a key
that is there but by `promote`.
"""

import base64
import binascii
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

from palyra.core.errors import StateError
from palyra.core.private_files import read_private, remove_files, rename_file, write_first, write_private
from palyra.vault.sealing import KEY_BYTES

VARIABLE = "PALYRA_VAULT_KEY"
SERVICE = "palyra-vault"
PATIENCE_S = 30.0
"""How long a key ring may take for an answer: one that asks somebody at a desk where nobody sits never answers."""

_HEX = re.compile(r"[0-9A-Fa-f]{64}")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]{43}=?")
_LONGEST_LINE = 1024


class KeyFaultError(StateError):
    """There is a key, or a place for one, that cannot be used; the message says why and never holds any of it."""


def key_in(text: str) -> bytes:
    """A key written as base64url of 32 bytes or as 64 hexadecimal digits. Raises KeyFaultError for anything else."""
    text = text.strip()
    if _HEX.fullmatch(text):
        return bytes.fromhex(text)
    if _BASE64URL.fullmatch(text):
        try:
            key = base64.b64decode(text.rstrip("=") + "=", altchars=b"-_", validate=True)
        except binascii.Error:
            key = b""
        if len(key) == KEY_BYTES:
            return key
    raise KeyFaultError("it is neither base64url of 32 bytes nor 64 hexadecimal digits")


def key_text(key: bytes) -> str:
    """A key as people keep it: base64url without padding."""
    return base64.urlsafe_b64encode(key).decode().rstrip("=")


class KeyHolder(ABC):
    """Every method may raise KeyFaultError; those that write, StateError too."""

    name: str
    files: tuple[Path, ...] = ()
    """What is moved away with a vault that is given up."""

    @abstractmethod
    def read(self) -> bytes | None:
        """The key; None where there is none."""

    @abstractmethod
    def read_next(self) -> bytes | None:
        """The key of a rotation under way."""

    @abstractmethod
    def keep(self, key: bytes) -> None:
        """Keeps the first key, only where there is none. What is kept then is to be read: another process may have
        been quicker, and a key ring may have kept nothing."""

    @abstractmethod
    def keep_next(self, key: bytes) -> None:
        """Keeps the key that is to follow. Raises VaultError."""
        ...

    @abstractmethod
    def promote(self) -> None:
        """The next key is the key from now on."""

    @abstractmethod
    def drop_next(self) -> None:
        """Drops the key that was to follow."""
        ...

    @abstractmethod
    def give_up(self, mark: str) -> None:
        """Lets go of a key that is no file of its own; `mark` tells it from others that were given up."""


class VariableKey(KeyHolder):
    """A key that only a person can change."""

    name = "env"

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def read(self) -> bytes | None:
        text = self._environ.get(VARIABLE, "")
        if not text.strip():
            return None
        try:
            return key_in(text)
        except KeyFaultError as error:
            raise KeyFaultError(f"{VARIABLE} holds no key: {error}") from None

    def read_next(self) -> bytes | None:
        return None

    def keep(self, key: bytes) -> None:
        raise KeyFaultError(f"{VARIABLE} is not set")

    keep_next = keep

    def promote(self) -> None:
        return

    drop_next = promote

    def give_up(self, mark: str) -> None:
        return


class FileKey(KeyHolder):
    """One line in a file that nobody else can read."""

    name = "file"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._next = path.with_name(f"{path.name}.next")
        self.files = (path, self._next)

    def read(self) -> bytes | None:
        return self._read(self._path)

    def read_next(self) -> bytes | None:
        return self._read(self._next)

    def _read(self, path: Path) -> bytes | None:
        try:
            data = read_private(path, _LONGEST_LINE, tighten=False)
        except StateError as error:
            raise KeyFaultError(in_passing(error)) from None
        try:
            return None if data is None else key_in(data.decode("ascii", "replace"))
        except KeyFaultError as error:
            raise KeyFaultError(f"{path} holds no key: {error}") from None

    def keep(self, key: bytes) -> None:
        write_first(self._path, f"{key_text(key)}\n".encode())

    def keep_next(self, key: bytes) -> None:
        write_private(self._next, f"{key_text(key)}\n".encode())

    def promote(self) -> None:
        rename_file(self._next, self._path)

    def drop_next(self) -> None:
        remove_files([self._next])

    def give_up(self, mark: str) -> None:
        return


class KeyRingKey(KeyHolder):
    """An entry of the key ring, named after the state directory. Needs the extra `keyring`.

    The ring is asked on a thread of its own, which is left behind where no answer comes within `patience_s`.
    """

    name = "keyring"

    def __init__(self, account: str, load: Callable[[], Any], patience_s: float = PATIENCE_S) -> None:
        self._account = account
        self._load = load
        self._patience_s = patience_s
        self._asking: Thread | None = None

    def read(self) -> bytes | None:
        return self._get(self._account)

    def read_next(self) -> bytes | None:
        return self._get(f"{self._account}.next")

    def _get(self, account: str) -> bytes | None:
        text = self._asked("get_password", account)
        try:
            return None if text is None else key_in(str(text))
        except KeyFaultError as error:
            raise KeyFaultError(f"the key ring's entry holds no key: {error}") from None

    def keep(self, key: bytes) -> None:
        self._asked("set_password", self._account, key_text(key))

    def keep_next(self, key: bytes) -> None:
        self._asked("set_password", f"{self._account}.next", key_text(key))

    def promote(self) -> None:
        key = self.read_next()
        if key is not None:
            self.keep(key)
            self.drop_next()

    def drop_next(self) -> None:
        if self.read_next() is not None:
            self._asked("delete_password", f"{self._account}.next")

    def give_up(self, mark: str) -> None:
        """Kept under another name: it may be wanted with the file in quarantine."""
        key = self.read()
        if key is not None:
            self._asked("set_password", f"{self._account}.given-up-{mark}", key_text(key))
            self._asked("delete_password", self._account)

    def _asked(self, what: str, *words: str) -> object:
        if self._asking is not None and self._asking.is_alive():
            raise KeyFaultError("the key ring still does not answer")
        answers: list[object] = []

        def ask() -> None:
            try:
                answers.append(getattr(self._load(), what)(SERVICE, *words))
            except ImportError:
                answers.append(KeyFaultError("the key ring needs the extra `keyring`, which is not installed"))
            except Exception as error:  # whatever a backend of somebody else's may raise
                answers.append(KeyFaultError(f"the key ring cannot be used ({type(error).__name__})"))

        self._asking = Thread(target=ask, name="key-ring", daemon=True)
        self._asking.start()
        self._asking.join(self._patience_s)
        if not answers:
            raise KeyFaultError(f"the key ring did not answer within {self._patience_s:g} s")
        (answer,) = answers
        if isinstance(answer, KeyFaultError):
            raise answer
        return answer


def holder_of(
    key_source: str, state_dir: Path, environ: Mapping[str, str], key_file: Path, load: Callable[[], Any] | None = None
) -> KeyHolder:
    """Who keeps the key: `auto` is the variable where it is set, else the file (relative: of the state directory)."""
    if key_source == "auto":
        key_source = "env" if environ.get(VARIABLE, "").strip() else "file"
    if key_source == "env":
        return VariableKey(environ)
    if key_source == "keyring":
        return KeyRingKey(str(state_dir.resolve()), load or _key_ring)
    return FileKey(state_dir / key_file)


def _key_ring() -> Any:
    return import_module("keyring")


def in_passing(error: StateError) -> str:
    """An error's words inside a sentence."""
    return "; ".join(part.rstrip(".") for part in (error.message, error.fix) if part)
