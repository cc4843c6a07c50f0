"""Where a request ends and the next begins: bytes two servers could divide differently are refused, odd but clear ones
are read as what they are, and each request on a connection is its own."""

import asyncio
import json
from dataclasses import replace
from itertools import pairwise

import pytest

from palyra.core.clock import settle_loop
from palyra.runs.request import Client, Outcome, RunRequest
from tests.gateway.stand_in import AUTHORISED, CHAT, TOKEN, StandInHouse, StandInKey, plain, serving, until
from tests.gateway.test_heads import BODY, HEAD, JSON, WHOLE

CHUNKED = HEAD + JSON + b"Transfer-Encoding: chunked\r\n\r\n"
SIZE = b"%x" % len(BODY)
ONE = SIZE + b"\r\n" + BODY + b"\r\n"
NEXT = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"

DIVISIBLE = {
    "lines without carriage returns": WHOLE.replace(b"\r\n", b"\n"),
    "one line without a carriage return": WHOLE.replace(b"localhost\r\n", b"localhost\n"),
    "one line without a line feed": WHOLE.replace(b"localhost\r\n", b"localhost\r"),
    "chunks without carriage returns": CHUNKED + SIZE + b"\n" + BODY + b"\n0\n\n",
    "a length given twice alike": HEAD + JSON + b"Content-Length: %d\r\n" % len(BODY) * 2 + b"\r\n" + BODY,
    "a length with a space in it": HEAD + JSON + b"Content-Length: 1 0\r\n\r\n" + BODY,
    "no length": HEAD + JSON + b"Content-Length: \r\n\r\n" + BODY,
    "a chunk's size with an underscore": CHUNKED + SIZE + b"_0\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a chunk's size as in a program": CHUNKED + b"0x" + ONE + b"0\r\n\r\n",
    "a chunk beyond 64 bits": CHUNKED + b"f" * 17 + b"\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a length after the chunks": CHUNKED + ONE + b"0\r\nContent-Length: 7\r\n\r\n",
    "a header of ours after the chunks": CHUNKED + ONE + b"0\r\nX-Palyra-Tags: team=red\r\nHost: a\r\n\r\n",
    "an encoding behind a vertical tab": HEAD + JSON + b"Transfer-Encoding: \x0bchunked\r\n\r\n" + ONE + b"0\r\n\r\n",
    "a header folded over two lines": WHOLE.replace(b"localhost\r\n", b"localhost\r\nX-A: b\r\n c\r\n"),
    "a first header folded into nothing": WHOLE.replace(b"Host:", b" X: y\r\nHost:"),
    "a null in the address": WHOLE.replace(b"/v1/chat", b"/v1\x00/chat"),
    "chunks in the old protocol": CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + ONE + b"0\r\n\r\n",
    "another protocol's greeting": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("data", DIVISIBLE.values(), ids=DIVISIBLE.keys())
async def test_bytes_that_could_be_divided_differently_end_the_connection(data: bytes) -> None:
    async with serving() as door:
        caller = await door.caller()
        caller.send(data + WHOLE)
        answer = await caller.answer()
        closed = await caller.ended()
    assert 400 <= answer.status < 500
    assert closed
    assert door.runner.asked == []


CLEAR = {
    "a chunk with an extension": (CHUNKED + SIZE + b';a="b"\r\n' + BODY + b"\r\n0;c\r\n\r\n", 200),
    "an encoding in capitals": (CHUNKED.replace(b"chunked", b"CHUNKED") + ONE + b"0\r\n\r\n", 200),
    "empty lines before it": (b"\r\n\r\n" + WHOLE, 200),
    "a length spelt like another header": (WHOLE.replace(JSON, JSON + b"Content_Length: 3\r\n"), 200),
    "a request in the body of one that needs none": (
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(NEXT) + NEXT,
        200,
    ),
    "a request in the body of one that is refused": (
        b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(NEXT) + NEXT,
        404,
    ),
    "an address of another host": (WHOLE.replace(b"POST /v1", b"POST http://evil.example/v1"), 400),
    "a whole address": (WHOLE.replace(b"POST /v1", b"POST HTTP://localhost/v1"), 200),
    "a way through to another host": (b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
}


@pytest.mark.parametrize(("data", "status"), CLEAR.values(), ids=CLEAR.keys())
async def test_odd_but_clear_bytes_are_one_request(data: bytes, status: int) -> None:
    async with serving() as door:
        caller = await door.caller()
        caller.send(data)
        first = await caller.answer()
        caller.request("GET", "/readyz")
        second = await caller.answer()
    assert (first.status, second.status, second.json) == (status, 200, {"status": "ready"})


async def test_each_request_on_a_connection_is_judged_by_its_own_key() -> None:
    house = StandInHouse()
    other = "plk_other_" + "B" * 43
    house.access.keys[other] = replace(StandInKey(), key_id="other", principal="bea", tags={"team": "red"})

    async def script(request: RunRequest, client: Client) -> Outcome:
        return plain(request.scope.principal.encode())

    house.runner.script = script
    keys = [TOKEN, other, "plk_wrong", other, "", TOKEN]
    async with serving(house) as door:
        caller = await door.caller()
        for key in keys:
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            caller.request("POST", "/v1/chat/completions", headers, CHAT)
        answers = [await caller.answer() for _ in keys]
    assert [answer.status for answer in answers] == [200, 200, 401, 200, 401, 200]
    assert [answer.body for answer in answers if answer.status == 200] == [b"local", b"bea", b"bea", b"local"]
    assert [dict(asked.scope.tags) for asked in door.runner.asked] == [{}, {"team": "red"}, {"team": "red"}, {}]


@pytest.mark.parametrize(("depth", "status"), [(128, 200), (129, 400)])
@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"a":', b"}")])
async def test_json_has_a_greatest_depth(depth: int, status: int, brackets: tuple[bytes, bytes]) -> None:
    opening, closing = brackets
    inner = opening * (depth - 1) + b"1" + closing * (depth - 1)
    body = json.dumps(CHAT).encode()[:-1] + b', "metadata": ' + inner + b"}"
    async with serving() as door:
        answer = await door.ask("POST", "/v1/chat/completions", AUTHORISED, body)
    assert answer.status == status
    if status == 400:
        assert answer.error["code"] == "invalid_json"
        assert "128" in answer.error["message"]


H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
OFFER = WHOLE.replace(JSON, JSON + H2C)
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
LOST = {
    "a whole request": [OFFER + HEALTH],
    "a whole request after one without a body": [HEALTH.replace(b"\r\n\r\n", b"\r\n" + H2C + b"\r\n") + HEALTH],
    "the beginning of one": [OFFER + HEALTH[:9]],
    "one behind the rest of the body": [OFFER[:-20], OFFER[-20:] + HEALTH],
    "one after a body in chunks": [CHUNKED.replace(JSON, JSON + H2C) + ONE + b"0\r\n\r\n" + HEALTH],
}


@pytest.mark.parametrize("pieces", LOST.values(), ids=LOST.keys())
async def test_what_follows_an_offer_of_another_protocol_is_not_lost_unnoticed(pieces: list[bytes]) -> None:
    async with serving() as door:
        caller = await door.caller()
        for piece in pieces:
            caller.send(piece)
            await settle_loop()
        assert (await caller.answer()).status == 200
        ending = asyncio.ensure_future(caller.ended())
        await until(ending.done)
        assert await ending


@pytest.mark.parametrize("places", [(), (10,), (-20,), (-40, -20), (-len(BODY),)])
async def test_after_an_offer_of_another_protocol_the_connection_goes_on(places: tuple[int, ...]) -> None:
    async with serving() as door:
        caller = await door.caller()
        for _ in range(2):
            for start, end in pairwise((0, *places, None)):
                caller.send(OFFER[start:end])
                await settle_loop()
            assert (await caller.answer()).status == 200
        caller.send(HEALTH)
        assert (await caller.answer()).status == 200
    assert len(door.runner.asked) == 2
