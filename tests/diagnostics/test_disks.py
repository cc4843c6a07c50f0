"""What the kernel tells of the filesystems an engine writes to."""

import os
import tempfile
from pathlib import Path

import pytest

from palyra.engine.disks import Disks


def mounted(monkeypatch: pytest.MonkeyPatch, *, read_only: bool, inodes: tuple[int, int] = (100, 90)) -> None:
    """All filesystems are like this from now on."""
    facts = os.statvfs_result((4096, 4096, 1000, 900, 800, *inodes, inodes[1], os.ST_RDONLY * read_only, 255))
    monkeypatch.setattr(os, "statvfs", lambda path: facts)


def test_sizes_are_those_of_who_is_not_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted(monkeypatch, read_only=False)
    state, temp, config = Disks().look(tmp_path, tmp_path / "config")
    assert [one.purpose for one in (state, temp, config)] == ["state", "temp", "config"]
    assert (state.total_bytes, state.free_bytes, state.free_inodes) == (4_096_000, 3_276_800, 90)
    mounted(monkeypatch, read_only=False, inodes=(0, 0))
    assert Disks().look(tmp_path, None)[0].free_inodes is None


def test_a_disk_that_turned_read_only_is_told_from_one_that_always_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disks, other = Disks(), Disks()
    mounted(monkeypatch, read_only=False)
    assert not any(one.read_only or one.turned_read_only for one in disks.look(tmp_path, tmp_path))
    mounted(monkeypatch, read_only=True)
    assert all(one.read_only and one.turned_read_only for one in disks.look(tmp_path, tmp_path))
    assert all(one.read_only and not one.turned_read_only for one in other.look(tmp_path, tmp_path))


def test_directories_that_are_gone_are_looked_for_where_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temp"))
    state, temp, config = Disks().look(tmp_path, tmp_path / "a" / "b")
    assert (temp.path, config.path) == (str(tmp_path / "temp"), str(tmp_path / "a" / "b"))
    assert temp.total_bytes == config.total_bytes == state.total_bytes
