"""What a repair does to one file: its state before and after, known before anything is written."""

import hashlib
import stat
from enum import StrEnum

from palyra.core.values import value

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


class Kind(StrEnum):
    FILE = "file"
    DIRECTORY = "directory"
    SOCKET = "socket"
    OTHER = "other"


@value
class FileFacts:
    """What can be told of a path without showing what is in it.

    `sha256` (hex) and `size` (bytes) are of regular files; `mode` is permission bits, `owner` a uid. What does not
    exist has none of them.
    """

    exists: bool
    sha256: str = ""
    size: int = 0
    mode: int = 0
    owner: int = -1
    kind: Kind = Kind.FILE

    def same_content(self, other: "FileFacts") -> bool:
        """Whether both are absent, or of one kind and content, whoever may read them."""
        if not self.exists or not other.exists:
            return self.exists == other.exists
        return (self.kind, self.sha256, self.size) == (other.kind, other.sha256, other.size)


ABSENT = FileFacts(exists=False)


def facts_of(data: bytes, mode: int, owner: int) -> FileFacts:
    """Facts of a regular file with this content."""
    return FileFacts(True, hashlib.sha256(data).hexdigest(), len(data), mode, owner)


def kind_of(mode: int) -> Kind:
    """The kind in a `st_mode`."""
    if stat.S_ISREG(mode):
        return Kind.FILE
    if stat.S_ISDIR(mode):
        return Kind.DIRECTORY
    return Kind.SOCKET if stat.S_ISSOCK(mode) else Kind.OTHER


@value
class PlannedChange:
    """One change of a repair.

    `target` is relative to `root`, with `/` between its parts; `.` is the root itself. `was` and `content` are the
    bytes before and after where they are known and small enough to be shown; `content` is None for what has none
    (deletes, modes, directories) and for what only `work` can make.

    `work` names the journal work whose product is the new content: it is made beside the target before that is
    touched, and only then `after` knows its digest. `source` is the target a MOVE keeps, `{run}` in a target stands for
    the id of the run. `levels` are the directories a MKDIR makes, the target the innermost.
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
    levels: int = 1
