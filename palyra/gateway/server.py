"""The HTTP door: which path leads where, and how the door opens and closes."""

import json
import logging
from collections.abc import Callable

from aiohttp import web
from aiohttp.web_request import BaseRequest

from palyra.core.clock import Clock
from palyra.diagnostics.house import DoorFigures
from palyra.gateway.body import CallerLeftError, check_media_type
from palyra.gateway.callers import Doorkeeper, authenticate, check_query, is_near
from palyra.gateway.connection import Connection, Door, headers_too_large
from palyra.gateway.console_routes import NOBODY, RETRY_S, ROOT, ConsoleDoor, ControlFor
from palyra.gateway.errors import (
    RefusedError,
    internal_error,
    method_not_allowed,
    not_found,
    overloaded,
    refusal_reply,
)
from palyra.gateway.inference import Inference, Visit
from palyra.gateway.lately import Lately, by_class
from palyra.gateway.listener import Listener
from palyra.gateway.listing import list_models, show_model
from palyra.gateway.ports import House, Key, Metered
from palyra.gateway.reply import Handled, Reply
from palyra.providers.wires import COUNTING_PATH, GATEWAY_PATHS, Wire

log = logging.getLogger(__name__)
access_log = logging.getLogger("palyra.gateway.access")
"""One line for each request, at debug: writing them costs more than some requests do."""


CALLER_LEFT = 499
"""What logs and metrics tell of a request that nobody stayed for."""

METRICS = "/metrics"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Prometheus' text format."""
MODELS = "/v1/models"
MODEL = "/v1/models/"
MESSAGES = "/v1/messages"

LONGEST_SHOWN = 200

NOTHING_HERE = (
    "There is nothing at this address. OpenAI clients need this host's address with /v1 as their base, "
    "Anthropic clients without it."
)

_WIRES = {path: wire for wire, path in GATEWAY_PATHS.items()}
_TOLD_APART = frozenset({*_WIRES, MODELS, COUNTING_PATH, METRICS, "/healthz", "/readyz"})
"""Addresses that logs and metrics tell apart; the others are one, since callers may ask for any."""


def _nobody_told(where: str, what: str) -> None:
    pass


class Gateway:
    """Serves one engine. `open` binds, `close` ends every connection."""

    def __init__(
        self, house: House, clock: Clock, metrics: Metered | None = None, control_for: ControlFor | None = None
    ) -> None:
        """`metrics` are kept and shown where given; `control_for` gives operators with a token their control."""
        self._house = house
        self._metrics = metrics
        self._clock = clock
        self._settings = house.config.gateway
        self._listener = Listener(self._settings.max_connections, clock)
        self._door = Door(self._handle, self._settings, clock, left=self._listener.left)
        self._inference = Inference(house, clock, self._door.date)
        self._console = ConsoleDoor(house, control_for, clock, self._door.date)
        self._keeper: Doorkeeper | None = None
        self._lately = Lately(clock)
        self.broke: Callable[[str, str], None] = _nobody_told
        """Told of requests that failed by a fault of our own: of which kind, and what was said."""
        self._probes: dict[str, Callable[[], Reply]] = {"/healthz": self._health, "/readyz": self._ready}

    @property
    def url(self) -> str:
        """Where clients connect. Only while open."""
        host, port = self._listener.address
        scheme = "https" if self._settings.tls_cert else "http"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    @property
    def running(self) -> int:
        """Requests being executed."""
        return self._inference.running

    def figures(self) -> DoorFigures:
        """How it does."""
        statuses = self._lately.statuses()
        return DoorFigures(
            listening=self._listener.listening,
            address=self.url if self._listener.listening else "",
            tls=bool(self._settings.tls_cert),
            connections=self._listener.connections,
            active_runs=self.running,
            requests_5m=statuses.total(),
            status_5m=by_class(statuses),
            own_5xx_5m=self._lately.own_errors(),
            overhead_p50_s=self._lately.overhead(0.5),
            overhead_p99_s=self._lately.overhead(0.99),
            first_byte_p50_s=self._lately.first_byte(0.5),
            refused_hosts_total=self._lately.refused_hosts,
        )

    def open(self) -> None:
        """Listens. Raises StateError naming the address, who holds it and the key to change."""
        self._listener.listen(self._settings, self._door)
        self._keeper = Doorkeeper(self._settings, self._listener.address[0])

    async def close(self, patience: float = 2.0) -> None:
        """Accepts nobody any more, gives answers under way `patience` seconds, and ends every connection."""
        await self._listener.close()
        self._door.closing = True
        self._door.pre_shutdown()
        await self._door.shutdown(patience)

    async def _handle(self, request: BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)
        assert self._keeper is not None
        started = self._clock.monotonic()
        path, _, query = request.raw_path.partition("?")
        wire = dialect(path, request)
        visit = Visit()
        try:
            if not path.startswith("/"):
                path, _, query = self._keeper.target(request.raw_path, request.headers).partition("?")
                wire = dialect(path, request)
            self._keeper.check(request.headers, connection.sockname)
            answer = await self._answer(request, connection, path, query, wire, visit)
        except RefusedError as error:
            self._lately.refused(error.refusal.status, error.refusal.code)
            answer = refusal_reply(
                wire, error.refusal, self._door.date, error.headers, param=error.param, close=error.close
            )
        except CallerLeftError:
            answer = Handled(keep=False, status=CALLER_LEFT)
        except Exception as failed:
            log.exception("A request to %s failed", path if path in _WIRES else "the gateway")
            self.broke(path if path in _TOLD_APART else "other", f"{type(failed).__name__}: {failed}")
            answer = refusal_reply(wire, internal_error(), self._door.date, close=True)
        seconds = self._clock.monotonic() - started
        endpoint = path if path in _TOLD_APART else "other"
        first_byte = None if visit.began is None else visit.began - started
        self._lately.served(answer.status, seconds, first_byte, visit.away_s)
        if self._metrics is not None:
            self._metrics.tallies.served(endpoint, answer.status, seconds, first_byte=first_byte, away=visit.away_s)
        if access_log.isEnabledFor(logging.DEBUG):
            access_log.debug(
                "run=%s endpoint=%s status=%d ms=%.1f key=%s",
                visit.run_id or "-",
                endpoint,
                answer.status,
                seconds * 1000,
                visit.key_id or "-",
            )
        return answer

    async def _answer(
        self, request: BaseRequest, connection: Connection, path: str, query: str, wire: Wire, visit: Visit
    ) -> web.StreamResponse:
        check_size(request, self._settings.max_headers)
        if query:
            check_query(query)
        if path in _WIRES:
            require(request, path, "POST")
            key = self._known(request, visit)
            check_media_type(request)
            return await self._inference.answer(request, connection, key, wire, visit)
        if path == COUNTING_PATH:
            require(request, path, "POST")
            key = self._known(request, visit)
            check_media_type(request)
            return await self._inference.count(request, connection, key)
        if path == MODELS:
            require(request, path, "GET")
            return list_models(self._house.runner, self._known(request, visit), wire, query, self._door.date)
        if path.startswith(MODEL) and len(path) > len(MODEL):
            require(request, path, "GET")
            key = self._known(request, visit)
            return show_model(self._house.runner, key, wire, path[len(MODEL) :], self._door.date)
        if path.startswith(ROOT):
            return await self._console.answer(request, path, query, visit)
        if path == METRICS and self._metrics is not None:
            require(request, path, "GET")
            if not is_near(connection.peername):
                self._console.check_viewer(request, visit)
            return Reply(200, self._metrics.text(), self._door.date, content_type=CONTENT_TYPE)
        probe = self._probes.get(path)
        if probe is None:
            raise not_found("unknown_path", NOTHING_HERE)
        require(request, path, "GET")
        return probe()

    def _known(self, request: BaseRequest, visit: Visit) -> Key:
        self._house.access.refresh()
        if self._house.access.unavailable:
            raise overloaded("access_unavailable", NOBODY, RETRY_S)
        key = authenticate(request.headers, self._house.access)
        visit.key_id = key.key_id
        return key

    def _health(self) -> Reply:
        return Reply(200, b'{"status": "ok"}', self._door.date)

    def _ready(self) -> Reply:
        reasons = list(self._house.ready_problems())
        phase = self._house.phase
        if phase != "ready" and phase not in reasons:
            reasons.insert(0, phase)
        body = {"status": "unavailable", "reasons": reasons} if reasons else {"status": "ready"}
        return Reply(503 if reasons else 200, json.dumps(body).encode("ascii"), self._door.date)


def dialect(path: str, request: BaseRequest) -> Wire:
    """Whose shapes a caller expects: the path says, else whether it speaks Anthropic's version header."""
    wire = _WIRES.get(path)
    if wire is not None:
        return wire
    if path.startswith(MESSAGES) or "anthropic-version" in request.headers:
        return Wire.MESSAGES
    return Wire.CHAT


def require(request: BaseRequest, path: str, method: str) -> None:
    """Raises RefusedError where the request comes by another method."""
    if request.method != method:
        raise method_not_allowed(request.method, path if len(path) <= LONGEST_SHOWN else "This address", method)


def check_size(request: BaseRequest, limit: int) -> None:
    """The parser bounds each header; this bounds their sum, as they stood on the wire."""
    if sum([len(name) + len(value) + 4 for name, value in request.raw_headers]) > limit:
        raise headers_too_large(limit)
