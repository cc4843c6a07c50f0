"""The filesystems that an engine writes to, as the kernel tells of them, and which of them were once writable."""

import os
import tempfile
from pathlib import Path

from palyra.diagnostics.storing import FilesystemData


class Disks:
    """Remembers, since a disk that turned read-only is another matter than one that was mounted so. Sizes in bytes."""

    def __init__(self) -> None:
        self._writable: set[tuple[str, str]] = set()

    def look(self, state: Path, config: Path | None) -> tuple[FilesystemData, ...]:
        """Of the state directory, of temporary files and of the configuration's directory. Blocks; raises OSError."""
        places = [("state", state), ("temp", _temporary()), *([] if config is None else [("config", config)])]
        return tuple(self._one(purpose, path) for purpose, path in places)

    def _one(self, purpose: str, path: Path) -> FilesystemData:
        facts = _statvfs(path)
        read_only = bool(facts.f_flag & os.ST_RDONLY)
        if not read_only:
            self._writable.add((purpose, str(path)))
        return FilesystemData(
            purpose=purpose,
            path=str(path),
            total_bytes=facts.f_blocks * facts.f_frsize,
            free_bytes=facts.f_bavail * facts.f_frsize,
            free_inodes=facts.f_favail if facts.f_files else None,
            read_only=read_only,
            turned_read_only=read_only and (purpose, str(path)) in self._writable,
        )


def _temporary() -> Path:
    """Where temporary files go, or would if they could be written anywhere."""
    try:
        return Path(tempfile.gettempdir())
    except OSError:
        return Path(os.environ.get("TMPDIR") or "/tmp")  # noqa: S108 only looked at


def _statvfs(path: Path) -> os.statvfs_result:
    """Of the nearest directory that is there: what was removed was on the disk of its parent. Raises OSError."""
    while True:
        try:
            return os.statvfs(path)
        except FileNotFoundError:
            if path == path.parent:
                raise
            path = path.parent
