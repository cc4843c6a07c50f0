"""Who listens on a port of this machine, as far as /proc tells us."""

import os
from pathlib import Path

from palyra.core.values import value

LISTEN = "0A"
"""TCP_LISTEN in the `st` column. Source: include/net/tcp_states.h of Linux."""


@value
class Holder:
    """The process that has a port."""

    pid: int
    name: str


def port_holder(port: int, proc: Path = Path("/proc")) -> Holder | None:
    """The process that listens on this TCP port; None when it is not ours to see."""
    inodes = {inode for table in ("tcp", "tcp6") for inode in listening_inodes(proc / "net" / table, port)}
    if not inodes:
        return None
    wanted = {f"socket:[{inode}]" for inode in inodes}
    for entry in sorted(proc.iterdir()):
        if entry.name.isdigit() and holds(entry / "fd", wanted):
            return Holder(int(entry.name), process_name(entry))
    return None


def listening_inodes(table: Path, port: int) -> set[str]:
    """Inodes of the sockets that listen on a port, from one of the kernel's tables."""
    try:
        lines = table.read_text("ascii").splitlines()[1:]
    except OSError:
        return set()
    suffix = f":{port:04X}"
    columns = (line.split() for line in lines)
    return {row[9] for row in columns if len(row) > 9 and row[1].endswith(suffix) and row[3] == LISTEN}


def holds(descriptors: Path, wanted: set[str]) -> bool:
    """Whether one of a process's descriptors is among the wanted ones."""
    try:
        return any(link(entry) in wanted for entry in descriptors.iterdir())
    except OSError:
        return False


def link(path: Path) -> str:
    """Where a symbolic link leads; empty where that cannot be read."""
    try:
        return os.readlink(path)
    except OSError:
        return ""


def process_name(process: Path) -> str:
    """The name of a process, `?` where it cannot be read."""
    try:
        return (process / "comm").read_text("utf-8", "replace").strip()
    except OSError:
        return "?"
