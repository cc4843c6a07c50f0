"""A catalogue of faults: each is found, named, told with what puts it right, repaired, and brought back to the byte."""

import stat
from collections.abc import Iterator

import pytest

from palyra.core.clock import ManualClock
from palyra.doctor.applying import Terms, Tools
from palyra.doctor.carrying_out import carry_out, journal_works
from palyra.doctor.checks.catalogue import ANSWERS, CHECKS
from palyra.doctor.files import Files
from palyra.doctor.finding import Status
from palyra.doctor.installation import Installation
from palyra.doctor.plan import Plan
from palyra.doctor.planning import plan_repairs
from palyra.doctor.rolling_back import roll_back, site_of
from tests.doctor import faults_of_config, faults_of_records, faults_of_secrets, faults_of_state
from tests.doctor.fault import Fault
from tests.doctor.healthy import Patient, copied, healthy_at, named
from tests.doctor.patients import OURS, WHO, in_memory

FAULTS = (
    *faults_of_state.FAULTS,
    *faults_of_config.FAULTS,
    *faults_of_secrets.FAULTS,
    *faults_of_records.FAULTS,
)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Patient:
    return healthy_at(tmp_path_factory.mktemp("healthy") / "at")


@pytest.fixture
def patient(healthy: Patient) -> Iterator[Patient]:
    with in_memory() as place:
        yield copied(healthy, place / "at")
        for path in place.rglob("*"):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)


def test_there_are_enough_of_them_and_each_has_a_name_of_its_own() -> None:
    assert len(FAULTS) >= 150
    assert len({f"{fault.check} {fault.name}" for fault in FAULTS}) == len(FAULTS)


def test_every_check_is_tripped_by_one_and_every_repair_answers_one() -> None:
    assert {fault.check for fault in FAULTS} == {check.id for check in CHECKS} | {"probes.search"}
    assert {repair for fault in FAULTS for repair in fault.repairs} == set(ANSWERS)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.check}: {fault.name}")
async def test_a_fault_is_found_and_named_and_what_repairs_it_is_taken_back(fault: Fault, patient: Patient) -> None:
    fault.inflict(patient)
    found, examined = await patient.look()
    told = [one for one in named(examined.findings, fault.check) if fault.object in (None, one.object)]
    assert told, [f"{one.id} {one.message}" for one in examined.findings]
    assert any((one.severity, one.repairs) == (fault.severity, fault.repairs) for one in told), told
    assert all(one.repairs or one.manual for one in told)
    plan = plan_repairs(found, examined.findings)
    # A run that was cut short has to be one that can be taken back, which this one never was.
    assert set(fault.repairs) - {"recovery.undo"} <= {step.repair_id for step in plan.steps}
    errors = [check for check in examined.checks if check.status is Status.ERROR]
    assert not errors
    assert len({one.id for one in examined.findings}) == len(examined.findings)
    if plan.steps and is_real(patient):
        await repaired_and_taken_back(fault, patient, found, plan)


async def repaired_and_taken_back(fault: Fault, patient: Patient, found: Installation, plan: Plan) -> None:
    sick = standing(patient)
    clock = ManualClock(patient.now)
    site, tools = site_of(found.config_files.get(), patient.state), Tools(clock, journal_works(clock))
    result = carry_out(plan, Terms(force=True), site, WHO, tools)
    assert result.complete, result.steps
    found, examined = await patient.look()
    left = [one for one in named(examined.findings, fault.check) if one.repairs]
    assert not left
    assert plan_repairs(found, examined.findings).steps == ()
    back = roll_back(result.run_id, site, WHO, tools)
    assert back.complete, back.steps
    assert standing(patient) == sick


def is_real(patient: Patient) -> bool:
    """Whether the fault lies on the disk, not in what a test has the doctor see."""
    return type(patient.files) is Files and patient.uid is None and patient.alter is Patient.alter


def standing(patient: Patient) -> dict[str, tuple[int, int, int, bytes]]:
    """Kind and mode, owner, group and bytes of everything, but of what repairing itself leaves."""
    told = {}
    for path in sorted(patient.root.rglob("*")):
        name, facts = path.relative_to(patient.root), path.lstat()
        if name.parts[:1] == ("state",) and (len(name.parts) == 1 or name.parts[1] in OURS):
            continue
        data = path.read_bytes() if stat.S_ISREG(facts.st_mode) else b""
        told[str(name)] = facts.st_mode, facts.st_uid, facts.st_gid, data
    return told
