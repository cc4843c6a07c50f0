"""A catalogue of faults: each is found, named, and told with what puts it right."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from palyra.doctor.finding import Status
from palyra.doctor.planning import plan_repairs
from tests.doctor import faults_of_config, faults_of_records, faults_of_secrets, faults_of_state
from tests.doctor.fault import Fault
from tests.doctor.healthy import Patient, copied, healthy_at, named

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
def patient(healthy: Patient, tmp_path: Path) -> Iterator[Patient]:
    yield copied(healthy, tmp_path / "at")
    for path in (tmp_path / "at").rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)


def test_there_are_enough_of_them_and_each_has_a_name_of_its_own() -> None:
    assert len(FAULTS) >= 150
    assert len({f"{fault.check} {fault.name}" for fault in FAULTS}) == len(FAULTS)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.check}: {fault.name}")
async def test_a_fault_is_found_and_named(fault: Fault, patient: Patient) -> None:
    fault.inflict(patient)
    found, examined = await patient.look()
    told = [one for one in named(examined.findings, fault.check) if fault.object in (None, one.object)]
    assert told, [f"{one.id} {one.message}" for one in examined.findings]
    assert any((one.severity, one.repairs) == (fault.severity, fault.repairs) for one in told), told
    assert all(one.repairs or one.manual for one in told)
    planned = [step.repair_id for step in plan_repairs(found, examined.findings).steps]
    # A run that was cut short has to be one that can be taken back, which this one never was.
    assert set(fault.repairs) - {"recovery.undo"} <= set(planned)
    errors = [check for check in examined.checks if check.status is Status.ERROR]
    assert not errors
    assert len({one.id for one in examined.findings}) == len(examined.findings)
