"""Calls that are given up: the connection goes with them, and what may have left is told."""

import asyncio

import pytest

from palyra.core.clock import SystemClock, settle_loop
from palyra.providers.errors import ErrorClass
from palyra.providers.transport import Transport
from palyra.providers.upstream import Progress
from tests.providers.calling import (
    HEAD,
    Silent,
    anywhere,
    call,
    failure_of,
    raw_server,
    transport,
    unused_port,
)
from tests.support.upstream import Upstream


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
