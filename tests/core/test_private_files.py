"""Files of their owner alone: modes, owners, links, and writes that a crash cannot tear."""

import errno
import fcntl
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from palyra.core import private_files
from palyra.core.errors import StateError
from palyra.core.private_files import (
    backups_of,
    drop_backups,
    drop_leftovers,
    new_private_file,
    private_dir,
    private_lock,
    read_private,
    replace_file,
    why_unusable,
    write_private,
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if another account were running us."""
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)


def test_a_new_directory_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o277)
    try:
        path = private_dir(tmp_path / "state")
    finally:
        os.umask(old)
    assert mode(path) == 0o700


def test_parents_are_made(tmp_path: Path) -> None:
    assert private_dir(tmp_path / "a" / "b" / "state").is_dir()


def test_what_keeps_a_directory_from_being_made_is_seen_without_making_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    below, fresh = file / "a" / "state", tmp_path / "a" / "state"
    assert why_unusable(below) == f"{below} cannot be used: {file} is no directory"
    assert why_unusable(file) == f"{file} is no directory"
    with pytest.raises(StateError, match=f"{below} cannot be used: {file} is no directory"):
        private_dir(below)
    assert (why_unusable(fresh), why_unusable(tmp_path)) == ("", "")
    assert not fresh.parent.exists()
    monkeypatch.chdir(tmp_path)
    assert why_unusable(Path("file/state")) == f"file/state cannot be used: {file} is no directory"
    monkeypatch.setattr(os, "access", lambda path, how: Path(path) != tmp_path)
    assert why_unusable(fresh) == f"{fresh} cannot be used: nothing can be written in {tmp_path}"


@pytest.mark.parametrize("loose", [0o755, 0o770, 0o701, 0o777])
def test_an_empty_or_own_directory_is_tightened(tmp_path: Path, loose: int) -> None:
    for name, content in (("empty", None), ("ours", "mine.json")):
        path = tmp_path / name
        path.mkdir()
        path.chmod(loose)
        if content:
            (path / content).touch()
        private_dir(path, ours=("mine.json",))
        assert mode(path) == 0o700


def test_somebodys_open_directory_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").touch()
    tmp_path.chmod(0o755)
    with pytest.raises(StateError, match="holds other files") as raised:
        private_dir(tmp_path, ours=("mine.json",))
    assert "chmod 700" in raised.value.fix
    assert mode(tmp_path) == 0o755


def test_a_private_directory_may_hold_anything(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").touch()
    tmp_path.chmod(0o700)
    assert private_dir(tmp_path) == tmp_path


def test_links_files_and_other_owners_are_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="symbolic link"):
        private_dir(tmp_path / "link")
    with pytest.raises(StateError, match="no directory"):
        private_dir(tmp_path / "file")
    with pytest.raises(StateError, match="cannot be used"):
        private_dir(tmp_path / "file" / "below")


@pytest.mark.usefixtures("somebody_else")
def test_what_belongs_to_another_account_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"x")
    file.chmod(0o600)
    with pytest.raises(StateError, match="another account"):
        private_dir(tmp_path)
    with pytest.raises(StateError, match="another account"):
        read_private(file, 10)


def test_a_written_file_is_private_and_read_back(tmp_path: Path) -> None:
    file = tmp_path / "f"
    old = os.umask(0)
    try:
        write_private(file, b"secret")
    finally:
        os.umask(old)
    assert mode(file) == 0o600
    assert read_private(file, 6) == b"secret"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_nothing_there_is_no_error(tmp_path: Path) -> None:
    assert read_private(tmp_path / "none", 10) is None


def test_too_much_is_refused(tmp_path: Path) -> None:
    write_private(tmp_path / "f", b"12345")
    with pytest.raises(StateError, match="larger than 4 bytes"):
        read_private(tmp_path / "f", 4)


@pytest.mark.parametrize("loose", [0o644, 0o640, 0o604])
def test_a_file_others_could_read_is_tightened(tmp_path: Path, loose: int) -> None:
    file = tmp_path / "f"
    write_private(file, b"x")
    file.chmod(loose)
    assert read_private(file, 10) == b"x"
    assert mode(file) == 0o600


def test_a_file_others_could_read_is_refused_by_who_asks_for_that(tmp_path: Path) -> None:
    file = tmp_path / "f"
    write_private(file, b"x")
    for loose in (0o640, 0o604):
        file.chmod(loose)
        with pytest.raises(StateError, match="can be read by other accounts") as raised:
            read_private(file, 10, tighten=False)
        assert "chmod 600" in raised.value.fix
        assert mode(file) == loose


@pytest.mark.parametrize("loose", [0o660, 0o602, 0o666])
def test_a_file_others_could_write_is_refused(tmp_path: Path, loose: int) -> None:
    file = tmp_path / "f"
    write_private(file, b"x")
    file.chmod(loose)
    with pytest.raises(StateError, match="can be written by other accounts") as raised:
        read_private(file, 10)
    assert "chmod 600" in raised.value.fix
    assert mode(file) == loose


def test_links_and_odd_files_are_neither_read_nor_written_through(tmp_path: Path) -> None:
    target = tmp_path / "target"
    write_private(target, b"old")
    (tmp_path / "link").symlink_to(target)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(StateError, match="symbolic link"):
        read_private(tmp_path / "link", 10)
    with pytest.raises(StateError, match="symbolic link"):
        write_private(tmp_path / "link", b"new")
    (tmp_path / "directory").mkdir()
    opened = len(os.listdir("/proc/self/fd"))
    for name in ("pipe", "directory"):
        with pytest.raises(StateError, match="no regular file"):
            read_private(tmp_path / name, 10)
    assert len(os.listdir("/proc/self/fd")) == opened
    assert target.read_bytes() == b"old"


def test_backups_are_rotated_and_the_oldest_dropped(tmp_path: Path) -> None:
    file = tmp_path / "f"
    for number in range(6):
        write_private(file, b"%d" % number, backups=3)
    contents = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert contents == {"f": b"5", "f.bak.1": b"4", "f.bak.2": b"3", "f.bak.3": b"2"}
    assert {mode(path) for path in tmp_path.iterdir()} == {0o600}


def test_one_backup_is_replaced_by_the_next(tmp_path: Path) -> None:
    for number in range(4):
        write_private(tmp_path / "f", b"%d" % number, backups=1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"f": b"3", "f.bak.1": b"2"}


def test_without_backups_none_are_kept(tmp_path: Path) -> None:
    write_private(tmp_path / "f", b"1")
    write_private(tmp_path / "f", b"2")
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


def test_a_replaced_file_keeps_its_mode_and_so_do_its_backups(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"0")
    file.chmod(0o640)
    for number in range(1, 8):
        replace_file(file, b"%d" % number, backups=5)
    assert [path.read_bytes() for path in backups_of(file)] == [b"6", b"5", b"4", b"3", b"2"]
    assert {mode(path) for path in tmp_path.iterdir()} == {0o640}
    with pytest.raises(StateError, match="cannot be written"):
        replace_file(tmp_path / "none", b"x", backups=5)


def test_backups_are_told_apart_from_what_only_looks_like_them_and_can_be_dropped(tmp_path: Path) -> None:
    for name in ("f", "f.bak.1", "f.bak.2", "f.bak.10", "f.bak.0", "f.bak.x", "ff.bak.1", "f.bak.1.bak.1"):
        write_private(tmp_path / name, b"x")
    assert [path.name for path in backups_of(tmp_path / "f")] == ["f.bak.1", "f.bak.2", "f.bak.10"]
    drop_backups(tmp_path / "f")
    assert {path.name for path in tmp_path.iterdir()} == {"f", "f.bak.0", "f.bak.x", "ff.bak.1", "f.bak.1.bak.1"}
    assert backups_of(tmp_path / "elsewhere" / "f") == []


STEPS = ["open", "fsync", "rename", "link", "replace", "fchmod"]


@pytest.mark.parametrize("backups", [0, 2])
@pytest.mark.parametrize("step", STEPS)
def test_a_failure_at_any_step_leaves_the_old_content_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, backups: int
) -> None:
    file = tmp_path / "f"
    for content in (b"1", b"2"):
        write_private(file, content, backups=backups)
    real: Callable[..., Any] = getattr(os, step)
    calls = 0

    def count(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, step, count)
        write_private(file, b"3", backups=backups)
    if calls == 0:
        assert backups == 0
        return
    for failing in range(1, calls + 1):
        write_private(file, b"old", backups=backups)
        seen = 0

        def fail(*args: Any, at: int = failing, **kwargs: Any) -> Any:
            nonlocal seen
            seen += 1
            if seen == at:
                raise OSError(28, "No space left on device")
            return real(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(os, step, fail)
            with pytest.raises(StateError, match="No space left on device"):
                write_private(file, b"new", backups=backups)
        assert file.read_bytes() in (b"old", b"new")
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(".f.")]


def test_the_content_is_on_disk_before_it_takes_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "f"
    done: list[str] = []
    for step in ("fsync", "rename"):
        real: Callable[..., Any] = getattr(os, step)

        def note(*args: Any, step: str = step, real: Callable[..., Any] = real) -> Any:
            kind = "directory" if step == "fsync" and stat.S_ISDIR(os.fstat(args[0]).st_mode) else "file"
            done.append(f"{step} {kind}")
            return real(*args)

        monkeypatch.setattr(os, step, note)
    write_private(file, b"x")
    assert done == ["fsync file", "rename file", "fsync directory"]


@pytest.mark.parametrize(("error", "made"), [(errno.EINVAL, True), (errno.EACCES, True), (errno.EIO, False)])
def test_a_directory_above_that_cannot_be_synced_keeps_nobody_out_and_one_that_fails_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, made: bool
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "fsync", fail)
    if made:
        assert mode(private_dir(tmp_path / "state")) == 0o700
    else:
        with pytest.raises(StateError, match="cannot be used: Input/output error"):
            private_dir(tmp_path / "state")


def test_a_lock_keeps_others_out_until_it_is_left(tmp_path: Path) -> None:
    with private_lock(tmp_path):
        other = os.open(tmp_path / private_files.LOCK_FILE, os.O_RDWR)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.close(other)
    with private_lock(tmp_path):
        assert mode(tmp_path / private_files.LOCK_FILE) == 0o600


def test_a_lock_that_cannot_be_had_says_why(tmp_path: Path) -> None:
    (tmp_path / private_files.LOCK_FILE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StateError, match=r"files\.lock"), private_lock(tmp_path):
        pass
    with pytest.raises(StateError), private_lock(tmp_path / "none"):
        pass


def test_a_file_half_written_says_whose_it_is(tmp_path: Path) -> None:
    path = tmp_path / "registry.json"
    with new_private_file(path) as file:
        (begun,) = tmp_path.iterdir()
        file.write(b"{}")
    assert re.fullmatch(rf"registry\.json\.tmp\.{os.getpid()}\.[0-9a-f]+", begun.name)
    assert [one.name for one in tmp_path.iterdir()] == ["registry.json"]


def test_what_the_dead_left_half_written_goes_and_what_somebody_writes_stays(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left = [f"registry.json.tmp.{gone.pid}.0af3", f"audit.head.tmp.{gone.pid}", f"vault.json.tmp.{os.getpid()}.00"]
    kept = [f"registry.json.tmp.{os.getppid()}.0af3", "registry.json", "notes.tmp.txt"]
    for name in (*left, *kept):
        (tmp_path / name).write_bytes(b"secret")
    drop_leftovers(tmp_path)
    drop_leftovers(tmp_path)
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted([*kept, private_files.LOCK_FILE])
    drop_leftovers(tmp_path / "none")
