"""What a check says: findings, one for each object that is at fault, and how the check itself went."""

from enum import StrEnum

from palyra.core.values import value


class Severity(StrEnum):
    """How bad it is, worst first."""

    BLOCKING = "blocking"
    WARNING = "warning"
    INFO = "info"


class Status(StrEnum):
    """How a check went. `skipped` could not be asked, `error` could not answer; neither ever counts as passed."""

    PASS = "pass"  # noqa: S105 no secret
    FAIL = "fail"
    SKIPPED = "skipped"
    ERROR = "error"


@value
class Finding:
    """One object that is at fault.

    `object` names it the same way in every run: a path relative to the state directory (`vault/vault.key`), a dotted
    key of the configuration, an id; empty for the installation as a whole. `message` and `evidence` are texts for
    people, not yet redacted nor safe for a terminal. `repairs` are ids of repairs that answer it; `manual` is what a
    person does where none does, or where one is not wanted.
    """

    check: str
    severity: Severity
    object: str
    message: str
    evidence: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    manual: str = ""

    @property
    def id(self) -> str:
        """`state.permissions:vault/vault.key`: the same fault has the same id in every run."""
        return f"{self.check}:{self.object}" if self.object else self.check


@value
class CheckResult:
    """How one check went. `severity` is the worst of its findings, or the check's own where it has none.

    `reason` says why it was skipped or could not answer, or what alone it looked at; `took_ms` is in milliseconds,
    rounded up.
    """

    id: str
    severity: Severity
    status: Status
    took_ms: int
    reason: str = ""
