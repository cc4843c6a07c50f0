"""`palyra alerts` on a real state directory: what was out of the ordinary is listed, acknowledged and put away."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from palyra.cli.alerts import alerts
from palyra.control.plain import plain
from palyra.control.snapshots import AlertView
from palyra.main import Launcher
from tests.cli.test_commands import Shell

BUDGET = """
[[budgets]]
policy_id = "few"
metric_kind = "requests"
interval_kind = "lifetime"
hard_limit = 2
soft_limit = 1
"""


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    for name in ("PALYRA_CONFIG", "PALYRA_STATE_DIR", "PALYRA_OPERATOR"):
        monkeypatch.delenv(name, raising=False)
    made = Shell(tmp_path)
    made.config.write_text(made.config.read_text() + BUDGET)
    return made


def test_alerts_are_listed_acknowledged_and_put_away_without_an_engine(shell: Shell) -> None:
    shell("run", "one")
    assert shell("alerts", "list") == "No alerts.\n"
    shell("run", "two")
    (alert,) = shell.json("alerts", "list")["alerts"]
    assert (alert["kind"], alert["severity"], alert["state"]) == ("budget_alert", "warning", "open")
    assert (alert["payload"]["settled"], alert["payload"]["policy_id"]) == (2, "few")
    listed = shell("alerts", "list")
    assert alert["alert_id"] in listed
    assert "few is past its soft limit: 2 requests of 2 requests" in listed

    assert "is no duration" in shell("alerts", "snooze", alert["alert_id"], "--for", "8weeks", code=2)
    assert "1 s to 30 days" in shell("alerts", "snooze", alert["alert_id"], "--for", "100ms", code=2)
    away = shell.json("alerts", "snooze", alert["alert_id"], "--for", "8h")
    assert (away["status"], away["data"]["state"]) == ("accepted", "snoozed")
    assert "snoozed until" in shell("alerts", "list")

    assert "Acknowledged: few is past its soft limit" in shell("alerts", "ack", alert["alert_id"])
    (known,) = shell.json("alerts", "list")["alerts"]
    assert (known["state"], known["acted_by"] != "", known["version"]) == ("acknowledged", True, 3)
    again = shell.json("alerts", "ack", alert["alert_id"], code=4)
    assert again["status"] == "conflict"
    assert "live" in shell("alerts", "ack", "nothing", code=3)


def test_what_gets_worse_is_open_again_and_what_is_over_is_listed_with_all(shell: Shell) -> None:
    shell("run", "one")
    shell("run", "two")
    (alert,) = shell.json("alerts", "list")["alerts"]
    shell("alerts", "ack", alert["alert_id"])
    shell("run", "three", code=1)
    (worse,) = shell.json("alerts", "list")["alerts"]
    assert (worse["alert_id"], worse["severity"], worse["state"]) == (alert["alert_id"], "danger", "open")
    shell.config.write_text(shell.config.read_text().replace("hard_limit = 2", "hard_limit = 50"))
    shell.config.write_text(shell.config.read_text().replace("soft_limit = 1", "soft_limit = 40"))
    shell("run", "four")
    assert shell.json("alerts", "list")["alerts"] == []
    (over,) = shell.json("alerts", "list", "--all")["alerts"]
    assert (over["alert_id"], over["state"]) == (alert["alert_id"], "resolved")


def test_amounts_of_a_payload_are_named_by_their_unit() -> None:
    dollars = AlertView(
        "a", "budget_forecast", "warning", "", 0, payload={"metric_kind": "estimated_cost_usd", "used": 5, "limit": 7}
    )
    told = plain(dollars)["payload"]
    assert (told["used_nano_usd"], told["limit_nano_usd"], told["limit_usd"]) == (5, 7, "0.000000007")
    requests = AlertView("a", "budget_forecast", "warning", "", 0, payload={"metric_kind": "requests", "used": 5})
    assert plain(requests)["payload"] == {"metric_kind": "requests", "used": 5}


@pytest.mark.parametrize("command", ["list", "ack", "snooze"])
def test_every_command_says_what_it_does(command: str) -> None:
    told = CliRunner().invoke(alerts(Launcher()), [command, "--help"], env={"COLUMNS": "200"}).output
    assert "--json" in told
    assert "--state-dir" in told
