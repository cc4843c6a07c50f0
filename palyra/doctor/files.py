"""Reading files and directories so that nothing changes: no lock, no creation, and no time of access where the system
allows it."""

import os
import stat
from pathlib import Path

from palyra.core.private_files import why_not_made
from palyra.core.reasons import reason_of
from palyra.doctor.installation import Facts, Input, Kind, Space, StateTree

MOST_BYTES = 32 * 1024 * 1024
"""Of one file; none that is read whole may be larger."""
MOST_ENTRIES = 20_000
UNREAD = ("journal.db", "logs/", "backups/", "recovery/")
"""What names of files begin with whose bytes are not read."""
DIRECTORIES_DEEP = 12

_KINDS = (
    (stat.S_ISREG, Kind.FILE),
    (stat.S_ISDIR, Kind.DIRECTORY),
    (stat.S_ISLNK, Kind.LINK),
    (stat.S_ISSOCK, Kind.SOCKET),
)


class _TooLargeError(Exception):
    """A file larger than is read."""


class Files:
    """The file system, as far as it is asked. Tests put others in its place."""

    def lstat(self, path: Path) -> os.stat_result:
        """Facts of a path itself. Raises OSError."""
        return os.lstat(path)

    def statvfs(self, path: Path) -> os.statvfs_result:
        """Facts of the file system under a path. Raises OSError."""
        return os.statvfs(path)

    def facts(self, path: Path) -> Facts | None:
        """None where nothing is. Raises OSError."""
        try:
            found = self.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Facts(
            next((kind for is_kind, kind in _KINDS if is_kind(found.st_mode)), Kind.OTHER),
            stat.S_IMODE(found.st_mode),
            found.st_uid,
            found.st_gid,
            found.st_size,
            found.st_mtime_ns // 1_000_000,
            found.st_ino,
            found.st_dev,
            os.readlink(path) if stat.S_ISLNK(found.st_mode) else "",
        )

    def look(self, path: Path, *, read: bool = True, follow: bool = False, limit: int = MOST_BYTES) -> Input:
        """One path; with `read`, its bytes if it is a file, or with `follow` of the file that a link leads to."""
        try:
            facts = self.facts(path)
        except (OSError, ValueError) as error:
            return Input(path, problem=_reason(error))
        wanted = facts is not None and (facts.kind is Kind.FILE or (follow and facts.kind is Kind.LINK))
        if not (read and wanted):
            return Input(path, facts)
        try:
            return Input(path, facts, self.read(path, limit, follow=follow))
        except _TooLargeError as error:
            return Input(path, facts, problem=str(error), too_large=True)
        except (OSError, ValueError) as error:
            return Input(path, facts, problem=_reason(error))

    def why_not_made(self, directory: Path) -> str:
        """Why a directory that is not there cannot be made; empty where it can."""
        return why_not_made(directory)

    def names(self, directory: Path) -> list[str]:
        """What lies in a directory, sorted; its time of access stays where that may be. Raises OSError."""
        try:
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOATIME)
        except PermissionError:
            return sorted(os.listdir(directory))
        try:
            return sorted(os.listdir(descriptor))
        finally:
            os.close(descriptor)

    def space(self, path: Path) -> Space:
        """Raises OSError."""
        found = self.statvfs(path)
        return Space(
            found.f_bavail * found.f_frsize,
            found.f_favail if found.f_files else None,
            read_only=bool(found.f_flag & os.ST_RDONLY),
        )

    def read(self, path: Path, limit: int, *, follow: bool) -> bytes:
        """At most `limit` bytes, leaving no trace where the system lets it. Raises OSError."""
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW)
        try:
            descriptor = os.open(path, flags | os.O_NOATIME)
        except PermissionError:
            # Only a file's owner may leave its time of access alone.
            descriptor = os.open(path, flags)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ValueError("it is no regular file")
            data = file.read(limit + 1)
        if len(data) > limit:
            raise _TooLargeError(f"it is larger than {limit} bytes")
        return data


def read_tree(files: Files, root: Path) -> StateTree:
    """A directory with everything below it; links are not followed, other file systems are not entered."""
    found = files.look(root)
    if found.facts is None and not found.problem:
        found = Input(root, problem=files.why_not_made(root))
    if found.facts is None or found.facts.kind is not Kind.DIRECTORY:
        return StateTree(found, problem=found.problem)
    entries: dict[str, Input] = {}
    problems: list[str] = []
    waiting = [""]
    while waiting and len(entries) < MOST_ENTRIES:
        below = waiting.pop()
        try:
            names = files.names(root / below)
        except OSError as error:
            problems.append(f"{below or root} cannot be listed: {_reason(error)}")
            continue
        for name in names[: MOST_ENTRIES - len(entries)]:
            relative = f"{below}{name}"
            one = files.look(root / relative, read=_is_read(relative))
            entries[relative] = one
            if _is_entered(one, found.facts.device) and relative.count("/") < DIRECTORIES_DEEP:
                waiting.append(f"{relative}/")
    try:
        space: Space | None = files.space(root)
    except OSError as error:
        problems.append(f"the room left cannot be asked for: {_reason(error)}")
        space = None
    return StateTree(found, dict(sorted(entries.items())), space, "; ".join(problems))


def _is_entered(one: Input, device: int) -> bool:
    return one.facts is not None and one.facts.kind is Kind.DIRECTORY and one.facts.device == device


def _is_read(name: str) -> bool:
    return not name.startswith(UNREAD) or (name.startswith("recovery/") and name.endswith((".json", ".lock", ".jsonl")))


def _reason(error: Exception) -> str:
    return reason_of(error) if isinstance(error, OSError) else str(error)
