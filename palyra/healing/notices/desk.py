"""Where everything that people are told comes together: incidents, alerts, requests for their word.

Each notice goes to the webhooks that want it and to whoever looks at a console. What people were told of is kept with
the notice in one unit, so that a restart neither tells it twice nor forgets it.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from palyra.config.operations import NoticeEvent
from palyra.core.clock import Clock
from palyra.core.conditions import Severity
from palyra.core.events import Event, EventHub
from palyra.core.values import value
from palyra.governance.approval_record import ApprovalRecord
from palyra.healing.notices.notice import (
    APPROVAL,
    INCIDENT,
    Notice,
    of_alert,
    of_approval,
    of_approval_end,
    of_incident,
)
from palyra.healing.notices.quieting import Told, after_telling, kept_until, word_of
from palyra.healing.record import IncidentRecord, TimelineKind
from palyra.healing.webhooks.courier import Courier
from palyra.journal.changes import Change
from palyra.journal.delivery_rows import TOLD, DeliveryRow, ToldRow
from palyra.runs.durable import Durable
from palyra.runs.watch import ALERT_RAISED

APPROVAL_OPENED, APPROVAL_ENDED = "approval.opened", "approval.ended"
NOTICED = "notice.told"
"""The event of a notice; its subject is what it is about."""
SHOWN_MOST = 20
SNOOZED_LOOKED_AT_MS = 60_000
"""What was put away may be brought back early, of which nobody tells."""
TERMINAL = "terminal"

Noted = Callable[[str, TimelineKind, Mapping[str, object]], None]
"""Takes what is to be written into an incident's timeline, by the incident's id."""
FindApproval = Callable[[str], ApprovalRecord | None]
FindIncident = Callable[[str], IncidentRecord | None]


@value
class Said:
    """A notice as consoles get to see it; `number` grows with each of this boot."""

    number: int
    notice: Notice


class NoticeDesk:
    """Owns what people were told of. Everything but `run` is synchronous and takes no time that matters."""

    def __init__(
        self,
        courier: Courier,
        durable: Durable,
        clock: Clock,
        events: EventHub,
        incident: FindIncident,
        approval: FindApproval,
        noted: Noted,
    ) -> None:
        """`incident` and `approval` give them as they stand, by id."""
        self._courier = courier
        self._durable = durable
        self._clock = clock
        self._events = events
        self._incident = incident
        self._approval = approval
        self._noted = noted
        self._said: deque[Said] = deque(maxlen=SHOWN_MOST)
        self._count = 0
        self._told: dict[str, tuple[ToldRow, Told]] = {}
        """What was told of each incident, by subject, as it is kept and as the rules take it."""
        self._asked: dict[str, ToldRow] = {}
        """Approvals that people know of, by subject."""
        self._due: dict[str, float] = {}
        """When to look at incidents again, in monotonic seconds by id."""
        self._order: list[tuple[float, str]] = []
        self._moved = asyncio.Event()
        self._leave = events.subscribe(self._hear, ALERT_RAISED, APPROVAL_OPENED, APPROVAL_ENDED)

    def restore(
        self, told: Iterable[ToldRow], incidents: Iterable[IncidentRecord], pending: Iterable[ApprovalRecord]
    ) -> None:
        """Takes up where an earlier engine was killed: what it had not told yet is told now.

        `incidents` are the live ones and those that ended of late, `pending` the approvals that wait.
        """
        rows = {row.subject: row for row in told}
        for record in incidents:
            row = rows.pop(_subject(INCIDENT, record.incident_id), None)
            if row is not None:
                self._told[row.subject] = (row, _rules(row))
            self.see(record)
        for approval in pending:
            row = rows.pop(_subject(APPROVAL, approval.approval_id), None)
            if row is not None:
                self._asked[row.subject] = row
            else:
                self._ask(approval)
        for subject in rows:
            self._forget(subject)

    async def run(self) -> None:
        """Tells what had to wait, for as long as the engine runs."""
        while True:
            self._moved.clear()
            self._look_again()
            if not self._order:
                await self._moved.wait()
                continue
            timer = self._clock.call_later(self._order[0][0] - self._clock.monotonic(), self._moved.set)
            try:
                await self._moved.wait()
            finally:
                timer.cancel()

    def close(self) -> None:
        """Hears nothing more. What had to wait is told by the next engine."""
        self._leave()

    def see(self, record: IncidentRecord) -> None:
        """An incident as it stands now: to be called when it opens, ends, gets worse or begins or stops to flap."""
        now = self._clock.now_ms()
        subject = _subject(INCIDENT, record.incident_id)
        for _ in NoticeEvent:
            # What was told decides what there is to tell next; no chain of events is longer than all of them.
            told = self._told.get(subject)
            word = word_of(record, None if told is None else told[1], now)
            if word.event is None:
                break
            self._tell_of(record, subject, word.event, now)
        self._settle(record, subject, word.look_at, now)

    def remind_of_approval(self, approval_id: str) -> bool:
        """Tells once more that somebody waits for a person's word; False when nobody does any more."""
        approval = self._approval(approval_id)
        if approval is None or not approval.pending:
            return False
        self._say(of_approval(approval, self._clock.now_ms(), NoticeEvent.REMINDER))
        return True

    def died(self, row: DeliveryRow) -> None:
        """A delivery was given up: the incident that it was about tells so."""
        about, _, object_id = row.subject.partition(":")
        if about == INCIDENT:
            data = {"webhook": row.webhook, "delivery_id": row.delivery_id, "event": row.event, "error": row.error}
            self._noted(object_id, TimelineKind.NOTIFICATION_DEAD, data)

    @property
    def version(self) -> int:
        """Grows with each notice."""
        return self._count

    def said(self) -> Sequence[Said]:
        """The last notices, oldest first."""
        return tuple(self._said)

    # Incidents

    def _tell_of(self, record: IncidentRecord, subject: str, event: NoticeEvent, now: int) -> None:
        before = self._told.get(subject)
        told = after_telling(record, None if before is None else before[1], event, now)
        row = ToldRow(
            subject=subject,
            version=1 if before is None else before[0].version + 1,
            event=event.value,
            severity=told.severity.value,
            flapping=told.flapping,
            open=told.open,
            at=now,
            reopened_at=told.reopened_at,
            resolved_at=told.resolved_at,
        )
        self._told[subject] = (row, told)
        reach = Severity.LOW if before is None else before[1].severity
        names = self._say(of_incident(event, record, now, reach), [TOLD.saved(row)])
        if names:
            self._noted(record.incident_id, TimelineKind.NOTIFIED, {"event": event.value, "ways": list(names)})

    def _settle(self, record: IncidentRecord, subject: str, look_at: int | None, now: int) -> None:
        """When to look at it again, and whether it can be forgotten."""
        told = self._told.get(subject)
        until = now if told is None else kept_until(record, told[1], now)
        if until is not None and until <= now and told is not None:
            del self._told[subject]
            self._durable.write([TOLD.forgotten(subject)])
        elif until is not None and until > now:
            look_at = until if look_at is None else min(look_at, until)
        if look_at is None:
            self._due.pop(record.incident_id, None)
            return
        if record.snoozed_until is not None:
            look_at = min(look_at, now + SNOOZED_LOOKED_AT_MS)
        due = self._clock.monotonic() + max(0, look_at - now) / 1000
        self._due[record.incident_id] = due
        heapq.heappush(self._order, (due, record.incident_id))
        self._moved.set()

    def _look_again(self) -> None:
        now = self._clock.monotonic()
        while self._order:
            due, incident_id = self._order[0]
            if self._due.get(incident_id) != due:
                heapq.heappop(self._order)
            elif due > now:
                return
            else:
                heapq.heappop(self._order)
                del self._due[incident_id]
                record = self._incident(incident_id)
                if record is not None:
                    self.see(record)

    # Alerts and approvals

    def _hear(self, event: Event) -> None:
        if event.kind == ALERT_RAISED:
            self._say(of_alert(event.data["alert"], self._clock.now_ms()))
        elif event.kind == APPROVAL_OPENED:
            approval = self._approval(event.subject)
            if approval is not None and approval.pending:
                self._ask(approval)
        elif self._asked.pop(_subject(APPROVAL, event.subject), None) is not None:
            self._forget(_subject(APPROVAL, event.subject))

    def _ask(self, approval: ApprovalRecord) -> None:
        notice = of_approval(approval, self._clock.now_ms())
        if notice.subject in self._asked:
            return
        row = ToldRow(notice.subject, 1, notice.event, notice.severity.value, False, True, notice.at)
        self._asked[notice.subject] = row
        self._say(notice, [TOLD.saved(row)])

    def _forget(self, subject: str) -> None:
        """Nothing more is to be told of it, but to what still pages people for an approval."""
        about, _, object_id = subject.partition(":")
        if about == APPROVAL:
            self._courier.post(of_approval_end(object_id, self._clock.now_ms()), [TOLD.forgotten(subject)])
        else:
            self._durable.write([TOLD.forgotten(subject)])

    def _say(self, notice: Notice, also: Sequence[Change] = ()) -> tuple[str, ...]:
        """Tells it by every way there is; the names of the ways."""
        names = self._courier.post(notice, also)
        self._count += 1
        self._said.append(Said(self._count, notice))
        self._events.publish(Event(NOTICED, notice.at, notice.subject, {"event": notice.event}))
        return (*names, TERMINAL) if notice.urgent else names


def _subject(about: str, object_id: str) -> str:
    return f"{about}:{object_id}"


def _rules(row: ToldRow) -> Told:
    return Told(row.at, row.open, Severity(row.severity), row.flapping, row.reopened_at, row.resolved_at, row.event)
