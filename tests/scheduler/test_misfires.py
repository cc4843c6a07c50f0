"""Which slots fire, which are in another's fire, and what a person is asked about."""

from hypothesis import given, settings
from hypothesis import strategies as st

from palyra.scheduler.cron import CronTimes, cron_fields
from palyra.scheduler.misfire import Due, MisfirePlan, plan_misfire
from palyra.scheduler.release import jitter, release_of
from palyra.scheduler.schedule import EveryTimes, Times
from tests.scheduler.rows import T0, a_job

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def plan(
    times: Times, first: int, now: int, *, catch_up: bool = False, max_lateness: int | None = None, jitter_ms: int = 0
) -> MisfirePlan:
    job = a_job(jitter_ms=jitter_ms)
    return plan_misfire(
        times,
        first,
        now,
        catch_up=catch_up,
        max_lateness=max_lateness,
        jitter_ms=jitter_ms,
        release=lambda slot: release_of(job, times, slot),
    )


MINUTELY = EveryTimes(MINUTE, -MINUTE)
DAILY = EveryTimes(DAY, -DAY)


def test_a_slot_in_time_fires_and_the_next_one_follows() -> None:
    assert plan(MINUTELY, 0, 59_999) == MisfirePlan(MINUTE, 0, (Due(0),))


def test_skipped_slots_are_counted_in_one_fire() -> None:
    assert plan(MINUTELY, 0, 600_000) == MisfirePlan(660_000, 600_000, (Due(0, 10, 600_000),))


def test_up_to_three_missed_slots_are_caught_up_on_in_order() -> None:
    found = plan(MINUTELY, 0, 239_999, catch_up=True)
    assert [due.slot for due in found.fires] == [0, 60_000, 120_000, 180_000]
    assert all(due.coalesced == 0 for due in found.fires)
    assert found.next_slot == 240_000


def test_more_missed_slots_become_one_fire() -> None:
    assert plan(MINUTELY, 0, 240_000, catch_up=True) == MisfirePlan(300_000, 240_000, (Due(0, 4, 240_000),))


def test_missed_for_days_is_for_a_person_to_decide() -> None:
    three = plan(DAILY, 0, 3 * DAY, catch_up=True)
    assert [due.slot for due in three.fires] == [0, DAY, 2 * DAY, 3 * DAY]
    four = plan(DAILY, 0, 4 * DAY, catch_up=True)
    assert four == MisfirePlan(5 * DAY, 4 * DAY, review=Due(0, 4, 4 * DAY))
    assert plan(EveryTimes(HOUR, -HOUR), 0, HOUR + DAY, catch_up=True).review is None
    assert plan(EveryTimes(HOUR, -HOUR), 0, HOUR + DAY + 1, catch_up=True).review is not None


def test_slots_that_are_too_late_are_dropped_first() -> None:
    # Exactly as late as it may be is in time.
    assert plan(MINUTELY, 0, 300_000, max_lateness=60_000) == MisfirePlan(
        360_000, 300_000, (Due(240_000, 1, 300_000),), late=Due(0, 3, 180_000)
    )
    assert plan(MINUTELY, 0, 299_999, catch_up=True, max_lateness=1_000) == MisfirePlan(
        300_000, 240_000, late=Due(0, 4, 240_000)
    )


def test_a_last_slot_that_is_too_late_leaves_nothing() -> None:
    only = CronTimes(cron_fields("0 0 1 1 *"), "UTC")
    first = only.after(0)
    assert first is not None
    found = plan(only, first, first + DAY, max_lateness=1_000)
    assert found.fires == ()
    assert found.late == Due(first)
    assert found.next_slot == only.after(first)


def test_a_slot_is_late_by_its_release_and_not_by_its_time() -> None:
    times = EveryTimes(5 * MINUTE, -5 * MINUTE)
    job = a_job(jitter_ms=60_000)
    slot = next(slot for slot in range(0, DAY, 5 * MINUTE) if jitter(job.job_id, slot, 60_000) > 30_000)
    now = release_of(job, times, slot)
    assert plan(times, slot, now, max_lateness=1_000, jitter_ms=60_000).fires == (Due(slot),)
    assert plan(times, slot, now + 1_001, max_lateness=1_000, jitter_ms=60_000).fires == ()


def test_a_month_of_minutes_is_one_fire() -> None:
    times = CronTimes(cron_fields("* * * * *"), "Europe/Prague")
    found = plan(times, T0, T0 + 30 * DAY)
    assert found.fires == (Due(T0, 43_200, T0 + 30 * DAY),)


@given(
    st.integers(1, 500).map(lambda seconds: seconds * 1000),
    st.integers(0, 5 * DAY),
    st.booleans(),
    st.none() | st.integers(1_000, 2 * DAY),
    st.sampled_from((0, 0, 500, 60_000)),
)
@settings(deadline=None)
def test_every_due_slot_is_in_the_plan_once(
    interval: int, late_by: int, catch_up: bool, max_lateness: int | None, jitter_ms: int
) -> None:
    times = EveryTimes(interval, -interval)
    job = a_job(jitter_ms=jitter_ms)
    now = release_of(job, times, 0) + late_by
    found = plan(times, 0, now, catch_up=catch_up, max_lateness=max_lateness, jitter_ms=jitter_ms)
    dealt = [due for due in (found.late, found.review, *found.fires) if due is not None]
    covered: list[int] = []
    for due in sorted(dealt, key=lambda due: due.slot):
        assert times.count(due.slot, due.last) == due.coalesced
        covered += [due.slot, *times.between(due.slot, due.last)]
    assert covered == sorted(set(covered))
    # All from the first up to the next one, and nothing twice.
    assert found.next_slot == times.after(covered[-1])
    assert covered == [0, *times.between(0, covered[-1])]
    assert found.next_slot is not None
    assert found.next_slot == times.after(found.after)
    assert release_of(job, times, found.next_slot) > now or found.next_slot > now


@given(st.integers(0, 60_000), st.integers(0, 10_000))
def test_a_release_lies_within_its_jitter_and_before_the_next_slot(jitter_ms: int, number: int) -> None:
    times = EveryTimes(30_000, 0)
    slot = (number + 1) * 30_000
    job = a_job(jitter_ms=jitter_ms)
    release = release_of(job, times, slot)
    assert slot <= release <= slot + min(jitter_ms, 29_999)
    assert release == release_of(job, times, slot)


def test_jitter_spreads() -> None:
    job = a_job(jitter_ms=60_000)
    times = EveryTimes(300_000, 0)
    found = {release_of(job, times, slot) - slot for slot in range(300_000, 300_000 * 101, 300_000)}
    assert len(found) > 90
    assert max(found) > 50_000
    assert min(found) < 10_000
