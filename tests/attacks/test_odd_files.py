"""Something else in the place of a file that Palyra reads: it is told as unreadable, nobody waits for it, and nothing
is begun anew over it."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from palyra.control.sockets import SOCKET_FILE, find_socket
from palyra.core.clock import ManualClock
from palyra.core.errors import StateError
from palyra.doctor.manifest import ManifestError
from palyra.doctor.runs import load_run, run_dir
from palyra.journal.audit import HeadStatus, verify
from palyra.journal.lock import EngineLock
from palyra.tui.memory import Memory, load_memory
from palyra.vault.access import REGISTRY_FILE, AccessRegistry
from palyra.vault.opening import VaultState
from palyra.vault.vault import Vault
from tests.journal.test_audit import written

RUN_ID = "01K" + "A" * 23


def pipe(path: Path) -> None:
    os.mkfifo(path, 0o600)


def directory(path: Path) -> None:
    path.mkdir()


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def huge(path: Path) -> None:
    path.touch(0o600)
    os.truncate(path, 3 << 30)


def nested(path: Path) -> None:
    path.write_bytes(b"[" * 60_000)


def noise(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\0{" * 100)


def empty(path: Path) -> None:
    path.touch(0o600)


ODD = (pipe, directory, loop, endless, huge, nested, noise, empty)
Put = Callable[[Path], None]
put_there = pytest.mark.parametrize("put", ODD, ids=[put.__name__ for put in ODD])


@put_there
async def test_in_place_of_the_audits_head(tmp_path: Path, put: Put) -> None:
    await written(tmp_path, ManualClock(), 4)
    head = tmp_path / "audit.head"
    head.unlink()
    put(head)
    report = verify(tmp_path / "journal.db", head)
    assert (report.ok, report.head_status) == (False, HeadStatus.UNREADABLE)


@put_there
def test_in_place_of_what_a_screen_remembers(tmp_path: Path, put: Put) -> None:
    put(tmp_path / "console.json")
    assert load_memory(tmp_path / "console.json") == Memory()


@put_there
def test_in_place_of_the_lock_and_of_the_sockets_place(tmp_path: Path, put: Put) -> None:
    lock = EngineLock(tmp_path)
    put(lock.path)
    assert lock.holder() is None
    if put not in (huge, nested, noise, empty):
        put(tmp_path / "socket.path")
        assert find_socket(tmp_path) == tmp_path / SOCKET_FILE


@put_there
def test_in_place_of_a_repairs_manifest(tmp_path: Path, put: Put) -> None:
    run_dir(tmp_path, RUN_ID).mkdir(parents=True)
    put(run_dir(tmp_path, RUN_ID) / "manifest.json")
    with pytest.raises(ManifestError):
        load_run(tmp_path, RUN_ID)


def lying_there(path: Path) -> tuple[int, int, bytes]:
    """What is in a place, how large it is, and what it holds where that is little; modes may be tightened."""
    found = path.lstat()
    little = stat.S_ISREG(found.st_mode) and found.st_size < 1 << 20
    return stat.S_IFMT(found.st_mode), found.st_size, path.read_bytes() if little else b""


@put_there
def test_in_place_of_the_access_registry(tmp_path: Path, put: Put) -> None:
    """The start stops, or nobody is let in; neither makes another registry or another key."""
    clock = ManualClock()
    token = AccessRegistry.open(tmp_path, clock).key_file.read_bytes()
    path = tmp_path / REGISTRY_FILE
    path.unlink()
    put(path)
    before = lying_there(path)
    if put in (pipe, directory, loop, endless, huge):
        with pytest.raises(StateError, match=REGISTRY_FILE) as told:
            AccessRegistry.open(tmp_path, clock)
        assert told.value.fix
    else:
        registry = AccessRegistry.open(tmp_path, clock)
        assert registry.unavailable
        assert registry.authenticate(token.decode().strip()) is None
        assert (dict(registry.keys), registry.operators, registry.first_start) == ({}, (), False)
        with pytest.raises(StateError):
            registry.add_key("ci", "bot")
    assert AccessRegistry.look(tmp_path, clock).unavailable
    assert (lying_there(path), (tmp_path / "gateway-key.txt").read_bytes()) == (before, token)


@put_there
def test_in_place_of_the_vault(tmp_path: Path, put: Put) -> None:
    """It is locked or damaged and says why; no secret is kept in another one that takes its place."""
    Vault.open(tmp_path).set("global/acme", "sealed-canary-0001", 1)
    path = tmp_path / "vault" / "vault.json"
    key = (tmp_path / "vault" / "vault.key").read_bytes()
    path.unlink()
    put(path)
    before = lying_there(path)
    vault = Vault.open(tmp_path)
    assert vault.state in (VaultState.LOCKED, VaultState.DAMAGED)
    assert vault.problem()
    assert vault.resolve("global/acme").secret is None
    with pytest.raises(StateError):
        vault.set("global/other", "sealed-canary-0002", 2)
    assert (lying_there(path), (tmp_path / "vault" / "vault.key").read_bytes()) == (before, key)


FLIPS = (0x01, 0x20, 0x80)


def flipped(data: bytes, step: int) -> Iterator[bytes]:
    """The same with one bit changed, at every so many-th byte."""
    for number, at in enumerate(range(0, len(data), step)):
        yield data[:at] + bytes([data[at] ^ FLIPS[number % len(FLIPS)]]) + data[at + 1 :]


def test_no_bit_of_the_access_registry_makes_it_begin_anew_or_empty_without_a_word(tmp_path: Path) -> None:
    clock = ManualClock()
    honest = AccessRegistry.open(tmp_path, clock)
    honest.issue_token("ana", owner="keeper")
    path, data, key = honest.path, honest.path.read_bytes(), honest.key_file.read_bytes()
    said = 0
    for spoilt in flipped(data, 2):
        path.write_bytes(spoilt)
        registry = AccessRegistry.open(tmp_path, clock)
        assert not registry.first_start
        assert (path.read_bytes(), honest.key_file.read_bytes()) == (spoilt, key)
        told = bool(registry.unavailable or registry.faults)
        assert told or (registry.keys and registry.operators_registered), spoilt
        said += told
    assert said > 100


def test_no_bit_of_the_vault_makes_it_begin_anew_or_tell_another_secret(tmp_path: Path) -> None:
    Vault.open(tmp_path).set("global/acme", "sealed-canary-0001", 1)
    path = tmp_path / "vault" / "vault.json"
    data, key = path.read_bytes(), (tmp_path / "vault" / "vault.key").read_bytes()
    lost = 0
    for spoilt in flipped(data, 2):
        path.write_bytes(spoilt)
        vault = Vault.open(tmp_path)
        found = vault.resolve("global/acme")
        assert found.secret is None or found.secret.reveal() == "sealed-canary-0001"
        assert vault.state is not VaultState.ABSENT
        assert vault.problem() or vault.state is VaultState.OK
        assert (path.read_bytes(), (tmp_path / "vault" / "vault.key").read_bytes()) == (spoilt, key)
        lost += found.secret is None
    assert lost > 100
