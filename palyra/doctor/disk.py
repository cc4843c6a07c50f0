"""The files a repair may touch, each operation by itself and durable.

Every step into the system is announced to a `seam` first, so that tests can end the process or fill the disk at any of
them. Nothing is followed: a link in the way of a target is refused.
"""

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from palyra.core.errors import ConflictError
from palyra.doctor.change import ABSENT, FileFacts, Root, kind_of, mark_of

Seam = Callable[[str], None]

NO_LINKS = frozenset({errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
"""Why a file gets no second name: it is somebody else's, has too many, or its file system knows none."""

_CHUNK = 1 << 20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class OutsideError(ConflictError):
    """A target that leads out of its root, or through a link."""

    code = "outside"


def no_seam(operation: str) -> None:
    """Nothing happens before an operation."""


class Disk:
    """`roots` are the directories targets are relative to, links resolved."""

    def __init__(self, roots: Mapping[Root, Path], seam: Seam = no_seam) -> None:
        self.roots = roots
        self._seam = seam

    def path(self, root: Root, target: str) -> Path:
        """Where a target lies. Raises OutsideError for one that is not inside its root."""
        base = self.roots[root]
        parts = PurePosixPath(target).parts
        if target.startswith("/") or ".." in parts or "\0" in target or not target:
            raise OutsideError(f"{target!r} is no place inside {base}.", fix="Nothing was written.")
        path = base.joinpath(*parts)
        if not parts:
            return path
        if Path(os.path.realpath(path.parent)) != path.parent or path.is_symlink():
            raise OutsideError(f"A link lies in the way of {path}.", fix="Put a file of its own in its place.")
        return path

    def facts(self, path: Path) -> FileFacts:
        """What is there now. Raises OSError where that cannot be told."""
        try:
            found = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return ABSENT
        kind, mode = kind_of(found.st_mode), stat.S_IMODE(found.st_mode)
        if not stat.S_ISREG(found.st_mode):
            return FileFacts(True, "", 0, mode, found.st_uid, kind)
        mark = mark_of(found.st_size, found.st_mtime_ns // 1_000_000, found.st_ino)
        digest = self._digest(path)
        return FileFacts(True, digest, found.st_size, mode, found.st_uid, kind, mark)

    def temporary(self, path: Path) -> Path:
        """A name beside a file for its next content; it tells whose it is, should that be left behind."""
        return path.with_name(f"{path.name}.tmp.{os.getpid()}.{secrets.token_hex(4)}")

    def put(self, path: Path, content: bytes | Path, mode: int, owner: int, temporary: Path | None = None) -> None:
        """Makes or replaces a file in one step; `content` may lie in another file."""
        fresh = temporary or self.temporary(path)
        try:
            self._write(fresh, content, mode, owner)
            self._seam("rename")
            os.rename(fresh, path)
        except BaseException:
            with suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise
        self.sync_dir(path.parent)

    def take(self, made: Path, path: Path, mode: int, owner: int) -> None:
        """Puts a file that was made on the same file system into a place, in one step."""
        if owner not in (-1, made.stat().st_uid):
            with suppress(PermissionError):
                os.chown(made, owner, -1)
        self._seam("chmod")
        os.chmod(made, mode)
        self._sync(made)
        self._seam("rename")
        os.rename(made, path)
        self.sync_dir(path.parent)

    def give_back(self, kept: Path, path: Path, mode: int, owner: int) -> None:
        """Puts a backup back into its place, where it can be without taking new space for it."""
        if kept.stat().st_dev != path.parent.stat().st_dev:
            self.put(path, kept, mode, owner)
            return
        self.take(kept, path, mode, owner)

    def keep(self, path: Path, kept: Path) -> None:
        """Gives a file a second name, under which it stays when the first is given to another; where it may have none,
        as on some file systems and for files of others, a copy."""
        self._seam("link")
        try:
            os.link(path, kept, follow_symlinks=False)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            found = path.lstat()
            self.put(kept, path, stat.S_IMODE(found.st_mode), found.st_uid)
            return
        self.sync_dir(kept.parent)

    def copy(self, path: Path, to: Path) -> FileFacts:
        """A copy that only its owner can read, with the facts of what was copied."""
        self._write(to, path, 0o600, -1)
        self.sync_dir(to.parent)
        found = path.lstat()
        copied = self.facts(to)
        return FileFacts(True, copied.sha256, copied.size, stat.S_IMODE(found.st_mode), found.st_uid)

    def remove(self, path: Path) -> None:
        """Removes a file, durably. Raises OSError."""
        self._seam("unlink")
        path.unlink()
        self.sync_dir(path.parent)

    def chmod(self, path: Path, mode: int) -> None:
        """Changes a file's mode, durably. Raises OSError."""
        self._seam("chmod")
        os.chmod(path, mode)
        self._sync(path)

    def mkdir(self, path: Path, mode: int) -> None:
        """A directory with those above it that are not there."""
        self._seam("mkdir")
        levels = self.missing_levels(path)
        path.mkdir(mode=0o700, parents=True)
        os.chmod(path, mode)
        for one in (path, *path.parents)[:levels]:
            self.sync_dir(one.parent)

    def missing_levels(self, path: Path) -> int:
        """How many directories are not there, from this one up."""
        missing = [path, *path.parents]
        return next((number for number, one in enumerate(missing) if one.exists()), len(missing))

    def rmdir(self, path: Path, levels: int = 1) -> None:
        """Removes a directory, and those around it that were made for it; one that holds something by now stays."""
        for one in (path, *path.parents)[:levels]:
            self._seam("rmdir")
            try:
                one.rmdir()
            except OSError:
                if not os.listdir(one):
                    raise
                return
            self.sync_dir(one.parent)

    def make_socket(self, path: Path, mode: int) -> None:
        """The name of a socket that nobody listens on."""
        self._seam("mknod")
        os.mknod(path, stat.S_IFSOCK | mode)
        os.chmod(path, mode)
        self.sync_dir(path.parent)

    def sync_dir(self, directory: Path) -> None:
        """Makes what happened in a directory durable. Raises OSError."""
        self._seam("sync")
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _write(self, path: Path, content: bytes | Path, mode: int, owner: int) -> None:
        """What is copied keeps the time of its last change."""
        self._seam("open")
        with os.fdopen(os.open(path, _NEW, 0o600), "wb") as file:
            self._seam("write")
            if isinstance(content, bytes):
                file.write(content)
            else:
                with os.fdopen(os.open(content, _READ), "rb") as source:
                    while chunk := source.read(_CHUNK):
                        file.write(chunk)
                    file.flush()
                    found = os.fstat(source.fileno())
                    os.utime(file.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
            file.flush()
            if owner not in (-1, os.geteuid()):
                with suppress(PermissionError):
                    os.fchown(file.fileno(), owner, -1)
            os.fchmod(file.fileno(), mode)
            self._seam("fsync")
            os.fsync(file.fileno())

    def _sync(self, path: Path) -> None:
        """Of a mode that was set, where the path can be opened at all."""
        with suppress(OSError):
            descriptor = os.open(path, _READ)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def _digest(self, path: Path) -> str:
        """Empty for a file this account may not read: it can be closed, moved and removed, but not compared."""
        try:
            descriptor = os.open(path, _READ)
        except PermissionError:
            return ""
        digest = hashlib.sha256()
        with os.fdopen(descriptor, "rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()
