"""`palyra jobs` and `palyra schedule` on a real state directory; commands that act start an engine of their own."""

from pathlib import Path

import pytest

from tests.cli.test_commands import Shell


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    for name in ("PALYRA_CONFIG", "PALYRA_STATE_DIR", "PALYRA_OPERATOR"):
        monkeypatch.delenv(name, raising=False)
    shell = Shell(tmp_path)
    shell.config.write_text(
        'version = 1\n[[jobs]]\nname = "Nightly"\ncron = "30 2 * * *"\ntimezone = "Europe/Prague"\n'
        'action = "prompt"\nprompt = "Sum up the day."\n'
    )
    return shell


def test_jobs_are_looked_at_without_an_engine(shell: Shell) -> None:
    assert shell("jobs", "list").startswith("No jobs.")
    assert shell("jobs", "runs") == "No fires.\n"
    assert "no job" in shell("jobs", "show", "nightly", code=3)


def test_a_job_is_added_shown_run_paused_and_deleted(shell: Shell) -> None:
    told = shell("jobs", "add", "Hello", "--every", "1h", "--prompt", "Say hello.", "--set", "max_attempts=2")
    assert "Job Hello is added; it fires next at" in told
    assert told.count("+00:00") == 5
    listed = {view["name"]: view for view in shell.json("jobs", "list")["jobs"]}
    assert set(listed) == {"Hello", "Nightly"}
    assert (listed["Nightly"]["source"], listed["Nightly"]["state"]) == ("config", "active")
    assert listed["Hello"]["what"] == "auto: Say hello."
    assert len(shell.json("jobs", "list", "--all")["jobs"]) == 9

    fire = shell.json("jobs", "run", "hello", "--wait", "--key", "once")
    assert (fire["state"], fire["trigger"], fire["slot"], fire["attempts"]) == ("completed", "manual", None, 1)
    again = shell.json("jobs", "run", "hello", "--key", "once")
    assert again["data"]["fire_id"] == fire["fire_id"]
    (run,) = shell.json("jobs", "runs", "Hello", "--state", "completed", "--since", "1h")["fires"]
    assert run["fire_id"] == fire["fire_id"]
    assert run["output_tokens"] > 0
    detail = shell.json("jobs", "show", "hello", "--count", "3")
    assert len(detail["upcoming"]) == 3
    assert detail["fields"]["max_attempts"] == "2"

    assert "version 1" in shell("jobs", "edit", "hello", "--every", "2h", "--version", "7", code=4)
    shell("jobs", "edit", "hello", "--cron", "0 9 * * mon", "--tz", "Europe/Prague", "--version", "1")
    shell("jobs", "pause", "hello", "--reason", "weekend")
    told = shell("jobs", "show", "hello")
    assert "weekend" in told
    assert "cron = 0 9 * * mon" in told
    shell("jobs", "pause", "hello", code=4)
    shell("jobs", "resume", "hello")
    assert "configuration file" in shell("jobs", "delete", "nightly", code=4)
    shell("jobs", "delete", "hello")
    assert "no job" in shell("jobs", "show", "hello", code=3)
    assert len(shell.json("jobs", "runs")["fires"]) >= 1


def test_everything_wrong_is_told_at_once(shell: Shell) -> None:
    refused = shell.json("jobs", "add", "x", "--cron", "60 * * *", "--tz", "Europe/Pragu", "--task", "sing", code=2)
    assert {fault["field"] for fault in refused["faults"]} == {"schedule.cron", "schedule.timezone", "task", "input"}
    told = shell("jobs", "add", "x", "--cron", "60 * * * *", "--prompt", "p", code=2)
    assert "schedule.cron.minute: 60 is outside 0-59" in told
    assert "not in the future" in shell("jobs", "add", "x", "--at", "2020-01-01T00:00:00Z", "--prompt", "p", code=2)
    assert "FIELD=VALUE" in shell("jobs", "add", "x", "--set", "nonsense", code=2)
    assert shell("jobs", "list", "--state", "faulted").startswith("No jobs.")


def test_a_model_that_nobody_knows_is_refused(shell: Shell) -> None:
    told = shell("jobs", "add", "X", "--every", "1h", "--prompt", "p", "--model", "nope/none", code=2)
    assert told.startswith("model: There is no model")


def test_what_looks_like_a_secret_is_not_listed(shell: Shell) -> None:
    prompt = "Use sk-abcdefghijklmnopqrstuvwxyz0123456789ABCD for it."
    shell("jobs", "add", "X", "--every", "1h", "--prompt", prompt)
    assert "abcdefghij" not in shell("jobs", "list")


def test_an_instant_may_be_so_far_ahead(shell: Shell) -> None:
    shell("jobs", "add", "soon", "--at", "in 30m", "--prompt", "p")
    (view,) = [view for view in shell.json("jobs", "list")["jobs"] if view["name"] == "soon"]
    assert (view["schedule"], view["next_slot"] is not None) == ("at", True)
    assert "duration" in shell("jobs", "add", "later", "--at", "in a while", "--prompt", "p", code=2)
    for span in ("9999999d", f"{10**15}d"):
        assert "after the year 9999" in shell("jobs", "add", "never", "--at", f"in {span}", "--prompt", "p", code=2)


def test_a_job_is_told_of_by_the_name_it_has_now(shell: Shell) -> None:
    assert "Job Spaced is added" in shell("jobs", "add", " Spaced ", "--every", "1h", "--prompt", "p")
    told = shell("jobs", "edit", "spaced", "--set", "name=Other", "--every", "2h")
    assert told.count("+00:00") == 5


def test_system_jobs_run_when_they_are_told_to(shell: Shell) -> None:
    fire = shell.json("jobs", "run", "system.journal_checkpoint", "--wait")
    assert fire["state"] == "completed"
    assert set(fire["detail"]) == {"pages", "moved", "busy"}
    for name in ("journal_vacuum", "rollup_check", "health_check", "model_discovery", "approvals_sweep"):
        assert shell.json("jobs", "run", f"system.{name}", "--wait")["state"] == "completed", name
    assert "Palyra's own" in shell("jobs", "delete", "system.health_check", code=4)


@pytest.mark.parametrize(
    ("expression", "zone", "after", "lines"),
    [
        (
            "30 2 * * *",
            "Europe/Prague",
            "2026-03-28",
            [
                "2026-03-28 01:30:00Z  2026-03-28 02:30:00 +01:00",
                "2026-03-29 01:00:00Z  2026-03-29 03:00:00 +02:00  clock goes forward",
            ],
        ),
        (
            "30 2 * * *",
            "Europe/Prague",
            "2026-10-24T12:00:00Z",
            ["2026-10-25 00:30:00Z  2026-10-25 02:30:00 +02:00", "2026-10-26 01:30:00Z  2026-10-26 02:30:00 +01:00"],
        ),
    ],
)
def test_the_next_instants_of_an_expression(expression: str, zone: str, after: str, lines: list[str]) -> None:
    told = schedule("next", expression, "--tz", zone, "--after", after, "--count", "2").splitlines()
    assert told[0].split() == ["UTC", "local"]
    assert [line.rstrip() for line in told[1:]] == lines


def schedule(*words: str, code: int = 0) -> str:
    from typer.testing import CliRunner

    from palyra.cli.app import build_app
    from palyra.main import Launcher

    result = CliRunner().invoke(build_app(Launcher()), ["schedule", *words])
    assert result.exit_code == code, result.output
    return result.output


def test_what_is_wrong_with_an_expression() -> None:
    told = schedule("next", "60 25 * * *", "--tz", "Europe/Pragu", code=2)
    assert told.splitlines() == [
        "schedule.cron.minute: 60 is outside 0-59",
        "schedule.cron.hour: 25 is outside 0-23",
        'schedule.timezone: unknown zone "Europe/Pragu"; did you mean "Europe/Prague"?',
    ]
    assert '"problems": []' in schedule("next", "* * * * *", "--json")
