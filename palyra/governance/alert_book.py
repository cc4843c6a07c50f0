"""The life of alerts: conditions open them, people acknowledge them or put them away, cleared conditions end them.

Synchronous. What has to be made durable is collected and handed out by `changes`: what matters to people at once, how
often a condition was seen again at most every few seconds, since it may be seen each second.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from palyra.core.errors import BadInputError, ConflictError, NotFoundError
from palyra.governance.alert_record import AlertRecord, AlertState
from palyra.governance.alerts import AlertCandidate, AlertKind
from palyra.journal.changes import AlertSaved, AuditAdded, Change

LIVE_AT_MOST = 2_000
"""Conditions beyond so many live alerts open none; they do when they are seen again after others ended."""
COUNTS_SAVED_EVERY_MS = 10_000
SHORTEST_SNOOZE_MS, LONGEST_SNOOZE_MS = 1_000, 30 * 86_400_000


class AlertBook:
    """Every alert that is not resolved, by key; one key has at most one of them."""

    def __init__(self, new_id: Callable[[], str], cooldown_ms: int, records: Iterable[AlertRecord] = ()) -> None:
        """`records`: the live ones, and resolved ones whose key was told of within the cooldown, oldest first."""
        self._new_id = new_id
        self._cooldown_ms = cooldown_ms
        self._by_key: dict[str, AlertRecord] = {}
        self._by_id: dict[str, AlertRecord] = {}
        self._by_kind: dict[AlertKind, dict[str, AlertRecord]] = {kind: {} for kind in AlertKind}
        self._notified: dict[str, int] = {}
        """When people were last told of a key; forgotten once the cooldown is over."""
        self._unsaved: dict[str, AlertRecord] = {}
        self._saved_at: dict[str, int] = {}
        self._to_tell: list[AlertRecord] = []
        self.version = 0
        """Grows with everything a console could show."""
        for record in records:
            if record.notified_at is not None:
                self._notified[record.dedupe_key] = max(
                    record.notified_at, self._notified.get(record.dedupe_key, record.notified_at)
                )
            if record.live:
                self._keep(record)

    def configure(self, cooldown_ms: int) -> None:
        """Another time within which people are not told of a key again."""
        self._cooldown_ms = cooldown_ms

    def __len__(self) -> int:
        return len(self._by_id)

    def knows(self, alert_id: str) -> bool:
        """Whether it is live."""
        return alert_id in self._by_id

    def live(self) -> list[AlertRecord]:
        """Open ones first, then the more severe, then the older."""
        return sorted(self._by_id.values(), key=lambda record: record.urgency)

    def of_kinds(self, *kinds: AlertKind) -> list[AlertRecord]:
        """The live ones of these kinds."""
        return [record for kind in kinds for record in self._by_kind[kind].values()]

    def of(self, dedupe_key: str) -> AlertRecord | None:
        """The live alert of a key."""
        return self._by_key.get(dedupe_key)

    def get(self, alert_id: str) -> AlertRecord:
        """Raises NotFoundError when it is not live."""
        record = self._by_id.get(alert_id)
        if record is None:
            raise NotFoundError(f"No alert {alert_id!r} is live.", fix="List them with `palyra alerts list`.")
        return record

    # What is seen

    def see(self, candidate: AlertCandidate, at: int, *, again: bool = True) -> None:
        """A condition holds. `again` False: it was only looked at once more, which is no further occurrence."""
        record = self._by_key.get(candidate.dedupe_key)
        if record is None:
            self._open(candidate, at)
            return
        severity = candidate.severity
        seen = replace(
            record,
            severity=severity,
            payload=candidate.payload,
            holds=True,
            occurrence_count=record.occurrence_count + again,
            last_seen=max(at, record.last_seen) if again else record.last_seen,
            version=record.version + (severity is not record.severity),
        )
        if seen.state is AlertState.OPEN:
            if again:
                seen = self._told(seen, at)
        elif record.answered is not None and severity.rank > record.answered.rank:
            seen = self._reopened(seen, at)
        if seen != record:
            matters = seen.version != record.version or seen.holds != record.holds or seen.notified_at == at
            self._put(seen, at, now=matters)

    def clear(self, dedupe_key: str, at: int) -> None:
        """A condition does not hold. An alert that was put away stays so until its time is up, lest it flaps."""
        record = self._by_key.get(dedupe_key)
        if record is None:
            return
        if record.state is AlertState.SNOOZED:
            if record.holds:
                self._put(replace(record, holds=False), at)
            return
        self._resolve(record, at)

    def sweep(self, at: int) -> None:
        """Brings back what was put away until now and still holds, ends what no longer does, forgets old tellings."""
        for record in self.waking(at):
            if record.holds:
                self._put(self._reopened(record, at), at)
            else:
                self._resolve(record, at)
        for key, told_at in tuple(self._notified.items()):
            if at - told_at >= self._cooldown_ms and key not in self._by_key:
                del self._notified[key]

    def waking(self, at: int) -> list[AlertRecord]:
        """What was put away until now."""
        return [
            record
            for record in self._by_id.values()
            if record.state is AlertState.SNOOZED and record.snoozed_until is not None and at >= record.snoozed_until
        ]

    # What people do

    def acknowledge(self, alert_id: str, by: str, at: int, *, version: int | None = None) -> AlertRecord:
        """Somebody knows. Raises NotFoundError, ConflictError."""
        record = self._current(alert_id, version)
        if record.state is AlertState.ACKNOWLEDGED:
            raise ConflictError(
                f"{record.acted_by or 'Somebody'} has acknowledged alert {alert_id} already.", code="already_done"
            )
        if not record.holds:
            return self._resolve(self._answered(record, by, at), at)
        return self._put(
            replace(
                self._answered(record, by, at),
                state=AlertState.ACKNOWLEDGED,
                version=record.version + 1,
                snoozed_until=None,
            ),
            at,
        )

    def snooze(self, alert_id: str, for_ms: int, by: str, at: int, *, version: int | None = None) -> AlertRecord:
        """Puts it away until `at + for_ms`. Raises NotFoundError, ConflictError, BadInputError."""
        if not SHORTEST_SNOOZE_MS <= for_ms <= LONGEST_SNOOZE_MS:
            raise BadInputError("An alert is snoozed for 1 s to 30 days.", fix="Give a duration like 30m or 8h.")
        record = self._current(alert_id, version)
        return self._put(
            replace(
                self._answered(record, by, at),
                state=AlertState.SNOOZED,
                version=record.version + 1,
                snoozed_until=at + for_ms,
            ),
            at,
        )

    # What has to be done about it

    def changes(self, at: int) -> list[Change]:
        """What has to be made durable now; each record is handed out once for each of its changes."""
        never = -COUNTS_SAVED_EVERY_MS
        due = [one for one in self._unsaved if at - self._saved_at.get(one, never) >= COUNTS_SAVED_EVERY_MS]
        saved: list[Change] = []
        for alert_id in due:
            record = self._unsaved.pop(alert_id)
            saved.append(AlertSaved(record.row()))
            if record.live:
                self._saved_at[alert_id] = at
            else:
                self._saved_at.pop(alert_id, None)
        return saved

    def remaining(self) -> list[Change]:
        """What is not durable yet, however fresh."""
        saved: list[Change] = [AlertSaved(record.row()) for record in self._unsaved.values()]
        self._unsaved.clear()
        return saved

    def to_tell(self) -> Sequence[AlertRecord]:
        """The alerts people should be told of since the last call."""
        told, self._to_tell = self._to_tell, []
        return told

    def _current(self, alert_id: str, version: int | None) -> AlertRecord:
        record = self.get(alert_id)
        if version is not None and version != record.version:
            raise ConflictError(
                f"Alert {alert_id} changed meanwhile; it is {record.state.value}, {record.severity.value}.",
                fix="Look at it again.",
                code="stale_version",
            )
        return record

    def _open(self, candidate: AlertCandidate, at: int) -> None:
        if len(self._by_id) >= LIVE_AT_MOST:
            return
        fresh = AlertRecord(
            alert_id=self._new_id(),
            kind=candidate.kind,
            severity=candidate.severity,
            dedupe_key=candidate.dedupe_key,
            subject_kind=candidate.subject_kind,
            subject=candidate.subject,
            payload=candidate.payload,
            first_seen=at,
            last_seen=at,
            revision=0,
        )
        self._put(self._told(fresh, at), at)

    def _reopened(self, record: AlertRecord, at: int) -> AlertRecord:
        back = replace(
            record, state=AlertState.OPEN, version=record.version + 1, snoozed_until=None, answered=None, holds=True
        )
        return self._told(back, at)

    def _resolve(self, record: AlertRecord, at: int) -> AlertRecord:
        ended = replace(
            record,
            state=AlertState.RESOLVED,
            version=record.version + 1,
            holds=False,
            resolved_at=at,
            snoozed_until=None,
        )
        return self._put(ended, at)

    def _answered(self, record: AlertRecord, by: str, at: int) -> AlertRecord:
        return replace(record, answered=record.severity, acted_by=by, acted_at=at)

    def _keep(self, record: AlertRecord) -> None:
        self._by_key[record.dedupe_key] = self._by_id[record.alert_id] = record
        self._by_kind[record.kind][record.alert_id] = record

    def _told(self, record: AlertRecord, at: int) -> AlertRecord:
        """Marks it as told of now, unless its key was within the cooldown."""
        last = self._notified.get(record.dedupe_key)
        if last is not None and at - last < self._cooldown_ms:
            return record
        self._notified[record.dedupe_key] = at
        told = replace(record, notified_at=at)
        self._to_tell.append(told)
        return told

    def _put(self, record: AlertRecord, at: int, *, now: bool = True) -> AlertRecord:
        record = replace(record, revision=record.revision + 1)
        if record.live:
            self._keep(record)
        else:
            del self._by_key[record.dedupe_key], self._by_id[record.alert_id]
            del self._by_kind[record.kind][record.alert_id]
        self._unsaved[record.alert_id] = record
        if now:
            self._saved_at.pop(record.alert_id, None)
        self.version += 1
        return record


def acted(record: AlertRecord, verb: str, by: str, attestation: str, at: int) -> Change:
    """The audit row of what somebody did with an alert."""
    payload = {
        "verb": verb,
        "kind": record.kind.value,
        "key": record.dedupe_key,
        "state": record.state.value,
        "snoozed_until": record.snoozed_until,
        "attestation": attestation,
    }
    return AuditAdded(at, "alert", record.alert_id, by, payload)


def observe(
    book: AlertBook,
    candidates: Iterable[AlertCandidate],
    looked_at: Collection[str],
    at: int,
    *,
    fresh: Collection[str],
) -> None:
    """Brings a book up to what was found. `looked_at`: every key whose condition was judged; those without a candidate
    are clear. `fresh`: keys of which something happened since they were last judged."""
    found = {candidate.dedupe_key: candidate for candidate in candidates}
    for key in looked_at:
        candidate = found.get(key)
        if candidate is None:
            book.clear(key, at)
    for key, candidate in found.items():
        book.see(candidate, at, again=key in fresh)
