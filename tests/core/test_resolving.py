"""Names are looked up apart from everything else, so that a silent name server holds up nobody but who waits for it."""

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Sequence

import pytest

from palyra.core.resolving import Address, Names, system_addresses

HERE = (ipaddress.ip_address("127.0.0.1"),)


class Server:
    """A name server that answers when it is let go on."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.threads: list[threading.Thread] = []
        self.gate = threading.Event()

    def __call__(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append(host)
        self.threads.append(threading.current_thread())
        self.gate.wait()
        if host == "nobody":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return HERE


async def test_an_address_is_its_own_and_localhost_is_here() -> None:
    assert await system_addresses("192.0.2.7", 80) == (ipaddress.ip_address("192.0.2.7"),)
    assert await system_addresses("::1", 80) == (ipaddress.ip_address("::1"),)
    assert await system_addresses("fe80::1%lo", 80) == (ipaddress.ip_address("fe80::1"),)
    assert any(one.is_loopback for one in await system_addresses("localhost", 80))


async def test_a_name_is_looked_up_once_for_all_who_ask_meanwhile_on_a_thread_that_keeps_nothing_alive() -> None:
    server = Server()
    names = Names(server)
    waiting = [asyncio.create_task(names("host", 80)) for _ in range(50)]
    other = asyncio.create_task(names("other", 80))
    await asyncio.sleep(0)
    waiting[0].cancel()
    server.gate.set()
    assert await asyncio.gather(*waiting[1:]) == [HERE] * 49
    assert await other == HERE
    assert waiting[0].cancelled()
    assert sorted(server.asked) == ["host", "other"]
    assert all(thread.daemon for thread in server.threads)
    assert await names("host", 80) == HERE
    assert server.asked.count("host") == 2


async def test_a_name_that_nobody_has_is_an_error_for_each_who_asked() -> None:
    server = Server()
    names = Names(server)
    waiting = [asyncio.create_task(names("nobody", 80)) for _ in range(2)]
    await asyncio.sleep(0)
    server.gate.set()
    for one in waiting:
        with pytest.raises(OSError, match="not known"):
            await one
