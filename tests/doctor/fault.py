"""One way to break an installation, and what has to be said about it."""

from collections.abc import Callable
from dataclasses import dataclass

from palyra.doctor.finding import Severity
from tests.doctor.healthy import Patient

BLOCKING, WARNING, INFO = Severity.BLOCKING, Severity.WARNING, Severity.INFO


@dataclass(frozen=True)
class Fault:
    """`object` None: whichever the finding names."""

    name: str
    inflict: Callable[[Patient], object]
    check: str
    severity: Severity
    repairs: tuple[str, ...] = ()
    object: str | None = None
