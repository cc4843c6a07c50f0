"""Plain replies: head and body leave in one write, without the general machinery of a response object."""

from collections.abc import Sequence
from email.utils import formatdate

from aiohttp import web
from aiohttp.web_request import BaseRequest

from palyra.core.clock import Clock

JSON = "application/json"

Header = tuple[str, str]


class DateLine:
    """The `Date` header, made once a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = -1
        self._line = b""

    def line(self) -> bytes:
        """The header `Date`, made anew each second."""
        second = self._clock.now_ms() // 1000
        if second != self._second:
            self._second = second
            self._line = f"Date: {formatdate(second, usegmt=True)}\r\n".encode("ascii")
        return self._line


def header_text(text: str) -> str:
    """A value that can stand in a header: visible ASCII, all else escaped, so that no line can be smuggled in."""
    if text.isascii() and text.isprintable():
        return text
    escaped = text.encode("ascii", "backslashreplace").decode("ascii")
    return "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in escaped)


def head(status: int, reason: str, headers: Sequence[Header], date: bytes) -> bytes:
    """Status line and headers, without the empty line that ends them."""
    values = "".join([value for _, value in headers])
    if not (values.isascii() and values.isprintable()):
        headers = [(name, header_text(value)) for name, value in headers]
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    return b"HTTP/1.1 %d %s\r\n%s%s" % (status, reason.encode("ascii"), date, lines.encode("ascii"))


class Reply(web.StreamResponse):
    """A whole answer. `close` ends the connection after it."""

    def __init__(
        self,
        status: int,
        body: bytes,
        date: DateLine,
        headers: Sequence[Header] = (),
        *,
        content_type: str = JSON,
        close: bool = False,
    ) -> None:
        super().__init__(status=status)
        self.body = body
        self._date = date
        self._sent_headers = headers
        self._type = content_type
        self._close_after = close
        self._for: BaseRequest | None = None

    @property
    def keep_alive(self) -> bool:
        """Whether the connection serves another request afterwards."""
        return not self._close_after and self._for is not None and self._for.keep_alive

    async def prepare(self, request: BaseRequest) -> None:
        """Remembers the request it answers."""
        self._for = request

    async def write_eof(self, data: bytes = b"") -> None:
        """Sends everything; raises ConnectionResetError when nobody is there to take it."""
        request = self._for
        transport = None if request is None else request.transport
        if request is None or transport is None or transport.is_closing():
            raise ConnectionResetError("The caller has left.")
        keep_alive = self.keep_alive
        old = request.version.minor == 0
        transport.write(self.encoded(keep_alive=keep_alive, old=old, bodiless=request.method == "HEAD"))
        if not keep_alive and not request.content.is_eof() and transport.can_write_eof():
            transport.write_eof()

    def encoded(self, *, keep_alive: bool, old: bool = False, bodiless: bool = False) -> bytes:
        """Every byte of the answer; `old` speaks HTTP/1.0, `bodiless` answers HEAD."""
        connection = ""
        if not keep_alive:
            connection = "Connection: close\r\n"
        elif old:
            connection = "Connection: keep-alive\r\n"
        framing = f"Content-Type: {header_text(self._type)}\r\nContent-Length: {len(self.body)}\r\n{connection}\r\n"
        start = head(self.status, self.reason, self._sent_headers, self._date.line()) + framing.encode("ascii")
        return start if bodiless else start + self.body


class Handled(web.StreamResponse):
    """Stands for an answer that was already written, or that nobody is left to take."""

    def __init__(self, *, keep: bool, status: int = 200) -> None:
        super().__init__(status=status)
        self._keep = keep

    @property
    def keep_alive(self) -> bool:
        """Whether the connection goes on."""
        return self._keep

    async def prepare(self, request: BaseRequest) -> None:
        """Everything was sent already."""
        return

    async def write_eof(self, data: bytes = b"") -> None:
        """Everything was sent already."""
        return
