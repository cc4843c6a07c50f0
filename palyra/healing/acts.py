"""What people do with incidents: each act is refused in words or done, for all that hang below the incident as well."""

from dataclasses import replace

from palyra.core.errors import BadInputError, ConflictError
from palyra.core.redact import redact
from palyra.healing.book import IncidentBook
from palyra.healing.record import IncidentRecord, IncidentState, TimelineKind

SHORTEST_SNOOZE_MS, LONGEST_SNOOZE_MS = 60_000, 30 * 86_400_000
NOTE_MOST_BYTES = 4 * 1024
REASON_MOST = 500
NAME_MOST = 128
BY_OPERATOR = "by_operator"
FORCED = "forced"


class Acts:
    """Every act carries the version its incident was seen at; None takes whatever is there."""

    def __init__(self, book: IncidentBook) -> None:
        self._book = book

    def acknowledge(self, incident_id: str, by: str, at: int, *, version: int | None = None) -> IncidentRecord:
        """Somebody knows: nobody is reminded any more. Raises NotFoundError, ConflictError."""
        record = self._live(incident_id, version)
        if record.acknowledged_at is not None:
            who = record.acknowledged_by or "Somebody"
            raise ConflictError(f"{who} has acknowledged incident {incident_id} already.", code="already_done")
        for one in self._covered(record):
            if one.acknowledged_at is None:
                self._book.log(one, at, TimelineKind.ACKNOWLEDGED, by)
                known = replace(one, acknowledged_at=at, acknowledged_by=by, version=one.version + 1, updated_at=at)
                self._book.paper.episode_moved(self._book.put(known))
        return self._book.get(incident_id)

    def assign(
        self, incident_id: str, assignee: str, by: str, at: int, *, version: int | None = None
    ) -> IncidentRecord:
        """Gives it to somebody; an empty name takes it away. Raises NotFoundError, ConflictError, BadInputError."""
        if len(assignee) > NAME_MOST or not assignee.isprintable():
            raise BadInputError(f"An operator's name has at most {NAME_MOST} printable characters.")
        record = self._live(incident_id, version)
        for one in self._covered(record):
            if one.assignee != assignee:
                self._book.log(one, at, TimelineKind.ASSIGNED, by, {"to": assignee})
                self._book.put(replace(one, assignee=assignee, version=one.version + 1, updated_at=at))
        return self._book.get(incident_id)

    def snooze(
        self, incident_id: str, for_ms: int, reason: str, by: str, at: int, *, version: int | None = None
    ) -> IncidentRecord:
        """Puts it away for a while, silent and listed last; it comes back early when it gets worse. 0 wakes it.

        Raises NotFoundError, ConflictError, BadInputError.
        """
        if for_ms and not SHORTEST_SNOOZE_MS <= for_ms <= LONGEST_SNOOZE_MS:
            raise BadInputError("An incident is snoozed for 1 min to 30 days.", fix="Give a duration like 30m or 8h.")
        if for_ms and not reason.strip():
            raise BadInputError("Putting an incident away needs a reason.", fix="Say why in a few words.")
        reason = redact(reason)
        if len(reason) > REASON_MOST:
            raise BadInputError("The reason is too long.", fix=f"Use at most {REASON_MOST} characters.")
        record = self._live(incident_id, version)
        if not for_ms and record.snoozed_until is None:
            raise ConflictError(f"Incident {incident_id} is not snoozed.", code="already_done")
        for one in self._covered(record):
            if not for_ms:
                if one.snoozed_until is not None:
                    self._book.wake(one, at, by)
                continue
            until = at + for_ms
            self._book.log(one, at, TimelineKind.SNOOZED, by, {"until": until, "reason": reason})
            away = replace(one, snoozed_until=until, snooze_reason=reason, version=one.version + 1, updated_at=at)
            self._book.put(away)
        return self._book.get(incident_id)

    def note(self, incident_id: str, text: str, by: str, at: int, *, version: int | None = None) -> IncidentRecord:
        """Adds a note to its timeline, for good. Raises NotFoundError, ConflictError, BadInputError."""
        if not text.strip():
            raise BadInputError("The note is empty.", fix="Say something.")
        if len(text.encode("utf-8", "replace")) > NOTE_MOST_BYTES:
            raise BadInputError("The note is too long.", fix=f"Use at most {NOTE_MOST_BYTES:,} bytes.")
        record = self._current(incident_id, version)
        self._book.log(record, at, TimelineKind.NOTE, by, {"text": text})
        return self._book.put(replace(record, version=record.version + 1, updated_at=at))

    def resolve(
        self, incident_id: str, by: str, at: int, *, force: bool = False, version: int | None = None
    ) -> IncidentRecord:
        """Ends it. What still holds is refused unless `force`, which mutes it until its condition has gone.

        Raises NotFoundError, ConflictError.
        """
        record = self._live(incident_id, version)
        covered = self._covered(record)
        if not force:
            if any(one.state is IncidentState.REMEDIATING for one in covered):
                raise ConflictError(
                    f"A remedy of incident {incident_id} is running.", fix="Wait for it, or use force.", code="busy"
                )
            if self._book.still_holds(record):
                raise ConflictError(
                    f"Incident {incident_id} is still present.", fix="Snooze it or use force.", code="still_present"
                )
        for one in covered:
            now = self._book.get(one.incident_id)
            if now.live:
                self._book.end(now, at, by, FORCED if now.holds and not now.storm else BY_OPERATOR)
        return self._book.get(incident_id)

    def _covered(self, record: IncidentRecord) -> list[IncidentRecord]:
        return [record, *self._book.below(record.incident_id)]

    def _live(self, incident_id: str, version: int | None) -> IncidentRecord:
        record = self._current(incident_id, version)
        if not record.live:
            raise ConflictError(f"Incident {incident_id} is resolved already.", code="already_done")
        return record

    def _current(self, incident_id: str, version: int | None) -> IncidentRecord:
        record = self._book.get(incident_id)
        if version is not None and version != record.version:
            raise ConflictError(
                f"Incident {incident_id} changed meanwhile; it is {record.state.value}, {record.severity.value}.",
                fix="Look at it again.",
                code="stale_version",
            )
        return record
