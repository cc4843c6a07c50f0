"""The vault of one state directory: secrets by reference, sealed in `vault/vault.json`.

In any state but `ok` and `absent` it is read-only: nothing re-keys, empties or makes anew what cannot be opened. A
rotation that was cut short is finished or taken back when the vault is opened next.
"""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field, replace
from pathlib import Path

from palyra.core.errors import BadInputError, ConflictError, NotFoundError, StateError
from palyra.core.plural import plural
from palyra.core.private_files import (
    backups_of,
    drop_backups,
    private_dir,
    private_lock,
    read_private,
    remove_files,
    rename_file,
    write_private,
)
from palyra.core.redact import Secret, remember
from palyra.core.values import value
from palyra.core.vault_refs import split_ref
from palyra.vault.key_holders import VARIABLE, KeyFaultError, holder_of, in_passing, key_text
from palyra.vault.opening import Course, Found, VaultState, course_of
from palyra.vault.sealing import (
    KEY_BYTES,
    MAX_ENTRIES,
    MAX_FILE,
    MAX_VALUE,
    DamagedError,
    Entropy,
    EntryFacts,
    NewerError,
    TamperedError,
    VaultFile,
    key_id_of,
)
from palyra.vault.secrets import Resolution, SecretState

DIRECTORY = "vault"
FILE = "vault.json"
KEY_FILE = Path(DIRECTORY) / "vault.key"
BACKUPS = 1
_OURS = (FILE, f"{FILE}.next", KEY_FILE.name, f"{KEY_FILE.name}.next")


@value
class Rotated:
    """`new_key` is empty but where a person has to put it somewhere: it is not told again."""

    entries: int
    key_id: str
    new_key: Secret | None = None


@value
class _Held:
    """What was read last, in one piece: readers are not to see half of a change that another thread makes."""

    state: VaultState = VaultState.ABSENT
    detail: str = ""
    offered_key_id: str = ""
    pending: bool = False
    file: VaultFile | None = None
    key: bytes | None = field(default=None, repr=False)


class Vault:
    """Made by `Vault.open`, which never raises for what it finds: `state` and `detail` tell.

    Its methods wait for disks, locks and key rings, so they belong on a thread of their own; those that only read what
    is in memory (`resolve` and the properties) may be called from any other meanwhile.
    """

    def __init__(
        self,
        state_dir: Path,
        key_source: str = "auto",
        environ: Mapping[str, str] | None = None,
        key_file: Path = KEY_FILE,
        entropy: Entropy = secrets.token_bytes,
    ) -> None:
        self.path = state_dir / DIRECTORY / FILE
        self._next = self.path.with_name(f"{FILE}.next")
        self._holder = holder_of(key_source, state_dir, environ or {}, key_file)
        self._entropy = entropy
        self._held = _Held()

    @classmethod
    def open(
        cls,
        state_dir: Path,
        key_source: str = "auto",
        environ: Mapping[str, str] | None = None,
        key_file: Path = KEY_FILE,
        *,
        settle: bool = True,
    ) -> "Vault":
        """Reads the vault. With `settle`, a rotation that was cut short is finished or taken back; without, nothing is
        written and the files are read as they would be then. `key_file` is relative to the state directory."""
        vault = cls(state_dir, key_source, environ, key_file)
        vault.reload(settle=settle)
        return vault

    # Reading

    @property
    def key_source(self) -> str:
        """env, file or keyring."""
        return self._holder.name

    @property
    def state(self) -> VaultState:
        """Whether it can be opened, or why not."""
        return self._held.state

    @property
    def detail(self) -> str:
        """Why the state is what it is, where there is more to say."""
        return self._held.detail

    @property
    def key_id(self) -> str:
        """Of the key the file is sealed with; empty where unknown."""
        file = self._held.file
        return "" if file is None else file.key_id

    @property
    def offered_key_id(self) -> str:
        """Of the key that was found; empty where there is none."""
        return self._held.offered_key_id

    @property
    def pending(self) -> bool:
        """Whether a new key waits for being put into the variable."""
        return self._held.pending

    def entries(self) -> tuple[EntryFacts, ...]:
        """Every entry, by reference, without its value; none where the file cannot be read."""
        file = self._held.file
        return () if file is None else file.facts()

    def resolve(self, ref: str) -> Resolution:
        """What a reference names. Never raises."""
        state, text = self._looked_up(ref)
        return Resolution(state, None if text is None else Secret(text))

    def state_of(self, ref: str) -> SecretState:
        """What a reference would resolve to; its value is forgotten at once."""
        return self._looked_up(ref)[0]

    def _looked_up(self, ref: str) -> tuple[SecretState, str | None]:
        held = self._held
        if split_ref(ref) is None:
            return SecretState.INVALID_REF, None
        if held.state is VaultState.ABSENT or (held.file is not None and ref not in held.file):
            return SecretState.MISSING, None
        if held.state is VaultState.WRONG_KEY:
            return SecretState.WRONG_KEY, None
        if held.file is None or held.key is None:
            return SecretState.LOCKED, None
        try:
            found = held.file.get(held.key, ref)
        except TamperedError:
            return SecretState.TAMPERED, None
        return (SecretState.MISSING, None) if found is None else (SecretState.RESOLVED, found)

    def problem(self) -> str:
        """What keeps the vault from being used, in words, once for all its entries; empty where nothing does."""
        count = plural(len(self.entries()), "secret")
        match self.state:
            case VaultState.WRONG_KEY:
                return (
                    f"The vault is sealed with the key {self.key_id}, but the {self._holder.name} key offered is "
                    f"{self.offered_key_id}: {count} cannot be read. Bring the right key back, or run "
                    "`palyra vault abandon`."
                )
            case VaultState.LOCKED:
                return f"The vault is locked, so {count} cannot be read: {self.detail}."
            case VaultState.DAMAGED:
                return f"The vault is damaged: {self.detail}. Run `palyra doctor`."
            case VaultState.NEWER:
                return f"The vault has version {self.detail}, which this Palyra does not know. Upgrade Palyra."
        return ""

    def reload(self, *, settle: bool = True) -> None:
        """Reads everything again."""
        found = self._look()
        if settle and course_of(found) is not Course.STAY:
            try:
                with private_lock(self.path.parent):
                    found = self._look()
                    self._take(found, course_of(found))
                    self._settle(found, course_of(found))
            except StateError as error:
                self._held = replace(self._held, detail=str(error))
            return
        self._take(found, course_of(found))

    def _look(self) -> Found:
        """What lies there, without a judgement of it."""
        current, why = self._parsed(self.path)
        upcoming, _ = self._parsed(self._next)
        key = next_key = None
        key_fault = ""
        try:
            key = self._holder.read()
        except KeyFaultError as error:
            key_fault = str(error)
        try:
            next_key = self._holder.read_next()
        except KeyFaultError:
            next_key = None
        return Found(current, why, upcoming, key, key_fault, next_key)

    def _parsed(self, path: Path) -> tuple[VaultFile | VaultState | None, str]:
        try:
            data = read_private(path, MAX_FILE, tighten=False)
            return (None if data is None else VaultFile.parse(data)), ""
        except StateError as error:
            return VaultState.LOCKED, in_passing(error)
        except DamagedError as error:
            return VaultState.DAMAGED, str(error)
        except NewerError as error:
            return VaultState.NEWER, str(error)

    def _take(self, found: Found, course: Course) -> None:
        """What is in force, as after the files are settled."""
        finishing = course in (Course.FINISH, Course.FINISH_BOTH)
        file = found.upcoming if finishing else found.current
        key = found.next_key if course is Course.FINISH_BOTH else found.key
        state, detail = found.judged(file, key)
        self._held = _Held(
            state,
            detail,
            "" if key is None else key_id_of(key),
            course is Course.STAY and isinstance(found.upcoming, VaultFile) and found.next_key is None,
            file if isinstance(file, VaultFile) else None,
            key,
        )
        if key is not None:
            remember(key_text(key))

    def _settle(self, found: Found, course: Course) -> None:
        """Each step leaves what the next start understands."""
        if course is Course.TAKE_BACK:
            remove_files([self._next])
        if course is Course.FINISH_BOTH:
            self._holder.promote()
        if course in (Course.FINISH, Course.FINISH_BOTH):
            rename_file(self._next, self.path)
            drop_backups(self.path)
        if course is not Course.STAY:
            self._holder.drop_next()

    # Writing

    def set(self, ref: str, text: str, now_ms: int) -> bool:
        """Keeps a secret, of 1 byte to 64 KiB; whether there was none of that reference before. The first one makes
        the vault and, where there is none, its key. `now_ms` is UTC unix ms.

        Raises BadInputError for a reference or a value that is none, ConflictError while a new key waits to be put
        into the variable, StateError in a state in which the vault is read-only.
        """
        if split_ref(ref) is None:
            raise BadInputError(f"{ref!r} is no vault reference.", fix="Write one like global/openai-key.")
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            raise BadInputError("The secret is no UTF-8 text.", fix="Write it in UTF-8.") from None
        if not 1 <= size <= MAX_VALUE:
            raise BadInputError(f"A secret has 1 to {MAX_VALUE} bytes; this one has {size}.")
        remember(text)
        private_dir(self.path.parent, ours=_OURS)
        with private_lock(self.path.parent):
            self._prepare()
            file, key = self._held.file, self._held.key
            if file is None or key is None:
                key = self._first_key()
                file = VaultFile.new(key, self._entropy)
            is_new = ref not in file
            if is_new and len(file.refs) >= MAX_ENTRIES:
                raise ConflictError(f"The vault has {MAX_ENTRIES} entries already.", fix="Delete one first.")
            self._write(file.with_entry(key, ref, text, now_ms, self._entropy), backups=BACKUPS)
            self.reload(settle=False)
        return is_new

    def delete(self, ref: str) -> None:
        """Drops a secret, and the backup that still holds it. Raises NotFoundError, ConflictError, StateError."""
        with self._opened() as (file, _):
            if ref not in file:
                raise NotFoundError(f"The vault has no entry {ref!r}.", fix="See `palyra vault list`.")
            self._write(file.without_entry(ref))
            drop_backups(self.path)
            self.reload(settle=False)

    def rotate(self) -> Rotated:
        """Seals everything with a new key. Where the key is in the variable, the new one is told this once and applies
        as soon as the variable holds it; until then the vault is not changed.

        Raises StateError where any entry cannot be opened: then nothing is done.
        """
        with self._opened(rotating=True) as (file, key):
            values = self._all_of(file, key)
            new = self._entropy(KEY_BYTES)
            by_hand = self._holder.name == "env"
            if not by_hand:
                self._holder.keep_next(new)
            write_private(self._next, file.under(new, values, self._entropy).render())
            written, why = self._parsed(self._next)
            held = new if by_hand else self._holder.read_next()
            if not isinstance(written, VaultFile) or held != new or self._all_of(written, new) != values:
                remove_files([self._next])
                self._holder.drop_next()
                raise StateError(f"What was written does not read as it should: {why or 'another key'}.")
            if not by_hand:
                self._holder.promote()
                rename_file(self._next, self.path)
                drop_backups(self.path)
            self.reload(settle=False)
            return Rotated(len(values), key_id_of(new), Secret(key_text(new)) if by_hand else None)

    def take_back(self) -> bool:
        """Drops a new key that waits to be put into the variable. Whether one did."""
        if not self.path.parent.is_dir():
            return False
        with private_lock(self.path.parent):
            self.reload(settle=False)
            waited = self.pending
            if waited:
                remove_files([self._next])
                self.reload(settle=False)
            return waited

    def abandon(self, count: int, mark: str) -> tuple[Path, ...]:
        """Gives up a vault that cannot be opened: its files get the ending `.quarantine-<mark>`, newest names told.

        `count` is the number of secrets given up, to be known by whoever asks. Raises ConflictError for another number
        and for a vault that can be opened, StateError.
        """
        if not self.path.parent.is_dir():
            raise ConflictError("There is no vault to give up.")
        with private_lock(self.path.parent):
            # What is in memory may be of before somebody brought the right key back.
            self.reload(settle=False)
            if self.state in (VaultState.OK, VaultState.ABSENT):
                raise ConflictError(f"The vault is {self.state}.", fix="Delete entries with `palyra vault delete`.")
            entries = len(self.entries())
            if count != entries:
                raise ConflictError(
                    f"{plural(entries, 'secret')} would be given up, not {count}.",
                    fix=f"Say {entries} if that is what you want.",
                )
            moved = []
            # The file goes first: a key without a file is a vault that was never used.
            for path in (self.path, self._next, *backups_of(self.path), *self._holder.files):
                if path.exists():
                    away = path.with_name(f"{path.name}.quarantine-{mark}")
                    rename_file(path, away)
                    moved.append(away)
            self._holder.give_up(mark)
            self.reload(settle=False)
            return tuple(moved)

    @contextmanager
    def _opened(self, *, rotating: bool = False) -> Iterator[tuple[VaultFile, bytes]]:
        """The lock over a vault that is there and can be opened. Raises NotFoundError, ConflictError, StateError."""
        none = NotFoundError("There is no vault yet.", fix="Keep a first secret with `palyra vault set`.")
        if not self.path.parent.is_dir():
            raise none
        with private_lock(self.path.parent):
            self._prepare(rotating=rotating)
            held = self._held
            if held.file is None or held.key is None:
                raise none
            yield held.file, held.key

    def _prepare(self, *, rotating: bool = False) -> None:
        """Looks again, under the lock; raises what forbids to write."""
        found = self._look()
        course = course_of(found)
        self._take(found, course)
        if self.state not in (VaultState.OK, VaultState.ABSENT):
            raise StateError(self.problem() or "The vault cannot be written.", code=f"vault_{self.state}")
        self._settle(found, course)
        if self.pending and not rotating:
            raise ConflictError(
                f"A new key waits to be put into {VARIABLE}; until then the vault is not changed.",
                fix="Put it there and start again, or run `palyra vault rotate --cancel`.",
            )

    def _first_key(self) -> bytes:
        if backups := backups_of(self.path):
            raise StateError(
                f"{self.path} is gone, but {backups[0].name} is there.",
                fix="Move it back with its key, or remove it.",
            )
        try:
            key = self._held.key or self._holder.read()
            if key is None:
                self._holder.keep(self._entropy(KEY_BYTES))
                key = self._holder.read()
            if key is None:
                raise KeyFaultError("what it was given to keep is not there")
        except KeyFaultError as error:
            raise StateError(f"The vault has no key: {error}.", code="vault_locked") from None
        return key

    def _write(self, file: VaultFile, *, backups: int = 0) -> None:
        data = file.render()
        if len(data) > MAX_FILE:
            raise ConflictError(f"The vault would be larger than {MAX_FILE} bytes.", fix="Delete entries first.")
        write_private(self.path, data, backups=backups)

    def _all_of(self, file: VaultFile, key: bytes) -> dict[str, str]:
        values: dict[str, str] = {}
        for ref in file.refs:
            try:
                found = file.get(key, ref)
            except TamperedError:
                raise StateError(
                    f"{ref} was changed outside Palyra, so nothing was rotated.", fix="Delete it, or set it anew."
                ) from None
            values[ref] = found or ""
        return values
