"""The doctor at a console: beside an engine, over the socket, and without one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from palyra.config.load import Sources
from palyra.control import doctor_desk
from palyra.control.codec import decode
from palyra.control.doctor import Asked, Report, Where, doctor, exit_code_of
from palyra.control.doctor_commands import ApplyRepairs, RollBack
from palyra.control.doctor_desk import DoctorDesk
from palyra.control.doctor_queries import (
    DoctorPreviewQuery,
    DoctorReportQuery,
    DoctorRuns,
    DoctorRunsQuery,
    RepairsDone,
)
from palyra.control.doctor_views import OUTCOME
from palyra.control.local import Doors, EngineFace, LocalControl
from palyra.control.offline import offline_control
from palyra.control.protocol import Control
from palyra.control.remote import RemoteControl
from palyra.control.snapshots import CommandResult, OperatorView, Topic
from palyra.core.clock import ManualClock, SystemClock
from palyra.core.errors import ConflictError, NotFoundError, PalyraError
from palyra.core.events import Event
from palyra.doctor.audit_pending import PendingRow, append_pending, pending_path
from palyra.doctor.repairs.journal import NOTHING_LOST
from palyra.engine import Engine, Installation
from palyra.gateway.operators import OperatorsServer
from palyra.vault.identity import Identity
from tests.config.loading import sound

OLD = b"# mine\n[runs]\nslice_tokens = 64\n"
NEW = b"version = 1\n\n" + OLD


@dataclass
class House:
    engine: Engine
    face: EngineFace
    file: Path

    def control(self, role: str = "admin", account: str = "", attestation: str = "owner") -> LocalControl:
        return LocalControl(self.face, OperatorView("ada", role, attestation, account or self.owner))

    @property
    def owner(self) -> str:
        return self.engine.state_dir.owner()


@asynccontextmanager
async def house(root: Path) -> AsyncIterator[House]:
    file, clock = root / "palyra.toml", ManualClock()
    sources = Sources(file, {"HOME": str(root)}, {"gateway.bind": "127.0.0.1:0"})
    config = sources.load().config
    assert config is not None
    engine = await Engine.open(Installation(config, root / "state", file, sources=sources), clock, {})
    try:
        face = EngineFace(engine, Doors)
        await face.begin()
        yield House(engine, face, file)
    finally:
        await engine.close()


@pytest.fixture
async def living(tmp_path: Path) -> AsyncIterator[House]:
    (tmp_path / "palyra.toml").write_bytes(OLD)
    (tmp_path / "palyra.toml").chmod(0o600)
    async with house(tmp_path) as one:
        yield one


def done(result: CommandResult) -> RepairsDone:
    outcome: RepairsDone = decode(RepairsDone, result.data[OUTCOME])
    return outcome


async def repaired_and_taken_back(control: Control, file: Path, *, live: bool) -> tuple[str, str]:
    report = await control.ask(DoctorReportQuery())
    assert report.live is live
    assert "config.migrate" in {repair for one in report.findings for repair in one.repairs}
    plan = await control.ask(DoctorPreviewQuery())
    migrating = next(step for step in plan.steps if step.repair_id == "config.migrate")
    assert any("+version = 1" in change.diff for change in migrating.changes)
    assert file.read_bytes() == OLD

    stale = await control.send(ApplyRepairs("0" * 64))
    assert (stale.status, stale.code) == ("conflict", "plan_changed")
    applied = await control.send(ApplyRepairs(plan.digest, ("config.migrate",)))
    assert applied.ok, applied
    run = done(applied)
    assert [(step.repair_id, step.outcome) for step in run.steps] == [("config.migrate", "applied")]
    assert file.read_bytes() == NEW
    assert "config.version" not in {one.check for one in run.findings}

    preview = await control.ask(DoctorPreviewQuery(run.run_id))
    assert (preview.conflicts, [step.repair_id for step in preview.steps]) == ((), ["recovery.undo"])
    back = await control.send(RollBack(run.run_id))
    assert back.ok
    assert file.read_bytes() == OLD
    runs = await control.ask(DoctorRunsQuery())
    assert {(one.kind, one.state) for one in runs.runs} == {("rollback", "completed"), ("repair", "rolled_back")}
    assert (runs.done, runs.total) == (0, 0)
    with pytest.raises(NotFoundError):
        await control.ask(DoctorPreviewQuery("01HZZZZZZZZZZZZZZZZZZZZZZZ"))
    with pytest.raises(ConflictError):
        await control.ask(DoctorPreviewQuery(run.run_id))
    return run.run_id, done(back).run_id


async def test_beside_an_engine_repairs_are_audited_at_once_and_taken_up(living: House) -> None:
    heard: list[Event] = []
    living.engine.events.subscribe(heard.append, "repair.done")
    first, second = await repaired_and_taken_back(living.control(), living.file, live=True)
    rows = await living.engine.journal.readers.audit_rows(kind="repair")
    told = [(row.subject, row.actor, row.payload["verb"], row.payload["attestation"]) for row in rows]
    assert told == [(second, "ada", "rolled_back", "owner"), (first, "ada", "applied", "owner")]
    assert [event.subject for event in heard] == [first, second]
    assert not pending_path(living.engine.state_dir).exists()


@asynccontextmanager
async def doors(living: House, role: str = "admin") -> AsyncIterator[None]:
    def control_for(identity: Identity) -> Control:
        return living.control(role)

    server = OperatorsServer(living.engine.state_dir, living.engine.access, control_for, {})
    await server.open()
    try:
        yield
    finally:
        await server.close()


async def test_over_the_socket_it_is_the_same(living: House) -> None:
    async with doors(living):
        remote = RemoteControl(living.engine.state_dir)
        try:
            await repaired_and_taken_back(remote, living.file, live=True)
        finally:
            await remote.close()


async def test_the_command_has_a_running_engine_do_the_work(living: House) -> None:
    where = Where(living.file, living.engine.state_dir, {"HOME": str(living.file.parent)})

    async def typed(**flags: Any) -> tuple[Report, int]:
        return await doctor(Asked(**flags), where, SystemClock(), lambda report: None)

    async with doors(living):
        report, code = await typed(repair=True, only=("config.migrate",))
        assert code == 0
        assert report.result is not None
        assert [(step.repair_id, step.outcome.value) for step in report.result.steps] == [("config.migrate", "applied")]
        assert living.file.read_bytes() == NEW
        rows = await living.engine.journal.readers.audit_rows(kind="repair")
        assert [(row.subject, row.actor) for row in rows] == [(report.result.run_id, "ada")]
        undone, code = await typed(rollback=report.result.run_id)
        assert (code, living.file.read_bytes()) == (0, OLD)
        assert undone.after is not None
        with pytest.raises(ConflictError, match="taken back already"):
            await typed(rollback=report.result.run_id)
    async with doors(living, "viewer"):
        with pytest.raises(PalyraError, match="role admin"):
            await typed(repair=True, only=("config.migrate",))
    assert living.file.read_bytes() == OLD


async def test_an_engine_that_holds_its_lock_and_does_not_answer_is_a_conflict(living: House) -> None:
    where = Where(living.file, living.engine.state_dir, {"HOME": str(living.file.parent)})
    with pytest.raises(ConflictError) as silent:
        await doctor(Asked(repair=True), where, SystemClock(), lambda report: None)
    assert (silent.value.code, exit_code_of(silent.value)) == ("engine_silent", 4)
    assert living.file.read_bytes() == OLD


async def test_without_an_engine_the_rows_wait_and_the_next_start_adds_each_once(tmp_path: Path) -> None:
    file = tmp_path / "palyra.toml"
    file.write_bytes(OLD)
    file.chmod(0o600)
    state, clock = tmp_path / "state", ManualClock()
    async with offline_control(sound(OLD.decode()), state, file, clock, {"HOME": str(tmp_path)}) as control:
        first, second = await repaired_and_taken_back(control, file, live=False)
    waiting = pending_path(state).read_bytes()
    async with house(tmp_path) as one:
        rows = await one.engine.journal.readers.audit_rows(kind="repair")
        assert [row.subject for row in rows] == [second, first]
    assert not pending_path(state).exists()
    # As after a crash between the chain and the file.
    pending_path(state).write_bytes(waiting)
    async with house(tmp_path) as one:
        assert len(await one.engine.journal.readers.audit_rows(kind="repair")) == 2
    assert not pending_path(state).exists()


@pytest.mark.parametrize("role", ["viewer", "approver"])
async def test_only_admins_repair(living: House, role: str) -> None:
    refused = await living.control(role).send(RollBack("01HZZZZZZZZZZZZZZZZZZZZZZZ"))
    assert (refused.status, refused.code) == ("denied", "role_missing")


async def test_others_than_the_owner_repair_where_the_feature_is_on(living: House) -> None:
    plan = await living.control().ask(DoctorPreviewQuery())
    other = living.control(account="somebody", attestation="uid")
    living.engine.access.set_flag("console_repair", False)
    refused = await other.send(ApplyRepairs(plan.digest))
    assert refused.code == "feature_off"
    told = (await other.snapshot([])).operator
    assert told.repairs_barred == f"repairs from a console are for {living.owner} alone (console_repair is off)"
    assert not (await living.control().snapshot([])).operator.repairs_barred
    assert living.file.read_bytes() == OLD
    living.engine.access.set_flag("console_repair", True)
    assert not (await other.snapshot([])).operator.repairs_barred
    plan = await living.control().ask(DoctorPreviewQuery())
    assert (await other.send(ApplyRepairs(plan.digest, ("config.migrate",)))).ok
    assert living.file.read_bytes() == NEW


async def test_rows_that_a_salvage_lost_are_an_incident_and_mark_the_windows_they_belong_to(tmp_path: Path) -> None:
    (tmp_path / "palyra.toml").write_bytes(b'version = 1\n[[budgets]]\npolicy_id = "month"\nhard_limit = 5\n')
    state, now = tmp_path / "state", ManualClock().now_ms()
    (state / "recovery").mkdir(mode=0o700, parents=True)
    state.chmod(0o700)
    payload = {"gaps": [[now - 5_000, now - 1_000]], "notes": {"journal.salvage": ["usage: 3 rows lost"]}}
    run, back = "01K0000000000000000000000A", "01K0000000000000000000000B"
    append_pending(state, PendingRow(now, run, "ada", "applied", payload))
    for _ in range(2):
        async with house(tmp_path) as one:
            (month,) = (await one.control().snapshot([Topic.BUDGETS])).budgets
            assert month.incomplete
    append_pending(state, PendingRow(now, back, "ada", "rolled_back", {"rolls_back": run}))
    async with house(tmp_path) as one:
        (month,) = (await one.control().snapshot([Topic.BUDGETS])).budgets
        assert not month.incomplete


async def test_a_salvage_is_told_of_once(tmp_path: Path) -> None:
    (tmp_path / "palyra.toml").write_bytes(b"version = 1\n")
    state, now = tmp_path / "state", ManualClock().now_ms()
    (state / "recovery").mkdir(mode=0o700, parents=True)
    state.chmod(0o700)
    payload = {"gaps": [], "notes": {"journal.salvage": ["usage: 3 rows lost"]}}
    append_pending(state, PendingRow(now, "01K0000000000000000000000A", "ada", "applied", payload))
    whole = {"gaps": [], "notes": {"journal.salvage": [NOTHING_LOST]}}
    append_pending(state, PendingRow(now, "01K0000000000000000000000B", "ada", "applied", whole))
    told: list[str] = []
    for _ in range(2):
        async with house(tmp_path) as one:
            conditions = one.engine.healing._checks.look(now)
            told += [condition.detail for condition in conditions if condition.key.startswith("storage:salvaged:")]
    assert told == ["usage: 3 rows lost"]


async def test_how_far_a_run_is_can_be_asked_often_since_nothing_else_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        raise AssertionError("the whole installation was read")

    monkeypatch.setattr(doctor_desk, "read_installation", never)
    desk = DoctorDesk(Where(None, tmp_path, {}), ManualClock())
    assert await desk.answer(DoctorRunsQuery()) == DoctorRuns()
