import asyncio
import json

import pytest

from palyra.core.clock import ManualClock, settle_loop
from tests.gateway.stand_in import AUTHORISED, CHAT, MESSAGES, TOKEN, StandInHouse, serving, until

PATH = "/v1/chat/completions"
LIMIT = 33_554_432


def sized(size: int) -> bytes:
    """A chat body of exactly this many bytes."""
    body = json.dumps({**CHAT, "user": ""}).encode()
    return body[:-2] + b"x" * (size - len(body)) + body[-2:]


async def test_the_largest_body_is_read_and_one_byte_more_is_refused_and_closed() -> None:
    async with serving() as door:
        read = await door.ask("POST", PATH, None, sized(LIMIT))
        caller = await door.caller()
        caller.request("POST", PATH, AUTHORISED, sized(LIMIT + 1))
        refused = await caller.answer()
        closed = await caller.ended()
    assert read.status == 200
    assert len(door.runner.asked) == 1
    assert len(door.runner.asked[0].parsed.body) == LIMIT
    assert (refused.status, refused.error["type"], refused.error["code"]) == (
        413,
        "request_too_large",
        "body_too_large",
    )
    assert refused.headers["connection"] == "close"
    assert closed


def chunked(pieces: list[bytes], ending: bytes = b"0\r\n\r\n") -> bytes:
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
    head += "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head.encode() + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + ending


async def test_a_body_in_chunks_is_read_whole() -> None:
    body = json.dumps(CHAT).encode()
    async with serving() as door:
        caller = await door.caller()
        caller.send(chunked([body[:10], body[10:11], body[11:]]))
        answer = await caller.answer()
    assert answer.status == 200
    assert door.runner.asked[0].parsed.body == body


@pytest.mark.parametrize("over", [0, 1])
async def test_a_body_in_chunks_is_bounded_too(over: int) -> None:
    body = sized(1024 + over)
    async with serving(StandInHouse(max_body=1024)) as door:
        caller = await door.caller()
        caller.send(chunked([body[:600], body[600:]]))
        answer = await caller.answer()
    assert answer.status == (413 if over else 200)


async def test_a_declared_body_that_is_too_large_is_refused_before_it_is_sent() -> None:
    async with serving() as door:
        caller = await door.caller()
        caller.request("POST", PATH, {**AUTHORISED, "Content-Length": str(LIMIT + 1), "Expect": "100-continue"}, b"")
        answer = await caller.answer()
    assert answer.status == 413


async def test_a_caller_that_asks_first_is_told_to_go_on() -> None:
    body = json.dumps(CHAT).encode()
    async with serving() as door:
        caller = await door.caller()
        caller.request("POST", PATH, {**AUTHORISED, "Content-Length": str(len(body)), "Expect": "100-continue"}, b"")
        invited = await caller.head()
        caller.send(body)
        answer = await caller.answer()
    assert (invited.status, answer.status) == (100, 200)


async def test_a_caller_without_a_key_is_not_invited_to_send() -> None:
    async with serving() as door:
        caller = await door.caller()
        caller.request("POST", PATH, {"Content-Length": "100", "Expect": "100-continue"}, b"")
        answer = await caller.answer()
    assert answer.status == 401


@pytest.mark.parametrize("piece", [1_000, 40_000, 199_999])
async def test_the_rest_of_a_refused_body_is_not_taken_for_the_next_request(piece: int) -> None:
    async with serving() as door:
        caller = await door.caller()
        caller.request("POST", PATH, {"Content-Length": "200000"}, b"x")
        refused = await caller.answer()
        for start in range(0, 199_999, piece):
            caller.send(b"x" * min(piece, 199_999 - start))
            await settle_loop(3)
        caller.request("POST", PATH, AUTHORISED, CHAT)
        answer = await caller.answer()
    assert (refused.status, answer.status) == (401, 200)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": ""},
        {"Content-Type": "application/jsonx"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Encoding": "gzip"},
        {"Content-Encoding": "identity, br"},
        {"Content-Encoding": "unheard-of"},
    ],
)
async def test_only_plain_json_is_taken(headers: dict[str, str]) -> None:
    async with serving() as door:
        answer = await door.ask("POST", PATH, {**AUTHORISED, **headers}, CHAT)
    assert (answer.status, answer.error["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'])
async def test_json_may_name_its_encoding(kind: str) -> None:
    async with serving() as door:
        answer = await door.ask("POST", PATH, {**AUTHORISED, "Content-Type": kind}, CHAT)
    assert answer.status == 200


DEEP = b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "x": ' + b"[" * 200 + b"]" * 200 + b"}"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"[]", "invalid_json"),
        (b"\xff\xfe", "invalid_json"),
        (b'{"model": NaN}', "invalid_json"),
        (DEEP, "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        (b'{"model": "m", "messages": [], "max_tokens": 5, "max_tokens": 9000}', "duplicate_member"),
        (b'{"model": 7, "messages": []}', "invalid_field"),
        (b'{"model": "\\ud800", "messages": []}', "invalid_field"),
        (b'{"messages": []}', "invalid_field"),
        (b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 0}', "invalid_field"),
        (b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "n": 129}', "invalid_field"),
    ],
)
async def test_a_body_that_cannot_be_governed_starts_no_run(body: bytes, code: str) -> None:
    async with serving() as door:
        answer = await door.ask("POST", PATH, None, body)
    assert (answer.status, answer.error["type"], answer.error["code"]) == (400, "invalid_request_error", code)
    assert door.runner.asked == []


async def test_the_field_at_fault_is_named() -> None:
    async with serving() as door:
        openai = await door.ask("POST", PATH, None, {**CHAT, "max_tokens": "many"})
        anthropic = await door.ask("POST", "/v1/messages", None, {**MESSAGES, "max_tokens": "many"})
    assert openai.error["param"] == "max_tokens"
    assert "max_tokens" in anthropic.error["message"]


async def test_a_large_body_that_is_wrong_is_refused_like_a_small_one() -> None:
    async with serving() as door:
        answer = await door.ask("POST", PATH, None, sized(600_000)[:-1])
    assert (answer.status, answer.error["code"]) == (400, "invalid_json")


async def test_a_body_that_does_not_arrive_in_time_is_given_up() -> None:
    clock = ManualClock()
    async with serving(clock=clock) as door:
        caller = await door.caller()
        caller.request("POST", PATH, {**AUTHORISED, "Content-Length": "50", "Expect": "100-continue"}, b"{")
        assert (await caller.head()).status == 100
        await clock.advance(59.9)
        assert clock.waiting == 1
        await clock.advance(0.2)
        answer = await caller.answer()
        closed = await caller.ended()
    assert (answer.status, answer.error["code"]) == (408, "timeout")
    assert closed


async def test_a_caller_that_leaves_while_sending_starts_no_run() -> None:
    async with serving() as door:
        caller = await door.caller()
        caller.request("POST", PATH, {**AUTHORISED, "Content-Length": "50", "Expect": "100-continue"}, b"{")
        await caller.head()
        caller.leave()
        assert (await door.ask("GET", "/healthz")).status == 200
    assert door.runner.asked == []


@pytest.mark.parametrize("broken", [b"zz\r\n", b"5\r\n12345678\r\n", b"-1\r\n\r\n", b"5;\x00\r\n"])
async def test_broken_chunks_are_refused_and_the_connection_ends(broken: bytes) -> None:
    async with serving() as door:
        caller = await door.caller()
        caller.send(chunked([b'{"a"'], ending=broken))
        answer = await caller.answer()
        closed = await caller.ended()
    assert answer.status == 400
    assert closed
    assert door.runner.asked == []


async def test_nobody_waits_for_the_rest_of_a_refused_body_once_its_caller_has_left() -> None:
    async with serving() as door:
        before = asyncio.all_tasks()
        for _ in range(20):
            caller = await door.caller()
            caller.request("POST", PATH, {"Authorization": "Bearer plk_wrong", "Content-Length": "50"}, b"{")
            assert (await caller.answer()).status == 401
            caller.leave()
        await until(lambda: door.gateway.figures().connections == 0)
        await settle_loop()
        assert asyncio.all_tasks() == before


@pytest.mark.parametrize("broken", [b"\n6\r\n", b"zz\r\n", b"-1\r\n", b"\r\nfffffffffffffffff\r\n"])
async def test_a_body_that_breaks_off_in_its_middle_is_refused_at_once(
    broken: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(clock=ManualClock()) as door:
        before = asyncio.all_tasks()
        caller = await door.caller()
        caller.send(chunked([b'{"a"'], ending=b""))
        await until(lambda: door.gateway.figures().connections == 1)
        await settle_loop()
        caller.send(broken)
        answer = await caller.answer()
        assert await caller.ended()
        await settle_loop()
        assert asyncio.all_tasks() == before
    assert (answer.status, answer.error["code"]) == (400, "invalid_header")
    assert door.runner.asked == []
    assert caplog.records == []
