"""Incidents as consoles see them, with an engine or out of the journal alone."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

from palyra.control.incidents_queries import (
    HealingView,
    IncidentAsked,
    IncidentDetail,
    IncidentQuery,
    IncidentsPage,
    IncidentsQuery,
    IncidentStats,
    IncidentStatsQuery,
    IncidentTold,
    IncidentView,
    MeasuresView,
    ProviderCallView,
    RemedyAttemptView,
    RemedyView,
    TimelineView,
)
from palyra.control.paging import Place, page
from palyra.core.clock import Clock
from palyra.core.conditions import Domain, Severity
from palyra.core.errors import BadInputError, NotFoundError
from palyra.core.pulse import WorkHeartbeatKind
from palyra.healing.book import IncidentBook
from palyra.healing.features import ENGINE, Feature
from palyra.healing.healing import Healing
from palyra.healing.measures import WINDOWS_MS, Measures, measure
from palyra.healing.record import Attempt, IncidentRecord, IncidentState, TimelineEntry
from palyra.journal.readers import Readers

SHOWN_MOST = 200
"""How many incidents a snapshot has at most; the others are asked for with a query."""
PAGE_MOST = 500
PREVIEW_MOST = 50
UNRESOLVED, NOBODY = "unresolved", "nobody"


def incident_view(record: IncidentRecord) -> IncidentView:
    """An incident as consoles see it."""
    return IncidentView(
        incident_id=record.incident_id,
        version=record.version,
        domain=record.domain.value,
        key=record.key,
        family=record.family,
        feature=record.feature,
        severity=record.severity.value,
        state=record.state.value,
        summary=record.summary,
        detail=record.detail,
        cause=record.cause,
        subject=record.subject,
        related=dict(record.related),
        parent_id=record.parent_id,
        children=record.children,
        episode=record.episode,
        occurrences=record.occurrence_count,
        condition_since=record.condition_since,
        opened_at=record.opened_at,
        updated_at=record.updated_at,
        holds=record.holds,
        muted=record.muted,
        flapping=record.flapping,
        escalated=record.escalated,
        resolved_at=record.resolved_at,
        resolved_by=record.resolved_by,
        reason=record.reason,
        acknowledged_at=record.acknowledged_at,
        acknowledged_by=record.acknowledged_by,
        assignee=record.assignee,
        snoozed_until=record.snoozed_until,
        snooze_reason=record.snooze_reason,
    )


def on_top(book: IncidentBook, now: int) -> list[IncidentRecord]:
    """Live ones that hang below no other, the most urgent first."""
    return sorted((one for one in book.live() if not one.parent_id), key=lambda one: one.urgency(now))


async def recorded_incidents(readers: Readers, now: int) -> tuple[IncidentView, ...]:
    """Those on top as the journal tells of them."""
    return tuple(map(incident_view, on_top(await _recorded(readers), now)))


async def _recorded(readers: Readers) -> IncidentBook:
    book = IncidentBook(lambda: "", "")
    book.restore(await readers.incidents(), ())
    return book


class IncidentViews:
    """Answers about incidents. Without a `healing` loop it is the journal that tells."""

    def __init__(
        self,
        readers: Readers,
        clock: Clock,
        healing: Callable[[], Healing] | None = None,
        caught_up: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`caught_up` waits until the journal tells of what memory does by then."""
        self._readers = readers
        self._clock = clock
        self._healing = healing
        self._caught_up = caught_up
        self._looked: tuple[int, int] | None = None
        self._top: tuple[tuple[IncidentView, ...], int] = (), 0

    def of_snapshot(self, book: IncidentBook) -> tuple[tuple[IncidentView, ...], int]:
        """The most urgent of those on top, and how many of these nobody put away; the same for all who look within a
        second in which nothing changed."""
        now = self._clock.now_ms()
        looked = book.version, now // 1000
        if looked != self._looked:
            top = on_top(book, now)
            shown = tuple(map(incident_view, top[:SHOWN_MOST]))
            self._looked, self._top = looked, (shown, sum(not one.quiet(now) for one in top))
        return self._top

    async def answer(self, query: IncidentAsked) -> IncidentTold:
        """Raises BadInputError, NotFoundError, JournalUnavailableError."""
        match query:
            case IncidentsQuery():
                return await self._page(query)
            case IncidentQuery():
                return await self._detail(query.incident_id, query.before)
            case IncidentStatsQuery():
                return await self._stats(query.window)

    async def _book(self) -> IncidentBook:
        return await _recorded(self._readers) if self._healing is None else self._healing().book

    async def _page(self, query: IncidentsQuery) -> IncidentsPage:
        _check(query)
        book, now = await self._book(), self._clock.now_ms()
        live = book.live()
        found = [record for record in [*live, *book.resolved()] if _matches(query, record)]
        shown, following, total = page(
            found, lambda record: _place(record, now), query.cursor, max(1, min(query.limit, PAGE_MOST))
        )
        counts = {severity.value: sum(one.severity is severity for one in live) for severity in Severity}
        return IncidentsPage(
            tuple(map(incident_view, shown)),
            total,
            counts,
            None if self._healing is None else healing_view(self._healing(), now),
            following,
        )

    async def _detail(self, incident_id: str, before: str) -> IncidentDetail:
        book = await self._book()
        record = book.find(incident_id)
        if record is None:
            raise NotFoundError(f"No incident {incident_id!r} is known.", fix="List them with `palyra incidents list`.")
        parent = book.find(record.parent_id)
        if self._caught_up is not None:
            await self._caught_up()
        lines = await self._readers.incident_timeline(incident_id, limit=PAGE_MOST, before=before)
        detail = IncidentDetail(
            incident=incident_view(record),
            timeline=tuple(map(timeline_view, lines)),
            timeline_before=lines[0].entry_id if len(lines) == PAGE_MOST else "",
            attempts=tuple(map(attempt_view, await self._readers.attempts_of_incident(incident_id))),
            children=tuple(incident_view(child) for child in book.children(incident_id)[:PAGE_MOST]),
            parent=None if parent is None else incident_view(parent),
            call=await self._call(record.related.get("run", "")),
        )
        return detail if self._healing is None else with_present(detail, record, self._healing())

    async def _call(self, run_id: str) -> ProviderCallView | None:
        run = await self._readers.run(run_id) if run_id else None
        if run is None:
            return None
        ended = f"{run.state} {run.reason}".rstrip() if run.finished_at is not None else ""
        return ProviderCallView(run.provider, run.model, run.attempts, run.dispatched_at, run.phase, ended)

    async def _stats(self, window: str) -> IncidentStats:
        if window not in WINDOWS_MS:
            raise BadInputError(f"{window!r} is no window.", fix=f"Choose one of {', '.join(WINDOWS_MS)}.")
        since = self._clock.now_ms() - WINDOWS_MS[window]
        if self._caught_up is not None:
            await self._caught_up()
        return IncidentStats(window, tuple(map(_measures, measure(await self._readers.episodes(since), since))))


def healing_view(healing: Healing, now: int) -> HealingView:
    """The healing loop as consoles see it at `now`, UTC unix ms."""
    features = [*(feature.value for feature in Feature), ENGINE]
    return HealingView(
        modes={name: healing.modes.of(name).value for name in features},
        said=tuple(name for name in features if healing.modes.said(name)),
        circuits=healing.attempts.circuits(now),
        suspended_until=healing.watch.suspended_until,
        last_look_at=healing.last_look_at,
        heartbeats=len(healing.heartbeats),
    )


def with_present(detail: IncidentDetail, record: IncidentRecord, healing: Healing) -> IncidentDetail:
    """What only a running engine knows: what can be done, and how the subject does."""
    remedies: list[RemedyView] = []
    for remedy in healing.remedier.offered(record):
        lines = healing.remedier.preview(record, remedy.name)
        shown = [*lines[:PREVIEW_MOST], *([f"… and {len(lines) - PREVIEW_MOST} more."] if lines[PREVIEW_MOST:] else [])]
        left = healing.attempts.left(record, remedy)
        auto = remedy.auto.value
        view = RemedyView(remedy.name, remedy.does, remedy.risk.value, remedy.blast.value, auto, left, tuple(shown))
        remedies.append(view)
    now, beat = healing.heartbeats.now(), None
    if record.family.startswith("heartbeat:"):
        beat = healing.heartbeats.get(WorkHeartbeatKind(record.family.removeprefix("heartbeat:")), record.subject)
    return replace(
        detail,
        remedies=tuple(remedies),
        next_try=healing.remedier.next_try(record),
        last_beat_ms=None if beat is None else now - beat.last_beat,
        last_progress_ms=None if beat is None else now - beat.last_progress,
        phase="" if beat is None else beat.phase,
    )


def timeline_view(entry: TimelineEntry) -> TimelineView:
    """An entry of a timeline as consoles see it."""
    return TimelineView(entry.at, entry.kind.value, entry.by, dict(entry.data))


def attempt_view(attempt: Attempt) -> RemedyAttemptView:
    """A remedy that was tried, as consoles see it."""
    return RemedyAttemptView(
        attempt.attempt_id,
        attempt.incident_id,
        attempt.episode,
        attempt.remedy,
        attempt.status.value,
        attempt.asked_by,
        attempt.mode,
        attempt.detail,
        attempt.planned_at,
        attempt.started_at,
        attempt.ended_at,
        attempt.approval_id,
    )


def _measures(found: Measures) -> MeasuresView:
    return MeasuresView(
        "" if found.severity is None else found.severity.value,
        found.episodes,
        found.unacknowledged,
        found.unresolved,
        found.mttd_ms,
        found.mtta_ms,
        found.mttr_ms,
    )


def _place(record: IncidentRecord, now: int) -> Place:
    """Critical and unacknowledged first, what was put away last, resolved ones after that, newest first."""
    if not record.live:
        return (1, -(record.resolved_at or 0), 0, 0, 0), record.incident_id
    snoozed, severity, acknowledged, opened, identity = record.urgency(now)
    return (0, int(snoozed), severity, int(acknowledged), opened), identity


def _check(query: IncidentsQuery) -> None:
    """Raises BadInputError for words that mean nothing."""
    choices: list[tuple[str, str, Iterable[str]]] = [
        ("state", query.state, [UNRESOLVED, *IncidentState]),
        ("severity", query.severity, Severity),
        ("domain", query.domain, Domain),
    ]
    for name, given, known in choices:
        words = [str(one) for one in known]
        if given and given not in words:
            raise BadInputError(f"{given!r} is no {name}.", fix=f"Choose one of {', '.join(words)}.")


def _matches(query: IncidentsQuery, record: IncidentRecord) -> bool:
    if query.parent:
        if record.parent_id != query.parent:
            return False
    elif record.parent_id and not query.all:
        return False
    if query.state == UNRESOLVED and not record.live:
        return False
    if query.state not in ("", UNRESOLVED) and record.state.value != query.state:
        return False
    if query.assignee and record.assignee != ("" if query.assignee == NOBODY else query.assignee):
        return False
    text = query.text.casefold()
    found = f"{record.incident_id} {record.key} {record.summary} {record.cause} {record.assignee}".casefold()
    return (
        query.severity in ("", record.severity.value)
        and query.domain in ("", record.domain.value)
        and (not text or all(word in found for word in text.split()))
    )
