"""Systemd hears of a service on a datagram socket; without it, or when it does not listen, nothing is different."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from palyra.core.clock import ManualClock, settle_loop
from palyra.core.systemd import ServiceNotices

NAME = f"@palyra-test-of-notices-{os.getpid()}"


@pytest.fixture(params=["path", "abstract"])
def heard(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    named = NAME if request.param == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(named.replace("@", "\0") if named == NAME else named)
        listening.setblocking(False)
        yield listening, named


async def test_it_hears_of_the_beginning_of_life_and_of_the_end(heard: tuple[socket.socket, str]) -> None:
    listening, named = heard
    clock = ManualClock()
    notices = ServiceNotices({"NOTIFY_SOCKET": named, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, pid=7)
    notices.ready("serving http://127.0.0.1:7142")
    assert listening.recv(4096) == b"READY=1\nSTATUS=serving http://127.0.0.1:7142"
    living = asyncio.create_task(notices.keep_alive(clock))
    await settle_loop()
    for _ in range(3):
        assert listening.recv(4096) == b"WATCHDOG=1"
        with pytest.raises(BlockingIOError):
            listening.recv(4096)
        await clock.advance(15)
        await settle_loop()
    living.cancel()
    await asyncio.gather(living, return_exceptions=True)
    assert listening.recv(4096) == b"WATCHDOG=1"
    notices.stopping()
    assert listening.recv(4096).startswith(b"STOPPING=1\n")


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "500000"}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_signs_of_life_are_given_where_they_are_wanted(environ: dict[str, str], seconds: float | None) -> None:
    assert ServiceNotices(environ, pid=7).watchdog_seconds == seconds


@pytest.mark.parametrize("named", ["", "vsock:2:1", "/nowhere/at/all", "@nobody-listens-there"])
async def test_nobody_who_listens_is_no_trouble(named: str) -> None:
    notices = ServiceNotices({"NOTIFY_SOCKET": named})
    notices.ready("x")
    await notices.keep_alive(ManualClock())
    notices.stopping()
