"""Usage downloaded: page by page as the caller takes it, so that any amount of it takes the same memory."""

from aiohttp import web
from aiohttp.web_request import BaseRequest

from palyra.control.export import Asking, ExportFormat, export_usage
from palyra.control.usage_queries import UsageRowsPage, UsageRowsQuery
from palyra.core.windows import DAY_MS
from palyra.gateway.connection import Connection
from palyra.gateway.console_bodies import FILTERS, Words
from palyra.gateway.reply import DateLine, Handled, Header, head
from palyra.runs.request import ClientGoneError

TYPES = {
    ExportFormat.CSV: "text/csv; charset=utf-8",
    ExportFormat.JSON: "application/json",
    ExportFormat.JSONL: "application/jsonl",
}
USUAL_MS = 30 * DAY_MS


def read_export(query: str, now: int) -> tuple[UsageRowsQuery, ExportFormat]:
    """The last 30 days unless told otherwise, and never what is still to come. Raises RefusedError (400)."""
    words = Words(query, ("since", "until", "format", *FILTERS))
    until = words.instant("until")
    end = now + 1 if until is None else min(until, now + 1)
    since = words.instant("since")
    begin = max(0, end - USUAL_MS) if since is None else since
    form = ExportFormat(words.choice("format", tuple(ExportFormat), ExportFormat.CSV.value))
    return UsageRowsQuery(begin, end, words.where()), form


class Download:
    """An answer of unknown length. Nothing is sent before the first page is there, so that a fault can still be told;
    `ask` sends what was written so far before it reads on."""

    def __init__(self, request: BaseRequest, date: DateLine, control: Asking, form: ExportFormat) -> None:
        connection = request.protocol
        assert isinstance(connection, Connection)
        self._connection = connection
        self._date = date
        self._control = control
        self._form = form
        self._chunked = request.version.minor > 0
        self._keep_alive = request.keep_alive and self._chunked
        self._written: list[bytes] = []
        self._read = self._began = False

    async def run(self, query: UsageRowsQuery) -> web.StreamResponse:
        """Raises what the control raises, while nothing was sent yet."""
        try:
            await export_usage(self, query, self._form, self._written.append)
            await self._send()
            if self._chunked:
                await self._connection.send(b"0\r\n\r\n")
        except ClientGoneError:
            return Handled(keep=False)
        except Exception:
            if not self._began:
                raise
            # The length is not told before, so an end without the last chunk says that something is missing.
            self._connection.abort()
            return Handled(keep=False)
        return Handled(keep=self._keep_alive and await self._connection.flushed())

    async def ask(self, query: UsageRowsQuery) -> UsageRowsPage:
        """One page of rows; the one before is on its way by then."""
        if self._read:
            await self._send()
        page = await self._control.ask(query)
        self._read = True
        return page

    async def _send(self) -> None:
        if not self._began:
            self._began = True
            fields: list[Header] = [("Content-Type", TYPES[self._form]), ("Cache-Control", "no-store")]
            fields.append(("Content-Disposition", f'attachment; filename="usage.{self._form.value}"'))
            fields.append(("Transfer-Encoding", "chunked") if self._chunked else ("Connection", "close"))
            if self._chunked and not self._keep_alive:
                fields.append(("Connection", "close"))
            await self._connection.send(head(200, "OK", fields, self._date.line()) + b"\r\n")
        data = b"".join(self._written)
        self._written.clear()
        if data:
            await self._connection.send(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)
