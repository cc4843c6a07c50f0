"""What was seen of the world and of the house itself: failures, services outside, how the journal grew.

Times are UTC unix ms, durations ms.
"""

from palyra.core.values import value
from palyra.journal.entity import Entity


@value
class FailureRow:
    """Equal failures (`source`, `subject`, `code`) within a minute, as one: `at` is the first of `count`, `last_at` the
    newest. `message` is the newest one's, without secrets; `correlation` names its run, attempt or incident."""

    failure_id: str
    version: int
    at: int
    last_at: int
    source: str
    subject: str
    code: str
    failure_class: str
    message: str
    correlation: dict[str, str]
    count: int


@value
class ProbeRow:
    """How a service outside is. `failures` and `successes` are those in a row. `target` is a digest of what is looked
    at: of another one nothing is known. `hours` has, for each hour since the epoch, the checks done and those that
    succeeded."""

    probe_id: str
    version: int
    target: str
    state: str
    failures: int = 0
    successes: int = 0
    last_at: int | None = None
    latency_ms: int | None = None
    error: str = ""
    code: str = ""
    changed_at: int | None = None
    hours: tuple[tuple[int, int, int], ...] = ()


@value
class SizeRow:
    """How many bytes the journal had in an hour since the epoch."""

    hour: int
    bytes: int


FAILURES = Entity(FailureRow, "failures", ["failure_id"])
PROBES = Entity(ProbeRow, "probes", ["probe_id"])
SIZES = Entity(SizeRow, "journal_sizes", ["hour"], version="")
