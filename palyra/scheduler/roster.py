"""All jobs and their open fires in memory, and every way in which they move. Nothing here waits or writes.

Each move answers with the changes that make it durable, in the order in which they have to be submitted; memory has
moved by then. Instants are UTC unix ms.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from palyra.core.values import value
from palyra.journal.changes import Change
from palyra.journal.job_rows import (
    JOB_FIRES,
    JOBS,
    FireRow,
    FireState,
    JobRow,
    JobSource,
    JobState,
    Trigger,
)
from palyra.scheduler.admission import Admission, admit
from palyra.scheduler.lane import Lane, times_of_job
from palyra.scheduler.misfire import Due, plan_misfire
from palyra.scheduler.release import release_of
from palyra.scheduler.zone_changes import rules_version

TOO_LATE = "too_late"
PAUSED = "paused"
MAX_RUNS = "max_runs"


@value
class Planned:
    """What a job's due slots became: `unit` is one transaction, `fires` those in it that are to be started."""

    unit: list[Change]
    fires: tuple[FireRow, ...] = ()
    skipped: tuple[FireRow, ...] = ()
    replaces: bool = False
    review: FireRow | None = None


class Roster:
    """Every job with its open fires, in memory; each move makes the changes that the journal is to keep."""

    def __init__(self, boot_id: str, new_id: Callable[[], str]) -> None:
        self._boot_id = boot_id
        self._new_id = new_id
        self._lanes: dict[str, Lane] = {}
        self._names: dict[str, str] = {}
        self._releases: list[tuple[int, str]] = []
        """Heap of (release, job): entries that no longer hold are passed over."""
        self.version = 0
        """Grows with every move."""

    def __len__(self) -> int:
        return len(self._lanes)

    def __iter__(self) -> Iterator[Lane]:
        return iter(self._lanes.values())

    def get(self, job_id: str) -> Lane | None:
        """The lane of a job by its id."""
        return self._lanes.get(job_id)

    def find(self, name_or_id: str) -> Lane | None:
        """By id, or by name whatever its case."""
        return self._lanes.get(name_or_id) or self._lanes.get(self._names.get(name_or_id.casefold(), ""))

    # Taking in

    def take_in(self, job: JobRow, fires: Iterable[FireRow] = ()) -> Lane:
        """A job as the journal has it, in place of what was known of it."""
        lane = self._lanes.setdefault(job.job_id, Lane(job))
        self._names.pop(lane.job.name_key, None)
        lane.job, lane.fires, lane.review = job, [], None
        self._names[job.name_key] = job.job_id
        for fire in fires:
            lane.put(fire)
        self._arm(lane)
        self.version += 1
        return lane

    def forget(self, job_id: str) -> list[Change]:
        """The job is no more; what it did stays."""
        lane = self._lanes.pop(job_id)
        self._names.pop(lane.job.name_key, None)
        self.version += 1
        return [JOBS.forgotten(job_id)]

    def save(self, lane: Lane, **changes: Any) -> Change:
        """The job with some fields changed."""
        before = lane.job
        lane.job = replace(before, revision=before.revision + 1, **changes)
        if lane.job.name_key != before.name_key:
            self._names.pop(before.name_key, None)
            self._names[lane.job.name_key] = lane.job.job_id
        if lane.job.release_at != before.release_at:
            self._arm(lane)
        self.version += 1
        return JOBS.saved(lane.job)

    def put(self, lane: Lane, fire: FireRow, **changes: Any) -> tuple[FireRow, Change]:
        """A fire with some fields changed."""
        moved = lane.put(replace(fire, revision=fire.revision + 1, **changes))
        if moved.terminal:
            lane.unsaved.discard(moved.fire_id)
        self.version += 1
        return moved, JOB_FIRES.saved(moved)

    def _arm(self, lane: Lane) -> None:
        if lane.job.release_at is not None:
            heapq.heappush(self._releases, (lane.job.release_at, lane.job.job_id))
            if len(self._releases) > 1_000 + 4 * len(self._lanes):
                self.rearm()

    def rearm(self) -> None:
        """Orders all releases anew."""
        self._releases = [(lane.job.release_at, lane.job.job_id) for lane in self if lane.job.release_at is not None]
        heapq.heapify(self._releases)

    # Slots

    def next_release(self) -> int | None:
        """When the earliest slot is released."""
        while self._releases:
            release, job_id = self._releases[0]
            lane = self._lanes.get(job_id)
            if lane is not None and lane.job.release_at == release:
                return release
            heapq.heappop(self._releases)
        return None

    def due(self, now: int, most: int) -> list[Lane]:
        """Jobs with released slots, the oldest release first; they are not told of again until they are planned."""
        found: list[Lane] = []
        while len(found) < most:
            release = self.next_release()
            if release is None or release > now:
                break
            found.append(self._lanes[heapq.heappop(self._releases)[1]])
        return found

    def slot_after(self, job: JobRow, at: int) -> dict[str, Any]:
        """The fields of a job that is planned from an instant on. Raises ValueError."""
        times = times_of_job(job)
        slot = times.after(at)
        return {
            "planned_after": at,
            "next_slot": slot,
            "release_at": None if slot is None else release_of(job, times, slot),
            "zone_rules": rules_version(),
        }

    def plan(self, lane: Lane, now: int) -> Planned:
        """Deals with every slot that is due. Raises ValueError for a job that cannot be planned."""
        job, slot, release_at = lane.job, lane.job.next_slot, lane.job.release_at
        if slot is None or release_at is None or release_at > now or job.state is not JobState.ACTIVE:
            return Planned([])
        times = times_of_job(job)
        found = plan_misfire(
            times,
            slot,
            now,
            catch_up=job.misfire == "catch_up",
            max_lateness=job.max_lateness,
            jitter_ms=job.jitter_ms,
            release=lambda one: release_of(job, times, one),
        )
        rows: list[FireRow] = []
        skipped: list[FireRow] = []
        if found.late is not None:
            late = self._made(job, Trigger.SCHEDULE, found.late, slot, now)
            skipped.append(replace(late, state=FireState.SKIPPED, reason=TOO_LATE, finished_at=now))
        review = None if found.review is None else self._review(lane, found.review, now)
        replaces = False
        if found.fires:
            release = release_of(job, times, found.fires[0].slot)
            rows, became, replaces = self._admitted(lane, found.fires, release, now)
            skipped += became
        last = max(due.last for due in (found.late, found.review, *found.fires) if due is not None)
        unit: list[Change] = []
        for row in (*skipped, *((review,) if review is not None else ()), *rows):
            lane.put(row)
            unit.append(JOB_FIRES.saved(row))
        started = tuple(row for row in rows if row.revision == 1)
        lane.unsaved.update(row.fire_id for row in started)
        upcoming = found.next_slot
        changes: dict[str, Any] = {
            "last_slot": last,
            "planned_after": found.after,
            "next_slot": upcoming,
            "release_at": None if upcoming is None else release_of(job, times, upcoming),
        }
        if upcoming is None:
            changes |= {"state": JobState.EXHAUSTED, "why": "no slot is left", "state_by": "", "state_at": now}
        unit.append(self.save(lane, **changes))
        return Planned(unit, started, tuple(skipped), replaces, review)

    def _admitted(
        self, lane: Lane, dues: tuple[Due, ...], release: int, now: int
    ) -> tuple[list[FireRow], list[FireRow], bool]:
        """Fires to be started, with the one that others go into; those that are skipped; whether the active one is
        to make room."""
        job, occupied = lane.job, lane.occupied
        verdict, reason = admit(job.concurrency, occupied, manual=False)
        if verdict is Admission.START:
            first, *later = dues
            made = [self._made(job, Trigger.SCHEDULE, first, release, now)]
            return made + [self._made(job, Trigger.CATCH_UP, due, release, now) for due in later], [], False
        if verdict is Admission.WAIT and occupied.draining:
            return self._joined(lane, dues, release, now), [], False
        whole = Due(dues[0].slot, sum(due.coalesced + 1 for due in dues) - 1, dues[-1].last)
        if whole.coalesced == 0:
            whole = dues[0]
        if verdict is Admission.COALESCE:
            return [self._into(lane.fires[-1], whole)], [], False
        row = self._made(job, Trigger.SCHEDULE, whole, release, now)
        if verdict is Admission.SKIP:
            return [], [replace(row, state=FireState.SKIPPED, reason=reason, finished_at=now)], False
        return [row], [], verdict is Admission.REPLACE

    def _joined(self, lane: Lane, dues: tuple[Due, ...], release: int, now: int) -> list[FireRow]:
        """Slots that come while others are caught up on: behind these, the last of them with all that is left."""
        rows: list[FireRow] = []
        for due in dues:
            waiting = len(lane.waiting) + len(rows)
            verdict, _ = admit(lane.job.concurrency, replace(lane.occupied, waiting=waiting), manual=False)
            if verdict is Admission.WAIT:
                rows.append(self._made(lane.job, Trigger.CATCH_UP, due, release, now))
            elif rows:
                rows[-1] = replace(self._into(rows[-1], due), revision=rows[-1].revision)
            else:
                rows.append(self._into(lane.fires[-1], due))
        return rows

    @staticmethod
    def _into(fire: FireRow, due: Due) -> FireRow:
        spans = fire.spans
        if fire.trigger is Trigger.REVIEW and fire.slot is not None:
            # Between what was missed long ago and now lie slots of other fires: its own are told stretch by stretch.
            own = spans or ((fire.slot, fire.covers_through or fire.slot, fire.coalesced_count + 1),)
            spans = (*own, (due.slot, due.last, due.coalesced + 1))
        return replace(
            fire,
            spans=spans,
            revision=fire.revision + 1,
            coalesced_count=fire.coalesced_count + due.coalesced + 1,
            covers_through=due.last,
        )

    def _review(self, lane: Lane, due: Due, now: int) -> FireRow:
        """What a person decides on: a second one becomes part of the first."""
        span = (due.slot, due.last, due.coalesced + 1)
        if lane.review is None:
            row = self._made(lane.job, Trigger.REVIEW, due, now, now)
            return replace(row, state=FireState.REVIEW, spans=(span,))
        return replace(self._into(lane.review, due), spans=(*lane.review.spans, span))

    def _made(self, job: JobRow, trigger: Trigger, due: Due, release: int, now: int) -> FireRow:
        return FireRow(
            fire_id=self._new_id(),
            revision=1,
            job_id=job.job_id,
            job_revision=job.revision,
            boot_id=self._boot_id,
            trigger=trigger,
            slot=due.slot,
            release_at=release,
            created_at=now,
            coalesced_count=due.coalesced,
            covers_through=due.through,
        )

    def pass_over(self, lane: Lane, slot: int) -> Change:
        """A slot that needs no fire any more. Raises ValueError."""
        slots = self.slot_after(lane.job, slot)
        gone = {"state": JobState.EXHAUSTED, "why": "no slot is left"} if slots["next_slot"] is None else {}
        return self.save(lane, **slots, **gone)

    # States

    def fault(self, lane: Lane, error: str, now: int) -> Change:
        """A job that cannot be planned costs nothing until somebody edits or resets it."""
        return self.save(
            lane, state=JobState.FAULTED, why=error[:512], state_by="", state_at=now, next_slot=None, release_at=None
        )

    def pause(self, lane: Lane, why: str, by: str, now: int) -> list[Change]:
        """Fires that wait are skipped; the active one goes on."""
        unit = [self.skip(lane, fire, PAUSED, now) for fire in self._not_begun(lane)]
        unit.append(
            self.save(lane, state=JobState.PAUSED, why=why, state_by=by, state_at=now, next_slot=None, release_at=None)
        )
        return unit

    def skip(self, lane: Lane, fire: FireRow, reason: str, now: int) -> Change:
        """Ends a fire that will not be carried out, and says why."""
        return self.put(lane, fire, state=FireState.SKIPPED, reason=reason, finished_at=now)[1]

    def plan_from(self, lane: Lane, now: int, **changes: Any) -> Change:
        """An active job whose slots come after an instant; one without any, or that has run as often as it may, is
        exhausted. Raises ValueError."""
        job = replace(lane.job, **changes)
        slots = self.slot_after(job, now)
        used_up = job.max_runs is not None and job.fired >= job.max_runs
        if used_up:
            slots |= {"next_slot": None, "release_at": None}
        state = JobState.ACTIVE if slots["next_slot"] is not None else JobState.EXHAUSTED
        why = MAX_RUNS if used_up else "" if state is JobState.ACTIVE else "no slot is left"
        told = {"state": state, "why": why, "state_by": "", "state_at": now}
        return self.save(lane, **{**told, **slots, **changes})

    def manual(self, lane: Lane, by: str, key: str | None, now: int) -> tuple[FireRow, bool]:
        """A fire without a slot, and whether the active one is to make room for it; it may be skipped at once."""
        job = lane.job
        verdict, reason = admit(job.concurrency, lane.occupied, manual=True)
        row = replace(self._made(job, Trigger.MANUAL, Due(0), now, now), slot=None, by=by, key=key, job_revision=0)
        if verdict is Admission.SKIP:
            skipped = replace(row, state=FireState.SKIPPED, reason=reason, finished_at=now)
            lane.put(skipped)
            self.version += 1
            return skipped, False
        lane.put(row)
        lane.unsaved.add(row.fire_id)
        self.version += 1
        return row, verdict is Admission.REPLACE

    @staticmethod
    def _not_begun(lane: Lane) -> list[FireRow]:
        """Fires that have not started yet."""
        return [
            fire
            for place, fire in enumerate(lane.fires)
            if fire.state is FireState.PENDING and not (place == 0 and lane.under_way)
        ]

    @property
    def system(self) -> list[Lane]:
        """The lanes of Palyra's own jobs."""
        return [lane for lane in self if lane.job.source is JobSource.SYSTEM]
