"""What failed lately: equal failures within a minute are one row with a count, and all of it outlives the engine."""

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from palyra.core.clock import Clock
from palyra.core.redact import redact_error
from palyra.diagnostics.failure import FailureClass, Source, failure_class
from palyra.diagnostics.outside import FailureCounts, FailureData
from palyra.journal.changes import Change
from palyra.journal.observation_rows import FAILURES, FailureRow

SHOWN = 50
KEPT = 2_000
MERGED_MS = 60_000
MINUTE_MS = 60_000
LATELY_MINUTES = 15
DAY_MINUTES = 1_440

Key = tuple[str, str, str]


class FailureBook:
    """Synchronous and in memory; the first of equal failures is handed to `write` at once, how many followed with the
    next `flush`."""

    def __init__(self, clock: Clock, new_id: Callable[[], str], write: Callable[[Sequence[Change]], None]) -> None:
        self._clock = clock
        self._new_id = new_id
        self._write = write
        self._rows: dict[str, FailureRow] = {}
        """By id, in the order in which they began."""
        self._newest: dict[Key, str] = {}
        self._unsaved: set[str] = set()
        self._minutes: deque[tuple[int, Counter[str]]] = deque()
        """How many of each class there were in each minute of the last day."""
        self.total = 0

    def restore(self, rows: Iterable[FailureRow]) -> None:
        """What an earlier engine knew, in order."""
        for row in rows:
            self._rows[row.failure_id] = row
            self._newest[row.source, row.subject, row.code] = row.failure_id
        for row in sorted(self._rows.values(), key=lambda one: one.last_at):
            self._count(row.failure_class, row.last_at, row.count)

    def record(
        self,
        source: Source,
        subject: str,
        code: str,
        message: str,
        correlation: Mapping[str, str] | None = None,
        *,
        of_class: FailureClass | None = None,
    ) -> None:
        """Something failed now. `of_class` where the code alone does not tell."""
        now = self._clock.now_ms()
        told, related = redact_error(message), {name: text for name, text in (correlation or {}).items() if text}
        known = self._rows.get(self._newest.get((source, subject, code), ""))
        kind = of_class or failure_class(code)
        self.total += 1
        self._count(kind, now, 1)
        if known is not None and 0 <= now - known.at <= MERGED_MS:
            self._rows[known.failure_id] = replace(
                known,
                version=known.version + 1,
                last_at=now,
                message=told,
                correlation=related or known.correlation,
                count=known.count + 1,
            )
            self._unsaved.add(known.failure_id)
            return
        row = FailureRow(self._new_id(), 1, now, now, source, subject, code, kind, told, related, 1)
        self._rows[row.failure_id] = row
        self._newest[source, subject, code] = row.failure_id
        self._write([FAILURES.saved(row), *self._forget(now)])

    def flush(self) -> None:
        """Hands over what has been counted since."""
        changes: list[Change] = [FAILURES.saved(self._rows[one]) for one in sorted(self._unsaved) if one in self._rows]
        self._unsaved.clear()
        changes += self._forget(self._clock.now_ms())
        if changes:
            self._write(changes)

    def recent(self, most: int = SHOWN) -> tuple[FailureData, ...]:
        """The newest first."""
        newest = sorted(self._rows.values(), key=lambda row: (row.last_at, row.failure_id), reverse=True)
        return tuple(
            FailureData(
                at=row.at,
                last_at=row.last_at,
                source=Source(row.source),
                subject=row.subject,
                class_=row.code,
                failure_class=FailureClass(row.failure_class),
                message=row.message,
                correlation=dict(row.correlation),
                count=row.count,
            )
            for row in newest[:most]
        )

    def classes(self) -> dict[str, FailureCounts]:
        """How many of each class there were, the classes without any included."""
        minute = self._clock.now_ms() // MINUTE_MS
        lately: Counter[str] = Counter()
        day: Counter[str] = Counter()
        for at, counts in self._minutes:
            if minute - at < DAY_MINUTES:
                day += counts
            if minute - at < LATELY_MINUTES:
                lately += counts
        return {one.value: FailureCounts(lately[one.value], day[one.value]) for one in FailureClass}

    def lately(self, source: Source, subjects: Collection[str]) -> int:
        """Failures of these subjects within 15 minutes."""
        since = self._clock.now_ms() - LATELY_MINUTES * MINUTE_MS
        return sum(
            row.count
            for row in self._rows.values()
            if row.source == source and row.subject in subjects and row.last_at > since
        )

    def _count(self, kind: str, at: int, times: int) -> None:
        minute = at // MINUTE_MS
        if not self._minutes or self._minutes[-1][0] < minute:
            self._minutes.append((minute, Counter()))
        self._minutes[-1][1][kind] += times
        while self._minutes and minute - self._minutes[0][0] >= DAY_MINUTES:
            self._minutes.popleft()

    def _forget(self, now: int) -> list[Change]:
        """Rows older than a day that are not among the newest, and the oldest ones above so many."""
        gone: list[Change] = []
        while len(self._rows) > SHOWN:
            oldest = next(iter(self._rows.values()))
            if len(self._rows) <= KEPT and now - oldest.last_at < DAY_MINUTES * MINUTE_MS:
                break
            del self._rows[oldest.failure_id]
            key = oldest.source, oldest.subject, oldest.code
            if self._newest.get(key) == oldest.failure_id:
                del self._newest[key]
            gone.append(FAILURES.forgotten(oldest.failure_id))
        return gone
