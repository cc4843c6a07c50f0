"""Cuts of the power: the model of the disk by itself, and every way in which the program puts a file into its place."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from palyra.config.initialising import initialise
from palyra.config.rewrite import set_defaults
from palyra.core.private_files import (
    make_dirs,
    new_private_file,
    private_dir,
    remove_files,
    rename_file,
    replace_file,
    write_first,
    write_private,
)
from palyra.doctor.audit_pending import PendingRow, append_pending, read_pending
from palyra.doctor.change import Root
from palyra.doctor.disk import Disk as Repairs
from palyra.journal.audit import HEAD_FILE, HeadFile
from palyra.journal.audit_chain import Link
from palyra.vault.vault import Vault
from tests.faults.cuts import cut_anywhere
from tests.faults.house import text_of
from tests.faults.operating import MODELS
from tests.faults.stable import Disk

OLD, NEW = b"old " * 400, b"new words " * 300


def states(disk: Disk, name: str, times: int = 300) -> set[bytes | None]:
    """What a file may hold after a cut; None for no file."""
    dice = random.Random(1)
    found = (disk.left(dice).files.get(name) for _ in range(times))
    return {None if one is None else one[0] for one in found}


def made(root: Path, content: bytes = b"") -> tuple[Disk, str]:
    (root / "f").write_bytes(content)
    return Disk(root), str(root / "f")


def test_what_was_not_synced_may_be_there_whole_or_in_sectors_or_not(tmp_path: Path) -> None:
    disk, path = made(tmp_path, b"a" * 1536)
    disk.write(path, 256, b"b" * 1024)
    found = {bytes(one or b"") for one in states(disk, "f")}
    sectors = [b"a" * 256, b"b" * 256, b"b" * 512, b"b" * 256, b"a" * 256]
    assert b"".join(sectors) in found
    assert b"a" * 1536 in found
    assert b"a" * 512 + b"b" * 512 + b"a" * 512 in found
    assert all(one[:256] + one[1280:] == b"a" * 512 for one in found)
    assert all(len(set(one[border : border + 256])) == 1 for one in found for border in range(0, 1536, 256))
    disk.sync(path)
    assert states(disk, "f") == {b"".join(sectors)}


def test_later_writes_may_be_there_without_earlier_ones(tmp_path: Path) -> None:
    disk, path = made(tmp_path)
    disk.write(path, 0, b"one")
    disk.write(path, 3, b"two")
    assert {b"", b"one", b"onetwo", b"\0\0\0two"} <= states(disk, "f")
    disk.truncate(path, 2)
    disk.sync(path)
    assert states(disk, "f") == {b"on"}


def test_what_a_failed_sync_has_not_written_no_later_one_writes(tmp_path: Path) -> None:
    disk, path = made(tmp_path)
    disk.write(path, 0, b"one")
    disk.sync_failed(path)
    disk.write(path, 3, b"two")
    disk.sync(path)
    assert states(disk, "f") == {b"onetwo", b"\0\0\0two"}


def test_a_name_is_sure_once_its_directory_is_synced_and_what_happened_to_it_stays_in_order(tmp_path: Path) -> None:
    disk, path = made(tmp_path, b"old")
    fresh = f"{path}.tmp"
    disk.create(fresh, 0o600)
    disk.write(fresh, 0, b"new")
    disk.rename(fresh, path)
    assert {b"old", b"new", b""} <= states(disk, "f")
    disk.sync(path)
    assert states(disk, "f") == {b"old", b"new"}
    disk.remove(path)
    assert states(disk, "f") == {b"old", b"new", None}
    disk.sync(str(tmp_path))
    assert states(disk, "f") == {None}
    assert states(disk, "f.tmp") == {None}


def test_a_file_is_lost_with_a_directory_whose_name_was_not_synced(tmp_path: Path) -> None:
    disk, inner = Disk(tmp_path), tmp_path / "inner"
    disk.make(str(inner), 0o700)
    disk.create(str(inner / "f"), 0o600)
    disk.sync(str(inner / "f"))
    disk.sync(str(inner))
    assert states(disk, "inner/f") == {b"", None}
    disk.sync(str(tmp_path))
    assert states(disk, "inner/f") == {b""}


def test_what_nobody_saw_being_written_is_told(tmp_path: Path) -> None:
    disk, path = made(tmp_path, b"old")
    assert disk.differs() == []
    Path(path).write_bytes(b"new")
    (tmp_path / "g").touch()
    assert disk.differs() == [f"{name} is not as it was seen to be written" for name in ("f", "g")]


def test_what_is_left_is_laid_out_and_nothing_else(tmp_path: Path) -> None:
    home = private_dir(tmp_path / "home")
    disk, path = made(home, b"old")
    (home / "journal.db").touch(0o600)
    disk = Disk(home)
    disk.make(str(home / "inner"), 0o700)
    disk.sync(str(home))
    disk.write(path, 0, b"NEW")
    garbage = 0
    for seed in range(20):
        left = disk.left(random.Random(seed))
        left.lay(home)
        found = {str(one.relative_to(home)): one for one in home.rglob("*")}
        garbage += found.pop("journal.db-shm", None) is not None
        assert set(found) == {"f", "inner", "journal.db"}
        assert found["f"].read_bytes() == left.files["f"][0]
    assert 0 < garbage < 20


# Files of the program

Work = Callable[[Path], object]


def _through(path: Path) -> None:
    with new_private_file(path) as file:
        file.write(NEW[:100])
        file.write(NEW[100:])


def _promoted(path: Path) -> None:
    write_private(path.with_name("f.next"), NEW)
    rename_file(path.with_name("f.next"), path)


@pytest.mark.parametrize(
    "work",
    [
        lambda path: write_private(path, NEW),
        lambda path: write_private(path, NEW, backups=3),
        lambda path: replace_file(path, NEW, backups=3),
        lambda path: Repairs({Root.STATE: path.parent}).put(path, NEW, 0o640, -1),
        _through,
        _promoted,
    ],
    ids=["private", "with backups", "replaced", "repaired", "piece by piece", "renamed"],
)
def test_a_file_is_the_old_one_or_the_new_one_and_the_new_one_once_that_is_told(tmp_path: Path, work: Work) -> None:
    path = tmp_path / "f"
    for content in (b"1", b"2", OLD):
        write_private(path, content, backups=3)
    mode = 0o600
    if work.__name__ == "<lambda>":
        path.chmod(mode := 0o640)
    found = set()
    for left, told in cut_anywhere(tmp_path, lambda: work(path)):
        content, left_mode = left.files["f"]
        found.add(content)
        assert content in ((NEW,) if told else (OLD, NEW))
        assert content == OLD or left_mode in (0o600, mode)
        kept = {name: data for name, (data, _) in left.files.items() if ".bak." in name}
        assert set(kept.values()) <= {b"1", b"2", OLD}
    assert found == {OLD, NEW}


def test_a_mode_that_stays_stays_over_a_cut(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(OLD)
    path.chmod(0o644)
    for left, _ in cut_anywhere(tmp_path, lambda: replace_file(path, NEW)):
        assert left.files["f"][1] == 0o644


def test_of_several_names_those_told_are_there(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.touch()

    def work() -> None:
        make_dirs(tmp_path / "a" / "b")
        private_dir(tmp_path / "c" / "d")
        Repairs({Root.STATE: tmp_path}).mkdir(tmp_path / "e" / "f" / "g", 0o700)
        write_first(tmp_path / "a" / "b" / "key", NEW)
        remove_files([gone])

    for left, told in cut_anywhere(tmp_path, work):
        if told:
            assert set(left.directories) == {"a", "a/b", "c", "c/d", "e", "e/f", "e/f/g"}
            assert "gone" not in left.files
        assert left.files.get("a/b/key", (NEW, 0))[0] == NEW
        assert not told or "a/b/key" in left.files


def test_a_directory_that_another_made_and_did_not_sync_is_durable_once_it_is_used(tmp_path: Path) -> None:
    def work() -> None:
        os.mkdir(tmp_path / "state", 0o700)
        write_private(private_dir(tmp_path / "state") / "f", NEW)

    assert all("state/f" in left.files for left, told in cut_anywhere(tmp_path, work) if told)


def test_the_head_of_the_audit_chain_is_an_old_one_or_the_new_one(tmp_path: Path) -> None:
    head = HeadFile(tmp_path / HEAD_FILE)
    head.write(Link(1, "a"))
    for left, told in cut_anywhere(tmp_path, lambda: head.write(Link(2, "b"))):
        seq = json.loads(left.files[HEAD_FILE][0])["seq"]
        assert seq in ((2,) if told else (1, 2))


def test_a_deed_of_the_doctor_that_waits_for_the_journal_is_not_lost(tmp_path: Path) -> None:
    home = private_dir(tmp_path / "home")
    (home / "recovery").mkdir(0o700)
    rows = [PendingRow(at, "run", "ann", "repaired", {"n": at}) for at in (1, 2)]
    for number, row in enumerate(rows, 1):
        kept = Disk(home).left(random.Random(1))
        for left, told in list(cut_anywhere(home, lambda row=row: append_pending(home, row))):  # type: ignore[misc]
            left.lay(home)
            assert read_pending(home) in ((rows[:number],) if told else (rows[: number - 1], rows[:number]))
        kept.lay(home)
        append_pending(home, row)


def test_a_configuration_is_rewritten_whole(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    path = home / "inner" / "palyra.toml"
    for left, told in cut_anywhere(home, lambda: initialise(path, {}, force=False)):
        assert not told or "inner/palyra.toml" in left.files
    path.write_text(text_of(random.Random(1)))
    old, model = path.read_bytes(), MODELS[1]
    for left, told in cut_anywhere(home, lambda: set_defaults(path, {"chat": model}, {})):
        content = left.files["inner/palyra.toml"][0]
        assert content == path.read_bytes() if told else content in (old, path.read_bytes())
    assert path.read_bytes() != old


def test_a_vault_can_be_opened_and_has_what_was_told(tmp_path: Path) -> None:
    home = private_dir(tmp_path / "home")
    acts: list[tuple[Callable[[Vault], object], dict[str, str]]] = [
        (lambda vault: vault.set("global/one", "first", 1), {"global/one": "first"}),
        (lambda vault: vault.set("global/two", "second", 2), {"global/one": "first", "global/two": "second"}),
        (lambda vault: vault.rotate(), {"global/one": "first", "global/two": "second"}),
        (lambda vault: vault.delete("global/one"), {"global/two": "second"}),
    ]
    before: dict[str, str] = {}
    for act, after in acts:
        vault = Vault.open(home, "file")
        cuts = list(cut_anywhere(home, lambda act=act, vault=vault: act(vault), 5))  # type: ignore[misc]
        done = Disk(home).left(random.Random(1))
        for left, told in cuts:
            left.lay(home)
            found = Vault.open(home, "file")
            held = {ref: secret.reveal() for ref in after | before if (secret := found.resolve(ref).secret) is not None}
            assert held in ((after,) if told else (before, after)), (found.state, found.problem())
        done.lay(home)
        before = after
