"""The operators' socket: consoles of this machine, known by their account, see snapshots and send commands."""

import json
import logging
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from aiohttp import web
from aiohttp.web_request import BaseRequest

from palyra.control.codec import (
    COMMANDS,
    OPERATOR_HEADER,
    QUERY,
    SNAPSHOT,
    SSH_AUTH_HEADER,
    SSH_HEADER,
    decode_command,
    decode_query,
    encode_answer,
    encode_result,
    encode_snapshot,
)
from palyra.control.protocol import Control
from palyra.control.snapshots import Topic
from palyra.control.sockets import POINTER_FILE, choose_socket
from palyra.core.errors import (
    BadInputError,
    ConflictError,
    EngineGoneError,
    JournalUnavailableError,
    NotFoundError,
    PalyraError,
    StateError,
)
from palyra.core.values import value
from palyra.vault.identity import Identity, account_of, identify
from palyra.vault.records import Operator
from palyra.vault.ssh_keys import session_keys

log = logging.getLogger(__name__)

BACKLOG = 64
ROOT = 0
_CREDENTIALS = struct.Struct("3i")
"""pid, uid, gid of the process at the other end. Source: SO_PEERCRED in socket(7)."""

_STATUS: tuple[tuple[type[PalyraError], int], ...] = (
    (NotFoundError, 404),
    (ConflictError, 409),
    (BadInputError, 400),
    (JournalUnavailableError, 503),
    (EngineGoneError, 503),
    (StateError, 503),
)


@value
class Peer:
    """The process at the other end of a connection."""

    pid: int
    uid: int


class Registered(Protocol):
    """What is known of operators."""

    @property
    def operators(self) -> tuple[Operator, ...]:
        """The operators there are."""
        ...

    @property
    def operators_registered(self) -> bool:
        """Whether anybody was ever registered."""
        ...

    @property
    def unavailable(self) -> str:
        """Why the registry cannot be read; empty where it can."""
        ...

    def refresh(self) -> None:
        """Takes over what was written since by others."""
        ...


def peer_of(request: BaseRequest) -> Peer:
    """Who is at the other end, as the kernel says."""
    transport = request.transport
    connection = None if transport is None else transport.get_extra_info("socket")
    if connection is None:
        raise EngineGoneError("The console has left.")
    pid, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return Peer(pid, uid)


class OperatorsServer:
    """Serves the consoles of one state directory, whose lock the engine holds.

    `control_for` gives the control of one operator; `peer` tells who is at the other end.
    """

    def __init__(
        self,
        state_dir: Path,
        registered: Registered,
        control_for: Callable[[Identity], Control],
        environ: Mapping[str, str],
        *,
        peer: Callable[[BaseRequest], Peer] = peer_of,
    ) -> None:
        self._state_dir = state_dir
        self._registered = registered
        self._control_for = control_for
        self._environ = environ
        self._peer = peer
        self._runner: web.ServerRunner | None = None
        self._path: Path | None = None
        self._routes: dict[str, tuple[str, Callable[[BaseRequest, Control], Awaitable[bytes]]]] = {
            SNAPSHOT: ("GET", self._snapshot),
            QUERY: ("POST", self._query),
            COMMANDS: ("POST", self._command),
        }

    @property
    def path(self) -> Path:
        """The socket. Only while open."""
        assert self._path is not None
        return self._path

    async def open(self) -> None:
        """Listens. Raises StateError when the socket cannot be made."""
        path = choose_socket(self._state_dir, self._environ)
        listening = listening_socket(path)
        self._runner = web.ServerRunner(
            web.Server(self._handle, access_log=None), access_log=None, shutdown_timeout=1.0
        )
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()
        self._path = path

    async def close(self) -> None:
        """Ends every console's connection and removes the socket."""
        if self._runner is None or self._path is None:
            return
        for leftover in (self._path, self._state_dir / POINTER_FILE):
            with suppress(FileNotFoundError):
                leftover.unlink()
        await self._runner.cleanup()
        self._runner = None

    async def _handle(self, request: BaseRequest) -> web.StreamResponse:
        try:
            status, body = 200, await self._answer(request)
        except PalyraError as error:
            status, body = status_of(error), error_body(error.code, error.message, error.fix)
        except web.HTTPException:
            raise
        except Exception:
            log.exception("A console's request failed")
            status, body = 500, error_body("internal_error", "The engine failed to answer; its log says why.", "")
        return web.Response(status=status, body=body, content_type="application/json")

    async def _answer(self, request: BaseRequest) -> bytes:
        control = self._control_for(self._identified(request))
        route = self._routes.get(request.path)
        if route is None:
            raise NotFoundError(f"There is no {request.path[:80]} here.", fix="Run the same version on both ends.")
        method, serve = route
        if request.method != method:
            raise BadInputError(f"{request.path} takes {method}.", fix="Run the same version on both ends.")
        return await serve(request, control)

    def _identified(self, request: BaseRequest) -> Identity:
        peer = self._peer(request)
        own = os.geteuid()
        if peer.uid not in (own, ROOT):
            raise PalyraError(
                f"The account {account_of(peer.uid)} may not use this engine.",
                fix=f"Use it as {account_of(own)}.",
                code="role_missing",
            )
        self._registered.refresh()
        return identify(
            account_of(peer.uid),
            self._registered.operators,
            registered=self._registered.operators_registered,
            owns_state=peer.uid == own,
            claimed=request.headers.get(OPERATOR_HEADER) or None,
            environ={"SSH_CONNECTION": request.headers.get(SSH_HEADER, "")},
            keys=session_keys(request.headers.get(SSH_AUTH_HEADER, ""), peer.uid),
            unavailable=bool(self._registered.unavailable),
        )

    async def _snapshot(self, request: BaseRequest, control: Control) -> bytes:
        names = [name for name in request.query.get("topics", "").split(",") if name]
        try:
            topics = {Topic(name) for name in names}
        except ValueError:
            known = ", ".join(Topic)
            raise BadInputError("One of the topics is not known.", fix=f"The known ones are {known}.") from None
        return encode_snapshot(await control.snapshot(topics))

    async def _query(self, request: BaseRequest, control: Control) -> bytes:
        return encode_answer(await control.ask(decode_query(await request.read())))

    async def _command(self, request: BaseRequest, control: Control) -> bytes:
        return encode_result(await control.send(decode_command(await request.read())))


def status_of(error: PalyraError) -> int:
    """The status of HTTP that an error is told with."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 403)


def error_body(code: str, message: str, fix: str) -> bytes:
    """An error as consoles read it."""
    return json.dumps({"error": {"code": code, "message": message, "fix": fix}}).encode("ascii")


def listening_socket(path: Path) -> socket.socket:
    """A socket only its owner may connect to. One that is there is an engine's that died: the lock is ours."""
    try:
        with suppress(FileNotFoundError):
            found = path.lstat()
            if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid():
                raise StateError(f"{path} is in the way of the operators' socket.", fix="Remove it.")
            path.unlink()
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listening.setblocking(False)
            before = os.umask(0o177)
            try:
                listening.bind(str(path))
            finally:
                os.umask(before)
            listening.listen(BACKLOG)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise StateError(
            f"The operators' socket {path} cannot be made: {error.strerror or error}.",
            fix="Check the directory's permissions.",
        ) from None
    return listening
