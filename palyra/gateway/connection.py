"""One caller's connection: what aiohttp's parser and keep-alive leave to us, which is time, size and departure."""

import asyncio
from collections.abc import Callable
from typing import Any

from aiohttp import StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestPayloadError
from aiohttp.web_request import BaseRequest

from palyra.config.serving import GatewayConfig
from palyra.core.clock import Clock, Timer
from palyra.gateway.errors import RefusedError, internal_error, invalid, refusal_reply
from palyra.gateway.reply import DateLine
from palyra.providers.wires import Wire
from palyra.runs.request import ClientGoneError

LINGER_S = 5
"""How long the rest of an unread body is read and thrown away, so that the caller sees its answer, not a reset."""

READ_BUFFER = 256 * 1024
RESUME_BELOW = 64 * 1024

Lost = Callable[[], None]


class Connection(web.RequestHandler):
    """A connection that ends when its head is too slow or too large, tells at once when its caller leaves, and knows
    whether a slow caller makes progress."""

    __slots__ = ("_body", "_door", "_head_bytes", "_head_timer", "_lost", "_offering", "_resumed", "_unserved")

    def __init__(self, door: "Door", options: dict[str, Any]) -> None:
        super().__init__(door, **options)
        self._door = door
        self._head_bytes = 0
        self._head_timer: Timer | None = None
        self._lost: list[Lost] = []
        self._resumed: asyncio.Future[None] | None = None
        self._unserved = 0
        self._body: StreamReader | None = None
        self._offering: int | None = None
        """Bytes that are still to come of a request which offers another protocol; None without one."""

    @property
    def alive(self) -> bool:
        """Whether anything can still be sent."""
        return self.transport is not None and not self.transport.is_closing()

    def when_lost(self, callback: Lost) -> None:
        """Calls back once when the caller disconnects, at once if it already has."""
        if self.alive:
            self._lost.append(callback)
        else:
            callback()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Limits what may wait to be sent; while the door closes, it ends at once."""
        super().connection_made(transport)
        assert self.transport is not None
        high = self._door.settings.stream_buffer
        self.transport.set_write_buffer_limits(high=high, low=min(RESUME_BELOW, high // 4))
        if self._door.closing:
            self.force_close()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Tells everybody who waits for the caller that it has gone."""
        super().connection_lost(exc)
        # The rest of a refused request's body is read and thrown away, and nobody would say that none comes any more.
        if self._body is not None and not self._body.is_eof() and self._body.exception() is None:
            self._body.feed_eof()
        self._head_done()
        self._wake()
        lost, self._lost = self._lost, []
        for callback in lost:
            callback()
        self._door.left(self)

    def data_received(self, data: bytes) -> None:
        """Counts heads and bodies, beside what aiohttp does with the bytes."""
        heads = self._request_count
        # What comes while a body is incomplete is its rest, also of a request that was refused before it all came.
        body = self._body
        within_body = body is not None and not body.is_eof()
        super().data_received(data)
        if self._offering is not None:
            self._offer_continues(len(data))
        if self._request_count != heads:
            self._unserved += self._request_count - heads
            self._head_done()
            newest: Any
            newest, self._body = self._messages[-1]
            if body is not None and within_body and not body.is_eof():
                _break_off(body)
            if getattr(newest, "upgrade", False) and not self._upgraded:
                self._offered(newest, data, alone=self._request_count - heads == 1)
        elif data and self.alive and not within_body and not self._upgraded:
            self._head_continues(len(data))

    def _offered(self, message: RawRequestMessage, data: bytes, *, alone: bool) -> None:
        """A request offers a protocol that the parser does not know, and the parser drops whatever follows the request
        in the same bytes. Where something may have, the connection ends with the answer, so that its caller knows."""
        end = data.find(b"\r\n\r\n") if alone and not message.chunked else -1
        length = message.headers.get("Content-Length", "0")
        self._offering = int(length) + end + 4 if end >= 0 and length.isdigit() else 0
        self._offer_continues(len(data))

    def _offer_continues(self, size: int) -> None:
        assert self._offering is not None
        left = self._offering - size
        self._offering = left if left > 0 else None
        if left < 0:
            self.close()

    def _head_continues(self, size: int) -> None:
        settings = self._door.settings
        self._head_bytes += size
        if self._head_bytes > settings.max_headers + settings.max_url + 64:
            if self._unserved:
                self.close()
            else:
                self.refuse(headers_too_large(settings.max_headers))
        else:
            self._watch_head()

    def _watch_head(self) -> None:
        """A head that has begun must come to its end soon, from when nobody is served any more."""
        if self._head_bytes and self._head_timer is None and not self._unserved:
            seconds = self._door.settings.header_timeout / 1000
            self._head_timer = self._door.clock.call_later(seconds, self._head_too_slow)

    def _head_done(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_too_slow(self) -> None:
        self._head_timer = None
        if self.alive:
            seconds = f"{self._door.settings.header_timeout / 1000:g}"
            self.refuse(invalid("timeout", f"The request's head did not arrive within {seconds} s.", status=408))

    def refuse(self, error: RefusedError) -> None:
        """Answers a head that never became a request, and closes."""
        assert self.transport is not None
        reply = refusal_reply(Wire.CHAT, error.refusal, self._door.date, error.headers, close=True)
        self.transport.write(reply.encoded(keep_alive=False))
        self.force_close()

    def handle_error(
        self, request: BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """The parser's refusals, in our shape."""
        error = malformed(exc, self._door.settings) if status < 500 else RefusedError(internal_error())
        return refusal_reply(Wire.CHAT, error.refusal, self._door.date, error.headers, close=True)

    async def finish_response(
        self, request: BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Sends an answer and waits for a caller that is slow to take it, not for one that has stopped."""
        self._lost.clear()
        answer, left = await super().finish_response(request, resp, start_time)
        if not left and not await self.flushed():
            left = True
        self._unserved -= 1
        self._watch_head()
        return answer, left

    def resume_writing(self) -> None:
        """The caller reads again: whoever waited to send goes on."""
        super().resume_writing()
        self._wake()

    def _wake(self) -> None:
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)

    async def writable(self) -> bool:
        """Waits while the caller is behind. False when it has left, or took nothing for the stall time, which ends the
        connection."""
        while self.alive and self.writing_paused:
            assert self.transport is not None
            before = unsent(self.transport)
            self._resumed = asyncio.get_running_loop().create_future()
            try:
                async with self._door.clock.timeout(self._door.settings.stall_timeout / 1000):
                    await self._resumed
            except TimeoutError:
                if self.alive and unsent(self.transport) >= before:
                    self.transport.abort()
                    return False
            finally:
                self._resumed = None
        return self.alive

    async def send(self, data: bytes) -> None:
        """Hands bytes on, and waits while the caller is behind. Raises ClientGoneError where it left or has stopped."""
        transport = self.transport
        if transport is None or transport.is_closing():
            raise ClientGoneError
        transport.write(data)
        if self.writing_paused and not await self.writable():
            raise ClientGoneError

    def abort(self) -> None:
        """Ends the connection at once; what was not sent is lost."""
        if self.transport is not None:
            self.transport.abort()

    async def flushed(self) -> bool:
        """Waits until the kernel has everything written so far, under the same patience as `writable`."""
        transport = self.transport
        # One that encrypts answers nothing any more once it was closed twice.
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() == 0:
            return True
        low, high = transport.get_write_buffer_limits()
        transport.set_write_buffer_limits(high=0)
        try:
            return await self.writable()
        finally:
            if not transport.is_closing():
                transport.set_write_buffer_limits(high=high, low=low)


def _break_off(body: StreamReader) -> None:
    """Tells whoever reads a body that it has no end: the parser, failing within it, tells only of a bad request."""
    body.set_exception(RequestPayloadError("The body's framing is broken."))
    body.feed_eof()


class Door(web.Server):
    """Makes connections and counts them."""

    def __init__(
        self, handler: Any, settings: GatewayConfig, clock: Clock, *, left: Callable[[Connection], None]
    ) -> None:
        super().__init__(handler)
        self.settings = settings
        self.clock = clock
        self.date = DateLine(clock)
        self.closing = False
        self._left = left
        self._options: dict[str, Any] = {
            "loop": asyncio.get_running_loop(),
            "keepalive_timeout": settings.idle_timeout / 1000,
            "access_log": None,
            "max_line_size": settings.max_url,
            "max_field_size": max(settings.max_headers, settings.max_url + 1),
            "max_headers": settings.max_headers // 4,
            "lingering_time": LINGER_S,
            "read_bufsize": READ_BUFFER,
            "auto_decompress": False,
        }

    def __call__(self) -> Connection:
        return Connection(self, self._options)

    def left(self, connection: Connection) -> None:
        """A connection has ended."""
        self._left(connection)


def unsent(transport: asyncio.WriteTransport) -> int:
    """Bytes the kernel has not taken yet. A transport that encrypts hands them on to the socket's own in one go, and
    counts them no more: one that did not look there would take a slow caller for one that has stopped."""
    within = getattr(getattr(transport, "_ssl_protocol", None), "_transport", None)
    return transport.get_write_buffer_size() + (0 if within is None else int(within.get_write_buffer_size()))


def headers_too_large(limit: int) -> RefusedError:
    """The headers are larger than `limit` bytes: 431."""
    message = f"The request's headers are larger than {limit} bytes (gateway.max_headers). Send fewer."
    return invalid("headers_too_large", message, status=431, close=True)


def malformed(error: BaseException | None, settings: GatewayConfig) -> RefusedError:
    """What the parser found, told by kind only: its own words quote the request."""
    if isinstance(error, LineTooLong):
        if error.args[1] == settings.max_url:
            message = f"The request's address is longer than {settings.max_url} bytes (gateway.max_url). Shorten it."
            return invalid("url_too_long", message, status=414, close=True)
        return headers_too_large(settings.max_headers)
    if isinstance(error, HttpProcessingError) and error.message.startswith("Too many headers"):
        return headers_too_large(settings.max_headers)
    return invalid("invalid_header", "This is no well-formed HTTP/1.1 request.", close=True)
