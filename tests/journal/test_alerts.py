from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from palyra.core.clock import ManualClock
from palyra.journal import tables
from palyra.journal.changes import AlertSaved, AuditAdded, DecisionMade, RunSaved
from palyra.journal.journal import Journal
from palyra.journal.rows import AlertRow, ServedRow
from tests.journal.samples import T0, a_decision, a_run, ended
from tests.journal.test_migrating import insert, older

ALERT = AlertRow(
    "a1", 1, 1, "budget_alert", "warning", "open", "budget_alert:day:*", "budget", "day", 1, T0, T0, True, {"used": 7}
)


async def test_an_alert_comes_back_as_it_was_saved(journal: Journal) -> None:
    full = replace(
        ALERT,
        state="snoozed",
        notified_at=T0,
        snoozed_until=T0 + 5,
        answered="danger",
        acted_by="ann \ud800",
        acted_at=T0 + 1,
        payload={"deep": [1, None, "Ü"]},
    )
    await journal.submit([AlertSaved(full), AlertSaved(replace(ALERT, alert_id="a2", first_seen=T0 - 1))])
    second, first = await journal.readers.live_alerts()
    assert await journal.readers.alert("a1") == first
    assert await journal.readers.alert("a3") is None
    assert (second.alert_id, first) == ("a2", replace(full, acted_by="ann ?"))


async def test_only_a_later_revision_replaces_an_alert(journal: Journal) -> None:
    await journal.submit([AlertSaved(replace(ALERT, revision=3, severity="danger"))])
    for revision in (2, 3):
        await journal.submit([AlertSaved(replace(ALERT, revision=revision))])
    assert [row.severity for row in await journal.readers.live_alerts()] == ["danger"]
    await journal.submit([AlertSaved(replace(ALERT, revision=4))])
    assert [row.severity for row in await journal.readers.live_alerts()] == ["warning"]


async def test_resolved_alerts_are_listed_by_their_end(journal: Journal) -> None:
    rows = [
        replace(ALERT, alert_id=f"a{number}", state="resolved", resolved_at=T0 + number, holds=False)
        for number in (2, 1, 3)
    ]
    await journal.submit([AlertSaved(row) for row in rows])
    assert await journal.readers.live_alerts() == ()
    found = await journal.readers.resolved_alerts(T0 + 2)
    assert [row.alert_id for row in found] == ["a3", "a2"]
    assert [row.alert_id for row in await journal.readers.resolved_alerts(limit=1)] == ["a3"]


async def test_recording_began_with_the_first_link_of_the_chain(journal: Journal) -> None:
    assert await journal.readers.recorded_since() is None
    await journal.submit([AuditAdded(T0 + at, "engine", "b", "palyra", {"verb": "started"}) for at in (5, 9)])
    assert await journal.readers.recorded_since() == T0 + 5


async def test_models_are_compared_by_the_runs_that_routing_gave_them(journal: Journal) -> None:
    def run(number: int, model: str, action: str, state: str, took: int) -> list[RunSaved | DecisionMade]:
        name = f"r{number}"
        row = a_run(name, model=model, decision_id=f"d{number}", accepted_at=T0 + number, dispatched_at=T0 + number)
        decision = a_decision(row, f"d{number}", action=action)
        return [RunSaved(ended(row, state, finished_at=T0 + number + took)), DecisionMade(decision)]

    plan = [
        ("default", "proceed", "completed", 100),
        ("default", "proceed", "completed", 300),
        ("default", "degrade", "failed", 900),
        ("small", "degrade", "completed", 10),
        ("small", "degrade", "completed", 20),
        ("small", "degrade", "completed", 30),
        ("small", "proceed", "failed", 10),
        ("big", "upgrade", "failed", 10),
        ("big", "upgrade", "refused", 10),
        ("asked", "proceed", "completed", 10),
    ]
    for number, one in enumerate(plan):
        await journal.submit(run(number, *one))
    assert await journal.readers.served(T0, "default") == (
        ServedRow("big", 1, 1, None),
        ServedRow("default", 3, 1, 100),
        ServedRow("small", 3, 0, 20),
    )
    assert await journal.readers.served(T0 + 10_000, "default") == ()


async def test_a_journal_of_before_alerts_keeps_what_it_had(tmp_path: Path, clock: ManualClock) -> None:
    run = a_run("kept")
    with closing(older(tmp_path, 4)) as database:
        insert(database, tables.RUNS, tables.run_values(run))
    journal = await Journal.open(tmp_path, clock)
    try:
        await journal.submit([AlertSaved(ALERT)])
        kept = await journal.readers.run("kept")
        alerts = await journal.readers.live_alerts()
    finally:
        await journal.close()
    assert (kept, alerts) == (run, (ALERT,))


@pytest.mark.parametrize("state", ["open", "acknowledged", "snoozed"])
async def test_what_is_not_over_has_no_end(journal: Journal, state: str) -> None:
    await journal.submit([AlertSaved(replace(ALERT, state=state))])
    assert [row.state for row in await journal.readers.live_alerts()] == [state]
    assert await journal.readers.resolved_alerts() == ()
