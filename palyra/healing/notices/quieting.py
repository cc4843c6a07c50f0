"""When an incident is told of and when it is not: pure, a function of the incident, what was told before, and a time.

It looks at how things stand, not at what happened, so a notice that had to wait is told only where it is still true,
and a restart loses none. Rules: a critical incident is told at once, others after 5 s so that a parent can adopt them;
one coming back and one end are told in an hour; children and what was put away are silent, but whoever heard that a
child began hears that it is over; while an incident flaps nothing is told but that it does, and once that it has
stopped; high ones that nobody acknowledged are told again every 4 h.
"""

from palyra.config.operations import NoticeEvent
from palyra.core.conditions import Severity
from palyra.core.values import value
from palyra.healing.record import IncidentRecord

ADOPTION_MS = 5_000
"""How long an incident that is not critical waits for a parent."""
HOUR_MS = 3_600_000
REMINDER_MS = 4 * HOUR_MS
REMINDED_FROM = Severity.HIGH


@value
class Told:
    """What people were last told of an incident, and when; instants are UTC unix ms.

    `open` is whether they think that it lasts, `flapping` whether they know that it comes and goes, `severity` the
    strongest they were told since it last opened.
    """

    at: int
    open: bool
    severity: Severity
    flapping: bool = False
    reopened_at: int | None = None
    resolved_at: int | None = None
    event: str = ""

    @property
    def awaited(self) -> bool:
        """Whether people, and what pages them, wait for the end of it."""
        return self.open or self.flapping


@value
class Word:
    """What is to be told, or when to look again (UTC unix ms); None when only a change can bring anything."""

    event: NoticeEvent | None = None
    look_at: int | None = None


_SILENT = Word()


def word_of(record: IncidentRecord, told: Told | None, at: int) -> Word:
    """What people are to be told of an incident at this instant."""
    if record.parent_id and (record.live or told is None or not told.awaited):
        return _SILENT
    if record.snoozed_until is not None and at < record.snoozed_until:
        return Word(look_at=record.snoozed_until)
    if record.flapping or (told is not None and told.flapping):
        return _of_flapping(record, told)
    if not record.live:
        if told is None or not told.open:
            return _SILENT
        return _at_last(NoticeEvent.RESOLVED, at, _hour_after(told.resolved_at, at))
    if told is None or not told.open:
        again = 0 if told is None else _hour_after(told.reopened_at, at)
        event = NoticeEvent.OPENED if record.episode == 1 else NoticeEvent.REOPENED
        return _at_last(event, at, max(_adopted_by(record, at), again))
    if record.severity.rank > told.severity.rank:
        return Word(NoticeEvent.ESCALATED)
    if record.severity.rank >= REMINDED_FROM.rank and record.acknowledged_at is None:
        return _at_last(NoticeEvent.REMINDER, at, _past(told.at, at) + REMINDER_MS)
    return _SILENT


def kept_until(record: IncidentRecord, told: Told, at: int) -> int | None:
    """Until when it has to be known what people were told (UTC unix ms); None while there is no end to it.

    Of a child that nobody heard of nothing needs to be known: should it stand alone some day, that will be news.
    """
    if record.parent_id and not told.awaited:
        return at
    if record.live or told.awaited:
        return None
    return max(_hour_after(told.reopened_at, at), _hour_after(told.resolved_at, at))


def after_telling(record: IncidentRecord, told: Told | None, event: NoticeEvent, at: int) -> Told:
    """What people know once they were told of the event."""
    begins = event in (NoticeEvent.OPENED, NoticeEvent.REOPENED)
    before = record.severity if told is None or begins else told.severity
    return Told(
        at=at,
        open=record.live,
        severity=max(before, record.severity, key=lambda severity: severity.rank),
        flapping=event is NoticeEvent.FLAPPING,
        reopened_at=at if event is NoticeEvent.REOPENED else None if told is None else told.reopened_at,
        resolved_at=at if event is NoticeEvent.RESOLVED else None if told is None else told.resolved_at,
        event=event.value,
    )


def _of_flapping(record: IncidentRecord, told: Told | None) -> Word:
    known = told is not None and told.flapping
    if record.flapping:
        return _SILENT if known else Word(NoticeEvent.FLAPPING)
    return Word(NoticeEvent.STABLE)


def _at_last(event: NoticeEvent, at: int, due: int) -> Word:
    return Word(event) if at >= due else Word(look_at=due)


def _adopted_by(record: IncidentRecord, at: int) -> int:
    """Until when a parent may adopt it."""
    since = _past(record.opened_at, at)
    return since if record.severity is Severity.CRITICAL else since + ADOPTION_MS


def _hour_after(instant: int | None, at: int) -> int:
    return 0 if instant is None else _past(instant, at) + HOUR_MS


def _past(instant: int, at: int) -> int:
    """An instant; one that has not come yet, since the clock was set back, is as good as long ago."""
    return instant if instant <= at else -REMINDER_MS
