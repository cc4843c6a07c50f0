"""An installation of any earlier Palyra is taken over by this one as it is, and what was under way is ended."""

from pathlib import Path

import pytest

from palyra.config.load import load_config
from palyra.control.access_queries import AccessQuery
from palyra.control.audit_queries import AuditLogQuery
from palyra.control.incidents_queries import IncidentsQuery
from palyra.control.jobs_queries import JobsQuery
from palyra.control.memory_queries import NotesQuery
from palyra.control.queries import AlertsQuery, ApprovalsQuery, LedgerQuery, RunsQuery
from palyra.control.task_queries import TasksQuery
from palyra.control.usage_queries import UsageQuery
from palyra.core.clock import ManualClock
from palyra.engine import Installation
from palyra.house import House, open_house
from palyra.journal.audit import verify
from palyra.journal.journal import Journal
from palyra.journal.schema import LATEST
from tests.upgrading.places import (
    NEVER_NEWEST,
    SCHEMAS,
    STATES,
    Content,
    column,
    content,
    installation,
    kept,
    newest_time,
)

FINAL = ("usage", "decisions", "audit", "run_notes", "policies", "task_inputs", "memory_notes", "incident_timeline")
"""What no engine changes or takes away once it is written."""


def test_every_schema_before_the_newest_has_its_installation() -> None:
    there = {int(path.name[1:3]) for path in STATES.iterdir()}
    assert there == set(SCHEMAS) - NEVER_NEWEST.keys()
    assert there >= set(range(1, LATEST)) - NEVER_NEWEST.keys()


@pytest.mark.parametrize("schema", SCHEMAS)
async def test_it_is_taken_over(tmp_path: Path, schema: int) -> None:
    config_file, state_dir = installation(tmp_path, schema)
    journal, head = state_dir / "journal.db", state_dir / "audit.head"
    before, old_head = content(journal), head.read_bytes()
    clock = ManualClock(newest_time(journal) + 1_000)

    opened = await Journal.open(state_dir, clock)
    try:
        assert opened.audit_intact
        assert await opened.readers.rollup_differences() == ()
    finally:
        await opened.close()
    assert kept(before, content(journal)) == []
    copies = sorted(path.name for path in state_dir.glob("backups/*"))
    if schema < LATEST:
        name = f"journal-v{schema}-{clock.now_ms()}"
        assert copies == [f"{name}.db", f"{name}.head"]
        assert content(state_dir / "backups" / f"{name}.db") == before
        assert (state_dir / "backups" / f"{name}.head").read_bytes() == old_head
    else:
        assert copies == []

    loaded = load_config(config_file, {})
    assert loaded.config is not None, loaded.problems
    async with open_house(Installation(loaded.config, state_dir, config_file), clock, {}, serving=False) as house:
        assert house.engine.access.authenticate((state_dir / "gateway-key.txt").read_text().strip()) is not None
        if (state_dir / "vault").exists():
            assert house.engine.secrets.vault is not None
            assert house.engine.secrets.vault.resolve("global/kept").secret is not None
        await tells(house, before)
    assert kept({table: before[table] for table in FINAL if table in before}, content(journal)) == []
    assert verify(journal, head).ok


async def tells(house: House, before: Content) -> None:
    """Every list has what it had, and the books fit."""
    control = house.own_control("", {})
    runs = (await control.ask(RunsQuery())).runs
    assert {run.run_id for run in runs} == column(before, "runs", "run_id")
    assert all(run.finished_at for run in runs)
    ledger = await control.ask(LedgerQuery())
    assert (ledger.ok, ledger.open_holds, ledger.rollup_differences) == (True, 0, ())
    assert ledger.holds == len(column(before, "holds", "hold_id"))
    usage = await control.ask(UsageQuery())
    assert usage.total.requests == len(runs)
    approvals = (await control.ask(ApprovalsQuery())).approvals
    assert {one.approval_id for one in approvals} == column(before, "approvals", "approval_id")
    jobs = {job.name for job in (await control.ask(JobsQuery())).jobs}
    assert jobs >= {name for name in column(before, "jobs", "name") if not name.startswith("system.")}
    tasks = (await control.ask(TasksQuery())).tasks
    assert {task.task_id for task in tasks} >= column(before, "tasks", "task_id")
    notes = (await control.ask(NotesQuery())).notes
    assert len(notes) == len(column(before, "memory_notes", "note_id"))
    alerts = (await control.ask(AlertsQuery())).alerts
    assert {alert.alert_id for alert in alerts} >= column(before, "alerts", "alert_id")
    incidents = (await control.ask(IncidentsQuery())).incidents
    assert {one.incident_id for one in incidents} >= column(before, "incidents", "incident_id")
    assert (await control.ask(AuditLogQuery())).entries
    assert (await control.ask(AccessQuery())).keys
