"""The doctor's flags: what goes together, what is chosen, how it ends, and that it always says what it knows."""

import asyncio
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from palyra.core.clock import ManualClock, settle_loop
from palyra.core.errors import BadInputError, ConflictError, EngineGoneError, NotFoundError, PalyraError
from palyra.doctor.checks.catalogue import ANSWERS, CHECKS
from palyra.doctor.checks.check import Check
from palyra.doctor.command import Asked, Hands, exit_code_of, run_doctor
from palyra.doctor.examining import examine
from palyra.doctor.finding import Finding, Severity, Status
from palyra.doctor.installation import Installation
from palyra.doctor.planning import REPAIRS
from palyra.doctor.reading import AskEngine, Means
from palyra.doctor.report import Mode, Report, report_json, report_text
from palyra.doctor.runs import Who
from palyra.doctor.selection import select
from palyra.journal import examination
from palyra.journal.lock import EngineLock
from tests.doctor.faults_of_config import BROKEN
from tests.doctor.healthy import CONFIG, NOW, Patient, copied, healthy_at

WHO = Who("local:tester", "owner")


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Patient:
    return healthy_at(tmp_path_factory.mktemp("healthy") / "at")


@pytest.fixture
def patient(healthy: Patient, tmp_path: Path) -> Patient:
    return copied(healthy, tmp_path / "at")


async def ask(
    patient: Patient,
    *,
    checks: tuple[Check, ...] = CHECKS,
    engine: AskEngine | None = None,
    tell: Callable[[Report], None] = lambda report: None,
    **flags: Any,
) -> tuple[dict[str, Any], int]:
    """The document and the exit code, as a command would give them."""
    clock = ManualClock(NOW)
    known = [Report(Mode.DIAGNOSTICS)]

    def hear(report: Report) -> None:
        known.append(report)
        tell(report)

    hands = Hands(clock, lambda found: WHO, checks=checks, tell=hear)
    try:
        report, code = await run_doctor(
            Asked(**flags), patient.where, Means(clock, ask_engine=engine, deep=bool(flags.get("deep"))), hands
        )
    except PalyraError as error:
        report, code = known[-1].failed(error), exit_code_of(error)
    document = json.loads(json.dumps(report_json(report)))
    assert report_text(report) or report.runs is not None
    return document, code


def statuses(document: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in document["checks"]}


@pytest.mark.parametrize(
    "flags",
    [
        {"dry_run": True},
        {"force": True},
        {"repair": True, "rollback": "01JD00000000000000000000AA"},
        {"rollback": "01JD00000000000000000000AA", "only": ("config.*",)},
        {"rollback": "01JD00000000000000000000AA", "skip": ("config.*",)},
        {"plan": "abc"},
        {"runs": True, "repair": True},
    ],
    ids=lambda flags: " ".join(flags),
)
async def test_flags_that_do_not_go_together_are_refused_and_nothing_is_read(
    flags: dict[str, Any], tmp_path: Path
) -> None:
    told: list[Report] = []
    document, code = await ask(Patient(tmp_path / "nowhere"), tell=told.append, **flags)
    assert code == 2
    assert document["error"]["code"] == "usage"
    assert document["error"]["fix"]
    assert document["checks"] == []
    assert told == []


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("confg.initialize", "config.initialize"),
        ("state.permission", "state.permissions"),
        ("journal.opem", "journal.open"),
        ("confi.*", "config.*"),
    ],
)
async def test_an_unknown_check_or_repair_is_refused_with_the_one_that_was_meant(
    given: str, meant: str, patient: Patient
) -> None:
    document, code = await ask(patient, only=(given,))
    assert code == 2
    assert meant in document["error"]["fix"]
    assert document["checks"] == []


def test_every_repair_is_known_with_what_it_answers() -> None:
    checks = {check.id for check in CHECKS}
    assert set(ANSWERS) == set(REPAIRS)
    assert {check for answered in ANSWERS.values() for check in answered} <= checks


@pytest.mark.parametrize(
    ("only", "skip", "checks", "repairs"),
    [
        (("config.found",), (), {"config.found"}, {"config.initialize"}),
        (("config.initialize",), (), {"config.found"}, {"config.initialize"}),
        (("journal.salvage",), (), {"journal.open", "journal.integrity"}, {"journal.salvage"}),
        (("config.permissions",), (), {"config.permissions"}, {"config.permissions"}),
        (("env.*",), (), {"env.python", "env.sqlite", "env.zones", "env.terminal", "env.clock"}, set()),
        (("env.*",), ("env.clock",), {"env.python", "env.sqlite", "env.zones", "env.terminal"}, set()),
        (("probes.search",), (), {"probes.search"}, set()),
    ],
)
def test_a_choice_names_checks_and_the_repairs_of_what_they_find(
    only: tuple[str, ...], skip: tuple[str, ...], checks: set[str], repairs: set[str]
) -> None:
    selection = select(only, skip)
    assert {one for one in [check.id for check in CHECKS] + ["probes.search"] if selection.wants(one)} == checks
    assert selection.repairs == repairs


def test_what_is_left_out_is_neither_checked_nor_repaired() -> None:
    selection = select((), ("config.*", "probes.search"))
    assert not selection.wants("config.syntax")
    assert not selection.wants("probes.search")
    assert selection.wants("probes.other")
    assert selection.wants("state.disk")
    assert {"config.migrate", "config.initialize"} & selection.repairs == set()
    assert "state.cleanup" in selection.repairs


async def test_a_sound_installation_is_told_in_full(patient: Patient) -> None:
    document, code = await ask(patient, strict=True)
    assert code == 0
    assert document["schema_version"] == 1
    assert document["generated_at_ms"] == NOW
    assert document["mode"] == "diagnostics"
    assert document["config_path"] == str(patient.config)
    assert document["state_dir"] == str(patient.state)
    assert document["engine"] == {"running": False}
    assert document["strict"] is True
    assert document["summary"] == {
        "blocking": 0, "warning": 0, "info": 1, "skipped": 0, "error": 0, "passed": len(document["checks"]) - 1,
    }  # fmt: skip
    assert "providers.reachable" not in statuses(document)
    assert not {"plan", "result", "runs", "error"} & set(document)


async def test_what_was_looked_at_in_part_is_told_so(patient: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "NEWEST_LINKS", 10)
    monkeypatch.setattr(examination, "WHOLE_ROWS", 10)
    document, _ = await ask(patient, strict=True)
    told = {check["id"]: check["reason"] for check in document["checks"] if "reason" in check}
    assert told == {
        "journal.audit": "the newest 10 of 60 links were followed; --deep follows all",
        "journal.rollups": "only the newest rows were counted again; --deep counts all",
    }
    assert "error" not in statuses(document).values()
    document, _ = await ask(patient, deep=True)
    assert not [check for check in document["checks"] if "reason" in check]


async def test_a_journal_for_whose_copy_there_is_no_room_is_not_judged(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient.write("journal.db-wal", b"something")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    document, code = await ask(patient, strict=True)
    told = {check["id"]: (check["status"], check.get("reason", "")) for check in document["checks"]}
    for check in ("journal.open", "journal.integrity", "scheduler.jobs"):
        status, reason = told[check]
        assert (code, status, "There is no room" in reason) == (0, "skipped", True)


async def test_findings_alone_end_well_and_strictly_only_what_blocks_does_not(patient: Patient) -> None:
    patient.config.chmod(0o644)
    assert (await ask(patient))[1] == 0
    assert (await ask(patient, strict=True))[1] == 0
    (patient.state / "vault/vault.key").chmod(0o644)
    assert (await ask(patient))[1] == 0
    assert (await ask(patient, strict=True))[1] == 1


def _raises(found: Installation) -> Iterator[Finding]:
    raise RuntimeError("sk-this-is-a-secret-0123456789 is at fault")


async def test_a_check_that_raises_counts_as_failed_and_the_others_are_made(patient: Patient) -> None:
    checks = (Check("state.broken", Severity.BLOCKING, _raises), *CHECKS)
    document, code = await ask(patient, checks=checks, strict=True)
    assert code == 1
    told = statuses(document)
    assert told.pop("state.broken") == "error"
    assert "secret" not in json.dumps(document)
    assert document["checks"][0]["reason"].startswith("RuntimeError: ")
    assert set(told.values()) == {"pass", "fail"}
    assert document["summary"]["error"] == 1
    assert (await ask(patient, checks=checks))[1] == 0


async def test_a_failing_check_of_less_weight_does_not_block(patient: Patient) -> None:
    checks = (Check("state.broken", Severity.WARNING, _raises), *CHECKS)
    assert (await ask(patient, checks=checks, strict=True))[1] == 0


async def test_a_check_that_hangs_is_given_up_after_its_time(patient: Patient) -> None:
    found, _ = await patient.look()
    release = threading.Event()
    begun = threading.Event()

    def hangs(installation: Installation) -> Iterator[Finding]:
        begun.set()
        release.wait()
        return iter(())

    clock = ManualClock(NOW)
    work = asyncio.create_task(examine(found, clock, (Check("state.slow", Severity.BLOCKING, hangs), CHECKS[0])))
    await asyncio.to_thread(begun.wait)
    await settle_loop()
    clock.tick(4.9)
    await settle_loop()
    assert not work.done()
    clock.tick(0.2)
    examined = await work
    release.set()
    assert [(check.id, check.status) for check in examined.checks] == [
        ("state.slow", Status.ERROR),
        ("env.python", Status.PASS),
    ]
    assert "5 s" in examined.checks[0].reason
    assert examined.checks[0].took_ms == 5100
    assert examined.blocked


async def test_a_preview_writes_nothing_at_all(patient: Patient) -> None:
    patient.config.chmod(0o644)
    (patient.state / "vault/vault.key").chmod(0o644)
    for path in (patient.root, *patient.root.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)
    before = patient.facts()
    document, code = await ask(patient, repair=True, dry_run=True)
    assert code == 0
    assert document["mode"] == "repair_preview"
    assert {"state.permissions", "config.permissions"} <= {step["repair_id"] for step in document["plan"]["steps"]}
    assert len(document["plan"]["digest"]) == 64
    await ask(patient)
    after = patient.facts()
    assert after.keys() == before.keys()
    for name, told in after.items():
        # What the journal's own reader opens is all whose time of access moves.
        seen = [0, 1, 3] if name in ("state/journal.db", "state/audit.head") else [0, 1, 2, 3]
        assert [told[place] for place in seen] == [before[name][place] for place in seen], name


async def test_a_plan_is_applied_told_and_taken_back(patient: Patient) -> None:
    key = patient.state / "vault/vault.key"
    key.chmod(0o644)
    preview, _ = await ask(patient, repair=True, dry_run=True)
    digest = preview["plan"]["digest"]
    applied, code = await ask(patient, repair=True, plan=digest, strict=True)
    assert code == 0
    assert applied["summary"]["blocking"] > 0
    assert applied["result"]["after"]["summary"]["blocking"] == 0
    assert applied["result"]["steps"] == [{"repair_id": "state.permissions", "outcome": "applied"}]
    assert key.stat().st_mode & 0o777 == 0o600

    run = applied["result"]["run_id"]
    where = f"--config {patient.config} --state-dir {patient.state}"
    assert applied["result"]["rollback_command"] == f"palyra doctor --rollback {run} {where}"
    listed, _ = await ask(patient, runs=True)
    assert [(one["run_id"], one["state"]) for one in listed["runs"]] == [(run, "completed")]

    shown, code = await ask(patient, rollback=run, dry_run=True)
    assert (shown["mode"], code) == ("rollback", 0)
    assert key.stat().st_mode & 0o777 == 0o600
    undone, code = await ask(patient, rollback=run)
    assert code == 0
    assert undone["result"]["steps"][0]["outcome"] == "undone"
    assert key.stat().st_mode & 0o777 == 0o644


async def test_a_plan_that_is_another_by_now_is_not_applied(patient: Patient) -> None:
    patient.config.chmod(0o644)
    document, code = await ask(patient, repair=True, plan="0" * 64)
    assert code == 4
    assert document["error"]["code"] == "plan_changed"
    assert document["plan"]["digest"] in document["error"]["message"]
    assert patient.config.stat().st_mode & 0o777 == 0o644


async def test_a_step_that_needs_force_is_told_and_the_exit_code_says_so(patient: Patient) -> None:
    patient.config.with_name("palyra.toml.bak.1").unlink()
    patient.configure(BROKEN)
    document, code = await ask(patient, repair=True, only=("config.*",), strict=True)
    assert code == 1
    assert document["result"]["steps"] == [{"repair_id": "config.reinitialize", "outcome": "blocked"}]
    assert patient.config.read_text() == BROKEN
    forced, code = await ask(patient, repair=True, only=("config.*",), force=True)
    assert code == 0
    assert forced["result"]["steps"] == [{"repair_id": "config.reinitialize", "outcome": "applied"}]
    assert patient.config.read_text() != BROKEN


async def test_what_depends_on_an_unparseable_configuration_is_skipped_and_says_why(patient: Patient) -> None:
    patient.configure(BROKEN)
    document, code = await ask(patient, strict=True)
    assert code == 1
    (finding,) = [one for one in document["findings"] if one["check"] == "config.syntax"]
    assert "line 11, column" in finding["message"]
    reasons = {check["id"]: check.get("reason", "") for check in document["checks"] if check["status"] == "skipped"}
    assert {"config.values", "config.exposure", "vault.references", "pricing.coverage", "providers.usable"} <= set(
        reasons
    )
    assert all("config.syntax" in reason for reason in reasons.values())
    assert "error" not in statuses(document).values()


async def test_everything_else_is_found_where_journal_and_configuration_are_both_broken(patient: Patient) -> None:
    patient.configure(BROKEN)
    path = patient.state / "journal.db"
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    (patient.state / "vault/vault.key").chmod(0o644)
    document, _ = await ask(patient, repair=True, dry_run=True)
    assert {"config.syntax", "journal.open", "state.permissions"} <= {one["check"] for one in document["findings"]}
    forced = {step["repair_id"]: step["force"] for step in document["plan"]["steps"]}
    assert forced["config.restore_backup"] is False
    assert forced["journal.salvage"] is True


async def test_an_unknown_run_ends_with_a_code_of_its_own(patient: Patient) -> None:
    document, code = await ask(patient, rollback="01JD00000000000000000000AA")
    assert code == 3
    assert document["error"]["code"] == "unknown_run"


async def test_no_secret_is_in_a_report(patient: Patient) -> None:
    inline = CONFIG.replace('api_key_vault_ref = "global/second"', 'api_key = "canary-inline-0123456789"')
    patient.configure(inline.replace("version = 1\n", "", 1), 0o644)
    document, _ = await ask(patient, repair=True, dry_run=True)
    told = json.dumps(document)
    assert "canary-inline" not in told
    assert "sk-upstream" not in told


async def late(asking: object) -> Any:
    raise TimeoutError


async def silent(asking: object) -> Any:
    raise EngineGoneError("nobody answers")


async def test_an_engine_that_does_not_answer_leaves_the_journal_unjudged_and_repairs_undone(patient: Patient) -> None:
    (patient.state / "vault/vault.key").chmod(0o644)
    lock = EngineLock(patient.state)
    lock.acquire()
    try:
        document, code = await ask(patient, engine=silent, strict=True)
        assert code == 1
        assert document["engine"]["running"] is True
        assert statuses(document)["journal.integrity"] == "error"
        document, code = await ask(patient, engine=late)
        (reason,) = {check["reason"] for check in document["checks"] if check["status"] == "error"}
        assert reason == f"the engine (pid {os.getpid()}) did not answer in time"
        document, code = await ask(patient, engine=silent, repair=True)
        assert code == 4
        assert document["error"]["code"] == "engine_silent"
        assert (patient.state / "vault/vault.key").stat().st_mode & 0o777 == 0o644
    finally:
        lock.release()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadInputError("x"), 2),
        (ConflictError("x"), 4),
        (NotFoundError("x", code="unknown_run"), 3),
        (PalyraError("x"), 1),
        (RuntimeError("x"), 1),
    ],
)
def test_errors_end_with_the_code_that_says_which(error: Exception, code: int) -> None:
    assert exit_code_of(error) == code
    document = report_json(Report(Mode.APPLY).failed(error))
    assert document["mode"] == "repair_apply"
    assert document["error"]["message"]
