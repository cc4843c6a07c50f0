"""A run's heartbeat comes from its worker, and ends with the run."""

import asyncio
from dataclasses import dataclass, field

import pytest

from palyra.core.clock import ManualClock
from palyra.core.events import EventHub
from palyra.core.pulse import WorkHeartbeatKind
from palyra.providers.upstream import Timeouts
from palyra.runs.beating import WorkerPulse, longest_silence_ms
from palyra.runs.live import LiveRun, LiveRuns
from palyra.runs.states import Phase, RunState
from tests.journal.samples import a_run


@dataclass
class Heard:
    """What a run's worker says."""

    beats: list[tuple[str | None, int | None]] = field(default_factory=list)
    live: set[str] = field(default_factory=set)

    def record(
        self,
        kind: WorkHeartbeatKind,
        object_id: str,
        summary: str,
        phase: str | None = None,
        progress: int | None = None,
    ) -> None:
        assert kind is WorkHeartbeatKind.RUN
        assert summary == "gpt-4o-mini for ann@example.com"
        self.beats.append((phase, progress))
        self.live.add(object_id)

    def clear(self, kind: WorkHeartbeatKind, object_id: str) -> None:
        self.live.discard(object_id)

    def allow_silence(self, kind: WorkHeartbeatKind, object_id: str, milliseconds: int) -> None:
        raise AssertionError("nobody asked for it")


def begun() -> tuple[ManualClock, LiveRuns, LiveRun, Heard]:
    clock, heard = ManualClock(), Heard()
    runs = LiveRuns(clock, EventHub())
    runs.pulse = heard
    row = a_run("r1")
    return clock, runs, runs.start(row), heard


def test_phases_and_chunks_beat() -> None:
    _, runs, run, heard = begun()
    runs.touch(run, Phase.LEASE)
    runs.renew(run, phase=Phase.PLAN.value)
    runs.touch(run, input_tokens=5)
    run.advance()
    run.advance()
    assert heard.beats[1:] == [("lease", None), ("plan", None), (None, 1), (None, 2)]


def test_the_end_clears_it_and_a_worker_that_does_not_know_yet_brings_nothing_back() -> None:
    _, runs, run, heard = begun()
    assert heard.live == {"r1"}
    runs.move(run, RunState.CANCELLED, reason="by_operator")
    assert heard.live == set()
    run.advance()
    run.beat()
    assert heard.live == set()


async def test_a_worker_beats_every_fifteen_seconds_for_as_long_as_it_exists() -> None:
    clock, _, run, heard = begun()
    heard.beats.clear()
    told_to_end = asyncio.Event()

    async def work() -> None:
        WorkerPulse(run, clock)
        await told_to_end.wait()

    worker = asyncio.create_task(work())
    await clock.advance(60)
    assert heard.beats == [(None, None)] * 4
    told_to_end.set()
    await worker
    await clock.advance(60)
    assert len(heard.beats) == 4


async def test_a_pulse_that_is_taken_back_beats_no_more() -> None:
    clock, _, run, heard = begun()
    heard.beats.clear()
    pulse = WorkerPulse(run, clock)
    await clock.advance(15)
    pulse.cancel()
    await clock.advance(60)
    assert len(heard.beats) == 1


@pytest.mark.parametrize(
    ("timeouts", "streaming", "allowed"),
    [
        (Timeouts(), True, 155_000),
        (Timeouts(), False, 635_000),
        (Timeouts(first_byte=30, idle=400), True, 435_000),
        (Timeouts(first_byte=900), True, 635_000),
        (Timeouts(connect=None, total=None), False, 3_630_000),
        (Timeouts(connect=None, first_byte=None, idle=None, total=None), True, 3_630_000),
    ],
)
def test_a_run_may_be_silent_as_long_as_its_provider_and_a_little_longer(
    timeouts: Timeouts, streaming: bool, allowed: int
) -> None:
    assert longest_silence_ms(timeouts, streaming=streaming, most_s=3600) == allowed
