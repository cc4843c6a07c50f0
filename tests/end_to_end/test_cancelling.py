"""Stopping runs: by an operator, by time, by a caller who leaves, by the house itself; and work that will not stop."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import openai
import pytest

from palyra.control.commands import CancelRun
from palyra.core.clock import ManualClock
from palyra.providers.credentials import Credential
from palyra.providers.entries import ModelEntry
from palyra.providers.upstream import Progress, UpstreamReply
from palyra.providers.wires import Wire
from palyra.runs.dispatch import Carrier
from palyra.runs.request import RunRequest
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import HELLO, MINI, Premises, chat, events_of
from tests.end_to_end.test_streams import charged, long, read_text, streamed
from tests.gateway.stand_in import Caller, RawAnswer, until
from tests.support.upstream import Reply, Upstream

PLAIN = chat(max_tokens=100)


def asking(here: Premises, body: dict[str, Any] = PLAIN) -> asyncio.Task[RawAnswer]:
    return asyncio.create_task(here.ask(body))


async def hanging(here: Premises, upstream: Upstream) -> str:
    """Waits until the provider has the only request; the run's id."""
    await upstream.wait_for_requests(1)
    (run,) = here.engine.runner.live
    return run.run_id


async def leave(here: Premises, caller: Caller) -> None:
    """Leaves, and waits until the house has begun to count the time it goes on for nobody."""
    clock = here.clock
    assert isinstance(clock, ManualClock)
    armed = clock.waiting
    caller.leave()
    await until(lambda: clock.waiting > armed)


async def dropped(upstream: Upstream) -> None:
    """Waits until the provider sees its caller gone."""
    async with upstream.arrived:
        await upstream.arrived.wait_for(lambda: upstream.seen[0].disconnected)


async def test_an_operator_stops_a_call_that_hangs(here: Premises, upstream: Upstream) -> None:
    upstream.default = Reply(gate=asyncio.Event())
    waiting = asking(here)
    run_id = await hanging(here, upstream)
    started = here.clock.monotonic()
    both = await asyncio.gather(*(here.control.send(CancelRun(run_id)) for _ in range(2)))
    assert [result.status for result in both] == ["accepted", "accepted"]
    answer = await waiting
    assert here.clock.monotonic() == started
    assert (answer.status, answer.error["type"], answer.error["code"]) == (410, "run_cancelled", "run_cancelled")
    assert answer.headers["x-should-retry"] == "false"
    assert "cancelled by ada" in answer.error["message"]
    detail = await here.run()
    assert (detail.run.state, detail.run.reason) == ("cancelled", "by_operator")
    (attempt,) = detail.attempts
    assert (attempt.state, attempt.usage_source, attempt.flags) == ("settled", "uncertain", ("uncertain",))
    assert attempt.actual_nano_usd == detail.run.cost_nano_usd == charged(MINI, 0)
    asked = [note.data for note in detail.notes if note.kind == "cancel_asked"]
    assert asked == [{"reason": "by_operator", "by": "ada"}]
    late = await here.control.send(CancelRun(run_id))
    assert (late.status, "already cancelled" in late.message) == ("conflict", True)
    assert (await here.control.send(CancelRun("01NOTHING"))).status == "not_found"
    assert len(upstream.seen) == 1


async def test_official_clients_do_not_try_again(here: Premises, upstream: Upstream) -> None:
    upstream.default = Reply(gate=asyncio.Event())
    client = here.openai(max_retries=2)
    waiting = asyncio.create_task(client.chat.completions.create(model=MINI, messages=HELLO))
    await here.send(CancelRun(await hanging(here, upstream)))
    with pytest.raises(openai.APIStatusError) as caught:
        await waiting
    assert (caught.value.status_code, len(upstream.seen)) == (410, 1)


async def test_an_operator_stops_a_stream(here: Premises, upstream: Upstream) -> None:
    upstream.default = long(gate=asyncio.Event(), gate_at=12)
    caller = await here.call(streamed(MINI))
    await caller.head()
    await read_text(caller, 120)
    (run,) = here.engine.runner.live
    await here.send(CancelRun(run.run_id))
    rest = b""
    while piece := await caller.chunk():
        rest += piece
    assert events_of(rest)[0]["error"]["type"] == "run_cancelled"
    assert rest.endswith(b"data: [DONE]\n\n")
    await dropped(upstream)
    detail = await here.run()
    assert (detail.run.reason, detail.run.cost_nano_usd) == ("by_operator", charged(MINI, 30))


async def test_a_run_that_takes_too_long_fails(opened: Opener, upstream: Upstream) -> None:
    here = await opened('[runs]\nmax_duration = "30s"\n')
    upstream.default = Reply(gate=asyncio.Event())
    waiting = asking(here)
    await hanging(here, upstream)
    await here.advance(29.9)
    assert not waiting.done()
    await here.advance(0.1)
    answer = await waiting
    assert (answer.status, answer.error["code"]) == (504, "run_timeout")
    run = (await here.run()).run
    assert (run.state, run.reason, run.cost_nano_usd) == ("failed", "run_timeout", charged(MINI, 0))


async def test_a_call_whose_caller_has_left_is_finished_and_charged_as_used(here: Premises, upstream: Upstream) -> None:
    gate = asyncio.Event()
    upstream.default = Reply(gate=gate, input_tokens=20, output_tokens=50)
    caller = await here.call(PLAIN)
    await hanging(here, upstream)
    await leave(here, caller)
    await here.advance(59)
    gate.set()
    detail = await here.run()
    assert (detail.run.state, detail.run.reason) == ("cancelled", "client_gone")
    assert (detail.run.cost_nano_usd, detail.attempts[0].usage_source) == (charged(MINI, 50, 20), "provider")
    assert upstream.seen[0].finished


async def test_it_is_not_waited_for_longer_than_a_minute(here: Premises, upstream: Upstream) -> None:
    upstream.default = Reply(gate=asyncio.Event())
    caller = await here.call(PLAIN)
    await hanging(here, upstream)
    await leave(here, caller)
    await here.advance(60)
    detail = await here.run()
    assert (detail.run.reason, detail.attempts[0].usage_source) == ("client_gone", "uncertain")


async def test_closing_lets_runs_finish_and_ends_those_that_wait(opened: Opener, upstream: Upstream) -> None:
    here = await opened()
    gate = asyncio.Event()
    upstream.default = Reply(gate=gate)
    running = asking(here)
    await upstream.wait_for_requests(1)
    await here.add_budget("desk", "0", action="approval_required")
    parked = asking(here)
    approval = await here.parked()
    draining = asyncio.create_task(here.engine.drain())
    refused = await parked
    assert (refused.status, refused.error["code"], refused.headers["retry-after"]) == (503, "engine_draining", "5")
    new = await here.ask(PLAIN)
    assert (new.status, new.error["code"]) == (503, "engine_draining")
    gate.set()
    assert (await running).status == 200
    await draining
    assert (await here.pending()).approval_id == approval.approval_id
    assert {run.reason for run in await here.runs()} == {"stop", "engine_stopping"}


async def test_closing_stops_at_the_meter_what_does_not_finish(opened: Opener, upstream: Upstream) -> None:
    here = await opened()
    upstream.default = long(gate=asyncio.Event(), gate_at=12)
    caller = await here.call(streamed(MINI))
    await caller.head()
    await read_text(caller, 120)
    draining = asyncio.create_task(here.engine.drain())
    await here.advance(9.9)
    assert not draining.done()
    await here.advance(0.1)
    await draining
    rest = b""
    while piece := await caller.chunk():
        rest += piece
    assert events_of(rest)[0]["error"]["code"] == "engine_draining"
    run = (await here.run()).run
    assert (run.state, run.reason, run.cost_nano_usd) == ("cancelled", "engine_stopping", charged(MINI, 30))


class Stubborn:
    """A carrier that does not let go of a call until it is told to, whoever asks."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        self.release = asyncio.Event()
        self.holding = asyncio.Event()

    async def send(
        self,
        entry: ModelEntry,
        wire: Wire,
        body: bytes,
        headers: Mapping[str, str],
        *,
        stream: bool,
        progress: Progress,
        credential: Credential | None = None,
    ) -> UpstreamReply:
        progress.written = True
        self.holding.set()
        while not self.release.is_set():
            try:
                await self.release.wait()
            except asyncio.CancelledError:
                continue
        return await self._carrier.send(entry, wire, body, headers, stream=stream, progress=progress)


async def test_work_that_will_not_stop_is_ended_over_its_head(
    here: Premises, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    dispatcher = here.engine.runner._dispatcher
    stubborn = Stubborn(dispatcher._carrier)
    monkeypatch.setattr(dispatcher, "_carrier", stubborn)
    waiting = asking(here)
    await stubborn.holding.wait()
    (live,) = here.engine.runner.live
    await here.send(CancelRun(live.run_id))
    await here.advance(1.4)
    assert len(here.engine.runner.live) == 1
    await here.advance(0.1)
    assert len(here.engine.runner.live) == 0
    before = await here.run()
    assert (before.run.state, before.run.reason) == ("cancelled", "by_operator")
    assert before.run.cost_nano_usd == charged(MINI, 0)
    stubborn.release.set()
    answer = await waiting
    assert (answer.status, here.engine.runner.late_terminal_writes) == (410, 1)
    after = await here.run()
    assert after.run == before.run
    assert after.attempts == before.attempts
    (late,) = [note.data for note in after.notes if note.kind == "late_usage"]
    assert late == {"input": 12, "output": 4, "usage_source": "provider"}
    assert (await here.ask(PLAIN)).status == 200


@pytest.mark.parametrize("late_s", [0.0, 2.0])
async def test_what_is_stopped_while_it_is_read_holds_nothing(
    here: Premises, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, late_s: float
) -> None:
    """A long body is read in a thread, and may still be when the run is ended over its worker's head."""
    reading, read = asyncio.Event(), asyncio.Event()

    async def slowly(_request: RunRequest, work: Callable[[], float]) -> float:
        reading.set()
        await read.wait()
        return work()

    monkeypatch.setattr("palyra.runs.execution.worked_out", slowly)
    waiting = asking(here)
    await reading.wait()
    (live,) = here.engine.runner.live
    await here.send(CancelRun(live.run_id))
    await here.advance(late_s)
    assert len(here.engine.runner.live) == (late_s == 0)
    read.set()
    answer = await waiting
    assert (answer.status, answer.error["code"]) == (410, "run_cancelled")
    await here.rest()
    assert here.engine.ledger.open_holds() == ()
    assert upstream.seen == []
    await here.check()


async def test_a_journal_that_stalls_does_not_keep_a_run_alive(here: Premises, upstream: Upstream) -> None:
    writer = here.engine.journal._writer.gate()
    await writer.reached
    waiting = asking(here)
    await here.until(lambda: any(run.state == "running" for run in here.engine.runner.live))
    (live,) = here.engine.runner.live
    cancelling = asyncio.create_task(here.control.send(CancelRun(live.run_id)))
    await here.advance(1.5)
    assert len(here.engine.runner.live) == 0
    writer.passed.set_result(None)
    assert (await cancelling).ok
    answer = await waiting
    assert answer.status == 410
    assert upstream.seen == []
    detail = await here.run()
    assert (detail.run.reason, [attempt.state for attempt in detail.attempts]) == ("by_operator", ["released"])
