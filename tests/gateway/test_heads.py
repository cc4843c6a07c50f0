import asyncio
import json

import pytest

from palyra.core.clock import ManualClock, settle_loop
from palyra.runs.request import Client, Outcome, RunRequest
from tests.gateway.stand_in import AUTHORISED, CHAT, TOKEN, Door, StandInHouse, plain, serving, until

BODY = json.dumps(CHAT).encode()
HEAD = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n".encode()
JSON = b"Content-Type: application/json\r\n"
WHOLE = HEAD + JSON + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


def chunks(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)


SMUGGLED = {
    "length and chunks": HEAD + JSON + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks(BODY),
    "chunks and length": HEAD + JSON + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + chunks(BODY),
    "two lengths": HEAD + JSON + b"Content-Length: 4\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY,
    "a list of lengths": HEAD + JSON + b"Content-Length: 4, 4\r\n\r\n" + BODY,
    "a signed length": HEAD + JSON + b"Content-Length: +4\r\n\r\n" + BODY,
    "a hexadecimal length": HEAD + JSON + b"Content-Length: 0x4\r\n\r\n" + BODY,
    "a length beyond 64 bits": HEAD + JSON + b"Content-Length: 99999999999999999999999\r\n\r\n" + BODY,
    "chunked twice": HEAD + JSON + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + chunks(BODY),
    "two transfer encodings": HEAD
    + JSON
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"
    + chunks(BODY),
    "chunked not last": HEAD + JSON + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + chunks(BODY),
    "an unknown transfer encoding": HEAD + JSON + b"Transfer-Encoding: xchunked\r\n\r\n" + chunks(BODY),
    "a space before the colon": HEAD + JSON + b"Content-Length : 4\r\n\r\n" + BODY,
    "a folded header": HEAD + JSON + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + chunks(BODY),
    "a null in a header": HEAD + JSON + b"X-A: a\x00b\r\nContent-Length: 4\r\n\r\n" + BODY,
    "a bare carriage return": HEAD + JSON + b"X-A: a\rContent-Length: 4\r\nContent-Length: 5\r\n\r\n" + BODY,
    "two hosts": HEAD + b"Host: evil.example\r\n" + JSON + b"Content-Length: 4\r\n\r\n" + BODY,
    "no host": b"POST /v1/chat/completions HTTP/1.1\r\n" + JSON + b"Content-Length: 4\r\n\r\n" + BODY,
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "an unknown method": b"FROB /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "an unknown version": b"GET /healthz HTTP/4.2\r\nHost: localhost\r\n\r\n",
    "a bare line": b"hello\r\n\r\n",
    "chunks in an old protocol": b"POST /v1/chat/completions HTTP/1.0\r\nHost: localhost\r\n"
    + JSON
    + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
    + chunks(BODY),
}


@pytest.mark.parametrize("data", SMUGGLED.values(), ids=SMUGGLED.keys())
async def test_a_request_two_servers_could_read_differently_is_refused_and_the_connection_ends(data: bytes) -> None:
    async with serving() as door:
        caller = await door.caller()
        caller.send(data + WHOLE)
        answer = await caller.answer()
        closed = await caller.ended()
    assert 400 <= answer.status < 500
    assert answer.error["type"]
    assert closed
    assert door.runner.asked == []


async def test_requests_sent_without_waiting_are_answered_in_order() -> None:
    order: list[str] = []

    async def script(request: RunRequest, client: Client) -> Outcome:
        order.append(request.parsed.data["user"])
        return plain(request.parsed.data["user"].encode())

    async with serving() as door:
        door.runner.script = script
        caller = await door.caller()
        for name in "abc":
            caller.request("POST", "/v1/chat/completions", AUTHORISED, {**CHAT, "user": name})
        answers = [(await caller.answer()).body for _ in "abc"]
    assert answers == [b"a", b"b", b"c"]
    assert order == ["a", "b", "c"]


@pytest.mark.parametrize("size", [1, 7, 4096])
async def test_a_request_may_arrive_in_any_pieces(size: int) -> None:
    async with serving() as door:
        caller = await door.caller()
        for start in range(0, len(WHOLE), size):
            caller.send(WHOLE[start : start + size])
            await asyncio.sleep(0)
        answer = await caller.answer()
    assert answer.status == 200


async def test_the_old_protocol_is_answered_and_closed() -> None:
    async with serving() as door:
        caller = await door.caller()
        caller.send(WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0"))
        answer = await caller.answer()
        closed = await caller.ended()
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert closed


@pytest.mark.parametrize(("length", "status"), [(4096, 404), (4097, 414), (60_000, 414)])
async def test_an_address_has_a_largest_length(length: int, status: int) -> None:
    async with serving() as door:
        answer = await door.ask("GET", "/" + "a" * (length - 1))
    assert answer.status == status
    if status == 414:
        assert answer.error["code"] == "url_too_long"


def headers_of(size: int, door_host: str) -> dict[str, str]:
    """Headers that take exactly this many bytes on the wire, the Host line included."""
    used = len("Host") + len(door_host) + 4 + sum(len(n) + len(v) + 4 for n, v in AUTHORISED.items())
    return {**AUTHORISED, "X-Pad": "p" * (size - used - len("X-Pad") - 4)}


@pytest.mark.parametrize(("size", "status"), [(16_384, 200), (16_385, 431), (200_000, 431)])
async def test_headers_have_a_largest_size(size: int, status: int) -> None:
    async with serving() as door:
        caller = await door.caller()
        caller.request("GET", "/v1/models", headers_of(size, caller.host))
        answer = await caller.answer()
    assert answer.status == status
    if status == 431:
        assert answer.error["code"] == "headers_too_large"


async def test_many_small_headers_count_like_one_large_one() -> None:
    async with serving() as door:
        few = await door.ask("GET", "/v1/models", {**AUTHORISED, **{f"X-{index}": "v" for index in range(1000)}})
        many = await door.ask("GET", "/v1/models", {**AUTHORISED, **{f"X-{index}": "v" for index in range(3000)}})
    assert (few.status, many.status) == (200, 431)


async def test_headers_without_end_are_cut_off() -> None:
    async with serving() as door:
        caller = await door.caller()
        caller.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: b\r\n" * 20_000)
        answer = await caller.answer()
    assert answer.status == 431


async def test_a_head_that_does_not_arrive_in_time_is_given_up() -> None:
    clock = ManualClock()
    async with serving(clock=clock) as door:
        caller = await door.caller()
        caller.send(b"POST /v1/chat")
        await until(lambda: clock.waiting == 1)
        await clock.advance(9)
        caller.send(b"/completions HTTP/1.1\r\n")
        await clock.advance(1)
        answer = await caller.answer()
        closed = await caller.ended()
    assert (answer.status, answer.error["code"]) == (408, "timeout")
    assert closed


async def test_a_head_that_arrives_in_time_disarms_the_clock() -> None:
    clock = ManualClock()
    async with serving(clock=clock) as door:
        caller = await door.caller()
        caller.send(WHOLE[:40])
        await until(lambda: clock.waiting == 1)
        caller.send(WHOLE[40:])
        answer = await caller.answer()
        waiting = clock.waiting
        await clock.advance(60)
        caller.send(WHOLE)
        again = await caller.answer()
    assert (answer.status, again.status, waiting) == (200, 200, 0)


def held_up(door: Door) -> asyncio.Event:
    """From now on answers wait for this."""
    go_on = asyncio.Event()

    async def script(_request: RunRequest, _client: Client) -> Outcome:
        await go_on.wait()
        return plain()

    door.runner.script = script
    return go_on


async def test_a_head_without_end_behind_a_request_that_is_served_ends_the_connection_after_its_answer() -> None:
    async with serving() as door:
        go_on = held_up(door)
        caller = await door.caller()
        caller.send(WHOLE)
        await until(lambda: len(door.runner.asked) == 1)
        caller.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        for number in range(64):
            caller.send(b"X-%d: " % number + b"a" * 1_000 + b"\r\n")
            await settle_loop(3)
        go_on.set()
        answer = await caller.answer()
        ending = asyncio.ensure_future(caller.ended())
        await until(ending.done)
        assert (answer.status, await ending) == (200, True)


async def test_a_head_that_began_behind_a_request_has_its_time_once_that_is_answered() -> None:
    clock = ManualClock()
    async with serving(clock=clock) as door:
        go_on = held_up(door)
        caller = await door.caller()
        caller.send(WHOLE)
        await until(lambda: len(door.runner.asked) == 1)
        caller.send(b"GET /heal")
        await settle_loop()
        await clock.advance(20)
        go_on.set()
        assert (await caller.answer()).status == 200
        await until(lambda: clock.waiting == 1)
        await clock.advance(10)
        assert (await caller.answer()).status == 408


async def test_an_idle_connection_is_closed() -> None:
    house = StandInHouse(idle_timeout=20)
    async with serving(house) as door:
        silent = await door.caller()
        used = await door.caller()
        used.request("GET", "/healthz")
        await used.answer()
        assert await used.ended()
        assert await silent.ended()


async def test_a_connection_serves_many_requests() -> None:
    async with serving() as door:
        caller = await door.caller()
        for _ in range(5):
            caller.send(WHOLE)
            assert (await caller.answer()).status == 200
        caller.request("POST", "/v1/chat/completions", {}, CHAT)
        assert (await caller.answer()).status == 401
        caller.request("GET", "/nowhere")
        assert (await caller.answer()).status == 404
        caller.send(WHOLE)
        assert (await caller.answer()).status == 200
    assert len(door.runner.asked) == 6


async def test_an_offered_upgrade_is_declined_and_the_request_answered() -> None:
    async with serving() as door:
        caller = await door.caller()
        caller.request("GET", "/healthz", {"Upgrade": "websocket", "Connection": "Upgrade"})
        answer = await caller.answer()
        caller.request("GET", "/healthz")
        after = await caller.answer()
    assert (answer.status, after.status) == (200, 200)
