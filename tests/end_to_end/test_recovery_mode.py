"""A console on a house that cannot start: it says why in a line, and after a repair the engine starts in place."""

import os
import shutil
import socket
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from palyra.control.audit_queries import AuditLogQuery
from palyra.control.commands import CancelRun, Reload
from palyra.control.config_queries import ConfigQuery
from palyra.control.diagnostics_queries import DiagnosticsQuery, State
from palyra.control.doctor_commands import RollBack
from palyra.control.doctor_queries import DoctorReportQuery, DoctorRunsQuery
from palyra.control.engine_commands import RUNS_ELSEWHERE, StartEngine
from palyra.control.queries import AuditQuery, RunsQuery
from palyra.core.errors import EngineGoneError
from palyra.engine import Installation
from palyra.journal.lock import EngineLock
from tests.end_to_end.hosted import SOUND, Site, repaired, served

BROKEN = SOUND + "[runs\n"
LETTER = b"this is no database, it is a letter\n" * 200


@dataclass(frozen=True)
class Case:
    """A way to break it, what is told of it, and the repairs that make it start; none: a person has to mend it."""

    name: str
    spoil: Callable[[Site], object]
    trouble: str
    repairs: tuple[str, ...] = ()
    mend: Callable[[Site], object] | None = None


def truncated(site: Site) -> None:
    shutil.copy2(site.config, site.config.with_name("palyra.toml.bak.1"))
    site.write(BROKEN)


def no_directory(site: Site) -> None:
    shutil.rmtree(site.state)
    site.state.write_text("mine")


def open_to_others(site: Site) -> None:
    shutil.rmtree(site.state)
    site.state.mkdir()
    site.state.chmod(0o755)
    (site.state / "diary.txt").write_text("mine")


def linked(site: Site) -> None:
    elsewhere = site.root / "elsewhere"
    site.state.rename(elsewhere)
    site.state.symlink_to(elsewhere)


def unlinked(site: Site) -> None:
    site.state.unlink()
    (site.root / "elsewhere").rename(site.state)


def newer_journal(site: Site) -> None:
    with sqlite3.connect(site.journal) as journal:
        (site.root / "was").write_text(str(journal.execute("PRAGMA user_version").fetchone()[0]))
        journal.execute("PRAGMA user_version = 999")
    journal.close()


def older_journal(site: Site) -> None:
    with sqlite3.connect(site.journal) as journal:
        journal.execute(f"PRAGMA user_version = {(site.root / 'was').read_text()}")
    journal.close()


def logs_in_the_way(site: Site) -> None:
    shutil.rmtree(site.state / "logs")
    (site.state / "logs").write_text("mine")


def lock_in_the_way(site: Site) -> None:
    (site.state / "engine.lock").unlink()
    (site.state / "engine.lock").mkdir()


CASES = (
    Case("truncated", truncated, "palyra.toml line 7 is not valid", ("config.restore_backup",)),
    Case("no backup", lambda site: site.write(BROKEN), "palyra.toml line 7 is not valid", ("config.reinitialize",)),
    Case(
        "two values",
        lambda site: site.write(SOUND + '[runs]\nretention_days = "x"\n[approvals]\nttlx = 1\n'),
        "palyra.toml line 8 is not valid, and 1 problem more",
        mend=lambda site: site.write(SOUND),
    ),
    Case(
        "no file",
        lambda site: site.config.unlink(),
        "palyra.toml cannot be read: there is no such file",
        ("config.initialize",),
    ),
    Case(
        "newer file",
        lambda site: site.write("version = 99\n"),
        "palyra.toml is of a newer Palyra",
        mend=lambda site: site.write(SOUND),
    ),
    Case("no directory", no_directory, "{state} is no directory", mend=lambda site: site.state.unlink()),
    Case(
        "open",
        open_to_others,
        "{state} is open to other accounts (mode 0755) and holds other files",
        ("state.permissions",),
    ),
    Case("link", linked, "{state} is a symbolic link", mend=unlinked),
    Case(
        "letter",
        lambda site: site.journal.write_bytes(LETTER),
        "journal.db cannot be used: file is not a database",
        ("journal.salvage",),
    ),
    Case(
        "half",
        lambda site: site.journal.write_bytes(site.journal.read_bytes()[: 8 * 4096]),
        "journal.db cannot be used: database disk image is malformed",
        ("journal.salvage",),
    ),
    Case(
        "newer journal",
        newer_journal,
        "The journal journal.db has schema version 999; this Palyra knows versions up to {was}",
        mend=older_journal,
    ),
    Case(
        "registry of others",
        lambda site: site.registry.chmod(0o666),
        "access_registry.json can be written by other accounts (mode 0666)",
        ("state.permissions",),
    ),
    Case(
        "logs",
        logs_in_the_way,
        "The log logs/palyra.log cannot be written: file exists",
        mend=lambda site: (site.state / "logs").unlink(),
    ),
    Case(
        "lock",
        lock_in_the_way,
        "The state directory {state} cannot be locked: Is a directory",
        mend=lambda site: (site.state / "engine.lock").rmdir(),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_what_keeps_the_engine_away_is_told_and_once_it_is_gone_the_engine_starts_in_place(
    site: Site, case: Case
) -> None:
    # A configuration made anew has the usual port, which somebody else may have here.
    site.environ["PALYRA_GATEWAY__BIND"] = "127.0.0.1:0"
    case.spoil(site)
    was = (site.root / "was").read_text() if (site.root / "was").exists() else ""
    async with site.console() as control:
        engine = (await control.snapshot([])).engine
        assert (engine.phase, engine.gateway_url) == ("recovery", "")
        assert engine.trouble == case.trouble.format(state=site.state, was=was)
        if case.repairs:
            result = await repaired(control)
            assert result.ok, result
            steps = (await control.ask(DoctorRunsQuery())).runs[0].steps
            assert {step.repair_id for step in steps} >= set(case.repairs)
        else:
            refused = await control.send(StartEngine())
            assert (refused.status, refused.message) == ("conflict", f"The engine does not start: {engine.trouble}.")
            assert case.mend is not None
            case.mend(site)
            result = await control.send(StartEngine())
            assert result.ok, result
        engine = (await control.snapshot([])).engine
        assert (engine.phase, engine.trouble) == ("ready", "")
        assert await served(control) == 200
        again = await control.send(StartEngine())
        assert (again.status, again.message) == ("conflict", "The engine runs.")


async def test_in_recovery_mode_the_doctor_works_and_everything_else_is_refused_with_the_reason(site: Site) -> None:
    site.write(BROKEN)
    async with site.console() as control:
        report = await control.ask(DoctorReportQuery())
        assert [(one.check, one.severity) for one in report.findings if one.severity == "blocking"] == [
            ("config.syntax", "blocking")
        ]
        told = await control.ask(DiagnosticsQuery())
        assert (told.engine.phase, told.overall.state, told.overall.root_causes) == (
            "recovery",
            State.FAILED,
            ("gateway",),
        )
        assert {one.summary for one in told.health_graph.nodes} == {"Stopped in recovery mode."}  # type: ignore[union-attr]
        only = await control.ask(DiagnosticsQuery(("scheduler",)))
        assert list(only.sections.each()) == ["scheduler"]
        with pytest.raises(EngineGoneError, match=r"No engine runs: palyra\.toml line 7 is not valid"):
            await control.ask(RunsQuery())
        refused = await control.send(CancelRun("01"))
        assert (refused.status, refused.code) == ("denied", "recovery")
        assert "palyra.toml line 7" in refused.message
        answer = await control.ask(ConfigQuery())
        assert (answer.live, answer.path) == (False, str(site.config))
        assert [(one.code, one.place) for one in answer.problems] == [("syntax", "palyra.toml:7")]
        again = await control.send(Reload())
        assert (again.status, again.message[:43]) == ("conflict", "The engine does not start: palyra.toml line")
        shot = await control.snapshot([])
        assert (shot.operator.may_repair, control.attached) == (True, False)
        assert shot.engine.log_file == str(site.state / "logs" / "palyra.log")
    assert "recovery mode: The configuration has 1 problem" in (site.state / "logs" / "palyra.log").read_text()


async def test_a_repair_that_is_not_all_it_takes_leaves_recovery_mode_with_the_new_reason(site: Site) -> None:
    site.journal.write_bytes(LETTER)
    truncated(site)
    async with site.console() as control:
        result = await repaired(control, force=False)
        assert result.message.endswith(" No engine runs: journal.db cannot be used: file is not a database.")
        assert site.config.read_text() == SOUND
        assert (await control.snapshot([])).engine.trouble == "journal.db cannot be used: file is not a database"
        result = await repaired(control)
        assert result.ok, result
        assert await served(control) == 200


async def test_repairs_in_recovery_mode_are_in_the_audit_chain_of_the_engine_that_follows(site: Site) -> None:
    truncated(site)
    pending = site.state / "recovery" / "audit-pending.jsonl"
    seen: list[bool] = []
    async with site.console() as control:
        first = await repaired(control)
        assert first.ok, first
        seen.append(pending.exists())
        assert (await control.ask(AuditQuery())).ok
        (row,) = (await control.ask(AuditLogQuery(audit_kind="repair"))).entries
        assert (row.subject, row.verb, row.data["attestation"]) == (
            first.data["run_id"],
            "applied",
            "owner",
        )
        undone = await control.send(RollBack(first.data["run_id"]))
        assert undone.ok, undone
        assert site.config.read_text() == BROKEN
        assert await served(control) == 200, "what runs goes on with what it was started with"
    async with site.console() as control:
        assert control.standstill is not None
        back = await control.send(RollBack(undone.data["run_id"]))
        assert back.ok, back
        assert site.config.read_text() == SOUND
        verbs = [one.verb for one in (await control.ask(AuditLogQuery(audit_kind="repair"))).entries]
        assert sorted(verbs) == ["applied", "rolled_back", "rolled_back"]
        seen.append(pending.exists())
    assert seen == [False, False]


async def test_an_address_that_is_taken_is_recovery_mode_until_it_is_free(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        site.write(SOUND.replace(":0", f":{port}"))
        async with site.console() as control:
            why = control.standstill
            assert why is not None
            assert f"127.0.0.1:{port} is already in use" in why.trouble
            lock = EngineLock(site.state)
            lock.acquire()
            lock.release()
            holder.close()
            result = await control.send(StartEngine())
            assert result.ok, result
            assert await served(control) == 200


async def test_a_state_directory_another_engine_has_is_told_as_such(site: Site) -> None:
    lock = EngineLock(site.state)
    lock.acquire()
    try:
        async with site.console() as control:
            result = await control.send(StartEngine())
            assert result.code == RUNS_ELSEWHERE
            assert result.message == f"The engine does not start: An engine already runs (pid {os.getpid()})."
    finally:
        lock.release()


async def test_a_fault_of_our_own_is_no_end_either_and_the_log_has_all_of_it(site: Site) -> None:
    def load() -> Installation:
        raise ValueError("a thing nobody thought of")

    async with site.console(load) as control:
        why = control.standstill
        assert why is not None
        assert (why.trouble, why.code) == ("the engine failed to start: ValueError: a thing nobody thought of", "fault")
        assert (await control.ask(DoctorReportQuery())).state_dir == str(site.state)
    written = (site.state / "logs" / "palyra.log").read_text()
    assert "Traceback" in written
    assert "a thing nobody thought of" in written


async def test_who_only_looks_repairs_nothing_in_recovery_mode_and_makes_nothing_where_nothing_is(site: Site) -> None:
    truncated(site)
    shutil.rmtree(site.state)
    async with site.console(read_only=True) as control:
        shot = await control.snapshot([])
        assert (shot.operator.role, shot.operator.may_repair, shot.engine.log_file) == ("viewer", False, "")
        result = await repaired(control)
        assert (result.status, result.code) == ("denied", "role_missing")
    assert site.config.read_text() == BROKEN
    assert not site.state.exists()
