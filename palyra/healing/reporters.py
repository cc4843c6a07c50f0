"""Work outside of Palyra that says by itself that it lives: a nightly load, a worker elsewhere.

Palyra cannot stop it, so it is only told of. What it declared of itself outlives a restart; after one it gets a whole
interval before it counts as silent.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from enum import StrEnum

from palyra.core.clock import Clock
from palyra.core.errors import PalyraError
from palyra.core.plural import plural
from palyra.core.pulse import WorkHeartbeatKind
from palyra.core.values import value
from palyra.healing.heartbeats import LONGEST_SUMMARY, Heartbeats, Limits
from palyra.journal.changes import Change
from palyra.journal.delivery_rows import REPORTERS, ReporterRow

REPORTERS_AT_MOST = 10_000
APART_S = 1.0
"""One id says something at most so often."""
SAVED_EVERY_MS = 60_000
"""How often a mere beat is kept, which only its words and its progress are needed of."""


class Status(StrEnum):
    """What a component says of itself."""

    OK = "ok"
    FAILING = "failing"
    DONE = "done"


class TooOftenError(PalyraError):
    """`retry_s` is how long to wait; None where waiting does not help."""

    code = "too_often"

    def __init__(self, message: str, *, fix: str, retry_s: float | None) -> None:
        super().__init__(message, fix=fix)
        self.retry_s = retry_s


class Keep(StrEnum):
    """Stands for what a report does not mention: it stays as it was declared before."""

    KEEP = "keep"


KEEP = Keep.KEEP


@value
class Report:
    """What work says of itself; durations in ms. None where it takes back what it declared."""

    name: str
    status: Status = Status.OK
    summary: str | Keep = KEEP
    interval_ms: int | Keep | None = KEEP
    grace_ms: int | Keep | None = KEEP
    stall_ms: int | Keep | None = KEEP
    progress: int | None = None


class Reporters:
    """Everybody who reports from elsewhere. All calls are synchronous."""

    def __init__(self, heartbeats: Heartbeats, clock: Clock, write: Callable[[Sequence[Change]], None]) -> None:
        self._heartbeats = heartbeats
        self._clock = clock
        self._write = write
        self._rows: dict[str, ReporterRow] = {}
        """By object id, as they are kept."""
        self._present: dict[str, ReporterRow] = {}
        """As they last said."""
        self._heard: dict[str, float] = {}
        """When each last said something, monotonic seconds; also of those that are done, or they could say so at any
        rate."""

    def __len__(self) -> int:
        return len(self._rows)

    def restore(self, rows: Iterable[ReporterRow]) -> None:
        """Those of the engine before; whoever was silent then has time to come back."""
        for row in rows:
            key = object_id(row.principal, row.name)
            self._rows[key] = self._present[key] = row
            self._beat(key, row)

    def take(self, principal: str, report: Report) -> int | None:
        """Somebody of that principal says how it goes. Until when it has to say something again (unix ms); None when it
        is done. Raises TooOftenError."""
        key = object_id(principal, report.name)
        self._check(key, report)
        now = self._clock.now_ms()
        self._heard[key] = self._clock.monotonic()
        if len(self._heard) > 2 * REPORTERS_AT_MOST:
            recent = self._clock.monotonic() - APART_S
            self._heard = {key: heard for key, heard in self._heard.items() if heard > recent}
        if report.status is Status.DONE:
            self.forget(principal, report.name)
            return None
        before = self._present.get(key)
        row = self._present[key] = _declared(principal, report, before, now)
        kept = self._rows.get(key)
        if kept is None or _declaration(kept) != _declaration(row) or not 0 <= now - kept.at < SAVED_EVERY_MS:
            row = self._rows[key] = self._present[key] = replace(row, version=1 if kept is None else kept.version + 1)
            self._write([REPORTERS.saved(row)])
        self._beat(key, row)
        return now + self._limits(row).silent_ms

    def forget(self, principal: str, name: str) -> bool:
        """It will not report any more; False when it never did."""
        key = object_id(principal, name)
        self._present.pop(key, None)
        if self._rows.pop(key, None) is None:
            return False
        self._heartbeats.clear(WorkHeartbeatKind.EXTERNAL, key)
        self._write([REPORTERS.forgotten(principal, name)])
        return True

    def _check(self, key: str, report: Report) -> None:
        heard = self._heard.get(key)
        if heard is not None and (left := heard + APART_S - self._clock.monotonic()) > 0:
            raise TooOftenError(
                f"{report.name} reported less than a second ago.", fix="Report once a second at most.", retry_s=left
            )
        if key not in self._rows and len(self._rows) >= REPORTERS_AT_MOST and report.status is not Status.DONE:
            raise TooOftenError(
                f"{plural(REPORTERS_AT_MOST, 'id')} report already.",
                fix="Say done, or DELETE those that ended.",
                retry_s=None,
            )

    def _beat(self, key: str, row: ReporterRow) -> None:
        self._heartbeats.record(WorkHeartbeatKind.EXTERNAL, key, row.summary, progress=row.progress)
        self._heartbeats.declare(WorkHeartbeatKind.EXTERNAL, key, limits=self._own_limits(row), failing=row.failing)

    def _limits(self, row: ReporterRow) -> Limits:
        return self._own_limits(row) or self._heartbeats.limits[WorkHeartbeatKind.EXTERNAL]

    def _own_limits(self, row: ReporterRow) -> Limits | None:
        """None where it declared nothing: then those of the configuration count, also when they change."""
        usual = self._heartbeats.limits[WorkHeartbeatKind.EXTERNAL]
        if row.interval_ms is not None:
            return Limits(row.interval_ms + row.grace_ms, row.stall_ms)
        return None if row.stall_ms is None else Limits(usual.silent_ms, row.stall_ms)


def object_id(principal: str, name: str) -> str:
    """How a heartbeat names it; names have no slash, so the last one parts the two."""
    return f"{principal}/{name}"


def _declared(principal: str, report: Report, before: ReporterRow | None, now: int) -> ReporterRow:
    known = before or ReporterRow(principal, report.name, 0, "", False, None, 0, None, None, now)
    return replace(
        known,
        summary=known.summary if isinstance(report.summary, Keep) else report.summary[:LONGEST_SUMMARY],
        failing=report.status is Status.FAILING,
        interval_ms=known.interval_ms if isinstance(report.interval_ms, Keep) else report.interval_ms,
        grace_ms=known.grace_ms if isinstance(report.grace_ms, Keep) else report.grace_ms or 0,
        stall_ms=known.stall_ms if isinstance(report.stall_ms, Keep) else report.stall_ms,
        progress=known.progress if report.progress is None else report.progress,
        at=now,
    )


def _declaration(row: ReporterRow) -> tuple[bool, int | None, int, int | None]:
    """What must not be lost for a minute."""
    return row.failing, row.interval_ms, row.grace_ms, row.stall_ms
