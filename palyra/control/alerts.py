"""Alerts as consoles see them, and what becomes of one that somebody answers."""

from collections.abc import Iterable

from palyra.control.commands import AckAlert, SnoozeAlert
from palyra.control.queries import AlertsPage, AlertsQuery
from palyra.control.snapshots import AlertView, CommandResult
from palyra.core.errors import ConflictError, JournalUnavailableError
from palyra.engine import Engine
from palyra.governance.alert_book import acted
from palyra.governance.alert_record import AlertRecord, AlertState
from palyra.governance.alert_words import alert_sentences, alert_summary
from palyra.governance.explain import moment_text
from palyra.governance.four_eyes import Decider
from palyra.journal.changes import AlertSaved
from palyra.journal.readers import Readers

SHOWN_MOST = 200
"""How many alerts a snapshot has at most; the others are asked for with a query."""
_HOUR_MS = 3_600_000


def alert_view(record: AlertRecord, now: int) -> AlertView:
    """Instants in its text are told with their date where that is not the date of `now`."""
    return AlertView(
        alert_id=record.alert_id,
        kind=record.kind.value,
        severity=record.severity.value,
        summary=alert_summary(record.kind, record.payload, now),
        first_seen=record.first_seen,
        last_seen=record.last_seen,
        version=record.version,
        state=record.state.value,
        occurrences=record.occurrence_count,
        notified_at=record.notified_at,
        snoozed_until=record.snoozed_until,
        resolved_at=record.resolved_at,
        acted_by=record.acted_by,
        subject_kind=record.subject_kind.value,
        subject=record.subject,
        sentences=alert_sentences(record.kind, record.payload, now),
        payload=dict(record.payload),
    )


class AlertViews:
    """Views that are made once for as long as they tell the same."""

    def __init__(self) -> None:
        self._shown: dict[str, tuple[AlertRecord, int, AlertView]] = {}

    def of(self, records: Iterable[AlertRecord], now: int) -> tuple[AlertView, ...]:
        """Alerts as consoles see them at `now` (UTC unix ms); a view is made anew only where something changed."""
        shown: dict[str, tuple[AlertRecord, int, AlertView]] = {}
        hour = now // _HOUR_MS
        for record in records:
            before = self._shown.get(record.alert_id)
            if before is None or before[0] is not record or before[1] != hour:
                before = (record, hour, alert_view(record, now))
            shown[record.alert_id] = before
        self._shown = shown
        return tuple(view for _, _, view in shown.values())


async def alerts_page(query: AlertsQuery, live: Iterable[AlertRecord], readers: Readers, now: int) -> AlertsPage:
    """The live ones as they are given, then, if asked for, those that are resolved."""
    limit = max(1, query.limit)
    records = list(live)[:limit]
    if query.resolved and len(records) < limit:
        ended = await readers.resolved_alerts(limit=limit - len(records))
        records += [AlertRecord.from_row(row) for row in ended]
    return AlertsPage(tuple(alert_view(record, now) for record in records))


async def recorded_alerts(readers: Readers) -> list[AlertRecord]:
    """The live ones as the journal tells of them, in the order of a snapshot."""
    records = [AlertRecord.from_row(row) for row in await readers.live_alerts()]
    return sorted(records, key=lambda record: record.urgency)


async def answer_alert(engine: Engine, command: AckAlert | SnoozeAlert, by: Decider) -> CommandResult:
    """Raises NotFoundError, ConflictError, BadInputError."""
    now, book = engine.clock.now_ms(), engine.watch.book
    if not book.knows(command.alert_id):
        ended = await engine.journal.readers.alert(command.alert_id)
        if ended is not None:
            raise ConflictError(f"Alert {command.alert_id} is resolved already.", code="already_done")
    if isinstance(command, AckAlert):
        record = book.acknowledge(command.alert_id, by.name, now, version=command.version)
        verb = "acknowledged"
    else:
        for_ms = command.duration_seconds * 1000
        record = book.snooze(command.alert_id, for_ms, by.name, now, version=command.version)
        verb = "snoozed"
    changes = (AlertSaved(record.row()), acted(record, verb, by.name, by.attestation, now))
    fix = ""
    try:
        await engine.write_and_wait(changes)
    except JournalUnavailableError:
        fix = "The journal cannot be written now; Palyra keeps trying."
    data = {"alert_id": record.alert_id, "state": record.state.value}
    return CommandResult("accepted", _answered_text(record, engine.config.governance.timezone, now), fix, data=data)


def _answered_text(record: AlertRecord, zone: str, now: int) -> str:
    summary = alert_summary(record.kind, record.payload, now)
    if record.state is AlertState.SNOOZED and record.snoozed_until is not None:
        return f"Snoozed until {moment_text(record.snoozed_until, zone, now)}: {summary}."
    if record.state is AlertState.RESOLVED:
        return f"Acknowledged and resolved, as it holds no longer: {summary}."
    return f"Acknowledged: {summary}."
