"""An installation as it was read: values alone, so that checks and plans are functions of them.

Every input is read on its own; what became of that is its `Reading`. Paths inside the state directory are named
relative to it, with `/` between the parts. Nothing here is redacted: bytes of secrets are among it.
"""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from palyra.core.processes import Life, ProcessMark
from palyra.core.redact import Secret
from palyra.core.values import value
from palyra.doctor.leftovers import Leftover
from palyra.doctor.surroundings import Surroundings

if TYPE_CHECKING:
    from palyra.config.load import LoadResult
    from palyra.config.model import LoadedConfig
    from palyra.doctor.plan import RepairStep
    from palyra.journal.examination import Examined
    from palyra.providers.auth_profiles import AuthProfiles

T = TypeVar("T")

LAST_MS = 253_402_300_800_000
"""The year 10000 in UTC unix ms, which no date can tell."""


class NotReadError(Exception):
    """An input could not be read at all: its reader failed or ran out of time. The text says why."""


class NothingToReadError(Exception):
    """There is nothing to read, for a reason that another check tells. The text is that reason."""


@value
class Reading(Generic[T]):
    """What came of reading one input: exactly one of the three is set.

    `problem`: the reader itself failed or ran out of time, so that checks of it cannot answer. `absent`: there is
    nothing to read, for a reason told elsewhere, so that checks of it are skipped.
    """

    found: T | None = None
    problem: str = ""
    absent: str = ""

    def get(self) -> T:
        """Raises NotReadError, NothingToReadError."""
        if self.problem:
            raise NotReadError(self.problem)
        if self.found is None:
            raise NothingToReadError(self.absent)
        return self.found


class Kind(StrEnum):
    """What lies at a path."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"
    SOCKET = "socket"
    OTHER = "other"


@value
class Facts:
    """What the file system says of a path itself, not of what a link leads to.

    `mode` holds permission bits only, `size` is in bytes, `mtime_ms` in UTC unix ms; `leads_to` is a link's text.
    """

    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ms: int
    inode: int = 0
    device: int = 0
    leads_to: str = ""


@value
class Input:
    """One path. `facts` None: nothing is there. `data` None: its bytes were not read, `problem` says why where that is
    a fault: no permission, larger than the limit, an error of the disk."""

    path: Path
    facts: Facts | None = None
    data: bytes | None = field(default=None, repr=False)
    problem: str = ""
    too_large: bool = False

    @property
    def exists(self) -> bool:
        """Whether there is anything."""
        return self.facts is not None

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return self.facts is not None and self.facts.kind is Kind.FILE

    @property
    def sha256(self) -> str:
        """Of the bytes, in hex; empty where they were not read."""
        return "" if self.data is None else sha256(self.data).hexdigest()


@value
class Space:
    """What is left on the file system of the state directory: bytes, and inodes (None: it does not count them)."""

    free: int
    inodes: int | None
    read_only: bool = False


@value
class StateTree:
    """The state directory and everything in it, links not followed.

    `entries` by relative name; small files with their bytes, the journal, logs and backups of the journal without.
    `problem` says why the tree could not be listed in full.
    """

    root: Input
    entries: Mapping[str, Input] = field(default_factory=dict)
    space: Space | None = None
    problem: str = ""

    def at(self, name: str) -> Input:
        """What lies at a relative name; one that does not exist where nothing does."""
        return self.entries.get(name) or Input(self.root.path / name)


@value
class ConfigCandidate:
    """One place a configuration may be. `source`: `--config`, `PALYRA_CONFIG`, `user` or `system`; `named`: somebody
    asked for this very file. `input` has the bytes of the file a link leads to; `target` is that file, every link
    resolved, with facts and without bytes."""

    source: str
    named: bool
    input: Input
    target: Input

    @property
    def missing(self) -> bool:
        """Whether there is no file: nothing at all, or a link that leads to nothing."""
        link = self.input.facts is not None and self.input.facts.kind is Kind.LINK
        return self.target.facts is None and (link or not (self.input.exists or self.input.problem))


@value
class ConfigFiles:
    """Where configurations may be, in order. `chosen` is the first that is there, or the named one; None: none is.

    `backups` are the `.bak.N` beside the chosen file's target (or beside the place of the default one), by number;
    `directory_exists` is whether the directory they lie in is there.
    """

    candidates: tuple[ConfigCandidate, ...]
    chosen: ConfigCandidate | None
    backups: Mapping[int, Input] = field(default_factory=dict)
    directory_exists: bool = True

    temporaries: tuple[Input, ...] = ()
    """Files beside it that somebody began to write in its place."""

    @property
    def place(self) -> ConfigCandidate:
        """The chosen file, else the one a first configuration would be written to."""
        return self.chosen or self.candidates[0]


@value
class Document:
    """A configuration's file as TOML data; `fault` says why it is none (with line and column, from 1; 0 unknown)."""

    tree: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""
    line: int = 0
    column: int = 0


@value
class EngineFacts:
    """Whether an engine holds the state directory, as the kernel says: `pid` of the lock's holder.

    `responds` is None where nobody asked it; `boot_id` is what its rows in the journal carry. `left` is what the lock
    file says of a holder that let go of it without a word, `left_life` whether that one lives.
    """

    running: bool
    pid: int | None = None
    responds: bool | None = None
    boot_id: str = ""
    left: ProcessMark | None = None
    left_life: Life = Life.DEAD


@value
class Zones:
    """Zones in use that are unknown to the pinned rules, and those for which the system's copy differs from them."""

    used: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()


@value
class JournalRead:
    """`refused` says why it cannot be opened as a journal at all; else there is `examined`."""

    examined: "Examined | None" = None
    refused: str = ""


class VaultCondition(StrEnum):
    """What stands in the way of the vault."""

    ABSENT = "absent"
    OK = "ok"
    LOCKED = "locked"
    WRONG_KEY = "wrong_key"
    DAMAGED = "damaged"
    NEWER = "newer"


@value
class VaultRead:
    """The vault as far as it can be opened. `refs` are its entries, `tampered` and `empty` those among them; `expects`
    is the id of the key it is sealed with, `offered` of the one there is."""

    condition: VaultCondition
    detail: str = ""
    refs: tuple[str, ...] = ()
    tampered: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    expects: str = ""
    offered: str = ""
    secrets: Mapping[str, Secret] = field(default_factory=dict, repr=False)
    """Of the references that are in use."""


@value
class AccessRead:
    """The access registry. `data` is its object where it is one of a version known here; else `fault` says what is
    wrong. `newer`: it is of a later Palyra."""

    data: Mapping[str, Any] | None = field(default=None, repr=False)
    fault: str = ""
    newer: bool = False


@value
class RecoveryRun:
    """A recovery run as its manifest tells: `finished` has an end mark, `fault` says why it cannot be read."""

    run_id: str
    finished: bool
    kind: str = ""
    created_at_ms: int = 0
    fault: str = ""


@value
class Recovery:
    """Recovery runs by id; `holder` is who holds the doctor's lock now, None for nobody. `undo` takes the newest run
    back that was cut short, None where none was."""

    runs: tuple[RecoveryRun, ...] = ()
    holder: int | None = None
    undo: "RepairStep | None" = None


@value
class Reached:
    """What came of asking something outside: empty `fault` when it answers."""

    id: str
    fault: str = ""
    critical: bool = False


@value
class Online:
    """What was asked over the network: providers for their models, and probes."""

    providers: tuple[Reached, ...] = ()
    probes: tuple[Reached, ...] = ()


@value
class Installation:
    """Everything that was read, at `now_ms` (UTC unix ms), by the account `uid`."""

    now_ms: int
    uid: int
    environ: Mapping[str, str] = field(repr=False)
    state_dir: Path
    state: Reading[StateTree]
    config_files: Reading[ConfigFiles]
    settings: "Reading[LoadResult]"
    """What the configuration means; absent where its file cannot be parsed, so that defaults are assumed."""
    engine: Reading[EngineFacts]
    document: Reading[Document]
    """Absent where there is no file, or its bytes could not be read."""
    surroundings: Reading[Surroundings]
    zones: Reading[Zones]
    journal: Reading[JournalRead]
    """Absent where there is none."""
    vault: Reading[VaultRead]
    profiles: "Reading[AuthProfiles]"
    """Absent where there is no file."""
    access: Reading[AccessRead]
    """Absent where there is no file."""
    recovery: Reading[Recovery]
    leftovers: Reading[tuple[Leftover, ...]]
    online: Reading[Online]
    """Absent unless it was asked for."""

    def config(self) -> "LoadedConfig":
        """The configuration in force. Raises NotReadError, and NothingToReadError where it has problems."""
        loaded = self.settings.get()
        if loaded.config is None:
            raise NothingToReadError(f"the configuration has problems ({self._told_by(loaded)})")
        return loaded.config

    @staticmethod
    def _told_by(loaded: "LoadResult") -> str:
        """The check that tells what is wrong."""
        versions = all(problem.code in ("version_invalid", "version_newer") for problem in loaded.problems)
        return "config.version" if versions else "config.values"

    def assumed(self) -> "tuple[LoadedConfig, bool]":
        """The configuration in force, or defaults where it cannot be had; and whether it is defaults."""
        try:
            return self.config(), False
        except (NotReadError, NothingToReadError):
            from palyra.config.model import LoadedConfig

            return LoadedConfig(), True
