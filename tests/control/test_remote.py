import os
import pwd
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from palyra.control.commands import CancelRun, DecideApproval
from palyra.control.doctor_commands import ApplyRepairs
from palyra.control.doctor_queries import DoctorReportQuery, JournalExaminationQuery
from palyra.control.queries import (
    AuditAnswer,
    AuditQuery,
    LedgerQuery,
    RunQuery,
    RunsPage,
    RunsQuery,
)
from palyra.control.remote import RemoteControl
from palyra.control.snapshots import Topic
from palyra.core.errors import (
    BadInputError,
    ConflictError,
    EngineGoneError,
    JournalUnavailableError,
    NotFoundError,
    PalyraError,
    StateError,
)
from palyra.vault.records import Operator, Role
from tests.control.socket_engine import FixedEngine, operators_server, snapshot_for

ACCOUNT = pwd.getpwuid(os.geteuid()).pw_name


@asynccontextmanager
async def attached(state_dir: Path, engine: FixedEngine, operator: str = "") -> AsyncIterator[RemoteControl]:
    async with operators_server(state_dir, engine):
        control = RemoteControl(state_dir, operator=operator)
        yield control
        await control.close()


async def test_a_snapshot_arrives_with_the_operator_who_asked(tmp_path: Path) -> None:
    engine = FixedEngine()
    async with attached(tmp_path, engine) as control:
        assert control.attached
        snapshot = await control.snapshot({Topic.RUNS, Topic.BUDGETS})
        await control.snapshot(())
    assert snapshot == snapshot_for(engine.identities[0])
    assert (snapshot.operator.name, snapshot.operator.role) == (f"local:{ACCOUNT}", "admin")
    assert engine.topics == [{Topic.RUNS, Topic.BUDGETS}, set()]


async def test_commands_and_queries_arrive_as_they_were_sent(tmp_path: Path) -> None:
    engine = FixedEngine()
    command = DecideApproval("01KAPP", "allow", 3, "amount", amount=2**61, reason="tešt \x1b")
    async with attached(tmp_path, engine) as control:
        result = await control.send(command)
        page = await control.ask(RunsQuery(text="a", limit=5))
        engine.answer = AuditAnswer(True, 2, "head", None, "")
        audit = await control.ask(AuditQuery())
    assert result.ok
    assert result.data == {"by": f"local:{ACCOUNT}"}
    assert engine.commands == [command]
    assert engine.queries == [RunsQuery(text="a", limit=5), AuditQuery()]
    assert (page, audit) == (RunsPage((), "next"), engine.answer)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (NotFoundError("No run x.", fix="Look again."), NotFoundError),
        (ConflictError("Already allowed.", fix=""), ConflictError),
        (BadInputError("limit is too large.", fix="At most 500.", code="bad_limit"), BadInputError),
        (JournalUnavailableError("The disk is full.", fix="Make room."), JournalUnavailableError),
        (EngineGoneError("Stopping.", fix=""), EngineGoneError),
        (PalyraError("Only approvers.", fix="Ask one.", code="role_missing"), PalyraError),
    ],
)
async def test_an_engines_error_is_raised_as_it_was_there(
    tmp_path: Path, error: PalyraError, kind: type[PalyraError]
) -> None:
    async with attached(tmp_path, FixedEngine(error=error)) as control:
        with pytest.raises(PalyraError) as from_query:
            await control.ask(RunQuery("x"))
        with pytest.raises(PalyraError) as from_command:
            await control.send(CancelRun("x"))
    for caught in (from_query, from_command):
        assert type(caught.value) is kind
        assert (caught.value.message, caught.value.fix, caught.value.code) == (error.message, error.fix, error.code)


async def test_a_fault_of_the_engine_is_told_without_its_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with attached(tmp_path, FixedEngine(error=RuntimeError("inner detail"))) as control:
        with pytest.raises(PalyraError) as caught:
            await control.snapshot(())
    assert caught.value.code == "internal_error"
    assert "inner detail" not in str(caught.value)
    assert "inner detail" in caplog.text


async def test_without_an_engine_there_is_nobody_to_attach_to(tmp_path: Path) -> None:
    control = RemoteControl(tmp_path)
    with pytest.raises(EngineGoneError, match=str(tmp_path)):
        await control.snapshot(())
    await control.close()


async def test_an_engine_that_goes_away_is_missed_and_its_successor_found(tmp_path: Path) -> None:
    control = RemoteControl(tmp_path)
    async with operators_server(tmp_path):
        await control.snapshot(())
    with pytest.raises(EngineGoneError):
        await control.snapshot(())
    async with operators_server(tmp_path):
        assert (await control.snapshot(())).version == 7
        await control.close()


async def test_an_engine_that_answers_something_else_speaks_another_version(tmp_path: Path) -> None:
    async with attached(tmp_path, FixedEngine(answer=AuditAnswer(True, 0, "", None, ""))) as control:
        with pytest.raises(PalyraError) as caught:
            await control.ask(RunsQuery())
    assert caught.value.code == "version_mismatch"


async def test_what_reads_all_of_a_journal_may_take_as_long_as_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float | None] = []

    def gone(request: httpx.Request) -> httpx.Response:
        waits.append(request.extensions["timeout"]["read"])
        raise httpx.ConnectError("nobody")

    monkeypatch.setattr(httpx, "AsyncHTTPTransport", lambda **_: httpx.MockTransport(gone))
    control = RemoteControl(tmp_path)
    for query in (RunsQuery(), AuditQuery(), LedgerQuery(), JournalExaminationQuery(deep=True), DoctorReportQuery()):
        with pytest.raises(EngineGoneError):
            await control.answer(query)
    for command in (CancelRun("x"), ApplyRepairs("digest")):
        with pytest.raises(EngineGoneError):
            await control.send(command)
    with pytest.raises(EngineGoneError):
        await control.snapshot(())
    await control.close()
    assert waits == [60.0, None, None, None, None, 60.0, None, 60.0]


OPERATORS = (
    Operator("ann", "Ann", Role.ADMIN, (f"unix:{ACCOUNT}",), True),
    Operator("bob", "Bob", Role.APPROVER, (f"unix:{ACCOUNT}",), True),
)


async def test_on_a_shared_account_the_operator_says_who_it_is(tmp_path: Path) -> None:
    engine = FixedEngine(OPERATORS, operators_registered=True)
    async with attached(tmp_path, engine, operator="bob") as control:
        operator = (await control.snapshot(())).operator
    assert (operator.name, operator.role, operator.attestation) == ("bob", "approver", "claimed")


@pytest.mark.parametrize("claimed", ["", "carol"])
async def test_an_operator_who_is_none_of_the_accounts_is_refused(tmp_path: Path, claimed: str) -> None:
    engine = FixedEngine(OPERATORS, operators_registered=True)
    async with attached(tmp_path, engine, operator=claimed) as control:
        with pytest.raises(PalyraError) as caught:
            await control.snapshot(())
    assert caught.value.code == ("identity_refused" if claimed else "identity_ambiguous")
    assert not isinstance(caught.value, StateError | EngineGoneError)
    assert engine.identities == []


async def test_the_environment_says_who_is_there_and_from_where(tmp_path: Path) -> None:
    engine = FixedEngine(OPERATORS, operators_registered=True)
    environ = {"PALYRA_OPERATOR": "ann", "SSH_CONNECTION": "192.0.2.7 50022 192.0.2.1 22"}
    async with operators_server(tmp_path, engine):
        control = RemoteControl(tmp_path, environ=environ)
        await control.snapshot(())
        await control.close()
    assert (engine.identities[0].operator, engine.identities[0].address) == ("ann", "192.0.2.7")


def test_a_name_no_header_can_carry_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="ASCII"):
        RemoteControl(tmp_path, operator="žena")
