"""One key of a configuration file is set; all else stays, to the letter."""

import os
import stat
import tomllib
from pathlib import Path

import pytest

from palyra.config.rewrite import set_defaults, with_value
from palyra.core.errors import BadInputError, PalyraError, StateError

FILE = """\
# Ours, since 2024.
version = 1          # do not touch

[providers.house]    # the only one
kind = "deterministic"

[defaults]  # auto begins here
# the large one was too dear
chat = "house/large"  # for now

[[models]]
provider = "house"
upstream = "large"

[[models]]
provider = "house"
upstream = "small"
"""


def test_only_the_value_changes() -> None:
    after = with_value(FILE.encode(), "defaults", "chat", "house/small").decode()
    assert after == FILE.replace('chat = "house/large"', 'chat = "house/small"')


def test_a_table_that_is_missing_is_added_at_the_end() -> None:
    without = FILE.replace(
        '[defaults]  # auto begins here\n# the large one was too dear\nchat = "house/large"  # for now\n', ""
    )
    after = with_value(without.encode(), "defaults", "embeddings", "house/small").decode()
    assert after.startswith(without)
    assert tomllib.loads(after) == {**tomllib.loads(without), "defaults": {"embeddings": "house/small"}}


@pytest.mark.parametrize(
    "source",
    [
        'defaults.chat = "a"\nversion = 1\n',
        'defaults = {chat = "a"}\nversion = 1\n',
        'version = 1\r\n[defaults]\r\nchat = "a"\r\n',
        "version = 1",
        '[[budgets]]\npolicy_id = "x"\n[[budgets]]\npolicy_id = "y"\n',
    ],
)
def test_however_it_is_written_it_means_the_same_besides(source: str) -> None:
    after = with_value(source.encode(), "defaults", "chat", 'tricky "id"\\')
    expected = tomllib.loads(source)
    expected.setdefault("defaults", {})["chat"] = 'tricky "id"\\'
    assert tomllib.loads(after.decode()) == expected
    assert ("\r\n" in source) == (b"\r\n" in after)


@pytest.mark.parametrize("source", [b"version = \n", b"\xff", b"defaults = 3\n"])
def test_what_is_no_such_file_is_left_alone(source: bytes) -> None:
    with pytest.raises(PalyraError, match="cannot be rewritten"):
        with_value(source, "defaults", "chat", "x")


def test_the_mode_of_the_file_stays_and_a_link_stays_one(tmp_path: Path) -> None:
    real, link = tmp_path / "real.toml", tmp_path / "palyra.toml"
    real.write_text(FILE)
    real.chmod(0o640)
    link.symlink_to(real)
    assert set_defaults(link, {"chat": "house/small"}, {}) == ()
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert tomllib.loads(real.read_text())["defaults"]["chat"] == "house/small"
    assert real.with_name("real.toml.bak.1").read_text() == FILE
    # Nothing is written, nor kept, where nothing changes.
    assert set_defaults(link, {"chat": "house/small"}, {}) == ()
    assert sorted(os.listdir(tmp_path)) == ["palyra.toml", "real.toml", "real.toml.bak.1"]


def test_a_configuration_that_could_not_be_used_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "palyra.toml"
    path.write_text(FILE)
    with pytest.raises(BadInputError, match="could not be used"):
        set_defaults(path, {"chat": "house/small", "embeddings": "nobody/nothing"}, {})
    assert path.read_text() == FILE
    with pytest.raises(StateError, match="cannot be read"):
        set_defaults(tmp_path / "none.toml", {"chat": "house/small"}, {})


def test_what_comes_first_is_told(tmp_path: Path) -> None:
    path = tmp_path / "palyra.toml"
    path.write_text(FILE)
    (told,) = set_defaults(path, {"chat": "house/small"}, {"PALYRA_DEFAULTS__CHAT": "house/large"})
    assert "PALYRA_DEFAULTS__CHAT" in told
    assert "house/large" in told
