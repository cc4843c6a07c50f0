"""A terminal that nobody reads does not hold up the gateway; when it is read again, it shows what is so now."""

import asyncio
import itertools
import select
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.toughness.books import read_books
from tests.toughness.programs import Installation
from tests.toughness.terminal import Terminal, assert_given_back, terminal

ENOUGH = 300
"""Requests served while the terminal takes nothing."""

SCREENS = itertools.cycle("45721")


@asynccontextmanager
async def gateway(term: Terminal) -> AsyncIterator[httpx.AsyncClient]:
    url = await term.ready()
    key = (term.installation.state_dir / "gateway-key.txt").read_text().strip()
    async with httpx.AsyncClient(base_url=url, headers={"x-api-key": key}, timeout=60, trust_env=False) as client:
        yield client


async def served(client: httpx.AsyncClient) -> None:
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
    assert (await client.post("/v1/chat/completions", json=body)).status_code == 200


def takes_more(term: Terminal) -> bool:
    """Whether the terminal has room for what is painted next."""
    return bool(select.select([], [term.slave], [], 0)[1])


async def stall(term: Terminal, client: httpx.AsyncClient) -> int:
    """Looks away and goes from screen to screen until the terminal takes no more. Returns the requests served."""
    term.look_away()
    count = 0
    async with asyncio.timeout(60):
        while takes_more(term):
            term.type(next(SCREENS))
            await served(client)
            count += 1
    return count


async def test_the_gateway_serves_while_nobody_reads_and_then_shows_what_is_so(installation: Installation) -> None:
    async with terminal(installation) as term, gateway(term) as client:
        count = await stall(term, client)
        for number in range(ENOUGH):
            if number % 20 == 0:
                term.type(next(SCREENS))
            await served(client)
        assert not takes_more(term)
        term.type("4")
        await term.shows("Usage ›", f"requests {count + ENOUGH}")


async def test_a_stalled_console_ends_in_order_when_told(installation: Installation) -> None:
    async with terminal(installation) as term, gateway(term) as client:
        await stall(term, client)
        await served(client)
        term.send(signal.SIGTERM)
        assert await term.ended() == 0
        assert_given_back(term)
    assert not read_books(installation.state_dir).open_holds
    assert installation.run("ledger", "verify").code == 0


async def test_a_stalled_console_ends_in_order_when_its_terminal_goes(installation: Installation) -> None:
    async with terminal(installation) as term, gateway(term) as client:
        await stall(term, client)
        await served(client)
        term.hang_up()
        assert await term.ended() == 0
    assert (installation.state_dir / "engine.lock").read_bytes() == b""


@pytest.mark.soak
async def test_a_minute_without_a_reader(installation: Installation) -> None:
    async with terminal(installation) as term, gateway(term) as client:
        count = await stall(term, client)
        clock = asyncio.get_running_loop()
        until = clock.time() + 60
        while clock.time() < until:
            term.type(next(SCREENS))
            await served(client)
            count += 1
            assert not takes_more(term)
        assert count > 60 * 20
        term.send(signal.SIGTERM)
        assert await term.ended() == 0
        assert_given_back(term)
    assert len(read_books(installation.state_dir)["usage"]) == count
    assert installation.run("ledger", "verify").code == 0
