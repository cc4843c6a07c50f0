"""Calls over real sockets on loopback: what arrives, what comes back, and how each way of failing is told."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from palyra.core.clock import ManualClock, SystemClock, settle_loop
from palyra.providers.errors import ErrorClass, ProviderError
from palyra.providers.transport import Transport
from palyra.providers.upstream import Progress, Timeouts, UpstreamCall, UpstreamReply
from palyra.providers.wires import Wire
from tests.support.upstream import Reply, Upstream

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def anywhere(host: str, port: int, address: IPv4Address | IPv6Address) -> str:
    return ""


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.router.add_post("/{path:.*}", handler)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw_server(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[str]:
    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def transport(clock: ManualClock | SystemClock | None = None) -> AsyncIterator[Transport]:
    carrier = Transport(clock or SystemClock(), anywhere)
    try:
        yield carrier
    finally:
        await carrier.close()


def call(url: str, *, stream: bool = False, body: bytes = b"{}", timeouts: Timeouts | None = None) -> UpstreamCall:
    return UpstreamCall(
        wire=Wire.CHAT,
        provider="acme",
        url=url + "/v1/chat/completions",
        headers={"content-type": "application/json", "authorization": "Bearer provider-key"},
        body=body,
        stream=stream,
        timeouts=timeouts or Timeouts(),
    )


async def failure_of(awaitable: Awaitable[object]) -> ProviderError:
    with pytest.raises(ProviderError) as failure:
        await awaitable
    return failure.value


async def drain(reply: UpstreamReply) -> list[bytes]:
    return [chunk async for chunk in reply.chunks()]


async def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


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
        error = await failure_of(carrier.send(call(f"http://127.0.0.1:{await unused_port()}"), progress))
        assert (error.error_class, error.written, progress.written) == (ErrorClass.NETWORK_UNAVAILABLE, False, False)
        assert "acme cannot be reached" in error.message


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


async def test_what_is_no_http_is_malformed() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
        await writer.drain()
        writer.close()

    async with raw_server(babble) as url, transport() as carrier:
        error = await failure_of(carrier.send(call(url)))
        assert error.error_class is ErrorClass.MALFORMED_RESPONSE


class Silent:
    """A server that reads everything and answers as far as it is told to."""

    def __init__(self, answer: bytes = b"") -> None:
        self.answer = answer
        self.read = asyncio.Event()
        self.closed = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(self.answer)
        await writer.drain()
        self.read.set()
        try:
            while await reader.read(65_536):
                pass
        except ConnectionError:
            pass
        self.closed.set()
        writer.close()


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
HEAD_TO_THE_END = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
LIMITS = Timeouts(connect=5, first_byte=120, idle=60, total=600)


async def test_no_answer_within_the_total_time() -> None:
    clock = ManualClock()
    server = Silent()
    async with raw_server(server) as url, transport(clock) as carrier:
        sending = asyncio.create_task(failure_of(carrier.send(call(url, timeouts=LIMITS))))
        await server.read.wait()
        await clock.advance(599)
        assert not sending.done()
        await clock.advance(1)
        error = await sending
        assert (error.error_class, error.written) == (ErrorClass.PROVIDER_TIMEOUT, True)
        assert "600 s" in error.message
        await server.closed.wait()


async def test_a_plain_answer_has_no_first_byte_limit() -> None:
    clock = ManualClock()
    gate = asyncio.Event()
    async with Upstream(Reply(gate=gate)).serving() as upstream, transport(clock) as carrier:
        sending = asyncio.create_task(carrier.send(call(upstream.base_url, timeouts=LIMITS, body=b'{"model":"m"}')))
        await upstream.wait_for_requests(1)
        await clock.advance(500)
        gate.set()
        assert await (await sending).read()


async def test_no_first_byte_of_a_stream() -> None:
    clock = ManualClock()
    server = Silent()
    async with raw_server(server) as url, transport(clock) as carrier:
        sending = asyncio.create_task(failure_of(carrier.send(call(url, stream=True, timeouts=LIMITS))))
        await server.read.wait()
        await clock.advance(120)
        error = await sending
        assert error.error_class is ErrorClass.PROVIDER_TIMEOUT
        assert error.message == "acme sent nothing within 120 s."


@pytest.mark.parametrize("head", [HEAD, HEAD_TO_THE_END])
async def test_a_head_alone_is_no_first_byte(head: bytes) -> None:
    clock = ManualClock()
    server = Silent(head)
    async with raw_server(server) as url, transport(clock) as carrier:
        reply = await carrier.send(call(url, stream=True, timeouts=LIMITS))
        reading = asyncio.create_task(failure_of(drain(reply)))
        await settle_loop()
        await clock.advance(120)
        assert (await reading).message == "acme sent nothing within 120 s."


@pytest.mark.parametrize("answer", [HEAD + b"9\r\ndata: a\n\n\r\n", HEAD_TO_THE_END + b"data: a\n\n"])
async def test_a_stream_that_falls_silent(answer: bytes) -> None:
    clock = ManualClock()
    server = Silent(answer)
    async with raw_server(server) as url, transport(clock) as carrier:
        reply = await carrier.send(call(url, stream=True, timeouts=LIMITS))
        chunks = reply.chunks()
        assert await anext(chunks) == b"data: a\n\n"
        await clock.advance(130)
        # Nobody was waiting for the provider while the caller was slow.
        waiting = asyncio.create_task(failure_of(anext(chunks)))
        await settle_loop()
        await clock.advance(59)
        assert not waiting.done()
        await clock.advance(1)
        error = await waiting
        assert error.error_class is ErrorClass.PROVIDER_TIMEOUT
        assert error.message == "acme sent nothing more for 60 s."
        await server.closed.wait()


async def test_a_stream_may_last_no_longer_than_the_total_time() -> None:
    clock = ManualClock()
    server = Silent(HEAD + b"9\r\ndata: a\n\n\r\n")
    async with raw_server(server) as url, transport(clock) as carrier:
        reply = await carrier.send(call(url, stream=True, timeouts=LIMITS))
        chunks = reply.chunks()
        await anext(chunks)
        await clock.advance(600)
        error = await failure_of(anext(chunks))
        assert error.error_class is ErrorClass.PROVIDER_TIMEOUT


async def test_a_finished_call_leaves_no_timer_behind() -> None:
    clock = ManualClock()
    async with Upstream().serving() as upstream, transport(clock) as carrier:
        await (await carrier.send(call(upstream.base_url, body=b'{"model":"m"}'))).read()
        await drain(await carrier.send(call(upstream.base_url, stream=True, body=b'{"model":"m","stream":true}')))
        await failure_of(carrier.send(call(f"http://127.0.0.1:{await unused_port()}")))
        assert clock.waiting == 0


class HangingResolver(AbstractResolver):
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        await asyncio.Event().wait()
        raise AssertionError

    async def close(self) -> None:
        pass


async def test_no_connection_within_the_connect_time_wrote_nothing() -> None:
    clock = ManualClock()
    carrier = Transport(clock, anywhere, HangingResolver())
    sending = asyncio.create_task(failure_of(carrier.send(call("http://api.example.com", timeouts=LIMITS))))
    await clock.advance(5)
    error = await sending
    assert (error.error_class, error.written) == (ErrorClass.PROVIDER_TIMEOUT, False)
    await carrier.close()


class FixedResolver(HangingResolver):
    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in self.addresses
        ]


async def test_a_name_that_leads_where_it_may_not_is_not_called() -> None:
    asked: list[tuple[str, int, str]] = []

    def never_inside(host: str, port: int, address: IPv4Address | IPv6Address) -> str:
        asked.append((host, port, str(address)))
        return "a private address needs allow_private = true" if address.is_private else ""

    carrier = Transport(SystemClock(), never_inside, FixedResolver("10.0.0.7"))
    error = await failure_of(carrier.send(call("http://api.example.com:8080")))
    assert asked == [("api.example.com", 8080, "10.0.0.7")]
    assert (error.error_class, error.written) == (ErrorClass.NETWORK_UNAVAILABLE, False)
    assert "allow_private" in error.message
    await carrier.close()


async def test_allowed_addresses_of_a_name_are_used_and_the_others_left_out() -> None:
    async with Upstream().serving() as upstream:
        port = upstream.base_url.rpartition(":")[2]
        carrier = Transport(
            SystemClock(),
            lambda host, port, address: "" if address.is_loopback else "no",
            FixedResolver("10.255.255.1", "127.0.0.1"),
        )
        reply = await carrier.send(call(f"http://api.example.com:{port}", body=b'{"model":"m"}'))
        assert await reply.read()
        await carrier.close()


async def test_closing_a_reply_drops_the_connection_at_once() -> None:
    server = Silent(HEAD + b"9\r\ndata: a\n\n\r\n")
    async with raw_server(server) as url, transport() as carrier:
        reply = await carrier.send(call(url, stream=True))
        chunks = reply.chunks()
        await anext(chunks)
        reply.close()
        reply.close()
        await server.closed.wait()


async def test_cancelling_a_send_drops_the_connection_and_tells_that_bytes_left() -> None:
    server = Silent()
    async with raw_server(server) as url, transport() as carrier:
        progress = Progress()
        sending = asyncio.create_task(carrier.send(call(url), progress))
        await server.read.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert progress.written
        await server.closed.wait()


async def test_cancelling_a_send_that_a_provider_does_not_read_drops_it_too() -> None:
    accepted = asyncio.Event()
    gone = asyncio.Event()

    async def never_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        accepted.set()
        await gone.wait()
        reader._transport.resume_reading()  # type: ignore[attr-defined]
        try:
            received = len(await reader.read(-1))
        except ConnectionError:
            received = 0
        assert received < 30_000_000
        gone_after.set()
        writer.close()

    gone_after = asyncio.Event()
    async with raw_server(never_read) as url, transport() as carrier:
        sending = asyncio.create_task(carrier.send(call(url, body=b"x" * 30_000_000)))
        await accepted.wait()
        await settle_loop()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        gone.set()
        await gone_after.wait()


async def test_cancelling_a_read_drops_the_connection() -> None:
    server = Silent(HEAD + b"9\r\ndata: a\n\n\r\n")
    async with raw_server(server) as url, transport() as carrier:
        reply = await carrier.send(call(url))
        reading = asyncio.create_task(reply.read())
        await settle_loop()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await server.closed.wait()


async def test_after_closing_nothing_is_sent() -> None:
    async with Upstream().serving() as upstream:
        carrier = Transport(SystemClock(), anywhere)
        await (await carrier.send(call(upstream.base_url, body=b'{"model":"m"}'))).read()
        await carrier.close()
        error = await failure_of(carrier.send(call(upstream.base_url)))
        assert (error.error_class, error.written) == (ErrorClass.NETWORK_UNAVAILABLE, False)
        assert len(upstream.seen) == 1


async def test_no_failure_shows_the_credential() -> None:
    async with transport() as carrier:
        wanted = call(f"http://127.0.0.1:{await unused_port()}")
        error = await failure_of(carrier.send(wanted))
        assert "provider-key" not in f"{error} {error!r} {error.__cause__!r} {wanted!r}"
