"""What the dead left behind is told from what the living still need."""

import os
from pathlib import Path

from palyra.core.processes import started_ms
from palyra.doctor.files import Files, read_tree
from palyra.doctor.installation import EngineFacts
from palyra.doctor.leftovers import Left
from palyra.doctor.reading_engine import find_leftovers
from tests.doctor.faults_of_state import dead_pid

MINUTE = 60_000
STOPPED, RUNNING = EngineFacts(running=False), EngineFacts(running=True, pid=1)


def begun(state: Path, name: str, at_ms: int) -> Path:
    path = state / name
    path.write_bytes(b"half")
    os.utime(path, (at_ms / 1000, at_ms / 1000))
    return path


def told(state: Path, now_ms: int, engine: EngineFacts = STOPPED) -> list[tuple[str, Left, bool]]:
    found = find_leftovers(read_tree(Files(), state), None, engine, now_ms)
    return [(one.name, one.what, one.removable) for one in found]


def test_a_file_whose_writer_lives_is_told_and_kept(tmp_path: Path) -> None:
    born = started_ms(os.getpid())
    assert born is not None
    name = f"a.json.tmp.{os.getpid()}.00ff"
    begun(tmp_path, name, born + MINUTE)
    assert told(tmp_path, born + 2 * MINUTE) == []
    assert told(tmp_path, born + 7 * MINUTE) == [(name, Left.TEMPORARY, False)]


def test_a_number_that_another_process_has_by_now_proves_its_writer_dead(tmp_path: Path) -> None:
    born = started_ms(os.getpid())
    assert born is not None
    name = f"a.json.tmp.{os.getpid()}.00ff"
    begun(tmp_path, name, born - MINUTE)
    assert told(tmp_path, born + 7 * MINUTE) == [(name, Left.TEMPORARY, True)]


def test_only_what_is_older_than_five_minutes_counts(tmp_path: Path) -> None:
    pid, now = dead_pid(), 1_800_000_000_000
    begun(tmp_path, f"x.tmp.{pid}.456", now - 6 * MINUTE)
    begun(tmp_path, f"y.tmp.{pid}.456", now - MINUTE // 2)
    assert told(tmp_path, now) == [(f"x.tmp.{pid}.456", Left.TEMPORARY, True)]


def test_names_that_only_look_alike_are_nobodys_business(tmp_path: Path) -> None:
    now = 1_800_000_000_000
    for name in ("a.tmp", "a.tmp.x", "a.tmp.0", "tmp.1", "a.tmp.1.2.3", "a.tmp.1."):
        begun(tmp_path, name, now - 60 * MINUTE)
    assert told(tmp_path, now) == []


def test_beside_a_running_engine_its_socket_and_rotation_are_its_own(tmp_path: Path) -> None:
    (tmp_path / "vault").mkdir()
    begun(tmp_path, "vault/vault.key.next", 0)
    assert told(tmp_path, 1_800_000_000_000, RUNNING) == []
    assert told(tmp_path, 1_800_000_000_000) == [("vault/vault.key.next", Left.ROTATION, False)]
