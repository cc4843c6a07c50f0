"""Calls that take too long, or would go where they may not."""

import asyncio
from ipaddress import IPv4Address, IPv6Address

import pytest

from palyra.core.clock import ManualClock, SystemClock, settle_loop
from palyra.providers.errors import ErrorClass
from palyra.providers.transport import Transport
from tests.providers.calling import (
    HEAD,
    HEAD_TO_THE_END,
    LIMITS,
    FixedResolver,
    HangingResolver,
    Silent,
    anywhere,
    call,
    drain,
    failure_of,
    raw_server,
    transport,
    unused_port,
)
from tests.support.upstream import Reply, Upstream


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


async def test_silence_counts_from_the_last_piece() -> None:
    clock = ManualClock()
    pieces: asyncio.Queue[bytes] = asyncio.Queue()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD)
        while piece := await pieces.get():
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        writer.close()

    async with raw_server(talk) as url, transport(clock) as carrier:
        reply = await carrier.send(call(url, stream=True, timeouts=LIMITS))
        chunks = reply.chunks()
        for number in range(5):
            reading = asyncio.ensure_future(anext(chunks))
            await settle_loop()
            await clock.advance(50)
            pieces.put_nowait(b"data: %d\n\n" % number)
            assert await reading == b"data: %d\n\n" % number
        waiting = asyncio.create_task(failure_of(anext(chunks)))
        await settle_loop()
        await clock.advance(59)
        assert not waiting.done()
        await clock.advance(1)
        assert (await waiting).message == "acme sent nothing more for 60 s."
        pieces.put_nowait(b"")


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


async def test_no_connection_within_the_connect_time_wrote_nothing() -> None:
    clock = ManualClock()
    carrier = Transport(clock, anywhere, HangingResolver())
    sending = asyncio.create_task(failure_of(carrier.send(call("http://api.example.com", timeouts=LIMITS))))
    await clock.advance(5)
    error = await sending
    assert (error.error_class, error.written) == (ErrorClass.PROVIDER_TIMEOUT, False)
    await carrier.close()


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
