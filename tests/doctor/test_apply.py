"""Applying a plan: step by step, what fails undone, what changed meanwhile left alone, one doctor at a time."""

import errno
import json
import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from palyra.core.errors import StateError
from palyra.doctor import runs
from palyra.doctor.applying import RunResult, Terms
from palyra.doctor.audit_pending import PendingRow, append_pending, pending_path, read_pending
from palyra.doctor.carrying_out import carry_out
from palyra.doctor.disk import no_seam
from palyra.doctor.execution import PlanChangedError
from palyra.doctor.manifest import EntryState, Outcome, RunState
from palyra.doctor.runs import DoctorBusyError, load_run
from tests.doctor.patients import BROKEN, SOUND, WHO, Patient, ids, outcomes
from tests.doctor.test_killed_repairs import dead_pid, ill

SIX_MINUTES = 360


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    return ill(tmp_path)


class FullDisk:
    """A seam: from the write of a number on, nothing more fits on the disk."""

    def __init__(self, after: int) -> None:
        self._left = after
        self.full = False

    def __call__(self, operation: str) -> None:
        if operation == "write":
            self._left -= 1
            self.full = self.full or self._left < 0
            if self.full:
                raise OSError(errno.ENOSPC, "No space left on device")


def writes_until(patient: Patient, wanted: str) -> int:
    """How many writes come before those of a step."""
    seen: list[int] = [0]

    def seam(operation: str) -> None:
        seen[0] += operation == "write"

    plan = patient.plan()
    begun: dict[str, int] = {}
    tools = patient.tools(seam)
    watched = type(tools)(tools.clock, tools.works, tools.seam, lambda done, total, step: begun.update({step: seen[0]}))
    result = carry_out(plan, Terms(force=True), patient.site(), WHO, watched)
    patient.roll_back(result.run_id)
    return begun[wanted]


def test_every_step_is_applied_and_told_and_written_down(patient: Patient) -> None:
    plan = patient.plan()
    result = patient.repair(plan)
    assert outcomes(result) == [(step, Outcome.APPLIED) for step in ids(plan)]
    assert (result.state, result.complete) == (RunState.COMPLETED, True)
    manifest = load_run(patient.state, result.run_id)
    assert manifest.plan_digest == plan.digest
    assert {entry.state for entry in manifest.entries} == {EntryState.DONE}
    told = json.loads(Path(result.manifest).read_bytes())
    assert told["format"] == 1
    assert {
        "seq",
        "repair_id",
        "action",
        "root",
        "target",
        "before",
        "after",
        "backup",
        "holds_secret",
        "state",
    } <= set(told["entries"][0])
    (row,) = read_pending(patient.state)
    assert (row.subject, row.actor, row.verb) == (result.run_id, "local:tester", "applied")
    modes = {path.stat().st_mode & 0o777 for path in (patient.state / "recovery").rglob("*") if path.is_file()}
    assert modes == {0o600}


def test_of_what_waits_for_the_chain_only_what_makes_sense_is_read(tmp_path: Path) -> None:
    row = PendingRow(7, "01HZZZZZZZZZZZZZZZZZZZZZZZ", "ann", "applied", {"a": 1})
    pending_path(tmp_path).parent.mkdir()
    append_pending(tmp_path, row)
    sound = pending_path(tmp_path).read_bytes()
    broken = [
        sound[:40],
        b"[" * 100_000,
        b"7",
        sound.replace(b'"at": 7', b'"at": 99999999999999999999999'),
        sound.replace(b'"ann"', b'"\\udcff"'),
        sound.replace(b'{"a": 1}', b"[]"),
    ]
    pending_path(tmp_path).write_bytes(b"\n".join([*broken, sound]))
    assert read_pending(tmp_path) == [row]


def test_a_deed_that_a_disk_takes_in_parts_is_written_down_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = PendingRow(7, "01HZZZZZZZZZZZZZZZZZZZZZZZ", "ann", "applied", {"a": 1})
    pending_path(tmp_path).parent.mkdir()
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:7]))
    append_pending(tmp_path, row)
    assert read_pending(tmp_path) == [row]


def test_a_disk_that_is_full_at_the_second_step_undoes_that_step_and_stops(patient: Patient) -> None:
    notes = patient.state / "notes.txt"
    notes.chmod(0o600)
    full = FullDisk(writes_until(patient, "config.permissions"))
    before = patient.tree()
    plan = patient.plan()
    result = patient.repair(plan, seam=full)
    assert full.full
    assert outcomes(result) == [
        ("state.cleanup", Outcome.APPLIED),
        ("config.permissions", Outcome.FAILED),
        ("config.restore_backup", Outcome.NOT_RUN),
    ]
    assert not result.complete
    assert "no space left on device" in result.steps[1].error
    changed = {name for name in before if patient.tree().get(name) != before[name]}
    assert [name.rpartition(".tmp.")[0] for name in changed] == ["state/audit.head"]

    patient.roll_back(result.run_id)
    assert patient.tree() == before


@pytest.mark.parametrize("operation", ["open", "write", "fsync", "rename", "unlink", "chmod", "sync", "link"])
def test_whatever_fails_once_costs_its_step_alone(patient: Patient, operation: str) -> None:
    """At each of the first operations of a kind in turn: what was begun is undone, and the next doctor does it all."""
    before, wanted = patient.tree(), ids(patient.plan())
    for number in range(3):
        left = [number]

        def seam(name: str, left: list[int] = left) -> None:
            if name == operation:
                left[0] -= 1
                if left[0] == -1:
                    raise OSError(errno.EIO, "Input/output error")

        try:
            result = patient.repair(seam=seam)
        except StateError:
            assert patient.tree() == before
            continue
        failed = [step for step in result.steps if step.outcome is Outcome.FAILED]
        if result.run_id and (failed or result.trouble):
            applied = {step.repair_id for step in result.steps if step.outcome is Outcome.APPLIED}
            assert len(failed) <= 1
            assert not applied & set(ids(patient.plan())) - {"config.permissions"}
        plan = patient.plan()
        if ids(plan) == ["recovery.undo"]:
            patient.repair(plan)
        elif result.run_id:
            patient.roll_back(result.run_id)
        assert patient.tree() == before
        assert ids(patient.plan()) == wanted


def test_a_file_that_was_edited_after_the_preview_is_left_as_it_was_edited(patient: Patient) -> None:
    plan = patient.plan()
    edited = BROKEN + b"# mine\n"
    patient.config.write_bytes(edited)
    before = patient.everything()
    with pytest.raises(PlanChangedError) as refused:
        patient.repair(plan)
    assert refused.value.code == "plan_changed"
    assert patient.config.read_bytes() == edited
    after = patient.everything()
    assert {name for name in after if after[name] != before.get(name)} <= {
        "state/recovery",
        "state/recovery/doctor.lock",
        "state/engine.lock",
    }


def test_a_plan_of_another_digest_is_not_applied(patient: Patient) -> None:
    before = patient.everything()
    with pytest.raises(PlanChangedError):
        carry_out(patient.plan(), Terms(), patient.site(), WHO, patient.tools(), digest="0" * 64)
    assert patient.everything() == before


def test_a_file_that_is_edited_while_the_plan_is_applied_keeps_the_edit(patient: Patient) -> None:
    """Between two steps: the second one tells of the conflict, the first one stays."""
    edited = BROKEN + b"# mine\n"

    def seam(operation: str) -> None:
        if operation == "unlink":
            patient.config.write_bytes(edited)

    result = patient.repair(seam=seam)
    assert outcomes(result)[-1] == ("config.restore_backup", Outcome.CONFLICT)
    assert result.conflict
    assert patient.config.read_bytes() == edited
    assert not list(patient.state.glob("*.tmp.*"))


@contextmanager
def at_work(patient: Patient) -> Iterator[int]:
    """Another process that is in the midst of a repair."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_dawdle, args=(patient.root, there))
    process.start()
    assert process.pid is not None
    try:
        assert here.recv() == "begun"
        yield process.pid
        here.send("go on")
        assert here.recv() == "ended"
    finally:
        process.join()


def _dawdle(root: Path, pipe: "multiprocessing.connection.Connection") -> None:
    told = [False]

    def seam(operation: str) -> None:
        if operation == "link" and not told[0]:
            told[0] = True
            pipe.send("begun")
            pipe.recv()

    Patient(root).repair(seam=seam)
    pipe.send("ended")


def test_of_two_doctors_the_second_is_told_who_is_at_work(patient: Patient) -> None:
    plan = patient.plan()
    with at_work(patient) as pid:
        with pytest.raises(DoctorBusyError) as refused:
            patient.repair(plan)
        (run,) = (patient.state / "recovery" / "runs").iterdir()
        assert f"pid {pid}, operator local:tester, since 20" in refused.value.message
        assert run.name in refused.value.message
        assert ids(patient.plan("recovery.undo")) == []
    assert ids(patient.plan()) == []


def test_only_old_leftovers_of_the_dead_are_removed_and_come_back_with_a_rollback(tmp_path: Path) -> None:
    patient = Patient(tmp_path).with_config(SOUND).with_state()
    gone = dead_pid()
    now = patient.clock.now_ms() / 1000
    for name, age in ((f"x.tmp.{gone}.456", SIX_MINUTES), (f"y.tmp.{gone}.456", 30)):
        path = patient.state / name
        path.write_bytes(name.encode())
        path.chmod(0o600)
        os.utime(path, (now - age, now - age))
    before = patient.tree()
    result = patient.repair()
    assert {path.name[0] for path in patient.state.glob("*.tmp.*")} == {"y"}
    patient.roll_back(result.run_id)
    assert patient.tree() == before


def test_a_vault_key_that_others_may_read_is_closed_and_opened_again_by_a_rollback(tmp_path: Path) -> None:
    patient = Patient(tmp_path).with_config(SOUND).with_state()
    key = patient.state / "vault" / "vault.key"
    key.parent.mkdir(mode=0o700)
    key.write_bytes(b"k" * 43)
    key.chmod(0o644)
    result = patient.repair(patient.plan("state.permissions"))
    assert key.stat().st_mode & 0o777 == 0o600
    patient.roll_back(result.run_id)
    assert key.stat().st_mode & 0o777 == 0o644


def test_without_a_place_for_a_manifest_nothing_is_repaired(tmp_path: Path) -> None:
    patient = Patient(tmp_path).with_config(BROKEN, SOUND)
    patient.state.write_bytes(b"a file where the state directory should be")
    before = patient.everything()
    with pytest.raises(StateError, match="Nothing can be repaired"):
        patient.repair(patient.plan("config.restore_backup"))
    assert patient.everything() == before


def test_the_newest_twenty_runs_are_kept_and_those_without_an_end_always(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runs.KEPT == 20
    monkeypatch.setattr(runs, "KEPT", 3)
    patient = Patient(tmp_path).with_config(SOUND).with_state(notes__txt=b"")
    results: list[RunResult] = []
    for _ in range(6):
        (patient.state / "notes.txt").chmod(0o644)
        results.append(patient.repair(patient.plan("state.permissions"), seam=no_seam))
        if len(results) == 1:
            manifest = Path(results[0].manifest)
            manifest.write_bytes(manifest.read_bytes().replace(b'"completed"', b'"running"'))
    kept = {path.name for path in (patient.state / "recovery" / "runs").iterdir()}
    assert kept == {result.run_id for result in (results[0], *results[3:])}


def test_a_name_that_cannot_be_written_down_is_left_to_a_person(tmp_path: Path) -> None:
    patient = Patient(tmp_path).with_config(SOUND).with_state(notes__txt=b"")
    for name in (b"\xff.txt", f"a\xff.tmp.{dead_pid()}".encode("latin-1"), b"a\x1b[31m\nb.txt"):
        path = os.path.join(os.fsencode(patient.state), name)
        with open(path, "wb"):
            os.chmod(path, 0o644)
        os.utime(path, (1_000_000_000, 1_000_000_000))
    plan = patient.plan()
    assert [change.target for step in plan.steps for change in step.changes] == ["a\x1b[31m\nb.txt"]
    told = [one for one in patient.look()[1] if "no text" in one.manual]
    assert {(one.check, one.repairs) for one in told} == {("state.permissions", ()), ("state.leftovers", ())}
    result = patient.repair(plan)
    assert result.complete
    patient.roll_back(result.run_id)
    assert ids(patient.plan()) == ids(plan)


@pytest.mark.parametrize("name", ["recovery", "recovery/runs"])
def test_what_a_repair_writes_down_follows_no_link(name: str, tmp_path: Path) -> None:
    patient = Patient(tmp_path).with_config(BROKEN, SOUND).with_state()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = patient.state / name
    link.parent.mkdir(mode=0o700, exist_ok=True)
    link.symlink_to(elsewhere)
    before = patient.tree()
    with pytest.raises(StateError, match="link"):
        patient.repair()
    assert (patient.tree(), list(elsewhere.iterdir())) == (before, [])
