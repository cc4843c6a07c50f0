"""The addresses of a host, as the machine resolves names.

A name server that is silent holds a lookup up for half a minute, and nothing can end it: each lookup has a thread of
its own, which keeps neither the threads that all share nor the end of the process waiting.
"""

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from weakref import WeakKeyDictionary

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]
"""The addresses of a host and port. Raises OSError."""

Lookup = Callable[[str, int], Sequence[Address]]


def _looked_up(host: str, port: int) -> Sequence[Address]:
    """Blocks. Raises OSError, UnicodeError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found))


class Names:
    """Looks names up, one that is looked up already not a second time."""

    def __init__(self, look_up: Lookup = _looked_up) -> None:
        self._look_up = look_up
        self._under_way: WeakKeyDictionary[
            asyncio.AbstractEventLoop, dict[tuple[str, int], asyncio.Future[Sequence[Address]]]
        ] = WeakKeyDictionary()

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        """Each once, in the order in which they are to be tried. Raises OSError, UnicodeError."""
        try:
            return (ipaddress.ip_address(host.partition("%")[0]),)
        except ValueError:
            pass
        under_way = self._under_way.setdefault(asyncio.get_running_loop(), {})
        told = under_way.get((host, port))
        if told is None:
            told = under_way[host, port] = self._begun(host, port)
            told.add_done_callback(lambda done: _over(under_way, (host, port), done))
        return await asyncio.shield(told)

    def _begun(self, host: str, port: int) -> "asyncio.Future[Sequence[Address]]":
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Sequence[Address]] = loop.create_future()

        def land(found: Sequence[Address], error: Exception | None) -> None:
            if told.cancelled():
                return
            if error is None:
                told.set_result(found)
            else:
                told.set_exception(error)

        def carry_out() -> None:
            found: Sequence[Address] = ()
            failed: Exception | None = None
            try:
                found = self._look_up(host, port)
            except Exception as error:
                failed = error
            try:
                loop.call_soon_threadsafe(land, found, failed)
            except RuntimeError:
                """The loop has ended meanwhile: nobody waits any more."""

        threading.Thread(target=carry_out, name=f"palyra:resolve:{host[:40]}", daemon=True).start()
        return told


def _over(
    under_way: dict[tuple[str, int], "asyncio.Future[Sequence[Address]]"],
    what: tuple[str, int],
    told: "asyncio.Future[Sequence[Address]]",
) -> None:
    """Its error was told to whoever waited; there may be nobody left."""
    under_way.pop(what, None)
    if not told.cancelled():
        told.exception()


system_addresses: Resolve = Names()
