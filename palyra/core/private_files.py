"""Files only their owner may read or change: directories 0700, files 0600, no symlinks, replaced atomically.

Every failure is a StateError that names the path and what to do. A crash at any step leaves the old content or the new.
"""

import errno
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from palyra.core.errors import StateError
from palyra.core.processes import started_at

LOCK_FILE = "files.lock"

_BEGUN = re.compile(r"\.tmp\.([1-9][0-9]{0,9})(?:\.[0-9a-f]+)?$")
"""A file that is being written, and by whom."""
_UNSYNCED = frozenset({errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.EROFS})
"""Why a directory that is not ours cannot be synced, and need not be."""
_OTHERS = 0o077
_OTHERS_WRITE = 0o022


def why_not_made(directory: Path) -> str:
    """Why a directory that is not there cannot be made; empty where nothing is seen that keeps it from that."""
    above = next((one for one in directory.parents if os.path.lexists(one)), Path("/"))
    if not above.is_dir():
        return f"{above} is no directory"
    if not os.access(above, os.W_OK | os.X_OK):
        return f"nothing can be written in {above}"
    return ""


def why_unusable(directory: Path) -> str:
    """Why a directory can be neither used nor made, from a look at it: a line without a full stop that names it; empty
    where nothing is seen."""
    if not os.path.lexists(directory):
        why = why_not_made(directory.absolute())
        return f"{directory} cannot be used: {why}" if why else ""
    return "" if directory.is_dir() else f"{directory} is no directory"


def private_dir(path: Path, *, ours: Collection[str] = ()) -> Path:
    """Makes a directory 0700, or checks one that is there.

    One with looser permissions is tightened if it is empty or holds a file named in `ours`; any other is refused,
    since closing somebody's directory by mistake would be worse. Its name is durable then, also where another made it
    and died. Raises StateError.
    """
    try:
        make_dirs(path.parent, mode=0o777)
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
            path.chmod(0o700)
        _sync_name(path)
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            raise StateError(f"{path} is a symbolic link.", fix="Name the directory it leads to.")
        if not stat.S_ISDIR(found.st_mode):
            raise StateError(f"{path} is no directory.", fix="Remove it, or name another directory.")
        _check_owner(path, found)
        if found.st_mode & _OTHERS:
            names = set(os.listdir(path))
            if names and not names & set(ours):
                raise StateError(
                    f"{path} is open to other accounts (mode {stat.S_IMODE(found.st_mode):04o}) and holds other files.",
                    fix=f"Name a directory of its own, or run: chmod 700 {path}",
                )
            path.chmod(0o700)
    except OSError as error:
        raise StateError(
            f"{path} cannot be used: {why_not_made(path.absolute()) or error.strerror or error}.",
            fix="Name a directory this account may write to.",
        ) from error
    return path


def make_dirs(path: Path, *, mode: int = 0o700) -> None:
    """Makes a directory, less the umask, with those above it that are not there, durably. One that is there stays as it
    is. Raises OSError."""
    missing = [one for one in (path, *path.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=mode if one == path else 0o777, exist_ok=True)
        _sync_name(one)


def read_private(path: Path, limit: int, *, tighten: bool = True) -> bytes | None:
    """The content of a private file; None when there is none.

    Permissions that let others read are tightened, or refused where `tighten` is false; ones that let others write,
    another owner, a symlink, and more than `limit` bytes are refused. Raises StateError.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _symlink(path) from error
        raise _unusable(path, "read", error) from error
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        # A directory can be opened, but nothing can be made of it that could be read.
        os.close(descriptor)
        raise StateError(f"{path} is no regular file.", fix="Remove it.")
    with os.fdopen(descriptor, "rb") as file:
        _check_owner(path, found)
        if found.st_mode & _OTHERS_WRITE:
            raise StateError(
                f"{path} can be written by other accounts (mode {stat.S_IMODE(found.st_mode):04o}).",
                fix=f"Check what it says, then run: chmod 600 {path}",
            )
        if found.st_mode & _OTHERS and not tighten:
            raise StateError(
                f"{path} can be read by other accounts (mode {stat.S_IMODE(found.st_mode):04o}).",
                fix=f"Run: chmod 600 {path}",
            )
        if found.st_mode & _OTHERS:
            os.fchmod(descriptor, 0o600)
        try:
            data = file.read(limit + 1)
        except OSError as error:
            raise _unusable(path, "read", error) from error
    if len(data) > limit:
        raise StateError(f"{path} is larger than {limit} bytes.", fix="Restore it from a backup, or remove it.")
    return data


def write_private(path: Path, data: bytes, *, backups: int = 0) -> None:
    """Replaces a file, 0600, durably: temporary file beside it, fsync, rename, fsync of the directory.

    `backups` keeps that many earlier contents as `.bak.1` (the newest) and so on. Raises StateError.
    """
    try:
        if path.is_symlink():
            raise _symlink(path)
        _put(path, data, backups)
    except OSError as error:
        raise _unusable(path, "written", error) from error


def write_first(path: Path, data: bytes) -> bool:
    """Writes a file, 0600, durably, where there is none; whether there was none. Of several processes that try, one
    does. Raises StateError."""
    temporary = _temporary(path)
    try:
        _write_new(temporary, data)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
        sync_dir(path.parent)
    except OSError as error:
        raise _unusable(path, "written", error) from error
    return True


def replace_file(path: Path, data: bytes, *, backups: int = 0) -> None:
    """Replaces a file that is there, durably and with backups as `write_private` does; its mode, owner and group stay.
    Raises StateError."""
    try:
        _put(path, data, backups, path.stat())
    except OSError as error:
        raise _unusable(path, "written", error) from error


def backups_of(path: Path) -> list[Path]:
    """A file's backups that are there, the newest first."""
    numbered = re.compile(re.escape(path.name) + r"\.bak\.([1-9][0-9]{0,3})")
    found = [(int(match[1]), match[0]) for match in map(numbered.fullmatch, _names(path.parent)) if match is not None]
    return [path.with_name(name) for _, name in sorted(found)]


def drop_leftovers(directory: Path) -> None:
    """Removes what writers that died left of files they were writing, durably: it may hold secrets, and nobody would
    look for it. What has a writer that lives, and what cannot be removed, stays. Raises StateError."""
    begun = [(name, match) for name in _names(directory) if (match := _BEGUN.search(name)) is not None]
    if not begun:
        return
    with private_lock(directory):
        for name, match in begun:
            pid = int(match[1])
            # What bears this process's number is older than it, or written by nobody who keeps to the lock.
            if pid == os.getpid() or started_at(pid) is None:
                with suppress(OSError):
                    (directory / name).unlink()
        with suppress(OSError):
            sync_dir(directory)


def drop_backups(path: Path) -> None:
    """Removes a file's backups, durably: what they hold is not to be had any more. Raises StateError."""
    remove_files(backups_of(path))


def remove_files(paths: Collection[Path]) -> None:
    """Removes files of one directory, durably and in this order; one that is not there is no error. Raises
    StateError."""
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _unusable(path, "removed", error) from error
    for directory in {path.parent for path in paths}:
        try:
            sync_dir(directory)
        except OSError as error:
            raise _unusable(directory, "written", error) from error


def rename_file(old: Path, new: Path) -> None:
    """Gives a file another name, durably; what bore the name is replaced. Raises StateError."""
    try:
        os.rename(old, new)
        for directory in {old.parent, new.parent}:
            sync_dir(directory)
    except OSError as error:
        raise _unusable(old, "renamed", error) from error


@contextmanager
def new_private_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write piece by piece, 0600, that takes `path`'s place durably once the block ends without an error.

    Until then, and after an error, `path` is as it was and nothing is left beside it. Raises StateError.
    """
    temporary = _temporary(path)
    try:
        if path.is_symlink():
            raise _symlink(path)
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, 0o600)
                yield file
                file.flush()
                os.fsync(descriptor)
            os.rename(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_dir(path.parent)
    except OSError as error:
        raise _unusable(path, "written", error) from error


@contextmanager
def private_lock(directory: Path) -> Iterator[None]:
    """Keeps other processes from writing a directory's private files meanwhile. Waits for its turn."""
    try:
        descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _unusable(directory / LOCK_FILE, "locked", error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _put(path: Path, data: bytes, backups: int, dress: os.stat_result | None = None) -> None:
    temporary = _temporary(path)
    try:
        _write_new(temporary, data, dress)
        if backups:
            _rotate(path, backups)
        os.rename(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_dir(path.parent)


def _temporary(path: Path) -> Path:
    """A new name beside a file that says whose it is: should its writer die, others can tell that it is left over."""
    return path.with_name(f"{path.name}.tmp.{os.getpid()}.{secrets.token_hex(6)}")


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


def _write_new(path: Path, data: bytes, dress: os.stat_result | None = None) -> None:
    """`dress` tells whose the new file is and its mode; None: ours alone. What is synced includes that."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        file.write(data)
        file.flush()
        if dress is not None:
            with suppress(PermissionError):
                os.fchown(descriptor, dress.st_uid, dress.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(dress.st_mode))
        os.fsync(descriptor)


def _rotate(path: Path, backups: int) -> None:
    """Moves the backups up by one and makes the present content the first, without the path ever being absent."""
    if not path.exists():
        return
    for number in range(backups - 1, 0, -1):
        with suppress(FileNotFoundError):
            os.replace(_backup(path, number), _backup(path, number + 1))
    first = _backup(path, 1)
    first.unlink(missing_ok=True)
    os.link(path, first, follow_symlinks=False)


def _backup(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.bak.{number}")


def sync_dir(directory: Path) -> None:
    """Makes the names in a directory durable. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_name(path: Path) -> None:
    """Makes a name durable in its directory where that can be done: this account may be allowed to go through it and no
    more, or it lies on another file system, which knows no such thing."""
    try:
        sync_dir(path.parent)
    except OSError as error:
        if error.errno not in _UNSYNCED:
            raise


def _check_owner(path: Path, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise StateError(
            f"{path} belongs to another account (uid {found.st_uid}).", fix="Run as its owner, or name another place."
        )


def _symlink(path: Path) -> StateError:
    return StateError(f"{path} is a symbolic link.", fix="Put a file of its own in its place.")


def _unusable(path: Path, what: str, error: OSError) -> StateError:
    return StateError(
        f"{path} cannot be {what}: {error.strerror or error}.", fix="Check its permissions and the space left."
    )
