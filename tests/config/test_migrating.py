"""Files of older versions are rewritten in place: only what the new version needs changes, to the letter."""

import os
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palyra.config import migrating
from palyra.config.amounts import toml_float
from palyra.config.initialising import initialise
from palyra.config.load import interpret
from palyra.config.migrating import migrate_file, migrated
from palyra.config.minimal import minimal_file
from palyra.config.model import LoadedConfig
from palyra.config.rewrite import same_data
from palyra.core.errors import ConflictError, PalyraError, StateError
from tests.config.loading import FILE
from tests.config.test_lines import quoted, spelled

OLD = b"# mine, since 2024\n[gateway]   # the door\nbind = '127.0.0.1:1' # here\n\n\n[tasks]\nconcurrency = 3"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "palyra.toml"
    path.write_bytes(OLD)
    path.chmod(0o640)
    return path


def test_a_file_without_version_gets_one_and_all_else_stays(file: Path) -> None:
    told = migrate_file(file)
    assert file.read_bytes() == b"version = 1\n\n" + OLD
    assert (told.rewritten.written, told.rewritten.changes) == (0, ("version = 1 added",))
    assert told.backup == file.with_name("palyra.toml.bak.1")
    assert told.backup.read_bytes() == OLD
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_second_time_there_is_nothing_to_do_and_no_backup(file: Path) -> None:
    migrate_file(file)
    before = sorted(os.listdir(file.parent))
    told = migrate_file(file)
    assert (told.rewritten.changes, told.backup) == ((), None)
    assert sorted(os.listdir(file.parent)) == before


def test_a_dry_run_writes_nothing(file: Path) -> None:
    told = migrate_file(file, dry_run=True)
    assert told.rewritten.changes
    assert (file.read_bytes(), os.listdir(file.parent)) == (OLD, ["palyra.toml"])


def test_the_last_five_are_kept(file: Path) -> None:
    for number in range(7):
        file.write_bytes(b"# %d\n" % number)
        migrate_file(file)
    backups = sorted(path.name for path in file.parent.iterdir() if path != file)
    assert backups == [f"palyra.toml.bak.{number}" for number in range(1, 6)]
    assert [file.with_name(name).read_bytes() for name in backups] == [b"# %d\n" % n for n in (6, 5, 4, 3, 2)]


def test_a_link_stays_one_and_the_file_it_leads_to_is_rewritten(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "elsewhere" / "palyra.toml"
    link.parent.mkdir()
    link.symlink_to(file)
    told = migrate_file(link)
    assert link.is_symlink()
    assert (told.target, file.read_bytes()[:11]) == (file, b"version = 1")
    assert os.listdir(link.parent) == ["palyra.toml"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"", b"version = 1\n"),
        (b"\n", b"version = 1\n\n"),
        (b"[tasks]\r\nconcurrency = 3\r\n", b"version = 1\r\n\r\n[tasks]\r\nconcurrency = 3\r\n"),
        (b"x.y = 1 # \xc3\xa9", b"version = 1\n\nx.y = 1 # \xc3\xa9"),
        (b"[a]\nversion = 7\n", b"version = 1\n\n[a]\nversion = 7\n"),
        (b"# one\r\n# two\n", b"version = 1\r\n\r\n# one\r\n# two\n"),
        (
            b"price = nan\nbig = 1e999999999999999999999\n",
            b"version = 1\n\nprice = nan\nbig = 1e999999999999999999999\n",
        ),
    ],
)
def test_whatever_is_there_stays_as_it_is(before: bytes, after: bytes) -> None:
    assert migrated(before).data == after
    assert migrated(after).changes == ()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"version = 99\n[new]\nx = 1\n", "newer Palyra"),
        (b"version = true\n", "whole number"),
        (b"version = 0\n", "whole number"),
        (b"version = \n", "cannot be read"),
        (b"\xff", "cannot be read"),
        (b"\xef\xbb\xbf[gateway]\n", "cannot be read"),
        (b"x = " + b"[" * 5000, "cannot be read"),
    ],
)
def test_what_cannot_be_brought_forward_keeps_its_bytes(tmp_path: Path, data: bytes, why: str) -> None:
    path = tmp_path / "palyra.toml"
    path.write_bytes(data)
    with pytest.raises(PalyraError, match=why):
        migrate_file(path)
    assert (path.read_bytes(), os.listdir(tmp_path)) == (data, ["palyra.toml"])


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text,
        lambda text: f"version = 1\n{text}\nmore = 1\n",
        lambda text: f"version = 1.0\n{text}",
        lambda text: "version = 1\n",
        lambda text: f"version = 1\nversion = 1\n{text}",
    ],
)
def test_a_rewriting_that_means_anything_else_is_refused(
    file: Path, monkeypatch: pytest.MonkeyPatch, edit: Callable[[str], str]
) -> None:
    monkeypatch.setattr(migrating, "EDITS", (edit,))
    with pytest.raises(PalyraError, match="would change what it says"):
        migrate_file(file)
    assert file.read_bytes() == OLD


def test_a_file_that_changes_under_the_hand_is_left_alone(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(text: str) -> str:
        file.write_bytes(b"# another hand\n")
        return f"version = 1\n{text}"

    monkeypatch.setattr(migrating, "EDITS", (slowly,))
    with pytest.raises(ConflictError, match="changed meanwhile"):
        migrate_file(file)
    assert file.read_bytes() == b"# another hand\n"


def test_a_file_that_is_not_there_or_no_file_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path, Path("/dev/null")):
        with pytest.raises(StateError, match="cannot be read"):
            migrate_file(path)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["gateway", "tasks", "x", "a.b", "ümlaut"]),
        st.recursive(
            st.integers() | st.booleans() | st.text(max_size=8),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
            max_leaves=8,
        ),
        max_size=4,
    ),
    st.sampled_from(["\n", "\r\n"]),
)
def test_any_data_is_the_same_besides_its_version(tree: dict[str, object], ending: str) -> None:
    text = "".join(f"{quoted(key)} = {spelled(value, 0)}{ending}" for key, value in tree.items())
    try:
        before = tomllib.loads(text)
    except ValueError:
        return
    after = migrated(text.encode())
    assert after.data.decode().endswith(text)
    assert tomllib.loads(after.data.decode()) == {"version": 1, **before}


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("x = 1", "x = 1", True),
        ("x = 1", "x = 1.0", False),
        ("x = 1", "x = true", False),
        ("x = 1.0", "x = 1.00", False),
        ("x = nan", "x = nan", True),
        ("x = [1, 2]", "x = [2, 1]", False),
        ("x = [1]", "x = [1, 1]", False),
        ("x = 2026-01-01", "x = 2026-01-01T00:00:00", False),
        ("[[a]]\nb = 1", "a = [{b = 1}]", True),
        ("a = 1\nb = 2", "b = 2\na = 1", True),
        ("a = 1", "a = 1\nb = 2", False),
    ],
)
def test_sameness_is_exact(first: str, second: str, same: bool) -> None:
    trees = [tomllib.loads(text, parse_float=toml_float) for text in (first, second)]
    assert same_data(*trees) is same


def test_the_minimal_file_changes_nothing_and_says_where_to_begin() -> None:
    result = interpret(minimal_file(), FILE, {}, {})
    assert (result.problems, result.warnings, result.config) == ((), (), LoadedConfig())
    switched_on = minimal_file().decode().replace("\n#[", "\n[").replace("\n#p", "\np")
    switched_on = switched_on.replace("\n#kind", "\nkind").replace("\n#api", "\napi").replace("\n#hard", "\nhard")
    began = interpret(switched_on.encode(), FILE, {}, {})
    assert began.problems == ()
    assert began.config is not None
    assert (list(began.config.providers), len(began.config.budgets)) == (["openai"], 1)


def test_a_first_file_is_written_where_it_is_looked_for(tmp_path: Path) -> None:
    environ = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    told = initialise(None, environ, force=False)
    assert told.target == tmp_path / "config" / "palyra" / "palyra.toml"
    assert (told.target.read_bytes(), told.backup) == (minimal_file(), None)
    assert stat.S_IMODE(told.target.stat().st_mode) == 0o600
    assert stat.S_IMODE(told.target.parent.stat().st_mode) == 0o700
    with pytest.raises(ConflictError, match="is there already"):
        initialise(None, environ, force=False)
    assert os.listdir(told.target.parent) == ["palyra.toml"]


@pytest.mark.parametrize("old", [OLD, b"not = = toml", b"\xff", b""])
def test_by_force_what_was_there_becomes_a_backup(tmp_path: Path, old: bytes) -> None:
    path, link = tmp_path / "palyra.toml", tmp_path / "link.toml"
    path.write_bytes(old)
    link.symlink_to(path)
    told = initialise(link, {}, force=True)
    assert link.is_symlink()
    assert (path.read_bytes(), told.backup) == (minimal_file(), tmp_path / "palyra.toml.bak.1")
    assert path.with_name("palyra.toml.bak.1").read_bytes() == old
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_newer_file_is_left_alone_even_by_force(tmp_path: Path) -> None:
    path = tmp_path / "palyra.toml"
    path.write_bytes(b"version = 99\n")
    with pytest.raises(PalyraError, match="newer Palyra"):
        initialise(path, {}, force=True)
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"version = 99\n", ["palyra.toml"])


@pytest.mark.parametrize("force", [False, True])
def test_a_directory_or_a_device_is_never_replaced(tmp_path: Path, force: bool) -> None:
    for path in (tmp_path, Path("/dev/null")):
        with pytest.raises(PalyraError):
            initialise(path, {}, force=force)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StateError, match="cannot be made"):
        initialise(blocked / "below" / "palyra.toml", {}, force=force)
