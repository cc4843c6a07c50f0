"""What a repair does to one file: its state before and after, known before anything is written."""

import hashlib
import stat
from enum import StrEnum

from palyra.core.values import value
from palyra.doctor.installation import Input, Kind

PRIVATE_FILE = 0o600
PRIVATE_DIR = 0o700


class Action(StrEnum):
    """What is done to the target of a change."""

    CREATE = "create"
    MODIFY = "modify"
    DELETE = "delete"
    MOVE = "move"
    """The target is a new name under which a file that is about to be replaced is kept."""
    CHMOD = "chmod"
    MKDIR = "mkdir"


class Root(StrEnum):
    """The directory a target is relative to: of the configuration file, links resolved, or of the state."""

    CONFIG = "config"
    STATE = "state"


@value
class FileFacts:
    """What can be told of a path without showing what is in it.

    `sha256` (hex) and `size` (bytes) are of regular files; `mode` is permission bits, `owner` a uid. What does not
    exist has none of them. `mark` stands for the content where that is too large to be read for a plan: it changes
    when the file is written.
    """

    exists: bool
    sha256: str = ""
    size: int = 0
    mode: int = 0
    owner: int = -1
    kind: Kind = Kind.FILE
    mark: str = ""


ABSENT = FileFacts(exists=False)


def facts_of(data: bytes, mode: int, owner: int) -> FileFacts:
    """Facts of a regular file with this content."""
    return FileFacts(True, hashlib.sha256(data).hexdigest(), len(data), mode, owner)


def facts_read(found: Input) -> FileFacts:
    """Facts of a path as it was read."""
    if found.facts is None:
        return ABSENT
    facts = found.facts
    if facts.kind is Kind.FILE and found.data is not None:
        return facts_of(found.data, facts.mode, facts.uid)
    size = facts.size if facts.kind is Kind.FILE else 0
    mark = mark_of(facts.size, facts.mtime_ms, facts.inode) if facts.kind is Kind.FILE else ""
    return FileFacts(True, "", size, facts.mode, facts.uid, facts.kind, mark)


def kind_of(mode: int) -> Kind:
    """The kind in a `st_mode`."""
    kinds = ((stat.S_ISREG, Kind.FILE), (stat.S_ISDIR, Kind.DIRECTORY), (stat.S_ISSOCK, Kind.SOCKET))
    if stat.S_ISLNK(mode):
        return Kind.LINK
    return next((kind for is_one, kind in kinds if is_one(mode)), Kind.OTHER)


def mark_of(size: int, mtime_ms: int, inode: int) -> str:
    """What a file is known again by: size in bytes, time in ms, inode."""
    return f"{size}.{mtime_ms}.{inode}"


@value
class PlannedChange:
    """One change of a repair.

    `target` is relative to `root`, with `/` between its parts; `.` is the root itself. `was` and `content` are the
    bytes before and after where they are known and small enough to be shown; `content` is None for what has none
    (deletes, modes, directories), for what only `work` can make, and for what is too large of what is brought
    back from the file `content_from`, relative to the state directory.

    `work` names the journal work whose product is the new content: it is made beside the target before that is
    touched, and only then `after` knows its digest. `source` is the target a MOVE keeps, `{run}` in a target stands for
    the id of the run. `timeless` is the digest (hex) of the content as it would be were it always the same time, where
    it holds the present one: a plan made again a moment later is the same plan. `levels` are the directories, the
    target the innermost, that go again with one that was made.
    """

    repair_id: str
    action: Action
    root: Root
    target: str
    before: FileFacts
    after: FileFacts
    was: bytes | None = None
    content: bytes | None = None
    holds_secret: bool = False
    work: str = ""
    source: str = ""
    timeless: str = ""
    content_from: str = ""
    levels: int = 1
