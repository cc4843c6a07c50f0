"""Repairs that no engine may stand beside: it is stopped for them and started again beneath the same console."""

import asyncio
import sqlite3
from pathlib import Path

import httpx
import pytest

from palyra.config.load import load_config
from palyra.control.audit_queries import AuditLogQuery
from palyra.control.doctor import doctor
from palyra.control.doctor_acts import repairs_refused
from palyra.control.doctor_commands import ApplyRepairs, RollBack
from palyra.control.doctor_desk import DoctorDesk
from palyra.control.doctor_queries import DoctorPreviewQuery, DoctorReportQuery
from palyra.control.engine_commands import StartEngine
from palyra.control.recovery import AtDesk, RecoveryControl
from palyra.control.snapshots import OperatorView
from palyra.control.standstill import Premises, Standstill
from palyra.core.clock import ManualClock, SystemClock
from palyra.core.events import Event
from palyra.doctor.command import Asked
from palyra.doctor.reading import Where
from palyra.hosting import HostedControl
from palyra.journal.lock import EngineLock
from palyra.vault.access import AccessRegistry
from palyra.vault.records import Role
from tests.end_to_end.hosted import Site, done, repaired, served

LETTER = b"this is no database, it is a letter\n" * 200


async def asked(control: HostedControl) -> None:
    """One request of a client, settled and written down."""
    assert control.house is not None
    engine = control.house.engine
    headers = {"Authorization": f"Bearer {engine.access.key_file.read_text().strip()}"}
    body = {"model": "auto", "messages": [{"role": "user", "content": "hello"}]}
    async with httpx.AsyncClient() as client:
        url = f"{control.house.doors().gateway_url}/v1/chat/completions"
        assert (await client.post(url, json=body, headers=headers)).status_code == 200
    await engine.runner.live.idle()
    await engine.journal.submit(())


def lose_sums(site: Site) -> None:
    """As a writer of another hand would, while the engine runs."""
    with sqlite3.connect(site.journal) as journal:
        assert journal.execute("DELETE FROM usage_days").rowcount == 1
    journal.close()


def sums(site: Site) -> int:
    with sqlite3.connect(site.journal) as journal:
        (count,) = journal.execute("SELECT count(*) FROM usage_days").fetchone()
    journal.close()
    assert isinstance(count, int)
    return count


async def test_an_engine_is_stopped_for_a_repair_of_its_journal_and_started_again(site: Site) -> None:
    async with site.console() as control:
        await asked(control)
        lose_sums(site)
        assert control.house is not None
        before = control.house.engine
        (step,) = (await control.ask(DoctorPreviewQuery())).steps
        assert (step.repair_id, step.needs_stop) == ("journal.rollups", True)

        refused = await repaired(control)
        assert [one.outcome for one in done(refused).steps] == ["needs_stop"]
        assert control.house.engine is before

        plan = await control.ask(DoctorPreviewQuery())
        await asked(control)
        phases: list[str] = []
        before.events.subscribe(lambda event: phases.append(event.kind))
        sent = asyncio.create_task(control.send(ApplyRepairs(plan.digest, None, stop_engine=True)))
        troubles = set()
        while not sent.done():
            shot = await control.snapshot([])
            troubles.add((shot.engine.phase, shot.engine.trouble))
            await asyncio.sleep(0)
        result = await sent
        assert result.ok, result
        assert result.message == "1 step applied. The engine runs."
        assert "engine.draining" in phases
        assert ("recovery", "stopped for repairs") in troubles
        assert {phase for phase, _ in troubles} <= {"ready", "draining", "recovery", "starting"}

        assert control.house is not None
        after = control.house.engine
        assert after.boot_id != before.boot_id
        assert await served(control) == 200
        assert (await control.ask(DoctorPreviewQuery())).steps == ()
        (row,) = (await control.ask(AuditLogQuery(audit_kind="repair"))).entries
        assert (row.subject, row.verb) == (result.data["run_id"], "applied")
    assert sums(site) == 1


async def test_a_plan_that_is_not_the_one_that_was_looked_at_stops_no_engine(site: Site) -> None:
    async with site.console() as control:
        await asked(control)
        lose_sums(site)
        assert control.house is not None
        before = control.house.engine
        plan = await control.ask(DoctorPreviewQuery())
        site.registry.chmod(0o644)
        for command, status, code in (
            (ApplyRepairs(plan.digest, None, stop_engine=True), "conflict", "plan_changed"),
            (RollBack("01HZZZZZZZZZZZZZZZZZZZZZZZ", stop_engine=True), "not_found", "unknown_run"),
        ):
            result = await control.send(command)
            assert (result.status, result.code) == (status, code)
        plan = await control.ask(DoctorPreviewQuery())
        only = await control.send(ApplyRepairs(plan.digest, ("state.permissions",), stop_engine=True))
        assert only.ok, only
        assert control.house.engine is before, "nothing of it needed a stop"


async def test_a_salvage_is_taken_back_with_a_stop_and_done_again_in_recovery_mode(site: Site) -> None:
    sound = site.journal.read_bytes()
    site.journal.write_bytes(LETTER)
    async with site.console() as control:
        salvaged = await repaired(control)
        assert salvaged.ok, salvaged
        heard: list[Event] = []
        assert control.house is not None
        control.house.engine.events.subscribe(heard.append)

        kept = await control.send(RollBack(salvaged.data["run_id"]))
        assert [one.outcome for one in done(kept).steps] == ["needs_stop"]
        changed = await control.send(RollBack(salvaged.data["run_id"], stop_engine=True))
        assert (changed.status, changed.code) == ("conflict", "changed_since")
        undone = await control.send(RollBack(salvaged.data["run_id"], force=True, stop_engine=True))
        assert undone.message.endswith(" No engine runs: journal.db cannot be used: file is not a database.")
        assert site.journal.read_bytes() == LETTER
        assert (await control.snapshot([])).engine.phase == "recovery"
        report = await control.ask(DoctorReportQuery())
        assert "journal.open" in {one.check for one in report.findings}

        site.journal.write_bytes(sound)
        result = await control.send(StartEngine())
        assert result.ok, result
        assert await served(control) == 200


async def test_a_console_that_is_closed_amid_a_repair_ends_it_and_starts_no_engine(site: Site) -> None:
    async with site.console() as control:
        await asked(control)
        lose_sums(site)
        plan = await control.ask(DoctorPreviewQuery())
        sent = asyncio.create_task(control.send(ApplyRepairs(plan.digest, None, stop_engine=True)))
        await asyncio.sleep(0)
        waits = asyncio.create_task(control.send(StartEngine()))
        await asyncio.sleep(0)
        await control.close()
        assert control.house is None
        assert (await sent).data["run_id"]
        assert (await waits).status == "denied"
    assert sums(site) == 1
    lock = EngineLock(site.state)
    lock.acquire()
    lock.release()


@pytest.mark.parametrize("stop_engine", [False, True])
async def test_who_is_no_admin_repairs_nothing_and_stops_nothing(site: Site, stop_engine: bool) -> None:
    registry = AccessRegistry.open(site.state, SystemClock())
    registry.issue_token("ada", owner="somebody-else", role=Role.ADMIN)
    async with site.console() as control:
        assert control.house is not None
        before = control.house.engine
        plan = await control.ask(DoctorPreviewQuery())
        result = await control.send(ApplyRepairs(plan.digest, None, stop_engine=stop_engine))
        assert (result.status, result.code) == ("denied", "role_missing")
        assert control.house.engine is before
    site.write("version = 1\n[gateway\n")
    async with site.console() as control:
        plan = await control.ask(DoctorPreviewQuery())
        assert plan.steps
        result = await control.send(ApplyRepairs(plan.digest, None, force=True, stop_engine=stop_engine))
        assert (result.status, result.code) == ("denied", "role_missing")
        site.registry.write_text("[]")
        told = (await control.snapshot([])).operator
        assert told.may_repair, "with a broken registry it is the owner's to repair"
        assert not told.repairs_barred


ADMIN = OperatorView("ada", "admin", "uid", "ada")
VIEWER = OperatorView("eve", "viewer", "uid", "eve")


@pytest.mark.parametrize(
    ("operator", "owner", "open_to_others", "code"),
    [
        (ADMIN, "ada", False, None),
        (ADMIN, "palyra", False, "feature_off"),
        (ADMIN, "palyra", True, None),
        (VIEWER, "eve", True, "role_missing"),
        (OperatorView("eve", "viewer", "uid", "eve", repairs=True), "eve", False, None),
        (OperatorView("eve", "viewer", "uid", "eve", repairs=True), "palyra", False, "feature_off"),
    ],
)
def test_repairs_are_the_owners_and_those_admins_they_are_opened_to(
    operator: OperatorView, owner: str, open_to_others: bool, code: str | None
) -> None:
    refused = repairs_refused(operator, owner, open_to_others=open_to_others)
    assert (None if refused is None else refused.code) == code


@pytest.mark.parametrize(
    ("owner", "open_to_others", "barred"), [("ada", False, False), ("palyra", True, False), ("palyra", False, True)]
)
async def test_a_console_without_an_engine_tells_beforehand_whose_repairs_are(
    tmp_path: Path, owner: str, open_to_others: bool, barred: bool
) -> None:
    clock = ManualClock()
    control = RecoveryControl(
        DoctorDesk(Where(None, tmp_path, {}), clock),
        clock,
        Premises(str(tmp_path), "", "", "", "UTC", clock.now_ms()),
        Standstill("the configuration cannot be read"),
        lambda: AtDesk(ADMIN, owner, open_to_others),
        lambda: load_config(None, {}),
    )
    assert bool((await control.snapshot([])).operator.repairs_barred) is barred


async def test_the_doctor_of_the_command_line_leaves_the_engine_of_a_console_where_it_is(site: Site) -> None:
    async with site.console() as control:
        await asked(control)
        lose_sums(site)
        assert control.house is not None
        before = control.house.engine
        report, code = await doctor(Asked(repair=True), site.where, SystemClock(), lambda known: None)
        assert report.result is not None
        assert [(one.repair_id, one.outcome.value) for one in report.result.steps] == [
            ("journal.rollups", "needs_stop")
        ]
        assert code == 1
        assert control.house.engine is before
