import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from palyra.core.clock import ManualClock
from palyra.runs.request import Client, ClientGoneError, Outcome, Refusal, RunRequest
from tests.gateway.stand_in import AUTHORISED, CHAT, MESSAGES, RUN_ID, StandInHouse, plain, report, serving, until

PATH = "/v1/chat/completions"
STREAM = {**CHAT, "stream": True}
DENIED = Refusal(402, "budget_denied", "budget_denied", "Denied by ops.", {"run_id": RUN_ID, "approval_id": "01KAPP"})
DONE = Outcome(report(), "completed", "stop")


async def test_every_piece_reaches_the_caller_as_it_was_before_the_next_is_made() -> None:
    pieces = [b"data: {}\n\n", b": note\r\n", b"da", b"ta: \xff\xfe\n\n", b"data: [DONE]\n\n"]
    seen = asyncio.Queue[bytes]()

    async def script(request: RunRequest, client: Client) -> Outcome:
        await client.begin(report(model="stub/one", attempts=1), {"Content-Type": "text/event-stream; charset=utf-8"})
        for piece in pieces:
            await client.write(piece)
            assert await seen.get() == piece
        return DONE

    async with serving() as door:
        door.runner.script = script
        caller = await door.caller()
        caller.request("POST", PATH, AUTHORISED, STREAM)
        head = await caller.head()
        for _ in pieces:
            seen.put_nowait(await caller.chunk())
        end = await caller.chunk()
        caller.request("GET", "/healthz")
        after = await caller.answer()
    assert (head.status, end, after.status) == (200, b"", 200)
    assert head.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert head.headers["x-palyra-model"] == "stub/one"
    assert head.headers["x-request-id"] == head.headers["x-palyra-run"] == RUN_ID
    assert "x-palyra-cost-usd" not in head.headers


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=300), max_size=8))
async def test_the_bytes_of_a_stream_are_unchanged(pieces: list[bytes]) -> None:
    async def script(request: RunRequest, client: Client) -> Outcome:
        await client.begin(report(), {})
        for piece in pieces:
            await client.write(piece)
        return DONE

    async with serving() as door:
        door.runner.script = script
        answer = await door.ask("POST", PATH, None, STREAM)
    assert answer.body == b"".join(pieces)


async def test_a_stream_in_the_old_protocol_ends_with_the_connection() -> None:
    async def script(request: RunRequest, client: Client) -> Outcome:
        await client.begin(report(), {})
        await client.write(b"data: 1\n\n")
        return DONE

    async with serving() as door:
        door.runner.script = script
        caller = await door.caller()
        body = json.dumps(STREAM).encode()
        fields = {**AUTHORISED, "Host": "localhost", "Content-Type": "application/json", "Content-Length": len(body)}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        caller.send(f"POST {PATH} HTTP/1.0\r\n{lines}\r\n".encode() + body)
        answer = await caller.answer()
    assert "transfer-encoding" not in answer.headers
    assert answer.body == b"data: 1\n\n"


async def test_a_parked_stream_is_kept_alive_with_comments_and_then_goes_on() -> None:
    async def script(request: RunRequest, client: Client) -> Outcome:
        assert not client.streaming
        for _ in range(3):
            await client.parked(report(approval_id="01KAPP"))
            assert client.streaming
        await client.begin(report(model="stub/one"), {"content-type": "text/event-stream"})
        await client.write(b"data: 1\n\n")
        return DONE

    async with serving() as door:
        door.runner.script = script
        answer = await door.ask("POST", PATH, None, STREAM)
    assert answer.status == 200
    assert answer.headers["x-palyra-approval"] == "01KAPP"
    assert answer.body == b": palyra parked approval=01KAPP\n\n" * 3 + b"data: 1\n\n"


@pytest.mark.parametrize(("path", "body"), [(PATH, STREAM), ("/v1/messages", {**MESSAGES, "stream": True})])
async def test_a_refusal_before_the_stream_is_an_ordinary_error(path: str, body: dict[str, object]) -> None:
    async def script(request: RunRequest, client: Client) -> Outcome:
        return Outcome(report(approval_id="01KAPP"), "refused", "budget_denied", refusal=DENIED)

    async with serving() as door:
        door.runner.script = script
        answer = await door.ask("POST", path, None, body)
    assert (answer.status, answer.headers["content-type"]) == (402, "application/json")
    assert answer.error["palyra"]["approval_id"] == "01KAPP"


async def test_a_refusal_on_a_started_stream_is_its_last_event() -> None:
    async def script(request: RunRequest, client: Client) -> Outcome:
        await client.parked(report(approval_id="01KAPP"))
        return Outcome(report(), "refused", "budget_denied", refusal=DENIED)

    async with serving() as door:
        door.runner.script = script
        openai = await door.ask("POST", PATH, None, STREAM)
        anthropic = await door.ask("POST", "/v1/messages", None, {**MESSAGES, "stream": True})
    comment, event, done, rest = openai.body.split(b"\n\n")
    assert (comment, done, rest) == (b": palyra parked approval=01KAPP", b"data: [DONE]", b"")
    error = json.loads(event.removeprefix(b"data: "))["error"]
    assert (error["type"], error["palyra"]["run_id"]) == ("budget_denied", RUN_ID)
    assert b"event: error\ndata: " in anthropic.body
    assert b"[DONE]" not in anthropic.body
    last = json.loads(anthropic.body.rsplit(b"data: ", 1)[1])
    assert (last["type"], last["error"]["type"], last["request_id"]) == ("error", "budget_denied", RUN_ID)


async def test_a_stream_that_breaks_inside_palyra_ends_the_connection_without_an_end_mark() -> None:
    async def script(request: RunRequest, client: Client) -> Outcome:
        await client.begin(report(), {})
        await client.write(b"data: 1\n\n")
        raise RuntimeError("a fault of ours")

    async with serving() as door:
        door.runner.script = script
        caller = await door.caller()
        caller.request("POST", PATH, AUTHORISED, STREAM)
        await caller.head()
        assert await caller.chunk() == b"data: 1\n\n"
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await caller.chunk()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_caller_that_leaves_is_noticed_at_once(stream: bool) -> None:
    gone, waiting = asyncio.Event(), asyncio.Event()

    async def script(request: RunRequest, client: Client) -> Outcome:
        client.on_gone(gone.set)
        if stream:
            await client.begin(report(), {})
        assert not client.gone
        waiting.set()
        await gone.wait()
        assert client.gone
        with pytest.raises(ClientGoneError):
            await client.write(b"late")
        late = asyncio.Event()
        client.on_gone(late.set)
        assert late.is_set()
        return Outcome(report(), "cancelled", "client_gone")

    async with serving() as door:
        door.runner.script = script
        caller = await door.caller()
        caller.request("POST", PATH, AUTHORISED, STREAM if stream else CHAT)
        await waiting.wait()
        caller.close()
        await gone.wait()
        await until(lambda: door.gateway.running == 0)
        door.runner.script = None
        assert (await door.ask("POST", PATH, None, CHAT)).status == 200


async def test_a_caller_that_closes_its_sending_side_counts_as_gone() -> None:
    gone, waiting = asyncio.Event(), asyncio.Event()

    async def script(request: RunRequest, client: Client) -> Outcome:
        client.on_gone(gone.set)
        waiting.set()
        await gone.wait()
        return Outcome(report(), "cancelled", "client_gone")

    async with serving() as door:
        door.runner.script = script
        caller = await door.caller()
        caller.request("POST", PATH, AUTHORISED, CHAT)
        await waiting.wait()
        caller.writer.write_eof()
        await gone.wait()


async def test_the_departure_of_one_request_is_not_told_to_the_next() -> None:
    told: list[str] = []

    async def script(request: RunRequest, client: Client) -> Outcome:
        client.on_gone(lambda: told.append(request.parsed.data["user"]))
        return plain()

    async with serving() as door:
        door.runner.script = script
        caller = await door.caller()
        for name in ("first", "second"):
            caller.request("POST", PATH, AUTHORISED, {**CHAT, "user": name})
            await caller.answer()
        caller.leave()
        await door.ask("GET", "/healthz")
    assert told == []


BUFFER = 64 * 1024
PIECE = b"x" * 16_384


async def flood(client: Client, written: list[int]) -> None:
    await client.begin(report(), {})
    while True:
        await client.write(PIECE)
        written.append(len(PIECE))


async def held_up(written: list[int]) -> int:
    """How much had been written when writing stopped."""
    before = -1
    while before != len(written):
        before = len(written)
        for _ in range(200):
            await asyncio.sleep(0)
    return sum(written)


async def test_a_slow_caller_holds_up_the_stream_and_sets_it_free_again() -> None:
    written: list[int] = []

    async def script(request: RunRequest, client: Client) -> Outcome:
        await flood(client, written)
        return DONE

    async with serving(StandInHouse(stream_buffer=BUFFER)) as door:
        door.runner.script = script
        caller = await door.caller()
        caller.writer.transport.pause_reading()  # type: ignore[attr-defined]
        caller.request("POST", PATH, AUTHORISED, STREAM)
        await until(lambda: len(written) > 0)
        first = await held_up(written)
        assert first < 16 * 1024 * 1024
        caller.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await caller.head()
        for _ in range(first // len(PIECE)):
            assert await caller.chunk() == PIECE
        await until(lambda: sum(written) > first)
        caller.leave()
        await until(lambda: door.gateway.running == 0)


async def test_a_caller_that_takes_nothing_for_the_stall_time_counts_as_gone() -> None:
    clock, written, ended = ManualClock(), list[int](), asyncio.Event()

    async def script(request: RunRequest, client: Client) -> Outcome:
        gone = asyncio.Event()
        client.on_gone(gone.set)
        with pytest.raises(ClientGoneError):
            await flood(client, written)
        await gone.wait()
        ended.set()
        return Outcome(report(), "cancelled", "client_gone")

    async with serving(StandInHouse(stream_buffer=BUFFER), clock) as door:
        door.runner.script = script
        caller = await door.caller()
        caller.writer.transport.pause_reading()  # type: ignore[attr-defined]
        caller.request("POST", PATH, AUTHORISED, STREAM)
        await until(lambda: clock.waiting == 1)
        await held_up(written)
        await clock.advance(59)
        assert not ended.is_set()
        await clock.advance(2)
        await ended.wait()


async def test_a_large_plain_answer_nobody_takes_does_not_hold_the_connection_for_ever() -> None:
    clock = ManualClock()

    async def script(request: RunRequest, client: Client) -> Outcome:
        return plain(b"x" * 20_000_000)

    async with serving(StandInHouse(), clock) as door:
        door.runner.script = script
        caller = await door.caller()
        caller.writer.transport.pause_reading()  # type: ignore[attr-defined]
        caller.request("POST", PATH, AUTHORISED, CHAT)
        await until(lambda: clock.waiting == 1)
        await clock.advance(61)
        caller.writer.transport.resume_reading()  # type: ignore[attr-defined]
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await caller.answer()
