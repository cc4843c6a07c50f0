"""Jobs and fires as consoles see them, of an engine that runs or of a journal as it lies."""

from collections.abc import Iterable
from heapq import nsmallest

from palyra.control.jobs_queries import (
    FiresPage,
    FiresQuery,
    FireView,
    InstantView,
    JobAsked,
    JobDetail,
    JobQuery,
    JobsPage,
    JobsQuery,
    JobTold,
    JobView,
    ScheduleQuery,
)
from palyra.control.schedule_answers import answer_schedule, upcoming
from palyra.core.clock import Clock
from palyra.core.errors import NotFoundError
from palyra.core.redact import redact
from palyra.journal.job_rows import FireRow, JobRow, JobSource, JobState
from palyra.journal.readers import Readers
from palyra.scheduler.job_input import fields_of
from palyra.scheduler.lane import Lane, times_of_job
from palyra.scheduler.scheduler import Scheduler
from palyra.scheduler.standing_jobs import schedule_of

SHOWN = 60
MOST_LISTED = 500
NEVER = 1 << 62


class JobViews:
    """Without a scheduler, jobs are as the journal has them and nothing is under way."""

    def __init__(self, readers: Readers, clock: Clock, timezone: str, scheduler: Scheduler | None = None) -> None:
        self._readers = readers
        self._clock = clock
        self._timezone = timezone
        self._scheduler = scheduler
        self._listed: tuple[int, tuple[JobView, ...]] | None = None
        """Views, with the version of the roster they were made of."""

    async def answer(self, query: JobAsked) -> JobTold:
        """Raises NotFoundError, BadInputError."""
        match query:
            case ScheduleQuery():
                return answer_schedule(query, self._timezone, self._clock.now_ms())
            case JobsQuery():
                return await self._jobs(query)
            case JobQuery():
                return await self._job(query)
            case FiresQuery():
                return await self._fires(query)

    async def lanes(self) -> list[Lane]:
        """Every job with its open fires: the scheduler's own, else as the journal has them."""
        if self._scheduler is not None:
            return list(self._scheduler.roster)
        lanes = {job.job_id: Lane(job) for job in await self._readers.jobs()}
        for fire in await self._readers.last_ended_fires():
            if fire.job_id in lanes:
                lanes[fire.job_id].last = fire
        for fire in await self._readers.open_fires():
            if fire.job_id in lanes:
                lanes[fire.job_id].put(fire)
        return list(lanes.values())

    def listed(self) -> tuple[JobView, ...]:
        """Of the scheduler's jobs those to be released first, and then those that are not: as many as a list shows."""
        scheduler = self._scheduler
        if scheduler is None:
            return ()
        if self._listed is None or self._listed[0] != scheduler.roster.version:
            first = nsmallest(MOST_LISTED, scheduler.roster, key=_coming)
            self._listed = (scheduler.roster.version, shown(first))
        return self._listed[1]

    async def _jobs(self, query: JobsQuery) -> JobsPage:
        wanted = [
            lane
            for lane in await self.lanes()
            if (query.all or lane.job.source is not JobSource.SYSTEM)
            and (not query.state or lane.job.state == query.state)
        ]
        scheduler = self._scheduler
        if scheduler is None:
            return JobsPage(shown(wanted))
        return JobsPage(shown(wanted), scheduler.busy, scheduler.settings.max_concurrent, p99_ms(scheduler))

    async def _lane(self, name_or_id: str) -> Lane:
        for lane in await self.lanes():
            if name_or_id == lane.job.job_id or name_or_id.casefold() == lane.job.name_key:
                return lane
        raise NotFoundError(f"There is no job {name_or_id!r}.", fix="See `palyra jobs list --all`.")

    async def _job(self, query: JobQuery) -> JobDetail:
        lane = await self._lane(query.job)
        job = lane.job
        page = await self._readers.fires(job.job_id, limit=query.recent)
        try:
            times = times_of_job(job)
        except ValueError:
            following: tuple[InstantView, ...] = ()
        else:
            active = job.state is JobState.ACTIVE
            since = self._clock.now_ms() if job.next_slot is None else job.next_slot - 1
            following = upcoming(times, schedule_of(job), since, query.upcoming) if active else ()
        (view,) = shown([lane])
        return JobDetail(
            job=view,
            fields=fields_of(job),
            upcoming=following,
            fires=tuple(fire_view(row, job.name) for row in page.fires),
            created_at=job.created_at,
            created_by=job.created_by,
            max_attempts=job.max_attempts,
            backoff_ms=job.backoff_ms,
            max_duration=job.max_duration,
            jitter_ms=job.jitter_ms,
            session=job.session,
            channel=job.scope.channel,
            agent=job.scope.agent,
            tags=dict(job.scope.tags),
        )

    async def _fires(self, query: FiresQuery) -> FiresPage:
        job_id = (await self._lane(query.job)).job.job_id if query.job else ""
        names = {lane.job.job_id: lane.job.name for lane in await self.lanes()}
        page = await self._readers.fires(
            job_id, state=query.state, since=query.since, limit=query.limit, cursor=query.cursor
        )
        return FiresPage(
            tuple(fire_view(row, names.get(row.job_id, row.job_id)) for row in page.fires), page.next_cursor
        )


def p99_ms(scheduler: Scheduler) -> float | None:
    """The bound that 99 of 100 fires of this engine kept to; None without any, or beyond the last bound."""
    lateness = scheduler.lateness
    below, wanted = 0, lateness.count * 0.99
    for bound, count in zip(lateness.bounds, lateness.counts, strict=False):
        below += count
        if below and below >= wanted:
            return bound * 1000
    return None


def shown(lanes: Iterable[Lane]) -> tuple[JobView, ...]:
    """By name, those of the system last."""
    return tuple(job_view(lane) for lane in sorted(lanes, key=_order))


def _coming(lane: Lane) -> tuple[bool, int, str]:
    """What is under way or needs somebody, then what comes next; the system's last."""
    if lane.head is not None or lane.review is not None:
        return False, 0, lane.job.name_key
    release = lane.job.release_at
    return lane.job.source is JobSource.SYSTEM, NEVER if release is None else release, lane.job.name_key


def _order(lane: Lane) -> tuple[bool, str]:
    return lane.job.source is JobSource.SYSTEM, lane.job.name_key


def what_of(job: JobRow) -> str:
    """Its action in a line."""
    work = job.work
    match job.action:
        case "prompt":
            prompt = redact(" ".join(str(work.get("prompt", "")).split()))
            return f"{work.get('model', 'auto')}: {prompt[:SHOWN]}{'…' if len(prompt) > SHOWN else ''}"
        case "task":
            return f"task {work.get('task', '')}"
        case _:
            return str(work.get("maintenance", ""))


def job_view(lane: Lane) -> JobView:
    """A job as consoles see it."""
    job, head, last = lane.job, lane.head, lane.last
    late = last.lateness_ms if last is not None else None
    return JobView(
        job_id=job.job_id,
        version=job.version,
        name=job.name,
        source=job.source.value,
        schedule=job.schedule,
        expression=job.expression,
        timezone=job.timezone,
        action=job.action,
        what=what_of(job),
        owner=job.owner,
        state=job.state.value,
        why=job.why,
        state_by=job.state_by,
        state_at=job.state_at,
        next_slot=job.next_slot,
        release_at=job.release_at,
        fired=job.fired,
        failures=job.failures,
        concurrency=job.concurrency,
        misfire=job.misfire,
        active="" if head is None else head.state.value,
        active_fire="" if head is None else head.fire_id,
        waiting=len(lane.waiting),
        review_id="" if lane.review is None else lane.review.fire_id,
        review_slots=0 if lane.review is None else lane.review.coalesced_count + 1,
        last_state="" if last is None else last.state.value,
        last_reason="" if last is None else last.reason,
        last_at=None if last is None else last.finished_at,
        lateness_ms=late if head is None or head.lateness_ms is None else head.lateness_ms,
    )


def fire_view(row: FireRow, job_name: str) -> FireView:
    """A fire as consoles see it."""
    return FireView(
        fire_id=row.fire_id,
        job_id=row.job_id,
        job_name=job_name,
        trigger=row.trigger.value,
        slot=row.slot,
        release_at=row.release_at,
        created_at=row.created_at,
        state=row.state.value,
        reason=row.reason,
        by=row.by,
        coalesced=row.coalesced_count,
        covers_through=row.covers_through,
        dispatched_at=row.dispatched_at,
        lateness_ms=row.lateness_ms,
        retry_at=row.retry_at,
        attempts=row.attempts,
        work_ids=row.work_ids,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cost_nano_usd=row.cost,
        error=row.error,
        detail={name: told if isinstance(told, int) else str(told) for name, told in row.detail.items()},
        finished_at=row.finished_at,
    )
