"""After the loop or the machine stood still nobody is judged for a while, and nobody is spared for ever."""

import pytest

from palyra.core.pulse import WorkHeartbeatKind
from palyra.healing.suspension import Suspension
from tests.healing.conftest import Staged
from tests.healing.stage import RUN, Stage, healing_config

KEY = (WorkHeartbeatKind.RUN, "r1")


def test_a_verdict_waits_until_the_quiet_time_is_over() -> None:
    quiet = Suspension()
    assert not quiet.defers(KEY, 0)
    quiet.disturbed(1_000, 0)
    assert quiet.defers(KEY, 1_000)
    assert quiet.defers(KEY, 30_999)
    assert not quiet.defers(KEY, 31_000)


def test_one_verdict_waits_a_minute_in_all_however_often_it_is_disturbed() -> None:
    quiet = Suspension()
    for at in range(0, 60_000, 20_000):
        quiet.disturbed(at, 0)
        assert quiet.defers(KEY, at)
    assert quiet.defers(KEY, 59_999)
    assert not quiet.defers(KEY, 60_000)


def test_time_that_was_lost_is_no_time_in_which_it_waited() -> None:
    quiet = Suspension()
    quiet.disturbed(0, 0)
    assert quiet.defers(KEY, 0)
    quiet.disturbed(70_000, 70_000)
    assert quiet.defers(KEY, 70_000)


def test_who_beats_again_starts_to_wait_anew() -> None:
    quiet = Suspension()
    quiet.disturbed(0, 0)
    assert quiet.defers(KEY, 0)
    quiet.keep(set(), 10_000)
    quiet.disturbed(50_000, 0)
    assert quiet.defers(KEY, 50_000)
    assert quiet.defers(KEY, 79_999)


async def lost(stage: Stage) -> int | None:
    """Lets a run that hangs meet its limit; how long past that it was found, in ms."""
    for waited in range(0, 90_000, 500):
        if stage.incident_of("r1") is not None:
            return waited
        await stage.pass_time(500)
    return None


@pytest.mark.parametrize(("stalled", "suspended"), [(0.9, False), (1.0, True), (60, True)])
async def test_a_stall_of_a_second_suspends_verdicts_for_half_a_minute(
    staged: Staged, stalled: float, suspended: bool
) -> None:
    stage = await staged(healing_config("observe_only"))
    stage.beat("r1")
    await stage.pass_time(120_000 - 500)
    stage.clock.tick(stalled)
    await stage.pass_time(1_000)
    waited = await lost(stage)
    assert waited is not None
    assert (waited >= 28_500) is suspended
    assert waited <= 31_000


async def test_a_machine_that_slept_or_a_clock_that_was_set_suspends_verdicts(staged: Staged) -> None:
    stage = await staged(healing_config("observe_only"))
    stage.beat("r1")
    await stage.pass_time(119_000)
    stage.clock.set_wall(stage.clock.now_ms() + 3_600_000)
    await stage.pass_time(2_000)
    assert stage.incidents() == []
    assert stage.healing.watch.suspended_until is not None
    await stage.pass_time(30_000)
    assert len(stage.incidents()) == 1
    assert stage.healing.watch.suspended_until is None


async def test_who_was_found_late_before_stays_so(staged: Staged) -> None:
    stage = await staged(healing_config("observe_only"))
    stage.beat("r1")
    await stage.pass_time(121_000)
    stage.clock.tick(60)
    await stage.pass_time(20_000)
    assert len(stage.incidents()) == 1


async def test_the_loop_judges_nobody_when_it_is_first_to_run_after_a_stall(staged: Staged) -> None:
    """Somebody tells a condition in the very moment in which the loop turns again, before lateness was measured."""
    stage = await staged(healing_config("auto"))
    stage.beat("r1")
    await stage.pass_time(100_000)
    stage.clock.tick(60)
    stage.healing.look(regular=False)
    assert stage.incidents() == []
    stage.beat("r1")
    await stage.pass_time(60_000)
    assert stage.events == []
    assert stage.healing.heartbeats.get(RUN, "r1") is not None
