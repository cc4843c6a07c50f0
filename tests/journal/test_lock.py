"""One engine per state directory, across processes and deaths."""

import errno
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from palyra.core.errors import StateError
from palyra.core.processes import own_mark
from palyra.journal.lock import EngineLock, LockHolder

HOLD = """
import sys
from pathlib import Path
from palyra.core.processes import own_mark
from palyra.journal.lock import EngineLock
EngineLock(Path(sys.argv[1])).acquire(Path("/run/palyra.sock"))
print("held", flush=True)
sys.stdin.read()
"""


def hold_in_another_process(state_dir: Path) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(state_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def test_a_second_engine_is_refused_naming_the_first_until_that_dies(tmp_path: Path) -> None:
    with hold_in_another_process(tmp_path) as process:
        lock = EngineLock(tmp_path)
        with pytest.raises(StateError, match=f"pid {process.pid}") as refused:
            lock.acquire()
        assert refused.value.code == "locked"
        assert not lock.held
        assert lock.holder() == LockHolder(process.pid, "/run/palyra.sock")
        process.kill()
        process.wait()
    lock.acquire()
    assert lock.held
    assert lock.holder() == LockHolder(os.getpid(), "")
    lock.release()


def test_a_lock_within_one_process_holds_too_and_is_let_go(tmp_path: Path) -> None:
    first, second = EngineLock(tmp_path), EngineLock(tmp_path)
    first.acquire(tmp_path / "socket")
    with pytest.raises(StateError, match=f"pid {os.getpid()}"):
        second.acquire()
    first.release()
    first.release()
    assert second.holder() is None
    second.acquire()
    second.release()


def test_the_file_is_for_its_owner_and_says_who_and_where(tmp_path: Path) -> None:
    lock = EngineLock(tmp_path)
    lock.acquire(tmp_path / "socket")
    assert stat.S_IMODE(lock.path.stat().st_mode) == 0o600
    assert json.loads(lock.path.read_text()) == {**own_mark().to_json(), "socket": str(tmp_path / "socket")}
    lock.release()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"[]", b'{"pid": "x", "socket": ""}', b"\xff"])
def test_a_lock_file_full_of_nonsense_names_nobody_and_can_be_taken(tmp_path: Path, content: bytes) -> None:
    lock = EngineLock(tmp_path)
    lock.path.write_bytes(content)
    assert lock.holder() is None
    lock.acquire()
    assert lock.holder() == LockHolder(os.getpid(), "")
    lock.release()


def test_a_directory_that_does_not_exist_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="nowhere"):
        EngineLock(tmp_path / "nowhere").acquire()


def test_a_disk_that_refuses_the_last_word_does_not_keep_the_directory_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = EngineLock(tmp_path)
    first.acquire()

    def refused(*_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", refused)
        first.release()
    assert not first.held
    second = EngineLock(tmp_path)
    second.acquire()
    second.release()
