"""`palyra incidents` on a real state directory: what an engine found is listed, acted on and counted."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from palyra.core.clock import SystemClock
from palyra.core.conditions import Domain, Severity
from palyra.journal.incident_rows import EPISODES, INCIDENTS, TIMELINE, IncidentRecord
from palyra.journal.journal import Journal
from tests.cli.test_commands import Shell
from tests.journal.test_incidents import FIRST, OPENED, SILENT


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    for name in ("PALYRA_CONFIG", "PALYRA_STATE_DIR", "PALYRA_OPERATOR"):
        monkeypatch.delenv(name, raising=False)
    return Shell(tmp_path)


def left(shell: Shell, *more: IncidentRecord) -> None:
    """An engine found a job at fault, and was stopped."""

    async def work() -> None:
        clock = SystemClock()
        journal = await Journal.open(shell.state_dir, clock)
        now = clock.now_ms()
        faulted = replace(
            SILENT,
            domain=Domain.SCHEDULER,
            key="job:j1:faulted",
            family="job:faulted",
            feature="jobs",
            summary="The job nightly cannot be planned\x1b[2J",
            subject="j1",
            related={"job": "j1"},
            snoozed_until=None,
            opened_at=now - 5_000,
            condition_since=now - 6_000,
        )
        episode = replace(FIRST, condition_since=faulted.condition_since, opened_at=faulted.opened_at)
        rows = [INCIDENTS.saved(one) for one in (faulted, *more)]
        await journal.submit([*rows, EPISODES.saved(episode), TIMELINE.saved(OPENED)])
        await journal.close()

    asyncio.run(work())


def test_incidents_are_listed_and_shown_without_an_engine(shell: Shell) -> None:
    left(shell)
    listed = shell("incidents", "list")
    assert "The job nightly cannot be planned␛[2J" in listed
    page = shell.json("incidents", "list")
    assert (page["total"], page["open"]["high"], page["healing"]) == (1, 1, None)
    assert (page["incidents"][0]["incident_id"], page["incidents"][0]["severity"]) == ("i1", "high")
    assert shell("incidents", "list", "--severity", "critical") == "No incidents.\n"
    assert shell("incidents", "list", "--state", "resolved") == "No incidents.\n"
    assert "i1" in shell("incidents", "list", "--assignee", "nobody", "--text", "NIGHTLY planned")
    assert "Choose one of low, medium, high, critical" in shell("incidents", "list", "--severity", "bad", code=2)
    shown = shell("incidents", "show", "i1")
    assert "opened by palyra: severity high" in shown
    assert "job j1" in shown
    assert shell.json("incidents", "show", "i1")["timeline"][0]["kind"] == "opened"
    assert "No incident 'i9'" in shell("incidents", "show", "i9", code=3)


def test_people_act_and_what_they_did_is_kept(shell: Shell) -> None:
    left(shell)
    acked = shell.json("incidents", "ack", "i1")
    assert (acked["status"], acked["data"]["version"]) == ("accepted", "2")
    assert "has acknowledged incident i1 already" in shell("incidents", "ack", "i1", code=4)
    assert "Assigned to bob: " in shell("incidents", "assign", "i1", "bob")
    assert "needs a reason" in shell("incidents", "snooze", "i1", "--for", "2h", code=2)
    assert "is no duration" in shell("incidents", "snooze", "i1", "--for", "soon", code=2)
    assert "Snoozed for 2h00m" in shell("incidents", "snooze", "i1", "--for", "2h", "--reason", "known")
    assert "snoozed until" in shell("incidents", "list")
    assert "Woken: " in shell("incidents", "snooze", "i1", "--for", "0")
    assert "Noted: " in shell("incidents", "note", "i1", "the disk was full")
    assert "still present" in shell("incidents", "resolve", "i1", code=4)
    assert "Resolved: " in shell("incidents", "resolve", "i1", "--force")
    assert shell("incidents", "list") == "No incidents.\n"
    assert "resolved, muted" in shell("incidents", "list", "--all")
    timeline = shell.json("incidents", "show", "i1")["timeline"]
    kinds = [line["kind"] for line in timeline if line["kind"] != "notified"]
    assert kinds == ["opened", "acknowledged", "assigned", "snoozed", "woken", "note", "resolved"]
    assert shell.json("audit", "verify")["ok"] is True


def test_several_are_each_judged_alone(shell: Shell) -> None:
    other = replace(SILENT, incident_id="i2", key="storage:x", family="storage:x", domain=Domain.STORAGE)
    left(shell, replace(other, severity=Severity.LOW))
    told = shell.json("incidents", "ack", "i1", "i9", "i2", code=3)
    assert told["status"] == "not_found"
    assert told["data"]["done"] == "i1,i2"
    assert "No incident 'i9' is known" in told["message"]
    assert "2 incidents resolved." in shell("incidents", "resolve", "i1", "i2", "--force")


def test_remedies_are_looked_at_before_they_are_begun(shell: Shell) -> None:
    left(shell)
    assert "reset_job (low risk, session; only if somebody asks)" in shell("incidents", "remedy", "i1", "--preview")
    offered = shell.json("incidents", "remedy", "i1", "--preview")["remedies"]
    assert [one["name"] for one in offered] == ["reset_job"]
    assert "There is: reset_job" in shell("incidents", "remedy", "i1", "cancel_run", code=3)


def test_modes_are_those_of_an_engine_that_runs(shell: Shell) -> None:
    assert "No engine runs" in shell("incidents", "mode", code=5)
    assert "No engine runs" in shell("incidents", "mode", "all", "observe_only", code=5), "it would hold for no time"
    assert "A mode is missing" in shell("incidents", "mode", "runs", code=2)


def test_measures_are_taken_over_a_window(shell: Shell) -> None:
    left(shell)
    shell("incidents", "ack", "i1")
    stats = shell.json("incidents", "stats", "--window", "24h")
    assert [(one["severity"], one["episodes"], one["mttd_ms"]) for one in stats["measures"]] == [
        ("", 1, 1_000),
        ("high", 1, 1_000),
    ]
    assert stats["measures"][0]["mtta_ms"] >= 5_000
    assert "MTTA" in shell("incidents", "stats")
    assert "is no window" in shell("incidents", "stats", "--window", "1y", code=2)


def test_a_page_says_where_the_next_one_begins(shell: Shell) -> None:
    left(shell, replace(SILENT, incident_id="i2", key="storage:x", family="storage:x", domain=Domain.STORAGE))
    first = shell.json("incidents", "list", "--limit", "1")
    assert (len(first["incidents"]), first["total"]) == (1, 2)
    assert f"2 in all; go on with --cursor {first['next_cursor']}" in shell("incidents", "list", "--limit", "1")
    rest = shell.json("incidents", "list", "--cursor", first["next_cursor"])
    ids = {one["incident_id"] for one in (*first["incidents"], *rest["incidents"])}
    assert (ids, rest["next_cursor"]) == ({"i1", "i2"}, "")
    assert "is no cursor" in shell("incidents", "list", "--cursor", "x", code=2)
    assert shell.json("incidents", "dead-letters", "list")["next_cursor"] is None
