"""What somebody sees who types the command: the document it prints and how it ends."""

import asyncio
import errno
import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from palyra.control.doctor import Asked, doctor, exit_code_of, report_json
from palyra.core.clock import ManualClock
from palyra.core.errors import PalyraError
from palyra.doctor import command
from palyra.doctor.report import Report
from palyra.journal.journal import Journal
from palyra.vault.access import AccessRegistry
from tests.doctor.ailments import write
from tests.doctor.patients import BROKEN, SOUND, Patient
from tests.doctor.test_killed_repairs import dead_pid
from tests.journal.test_salvaging import filled

Said = tuple[dict[str, Any], int]


def typed(patient: Patient, **flags: Any) -> Said:
    """The document and the exit code, also where the doctor fails."""
    known: list[Report] = [Report(Asked(**flags).mode)]
    try:
        report, code = asyncio.run(doctor(Asked(**flags), patient.where, patient.clock, known.append))
    except PalyraError as error:
        report, code = known[-1].failed(error), exit_code_of(error)
    document: dict[str, Any] = json.loads(json.dumps(report_json(report)))
    return document, code


def planned(said: Said) -> list[str]:
    return [step["repair_id"] for step in said[0]["plan"]["steps"]]


def came_of(said: Said) -> dict[str, str]:
    return {step["repair_id"]: step["outcome"] for step in said[0]["result"]["steps"]}


def blocking(said: Said) -> set[str]:
    return {one["check"] for one in said[0]["findings"] if one["severity"] == "blocking"}


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    return Patient(tmp_path)


def test_1_nothing_at_all(patient: Patient) -> None:
    preview = typed(patient, repair=True, dry_run=True)
    assert (planned(preview), preview[1]) == (["state.create", "config.initialize"], 0)
    assert not patient.state.exists()
    applied = typed(patient, repair=True, strict=True)
    assert came_of(applied) == {"state.create": "applied", "config.initialize": "applied"}
    assert applied[1] == 0
    again = typed(patient, repair=True, dry_run=True, strict=True)
    assert (planned(again), again[1]) == ([], 0)


def test_2_a_truncated_file_with_a_backup(patient: Patient) -> None:
    patient.with_config(BROKEN, SOUND).with_state()
    found = typed(patient, strict=True)
    syntax = next(one for one in found[0]["findings"] if one["check"] == "config.syntax")
    assert (syntax["severity"], found[1]) == ("blocking", 1)
    assert "line 3, column 6" in syntax["message"]
    applied = typed(patient, repair=True, strict=True)
    assert applied[1] == 0
    assert patient.config.read_bytes() == SOUND
    kept = patient.config.with_name(f"palyra.toml.quarantine-{applied[0]['result']['run_id']}")
    assert kept.read_bytes() == BROKEN
    run = applied[0]["result"]["run_id"]
    way_back = f"palyra doctor --rollback {run} --state-dir {patient.state}"
    assert applied[0]["result"]["rollback_command"] == way_back


def test_3_a_truncated_file_without_a_backup(patient: Patient) -> None:
    patient.with_config(BROKEN).with_state()
    blocked = typed(patient, repair=True)
    assert (came_of(blocked), blocked[1]) == ({"config.reinitialize": "blocked"}, 1)
    assert patient.config.read_bytes() == BROKEN
    forced = typed(patient, repair=True, force=True)
    assert (came_of(forced), forced[1]) == ({"config.reinitialize": "applied"}, 0)
    assert patient.config.read_bytes().startswith(b"# Palyra's configuration.")
    assert [path.read_bytes() for path in patient.config.parent.glob("*.quarantine-*")] == [BROKEN]


def test_4_a_newer_version_is_never_touched(patient: Patient) -> None:
    patient.with_config(b"version = 99\n", SOUND).with_state()
    said = typed(patient, repair=True, force=True)
    assert "config.version" in blocking(said)
    assert patient.config.read_bytes() == b"version = 99\n"
    assert not [step for step in planned(said) if step.startswith("config.")]


def test_5_a_vault_key_that_others_may_read(patient: Patient) -> None:
    patient.with_config(SOUND).with_state()
    key = patient.state / "vault" / "vault.key"
    write(patient, "vault/vault.key", b"k" * 43, 0o644)
    assert "state.permissions" in blocking(typed(patient))
    run = typed(patient, repair=True)[0]["result"]["run_id"]
    assert key.stat().st_mode & 0o777 == 0o600
    preview = typed(patient, rollback=run, dry_run=True)
    (change,) = preview[0]["plan"]["steps"][0]["changes"]
    assert change["diff"] == "mode 0600 → 0644\n"
    back = typed(patient, rollback=run)
    assert (back[0]["result"]["steps"][0]["outcome"], back[1]) == ("undone", 0)
    assert key.stat().st_mode & 0o777 == 0o644


def test_6_an_access_registry_that_is_a_list(patient: Patient) -> None:
    patient.with_config(SOUND).with_state()
    write(patient, "access_registry.json", b"[]")
    said = typed(patient, repair=True)
    assert "access.registry" in blocking(said)
    assert (came_of(said), said[1]) == ({"access.reinitialize": "blocked"}, 1)
    assert (patient.state / "access_registry.json").read_bytes() == b"[]"
    assert typed(patient, repair=True, force=True)[1] == 0
    told = json.loads((patient.state / "access_registry.json").read_bytes())
    assert (told["operators"], told["gateway_keys"], set(told["feature_flags"].values())) == ([], [], {False})


def test_7_temporary_files_of_the_dead(patient: Patient) -> None:
    patient.with_config(SOUND).with_state()
    gone, now = dead_pid(), patient.clock.now_ms() / 1000
    for name, age in ((f"x.tmp.{gone}.456", 360), (f"y.tmp.{gone}.456", 30)):
        write(patient, name, b"half")
        os.utime(patient.state / name, (now - age, now - age))
    before = patient.tree()
    run = typed(patient, repair=True)[0]["result"]["run_id"]
    assert {path.name[0] for path in patient.state.glob("*.tmp.*")} == {"y"}
    assert typed(patient, rollback=run)[1] == 0
    assert patient.tree() == before


def test_9_a_full_disk_at_the_second_of_three_steps(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    patient.with_config(BROKEN, SOUND, mode=0o644).with_state()
    write(patient, "access_registry.json", b'{"version": 1}')
    before = patient.tree()

    def seam(operation: str) -> None:
        if operation == "link":
            raise OSError(errno.ENOSPC, "No space left on device")

    tools = command._tools
    monkeypatch.setattr(command, "_tools", lambda look: _with_seam(tools(look), seam))
    said = typed(patient, repair=True)
    monkeypatch.undo()
    assert came_of(said) == {
        "config.permissions": "applied",
        "config.restore_backup": "failed",
        "access.backfill": "not_run",
    }
    assert said[1] == 1
    assert {"mode", "checks", "findings", "plan", "result", "summary"} <= set(said[0])
    assert said[0]["result"]["after"]["summary"]["blocking"] > 0
    assert typed(patient, rollback=said[0]["result"]["run_id"])[1] == 0
    assert patient.tree() == before


def _with_seam(tools: Any, seam: Callable[[str], None]) -> Any:
    return type(tools)(tools.clock, tools.works, seam)


def test_10_and_12_another_doctor_and_an_edit_after_the_preview(patient: Patient) -> None:
    from palyra.doctor.runs import DoctorLock
    from tests.doctor.patients import WHO

    patient.with_config(BROKEN, SOUND).with_state()
    digest = typed(patient, repair=True, dry_run=True)[0]["plan"]["digest"]
    lock = DoctorLock(patient.state)
    lock.acquire(WHO, "01HZZZZZZZZZZZZZZZZZZZZZZZ", 0)
    busy = typed(patient, repair=True, plan=digest)
    lock.release()
    assert (busy[0]["error"]["code"], busy[1]) == ("doctor_busy", 4)
    assert f"pid {os.getpid()}, operator local:tester, since 1970-01-01 00:00:00Z" in busy[0]["error"]["message"]

    edited = BROKEN + b"# mine\n"
    patient.config.write_bytes(edited)
    changed = typed(patient, repair=True, plan=digest)
    assert (changed[0]["error"]["code"], changed[1]) == ("plan_changed", 4)
    assert patient.config.read_bytes() == edited


def test_11_half_a_journal_and_a_broken_configuration(patient: Patient) -> None:
    patient.with_config(BROKEN, SOUND).with_state()

    async def lived() -> None:
        AccessRegistry.open(patient.state, ManualClock())
        journal = await Journal.open(patient.state, ManualClock())
        await filled(journal)
        await journal.close()

    asyncio.run(lived())
    journal = patient.state / "journal.db"
    damaged = journal.read_bytes()[: journal.stat().st_size // 2]
    journal.write_bytes(damaged)

    said = typed(patient, repair=True)
    assert {"config.syntax"} < blocking(said)
    assert any(one.startswith("journal.") for one in blocking(said))
    assert came_of(said) == {"config.restore_backup": "applied", "journal.salvage": "blocked"}
    assert (patient.config.read_bytes(), journal.read_bytes()) == (SOUND, damaged)

    forced = typed(patient, repair=True, force=True)
    assert came_of(forced) == {"journal.salvage": "applied"}
    assert any("lost" in note for note in forced[0]["result"]["steps"][0]["notes"])
    run = forced[0]["result"]["run_id"]
    assert (patient.state / f"journal.db.quarantine-{run}").read_bytes() == damaged
    with closing(sqlite3.connect(journal)) as database:
        assert database.execute("SELECT count(*) FROM runs").fetchone()[0] > 0
    left = {one["check"] for one in forced[0]["result"]["after"]["findings"]}
    assert not left & {"journal.open", "journal.integrity", "journal.rollups", "config.syntax"}
    assert typed(patient, rollback=run)[1] == 0
    assert journal.read_bytes() == damaged


@pytest.mark.parametrize("run", ["nonsense", "01HZZZZZZZZZZZZZZZZZZZZZZZ"])
def test_an_unknown_run_ends_with_3(patient: Patient, run: str) -> None:
    patient.with_config(SOUND).with_state()
    said = typed(patient, rollback=run)
    assert (said[0]["error"]["code"], said[1]) == ("unknown_run", 3)


def test_a_file_that_was_changed_since_ends_with_4_unless_forced(patient: Patient) -> None:
    patient.with_config(BROKEN, SOUND).with_state()
    run = typed(patient, repair=True)[0]["result"]["run_id"]
    patient.config.write_bytes(SOUND + b"# mine\n")
    refused = typed(patient, rollback=run)
    assert (refused[0]["error"]["code"], refused[1]) == ("changed_since", 4)
    assert typed(patient, rollback=run, force=True)[1] == 0
    assert patient.config.read_bytes() == BROKEN
