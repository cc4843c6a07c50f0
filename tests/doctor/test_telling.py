"""What a person reads: what is wrong, said once, and the very command that comes next."""

import asyncio
import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from palyra.cli import doctor as command_line
from palyra.control.doctor import Asked, Report, doctor, report_text
from palyra.core.clock import ManualClock
from palyra.core.errors import PalyraError
from palyra.doctor.reading import Where
from tests.doctor.patients import BROKEN, SOUND, Patient
from tests.doctor.test_starting import ROOT, environ


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    place = tmp_path / "at home"
    place.mkdir()
    return Patient(place)


def said(patient: Patient, **flags: Any) -> list[str]:
    """The lines a person reads."""
    known: list[Report] = []
    try:
        report, _ = asyncio.run(doctor(Asked(**flags), patient.where, patient.clock, known.append))
    except PalyraError as error:
        report = known[-1].failed(error)
    return report_text(report)


def command_after(words: str, lines: list[str]) -> list[str]:
    (line,) = [line for line in lines if line.startswith(words)]
    return shlex.split(line.removeprefix(words))


def asked_by(command: list[str], patient: Patient) -> Asked:
    """What a command that was told means, which has to be of this installation."""
    given = command_line._parser().parse_args(command[2:])
    assert command[:2] == ["palyra", "doctor"]
    assert (given.state_dir, given.config) == (patient.state, None)
    return command_line.asked_of(given)


def test_each_command_that_is_told_leads_to_the_next(patient: Patient) -> None:
    patient.with_config(BROKEN, SOUND, mode=0o644).with_state()
    before = patient.tree()
    preview = asked_by(command_after("See what would be repaired:", said(patient, only=("config.*",))), patient)
    assert (preview.repair, preview.dry_run, preview.only) == (True, True, ("config.*",))

    shown = said(patient, repair=True, dry_run=True, only=("config.*",), skip=("config.permissions",), deep=True)
    apply = asked_by(command_after("Apply it:", shown), patient)
    assert (apply.only, apply.skip, len(apply.plan)) == (("config.*",), ("config.permissions",), 64)
    assert apply.deep

    lines = said(patient, repair=True, plan=apply.plan, only=apply.only, skip=apply.skip)
    assert "  config.restore_backup  applied" in lines
    back = asked_by(command_after("Take it back:", lines), patient)
    shown = said(patient, rollback=back.rollback, dry_run=True)
    again = asked_by(command_after("Apply it:", shown), patient)
    assert again == back
    said(patient, rollback=again.rollback)
    assert patient.tree() == before


def test_what_needs_force_is_told_with_how_to_see_and_how_to_do_it(patient: Patient) -> None:
    patient.with_config(BROKEN).with_state()
    lines = said(patient, repair=True)
    assert "  config.reinitialize  not applied: it needs --force" in lines
    assert asked_by(command_after("See what it would change:", lines), patient).dry_run
    assert asked_by(command_after("Then do it by force:", lines), patient).force
    left = lines[lines.index("Looked at again: 1 blocking, 0 warnings left.") + 1]
    assert left.endswith("[config.syntax]")


def test_what_is_said_of_several_checks_is_said_once(patient: Patient) -> None:
    patient.with_config(SOUND).with_state()
    lines = said(patient)
    assert len([line for line in lines if "there is no journal" in line]) == 1
    assert "There is nothing to repair." in said(patient, repair=True, dry_run=True)
    assert "See what would be repaired" not in "\n".join(lines)


def test_a_directory_that_is_made_is_named(patient: Patient) -> None:
    lines = said(patient, repair=True, dry_run=True)
    assert "   mkdir the state directory" in lines
    assert "   mkdir the directory of the configuration" in lines


@pytest.mark.parametrize(
    "forgery",
    [
        lambda sound: b"",
        lambda sound: b"[" * 100_000,
        lambda sound: sound.replace(b'"created_at_ms": ', b'"created_at_ms": 99999999999999999999, "x": '),
        lambda sound: sound.replace(b'"created_at_ms": ', b'"created_at_ms": -99999999999999, "x": '),
    ],
    ids=["empty", "deep", "of a time to come", "of no time"],
)
def test_a_manifest_that_makes_no_sense_is_told_and_hurts_nothing(
    forgery: Callable[[bytes], bytes], patient: Patient
) -> None:
    patient.with_config(BROKEN, SOUND).with_state()
    manifest = Path(patient.repair().manifest)
    manifest.write_bytes(forgery(manifest.read_bytes()).replace(b'"completed"', b'"running"'))
    (line,) = said(patient, runs=True)
    assert line.startswith(f"The manifest of {manifest.parent.name} cannot be used: ")
    assert any(f"run {manifest.parent.name}" in line for line in said(patient))
    assert not any(line.startswith("Could not be answered") for line in said(patient))


def test_who_is_interrupted_hears_no_talk_of_faults(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    async def interrupted(*given: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line, "doctor", interrupted)
    where = Where(state_dir=tmp_path, environ={})
    assert command_line.see(Asked(), where, ManualClock(), as_json=True) == 130
    document = json.loads(capfdbinary.readouterr().out)
    assert document["error"]["code"] == "interrupted"
    assert "fault" not in document["error"]["message"]


async def test_a_repair_that_nobody_waits_for_any_more_is_brought_to_its_end_and_told(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from palyra.doctor import command

    patient.with_config(BROKEN, SOUND).with_state()
    known: list[Report] = []
    waiting: list[asyncio.Task[Any]] = []
    loop = asyncio.get_running_loop()
    interrupted: list[asyncio.AbstractEventLoop] = []
    tools = command._tools

    def once(operation: str) -> None:
        if loop not in interrupted:
            interrupted.append(loop)
            loop.call_soon_threadsafe(waiting[0].cancel)

    def with_a_seam(look: Any) -> Any:
        made = tools(look)
        return type(made)(made.clock, made.works, once)

    monkeypatch.setattr(command, "_tools", with_a_seam)
    waiting.append(asyncio.ensure_future(doctor(Asked(repair=True), patient.where, patient.clock, known.append)))
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    assert known[-1].result is not None
    assert known[-1].result.complete
    assert patient.config.read_bytes() == SOUND


def test_an_empty_value_and_a_full_file_are_refused(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "palyra.entry", "doctor", "--state-dir", str(tmp_path / "state")]
    for flag in ("--rollback", "--plan", "--config", "--state-dir"):
        done = subprocess.run([*program, flag, ""], capture_output=True, cwd=ROOT, env=environ(tmp_path), check=False)
        assert (done.returncode, b"it is empty" in done.stdout) == (2, True)
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*program, "--json"], stdout=full, stderr=subprocess.PIPE, cwd=ROOT, env=environ(tmp_path), check=False
        )
    assert (done.returncode, done.stderr) == (1, b"The report could not be written: no space left on device.\n")
    shut = ["sh", "-c", 'exec "$@" >&-', "sh", *program]
    done = subprocess.run(shut, stderr=subprocess.PIPE, cwd=ROOT, env=environ(tmp_path), check=False)
    assert (done.returncode, done.stderr) == (0, b"")
