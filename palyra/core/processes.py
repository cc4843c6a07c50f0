"""Other processes, as the kernel tells of them: numbers are given again, so a start time goes with each.

Source: proc(5), its `stat`, `locks` and `net/unix`. Nothing here waits, writes or takes a lock.
"""

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from palyra.core.values import value

PROC = Path("/proc")
_STATE, _START = 0, 19
"""Places in a `stat` line behind the program's name, which may hold anything."""
_DEAD = "ZXx"
_LISTENS = 0x10000


class Life(StrEnum):
    """Whether a process is there, as far as this one can tell."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"
    """It was started where this process cannot see others: in another container, or beyond a `/proc` there is not."""


@value
class ProcessMark:
    """One process among all there ever were: `started` in clock ticks since the boot `boot`, in the namespace of
    process numbers `space` (an inode). Empty and 0 are unknown."""

    pid: int
    started: int = 0
    boot: str = ""
    space: int = 0

    def to_json(self) -> dict[str, object]:
        """As files keep it."""
        return {"pid": self.pid, "started": self.started, "boot": self.boot, "space": self.space}

    @classmethod
    def read(cls, data: Mapping[str, object]) -> "ProcessMark":
        """What `to_json` wrote, in part or whole. Raises ValueError for what names no process."""
        pid, started, boot, space = (data.get(name) for name in ("pid", "started", "boot", "space"))
        if type(pid) is not int or pid <= 0:
            raise ValueError("no process is named")
        return cls(
            pid,
            started if type(started) is int else 0,
            boot if isinstance(boot, str) else "",
            space if type(space) is int else 0,
        )


def own_mark() -> ProcessMark:
    """This process."""
    pid = os.getpid()
    return ProcessMark(pid, started_at(pid) or 0, boot_id(), _own_space())


def life_of(mark: ProcessMark) -> Life:
    """Whether that very process lives. One of an earlier boot is dead, since no local directory outlives it in use."""
    boot = boot_id()
    if not boot or (mark.space and mark.space != _own_space() and mark.boot in ("", boot)):
        return Life.UNKNOWN
    if mark.boot and mark.boot != boot:
        return Life.DEAD
    started = started_at(mark.pid)
    return Life.DEAD if started is None or (mark.started and started != mark.started) else Life.ALIVE


def started_at(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None when there is none of that number, or only its end is
    still to be asked for."""
    try:
        fields = (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        return None if chr(fields[_STATE][0]) in _DEAD else int(fields[_START])
    except (OSError, IndexError, ValueError):
        return None


def started_ms(pid: int) -> int | None:
    """When a process started, in UTC unix ms, some seconds off at most; None when there is none."""
    ticks, booted = started_at(pid), _booted_s()
    return None if ticks is None or booted is None else 1000 * booted + 1000 * ticks // os.sysconf("SC_CLK_TCK")


def boot_id() -> str:
    """Which boot of the machine this is; empty where nothing tells."""
    try:
        return (PROC / "sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


def lock_holder(path: Path) -> int | None:
    """Who holds a lock of the `flock` kind on a file; None when nobody does that this process could see.

    Raises OSError where the kernel does not list locks, or there is no such file.
    """
    found = os.stat(path)
    for line in (PROC / "locks").read_text("ascii").splitlines():
        words = line.split()
        if len(words) < 6 or words[1] != "FLOCK":
            continue
        major, minor, inode = words[5].split(":")
        same = int(major, 16) == os.major(found.st_dev) and int(minor, 16) == os.minor(found.st_dev)
        if int(inode) == found.st_ino and (same or _has_open(int(words[4]), path)):
            return int(words[4])
    return None


def listened_sockets() -> frozenset[str]:
    """Paths of Unix sockets that somebody listens on. Raises OSError where the kernel does not list them."""
    listened = set()
    for line in os.fsdecode((PROC / "net/unix").read_bytes()).splitlines()[1:]:
        words = line.split(None, 7)
        if len(words) == 8 and int(words[3], 16) & _LISTENS:
            listened.add(words[7])
    return frozenset(listened)


def _has_open(pid: int, path: Path) -> bool:
    """Whether a process has a file open; file systems with volumes list locks under another device than `stat`."""
    try:
        names = os.listdir(PROC / str(pid) / "fd")
    except OSError:
        return False
    for name in names:
        try:
            if os.path.samefile(PROC / str(pid) / "fd" / name, path):
                return True
        except OSError:
            continue
    return False


def _own_space() -> int:
    try:
        return os.stat(PROC / "self/ns/pid").st_ino
    except OSError:
        return 0


def _booted_s() -> int | None:
    try:
        lines = (PROC / "stat").read_text("ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("btime "))
    except (OSError, ValueError, StopIteration):
        return None
