"""Which processes live, who holds a lock and who listens, as the kernel tells."""

import fcntl
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from palyra.core.processes import (
    Life,
    ProcessMark,
    life_of,
    listened_sockets,
    lock_holder,
    own_mark,
    started_at,
    started_ms,
)


def ended_process() -> "subprocess.Popen[bytes]":
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process


def test_this_process_lives_and_one_that_has_ended_does_not() -> None:
    mark = own_mark()
    assert mark.pid == os.getpid()
    assert life_of(mark) is Life.ALIVE
    assert life_of(ProcessMark(os.getpid())) is Life.ALIVE
    assert life_of(replace(mark, pid=ended_process().pid)) is Life.DEAD


def test_a_number_that_was_given_again_is_another_process() -> None:
    assert life_of(replace(own_mark(), started=own_mark().started + 1)) is Life.DEAD


def test_what_ran_before_the_machine_was_started_is_dead() -> None:
    assert life_of(replace(own_mark(), boot="5e2b4b1c-0000-0000-0000-000000000000")) is Life.DEAD


def test_of_a_process_in_another_container_nothing_is_known() -> None:
    assert life_of(replace(own_mark(), space=own_mark().space + 1)) is Life.UNKNOWN


def test_a_process_nobody_has_asked_the_end_of_is_dead() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert started_at(process.pid) is None
    process.wait()


def test_a_start_is_no_later_than_what_the_process_does(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    at = started_ms(os.getpid())
    assert at is not None
    assert at <= (tmp_path / "file").stat().st_mtime * 1000 + 2000
    assert started_ms(ended_process().pid) is None


@pytest.mark.parametrize("data", [{}, {"pid": 0}, {"pid": True}, {"pid": "7"}, {"pid": -1}])
def test_what_names_no_process_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no process"):
        ProcessMark.read(data)


def test_a_mark_is_read_back_and_strange_members_are_unknown() -> None:
    assert ProcessMark.read(own_mark().to_json()) == own_mark()
    assert ProcessMark.read({"pid": 7, "started": "x", "boot": 1, "space": None}) == ProcessMark(7)


def test_the_holder_of_a_lock_is_found_without_touching_it(tmp_path: Path) -> None:
    path = tmp_path / "engine.lock"
    path.touch()
    assert lock_holder(path) is None
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert lock_holder(path) == os.getpid()
    assert lock_holder(path) is None


def test_a_socket_somebody_listens_on_is_listed_and_one_left_over_is_not(tmp_path: Path) -> None:
    path = tmp_path / "operators and others.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert str(path) not in listened_sockets()
        server.listen()
        assert str(path) in listened_sockets()
    assert path.exists()
    assert str(path) not in listened_sockets()
