"""One request and its answer over HTTP/1.1, on aiohttp's connections, TLS and parsers.

aiohttp's sessions do far more for each request than a provider needs, and took a tenth of the processor time that a
governed request costs: cookies, redirects, proxies, tracing and a task that writes the body. Here a small body leaves
with its head in one write.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial

import aiohttp
from aiohttp import StreamReader
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, RawResponseMessage, StreamWriter
from yarl import URL

KEEP_ALIVE_S = 30.0
LONGEST_HEADER = 32 * 1024
"""Bytes of the longest header of an answer: some providers' gateways write long ones."""
READ_BUFFER = 64 * 1024
LARGE_BODY = 1024 * 1024
"""Bodies above this many bytes are written in pieces, so that the loop goes on turning."""
PIECE = 64 * 1024
SWITCHING = 101
TARGETS = 256
"""Addresses that are kept ready to be called: each wire of a provider is one."""

_ALWAYS = {"accept-encoding": "identity", "user-agent": "palyra"}
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)

Connecting = Callable[[], AbstractAsyncContextManager[object]]
Connected = Callable[[Connection], None]


class NotHttpError(Exception):
    """What came is no answer in HTTP, or no longer."""


class _Target:
    """An address: how to connect to it, and the beginning of every head that is sent there."""

    __slots__ = ("defaults", "request", "start")

    def __init__(self, method: str, url: str) -> None:
        self.request = aiohttp.ClientRequest(method, URL(url, encoded=True), headers=_ALWAYS)
        self.start = f"{method} {self.request.url.raw_path_qs} HTTP/1.1\r\n"
        self.defaults = {name.lower(): value for name, value in self.request.headers.items()}
        if method == "POST":
            self.defaults["content-type"] = "application/octet-stream"


class Answer:
    """An answer whose head has arrived. Its connection serves other calls once the body has ended."""

    __slots__ = ("_connection", "_writing", "content", "headers", "status")

    def __init__(
        self, message: RawResponseMessage, content: StreamReader, connection: Connection, writing: "_Writing | None"
    ) -> None:
        self.status: int = message.code
        self.headers: Mapping[str, str] = message.headers
        self.content = content
        self._connection: Connection | None = connection
        self._writing = writing
        content.on_eof(self._ended)

    def close(self) -> None:
        """Drops the connection at once if the body has not ended; whoever reads it is told."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self._writing is not None:
            self._writing.cancel()
        connection.close()
        if self.content.exception() is None:
            self.content.set_exception(aiohttp.ClientConnectionError("Connection closed"))

    def _ended(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        transport = connection.transport
        if self._writing is not None and not self._writing.done():
            self._writing.cancel()
            connection.close()
        elif transport is None or transport.get_write_buffer_size():
            # What is left of the body would stand before the next request.
            connection.close()
        else:
            connection.release()


_Writing = asyncio.Task[None]


class Exchanges:
    """Makes requests and keeps connections for the next ones. Redirects are never followed, cookies never kept,
    proxies never used."""

    def __init__(self, resolver: AbstractResolver) -> None:
        self._connector = _Connector(resolver)
        self._targets: dict[tuple[str, str], _Target] = {}

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        connecting: Connecting,
        connected: Connected,
    ) -> Answer:
        """Returns once the answer's head has arrived. `connecting` is entered where a connection has to be made,
        `connected` is called the last moment before the first byte leaves.

        Raises aiohttp.ClientError, OSError, TimeoutError, NotHttpError; ValueError for a header that is none.
        """
        target = self._target(method, url)
        head = _head(target, headers, body)
        try:
            return await self._sent(target, head, body, connecting, connected)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
            # A connection that was kept may have ended meanwhile; what asks alone may be asked again.
            if method != "GET":
                raise
        return await self._sent(target, head, body, connecting, connected)

    async def close(self) -> None:
        """Drops every connection."""
        await self._connector.close()

    def _target(self, method: str, url: str) -> _Target:
        known = self._targets.get((method, url))
        if known is None:
            if len(self._targets) >= TARGETS:
                self._targets.clear()
            known = self._targets[method, url] = _Target(method, url)
        return known

    async def _sent(
        self, target: _Target, head: bytes, body: bytes, connecting: Connecting, connected: Connected
    ) -> Answer:
        connection = await self._connector.ready(target.request)
        if connection is None:
            try:
                async with connecting():
                    connection = await self._connector.connect(target.request, [], _NO_TIMEOUT)
            except TimeoutError as error:
                raise TimeoutError(f"Connection timeout to host {target.request.url}") from error
        writing: _Writing | None = None
        try:
            connected(connection)
            protocol, transport = connection.protocol, connection.transport
            if protocol is None or transport is None:
                raise aiohttp.ServerDisconnectedError
            protocol.set_response_params(read_until_eof=True, read_bufsize=READ_BUFFER, max_field_size=LONGEST_HEADER)
            if len(body) <= LARGE_BODY:
                transport.write(head + body)
            else:
                writing = asyncio.get_running_loop().create_task(_write(protocol, head, body))
            message, content = await _first(protocol)
        except BaseException:
            if writing is not None:
                writing.cancel()
            connection.close()
            raise
        return Answer(message, content, connection, writing)


class _Protocol(ResponseHandler):
    """Tells also whoever reads a body that its framing is broken: the parser forgets the body before it says so, and
    nobody else would."""

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        cause = exc if exc_cause is None else exc_cause
        super().set_exception(exc, cause)
        body = self._payload
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(_told(exc), cause)
            # Who was woken for the end of a chunk would not look at the exception, but wait for more.
            body.feed_eof()


def _told(error: BaseException) -> BaseException:
    return NotHttpError(error.message) if isinstance(error, HttpProcessingError) else error


class _Connector(aiohttp.TCPConnector):
    def __init__(self, resolver: AbstractResolver) -> None:
        super().__init__(limit=0, keepalive_timeout=KEEP_ALIVE_S, resolver=resolver)
        protocol: type[ResponseHandler] = _Protocol
        self._factory = partial(protocol, loop=self._loop)

    async def ready(self, request: aiohttp.ClientRequest) -> Connection | None:
        """A connection that was kept, without waiting for anybody."""
        return await self._get(request.connection_key, [])


def _head(target: _Target, headers: Mapping[str, str], body: bytes) -> bytes:
    """Raises ValueError for a header that would end its line."""
    lines = target.defaults | {name.lower(): value for name, value in headers.items()} | _ALWAYS
    if body:
        lines["content-length"] = str(len(body))
    text = "".join([f"{name}: {value}\r\n" for name, value in lines.items()])
    if text.count("\r") + text.count("\n") + text.count("\0") != 2 * len(lines):
        raise ValueError("A header that is sent to a provider may be of one line only.")
    return f"{target.start}{text}\r\n".encode()


async def _write(protocol: ResponseHandler, head: bytes, body: bytes) -> None:
    """A provider that is slow to take it is waited for."""
    writer = StreamWriter(protocol, asyncio.get_running_loop())
    try:
        await writer.write(head)
        for start in range(0, len(body), PIECE):
            await writer.write(body[start : start + PIECE])
    except OSError as error:
        protocol.set_exception(error)


async def _first(protocol: ResponseHandler) -> tuple[RawResponseMessage, StreamReader]:
    """The first head that is no interim one, and its body."""
    while True:
        try:
            message, content = await protocol.read()
        except HttpProcessingError as error:
            raise _told(error) from error
        if not 100 <= message.code < 200 or message.code == SWITCHING:
            return message, content
