"""Callers that never come to an end, or come all at once: each is given up in its time, none takes more than its room,
and whoever is served meanwhile is served on."""

import re
from contextlib import suppress

import pytest

from palyra.core.clock import ManualClock, settle_loop
from palyra.gateway import inference
from palyra.runs.request import Client, Outcome, RunRequest
from tests.gateway.stand_in import AUTHORISED, CHAT, Caller, Door, StandInHouse, plain, serving, until
from tests.gateway.test_bodies import sized
from tests.gateway.test_heads import HEAD, JSON, WHOLE, held_up

PATH = "/v1/chat/completions"
CHUNKED = HEAD + JSON + b"Transfer-Encoding: chunked\r\n\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
MUCH = 1 << 20
ANSWER = re.compile(rb"HTTP/1\.1 (\d{3}) ")

ENDLESS = {
    "an extension of a chunk": (CHUNKED + b"5;a=", b"x" * MUCH),
    "many extensions": (CHUNKED, (b"1;" + b"a" * 4_000 + b"=b\r\n{\r\n") * 200),
    "a chunk's size": (CHUNKED, b"0" * MUCH),
    "the smallest chunks": (CHUNKED, b"1\r\n \r\n" * 20_000),
    "a body that is invited and does not come": (
        HEAD + JSON + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        b"",
    ),
    "a body that was promised": (HEAD + JSON + b"Content-Length: 9\r\n\r\n", b"{"),
}
"""Bodies without end, as they begin and as they go on."""


async def heard(caller: Caller) -> bytes:
    """All that comes until the other side closes."""
    pieces: list[bytes] = []
    with suppress(ConnectionError):
        while piece := await caller.reader.read(1 << 16):
            pieces.append(piece)
    return b"".join(pieces)


async def test_what_never_becomes_a_body_is_given_up_in_its_time_however_much_comes() -> None:
    for what, (begins, goes_on) in ENDLESS.items():
        clock = ManualClock()
        async with serving(clock=clock) as door:
            caller = await door.caller()
            caller.send(begins + goes_on)
            await until(lambda clock=clock: clock.waiting == 1)  # type: ignore[misc]
            await clock.advance(30)
            caller.send(goes_on)
            assert (await door.ask("GET", "/healthz")).status == 200
            await clock.advance(31)
            said = await heard(caller)
        assert ANSWER.findall(said)[-1:] == [b"408"], (what, said)
        assert door.runner.asked == []


TOO_MUCH = {
    "trailers": CHUNKED + b"2\r\n{}\r\n0\r\n" + b"X-A: b\r\n" * 40_000,
    "one trailer": CHUNKED + b"2\r\n{}\r\n0\r\nX: " + b"b" * 400_000,
    "empty lines": b"\r\n" * 200_000,
    "a method": b"A" * 400_000,
    "names of headers": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"a" * 400_000,
    "lines of one": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-A: b" + b"\r\n b" * 100_000,
    "what follows an offer": WHOLE.replace(JSON, JSON + b"Connection: upgrade\r\nUpgrade: x\r\n") + b"x" * 400_000,
}


async def test_what_never_becomes_a_request_ends_the_connection_when_it_is_too_much() -> None:
    async with serving(clock=ManualClock()) as door:
        for what, said in TOO_MUCH.items():
            caller = await door.caller()
            caller.send(said)
            answers = await heard(caller)
            told = ANSWER.findall(answers)
            assert set(told) <= {b"200", b"400", b"431"}, (what, answers)
            assert told.count(b"200") <= (what == "what follows an offer"), (what, answers)
            assert len(told) <= 2, (what, answers)
        assert (await door.ask("GET", "/healthz")).status == 200


async def at_a_stand(caller: Caller, most: int) -> int:
    """Sends until nothing is taken any more, in bytes taken by the other side and by the kernel."""
    piece = HEALTH.replace(b"\r\n\r\n", b"\r\nX-Pad: " + b"p" * 15_000 + b"\r\n\r\n")
    sent = 0
    while caller.writer.transport.get_write_buffer_size() < MUCH:
        assert sent < most, "everything is taken"
        caller.send(piece)
        sent += len(piece)
        await settle_loop(2)
    return sent - caller.writer.transport.get_write_buffer_size()


async def test_requests_behind_one_that_is_served_are_not_read_beyond_some_and_all_answered() -> None:
    async with serving() as door:
        go_on = held_up(door)
        caller = await door.caller()
        caller.send(WHOLE)
        await until(lambda: len(door.runner.asked) == 1)
        taken = await at_a_stand(caller, 64 * MUCH)
        await settle_loop()
        other = await door.ask("GET", "/healthz")
        caller.request("GET", "/readyz", {"Connection": "close"})
        go_on.set()
        answers = await heard(caller)
    assert other.status == 200
    assert taken > 0
    assert len(ANSWER.findall(answers)) > taken // 16_000
    assert answers.endswith(b'{"status": "ready"}')


async def test_many_that_never_say_anything_leave_room_for_who_comes_after_them() -> None:
    house = StandInHouse(max_connections=200, idle_timeout=1)
    async with serving(house) as door:
        silent = [await door.caller() for _ in range(400)]
        assert (await door.ask("GET", "/healthz")).status == 200
        for caller in silent:
            caller.leave()
        await until(lambda: door.gateway.figures().connections == 0)


async def held(door: Door, caller: Caller, body: bytes) -> None:
    """Sends a body, and returns once its run is under way."""
    before = len(door.runner.asked)
    caller.request("POST", PATH, AUTHORISED, body)
    await until(lambda: len(door.runner.asked) == before + 1)


@pytest.mark.parametrize("path", [PATH, "/v1/messages/count_tokens"])
async def test_all_bodies_together_have_no_more_room_than_there_is(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "ROOM", 100_000)
    async with serving() as door:
        go_on = held_up(door)
        first, second = await door.caller(), await door.caller()
        await held(door, first, sized(60_000))
        second.request("POST", PATH, {**AUTHORISED, "Content-Length": "90000"}, sized(30_000))
        await settle_loop()
        refused = await door.ask("POST", path, AUTHORISED, sized(40_000))
        small = await door.caller()
        await held(door, small, sized(500))
        second.leave()
        await until(lambda: door.gateway.figures().connections == 2)
        third = await door.caller()
        await held(door, third, sized(39_000))
        go_on.set()
        for caller in (first, small, third):
            assert (await caller.answer()).status == 200
        assert (await door.ask("POST", PATH, AUTHORISED, sized(100_000))).status == 200
    assert (refused.status, refused.error["code"], refused.headers["retry-after"]) == (503, "too_many_runs", "1")
    assert refused.headers["connection"] == "close"


async def test_a_body_in_pieces_gives_back_its_room_when_there_is_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "ROOM", 100_000)
    async with serving() as door:
        caller = await door.caller()
        caller.request("POST", PATH, AUTHORISED, sized(200_000))
        answer = await caller.answer()
        assert (answer.status, await caller.ended()) == (503, True)
        assert (await door.ask("POST", PATH, AUTHORISED, sized(100_000))).status == 200


async def test_a_body_has_its_room_until_its_run_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference, "ROOM", 100_000)
    fates = iter([RuntimeError("broken"), None])

    async def script(_request: RunRequest, _client: Client) -> Outcome:
        fate = next(fates)
        if fate is not None:
            raise fate
        return plain()

    async with serving() as door:
        door.runner.script = script
        assert (await door.ask("POST", PATH, AUTHORISED, sized(90_000))).status == 500
        assert (await door.ask("POST", PATH, AUTHORISED, b"{" * 90_000)).status == 400
        assert (await door.ask("POST", PATH, AUTHORISED, sized(90_000))).status == 200
        assert (await door.ask("POST", PATH, AUTHORISED, CHAT | {"model": 1})).status == 400
