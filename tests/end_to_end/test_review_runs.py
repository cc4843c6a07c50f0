"""Providers that answer oddly and callers that leave early: every hold ends, charged for what was really used."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from aiohttp import web

from palyra.core.clock import ManualClock
from palyra.journal.changes import Change, Metered
from palyra.journal.writer import UnitRefusedError
from palyra.providers import rewrite
from palyra.runs import execution, planned, planning
from tests.end_to_end.premises import Premises, chat, message
from tests.gateway.stand_in import Caller, until
from tests.support.upstream import Reply, Upstream, stream_anthropic, stream_openai

BUDGET = {"interval_kind": "lifetime"}


class OddUpstream(Upstream):
    """Answers with these very bytes, and may leave the body of a stream open or wait with a plain one."""

    def __init__(self) -> None:
        super().__init__()
        self.body = b""
        self.frames: list[bytes] = []
        self.stays_open: asyncio.Event | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        seen = await self._note(request)
        if not seen.json.get("stream"):
            if self.stays_open is not None:
                await self.stays_open.wait()
            return web.Response(body=self.body, content_type="application/json")
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        if not self.frames:
            reply = Reply(pieces=("word " * 40,), input_tokens=12, output_tokens=10)
            frames = stream_anthropic if request.path.endswith("/messages") else stream_openai
            self.frames = [frame async for frame in frames(seen.json, reply) if frame is not None]
        for frame in self.frames:
            await response.write(frame)
        if self.stays_open is not None:
            await self.stays_open.wait()
        await response.write_eof()
        return response


@pytest.fixture
async def upstream() -> AsyncIterator[OddUpstream]:
    async with OddUpstream().serving() as serving:
        assert isinstance(serving, OddUpstream)
        yield serving


def chunk(**fields: Any) -> bytes:
    return (
        b"data: "
        + json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, **fields}).encode()
        + b"\n\n"
    )


def says(text: str, finish: str | None = None) -> bytes:
    return chunk(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": finish}])


NOT_A_NUMBER = b'{"prompt_tokens":NaN,"completion_tokens":1e400,"total_tokens":3}'
PLAIN = (
    b'{"id":"x","model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},'
    b'"finish_reason":"stop"}],"usage":%s}' % NOT_A_NUMBER
)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
async def test_usage_that_json_does_not_know_is_settled_and_kept(
    here: Premises, upstream: OddUpstream, stream: bool
) -> None:
    upstream.body = PLAIN
    upstream.frames = [
        says("hi", "stop"),
        b'data: {"id":"c","choices":[],"usage":%s}\n\n' % NOT_A_NUMBER,
        b"data: [DONE]\n\n",
    ]
    await here.add_budget("b", "10", **BUDGET)
    assert (await here.ask(chat(stream=stream))).status == 200
    detail = await here.run()
    assert (detail.run.state, detail.attempts[0].state) == ("completed", "settled")
    budget = await here.budget("b")
    assert (budget.settled, budget.held) == (detail.run.cost_nano_usd, 0)
    assert budget.settled > 0


async def read_until(caller: Caller, mark: bytes) -> bytes:
    data = b""
    while mark not in data:
        data += await caller.reader.read(65536)
    return data


@pytest.mark.parametrize(
    ("body", "mark"),
    [
        (chat(stream=True), b"[DONE]"),
        (chat(stream=True, stream_options={"include_usage": True}), b"[DONE]"),
        (message(stream=True), b"message_stop"),
    ],
    ids=["chat", "chat with usage", "messages"],
)
async def test_who_leaves_at_the_end_of_an_answer_has_been_served(
    here: Premises, upstream: OddUpstream, body: dict[str, Any], mark: bytes
) -> None:
    upstream.stays_open = asyncio.Event()
    caller = await here.call(body)
    await read_until(caller, mark + (b'"}\n\n' if mark != b"[DONE]" else b"\n\n"))
    caller.close()
    detail = await here.run()
    assert (detail.run.state, detail.run.input_tokens, detail.run.output_tokens) == ("completed", 12, 10)
    assert detail.attempts[0].usage_source == "provider"


async def test_a_body_left_open_after_the_answer_keeps_nobody_waiting(here: Premises, upstream: OddUpstream) -> None:
    upstream.stays_open = asyncio.Event()
    caller = await here.call(chat(stream=True))
    await read_until(caller, b"[DONE]\n\n\r\n")
    await here.advance(0.25)
    assert await read_until(caller, b"0\r\n\r\n") == b"0\r\n\r\n"
    detail = await here.run()
    assert (detail.run.state, detail.run.reason, detail.run.output_tokens) == ("completed", "stop", 10)


async def test_nothing_is_passed_on_after_the_end_of_an_answer(here: Premises, upstream: OddUpstream) -> None:
    answer = says("hi", "stop") + b"data: [DONE]\n\n"
    upstream.frames = [answer + says("MORE " * 5000) + b"data: [DONE]\n\n", says("AND MORE")]
    assert (await here.ask(chat(stream=True))).body == answer
    assert (await here.run()).run.output_tokens == 1


@pytest.mark.parametrize("final", [True, False])
async def test_usage_of_the_whole_answer_stands_also_when_the_end_mark_is_never_sent(
    here: Premises, upstream: OddUpstream, final: bool
) -> None:
    usage = {"prompt_tokens": 12, "completion_tokens": 10, "total_tokens": 22}
    upstream.frames = [says("word " * 40, "stop" if final else None), chunk(choices=[], usage=usage)]
    upstream.stays_open = asyncio.Event()
    caller = await here.call(chat(stream=True, stream_options={"include_usage": True}))
    await read_until(caller, b'"total_tokens": 22')
    caller.close()
    detail = await here.run()
    assert (detail.run.state, detail.run.reason) == ("cancelled", "client_gone")
    assert detail.run.output_tokens == (10 if final else 50)


async def test_a_plain_call_is_not_sent_once_its_caller_has_left(here: Premises, upstream: OddUpstream) -> None:
    gate = here.engine.journal._writer.gate()
    caller = await here.call(chat())
    await here.until(lambda: any(run.attempt for run in here.engine.runner.live))
    (run,) = here.engine.runner.live
    caller.close()
    await until(lambda: bool(run.stop_reason))
    gate.passed.set_result(None)
    detail = await here.run()
    assert (detail.run.state, detail.run.reason, detail.run.cost_nano_usd) == ("cancelled", "client_gone", 0)
    assert detail.attempts[0].state == "released"
    assert upstream.seen == []


async def test_a_plain_call_under_way_is_finished_for_who_has_left(here: Premises, upstream: OddUpstream) -> None:
    upstream.body = json.dumps({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}).encode()
    upstream.stays_open = asyncio.Event()
    await here.rest()
    clock = here.clock
    assert isinstance(clock, ManualClock)
    idle = far_off(clock)
    caller = await here.call(chat())
    await upstream.wait_for_requests(1)
    armed = clock.waiting
    caller.close()
    await until(lambda: clock.waiting > armed)
    (run,) = here.engine.runner.live
    assert not run.stop_reason
    upstream.stays_open.set()
    detail = await here.run()
    assert (detail.run.state, detail.run.reason, detail.run.output_tokens) == ("cancelled", "client_gone", 4)
    # Neither the run's own limit nor the one for who has left waits on.
    assert far_off(clock) <= idle


def far_off(clock: ManualClock) -> int:
    """How many timers wait for a minute at least."""
    return sum(not timer.cancelled and due >= 60_000 for due, _, timer in clock._timers)


async def test_a_reading_the_journal_refuses_does_not_keep_others_from_being_metered(
    here: Premises, upstream: OddUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.frames = [says("word " * 40)]
    upstream.stays_open = asyncio.Event()
    callers = [await here.call(chat(stream=True)) for _ in range(2)]
    for caller in callers:
        await read_until(caller, b"word")
    refused, kept = (run.attempt.hold.hold_id for run in here.engine.runner.live if run.attempt)
    submit, metered = here.engine.journal.submit, set[str]()

    def picky(unit: Sequence[Change], **how: Any) -> "asyncio.Future[None]":
        holds = {change.hold_id for change in unit if isinstance(change, Metered)}
        if refused not in holds:
            metered.update(holds)
            return submit(unit, **how)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.set_exception(UnitRefusedError("refused"))
        return future

    monkeypatch.setattr(here.engine.journal, "submit", picky)
    await here.advance(0.5)
    assert metered == {kept}
    upstream.frames.append(says("more"))
    for caller in callers:
        caller.close()
    await here.rest()


async def test_a_large_body_is_worked_through_in_a_thread_and_only_once(
    here: Premises, upstream: OddUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.body = json.dumps({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}).encode()
    threads: list[tuple[str, bool]] = []
    loop = threading.get_ident()

    def watched(name: str, work: Any) -> Any:
        def watch(*args: Any, **fields: Any) -> Any:
            threads.append((name, threading.get_ident() == loop))
            return work(*args, **fields)

        return watch

    monkeypatch.setattr(execution, "complexity_of", watched("complexity", planning.complexity_of))
    monkeypatch.setattr(planned, "upstream_body", watched("body", rewrite.upstream_body))
    await here.add_budget("desk", "0", action="approval_required")
    for size, here_and_now in ((300_000, False), (3, True)):
        threads.clear()
        asked = asyncio.create_task(here.ask(chat(messages=[{"role": "user", "content": "x" * size}])))
        approval = await here.parked()
        await here.allow(approval.approval_id)
        assert (await asked).status == 200
        assert threads == [("complexity", here_and_now), ("body", here_and_now)]
