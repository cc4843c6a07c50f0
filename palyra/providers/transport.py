"""Carrying calls to providers over HTTP: reused connections, time-outs, every failure as a ProviderError."""

import asyncio
import errno
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import Connection

from palyra.core.clock import Clock, Timer
from palyra.providers.errors import ErrorClass, ProviderError
from palyra.providers.exchange import Answer, Exchanges, NotHttpError
from palyra.providers.upstream import MAX_REPLY, Progress, UpstreamCall, UpstreamReply

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
AddressRule = Callable[[str, int, IPAddress], str]
"""(host, port, resolved address) to why that address may not be reached, or an empty text."""

LEAST_WAIT_S = 0.001
"""A time-out that is due within this is due."""


class Transport:
    """The way to providers on the network. Redirects are never followed, cookies never kept, proxies never used.

    `address_rule` is asked for every address a host name resolves to.
    """

    def __init__(self, clock: Clock, address_rule: AddressRule, resolver: AbstractResolver | None = None) -> None:
        self._clock = clock
        self._address_rule = address_rule
        self._resolver = resolver
        self._exchanges: Exchanges | None = None
        self._closed = False

    async def send(self, call: UpstreamCall, progress: Progress | None = None) -> UpstreamReply:
        """Returns once the answer's head has arrived. Raises ProviderError; cancelling it drops the connection."""
        if self._closed:
            message = f"{call.provider} cannot be reached: the engine is stopping."
            raise ProviderError(ErrorClass.NETWORK_UNAVAILABLE, message, written=False)
        flight = _Flight(self._clock, call, progress or Progress())
        exchanges = self._exchanges or self._open()
        try:
            answer = await exchanges.send(
                call.method,
                call.url,
                call.headers,
                call.body,
                connecting=flight.connecting,
                connected=flight.connected,
            )
        except (aiohttp.ClientError, NotHttpError, OSError) as error:
            flight.abort()
            raise flight.failure(error) from error
        except BaseException:
            flight.abort()
            raise
        return _HttpReply(answer, flight)

    async def close(self) -> None:
        """Drops every connection; calls under way fail with network_unavailable."""
        self._closed = True
        if self._exchanges is not None:
            await self._exchanges.close()

    def _open(self) -> Exchanges:
        resolver = _RuledResolver(self._resolver or aiohttp.DefaultResolver(), self._address_rule)
        self._exchanges = Exchanges(resolver)
        return self._exchanges


_EXPIRED = {
    "total": "{provider} did not finish its answer within {seconds:g} s.",
    "first byte": "{provider} sent nothing within {seconds:g} s.",
    "idle": "{provider} sent nothing more for {seconds:g} s.",
}


class _Flight:
    """One call under way: its timers, its connection, and which time-out ended it, if one did."""

    __slots__ = ("_clock", "_connection", "_progress", "_silent_since", "_timers", "_transport", "call", "expired")

    def __init__(self, clock: Clock, call: UpstreamCall, progress: Progress) -> None:
        self._clock = clock
        self._progress = progress
        self._connection: Connection | None = None
        self._transport: asyncio.Transport | None = None
        self._timers: dict[str, Timer] = {}
        self._silent_since: float | None = None
        self.call = call
        self.expired: tuple[str, float] | None = None
        self.arm("total", call.timeouts.total)

    def connecting(self) -> AbstractAsyncContextManager[object]:
        """The time-out around connecting; the total one has nothing to drop before there is a connection."""
        limits = [limit for limit in (self.call.timeouts.connect, self.call.timeouts.total) if limit is not None]
        return self._clock.timeout(min(limits, default=None))

    def connected(self, connection: Connection) -> None:
        self._connection = connection
        self._transport = connection.transport
        self._progress.written = True
        if self.call.stream:
            self.arm("first byte", self.call.timeouts.first_byte)

    def arm(self, phase: str, seconds: float | None) -> None:
        if seconds is not None:
            self._timers[phase] = self._clock.call_later(seconds, lambda: self._expire(phase, seconds))

    def disarm(self, phase: str) -> None:
        if (timer := self._timers.pop(phase, None)) is not None:
            timer.cancel()

    def listens(self) -> None:
        """More of the answer is waited for: silence may last no longer than the idle time-out. Answers come in many
        pieces, so one timer looks how long it has been silent by then, and none is made for each."""
        self._silent_since = self._clock.monotonic()
        if "idle" not in self._timers and (idle := self.call.timeouts.idle) is not None:
            self._timers["idle"] = self._clock.call_later(idle, lambda: self._silent(idle))

    def hears(self) -> None:
        """More of the answer came, or nobody waits for it at present."""
        self._silent_since = None

    def _silent(self, idle: float) -> None:
        del self._timers["idle"]
        if self._silent_since is None:
            return
        left = self._silent_since + idle - self._clock.monotonic()
        if left < LEAST_WAIT_S:
            self._expire("idle", idle)
        else:
            self._timers["idle"] = self._clock.call_later(left, lambda: self._silent(idle))

    def land(self) -> None:
        """The answer has ended, or nobody wants the rest of it."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def abort(self) -> None:
        """Ends a call whose answer has not begun, dropping what was not yet sent of its body."""
        self.land()
        # The connection of a call that failed was closed; one that is open already serves other calls.
        if self._transport is not None and self._transport.is_closing():
            self._transport.abort()

    def drop(self) -> None:
        """Drops the connection at once, unless the answer ended and it serves other calls by now."""
        self.land()
        self._sever()

    def failure(self, error: BaseException) -> ProviderError:
        """What an exception of the exchange means."""
        provider = self.call.provider
        if self.expired is not None:
            phase, seconds = self.expired
            message = _EXPIRED[phase].format(provider=provider, seconds=seconds)
            return self._error(ErrorClass.PROVIDER_TIMEOUT, message)
        if isinstance(error, TimeoutError):
            return self._error(ErrorClass.PROVIDER_TIMEOUT, f"{provider} could not be reached in time: {error}.")
        if isinstance(error, NotHttpError):
            said = str(error).partition("\n")[0].rstrip(" :.")
            return self._error(ErrorClass.MALFORMED_RESPONSE, f"{provider} does not answer in HTTP: {said}.")
        what = "broke the connection" if self._progress.written else "cannot be reached"
        return self._error(ErrorClass.NETWORK_UNAVAILABLE, f"{provider} {what}: {_why(error)}.")

    def _error(self, error_class: ErrorClass, message: str) -> ProviderError:
        return ProviderError(error_class, message, written=self._progress.written)

    def _expire(self, phase: str, seconds: float) -> None:
        if self._sever():
            self.expired = (phase, seconds)

    def _sever(self) -> bool:
        transport = None if self._connection is None else self._connection.transport
        if transport is None:
            return False
        transport.abort()
        return True


def _why(error: BaseException) -> str:
    """Why it could not be sent or answered; of the commonest cause in words."""
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, ConnectionRefusedError):
        host = f"[{error.host}]" if ":" in error.host else error.host
        return f"nothing listens at {host}:{error.port}"
    return (str(error) or type(error).__name__).rstrip(".")


class _RuledResolver(AbstractResolver):
    """Resolves host names and refuses addresses that may not be reached, so that no name leads inside unnoticed."""

    def __init__(self, inner: AbstractResolver, rule: AddressRule) -> None:
        self._inner = inner
        self._rule = rule

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        allowed: list[ResolveResult] = []
        refused = ""
        for result in found:
            reason = self._rule(host, port, ipaddress.ip_address(result["host"].partition("%")[0]))
            if reason:
                refused = f"{host} resolves to {result['host']}; {reason}"
            else:
                allowed.append(result)
        if refused and not allowed:
            raise OSError(errno.EACCES, refused)
        return allowed

    async def close(self) -> None:
        await self._inner.close()


class _HttpReply:
    """An answer from the network whose head has arrived."""

    __slots__ = ("_answer", "_flight")

    def __init__(self, answer: Answer, flight: _Flight) -> None:
        self._answer = answer
        self._flight = flight

    @property
    def status(self) -> int:
        return self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._answer.headers

    async def read(self, limit: int = MAX_REPLY) -> bytes:
        self._flight.disarm("first byte")
        pieces: list[bytes] = []
        size = 0
        content = self._answer.content
        try:
            while piece := await content.readany():
                size += len(piece)
                if size > limit:
                    provider = self._flight.call.provider
                    message = f"{provider} sent an answer of more than {limit} bytes."
                    raise ProviderError(ErrorClass.MALFORMED_RESPONSE, message)
                pieces.append(piece)
            self._check()
        except (aiohttp.ClientError, NotHttpError, OSError) as error:
            raise self._flight.failure(error) from error
        finally:
            self.close()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def chunks(self) -> AsyncIterator[bytes]:
        content = self._answer.content
        flight = self._flight
        begun = False
        try:
            while True:
                piece = content.read_nowait()
                if not piece:
                    if begun:
                        flight.listens()
                    piece = await content.readany()
                    flight.hears()
                    if not piece:
                        break
                if not begun:
                    begun = True
                    flight.disarm("first byte")
                yield piece
            self._check()
        except (aiohttp.ClientError, NotHttpError, OSError) as error:
            raise self._flight.failure(error) from error
        finally:
            self.close()

    def close(self) -> None:
        self._flight.drop()
        self._answer.close()

    def _check(self) -> None:
        # Without a declared length a dropped connection looks like the end of the body.
        if self._flight.expired is not None:
            raise ConnectionAbortedError
        if (failure := self._answer.content.exception()) is not None:
            raise failure
