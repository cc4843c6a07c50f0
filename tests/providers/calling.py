"""Servers to call over real sockets on loopback, and calls to them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from palyra.core.clock import ManualClock, SystemClock
from palyra.providers.errors import ProviderError
from palyra.providers.transport import Transport
from palyra.providers.upstream import Timeouts, UpstreamCall, UpstreamReply
from palyra.providers.wires import Wire

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


class HangingResolver(AbstractResolver):
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        await asyncio.Event().wait()
        raise AssertionError

    async def close(self) -> None:
        pass


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
