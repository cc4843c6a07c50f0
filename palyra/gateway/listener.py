"""Where callers come in: one listening socket, which accepts no more connections than the house can hold."""

import asyncio
import contextlib
import errno
import ipaddress
import logging
import socket
import ssl
from collections.abc import Callable

from palyra.config.serving import GatewayConfig
from palyra.core.clock import Clock
from palyra.core.errors import StateError
from palyra.gateway.holders import port_holder
from palyra.gateway.tls import tls_context

log = logging.getLogger(__name__)

BACKLOG = 512
BURST = 64
"""Connections accepted in one turn of the loop."""

HANDSHAKE_S = 10.0
"""How long a caller may take to agree on encryption."""

TURNS_TO_BEGIN = 2
"""Turns of the loop until whoever was accepted has a transport that can be ended."""

OUT_OF_FILES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Listener:
    """Accepts while fewer than `limit` connections are open; the others wait in the kernel's queue."""

    def __init__(self, limit: int, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._open: set[asyncio.Protocol] = set()
        self._accepting = False
        self._socket: socket.socket | None = None
        self._factory: Callable[[], asyncio.Protocol] | None = None
        self._tls: ssl.SSLContext | None = None
        self._farewell_s = 0.0
        self._handing_over: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port in use. Only while listening."""
        assert self._socket is not None
        host, port = self._socket.getsockname()[:2]
        return str(host), int(port)

    @property
    def listening(self) -> bool:
        """Whether new connections are taken."""
        return self._socket is not None

    @property
    def connections(self) -> int:
        """Those that are open."""
        return len(self._open)

    def listen(self, settings: GatewayConfig, factory: Callable[[], asyncio.Protocol]) -> None:
        """Binds and accepts. Raises StateError for an address that is taken, not allowed or not ours."""
        host, port = split_bind(settings.bind)
        family, address = resolve(host, port, settings.bind)
        check_exposure(address[0], settings)
        self._tls = tls_context(settings.tls_cert, settings.tls_key, self._clock.now_ms())
        self._farewell_s = settings.stall_timeout / 1000
        self._factory = factory
        self._socket = bound(family, address, settings.bind)
        self._resume()

    def left(self, connection: asyncio.Protocol) -> None:
        """A connection made by the factory has ended, or never began."""
        self._open.discard(connection)
        self._resume()

    async def close(self) -> None:
        """Takes no more connections; those that were coming in are handed over or dropped."""
        self._pause()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        for _ in range(TURNS_TO_BEGIN):
            await asyncio.sleep(0)
        for task in tuple(self._handing_over):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _resume(self) -> None:
        if self._socket is not None and not self._accepting and len(self._open) < self._limit:
            self._accepting = True
            asyncio.get_running_loop().add_reader(self._socket, self._arrived)

    def _pause(self) -> None:
        if self._socket is not None and self._accepting:
            self._accepting = False
            asyncio.get_running_loop().remove_reader(self._socket)

    def _arrived(self) -> None:
        assert self._socket is not None
        assert self._factory is not None
        for _ in range(BURST):
            if len(self._open) >= self._limit:
                self._pause()
                return
            try:
                accepted, _ = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in OUT_OF_FILES:
                    raise
                log.warning("No connection can be accepted: %s.", error.strerror)
                self._pause()
                self._clock.call_later(1.0, self._resume)
                return
            accepted.setblocking(False)
            connection = self._factory()
            self._open.add(connection)
            task = asyncio.get_running_loop().create_task(self._hand_over(accepted, connection))
            self._handing_over.add(task)
            task.add_done_callback(self._handing_over.discard)

    async def _hand_over(self, accepted: socket.socket, connection: asyncio.Protocol) -> None:
        try:
            if self._tls is None:
                await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, accepted)
            else:
                await self._encrypted(accepted, connection, self._tls)
        except (OSError, asyncio.CancelledError):
            # The socket is its transport's by now, which the loop has closed: one that says farewell still needs it.
            self.left(connection)

    async def _encrypted(self, accepted: socket.socket, connection: asyncio.Protocol, tls: ssl.SSLContext) -> None:
        """Agrees on encryption. Raises OSError for a caller that does not, or takes too long.

        What is unsent when a connection ends leaves under the patience of a stalled stream: a transport that encrypts
        does not tell when the kernel has taken its last bytes.
        """
        async with self._clock.timeout(HANDSHAKE_S):
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                accepted,
                ssl=tls,
                ssl_handshake_timeout=2 * HANDSHAKE_S,
                ssl_shutdown_timeout=self._farewell_s,
            )


def split_bind(bind: str) -> tuple[str, int]:
    """`127.0.0.1:7142` or `[::1]:0` as host and port. Raises StateError."""
    host, colon, port = bind.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise StateError(f"{bind!r} is no address to listen on.", fix="Write gateway.bind as HOST:PORT.")
    return host, int(port)


def resolve(host: str, port: int, bind: str) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """The first address of a host name, IPv4 before IPv6."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise StateError(
            f"{bind} cannot be listened on: {error.strerror}.", fix="Set gateway.bind to an address of this machine."
        ) from None
    family, _, _, _, address = min(found, key=lambda entry: entry[0] is not socket.AF_INET)
    return family, (str(address[0]), int(address[1]))


def check_exposure(host: str, settings: GatewayConfig) -> None:
    """Refuses to serve other machines in the clear unless told to."""
    if ipaddress.ip_address(host.partition("%")[0]).is_loopback or settings.allow_remote:
        return
    if settings.tls_cert and settings.tls_key:
        return
    raise StateError(
        f"{settings.bind} would serve other machines without encryption.",
        fix="Set gateway.tls_cert and gateway.tls_key, or gateway.allow_remote = true, or bind to 127.0.0.1.",
        code="insecure_bind",
    )


def bound(family: socket.AddressFamily, address: tuple[str, int], bind: str) -> socket.socket:
    """A socket that listens there. Raises what `unusable` makes of the reason."""
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.setblocking(False)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise unusable(bind, address[1], error) from None
    return listening


def unusable(bind: str, port: int, error: OSError) -> StateError:
    """Why the address cannot be had, and by whom it is held."""
    if error.errno == errno.EADDRINUSE:
        holder = port_holder(port)
        by = f" by process {holder.pid} ({holder.name})" if holder else ""
        return StateError(
            f"{bind} is already in use{by}.",
            fix="Stop it, or set gateway.bind to another port; port 0 picks a free one.",
            code="port_taken",
        )
    fix = "Set gateway.bind to an address of this machine."
    if error.errno == errno.EACCES:
        fix = "Set gateway.bind to a port above 1023."
    return StateError(f"{bind} cannot be listened on: {error.strerror}.", fix=fix)
