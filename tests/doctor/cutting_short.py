"""Kills repairs at every step: `python -m tests.doctor.cutting_short WHAT PATIENT WHERE`.

For each number from 0 on, the patient is repaired (or the run that repaired it rolled back) by a process of its own,
which is killed before that operation on files; what is left of it is put into WHERE, by number, and the patient is as
it was again. It ends with the first operation that is not reached, whose process comes to its end.
"""

import os
import shutil
import signal
import sys
import traceback
from pathlib import Path

from palyra.doctor.plan import Plan
from tests.doctor.patients import Patient

REPAIR, ROLL_BACK = "repair", "roll_back"


class Killing:
    """A seam that ends this process, hard, before the operation of a number."""

    def __init__(self, number: int) -> None:
        self._left = number

    def __call__(self, operation: str) -> None:
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1


def cut_short(what: str, patient: Patient, plan: Plan, number: int) -> None:
    seam = Killing(number)
    if what == REPAIR:
        patient.repair(plan, force=True, seam=seam)
    else:
        (run,) = (patient.state / "recovery" / "runs").iterdir()
        patient.roll_back(run.name, seam=seam)


def main(what: str, patient: Path, remains: Path) -> None:
    sound = remains / "sound"
    shutil.copytree(patient, sound, symlinks=True)
    plan = Patient(patient).plan()
    for number in range(10_000):
        child = os.fork()
        if not child:
            try:
                cut_short(what, Patient(patient), plan, number)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        patient.rename(remains / str(number))
        shutil.copytree(sound, patient, symlinks=True)
        if os.WIFEXITED(status):
            shutil.rmtree(sound)
            sys.exit(os.WEXITSTATUS(status))
        assert os.WTERMSIG(status) == signal.SIGKILL


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
