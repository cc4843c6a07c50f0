"""However the console ends, the terminal is as it was found, the engine has ended in order, and nobody spins on."""

import asyncio
import re
import signal

import httpx
import pytest

from tests.support.upstream import Reply, Upstream
from tests.toughness.books import read_books
from tests.toughness.programs import Installation
from tests.toughness.terminal import assert_given_back, terminal


def ended_in_order(installation: Installation) -> None:
    """The engine let go of everything and said so."""
    assert (installation.state_dir / "engine.lock").read_bytes() == b""
    assert not (installation.state_dir / "operators.sock").exists()
    assert not (installation.state_dir / "journal.db-wal").exists()
    stopped = [row["payload"] for row in read_books(installation.state_dir)["audit"].values()][-1]
    assert stopped == '{"verb":"stopped"}'


async def test_quit(installation: Installation) -> None:
    async with terminal(installation) as term:
        await term.ready()
        term.type("q")
        assert await term.ended() == 0
        assert_given_back(term)
    ended_in_order(installation)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
async def test_a_signal(installation: Installation, number: signal.Signals) -> None:
    async with terminal(installation) as term:
        await term.ready()
        term.send(number)
        assert await term.ended() == 0
        assert_given_back(term)
    ended_in_order(installation)


async def test_a_lost_connection_ends_it_without_painting(installation: Installation) -> None:
    """Whatever is open on it."""
    async with terminal(installation) as term:
        await term.ready()
        term.type("?")
        await term.shows("Keys of Triage")
        before = len(term.seen)
        term.send(signal.SIGHUP)
        assert await term.ended() == 0
        assert_given_back(term)
        _, _, after = bytes(term.seen[before:]).rpartition(b"\x1b[?1049l")
        assert not re.sub(rb"\x1b\[[?<>=]?[\d;]*[a-z]", b"", after).strip()
    ended_in_order(installation)


async def test_a_terminal_that_vanishes_leaves_no_orphan(installation: Installation) -> None:
    async with terminal(installation) as term:
        await term.ready()
        term.hang_up()
        assert await term.ended() == 0
    ended_in_order(installation)


async def test_a_view_that_fails_is_a_panel_and_the_gateway_goes_on(
    installation: Installation, upstream: Upstream
) -> None:
    async with terminal(installation, before="tests.toughness.sabotage:one_view") as term:
        url = await term.ready()
        term.type("4")
        await term.shows("SabotageError")
        assert (await ask(installation, url)).status_code == 200
        term.type("1")
        await term.shows("Triage")
        term.type("q")
        assert await term.ended() == 0
        assert_given_back(term)
    assert b"Traceback" not in term.seen
    ended_in_order(installation)


async def test_a_console_that_fails_gives_the_terminal_back_and_says_where_to_look(installation: Installation) -> None:
    async with terminal(installation, before="tests.toughness.sabotage:the_console") as term:
        assert await term.ended() == 1
        assert_given_back(term)
    assert b"Traceback" not in term.seen
    assert b"log" in term.seen
    # It failed with its first picture, after which an engine is loaded.
    assert not (installation.state_dir / "journal.db").exists()


async def test_runs_in_flight_survive_their_terminal(installation: Installation, upstream: Upstream) -> None:
    upstream.default = reply = Reply(gate=asyncio.Event())
    async with terminal(installation) as term:
        url = await term.ready()
        asked = asyncio.create_task(ask(installation, url))
        await upstream.wait_for_requests(1)
        term.hang_up()
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            while (await client.get("/readyz")).status_code == 200:
                continue
        assert reply.gate is not None
        reply.gate.set()
        assert (await asked).status_code == 200
        assert await term.ended() == 0
    ended_in_order(installation)


async def test_runs_in_flight_are_waited_for_and_who_insists_is_obeyed(
    installation: Installation, upstream: Upstream
) -> None:
    upstream.default = Reply(gate=asyncio.Event())
    async with terminal(installation) as term:
        url = await term.ready()
        asked = asyncio.create_task(ask(installation, url))
        await upstream.wait_for_requests(1)
        term.send(signal.SIGTERM)
        await term.until(lambda: b"waiting up to 20 s for runs in flight" in term.seen)
        term.type("\x03")
        assert await term.ended() == 130
        assert_given_back(term)
        with pytest.raises(httpx.HTTPError):
            await asked
    assert b"stopped hard; the next start ends what was held" in term.seen
    assert len(read_books(installation.state_dir).open_holds) == 1


async def ask(installation: Installation, url: str) -> httpx.Response:
    key = (installation.state_dir / "gateway-key.txt").read_text().strip()
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
    async with httpx.AsyncClient(base_url=url, headers={"x-api-key": key}, timeout=60, trust_env=False) as client:
        return await client.post("/v1/chat/completions", json=body)
