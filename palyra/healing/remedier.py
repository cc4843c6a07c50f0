"""Remedies at work: planned within the guards or asked for by people, durable before the act, verified after it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from palyra.config.operations import HealingMode
from palyra.core.clock import Clock
from palyra.core.errors import BadInputError, ConflictError, JournalUnavailableError, NotFoundError, PalyraError
from palyra.core.values import value
from palyra.healing.attempts import Attempts
from palyra.healing.book import IncidentBook
from palyra.healing.features import Modes
from palyra.healing.guards import Outcome, guarded
from palyra.healing.record import (
    AUTO,
    CONDITION_CLEARED,
    INTERRUPTED,
    Attempt,
    AttemptStatus,
    IncidentEventKind,
    IncidentRecord,
    IncidentState,
    TimelineKind,
)
from palyra.healing.remedies import Remedy, RemedyChest, Status
from palyra.healing.transitions import PALYRA, escalated
from palyra.journal.changes import Change

log = logging.getLogger(__name__)

ACT_MOST_S = 30.0
"""How long a remedy's act itself may take."""
POLL_S = 0.25
CLEARED_REST_MS = 15_000
"""How long an incident rests whose condition had gone when its remedy was about to begin."""
AT_ONCE = 32
"""How many remedies are under way at the same time; those of a storm are many."""
PREVIEW_MOST = 20
NEVER = 1 << 62
LOOK_AGAIN_MS = 60_000
"""Where there is no remedy for an incident there may be one a minute later."""

_ENDS = {
    AttemptStatus.SUCCEEDED: TimelineKind.REMEDY_SUCCEEDED,
    AttemptStatus.FAILED: TimelineKind.REMEDY_FAILED,
    AttemptStatus.SKIPPED: TimelineKind.REMEDY_SKIPPED,
}


@value
class Escalation:
    """What a person is asked to allow: a remedy that no longer is, or never is, begun without a word."""

    record: IncidentRecord
    remedy: Remedy
    preview: tuple[str, ...]
    reason: str

    @property
    def subject(self) -> str:
        """What its approval is about: the remedy of this incident."""
        return subject_of(self.record.incident_id, self.remedy.name)


def subject_of(incident_id: str, remedy: str) -> str:
    """What an approval of a remedy is about."""
    return f"remedy:{incident_id}:{remedy}"


def read_subject(subject: str) -> tuple[str, str] | None:
    """The incident and the remedy of such a subject; None for any other."""
    parts = subject.split(":")
    return (parts[1], parts[2]) if len(parts) == 3 and parts[0] == "remedy" else None


@value
class Hands:
    """What the remedier needs of the house.

    `write_and_wait` raises JournalUnavailableError; `holds` tests an incident's condition again; `ask` opens an
    approval and returns its id, empty where none can be opened; `helped` is called with the key of a condition that a
    remedy has put right: what was told of it holds no more; `changed` when an attempt ended.
    """

    write: Callable[[Sequence[Change]], None]
    write_and_wait: Callable[[Sequence[Change]], Awaitable[None]]
    holds: Callable[[IncidentRecord], bool]
    ask: Callable[[Escalation], str]
    helped: Callable[[str], object]
    changed: Callable[[], None]


class Remedier:
    """Begins remedies and sees them through."""

    def __init__(
        self, book: IncidentBook, attempts: Attempts, chest: RemedyChest, modes: Modes, clock: Clock, hands: Hands
    ) -> None:
        self._book = book
        self._attempts = attempts
        self._chest = chest
        self._modes = modes
        self._clock = clock
        self._hands = hands
        self._next: dict[str, tuple[int, int]] = {}
        """For each incident the episode, and when it has to be looked at again for a remedy."""
        self._under_way: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(AT_ONCE)

    @property
    def under_way(self) -> int:
        """How many remedies are at work."""
        return len(self._under_way)

    def reconsider(self) -> None:
        """Everything that remedies were judged by may be different now: modes, what can be carried out."""
        self._next.clear()

    # By itself

    def plan(self, now: int) -> int | None:
        """Begins what may be begun by itself now. Returns when there may be more to do (unix ms)."""
        upcoming: int | None = None
        for record in self._book.holding():
            known = self._next.get(record.incident_id)
            if known is not None and known[0] == record.episode and now < known[1]:
                again = known[1]
            else:
                again = self._consider(record, now)
                self._next[record.incident_id] = record.episode, again
            if again < NEVER:
                upcoming = again if upcoming is None else min(upcoming, again)
        if len(self._next) > 2 * len(self._book):
            self._next = {one: known for one, known in self._next.items() if self._book.find(one) is not None}
        return upcoming

    def next_try(self, record: IncidentRecord) -> int | None:
        """When a remedy may be begun by itself next (unix ms); None where none will be."""
        known = self._next.get(record.incident_id)
        if known is None or known[0] != record.episode or known[1] >= NEVER or not record.live:
            return None
        if not any(remedy.auto.by_itself for remedy in self._chest.for_incident(record)):
            return None
        return known[1]

    def _consider(self, record: IncidentRecord, now: int) -> int:
        """One incident whose condition holds; when to look at it again."""
        if record.storm or record.state is not IncidentState.OPEN or self._given_up(record):
            return NEVER
        remedy = next((one for one in self._chest.for_incident(record) if one.auto.by_itself), None)
        mode = self._modes.of(record.feature)
        if mode is HealingMode.DISABLED:
            return NEVER
        if remedy is None:
            return now + LOOK_AGAIN_MS
        if mode is HealingMode.OBSERVE_ONLY:
            if not self._attempts.of(record):
                self._observe(record, remedy, now)
            return NEVER
        judged = guarded(remedy, self._attempts.tried(record, remedy, now), now)
        match judged.outcome:
            case Outcome.GO:
                self._begin(record, remedy, AUTO, now)
            case Outcome.WAIT:
                return judged.at
            case Outcome.CAPPED:
                self._escalate(record, remedy, now, "It was tried as often as it may be.")
            case Outcome.CIRCUIT:
                self._hands.write([self._attempts.open_circuit(record.feature, now, judged.at)])
                parent = self._book.find(record.parent_id)
                concerned = parent if parent is not None and parent.storm and parent.live else record
                self._escalate(concerned, remedy, now, f"Too many remedies of {record.feature} within 10 minutes.")
                return judged.at
        return NEVER

    def _given_up(self, record: IncidentRecord) -> bool:
        parent = self._book.find(record.parent_id)
        return record.escalated or (parent is not None and parent.live and parent.storm and parent.escalated)

    def _observe(self, record: IncidentRecord, remedy: Remedy, now: int) -> None:
        """Somebody wants to see what would have been done."""
        attempt = self._attempts.plan(record, remedy, HealingMode.OBSERVE_ONLY.value, AUTO, now)
        attempt = self._attempts.ended(attempt, AttemptStatus.SKIPPED, HealingMode.OBSERVE_ONLY.value, now)
        data = {"remedy": remedy.name, "attempt": attempt.attempt_id, "detail": attempt.detail}
        self._book.log(record, now, TimelineKind.REMEDY_SKIPPED, PALYRA, data)
        self._hands.write([*self._book.changes(now), *self._attempts.saved(attempt)])

    def _escalate(self, record: IncidentRecord, remedy: Remedy, now: int, reason: str) -> None:
        """Hands it over to people, once in an episode."""
        if record.escalated:
            return
        before = self._book.get(record.incident_id)
        heavier = self._book.severity_moved(before, escalated(before, now), now)
        record = self._book.put(heavier)
        approval = self._hands.ask(Escalation(record, remedy, self._shown(record, remedy.name), reason))
        data = {"remedy": remedy.name, "reason": reason, "approval_id": approval}
        self._book.log(record, now, TimelineKind.ESCALATED, PALYRA, data)
        self._book.tell(IncidentEventKind.ESCALATED, record, now)
        self._hands.write(self._book.changes(now))

    # By people

    def offered(self, record: IncidentRecord) -> list[Remedy]:
        """What can be done about an incident now; for a storm, what can be done about anything below it."""
        if not record.storm:
            return self._chest.for_incident(record) if record.live else []
        found = {one.name: one for child in self._book.below(record.incident_id) for one in self.offered(child)}
        return list(found.values())

    def preview(self, record: IncidentRecord, name: str) -> list[str]:
        """What a remedy would change, and for whom. Raises NotFoundError."""
        remedy = self._named(record, name)
        if not record.storm:
            return [remedy.does, *self._chest.act(remedy).preview(record)]
        concerned = self._concerned(record, remedy)
        return [remedy.does, *(line for one in concerned for line in self._chest.act(remedy).preview(one))]

    def run(
        self,
        incident_id: str,
        name: str,
        by: str,
        now: int,
        *,
        version: int | None = None,
        episode: int | None = None,
        approval_id: str = "",
    ) -> list[Attempt]:
        """Begins a remedy that somebody asked for; caps do not apply to people. For a storm, on each below it. Somebody
        who saw one `episode` asked for nothing in a later one.

        Raises NotFoundError, and ConflictError where nothing is to be done or a remedy is running.
        """
        record = self._current(incident_id, version)
        if episode is not None and record.episode != episode:
            raise ConflictError(
                f"Incident {incident_id} ended meanwhile, and opened again as episode {record.episode}.",
                fix="Look at it again.",
                code="stale_version",
            )
        remedy = self._named(record, name)
        concerned = self._concerned(record, remedy) if record.storm else [record]
        free = [one for one in concerned if one.state is IncidentState.OPEN]
        if not free:
            raise ConflictError(f"A remedy of incident {incident_id} is running.", fix="Wait for it.", code="busy")
        return [self._begin(one, remedy, by, now, approval_id=approval_id) for one in free]

    def ask(self, incident_id: str, name: str, by: str, now: int, *, version: int | None = None) -> str:
        """Asks for somebody's word about a remedy; the approval's id. Raises NotFoundError, BadInputError,
        ConflictError."""
        record = self._current(incident_id, version)
        remedy = self._named(record, name)
        approval = self._hands.ask(Escalation(record, remedy, self._shown(record, name), f"{by} asks for it."))
        if not approval:
            raise ConflictError("Too many approvals are pending.", fix="Have some of them decided.", code="busy")
        data = {"remedy": name, "reason": f"{by} asks for it.", "approval_id": approval}
        self._book.log(record, now, TimelineKind.ESCALATED, by, data)
        return approval

    def leave(self, incident_id: str, name: str, by: str, now: int, *, approval_id: str, detail: str) -> None:
        """A remedy that people were asked about is not begun: its incident tells why."""
        record = self._book.find(incident_id)
        if record is not None:
            data = {"remedy": name, "detail": detail, "approval_id": approval_id}
            self._book.log(record, now, TimelineKind.REMEDY_SKIPPED, by, data)

    def _shown(self, record: IncidentRecord, name: str) -> tuple[str, ...]:
        """As much of a preview as a person reads."""
        lines = self.preview(record, name)
        return (*lines[:PREVIEW_MOST], *([f"… and {len(lines) - PREVIEW_MOST} more."] if lines[PREVIEW_MOST:] else []))

    def _current(self, incident_id: str, version: int | None) -> IncidentRecord:
        record = self._book.get(incident_id)
        if version is not None and version != record.version:
            raise ConflictError(
                f"Incident {incident_id} changed meanwhile; it is {record.state.value}, {record.severity.value}.",
                fix="Look at it again.",
                code="stale_version",
            )
        if not record.live:
            raise ConflictError(f"Incident {incident_id} is resolved already.", code="already_done")
        return record

    def _named(self, record: IncidentRecord, name: str) -> Remedy:
        offered = self.offered(record)
        for remedy in offered:
            if remedy.name == name:
                return remedy
        if not offered:
            raise NotFoundError(f"There is no remedy for incident {record.incident_id}.")
        names = ", ".join(remedy.name for remedy in offered)
        raise BadInputError(f"{name!r} is no remedy for incident {record.incident_id}.", fix=f"There is: {names}.")

    def _concerned(self, record: IncidentRecord, remedy: Remedy) -> list[IncidentRecord]:
        below = self._book.below(record.incident_id)
        return [one for one in below if one.holds and remedy in self._chest.for_incident(one)]

    # One attempt

    def _begin(
        self, record: IncidentRecord, remedy: Remedy, asked_by: str, now: int, *, approval_id: str = ""
    ) -> Attempt:
        mode = self._modes.of(record.feature).value
        attempt = self._attempts.plan(record, remedy, mode, asked_by, now, approval_id=approval_id)
        record = self._book.get(record.incident_id)
        busy = replace(record, state=IncidentState.REMEDIATING, version=record.version + 1, updated_at=now)
        data = {"remedy": remedy.name, "attempt": attempt.attempt_id}
        self._book.log(self._book.put(busy), now, TimelineKind.REMEDY_PLANNED, asked_by, data)
        task = asyncio.create_task(self._see_through(remedy, attempt), name=f"palyra:remedy:{attempt.attempt_id}")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return attempt

    async def _see_through(self, remedy: Remedy, attempt: Attempt) -> None:
        status, detail = AttemptStatus.FAILED, ""
        try:
            async with self._places:
                await self._make_durable(attempt)
                record = self._book.find(attempt.incident_id)
                if record is None or not self._hands.holds(record):
                    status, detail = AttemptStatus.SKIPPED, CONDITION_CLEARED
                    return
                now = self._clock.now_ms()
                attempt = self._attempts.started(attempt, now)
                data = {"remedy": remedy.name, "attempt": attempt.attempt_id}
                self._book.log(record, now, TimelineKind.REMEDY_STARTED, attempt.asked_by, data)
                await self._make_durable(attempt)
                detail = await self._act(remedy, record, attempt)
                status, told = await self._verified(remedy, record, attempt)
                detail = told or detail
        except asyncio.CancelledError:
            status, detail = AttemptStatus.FAILED, INTERRUPTED
            raise
        except JournalUnavailableError as error:
            # Nothing is done that a crash could not be asked about afterwards.
            detail = error.message
        except PalyraError as error:
            detail = str(error)
        except TimeoutError:
            detail = f"It took longer than {ACT_MOST_S:g} s."
        except Exception:
            log.exception("the remedy %s of incident %s failed", remedy.name, attempt.incident_id)
            detail = "internal_error"
        finally:
            self._end(remedy, attempt, status, detail)

    async def _act(self, remedy: Remedy, record: IncidentRecord, attempt: Attempt) -> str:
        async with self._clock.timeout(ACT_MOST_S):
            return await self._chest.act(remedy).act(record, attempt)

    async def _verified(self, remedy: Remedy, record: IncidentRecord, attempt: Attempt) -> tuple[AttemptStatus, str]:
        """Looks until it helped, or its time is over."""
        while True:
            checked = self._chest.act(remedy).check(record, attempt)
            if checked.status is Status.VERIFIED:
                return AttemptStatus.SUCCEEDED, checked.detail
            if checked.status is Status.FAILED:
                return AttemptStatus.FAILED, checked.detail
            within = remedy.within_ms
            if within is not None and checked.since is not None and self._clock.now_ms() - checked.since >= within:
                return AttemptStatus.FAILED, checked.detail or f"It did not help within {within // 1000} s."
            await self._clock.sleep(POLL_S)

    async def _make_durable(self, attempt: Attempt) -> None:
        changes = [*self._book.changes(self._clock.now_ms()), *self._attempts.saved(attempt)]
        await self._hands.write_and_wait(changes)

    def _end(self, remedy: Remedy, attempt: Attempt, status: AttemptStatus, detail: str) -> None:
        now = self._clock.now_ms()
        attempt = self._attempts.ended(attempt, status, detail, now)
        record = self._book.find(attempt.incident_id)
        if record is not None:
            data = {"remedy": remedy.name, "attempt": attempt.attempt_id, "detail": attempt.detail}
            self._book.log(record, now, _ENDS[status], attempt.asked_by, data)
            if record.state is IncidentState.REMEDIATING:
                self._release(record, status, remedy, now)
        self._next.pop(attempt.incident_id, None)
        if status is AttemptStatus.SKIPPED and record is not None:
            # The next cycle ends it; until then nothing is to be done, unless the condition comes back for longer.
            self._next[attempt.incident_id] = record.episode, now + CLEARED_REST_MS
        self._hands.write([*self._book.changes(now), *self._attempts.saved(attempt)])
        self._hands.changed()

    def _release(self, record: IncidentRecord, status: AttemptStatus, remedy: Remedy, now: int) -> None:
        free = replace(record, state=IncidentState.OPEN, version=record.version + 1, updated_at=now)
        if status is AttemptStatus.SUCCEEDED:
            self._book.put(free)
            self._hands.helped(record.key)
            self._book.gone(record.domain, record.key, now, f"remedy:{remedy.name}")
            record = self._book.get(record.incident_id)
            if record.live and not record.holds:
                self._book.settle(record, now, f"remedy:{remedy.name}")
            return
        self._book.settle(self._book.put(free), now)

    async def close(self) -> None:
        """Ends what is under way as interrupted."""
        tasks = tuple(self._under_way)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
