"""Where the house's limits show at the door: places to wait, callers that stop reading, and callers that encrypt."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import openai
import pytest

from palyra.core.errors import StateError
from tests.end_to_end.asking import asking
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import HELLO, MINI, Premises, chat
from tests.end_to_end.test_stream_endings import chat_frames, chunk
from tests.gateway.certificates import make
from tests.gateway.stand_in import Caller, until
from tests.support.upstream import Reply, Seen, Upstream

ONE_PLACE = "[leases]\nprovider_start = 1\nprovider_max = 1\ncredential_start = 1\ncredential_max = 1\n"
PIECE = "0123456789abcdef" * 4_096
PIECES = 300


async def test_beyond_the_places_to_wait_for_a_place_nobody_waits(opened: Opener, upstream: Upstream) -> None:
    here = await opened("[gateway]\nmax_waiting = 1\n" + ONE_PLACE)
    upstream.default = Reply(gate=asyncio.Event())
    served = asking(here)
    await upstream.wait_for_requests(1)
    waiting = asking(here)
    await here.until(lambda: here.engine.leases.waiting("openai") == 1)
    refused = await here.ask(chat())
    assert (refused.status, refused.error["type"], refused.error["code"]) == (503, "overloaded_error", "too_many_runs")
    assert int(refused.headers["retry-after"]) >= 1
    assert upstream.default.gate is not None
    upstream.default.gate.set()
    assert [(await one).status for one in (served, waiting)] == [200, 200]


async def held_up(here: Premises, upstream: Upstream) -> tuple[Caller, Seen]:
    """A caller that reads nothing of a long stream, and its provider, once that gets rid of no more."""
    upstream.replies = [Reply(frames=chat_frames(*[chunk({"content": PIECE})] * PIECES, chunk({}, "stop")))]
    caller = await here.caller()
    caller.writer.transport.pause_reading()  # type: ignore[attr-defined]
    caller.request("POST", "/v1/chat/completions", {"x-api-key": here.key}, chat(stream=True))
    await upstream.wait_for_requests(1)
    (seen,) = upstream.seen
    gateway = here.house.gateway
    assert gateway is not None
    await until(lambda: any(connection.writing_paused for connection in gateway._door.connections))
    before = -1
    while before != len(seen.sent):
        before = len(seen.sent)
        for _ in range(500):
            await asyncio.sleep(0)
    return caller, seen


async def test_a_caller_that_stops_reading_holds_up_its_provider_and_nobody_else(
    here: Premises, upstream: Upstream
) -> None:
    caller, seen = await held_up(here, upstream)
    stopped = len(seen.sent)
    assert 0 < stopped < PIECES
    for _ in range(3):
        answer = await here.ask(chat(stream=True))
        assert (answer.status, answer.body.endswith(b"data: [DONE]\n\n")) == (200, True)
    assert len(seen.sent) == stopped
    caller.writer.transport.resume_reading()  # type: ignore[attr-defined]
    answer = await caller.answer()
    assert answer.body.count(PIECE.encode()) == PIECES
    assert answer.body.endswith(b"data: [DONE]\n\n")


async def test_a_caller_that_never_reads_on_is_gone_after_a_minute_and_pays_for_what_it_got(
    here: Premises, upstream: Upstream
) -> None:
    _, seen = await held_up(here, upstream)
    await here.advance(61)
    async with upstream.arrived:
        await upstream.arrived.wait_for(lambda: seen.disconnected)
    run = (await here.run()).run
    assert (run.state, run.reason) == ("cancelled", "client_gone")
    assert 0 < run.output_tokens < PIECES * len(PIECE) // 4


async def test_a_whole_house_serves_encrypted(opened: Opener, tmp_path: Path) -> None:
    certificate, key = make(tmp_path, "own")
    here = await opened(f'[gateway]\ntls_cert = "{certificate}"\ntls_key = "{key}"\n')
    assert here.url.startswith("https://")
    said: Any = {"model": MINI, "messages": HELLO, "max_tokens": 50}
    async with openai.DefaultAsyncHttpxClient(
        verify=ssl.create_default_context(cafile=certificate), trust_env=False
    ) as http:
        client = here.openai(http_client=http)
        assert (await client.chat.completions.create(**said)).choices[0].message.content == "Hello world."
        stream = await client.chat.completions.create(**said, stream=True)
        assert "".join([part.choices[0].delta.content or "" async for part in stream]) == "Hello world."
    async with openai.DefaultAsyncHttpxClient(trust_env=False) as http:
        with pytest.raises(openai.APIConnectionError):
            await here.openai(http_client=http, max_retries=0).chat.completions.create(**said)
    assert [run.state for run in await here.runs()] == ["completed", "completed"]


async def test_a_house_whose_certificate_cannot_serve_does_not_open(opened: Opener, tmp_path: Path) -> None:
    certificate, _ = make(tmp_path, "own")
    _, key = make(tmp_path, "another")
    with pytest.raises(StateError, match="does not belong to the certificate"):
        await opened(f'[gateway]\ntls_cert = "{certificate}"\ntls_key = "{key}"\n')
    assert (await opened()).url.startswith("http://")
