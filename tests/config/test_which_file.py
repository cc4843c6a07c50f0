"""Which file is the configuration, and what happens to one that is not there or is no file."""

import os
from pathlib import Path

import pytest

from palyra.config.load import load_config
from palyra.config.paths import MAX_FILE, SYSTEM_FILE, config_candidates, read_config_file, state_dir
from palyra.config.problem import Code

VALID = "version = 1\n[tasks]\nconcurrency = {}\n"


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    """A valid file at every place a configuration may be; `concurrency` tells which one was taken."""
    files = {
        "option": tmp_path / "option.toml",
        "variable": tmp_path / "variable.toml",
        "user": tmp_path / "xdg" / "palyra" / "palyra.toml",
        "system": tmp_path / "system.toml",
    }
    for number, path in enumerate(files.values(), start=1):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(VALID.format(number))
    return files


def environment(places: dict[str, Path], **more: str) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(places["user"].parent.parent), **more}


def taken(option: Path | None, env: dict[str, str], places: dict[str, Path]) -> tuple[int, Path | None]:
    result = load_config(option, env, system_file=places["system"])
    assert result.config is not None, result.problems
    return result.config.tasks.concurrency, result.path


def test_the_option_wins_over_the_variable_over_the_user_over_the_system(places: dict[str, Path]) -> None:
    variable = environment(places, PALYRA_CONFIG=str(places["variable"]))
    assert taken(places["option"], variable, places) == (1, places["option"])
    assert taken(None, variable, places) == (2, places["variable"])
    assert taken(None, environment(places), places) == (3, places["user"])
    places["user"].unlink()
    assert taken(None, environment(places), places) == (4, places["system"])
    places["system"].unlink()
    assert taken(None, environment(places), places) == (4, None)


@pytest.mark.parametrize("blank", ["", "  ", "\t"])
def test_a_blank_variable_names_no_file(places: dict[str, Path], blank: str) -> None:
    assert taken(None, environment(places, PALYRA_CONFIG=blank), places) == (3, places["user"])


def test_files_are_not_combined(places: dict[str, Path]) -> None:
    places["user"].write_text("version = 1\n[console]\nrefresh_hz = 2\n")
    result = load_config(None, environment(places), system_file=places["system"])
    assert result.config is not None
    assert (result.config.console.refresh_hz, result.config.tasks.concurrency) == (2, 4)


@pytest.mark.parametrize("way", ["option", "variable"])
def test_a_named_file_must_be_there(places: dict[str, Path], way: str) -> None:
    places[way].unlink()
    option = places["option"] if way == "option" else None
    env = environment(places, PALYRA_CONFIG=str(places["variable"]))
    result = load_config(option, env, system_file=places["system"])
    (problem,) = result.problems
    assert problem.code is Code.UNREADABLE
    assert str(places[way]) in str(problem)
    assert "there is no such file" in problem.message
    assert ("--config" if way == "option" else "PALYRA_CONFIG") in problem.message


def test_problems_of_the_environment_are_told_beside_an_unreadable_file(tmp_path: Path) -> None:
    result = load_config(tmp_path, {"PALYRA_TASKS__CONCURRENCY": "x"})
    assert [problem.code for problem in result.problems] == [Code.UNREADABLE, Code.ENV_INVALID]


@pytest.mark.parametrize("kind", ["directory", "pipe", "device", "odd name"])
def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "palyra.toml"
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/null")
    else:
        path = tmp_path / "nul\0name"
    read = read_config_file(path)
    assert read.data is None
    assert read.refused


def test_a_missing_file_is_neither_read_nor_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "none.toml", tmp_path / "file" / "below.toml", tmp_path / "none" / "below.toml"):
        read = read_config_file(path)
        assert (read.data, read.refused) == (None, None)


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.toml").write_text("version = 1\n")
    (tmp_path / "palyra.toml").symlink_to(tmp_path / "real.toml")
    assert read_config_file(tmp_path / "palyra.toml").data == b"version = 1\n"


def test_a_file_over_a_mebibyte_is_refused_and_one_of_just_that_is_read(tmp_path: Path) -> None:
    assert MAX_FILE == 1_048_576
    path = tmp_path / "palyra.toml"
    path.write_bytes(b"version = 1\n" + b"#" * (MAX_FILE - 12))
    assert load_config(path, {}).problems == ()
    path.write_bytes(b"version = 1\n" + b"#" * (MAX_FILE - 11))
    assert [problem.code for problem in load_config(path, {}).problems] == [Code.TOO_LARGE]


def test_candidates_are_named_in_order() -> None:
    env = {"HOME": "/home/ana"}
    assert [(one.source, one.path) for one in config_candidates(None, env)] == [
        ("user", Path("/home/ana/.config/palyra/palyra.toml")),
        ("system", SYSTEM_FILE),
    ]
    assert config_candidates(None, {**env, "XDG_CONFIG_HOME": "/x"})[0].path == Path("/x/palyra/palyra.toml")
    # A relative base directory is invalid and is as if it were not set.
    assert config_candidates(None, {**env, "XDG_CONFIG_HOME": "x"})[0].path == Path(
        "/home/ana/.config/palyra/palyra.toml"
    )
    assert [(one.path, one.named) for one in config_candidates(Path("a"), {"PALYRA_CONFIG": "b"})] == [
        (Path("a"), True)
    ]


def test_without_home_the_platform_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert config_candidates(None, {})[0].path == tmp_path / "config" / "palyra" / "palyra.toml"
    assert state_dir(None, {}) == tmp_path / "state" / "palyra"


def test_the_state_directory_is_known_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = {"HOME": "/home/ana", "PALYRA_STATE_DIR": "/var/lib/palyra"}
    assert state_dir(Path("/cli"), env) == Path("/cli")
    assert state_dir(None, env) == Path("/var/lib/palyra")
    assert state_dir(None, {**env, "PALYRA_STATE_DIR": " "}) == Path("/home/ana/.local/state/palyra")
    assert state_dir(None, {"HOME": "/home/ana", "XDG_STATE_HOME": "/s"}) == Path("/s/palyra")
    monkeypatch.chdir(tmp_path)
    assert state_dir(Path("here"), env) == tmp_path / "here"
