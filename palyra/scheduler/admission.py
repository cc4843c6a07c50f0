"""What becomes of a slot, or of somebody's wish, while an earlier fire of the job is still active: a pure decision."""

from enum import StrEnum

from palyra.config.operations import Concurrency
from palyra.core.values import value

WAITING_MOST = 4
"""How many fires wait at most while slots are caught up on."""
FORBIDDEN = "concurrency_forbid"
QUEUE_FULL = "concurrency_queue_full"


class Admission(StrEnum):
    """What becomes of a fire that falls due, given what its job already has under way."""

    START = "start"
    WAIT = "wait"
    COALESCE = "coalesce"
    """Into the fire that waits last."""
    REPLACE = "replace"
    """The active one is cancelled; this waits until it has ended."""
    SKIP = "skip"


@value
class Occupied:
    """How a job stands: whether a fire is active, how many wait, and whether slots are being caught up on."""

    active: bool = False
    waiting: int = 0
    draining: bool = False


def admit(policy: str, occupied: Occupied, *, manual: bool) -> tuple[Admission, str]:
    """What to do, and the reason where it is skipped."""
    if not occupied.active and not occupied.waiting:
        return Admission.START, ""
    if occupied.draining and not manual:
        return (Admission.WAIT if occupied.waiting < WAITING_MOST else Admission.COALESCE), ""
    match Concurrency(policy):
        case Concurrency.FORBID:
            return Admission.SKIP, FORBIDDEN
        case Concurrency.QUEUE:
            if not occupied.waiting:
                return Admission.WAIT, ""
            return (Admission.SKIP, QUEUE_FULL) if manual else (Admission.COALESCE, "")
        case Concurrency.REPLACE:
            return (Admission.COALESCE if occupied.waiting and not manual else Admission.REPLACE), ""
