"""The caller's side of a run: tells when it leaves, and takes a stream no faster than it can."""

from collections.abc import Mapping

from aiohttp.web_request import BaseRequest

from palyra.core.clock import Clock
from palyra.gateway.connection import Connection
from palyra.gateway.reply import DateLine, Header, head
from palyra.gateway.response_headers import report_headers
from palyra.providers.closing import parking_comment
from palyra.providers.wires import Wire
from palyra.runs.request import ClientGoneError, GoneCallback, RunReport

EVENT_STREAM = "text/event-stream"


class HttpClient:
    """One request's caller. Bytes leave as they come; nothing is held back to be sent together."""

    def __init__(
        self, request: BaseRequest, connection: Connection, wire: Wire, date: DateLine, clock: Clock, *, amounts: bool
    ) -> None:
        self.began: float | None = None
        """When its stream began, in monotonic seconds."""
        self._clock = clock
        self._connection = connection
        self._wire = wire
        self._date = date
        self._amounts = amounts
        self._chunked = request.version.minor > 0
        self._keep_alive = request.keep_alive and self._chunked
        self._streaming = False

    @property
    def gone(self) -> bool:
        """Whether the caller has hung up."""
        return not self._connection.alive

    @property
    def streaming(self) -> bool:
        """Whether the answer has begun to stream."""
        return self._streaming

    @property
    def keep_alive(self) -> bool:
        """Whether the connection can serve another request after the stream."""
        return self._keep_alive

    def on_gone(self, callback: GoneCallback) -> None:
        self._connection.when_lost(callback)

    async def parked(self, report: RunReport) -> None:
        """Tells the caller, within a stream, that somebody has to decide."""
        await self._begin(report, EVENT_STREAM)
        await self.write(parking_comment(report.approval_id))

    async def begin(self, report: RunReport, headers: Mapping[str, str]) -> None:
        """Begins the answer, with headers of the run."""
        await self._begin(report, content_type(headers, EVENT_STREAM))

    async def _begin(self, report: RunReport, content_type: str) -> None:
        if self._streaming:
            return
        fields: list[Header] = report_headers(report, self._wire, amounts=self._amounts)
        fields += [("Content-Type", content_type), ("Cache-Control", "no-cache")]
        if self._chunked:
            fields.append(("Transfer-Encoding", "chunked"))
        if not self._keep_alive:
            fields.append(("Connection", "close"))
        self._streaming = True
        self.began = self._clock.monotonic()
        await self._connection.send(head(200, "OK", fields, self._date.line()) + b"\r\n")

    async def write(self, data: bytes) -> None:
        """Passes bytes of the answer on; waits while the caller does not read."""
        if data:
            await self._connection.send(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    async def finish(self) -> bool:
        """Ends a started stream; False when the caller did not stay for it."""
        try:
            if self._chunked:
                await self._connection.send(b"0\r\n\r\n")
        except ClientGoneError:
            return False
        return await self._connection.flushed()


def content_type(headers: Mapping[str, str], known: str) -> str:
    """What a provider says its answer is, where it agrees with what the answer was read as; else that."""
    for name, value in headers.items():
        if name.lower() == "content-type" and value.partition(";")[0].strip().lower() == known:
            return value
    return known
