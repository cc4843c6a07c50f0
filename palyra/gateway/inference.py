"""The governed endpoints: from a request's bytes to a run, and from a run's outcome to the answer's bytes."""

import asyncio
import logging
from dataclasses import dataclass

from aiohttp import web
from aiohttp.web_request import BaseRequest

from palyra.core.clock import Clock
from palyra.core.plural import plural
from palyra.gateway.body import BUSY_RETRY_S, BodyPlace, BodyRoom, CallerLeftError, read_body
from palyra.gateway.callers import Headers
from palyra.gateway.client import HttpClient, content_type
from palyra.gateway.connection import Connection
from palyra.gateway.errors import internal_error, invalid, overloaded, refusal_data, refusal_reply
from palyra.gateway.ports import House, Key
from palyra.gateway.reply import JSON, DateLine, Handled, Reply
from palyra.gateway.request_headers import read_instructions
from palyra.gateway.response_headers import report_headers
from palyra.providers.closing import error_event
from palyra.providers.request import ParsedRequest, RequestError, parse_request
from palyra.providers.wires import Wire, passed_headers
from palyra.runs.request import ClientGoneError, Outcome, Refusal, RunRequest

log = logging.getLogger(__name__)

DRAIN_RETRY_S = 5.0
ROOM = 1024 * 1024 * 1024
"""Bytes that the bodies of all requests may take at once, whether they still come or are being served."""

LISTS = ("openai-beta", "anthropic-beta")
"""Headers that callers may send on several lines."""

LARGE_BODY = 256 * 1024
"""Bytes from which a body is read by a thread, so that the loop goes on turning."""


@dataclass(slots=True)
class Visit:
    """What logs and metrics tell of one request, as it becomes known. `began` is when its stream did, in monotonic
    seconds; `away_s` how long others were waited for, None where that cannot be told from its own time."""

    key_id: str = ""
    run_id: str = ""
    began: float | None = None
    away_s: float | None = None


class Inference:
    """Serves every governed wire, and counts prompts."""

    def __init__(self, house: House, clock: Clock, date: DateLine) -> None:
        self._house = house
        self._clock = clock
        self._date = date
        self._running = 0
        self._room = BodyRoom(ROOM)

    @property
    def running(self) -> int:
        """Requests being executed, parked ones included."""
        return self._running

    async def answer(
        self, request: BaseRequest, connection: Connection, key: Key, wire: Wire, visit: Visit
    ) -> web.StreamResponse:
        """Executes one request. Raises RefusedError for what never becomes a run, CallerLeftError."""
        with self._room.place() as place:
            return await self._served(request, connection, key, wire, visit, place)

    async def _served(
        self,
        request: BaseRequest,
        connection: Connection,
        key: Key,
        wire: Wire,
        visit: Visit,
        place: BodyPlace,
    ) -> web.StreamResponse:
        house, settings = self._house, self._house.config.gateway
        asked = await self._asked(request, key, wire, place)
        client = HttpClient(request, connection, wire, self._date, self._clock, amounts=settings.expose_amounts)
        self._running += 1
        try:
            outcome = await house.runner.execute(asked, client)
        except Exception:
            if not client.streaming:
                raise
            log.exception("A stream failed")
            connection.abort()
            return Handled(keep=False)
        finally:
            self._running -= 1
        visit.run_id, visit.began = outcome.report.run_id, client.began
        if not client.streaming:
            visit.away_s = outcome.report.away_s
        return await self._delivered(outcome, client, wire, amounts=settings.expose_amounts)

    async def count(self, request: BaseRequest, connection: Connection, key: Key) -> web.StreamResponse:
        """Counts one prompt. Raises RefusedError, CallerLeftError."""
        with self._room.place() as place:
            return await self._counted(request, connection, key, place)

    async def _counted(
        self, request: BaseRequest, connection: Connection, key: Key, place: BodyPlace
    ) -> web.StreamResponse:
        asked = await self._asked(request, key, Wire.MESSAGES, place, counting=True)
        counting = asyncio.ensure_future(self._house.counter.count(asked))

        def caller_left() -> None:
            counting.cancel()

        connection.when_lost(caller_left)
        self._running += 1
        try:
            said = await counting
        except asyncio.CancelledError:
            if connection.alive:
                raise
            raise CallerLeftError from None
        finally:
            self._running -= 1
        if isinstance(said, Refusal):
            return refusal_reply(Wire.MESSAGES, said, self._date)
        return Reply(said.status, said.body, self._date, content_type=content_type(said.headers, JSON))

    async def _asked(
        self, request: BaseRequest, key: Key, wire: Wire, place: BodyPlace, *, counting: bool = False
    ) -> RunRequest:
        """Raises RefusedError for what can never become a run, CallerLeftError."""
        house, settings = self._house, self._house.config.gateway
        instructions = read_instructions(request.raw_headers, key, house.config.approvals.park_seconds)
        self._check_open()
        body = await read_body(request, settings, self._clock, place)
        parsed = await parsed_body(wire, body, settings.max_json_depth, counting=counting)
        self._check_open()
        return RunRequest(
            scope=instructions.scope,
            parsed=parsed,
            task_class=instructions.task_class,
            park_seconds=instructions.park_seconds,
            mode_override=instructions.mode,
            allowed_models=key.allowed_models,
            forward_headers=forwarded(request.headers, wire),
            failover=instructions.failover,
            cache=instructions.cache,
        )

    def _check_open(self) -> None:
        if self._house.phase != "ready":
            what = "is stopping" if self._house.phase == "draining" else "is starting"
            raise overloaded("engine_draining", f"Palyra {what} and takes no new work.", DRAIN_RETRY_S)
        limit = self._house.config.gateway.max_runs
        if self._running >= limit:
            raise overloaded(
                "too_many_runs", f"{plural(limit, 'request')} may be served at once (gateway.max_runs).", BUSY_RETRY_S
            )

    async def _delivered(
        self, outcome: Outcome, client: HttpClient, wire: Wire, *, amounts: bool
    ) -> web.StreamResponse:
        refusal = outcome.refusal
        if client.streaming:
            if refusal is not None:
                await last_words(client, error_event(wire, refusal_data(wire, refusal, amounts=amounts)))
            return Handled(keep=await client.finish() and client.keep_alive)
        if client.gone:
            return Handled(keep=False)
        headers = report_headers(outcome.report, wire, amounts=amounts)
        answer = outcome.answer
        if answer is not None:
            kind = content_type(answer.headers, JSON)
            return Reply(answer.status, answer.body, self._date, headers, content_type=kind)
        return refusal_reply(wire, refusal or internal_error(), self._date, headers, amounts=amounts)


def forwarded(headers: Headers, wire: Wire) -> dict[str, str]:
    """What goes upstream of a caller's headers; of those that are lists, every line."""
    passed = passed_headers(headers, wire)
    for name in LISTS:
        if name in passed:
            passed[name] = ", ".join(headers.getall(name))
    return passed


async def parsed_body(wire: Wire, body: bytes, max_depth: int, *, counting: bool = False) -> ParsedRequest:
    """Strict JSON of this wire. Raises RefusedError (400) naming the field and the fix."""
    try:
        if len(body) < LARGE_BODY:
            return parse_request(wire, body, max_depth=max_depth, counting=counting)
        return await asyncio.to_thread(parse_request, wire, body, max_depth=max_depth, counting=counting)
    except RequestError as error:
        raise invalid(error.code, str(error), param=error.field or None) from None


async def last_words(client: HttpClient, event: bytes) -> None:
    """An error on a started stream is an event; a caller that has left does not hear it."""
    try:
        await client.write(event)
    except ClientGoneError:
        return
