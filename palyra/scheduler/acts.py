"""What people do with jobs: each act is refused in words or done. Memory moves at once; the answer waits until it is
durable."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from palyra.core.errors import BadInputError, ConflictError, JournalUnavailableError, NotFoundError, UnwrittenError
from palyra.core.events import Event
from palyra.governance.policy_input import FieldFault
from palyra.journal.changes import AuditAdded, Change
from palyra.journal.job_rows import JOB_FIRES, FireRow, FireState, JobRow, JobSource, JobState, Trigger
from palyra.scheduler import troubles
from palyra.scheduler.job_input import FIELDS, JobDraft, JobInputError, fields_of, parse_job
from palyra.scheduler.lane import Lane, times_of_job
from palyra.scheduler.retrying import BY_OPERATOR
from palyra.scheduler.scheduler import Scheduler
from palyra.scheduler.standing_jobs import add_job, change_job

log = logging.getLogger(__name__)

MAX_JOBS = 10_000
REPLAY_MOST = 100
MAX_KEY = 128
REASON_MOST = 500
RESCHEDULABLE = frozenset({"cron", "every", "at", "timezone", "anchor", "jitter_ms", "misfire", "max_lateness"})
"""What may be changed of a system job."""
_KEPT = {JobSource.SYSTEM: "Palyra's own", JobSource.CONFIG: "a job of the configuration file"}


class JobActs:
    """Every act that carries a version is refused where the job has another by now."""

    def __init__(
        self,
        scheduler: Scheduler,
        timezone: str,
        owner: str,
        unknown_model: Callable[[str], str] = lambda _name: "",
    ) -> None:
        self._scheduler = scheduler
        self._unknown_model = unknown_model
        self._timezone = timezone
        self._owner = owner

    # Jobs

    async def add(self, fields: Mapping[str, str], by: str) -> JobRow:
        """Raises JobInputError with every fault, ConflictError for a name that is taken."""
        scheduler = self._scheduler
        draft = self._parsed(fields, self._timezone, self._owner)
        if scheduler.roster.find(draft.name) is not None:
            raise JobInputError([FieldFault("name", f'there is a job "{draft.name}" already', "Choose another.")])
        if len(scheduler.roster) >= MAX_JOBS:
            raise ConflictError(f"There are {MAX_JOBS:,} jobs, and no more may be.", fix="Delete some first.")
        self._refuse_without_journal()
        lane = add_job(scheduler, draft, JobSource.OPERATOR, by)
        await self._done(lane.job, "added", by)
        return lane.job

    async def edit(self, name: str, fields: Mapping[str, str], by: str, *, version: int | None = None) -> JobRow:
        """Planned anew from now on; a field set blank goes back to its default. Raises NotFoundError, JobInputError,
        ConflictError."""
        lane = self._lane(name, version)
        job = lane.job
        if job.source is JobSource.CONFIG:
            raise ConflictError(
                f"{job.name} is a job of the configuration file.", fix="Edit it there, then run `palyra reload`."
            )
        fixed = sorted(set(fields) & set(FIELDS) - RESCHEDULABLE) if job.source is JobSource.SYSTEM else []
        if fixed:
            raise ConflictError(f"{job.name} is Palyra's own: {', '.join(fixed)} cannot be changed.")
        if job.source is JobSource.SYSTEM:
            draft = self._system_draft(job, fields)
        else:
            kept = fields_of(job)
            if {"cron", "every", "at"} & set(fields):
                kept = {key: text for key, text in kept.items() if key not in ("cron", "every", "at")}
            draft = self._parsed({**kept, **fields}, job.timezone, job.owner)
            other = self._scheduler.roster.find(draft.name)
            if other is not None and other is not lane:
                raise JobInputError([FieldFault("name", f'there is a job "{draft.name}" already', "Choose another.")])
        self._refuse_without_journal()
        change_job(self._scheduler, lane, draft)
        await self._done(lane.job, "edited", by, {"version": lane.job.version})
        return lane.job

    def _parsed(self, fields: Mapping[str, str], timezone: str, owner: str) -> JobDraft:
        now = self._scheduler.clock.now_ms()
        return parse_job(fields, timezone=timezone, owner=owner, now=now, unknown_model=self._unknown_model)

    def _system_draft(self, job: JobRow, fields: Mapping[str, str]) -> JobDraft:
        kept = {**fields_of(job), "name": "x"}
        if {"cron", "every", "at"} & set(fields):
            kept = {key: text for key, text in kept.items() if key not in ("cron", "every", "at")}
        return replace(self._parsed({**kept, **fields}, job.timezone, job.owner), name=job.name)

    async def delete(self, name: str, by: str, *, version: int | None = None) -> None:
        """Raises NotFoundError, ConflictError for a job that is not an operator's, or active."""
        lane = self._lane(name, version)
        job = lane.job
        if job.source is not JobSource.OPERATOR:
            raise ConflictError(f"{job.name} is {_KEPT[job.source]}: it cannot be deleted.", fix="Pause it.")
        if lane.fires or lane.review is not None:
            state = "has a fire that is not decided on" if not lane.fires else f"is {lane.fires[0].state.value}"
            raise ConflictError(f"A fire of {job.name} {state}.", fix="Wait for it, or cancel it first.", code="active")
        self._refuse_without_journal()
        unit = self._scheduler.roster.forget(job.job_id)
        self._scheduler.write(job.job_id, unit)
        troubles.clear_all(self._scheduler.clear, job.job_id)
        await self._done(job, "deleted", by)

    async def pause(
        self, name: str, reason: str, by: str, *, cancel_active: bool = False, version: int | None = None
    ) -> JobRow:
        """Raises NotFoundError, ConflictError, BadInputError."""
        if len(reason) > REASON_MOST:
            raise BadInputError("The reason is too long.", fix=f"Use at most {REASON_MOST} characters.")
        lane = self._lane(name, version)
        if lane.job.state is not JobState.ACTIVE:
            raise self._not_so(lane.job, "paused")
        self._refuse_without_journal()
        unit = self._scheduler.roster.pause(lane, reason, by, self._scheduler.clock.now_ms())
        self._scheduler.write(lane.job.job_id, unit)
        if cancel_active:
            self._scheduler.stop_fire(lane.job.job_id, BY_OPERATOR, by)
        await self._done(lane.job, "paused", by, {"reason": reason})
        return lane.job

    async def resume(self, name: str, by: str, *, version: int | None = None) -> JobRow:
        """Planned from now on; an instant that has passed leaves the job exhausted. Raises NotFoundError,
        ConflictError."""
        lane = self._lane(name, version)
        if lane.job.state is not JobState.PAUSED:
            raise self._not_so(lane.job, "resumed")
        return await self._planned(lane, "resumed", by)

    async def reset(self, name: str, by: str, *, version: int | None = None) -> JobRow:
        """Plans a faulted job again. Raises NotFoundError, ConflictError."""
        lane = self._lane(name, version)
        if lane.job.state is not JobState.FAULTED:
            raise self._not_so(lane.job, "reset")
        row = await self._planned(lane, "reset", by)
        self._scheduler.clear(troubles.key(row.job_id, troubles.FAULTED))
        return row

    async def _planned(self, lane: Lane, verb: str, by: str) -> JobRow:
        scheduler, job = self._scheduler, lane.job
        now = scheduler.clock.now_ms()
        try:
            times_of_job(job)
        except ValueError as error:
            raise ConflictError(f"{job.name} cannot be planned: {error}.", fix="Edit it.") from None
        self._refuse_without_journal()
        scheduler.write(job.job_id, [scheduler.roster.plan_from(lane, now)])
        scheduler.wake()
        await self._done(lane.job, verb, by)
        return lane.job

    # Fires

    async def trigger(self, name: str, by: str, *, key: str = "") -> FireRow:
        """A fire beside the schedule. With a key, asking again answers with the first one. Raises NotFoundError,
        ConflictError for a faulted job, BadInputError."""
        scheduler = self._scheduler
        if len(key) > MAX_KEY or not key.isprintable():
            raise BadInputError(f"A key has at most {MAX_KEY} printable characters.")
        lane = self._lane(name, None)
        if key:
            known = await scheduler.journal.readers.fire_of_key(lane.job.job_id, key)
            if known is not None:
                return known
            known = next((fire for fire in lane.fires if fire.key == key), None)
            if known is not None:
                await self._written(())
                return known
        if lane.job.state is JobState.FAULTED:
            raise ConflictError(f"{lane.job.name} is faulted: {lane.job.why}.", fix="Edit or reset it first.")
        self._refuse_without_journal()
        fire, replaces = scheduler.roster.manual(lane, by, key or None, scheduler.clock.now_ms())
        scheduler.admitted(lane, fire, [JOB_FIRES.saved(fire)], replaces=replaces)
        await self._done(lane.job, "triggered", by, {"fire_id": fire.fire_id})
        return fire

    async def review(self, fire_id: str, decision: str, by: str) -> tuple[FireRow, ...]:
        """run: once for all; replay: each slot in order; skip. Raises NotFoundError, ConflictError, BadInputError."""
        lane = next((one for one in self._scheduler.roster if one.review and one.review.fire_id == fire_id), None)
        if lane is None or lane.review is None:
            raise await self._no_review(fire_id)
        scheduler, now, review = self._scheduler, self._scheduler.clock.now_ms(), lane.review
        rows: list[FireRow] = []
        if decision == "replay":
            rows = self._replayed(lane, review)
        elif decision not in ("run", "skip"):
            raise BadInputError(f"{decision!r} is no decision.", fix="Say run, replay or skip.")
        self._refuse_without_journal()
        if decision == "skip":
            unit: list[Change] = [scheduler.roster.skip(lane, review, "review_skipped", now)]
            scheduler.write(lane.job.job_id, unit)
        else:
            alone = {"coalesced_count": 0, "covers_through": None, "spans": ()} if decision == "replay" else {}
            first, change = scheduler.roster.put(lane, review, state=FireState.PENDING, by=by, release_at=now, **alone)
            for row in rows:
                lane.put(row)
            started = [first, *rows]
            lane.unsaved.update(row.fire_id for row in started)
            rows = started

            def durable() -> None:
                lane.unsaved.difference_update(row.fire_id for row in started)
                scheduler.consider(lane)

            scheduler.write(lane.job.job_id, [change, *(JOB_FIRES.saved(row) for row in started[1:])], durable)
        scheduler.clear(troubles.key(lane.job.job_id, troubles.REVIEW))
        await self._done(lane.job, f"review_{decision}", by, {"fire_id": fire_id})
        return tuple(rows)

    def _replayed(self, lane: Lane, review: FireRow) -> list[FireRow]:
        """A fire for each further slot. Raises ConflictError for too many."""
        total = sum(count for _, _, count in review.spans)
        if total > REPLAY_MOST:
            raise ConflictError(
                f"{total:,} slots were missed; at most {REPLAY_MOST} can be replayed.", fix="Run or skip it."
            )
        times, now = times_of_job(lane.job), self._scheduler.clock.now_ms()
        slots = [slot for first, last, _ in review.spans for slot in (first, *times.between(first, last))]
        return [
            FireRow(
                fire_id=self._scheduler.ids.new(),
                revision=1,
                job_id=lane.job.job_id,
                job_revision=0,
                boot_id=self._scheduler.boot_id,
                trigger=Trigger.REVIEW,
                slot=slot,
                release_at=now,
                created_at=now,
            )
            for slot in slots[1:]
        ]

    async def _no_review(self, fire_id: str) -> NotFoundError | ConflictError:
        fire = await self._scheduler.journal.readers.fire(fire_id)
        if fire is None:
            return NotFoundError(f"No fire {fire_id!r} is known.", fix="See `palyra jobs runs`.")
        return ConflictError(f"Fire {fire_id} is {fire.state.value}, not in review.", code="wrong_state")

    # For all

    def _lane(self, name: str, version: int | None) -> Lane:
        lane = self._scheduler.roster.find(name)
        if lane is None:
            raise NotFoundError(f"There is no job {name!r}.", fix="See `palyra jobs list`.")
        if version is not None and lane.job.version != version:
            raise ConflictError(
                f"Job {lane.job.name} is at version {lane.job.version} by now, not {version}.",
                fix="Look at it again.",
                code="stale_version",
            )
        return lane

    def _not_so(self, job: JobRow, verb: str) -> ConflictError:
        return ConflictError(f"Job {job.name} is {job.state.value}; it cannot be {verb}.", code="wrong_state")

    def _refuse_without_journal(self) -> None:
        if not self._scheduler.journal.healthy:
            raise JournalUnavailableError("The journal cannot be written.", fix="Free disk space; Palyra goes on.")

    async def _done(self, job: JobRow, verb: str, by: str, told: Mapping[str, object] | None = None) -> None:
        """Notes who did it, and returns once it is durable. Raises UnwrittenError when that takes longer."""
        scheduler, now = self._scheduler, self._scheduler.clock.now_ms()
        payload = {"verb": f"job_{verb}", "name": job.name, **(told or {})}
        noted: Sequence[Change] = [AuditAdded(now, "job", job.job_id, by, payload)]
        scheduler.events.publish(Event("job.moved", now, job.job_id))
        await self._written(noted)

    async def _written(self, unit: Sequence[Change]) -> None:
        """Returns once this and everything before it is durable; what is not is kept and tried again. Raises
        UnwrittenError."""
        try:
            await asyncio.shield(self._scheduler.journal.submit(unit, refused=_not_noted))
        except JournalUnavailableError as error:
            raise UnwrittenError(
                "The journal cannot be written now. Palyra keeps trying; if it ends before, this was not done.",
                fix="Look whether it was done before you ask again.",
            ) from error


def _not_noted(error: Exception) -> None:
    log.error("the journal refused who asked for something about a job: %s", error)
