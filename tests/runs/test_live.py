import asyncio

import pytest

from palyra.core.clock import ManualClock, settle_loop
from palyra.core.events import Event, EventHub
from palyra.core.scope import Scope
from palyra.journal.changes import RunNoted, RunSaved
from palyra.journal.rows import RunRow
from palyra.runs.live import LiveRun, LiveRuns, RunStoppedError
from palyra.runs.states import IllegalMoveError, RunState


def a_row(run_id: str = "01R") -> RunRow:
    return RunRow(
        run_id=run_id,
        boot_id="01B",
        version=1,
        source="gateway",
        scope=Scope("local", "default:k", "k"),
        task_class="primary_interactive",
        wire="chat",
        streaming=False,
        model_asked="auto",
        max_tokens=None,
        input_bytes=10,
        expected_input=3,
        complexity=0.1,
        digest="d",
        state="pending",
        phase="plan",
        reason="",
        message="",
        accepted_at=5,
    )


async def test_asking_to_stop_interrupts_what_is_awaited_with_the_first_reason() -> None:
    run = LiveRun(a_row())

    async def work() -> str:
        try:
            with run.stoppable():
                await asyncio.Event().wait()
        except RunStoppedError as stopped:
            await asyncio.sleep(0)
            return stopped.reason
        return "never"

    task = asyncio.create_task(work())
    await settle_loop()
    assert run.ask_to_stop("by_operator", "maria")
    assert not run.ask_to_stop("client_gone")
    assert await task == "by_operator"
    assert task.cancelling() == 0
    assert (run.stop_reason, run.stopped_by) == ("by_operator", "maria")


async def test_a_stop_asked_for_earlier_takes_effect_at_the_next_place_that_can_be_interrupted() -> None:
    run = LiveRun(a_row())
    run.ask_to_stop("client_gone")
    with pytest.raises(RunStoppedError, match="client_gone"), run.stoppable():
        pytest.fail("nothing may run")


async def test_a_cancellation_from_outside_stays_a_cancellation() -> None:
    run = LiveRun(a_row())

    async def work() -> None:
        with run.stoppable():
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await settle_loop()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_runs_are_alive_until_a_terminal_move_and_everybody_hears_of_it() -> None:
    clock, hub, heard = ManualClock(), EventHub(), list[Event]()
    hub.subscribe(heard.append)
    runs = LiveRuns(clock, hub)
    run = runs.start(a_row())
    runs.move(run, RunState.RUNNING)
    with pytest.raises(IllegalMoveError):
        runs.move(run, RunState.PARKED)
    assert run.row.version == 2
    idle = asyncio.create_task(runs.idle())
    await settle_loop()
    assert not idle.done()
    saved, noted = runs.move(run, RunState.COMPLETED, reason="stop", cost=7)
    await idle
    assert isinstance(saved, RunSaved)
    assert (saved.row.state, saved.row.version, saved.row.cost) == ("completed", 3, 7)
    assert saved.row.finished_at == clock.now_ms()
    assert isinstance(noted, RunNoted)
    assert noted.kind == "run_terminal"
    assert len(runs) == 0
    assert [event.kind for event in heard] == ["run.started", "run.moved", "run.ended"]
