"""The command line on a real state directory, without an engine running: each command starts one where it needs one."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from palyra.cli.app import build_app
from palyra.cli.budgets import POLICY_FIELDS
from palyra.main import Launcher
from tests.governance.policies import policy


class Shell:
    """Runs commands on one installation."""

    def __init__(self, directory: Path) -> None:
        self.state_dir = directory / "state"
        self.config = directory / "palyra.toml"
        self.config.write_text('version = 1\n[[budgets]]\npolicy_id = "house"\nhard_limit = 100\n')
        self._app = build_app(Launcher())

    def __call__(self, *words: str, code: int = 0) -> str:
        places = ["--state-dir", str(self.state_dir), "--config", str(self.config)]
        result = CliRunner().invoke(self._app, [*words, *places])
        assert result.exit_code == code, (result.exit_code, result.output, result.exception)
        return result.output

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self(*words, "--json", code=code))


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    for name in ("PALYRA_CONFIG", "PALYRA_STATE_DIR", "PALYRA_OPERATOR"):
        monkeypatch.delenv(name, raising=False)
    return Shell(tmp_path)


def test_a_prompt_is_run_and_every_book_tells_of_it(shell: Shell) -> None:
    reply = shell.json("run", "hello world")
    assert reply["reply"]["choices"][0]["message"]["content"] == "hello world"
    run_id = reply["headers"]["x-palyra-run"]
    usage = shell.json("usage")
    assert usage["total"]["requests"] == 1
    assert (usage["total"]["input_tokens"], usage["total"]["total_tokens"]) == (3, 6)
    assert (usage["total"]["cost_nano_usd"], usage["total"]["cost_usd"]) == (0, "0.00")
    assert [entry["key"] for entry in usage["breakdown"]] == ["deterministic/echo"]
    decision = shell.json("explain", run_id)
    assert decision["run_id"] == run_id
    assert decision["action"] == "proceed"
    evaluation = decision["evaluations"][0]
    assert (evaluation["policy_id"], evaluation["hard_nano_usd"], evaluation["hard_usd"]) == ("house", 10**11, "100.00")
    assert not {"settled", "held", "bound", "projected", "soft", "hard", "grants"} & set(evaluation)
    assert any("house" in sentence for sentence in decision["sentences"])
    assert shell.json("explain", decision["decision_id"])["decision_id"] == decision["decision_id"]
    ledger = shell.json("ledger", "verify")
    assert (ledger["ok"], ledger["holds"], ledger["open_holds"], ledger["orphan_holds"]) == (True, 1, 0, [])
    assert ledger["overshoot"] == [
        {
            "policy_id": "house",
            "scope_value": "*",
            "window_start": ledger["overshoot"][0]["window_start"],
            "metric_kind": "estimated_cost_usd",
            "overshoot_nano_usd": 0,
            "overshoot_usd": "0.00",
        }
    ]
    assert shell.json("audit", "verify")["ok"] is True


def test_a_budget_is_made_changed_listed_and_removed(shell: Shell) -> None:
    made = shell.json("budgets", "add", "team-day", "--hard-limit", "5", "--interval-kind", "daily")
    assert made["data"] == {"policy_id": "team-day", "revision": "1"}
    edited = shell.json("budgets", "edit", "team-day", "--hard-limit", "7.5")
    assert edited["data"]["revision"] == "2"
    listed = {view["policy_id"]: view for view in shell.json("budgets", "list")["budgets"]}
    assert listed["team-day"]["hard_limit_nano_usd"] == 7_500_000_000
    assert listed["team-day"]["hard_limit_usd"] == "7.50"
    assert (listed["team-day"]["source"], listed["house"]["source"]) == ("operator", "config")
    assert "team-day" in shell("budgets", "list")
    shell("budgets", "remove", "team-day")
    assert [view["policy_id"] for view in shell.json("budgets", "list")["budgets"]] == ["house"]
    again = shell.json("budgets", "add", "team-day", "--hard-limit", "1")
    assert again["data"]["revision"] == "4"


@pytest.mark.parametrize("command", ["add", "edit"])
def test_every_field_of_a_policy_is_an_option_with_its_help(shell: Shell, command: str) -> None:
    told = CliRunner().invoke(build_app(Launcher()), ["budgets", command, "--help"], env={"COLUMNS": "200"}).output
    for name, text in POLICY_FIELDS.items():
        assert f"--{name.replace('_', '-')} TEXT" in told
        assert text.split()[0] in told
    assert set(POLICY_FIELDS) | {"policy_id"} == set(policy().fields())


def test_what_was_spent_before_a_budget_was_made_counts_in_it(shell: Shell) -> None:
    shell("run", "one")
    shell("run", "two")
    shell("budgets", "add", "calls", "--hard-limit", "3", "--metric-kind", "requests", "--action", "block")
    view = shell.json("budgets", "list")["budgets"][0]
    assert (view["policy_id"], view["settled"]) == ("calls", 2)
    shell("run", "three")
    refused = shell.json("run", "four", code=1)
    assert (refused["status"], refused["error"]["type"]) == (402, "budget_exceeded")
    assert shell.json("usage")["total"]["refused"] == 1


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("budgets", "add", "Team Day", "--hard-limit", "5"), 2, "policy_id"),
        (("budgets", "add", "x", "--hard-limit", "0.0000000001"), 2, "hard_limit"),
        (("budgets", "add", "house", "--hard-limit", "5"), 4, "exists already"),
        (("budgets", "edit", "house", "--hard-limit", "5"), 4, "configuration file"),
        (("budgets", "edit", "nobody", "--hard-limit", "5"), 3, "nobody"),
        (("budgets", "remove", "nobody"), 3, "nobody"),
        (("approvals", "allow", "01NONE"), 3, "01NONE"),
        (("approvals", "deny", "01NONE", "--reason", "no"), 3, "01NONE"),
        (("approvals", "revoke", "01NONE"), 3, "01NONE"),
        (("run", "hi", "--model", "nonexistent"), 3, "nonexistent"),
        (("run", "hi", "--session", "a b"), 2, "X-Palyra-Session"),
        (("run", "hi", "--session", "é"), 2, "--session"),
        (("run", "hi", "--session", "a\nb"), 2, "--session"),
        (("run", "h\udce9", "--session", "s"), 2, "UTF-8"),
    ],
)
def test_what_cannot_be_done_is_said_with_the_code_for_it(
    shell: Shell, words: tuple[str, ...], code: int, complaint: str
) -> None:
    assert complaint in shell(*words, code=code)


def test_reading_without_an_engine_works_and_says_so(shell: Shell) -> None:
    assert "No engine has run" in shell.json("status")["problems"][0]
    assert shell.json("usage")["total"]["requests"] == 0
    for what in ("ledger", "audit"):
        assert "no journal" in shell(what, "verify", code=5)
    shell("run", "hello")
    status = shell.json("status")
    assert (status["phase"], status["pid"]) == ("stopped", None)
    assert "No engine runs" in status["problems"][0]
    assert status["requests_total"] == 0
    assert shell.json("approvals", "list") == {"approvals": [], "grants": []}
    shell("explain", "01NONE", code=3)
    shell("usage", "--since", "soon", code=2)
    shell("usage", "--by", "colour", code=2)
    shell("approvals", "list", "--status", "lost", code=2)


def test_a_broken_configuration_is_told_whole(shell: Shell) -> None:
    shell.config.write_text('[gateway]\nbnid = "x"\n[[budgets]]\npolicy_id = "a"\nhard_limit = -1\n')
    told = shell("status", code=2)
    assert "2 problems" in told
    assert "gateway.bnid" in told
    assert '"bind"' in told
    assert "hard_limit" in told


def test_hostile_text_is_harmless_in_every_form(shell: Shell) -> None:
    hostile = "\x1b]52;c;aGk=\x07\x9b31m\u202e[bold]x"
    said = shell("run", hostile)
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(said)
    assert "[bold]x" in said
    raw = shell("run", hostile, "--json")
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(raw)
    assert json.loads(raw)["reply"]["choices"][0]["message"]["content"] == hostile
