"""Files that are too new, broken, oddly encoded, too deep."""

from pathlib import Path

import pytest

from palyra.config.load import interpret
from palyra.config.problem import Code
from palyra.config.versions import CURRENT, STEPS, migrate
from tests.config.loading import FILE, found, load, sound


@pytest.mark.parametrize("version", ["0", "-1", "true", "false", '"1"', "1.0", "[1]", "1979-05-27"])
def test_what_is_no_version_is_refused_beside_the_other_problems(version: str) -> None:
    assert found(f"version = {version}\nnonsense = 1\n") == [
        ("version_invalid", "version"),
        ("unknown_key", "nonsense"),
    ]


@pytest.mark.parametrize("version", ["2", "99", "9" * 60])
def test_a_newer_version_is_refused_alone(version: str) -> None:
    result = load(f"nonsense = 1\n\nversion = {version}\n", {"PALYRA_TASKS__CONCURRENCY": "x"})
    assert [(problem.code, problem.origin.line) for problem in result.problems] == [
        (Code.VERSION_NEWER, 3),
        (Code.ENV_INVALID, 0),
    ]


def test_the_current_version_is_no_reason_to_warn() -> None:
    assert load("version = 1\n").warnings == ()


@pytest.mark.parametrize("data", [b"", b"# nothing\n", b"[tasks]\nconcurrency = 3\n"])
def test_a_file_without_version_is_migrated_in_memory(data: bytes) -> None:
    result = interpret(data, FILE, {}, {})
    assert result.config is not None
    assert result.config.version == 1
    (warning,) = result.warnings
    assert (warning.code, warning.key) == (Code.MISSING, "version")
    assert str(result.origins["version"]) == "default"


def test_there_is_one_step_from_every_earlier_version() -> None:
    assert len(STEPS) == CURRENT
    original = {"tasks": {"concurrency": 3}}
    migrated = migrate(original)
    assert migrated.tree == {"version": 1, "tasks": {"concurrency": 3}}
    assert (migrated.written, migrated.changes) == (0, ("version = 1 added",))
    assert original == {"tasks": {"concurrency": 3}}
    assert migrate({"version": 1}).changes == ()


@pytest.mark.parametrize(
    ("data", "code", "line"),
    [
        (b"a = \n", Code.SYNTAX, 1),
        (b"version = 1\n[tasks\n", Code.SYNTAX, 2),
        (b"version = 1\nx = [1,,2]\n", Code.SYNTAX, 2),
        (b"version = 1\nversion = 1\n", Code.SYNTAX, 2),
        (b"version = 1\n\nx = 'open", Code.SYNTAX, 3),
        (b"version = 1\nx = 2026-13-01\n", Code.SYNTAX, 2),
        (b"version = 1\nx = " + b"9" * 5000, Code.SYNTAX, 2),
        (b"\xef\xbb\xbfversion = 1\n", Code.ENCODING, 0),
        (b"version = 1\n# caf\xe9\n", Code.ENCODING, 2),
        (b"v\x00ersion = 1\n", Code.SYNTAX, 1),
        (b"version = 1\nx = " + b"[" * 17 + b"]" * 17, Code.TOO_LARGE, 2),
        (b"version = 1\nx = " + b"{a = " * 17 + b"1" + b"}" * 17, Code.TOO_LARGE, 2),
        (b"version = 1\n\n" + b".".join([b"a"] * 17) + b" = 1\n", Code.TOO_LARGE, 3),
        (b"version = 1\n[" + b".".join([b"a"] * 17) + b"]\n", Code.TOO_LARGE, 2),
        (b"x = " + b"[" * 200_000, Code.TOO_LARGE, 1),
        (b".".join([b"a"] * 200_000) + b" = 1", Code.TOO_LARGE, 1),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_file_that_cannot_be_read_says_where(data: bytes, code: Code, line: int) -> None:
    result = interpret(data, FILE, {}, {})
    (problem,) = result.problems
    assert (problem.code, problem.origin.line, problem.origin.name) == (code, line, "palyra.toml")
    assert result.path == FILE


def test_a_syntax_error_names_line_and_column_and_hides_only_the_file() -> None:
    result = interpret(b"version = 1\nx = [1,,2]\n", FILE, {"PALYRA_GATEWAY__BNID": "x"}, {})
    syntax, unknown = result.problems
    assert "line 2, column 8" in str(syntax)
    assert unknown.code is Code.ENV_UNKNOWN


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tasks]\nx = 1\n[gateway]\n[tasks]\n", "tasks stands on line 2 already (line 5, column 7)"),
        ("[tasks]\nx = 1\nx = 2\n", "tasks.x stands on line 3 already (line 4, column 6)"),
        ("tasks.x = 1\n[tasks]\n", "tasks stands on line 2 already"),
        ("[tasks]\nx = 1\n[tasks.x]\n", "tasks.x stands on line 3 already"),
        ('[providers."a b"]\nkind = 1\n[providers."a b"]\n', 'providers."a b" stands on line 2 already'),
        ("[[jobs]]\nx = 1\n[[jobs]]\nx = 1\nx = 2\n", "jobs[1].x stands on line 5 already"),
        ("x = {a = 1,\n", "(line 2"),
    ],
)
def test_what_is_there_twice_is_told_with_where_it_stood_first(text: str, said: str) -> None:
    (problem,) = interpret(f"version = 1\n{text}".encode(), FILE, {}, {}).problems
    assert problem.code is Code.SYNTAX
    assert said in str(problem)


def test_sixteen_levels_are_read() -> None:
    dotted = ".".join(["a"] * 16)
    assert found(f"version = 1\n{dotted} = 1\n") == [("unknown_key", "a")]


@pytest.mark.parametrize("number", ["1e99999999999999999999", "1e-99999999999999999999", "nan", "inf"])
def test_a_number_nobody_can_hold_is_refused_where_it_stands(number: str) -> None:
    (problem,) = load(f"version = 1\n[governance]\nspike_usd = {number}\n").problems
    assert (problem.code, problem.key, problem.origin.line) == (Code.OUT_OF_RANGE, "governance.spike_usd", 3)


def test_crlf_and_comments_do_no_harm() -> None:
    assert sound("version = 1 # v\r\n[tasks] # t\r\nconcurrency = 3 # c\r\n").tasks.concurrency == 3


def test_bytes_without_a_name_are_called_by_the_usual_one() -> None:
    (problem,) = interpret(b"version = 1\nx = 1\n", None, {}, {}).problems
    assert str(problem).startswith("palyra.toml:2 x:")


def test_the_same_bytes_mean_the_same_under_any_name() -> None:
    first = interpret(b"version = 1\n[tasks]\nconcurrency = 3\n", Path("/a/palyra.toml"), {}, {})
    second = interpret(b"version = 1\n[tasks]\nconcurrency = 3\n", Path("/b/other.toml"), {}, {})
    assert first.config == second.config
