"""Something else in the place of a file that Palyra reads: it is told as unreadable, and nobody waits for it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from palyra.control.sockets import SOCKET_FILE, find_socket
from palyra.core.clock import ManualClock
from palyra.doctor.manifest import ManifestError
from palyra.doctor.runs import load_run, run_dir
from palyra.journal.audit import HeadStatus, verify
from palyra.journal.lock import EngineLock
from palyra.tui.memory import Memory, load_memory
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


ODD = (pipe, directory, loop, endless, huge, nested, noise)
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
    if put not in (huge, nested, noise):
        put(tmp_path / "socket.path")
        assert find_socket(tmp_path) == tmp_path / SOCKET_FILE


@put_there
def test_in_place_of_a_repairs_manifest(tmp_path: Path, put: Put) -> None:
    run_dir(tmp_path, RUN_ID).mkdir(parents=True)
    put(run_dir(tmp_path, RUN_ID) / "manifest.json")
    with pytest.raises(ManifestError):
        load_run(tmp_path, RUN_ID)
