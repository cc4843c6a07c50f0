"""Incidents, alerts and approvals become notices: in the webhooks' queues, in the journal, on consoles."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from palyra.config.operations import NoticeEvent
from palyra.core.clock import ManualClock
from palyra.core.conditions import Severity, nobody_cleared, nobody_told
from palyra.core.events import Event, EventHub
from palyra.core.ids import IdSource
from palyra.governance.alert_record import AlertRecord
from palyra.governance.alerts import AlertKind, SubjectKind
from palyra.governance.alerts import Severity as AlertSeverity
from palyra.governance.approval_record import Applicant, ApprovalDecision, ApprovalRecord, ApprovalStatus
from palyra.healing.notices.desk import NOTICED, NoticeDesk
from palyra.healing.record import IncidentRecord, TimelineKind
from palyra.healing.webhooks.courier import Courier
from palyra.healing.webhooks.sender import Sender
from palyra.healing.webhooks.target import Webhook
from palyra.journal.journal import Journal
from palyra.runs.durable import Durable
from palyra.runs.watch import ALERT_RAISED
from tests.healing.notices.incidents import HOUR, MINUTE, T0, back, ended, incident
from tests.healing.webhooks.samples import Vault, hook

OPS = hook("https://ops.example.com")
"""Nothing is sent in these tests: nobody runs the courier."""


@dataclass
class House:
    """A desk, and what it is told of."""

    desk: NoticeDesk
    courier: Courier
    clock: ManualClock
    events: EventHub
    journal: Journal
    incidents: dict[str, IncidentRecord] = field(default_factory=dict)
    approvals: dict[str, ApprovalRecord] = field(default_factory=dict)
    lines: list[tuple[str, TimelineKind, Any]] = field(default_factory=list)
    find: Callable[[str], IncidentRecord | None] = lambda incident_id: None
    """Where incidents are beside those of `incidents`."""

    def see(self, record: IncidentRecord) -> None:
        self.incidents[record.incident_id] = record
        self.desk.see(record)

    def keep(self, record: IncidentRecord) -> None:
        """It changed without anybody being told."""
        self.incidents[record.incident_id] = record

    def heard(self) -> list[tuple[str, str]]:
        return [(said.notice.subject, str(said.notice.event)) for said in self.desk.said()]

    def queued(self) -> list[tuple[str, str]]:
        return [(row.subject, row.event) for row in self.courier.pending()]


@asynccontextmanager
async def house(state_dir: Path, *hooks: Webhook, clock: ManualClock | None = None) -> AsyncIterator[House]:
    clock = clock or ManualClock(T0)
    journal = await Journal.open(state_dir, clock)
    events = EventHub()
    durable = Durable(journal)
    incidents: dict[str, IncidentRecord] = {}
    approvals: dict[str, ApprovalRecord] = {}
    lines: list[tuple[str, TimelineKind, Any]] = []
    new_id = IdSource(clock).new
    courier = Courier(
        {one.name: one for one in hooks or (OPS,)},
        Sender(Vault(), clock),
        durable,
        clock,
        new_id,
        tell=nobody_told,
        clear=nobody_cleared,
        died=lambda row: None,
    )
    desk = NoticeDesk(courier, durable, clock, events, incidents.get, approvals.get, lambda *line: lines.append(line))
    home = House(desk, courier, clock, events, journal, incidents, approvals, lines)
    running = asyncio.create_task(desk.run())
    try:
        yield home
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        desk.close()
        await journal.close()


def an_approval(approval_id: str = "a1", **fields: Any) -> ApprovalRecord:
    record = ApprovalRecord(approval_id, 1, "team-a", "s1", ("r1",), (), T0, T0 + HOUR, "low")
    return replace(record, **fields)


def an_alert(severity: AlertSeverity = AlertSeverity.DANGER) -> AlertRecord:
    return AlertRecord(
        alert_id="w1",
        kind=AlertKind.PRICE_UNKNOWN,
        severity=severity,
        dedupe_key="price_unknown:p/m",
        subject_kind=SubjectKind.MODEL,
        subject="p/m",
        payload={"provider": "p", "model": "m"},
        first_seen=T0,
        last_seen=T0,
    )


async def test_an_incident_is_told_after_five_seconds_and_a_critical_one_at_once(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.see(incident("slow"))
        home.see(incident("grave", Severity.CRITICAL))
        assert home.heard() == [("incident:grave", "opened")]
        await home.clock.advance(4.999)
        assert len(home.heard()) == 1
        await home.clock.advance(0.001)
        assert home.heard()[1:] == home.queued()[1:] == [("incident:slow", "opened")]
        assert home.lines[-1] == ("slow", TimelineKind.NOTIFIED, {"event": "opened", "ways": ["ops", "terminal"]})


async def test_what_a_parent_adopted_meanwhile_is_not_told(tmp_path: Path) -> None:
    """A thousand heartbeats that are lost at once are one notice."""
    async with house(tmp_path) as home:
        records = [incident(f"i{number}") for number in range(1000)]
        for record in records:
            home.see(record)
        home.see(incident("storm", children=1000, summary="Many at once: heartbeat run"))
        for record in records:
            home.keep(replace(record, parent_id="storm"))
        await home.clock.advance(HOUR / 1000)
        assert home.heard() == home.queued() == [("incident:storm", "opened")]
        assert home.desk.said()[0].notice.summary == "Many at once: heartbeat run (+1000)"


async def test_a_condition_that_comes_and_goes_all_day_is_told_five_times_at_most(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        record = incident()
        home.see(record)
        turns = 1
        for minute in range(5, 24 * 60, 5):
            await home.clock.advance(300)
            at = T0 + minute * MINUTE
            record = ended(record, at) if record.live else back(record, at)
            turns += 1
            if turns == 4:
                record = replace(record, flapping=True)
            if record.flapping and turns > 4:
                home.keep(record)
            else:
                home.see(record)
        await home.clock.advance(3600)
        home.see(ended(replace(record, flapping=False), home.clock.now_ms()))
        assert home.heard() == home.queued()
        assert [event for _, event in home.heard()] == ["opened", "resolved", "reopened", "flapping", "stable"]


async def test_reminders_stop_once_somebody_acknowledged(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.see(incident())
        await home.clock.advance(5 + 2 * 4 * 3600)
        assert [event for _, event in home.heard()] == ["opened", "reminder", "reminder"]
        home.keep(incident(acknowledged_at=home.clock.now_ms()))
        await home.clock.advance(24 * 3600)
        assert len(home.heard()) == 3


async def test_what_was_put_away_and_brought_back_early_is_told_within_a_minute(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.see(incident(snoozed_until=T0 + HOUR))
        await home.clock.advance(600)
        assert home.heard() == []
        home.keep(incident())
        await home.clock.advance(60)
        assert home.heard() == [("incident:i1", "opened")]


async def test_a_restart_tells_what_had_to_wait_and_nothing_twice(tmp_path: Path) -> None:
    clock = ManualClock(T0)
    told, waiting = incident("told"), incident("waiting", opened_at=T0 + 10_000)
    async with house(tmp_path, clock=clock) as home:
        home.see(told)
        await clock.advance(10)
        home.see(waiting)
        assert home.queued() == [("incident:told", "opened")]
    async with house(tmp_path, clock=clock) as home:
        readers = home.journal.readers
        home.courier.restore(await readers.deliveries(), await readers.webhooks())
        home.incidents.update(told=told, waiting=waiting)
        home.desk.restore(await readers.told(), [told, waiting], [])
        await clock.advance(60)
        assert home.heard() == [("incident:waiting", "opened")]
        assert home.queued() == [("incident:told", "opened"), ("incident:waiting", "opened")]
        over = ended(told, clock.now_ms())
        home.see(over)
        assert home.heard()[-1] == ("incident:told", "resolved")
    async with house(tmp_path, clock=clock) as home:
        home.desk.restore(await home.journal.readers.told(), [over], [])
        home.see(back(over, clock.now_ms()))
        await clock.advance(4.999)
        assert home.heard() == []
        await clock.advance(0.001)
        assert home.heard() == [("incident:told", "reopened")]


async def test_what_people_were_told_is_forgotten_when_nothing_depends_on_it(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.see(incident())
        await home.clock.advance(5)
        home.see(ended(incident(), home.clock.now_ms()))
        await home.journal.submit(())
        assert [row.event for row in await home.journal.readers.told()] == ["resolved"]
        await home.clock.advance(3600)
        await home.journal.submit(())
        assert await home.journal.readers.told() == ()


async def test_a_request_for_a_persons_word_is_told_once(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.approvals["a1"] = an_approval()
        for _ in range(2):
            home.events.publish(Event("approval.opened", T0, "a1"))
        assert home.heard() == home.queued() == [("approval:a1", "approval_requested")]
        assert home.desk.said()[0].notice.urgent
        await home.journal.submit(())
        assert [row.subject for row in await home.journal.readers.told()] == ["approval:a1"]
        home.events.publish(Event("approval.ended", T0, "a1"))
        await home.journal.submit(())
        assert await home.journal.readers.told() == ()


async def test_a_request_that_was_not_told_before_the_engine_was_killed_is_told_by_the_next(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.approvals["a1"] = an_approval("a1")
        home.events.publish(Event("approval.opened", T0, "a1"))
    async with house(tmp_path) as home:
        pending = [an_approval("a1"), an_approval("a2")]
        home.desk.restore(await home.journal.readers.told(), [], pending)
        assert home.heard() == [("approval:a2", "approval_requested")]


async def test_a_remedy_that_has_to_be_allowed_is_told_with_why(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        reason = Applicant("palyra", reason="job j1 keeps failing. Pauses the job.")
        facts = {"applicants": [reason.to_json()], "subject": "remedy:i1:pause_job"}
        home.approvals["a1"] = an_approval(principal="palyra", session="", run_ids=("",), facts=facts)
        home.events.publish(Event("approval.opened", T0, "a1"))
        (said,) = home.desk.said()
        assert said.notice.summary == "palyra asks to run pause_job: job j1 keeps failing. Pauses the job."
        assert said.notice.facts["related"] == {}


async def test_a_reminder_goes_out_while_nobody_has_decided(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.approvals["a1"] = an_approval()
        assert home.desk.remind_of_approval("a1")
        assert home.heard() == [("approval:a1", "reminder")]
        assert "still asks" in home.desk.said()[0].notice.summary
        home.approvals["a1"] = an_approval(status=ApprovalStatus.RESOLVED, decision=ApprovalDecision.DENY)
        assert not home.desk.remind_of_approval("a1")
        assert not home.desk.remind_of_approval("unknown")
        assert len(home.heard()) == 1


async def test_an_alert_is_told_with_its_weight(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        for severity in AlertSeverity:
            home.events.publish(Event(ALERT_RAISED, T0, "w1", {"alert": an_alert(severity)}))
        notices = [said.notice for said in home.desk.said()]
        assert [(one.event, one.severity) for one in notices] == [
            (NoticeEvent.ALERT, Severity.MEDIUM),
            (NoticeEvent.ALERT, Severity.HIGH),
        ]
        assert [one.urgent for one in notices] == [False, True]
        (told,) = {one.facts["alert"]["kind"] for one in notices}
        assert told == "price_unknown"
        assert notices[0].facts["related"] == {"model": "p/m"}


async def test_whoever_looks_hears_of_the_last_ones_in_order(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        heard: list[str] = []
        home.events.subscribe(lambda event: heard.append(event.subject), NOTICED)
        for number in range(30):
            home.see(incident(f"i{number:02}", Severity.CRITICAL))
        said = home.desk.said()
        assert [one.number for one in said] == list(range(11, 31))
        assert heard == [f"incident:i{number:02}" for number in range(30)]


async def test_the_incident_hears_that_telling_failed(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        home.see(incident(severity=Severity.CRITICAL))
        (row,) = home.courier.pending()
        home.desk.died(replace(row, error="answered 400: no"))
        home.desk.died(replace(row, subject="approval:a1"))
        assert [line[:2] for line in home.lines] == [
            ("i1", TimelineKind.NOTIFIED),
            ("i1", TimelineKind.NOTIFICATION_DEAD),
        ]
        assert home.lines[-1][2]["error"] == "answered 400: no"


async def test_without_webhooks_consoles_are_told_all_the_same(tmp_path: Path) -> None:
    quiet = hook("https://ops.example.com", events=())
    async with house(tmp_path, quiet) as home:
        home.see(incident(severity=Severity.CRITICAL))
        assert (home.heard(), home.queued()) == ([("incident:i1", "opened")], [])
        assert home.lines[0][2]["ways"] == ["terminal"]
