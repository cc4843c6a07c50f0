"""Making the checks: each under its own guard and limit, and none of them kept from its turn by another."""

import math
from collections.abc import Callable, Sequence

from palyra.core.clock import Clock
from palyra.core.reasons import reason_of
from palyra.core.redact import redact
from palyra.core.values import value
from palyra.doctor.checks.catalogue import CHECKS, PROBES
from palyra.doctor.checks.check import Check
from palyra.doctor.checks.serving import probes
from palyra.doctor.finding import CheckResult, Finding, Severity, Status
from palyra.doctor.guarding import guarded
from palyra.doctor.installation import Installation, NothingToReadError, NotReadError

_WORST = (Severity.BLOCKING, Severity.WARNING, Severity.INFO)


@value
class Examination:
    """What checks said of an installation: how each went, in their order, and every finding, the worst first."""

    checks: tuple[CheckResult, ...]
    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """How many findings are that severe."""
        return sum(finding.severity is severity for finding in self.findings)

    def went(self, status: Status) -> int:
        """How many checks went that way."""
        return sum(check.status is status for check in self.checks)

    @property
    def blocked(self) -> bool:
        """Whether something blocking was found, or a check that could have found it gave no answer."""
        errors = (check for check in self.checks if check.status is Status.ERROR)
        return self.count(Severity.BLOCKING) > 0 or any(check.severity is Severity.BLOCKING for check in errors)


def probe_checks(found: Installation) -> tuple[Check, ...]:
    """One for each probe that was looked at."""
    if found.online.found is None:
        return ()
    return tuple(
        Check(
            f"{PROBES}.{one.id}",
            Severity.BLOCKING if one.critical else Severity.WARNING,
            lambda installation, name=one.id: [  # type: ignore[misc]
                finding for finding in probes(installation) if finding.object == name
            ],
        )
        for one in found.online.found.probes
    )


async def examine(
    found: Installation,
    clock: Clock,
    checks: Sequence[Check] = CHECKS,
    *,
    wants: Callable[[str], bool] = lambda check: True,
    deep: bool = False,
) -> Examination:
    """Makes those of these checks that somebody `wants`, by their id. `deep`: without limits."""
    results: list[CheckResult] = []
    findings: list[Finding] = []
    for check in (*checks, *probe_checks(found)):
        if not wants(check.id):
            continue
        result, told = await _made(check, found, clock, deep=deep)
        results.append(result)
        findings += told
    findings.sort(key=lambda one: _WORST.index(one.severity))
    return Examination(tuple(results), tuple(findings))


async def _made(check: Check, found: Installation, clock: Clock, *, deep: bool) -> tuple[CheckResult, list[Finding]]:
    began = clock.monotonic()
    told: list[Finding] = []
    severity, status, reason = check.severity, Status.PASS, ""
    try:
        told, reason = await guarded(
            lambda: (list(check.find(found)), check.partly(found)), None if deep else check.limit_s, clock, check.id
        )
        if told:
            severity, status = min((one.severity for one in told), key=_WORST.index), Status.FAIL
    except NothingToReadError as absent:
        status, reason = Status.SKIPPED, str(absent)
    except NotReadError as problem:
        status, reason = Status.ERROR, str(problem)
    except TimeoutError as late:
        status, reason = Status.ERROR, str(late)
    except Exception as error:
        # A fault of the check's own, which says nothing of what it was to look at.
        status, reason = Status.ERROR, f"{type(error).__name__}: {reason_of(error)}"
    took = math.ceil((clock.monotonic() - began) * 1000)
    return CheckResult(check.id, severity, status, took, redact(reason)), told
