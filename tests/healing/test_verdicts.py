"""When work is late: strictly beyond its limits, and found without looking at everybody."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.core.clock import ManualClock
from palyra.core.pulse import WorkHeartbeatKind
from palyra.healing.heartbeats import Heartbeats, Key, Limits, limits_of, record_self_healing_heartbeat
from palyra.healing.verdicts import Verdict, Watchdog, due_at, passed_at, verdict
from tests.healing.stage import healing_config

RUN, TASK, APPROVAL = WorkHeartbeatKind.RUN, WorkHeartbeatKind.BACKGROUND_TASK, WorkHeartbeatKind.APPROVAL


def watching(watchdog: Watchdog) -> Callable[[Key], None]:
    def heard(key: Key) -> None:
        watchdog.expect(key)

    return heard


def house(clock: ManualClock) -> Heartbeats:
    return Heartbeats(clock, "boot", limits_of(healing_config()))


@pytest.mark.parametrize(
    ("age", "found"), [(0, Verdict.HEALTHY), (120_000, Verdict.HEALTHY), (120_001, Verdict.SILENT)]
)
def test_a_beat_exactly_at_its_limit_is_healthy(age: int, found: Verdict) -> None:
    clock = ManualClock()
    beats = house(clock)
    beats.record(RUN, "r", "work")
    clock.tick(age / 1000)
    heartbeat = beats.get(RUN, "r")
    assert heartbeat is not None
    limits = beats.limits_for(heartbeat)
    assert verdict(heartbeat, limits, beats.now()) is found
    assert due_at(heartbeat, limits) == 120_001


@pytest.mark.parametrize(("age", "found"), [(300_000, Verdict.HEALTHY), (300_001, Verdict.STALLED)])
def test_beats_without_progress_are_stalled(age: int, found: Verdict) -> None:
    clock = ManualClock()
    beats = house(clock)
    beats.record(RUN, "r", "work", "stream", 7)
    clock.tick(age / 1000)
    beats.record(RUN, "r", "work", "stream", 7)
    heartbeat = beats.get(RUN, "r")
    assert heartbeat is not None
    assert verdict(heartbeat, beats.limits_for(heartbeat), beats.now()) is found
    assert passed_at(heartbeat, beats.limits_for(heartbeat), Verdict.STALLED) == 300_000


@pytest.mark.parametrize(
    "step",
    [
        lambda beats: beats.record(RUN, "r", "work", None, 8),
        lambda beats: beats.record(RUN, "r", "work", "settle", None),
    ],
    ids=["the counter grew", "another phase began"],
)
def test_progress_is_a_larger_counter_or_another_phase(step: Callable[[Heartbeats], None]) -> None:
    clock = ManualClock()
    beats = house(clock)
    beats.record(RUN, "r", "work", "stream", 7)
    clock.tick(200)
    step(beats)
    clock.tick(110)
    heartbeat = beats.get(RUN, "r")
    assert heartbeat is not None
    assert verdict(heartbeat, beats.limits_for(heartbeat), beats.now()) is Verdict.HEALTHY


def test_a_smaller_counter_is_no_progress() -> None:
    clock = ManualClock()
    beats = house(clock)
    beats.record(RUN, "r", "work", "stream", 7)
    clock.tick(10)
    beats.record(RUN, "r", "work", "stream", 3)
    heartbeat = beats.get(RUN, "r")
    assert heartbeat is not None
    assert (heartbeat.progress, heartbeat.last_progress, heartbeat.last_beat) == (7, 0, 10_000)


def test_work_that_waits_for_a_person_is_not_judged_and_starts_anew_afterwards() -> None:
    clock = ManualClock()
    beats = house(clock)
    watchdog = Watchdog(beats)
    beats.on_change(watching(watchdog))
    beats.record(RUN, "r", "work", "park")
    clock.tick(10_000)
    assert watchdog.late(beats.now()) == []
    beats.record(RUN, "r", "work", "plan")
    clock.tick(120)
    assert watchdog.late(beats.now()) == []
    clock.tick(0.001)
    assert [found for _, found in watchdog.late(beats.now())] == [Verdict.SILENT]


def test_a_longer_silence_that_was_announced_is_allowed_and_a_shorter_one_changes_nothing() -> None:
    clock = ManualClock()
    beats = house(clock)
    beats.record(RUN, "r", "work")
    beats.allow_silence(RUN, "r", 630_000)
    patient = beats.get(RUN, "r")
    assert patient is not None
    assert beats.limits_for(patient) == Limits(120_000, 630_000)
    beats.allow_silence(RUN, "r", 60_000)
    usual = beats.get(RUN, "r")
    assert usual is not None
    assert beats.limits_for(usual) == Limits(120_000, 300_000)


def test_summaries_are_short_and_safe() -> None:
    beats = house(ManualClock())
    record_self_healing_heartbeat(beats, RUN, "r", "\x1b[2J" + "x" * 500)
    heartbeat = beats.get(RUN, "r")
    assert heartbeat is not None
    assert heartbeat.summary.startswith("␛[2Jxxx")
    assert len(heartbeat.summary) == 200


def test_the_wall_clock_makes_nothing_older() -> None:
    clock = ManualClock()
    beats = house(clock)
    watchdog = Watchdog(beats)
    beats.record(RUN, "r", "work")
    watchdog.expect((RUN, "r"))
    clock.set_wall(clock.now_ms() + 86_400_000)
    assert watchdog.late(beats.now()) == []


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("beat"), st.sampled_from("abcd"), st.sampled_from([None, 1, 2, 3])),
        st.tuples(st.just("phase"), st.sampled_from("abcd"), st.sampled_from(["park", "stream", "settle"])),
        st.tuples(st.just("clear"), st.sampled_from("abcd"), st.none()),
        st.tuples(st.just("fail"), st.sampled_from("abcd"), st.booleans()),
        st.tuples(st.just("limits"), st.sampled_from("abcd"), st.sampled_from([1_000, 50_000, 700_000])),
        st.tuples(st.just("wait"), st.just(""), st.sampled_from([1, 14_999, 120_000, 120_001, 300_001])),
    ),
    max_size=40,
)


@given(STEPS)
def test_the_queue_finds_exactly_those_that_looking_at_everybody_would(steps: list[tuple[str, str, object]]) -> None:
    clock = ManualClock()
    beats = house(clock)
    watchdog = Watchdog(beats)
    beats.on_change(watching(watchdog))
    for verb, name, what in steps:
        match verb, what:
            case "beat", (int() | None) as progress:
                beats.record(TASK, name, "work", None, progress)
            case "phase", str() as phase:
                beats.record(TASK, name, "work", phase)
            case "clear", _:
                beats.clear(TASK, name)
            case "fail", bool() as failing:
                beats.declare(TASK, name, failing=failing)
            case "limits", int() as silent:
                beats.declare(TASK, name, limits=Limits(silent, silent))
            case "wait", int() as milliseconds:
                clock.tick(milliseconds / 1000)
        now = beats.now()
        every = {
            one.object_id: judged
            for one in beats
            if (judged := verdict(one, beats.limits_for(one), now)) is not Verdict.HEALTHY
        }
        assert {one.object_id: judged for one, judged in watchdog.late(now)} == every
        dues = [
            due
            for one in beats
            if one.object_id not in every and (due := due_at(one, beats.limits_for(one))) is not None
        ]
        assert watchdog.next_due() == min(dues, default=None)
        every_due = {one.object_id: due_at(one, beats.limits_for(one)) for one in beats}
        assert {name: beats.due((TASK, name)) for name in every_due} == every_due
