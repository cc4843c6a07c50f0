"""Calls over real sockets on loopback: what arrives, what comes back, and how each way of failing is told."""

import asyncio

import pytest
from aiohttp import web

from palyra.providers.errors import ErrorClass
from palyra.providers.upstream import Progress
from tests.providers.calling import (
    call,
    drain,
    failure_of,
    raw_server,
    serving,
    transport,
    unused_port,
)
from tests.support.upstream import Reply, Upstream


async def test_body_and_headers_arrive_as_given_and_bytes_come_back_unchanged() -> None:
    async with Upstream().serving() as upstream, transport() as carrier:
        body = b' {"model": "m", "messages" :[{"role":"user","content":"\xc5\xbe"}]}'
        progress = Progress()
        reply = await carrier.send(call(upstream.base_url, body=body), progress)
        assert reply.status == 200
        assert reply.headers["x-request-id"] == "up-1"
        data = await reply.read()
        (seen,) = upstream.seen
        assert seen.body == body
        assert data == seen.sent[0]
        assert progress.written
        assert {name: seen.headers.get(name) for name in ("authorization", "content-type", "accept-encoding")} == {
            "authorization": "Bearer provider-key",
            "content-type": "application/json",
            "accept-encoding": "identity",
        }
        assert "cookie" not in seen.headers
        assert seen.path == "/v1/chat/completions"


async def test_a_stream_arrives_piece_by_piece_as_it_is_sent() -> None:
    gate = asyncio.Event()
    async with Upstream(Reply(gate=gate, gate_at=2)).serving() as upstream, transport() as carrier:
        reply = await carrier.send(call(upstream.base_url, stream=True, body=b'{"model":"m","stream":true}'))
        received = b""
        async for chunk in reply.chunks():
            received += chunk
            if b"lo " in received:
                gate.set()
        assert received == b"".join(upstream.seen[0].sent)


async def test_a_body_over_a_mebibyte_arrives_whole() -> None:
    async def echo_size(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await request.read())))

    async with serving(echo_size) as url, transport() as carrier:
        reply = await carrier.send(call(url, body=b"x" * 3_000_001))
        assert await reply.read() == b"3000001"


async def test_connections_are_used_again_after_plain_and_streamed_answers() -> None:
    ports: set[object] = set()

    async def note(request: web.Request) -> web.Response:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername"))
        return web.Response(body=b"data: x\n\n")

    async with serving(note) as url, transport() as carrier:
        for stream in (False, True, False):
            reply = await carrier.send(call(url, stream=stream))
            assert (await drain(reply) if stream else [await reply.read()]) == [b"data: x\n\n"]
        assert len(ports) == 1


async def test_a_redirect_is_an_answer_not_a_way() -> None:
    async def away(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"location": "/elsewhere"})

    async with serving(away) as url, transport() as carrier:
        reply = await carrier.send(call(url))
        assert (reply.status, reply.headers["location"]) == (302, "/elsewhere")
        reply.close()


async def test_cookies_are_not_kept() -> None:
    cookies: list[str | None] = []

    async def set_cookie(request: web.Request) -> web.Response:
        cookies.append(request.headers.get("cookie"))
        return web.Response(headers={"set-cookie": "session=1; Path=/"})

    async with serving(set_cookie) as url, transport() as carrier:
        for _ in range(2):
            await (await carrier.send(call(url))).read()
        assert cookies == [None, None]


@pytest.mark.parametrize("announced", [True, False])
async def test_an_answer_over_the_limit_is_refused_and_dropped(announced: bool) -> None:
    gone = asyncio.Event()

    async def large(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-length": "1000000"} if announced else {})
        await response.prepare(request)
        try:
            for _ in range(100):
                await response.write(b"x" * 10_000)
            await asyncio.Event().wait()
        finally:
            gone.set()
        return response

    async with serving(large) as url, transport() as carrier:
        reply = await carrier.send(call(url))
        error = await failure_of(reply.read(limit=50_000))
        assert error.error_class is ErrorClass.MALFORMED_RESPONSE
        assert "50000" in error.message
        await gone.wait()


async def test_an_answer_of_exactly_the_limit_is_read() -> None:
    async def exact(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 1000)

    async with serving(exact) as url, transport() as carrier:
        assert len(await (await carrier.send(call(url))).read(limit=1000)) == 1000


async def test_a_refused_connection_wrote_nothing() -> None:
    async with transport() as carrier:
        progress = Progress()
        port = await unused_port()
        error = await failure_of(carrier.send(call(f"http://127.0.0.1:{port}"), progress))
        assert (error.error_class, error.written, progress.written) == (ErrorClass.NETWORK_UNAVAILABLE, False, False)
        assert error.message == f"acme cannot be reached: nothing listens at 127.0.0.1:{port}."


async def test_a_failed_tls_handshake_wrote_nothing() -> None:
    async with Upstream().serving() as upstream, transport() as carrier:
        error = await failure_of(carrier.send(call(upstream.base_url.replace("http:", "https:"))))
        assert (error.error_class, error.written) == (ErrorClass.NETWORK_UNAVAILABLE, False)
        assert upstream.seen == []


async def test_a_connection_closed_before_the_answer_may_have_been_read() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    async with raw_server(hang_up) as url, transport() as carrier:
        progress = Progress()
        error = await failure_of(carrier.send(call(url), progress))
        assert (error.error_class, error.written, progress.written) == (ErrorClass.NETWORK_UNAVAILABLE, True, True)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("reset", [False, True])
async def test_an_answer_broken_in_the_middle(stream: bool, reset: bool) -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write(b"9\r\ndata: a\n\n\r\n")
        await writer.drain()
        if reset:
            writer.transport.abort()
        writer.close()

    async with raw_server(break_off) as url, transport() as carrier:
        reply = await carrier.send(call(url, stream=stream))
        error = await failure_of(drain(reply) if stream else reply.read())
        assert (error.error_class, error.written) == (ErrorClass.NETWORK_UNAVAILABLE, True)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("end", [b"\r\n0\n\r\n", b"\r\nzz\r\n", b"more than it said\r\n"])
async def test_an_answer_whose_framing_breaks_while_more_is_waited_for(stream: bool, end: bytes) -> None:
    waited_for = asyncio.Event()

    async def break_framing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write(b"9\r\ndata: a\n\n")
        await waited_for.wait()
        writer.write(end)
        await reader.read()
        writer.close()

    async with raw_server(break_framing) as url, transport() as carrier:
        reply = await carrier.send(call(url, stream=stream))
        reading = asyncio.ensure_future(failure_of(drain(reply) if stream else reply.read()))
        for _ in range(20):
            await asyncio.sleep(0)
        waited_for.set()
        error = await reading
        assert (error.error_class, error.written) == (ErrorClass.MALFORMED_RESPONSE, True)


async def test_what_is_no_http_is_malformed() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
        await writer.drain()
        writer.close()

    async with raw_server(babble) as url, transport() as carrier:
        error = await failure_of(carrier.send(call(url)))
        assert error.error_class is ErrorClass.MALFORMED_RESPONSE
        assert error.message == "acme does not answer in HTTP: Bad status line."


async def test_an_answer_may_have_long_headers() -> None:
    async def wordy(request: web.Request) -> web.Response:
        return web.Response(headers={"content-security-policy": "x" * 20_000})

    async with serving(wordy) as url, transport() as carrier:
        assert (await carrier.send(call(url))).status == 200
