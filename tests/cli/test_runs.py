"""`palyra runs`: runs are listed, looked at and stopped; also those of an engine in another process."""

from pathlib import Path

import pytest

from tests.cli.test_commands import Shell


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    for name in ("PALYRA_CONFIG", "PALYRA_STATE_DIR", "PALYRA_OPERATOR"):
        monkeypatch.delenv(name, raising=False)
    return Shell(tmp_path)


def test_runs_are_listed_and_looked_at_without_an_engine(shell: Shell) -> None:
    shell("run", "one", "--session", "night")
    shell("run", "two")
    runs = shell.json("runs", "list")["runs"]
    assert [view["state"] for view in runs] == ["completed", "completed"]
    (night,) = shell.json("runs", "list", "--session", "night", "--state", "completed", "--since", "2026-01-01")["runs"]
    assert len(shell.json("runs", "list", "--since", "24h")["runs"]) == 2
    assert "--since" in shell("runs", "list", "--since", "yesterday", code=2)
    assert shell.json("runs", "list", "--job", "nightly")["runs"] == []
    assert night["run_id"] in shell("runs", "list")
    told = shell("runs", "show", night["run_id"])
    assert "completed (stop)" in told
    assert "run_terminal" in told
    assert shell.json("runs", "show", night["run_id"])["attempts"][0]["state"] == "settled"
    assert shell("runs", "show", "01NOTHING", code=3)
    assert "No engine" in shell("runs", "watch", code=5)


def test_a_run_that_has_ended_is_not_cancelled(shell: Shell) -> None:
    shell("run", "one")
    (view,) = shell.json("runs", "list")["runs"]
    refused = shell.json("runs", "cancel", view["run_id"], code=4)
    assert "already completed" in refused["message"]
    assert "RUN…" in shell("runs", "cancel", code=2)
    assert "RUN…" in shell("runs", "cancel", view["run_id"], "--principal", "local", code=2)
    assert "No such run is alive" in shell("runs", "cancel", "--principal", "local", "--yes", code=3)
    assert shell.json("runs", "show", view["run_id"])["run"] == view
    several = shell.json("runs", "cancel", view["run_id"], "01NOTHING", code=4)
    assert [one["run_id"] for one in several["refused"]] == [view["run_id"], "01NOTHING"]
    told = shell("runs", "cancel", "01NOTHING", view["run_id"], code=3)
    assert told.splitlines()[0] == "0 runs are being cancelled, 2 refused."
    assert "No run '01NOTHING' is known. See `palyra runs list`." in told


def test_what_was_said_is_shown_where_it_was_kept(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell("run", "one")
    monkeypatch.setenv("PALYRA_RUNS__STORE_CONTENT", "redacted")
    shell("run", "hello \x1b[31m sk-live-0123456789abcdef0123")
    newest, oldest = shell.json("runs", "list")["runs"]
    told = shell("runs", "show", newest["run_id"], "--content")
    assert "prompt (redacted):" in told
    assert "answer (redacted):" in told
    assert "hello" in told
    assert "0123456789abcdef" not in told
    assert "\x1b" not in told
    assert "hello" not in shell("runs", "show", newest["run_id"])
    shown = shell.json("runs", "show", newest["run_id"], "--content")
    assert [one["part"] for one in shown["texts"]] == ["prompt", "answer"]
    assert shown["run"]["run_id"] == newest["run_id"]
    assert "Neither prompt nor answer was kept" in shell("runs", "show", oldest["run_id"], "--content")
