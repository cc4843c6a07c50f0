"""Reading a request's body: JSON, uncompressed, no larger and no slower than allowed."""

from aiohttp.web_protocol import RequestPayloadError
from aiohttp.web_request import BaseRequest

from palyra.config.serving import GatewayConfig
from palyra.core.clock import Clock
from palyra.gateway.errors import RefusedError, invalid, overloaded, too_large

BUSY_RETRY_S = 1.0
"""When a caller may try again for whom there is no room now."""


class CallerLeftError(Exception):
    """The caller closed its connection before its request was complete."""


def check_media_type(request: BaseRequest) -> None:
    """Raises RefusedError (415) for anything but plain JSON in UTF-8."""
    headers = request.headers
    declared = headers.get("Content-Type", "")
    if declared != "application/json":
        kind, _, rest = declared.partition(";")
        parameters = [part.strip().lower() for part in rest.split(";") if part.strip()]
        charsets = [part.partition("=")[2].strip('"') for part in parameters if part.startswith("charset=")]
        if kind.strip().lower() != "application/json" or any(charset not in ("utf-8", "utf8") for charset in charsets):
            raise unsupported("The body must be JSON: send Content-Type: application/json, encoded as UTF-8.")
    encodings = headers.getall("Content-Encoding", ())
    if any(encoding.strip().lower() not in ("", "identity") for encoding in encodings):
        raise unsupported("Compressed bodies are not read: leave Content-Encoding out.")


def unsupported(message: str) -> RefusedError:
    """The body is of a kind that is not read: 415."""
    return invalid("unsupported_media_type", message, status=415)


class BodyRoom:
    """What the bodies of all callers may take together: each for itself may be large, and there may be as many as there
    are connections."""

    def __init__(self, most: int) -> None:
        """`most` in bytes."""
        self._most = most
        self._left = most

    def place(self) -> "BodyPlace":
        """Room for one body, which is given back when the place is left."""
        return BodyPlace(self)

    def take(self, size: int) -> None:
        """Raises RefusedError (503) when there is not so much left."""
        if size > self._left:
            message = f"The bodies of the requests being served take all {self._most} bytes there are for them."
            raise overloaded("too_many_runs", message, BUSY_RETRY_S, close=True)
        self._left -= size

    def give(self, size: int) -> None:
        """Takes back what was taken."""
        self._left += size


class BodyPlace:
    """What one body takes of the room."""

    def __init__(self, room: BodyRoom) -> None:
        self._room = room
        self._taken = 0

    def __enter__(self) -> "BodyPlace":
        return self

    def __exit__(self, *_: object) -> None:
        self._room.give(self._taken)

    def grow(self, size: int) -> None:
        """So many bytes more have come. Raises RefusedError (503)."""
        self._room.take(size)
        self._taken += size


async def read_body(
    request: BaseRequest, settings: GatewayConfig, clock: Clock, place: BodyPlace | None = None
) -> bytes:
    """The whole body, which takes its `place`. Raises RefusedError (400, 408, 413, 503) or CallerLeftError."""
    declared = request.content_length
    if declared is not None and declared > settings.max_body:
        raise too_large(settings.max_body)
    content = request.content
    if content.is_eof() and content.exception() is None:
        body = content.read_nowait()
        if len(body) > settings.max_body:
            raise too_large(settings.max_body)
        if place is not None:
            place.grow(len(body))
        return body
    try:
        async with clock.timeout(settings.body_timeout / 1000):
            return await gathered(request, settings.max_body, place)
    except TimeoutError:
        message = f"The body did not arrive within {settings.body_timeout / 1000:g} s (gateway.body_timeout)."
        raise invalid("timeout", message, status=408, close=True) from None
    except RequestPayloadError:
        raise invalid("invalid_header", "The body's framing is broken.", close=True) from None
    except ConnectionError:
        raise CallerLeftError from None


async def gathered(request: BaseRequest, limit: int, place: BodyPlace | None) -> bytes:
    """The whole body, in bytes. Raises RefusedError past `limit` bytes; RequestPayloadError where its framing broke."""
    expect_continue(request)
    pieces: list[bytes] = []
    size = 0
    while piece := await request.content.readany():
        size += len(piece)
        if size > limit:
            raise too_large(limit)
        if place is not None:
            place.grow(len(piece))
        pieces.append(piece)
    # Who was woken for the end of a chunk has not been told what broke right behind it.
    if (broken := request.content.exception()) is not None:
        raise broken
    return b"".join(pieces)


def expect_continue(request: BaseRequest) -> None:
    """Tells a caller that waits for it to send its body."""
    expectation = request.headers.get("Expect")
    if expectation is None or request.version.minor == 0:
        return
    if expectation.lower() != "100-continue":
        raise invalid("invalid_header", "Expect may only be 100-continue.", close=True)
    if request.transport is None or request.transport.is_closing():
        raise CallerLeftError
    request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
