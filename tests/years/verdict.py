"""What must be true at the end of the years, told from the rows of the journal and the plainest of calendars."""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from palyra.core.durations import parse_duration_ms
from palyra.journal.job_rows import JobRow
from tests.years.calendar import slots_of

if TYPE_CHECKING:
    from tests.years.world import Years

TURNED_SLACK_MS = 400_000
"""How long after the clock was turned back an interval may begin anew: until the scheduler looks again."""


@dataclass(frozen=True)
class Told:
    """What a fire says of its slots."""

    fire_id: str
    slot: int
    state: str
    reason: str
    more: int
    through: int
    spans: tuple[tuple[int, int, int], ...] = ()


def verdict(years: "Years") -> list[str]:
    """Everything that does not fit."""
    with closing(sqlite3.connect(years.state_dir / "journal.db")) as database:
        return [*years.tally.faults, *judged(years, database)]


def judged(years: "Years", database: sqlite3.Connection) -> list[str]:
    """What does not fit in the journal."""
    faults = [*tasks_at_rest(database), *fires_at_rest(database), *jobs_at_work(database)]
    told = fires_of(database)
    for job in years.plan.jobs:
        fires = told.get(job.job_id, [])
        if job.schedule == "every":
            found = interval_accounted(job, fires, years.ended_at, years.turned)
        else:
            found = accounted(slots_of(job, years.ended_at), fires)
        faults += [f"{job.name}: {one}" for one in found]
    return faults


def fires_of(database: sqlite3.Connection) -> dict[str, list[Told]]:
    """By job, in the order in which they were planned."""
    told: defaultdict[str, list[Told]] = defaultdict(list)
    columns = "job_id, fire_id, slot, state, reason, coalesced_count, covers_through, spans"
    for job_id, fire_id, slot, state, reason, more, through, spans in database.execute(
        f"SELECT {columns} FROM job_fires WHERE slot IS NOT NULL ORDER BY rowid"
    ):
        stretches = tuple((first, last, count) for first, last, count in json.loads(spans or "[]"))
        told[job_id].append(Told(fire_id, slot, state, reason, more, slot if through is None else through, stretches))
    return told


def accounted(slots: Sequence[int], fires: Sequence[Told]) -> Iterator[str]:
    """Every slot is some fire's own or among those it covers, and no other's."""
    seen: Counter[int] = Counter()
    wanted = set(slots)
    for fire in fires:
        if fire.slot not in wanted:
            yield f"{fire.fire_id} has the slot {fire.slot}, which is none"
        covered = [slot for slot in slots if fire.slot <= slot <= fire.through] if fire.more else [fire.slot]
        if len(covered) != fire.more + 1 and fire.spans:
            last = max(last for _, last, _ in fire.spans)
            stretches = [*fire.spans, (last + 1, fire.through, 0)]
            covered = [slot for slot in slots if any(first <= slot <= until for first, until, _ in stretches)]
        if len(covered) != fire.more + 1:
            yield f"{fire.fire_id} says it covers {fire.more} more, and there are {len(covered) - 1}"
        seen.update(covered)
    for slot in slots:
        if seen[slot] != 1:
            yield f"slot {slot} is accounted for {seen[slot]} times"


def interval_accounted(job: JobRow, fires: Sequence[Told], until: int, turned: Sequence[int]) -> Iterator[str]:
    """Slots follow each other without a gap, unless the clock was turned back: then they count from there."""
    interval = parse_duration_ms(job.expression)
    reached = job.created_at
    stretches = [(first, last, fire) for fire in fires for first, last in _stretches(fire)]
    for first, last, fire in stretches:
        if first != reached + interval and not _turned(first - interval, turned):
            yield f"{fire.fire_id} is for {first}, and {reached + interval} was next"
        if (last - first) % interval:
            yield f"{fire.fire_id} covers through {last}, which is no slot of its own grid"
        reached = last
    for fire in fires:
        covered = sum((last - first) // interval + 1 for first, last in _stretches(fire))
        if covered != fire.more + 1 and not any(fire.slot - 1 <= at <= fire.through for at in turned):
            yield f"{fire.fire_id} says it covers {fire.more} more, and there are {covered - 1}"
    if reached + interval <= until and not any(at > reached - interval for at in turned):
        yield f"nothing is known of {reached + interval}"


def _stretches(fire: Told) -> list[tuple[int, int]]:
    return [(first, last) for first, last, _ in fire.spans] or [(fire.slot, fire.through)]


def _turned(anchor: int, turned: Sequence[int]) -> bool:
    return any(at <= anchor <= at + TURNED_SLACK_MS for at in turned)


def fires_at_rest(database: sqlite3.Connection) -> Iterator[str]:
    """All have ended; a skipped one says why; a slot has one fire."""
    open_ones = "state NOT IN ('completed', 'failed', 'cancelled', 'skipped', 'denied')"
    for fire_id, state in database.execute(f"SELECT fire_id, state FROM job_fires WHERE {open_ones}"):
        yield f"fire {fire_id} is {state} still"
    for (fire_id,) in database.execute("SELECT fire_id FROM job_fires WHERE state = 'skipped' AND reason = ''"):
        yield f"nobody knows why fire {fire_id} was skipped"
    doubled = "SELECT job_id, slot FROM job_fires WHERE slot IS NOT NULL GROUP BY 1, 2 HAVING count(*) > 1"
    for job_id, slot in database.execute(doubled):
        yield f"slot {slot} of job {job_id} has two fires"


def jobs_at_work(database: sqlite3.Connection) -> Iterator[str]:
    """Nobody paused one here, and none may be at fault."""
    for name, state, why in database.execute("SELECT name, state, why FROM jobs"):
        if state not in ("active", "exhausted"):
            yield f"job {name} is {state}: {why}"


def tasks_at_rest(database: sqlite3.Connection) -> Iterator[str]:
    """All have ended; what is completed has a completed run and an answer, and what is not has none."""
    for task_id, state in database.execute("SELECT task_id, state FROM tasks WHERE finished_at IS NULL"):
        yield f"task {task_id} is {state} still"
    joined = "FROM tasks LEFT JOIN runs ON run_id = target_run_id"
    for task_id, state, reason, run in database.execute(
        f"SELECT task_id, tasks.state, tasks.reason, runs.state {joined}"
    ):
        if state == "completed" and run != "completed":
            yield f"task {task_id} is completed, and its run is {run}"
        if state != "completed" and run == "completed":
            yield f"task {task_id} is {state} ({reason}), and its run is completed"
    for run_id, state in database.execute("SELECT run_id, state FROM runs WHERE finished_at IS NULL"):
        yield f"run {run_id} is {state} still"
