"""Doors that close while callers are on their way in: nobody stays behind, and nothing breaks."""

import asyncio
import gc
import json
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import pytest

from palyra.core.clock import SystemClock, settle_loop
from palyra.gateway.server import Gateway
from tests.gateway.certificates import make
from tests.gateway.stand_in import CHAT, TOKEN, StandInHouse

Pair = tuple[Path, Path]

TURNS = range(10)
"""Of the loop, between a caller's arrival and the end: one for each step on the way in, and some more."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make(tmp_path_factory.mktemp("closing"), "good")


def request() -> bytes:
    body = json.dumps(CHAT).encode()
    fields = f"Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
    return f"POST /v1/chat/completions HTTP/1.1\r\n{fields}Content-Length: {len(body)}\r\n\r\n".encode() + body


def arrive(gateway: Gateway) -> socket.socket:
    """Connects before the loop has turned."""
    host, port = gateway.url.partition("://")[2].rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=10)


async def ends(caller: socket.socket) -> None:
    """Returns once the other side has closed."""
    try:
        while await asyncio.to_thread(caller.recv, 65_536):
            pass
    except ConnectionResetError:
        return


@pytest.mark.parametrize("turns", TURNS)
async def test_callers_on_their_way_in_are_let_go(turns: int, caplog: pytest.LogCaptureFixture) -> None:
    gateway = Gateway(StandInHouse(), SystemClock())
    gateway.open()
    with arrive(gateway) as silent, arrive(gateway) as asking:
        asking.sendall(request())
        for _ in range(turns):
            await asyncio.sleep(0)
        await gateway.close(patience=0.5)
        await ends(silent)
        await ends(asking)
    gc.collect()
    assert not caplog.records


class Encrypted:
    """A caller's side of an encrypted connection."""

    def __init__(self, caller: socket.socket, pair: Pair) -> None:
        self._caller = caller
        self._inner, self._outer = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context(cafile=str(pair[0]))
        self._words = context.wrap_bio(self._inner, self._outer, server_hostname="localhost")

    async def agree_and(self, said: bytes) -> None:
        """The end of the handshake and the first words leave in one piece."""
        while True:
            try:
                self._words.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._caller.sendall(self._outer.read())
                self._inner.write(await asyncio.to_thread(self._caller.recv, 65_536))
        self._words.write(said)
        self._caller.sendall(self._outer.read())

    async def part(self) -> None:
        """Takes what comes, and says farewell once the other side has."""
        with suppress(ConnectionError, ssl.SSLError):
            while data := await asyncio.to_thread(self._caller.recv, 65_536):
                self._inner.write(data)
                with suppress(ssl.SSLWantReadError):
                    while self._words.read():
                        pass
                    self._words.unwrap()
                self._caller.sendall(self._outer.read())


@pytest.mark.parametrize("turns", TURNS)
async def test_callers_that_agree_on_encryption_are_let_go(
    turns: int, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = Gateway(StandInHouse(tls_cert=pair[0], tls_key=pair[1]), SystemClock())
    gateway.open()
    with arrive(gateway) as silent, arrive(gateway) as asking:
        encrypted = Encrypted(asking, pair)
        await encrypted.agree_and(request())
        for _ in range(turns):
            await asyncio.sleep(0)
        await gateway.close(patience=0.5)
        await ends(silent)
        await encrypted.part()
        await settle_loop()
    gc.collect()
    assert not caplog.records
