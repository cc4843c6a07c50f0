"""Ways in which a state directory goes wrong."""

import errno
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from palyra.core.processes import ProcessMark, own_mark
from palyra.doctor.files import Files
from tests.doctor.fault import BLOCKING, INFO, WARNING, Fault
from tests.doctor.healthy import Patient

CHMOD, CLEANUP = ("state.permissions",), ("state.cleanup",)
MIB = 1024**2
LONG_AGO_MS = 6 * 60_000

Inflict = Callable[[Patient], object]


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


class Strange(Files):
    """A file system that says something else about some paths."""

    def __init__(self, *, owners: dict[str, int] | None = None, broken: str = "", **space: int) -> None:
        self._owners = owners or {}
        self._broken = broken
        self._space = space

    def lstat(self, path: Path) -> os.stat_result:
        found = super().lstat(path)
        if path.name in self._owners:
            fields = list(found)
            fields[4] = self._owners[path.name]
            return os.stat_result(fields, {"st_mtime_ns": found.st_mtime_ns, "st_dev": found.st_dev})
        return found

    def statvfs(self, path: Path) -> os.statvfs_result:
        found = list(super().statvfs(path))
        # Source of the places: os.statvfs_result.
        for place, name in ((4, "bavail"), (7, "favail"), (8, "flag")):
            found[place] = self._space.get(name, found[place])
        if "bavail" in self._space:
            found[1] = 1
        return os.statvfs_result(found)

    def read(self, path: Path, limit: int, *, follow: bool) -> bytes:
        if path.name == self._broken:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(path, limit, follow=follow)


def sees(**told: object) -> Inflict:
    def inflict(patient: Patient) -> None:
        patient.files = Strange(**told)  # type: ignore[arg-type]

    return inflict


def mode(name: str, bits: int) -> Inflict:
    return lambda patient: (patient.state / name).chmod(bits)


def linked(name: str) -> Inflict:
    def inflict(patient: Patient) -> None:
        path = patient.state / name
        if path.exists():
            path.rename(patient.root / "elsewhere")
        path.symlink_to(patient.root / "elsewhere")

    return inflict


def in_the_way(name: str) -> Inflict:
    def inflict(patient: Patient) -> None:
        shutil.rmtree(patient.state / name, ignore_errors=True)
        patient.write(name, b"a file")

    return inflict


def left(name: str, age_ms: int = LONG_AGO_MS, *, root: str = "state") -> Inflict:
    """A temporary file of a writer that has ended."""

    def inflict(patient: Patient) -> None:
        path = patient.root / root / name.replace("PID", str(dead_pid()))
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_bytes(b"half")
        path.chmod(0o600)
        at = (patient.now - age_ms) / 1000
        os.utime(path, (at, at))

    return inflict


def dead_socket(patient: Patient) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(patient.state / "s"))
        server.listen()
    (patient.state / "s").rename(patient.state / "operators.sock")
    (patient.state / "operators.sock").chmod(0o600)


def open_socket(patient: Patient) -> None:
    dead_socket(patient)
    (patient.state / "operators.sock").chmod(0o666)


def stale(mark: Callable[[], ProcessMark], *, pointer: bool = False) -> Inflict:
    """The lock of an engine that ended without a word."""

    def inflict(patient: Patient) -> None:
        import json

        patient.write("engine.lock", json.dumps({**mark().to_json(), "socket": "/run/x.sock"}))
        if pointer:
            patient.write("socket.path", "/run/x.sock\n")

    return inflict


def of_the_dead() -> ProcessMark:
    return ProcessMark(dead_pid(), 1, own_mark().boot, own_mark().space)


def of_an_earlier_boot() -> ProcessMark:
    return ProcessMark(os.getpid(), own_mark().started, "5e2b4b1c-1111-2222-3333-444444444444", own_mark().space)


def of_elsewhere() -> ProcessMark:
    return ProcessMark(7, 1, own_mark().boot, own_mark().space + 1)


def no_state(patient: Patient) -> None:
    shutil.rmtree(patient.state)


def state_is_a_file(patient: Patient) -> None:
    shutil.rmtree(patient.state)
    patient.state.write_bytes(b"")


def state_is_a_link(patient: Patient) -> None:
    patient.state.rename(patient.root / "elsewhere")
    patient.state.symlink_to(patient.root / "elsewhere")


def somebody_else_looks(patient: Patient) -> None:
    patient.uid = 4242


FAULTS = (
    Fault("no state directory", no_state, "state.directory", INFO, ("state.create",), "."),
    Fault("the state directory is a file", state_is_a_file, "state.directory", BLOCKING, (), "."),
    Fault("the state directory is a link", state_is_a_link, "state.symlinks", BLOCKING, (), "."),
    Fault("another account's directory", somebody_else_looks, "state.directory", BLOCKING, (), "."),
    Fault(
        "a file of another account", sees(owners={"audit.head": 4242}), "state.directory", BLOCKING, (), "audit.head"
    ),
    Fault(
        "a vault of another account",
        sees(owners={"vault.json": 4242}),
        "state.directory",
        BLOCKING,
        (),
        "vault/vault.json",
    ),
    Fault(
        "a registry the disk does not give back",
        sees(broken="access_registry.json"),
        "state.directory",
        BLOCKING,
        (),
        "access_registry.json",
    ),
    Fault(
        "a head the disk does not give back", sees(broken="audit.head"), "state.directory", BLOCKING, (), "audit.head"
    ),
    Fault("a file system that is read-only", sees(flag=os.ST_RDONLY), "state.directory", BLOCKING, (), "file system"),
    Fault("a file where the vault belongs", in_the_way("vault"), "state.directory", BLOCKING, (), "vault"),
    Fault("a file where logs belong", in_the_way("logs"), "state.directory", BLOCKING, (), "logs"),
    Fault("a file where backups belong", in_the_way("backups"), "state.directory", BLOCKING, (), "backups"),
    Fault("a file where recovery belongs", in_the_way("recovery"), "state.directory", BLOCKING, (), "recovery"),
    Fault("the directory is readable", mode(".", 0o755), "state.permissions", WARNING, CHMOD, "."),
    Fault("the directory is writable", mode(".", 0o777), "state.permissions", BLOCKING, CHMOD, "."),
    Fault("the directory can be entered by the group", mode(".", 0o710), "state.permissions", WARNING, CHMOD, "."),
    Fault("the vault's directory is readable", mode("vault", 0o755), "state.permissions", BLOCKING, CHMOD, "vault"),
    Fault("the logs are readable", mode("logs", 0o750), "state.permissions", WARNING, CHMOD, "logs"),
    Fault("the logs are writable", mode("logs", 0o770), "state.permissions", BLOCKING, CHMOD, "logs"),
    Fault(
        "the vault's key is readable",
        mode("vault/vault.key", 0o644),
        "state.permissions",
        BLOCKING,
        CHMOD,
        "vault/vault.key",
    ),
    Fault(
        "the vault's key is the group's",
        mode("vault/vault.key", 0o640),
        "state.permissions",
        BLOCKING,
        CHMOD,
        "vault/vault.key",
    ),
    Fault(
        "the vault is readable",
        mode("vault/vault.json", 0o644),
        "state.permissions",
        BLOCKING,
        CHMOD,
        "vault/vault.json",
    ),
    Fault(
        "the registry is readable",
        mode("access_registry.json", 0o644),
        "state.permissions",
        BLOCKING,
        CHMOD,
        "access_registry.json",
    ),
    Fault(
        "the registry is writable",
        mode("access_registry.json", 0o666),
        "state.permissions",
        BLOCKING,
        CHMOD,
        "access_registry.json",
    ),
    Fault(
        "a registry's backup is readable",
        mode("access_registry.json.bak.1", 0o604),
        "state.permissions",
        BLOCKING,
        CHMOD,
        "access_registry.json.bak.1",
    ),
    Fault(
        "auth profiles are readable",
        mode("auth_profiles.toml", 0o644),
        "state.permissions",
        BLOCKING,
        CHMOD,
        "auth_profiles.toml",
    ),
    Fault(
        "the first key is readable",
        mode("gateway-key.txt", 0o644),
        "state.permissions",
        BLOCKING,
        CHMOD,
        "gateway-key.txt",
    ),
    Fault(
        "the key of fingerprints is readable",
        mode("fingerprint.key", 0o644),
        "state.permissions",
        BLOCKING,
        CHMOD,
        "fingerprint.key",
    ),
    Fault("the journal is readable", mode("journal.db", 0o644), "state.permissions", WARNING, CHMOD, "journal.db"),
    Fault("the chain's head is readable", mode("audit.head", 0o644), "state.permissions", WARNING, CHMOD, "audit.head"),
    Fault(
        "the log is readable", mode("logs/palyra.log", 0o644), "state.permissions", WARNING, CHMOD, "logs/palyra.log"
    ),
    Fault("the lock is readable", mode("engine.lock", 0o644), "state.permissions", WARNING, CHMOD, "engine.lock"),
    Fault(
        "the journal is closed to its owner",
        mode("journal.db", 0o400),
        "state.permissions",
        WARNING,
        CHMOD,
        "journal.db",
    ),
    Fault("the vault is closed to its owner", mode("vault", 0o500), "state.permissions", WARNING, CHMOD, "vault"),
    Fault("the socket is open to all", open_socket, "state.permissions", BLOCKING, CHMOD, "operators.sock"),
    Fault("the journal is a link", linked("journal.db"), "state.symlinks", BLOCKING, (), "journal.db"),
    Fault(
        "the registry is a link", linked("access_registry.json"), "state.symlinks", BLOCKING, (), "access_registry.json"
    ),
    Fault("the vault is a link", linked("vault/vault.json"), "state.symlinks", BLOCKING, (), "vault/vault.json"),
    Fault("the key is a link", linked("vault/vault.key"), "state.symlinks", BLOCKING, (), "vault/vault.key"),
    Fault("the logs are a link", linked("logs"), "state.symlinks", BLOCKING, (), "logs"),
    Fault("a link to nothing", linked("backups"), "state.symlinks", BLOCKING, (), "backups"),
    Fault("a filling disk", sees(bavail=500 * MIB), "state.disk", WARNING, (), "space"),
    Fault("a full disk", sees(bavail=10 * MIB), "state.disk", BLOCKING, (), "space"),
    Fault("nothing left on the disk", sees(bavail=0), "state.disk", BLOCKING, (), "space"),
    Fault("no inodes", sees(favail=0), "state.disk", BLOCKING, (), "inodes"),
    Fault("a file half written", left("access_registry.json.tmp.PID.0a1b2c"), "state.leftovers", WARNING, CLEANUP),
    Fault("a head half written", left("audit.head.tmp.PID"), "state.leftovers", WARNING, CLEANUP),
    Fault("a vault half written", left("vault/vault.json.tmp.PID.ffff"), "state.leftovers", WARNING, CLEANUP),
    Fault("a backup half written", left("backups/journal-v3-1.db.tmp.PID"), "state.leftovers", WARNING, CLEANUP),
    Fault(
        "a configuration half written",
        left("palyra.toml.tmp.PID.0a1b2c", root="etc"),
        "state.leftovers",
        WARNING,
        CLEANUP,
    ),
    Fault("a dead socket", dead_socket, "state.leftovers", WARNING, CLEANUP, "operators.sock"),
    Fault("a stale lock", stale(of_the_dead), "state.leftovers", WARNING, (), "engine.lock"),
    Fault(
        "a lock from before the machine was started",
        stale(of_an_earlier_boot),
        "state.leftovers",
        WARNING,
        (),
        "engine.lock",
    ),
    Fault(
        "a stale pointer to a socket",
        stale(of_the_dead, pointer=True),
        "state.leftovers",
        WARNING,
        CLEANUP,
        "socket.path",
    ),
    Fault(
        "a pointer of an engine elsewhere",
        stale(of_elsewhere, pointer=True),
        "state.leftovers",
        WARNING,
        (),
        "socket.path",
    ),
    Fault(
        "a rotation cut short",
        lambda patient: patient.write("vault/vault.key.next", b"x"),
        "state.leftovers",
        WARNING,
        (),
        "vault/vault.key.next",
    ),
)
