"""`palyra access`: a token is made, shown once and taken over by an engine that runs already."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from palyra.cli.app import build_app
from palyra.core.clock import ManualClock
from palyra.main import Launcher
from palyra.vault.access import AccessRegistry
from palyra.vault.records import Role


def shell(state_dir: Path, *words: str) -> Result:
    return CliRunner().invoke(build_app(Launcher()), ["access", *words, "--state-dir", str(state_dir)])


def told(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_token_opens_as_its_operator_until_the_next_one_is_made(tmp_path: Path) -> None:
    engine = AccessRegistry.open(tmp_path, ManualClock())
    made = told(shell(tmp_path, "token", "--operator", "ci", "--role", "admin", "--json"))
    assert (made["operator"], made["role"], made["token"][:7]) == ("ci", "admin", "plo_ci_")
    engine.refresh()
    operator = engine.authenticate_operator(made["token"])
    assert operator is not None
    assert operator.role is Role.ADMIN
    assert shell(tmp_path, "flags", "set", "console_write", "on").stdout == "console_write is on.\n"
    again = told(shell(tmp_path, "token", "--operator", "ci", "--json"))
    engine.refresh()
    assert engine.flag("console_write")
    assert engine.authenticate_operator(made["token"]) is None
    assert engine.authenticate_operator(again["token"]) is not None


def test_it_is_shown_once_beside_what_it_may_do(tmp_path: Path) -> None:
    result = shell(tmp_path / "state", "token", "--operator", "ana", "--role", "approver")
    assert result.exit_code == 0
    (token,) = result.stdout.splitlines()
    assert token.startswith("plo_ana_")
    assert "ana is approver" in result.stderr
    assert "flags set console_write on" in result.stderr
    assert token not in (tmp_path / "state" / "access_registry.json").read_text()
    assert told(shell(tmp_path / "state", "flags", "list", "--json"))["console_write"] is False
    assert "console_read on\n" in shell(tmp_path / "state", "flags", "list").stdout


def test_what_cannot_be_done_is_told_and_changes_nothing(tmp_path: Path) -> None:
    state_dir = tmp_path / "state"
    assert shell(state_dir, "token", "--operator", "ana").exit_code == 0
    before = (state_dir / "access_registry.json").read_bytes()
    table = [
        (("token", "--operator", "Ana Bea"), 2, "--operator 'Ana Bea'"),
        (("token", "--operator", "ana", "--role", "god"), 2, "Use one of viewer, approver, admin"),
        (("token", "--operator", "ana", "--role", "admin"), 4, "registered as viewer"),
        (("flags", "set", "console_wrte", "on"), 3, "There is no feature 'console_wrte'"),
        (("flags", "set", "console_write", "maybe"), 2, "Write on or off"),
    ]
    for words, code, says in table:
        result = shell(state_dir, *words)
        assert (result.exit_code, says in result.stderr) == (code, True), result.stderr
        assert (state_dir / "access_registry.json").read_bytes() == before
