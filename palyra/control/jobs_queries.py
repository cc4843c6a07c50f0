"""What a console may ask about jobs and schedules, and the answers. Times UTC unix ms, costs nano-dollars."""

from dataclasses import field
from typing import Literal

from palyra.core.values import value


@value
class InstantView:
    """A slot. `local` is the time a clock of the zone shows, `offset` ahead of UTC (`+02:00`). `mark` tells of a clock
    that is changed there: forward, back, or empty."""

    at: int
    local: str
    offset: str
    mark: str = ""


@value
class JobView:
    """A job as it stands. `state`: active, paused, exhausted, faulted, with `why` and by whom. `schedule`: cron, every,
    at. `what` tells its action in a line. `release_at` is `next_slot` with its jitter.

    `active` is the state of the fire that is under way or waits to be, empty where there is none; `waiting` how many
    wait behind it; `review_id` the fire that a person has to decide on. `last_*` tell of the newest fire that ended,
    `lateness_ms` of the newest that started.
    """

    job_id: str
    version: int
    name: str
    source: str
    schedule: str
    expression: str
    timezone: str
    action: str
    what: str
    owner: str
    state: str
    why: str
    state_by: str
    state_at: int
    next_slot: int | None
    release_at: int | None
    fired: int
    failures: int
    concurrency: str
    misfire: str
    active: str = ""
    active_fire: str = ""
    waiting: int = 0
    review_id: str = ""
    review_slots: int = 0
    last_state: str = ""
    last_reason: str = ""
    last_at: int | None = None
    lateness_ms: int | None = None


@value
class FireView:
    """One fire. `state`: pending, running, backoff, review, completed, failed, cancelled, skipped, denied. `trigger`:
    schedule, catch_up, manual, review. `slot` None: asked for by hand. `coalesced` further slots up to
    `covers_through` are in it. `work_ids` are its runs or tasks, newest last; `detail` numbers of what was done."""

    fire_id: str
    job_id: str
    job_name: str
    trigger: str
    slot: int | None
    release_at: int
    created_at: int
    state: str
    reason: str
    by: str
    coalesced: int
    covers_through: int | None
    dispatched_at: int | None
    lateness_ms: int | None
    retry_at: int | None
    attempts: int
    work_ids: tuple[str, ...]
    input_tokens: int
    output_tokens: int
    cost_nano_usd: int | None
    error: str
    detail: dict[str, int | str]
    finished_at: int | None


@value
class JobsQuery:
    """Jobs by name; those of the system too with `all`. `state` empty means every one."""

    all: bool = False
    state: str = ""
    kind: Literal["jobs"] = "jobs"


@value
class JobsPage:
    """`lateness_p99_ms` of this engine's fires so far: at most so late, None without any."""

    jobs: tuple[JobView, ...]
    running: int = 0
    places: int = 0
    lateness_p99_ms: float | None = None


@value
class JobQuery:
    """`job` is a name or an id. `upcoming` (100) instants of its schedule, `recent` (500) fires.

    Raises NotFoundError.
    """

    job: str
    upcoming: int = 10
    recent: int = 10
    kind: Literal["job"] = "job"


@value
class JobDetail:
    """`fields` are its fields as typed."""

    job: JobView
    fields: dict[str, str]
    upcoming: tuple[InstantView, ...]
    fires: tuple[FireView, ...]
    created_at: int
    created_by: str
    max_attempts: int
    backoff_ms: int
    max_duration: int
    jitter_ms: int
    session: str
    channel: str = ""
    agent: str = ""
    tags: dict[str, str] = field(default_factory=dict)


@value
class FiresQuery:
    """Newest first, of one job (name or id) where one is named. Raises NotFoundError, BadInputError."""

    job: str = ""
    state: str = ""
    since: int | None = None
    limit: int = 50
    cursor: str = ""
    kind: Literal["fires"] = "fires"


@value
class FiresPage:
    """Fires of jobs, the newest first; an empty cursor: the last page."""

    fires: tuple[FireView, ...]
    next_cursor: str = ""


@value
class ScheduleQuery:
    """When an expression would fire, for whoever types one. `schedule`: cron, every, at. An empty zone is the
    scheduler's; `after` None is now; at most 100 instants."""

    expression: str
    schedule: Literal["cron", "every", "at"] = "cron"
    timezone: str = ""
    after: int | None = None
    count: int = 10
    kind: Literal["schedule"] = "schedule"


@value
class ScheduleAnswer:
    """`problems` has everything wrong with it, and then there are no instants. `timezone` is the zone's real name."""

    expression: str
    timezone: str
    after: int
    instants: tuple[InstantView, ...]
    problems: tuple[str, ...] = ()


JobAsked = JobsQuery | JobQuery | FiresQuery | ScheduleQuery
JobTold = JobsPage | JobDetail | FiresPage | ScheduleAnswer
