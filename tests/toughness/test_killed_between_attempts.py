"""An engine that dies between two attempts of a run, or in the second: what the first came to stays as it was."""

import asyncio

import httpx
import pytest

from tests.support.upstream import Reply, Upstream
from tests.toughness.books import Books, read_books
from tests.toughness.programs import Engine, Installation

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 100}


@pytest.fixture
def retrying(installation: Installation) -> Installation:
    """One that tries twice more."""
    assert installation.config is not None
    text = installation.config.read_text()
    assert "[retries]\nmax = 0" in text
    installation.config.write_text(text.replace("[retries]\nmax = 0", "[retries]\nmax = 2"))
    return installation


def asking(engine: Engine) -> "asyncio.Task[httpx.Response]":
    async def ask() -> httpx.Response:
        headers = {"authorization": f"Bearer {engine.key}", "x-palyra-session": "sky"}
        async with httpx.AsyncClient(base_url=engine.gateway_url, headers=headers, timeout=60, trust_env=False) as one:
            return await one.post("/v1/chat/completions", json=BODY)

    return asyncio.create_task(ask())


def by_attempt(books: Books) -> list[tuple[int, str, int]]:
    """Each hold: its attempt, its state and what it was charged."""
    rows = sorted(books["holds"].values(), key=lambda row: row["attempt"])
    return [(row["attempt"], row["state"], row["actual_usd"] or 0) for row in rows]


async def test_a_kill_between_two_attempts_leaves_nothing_held_and_nothing_charged(
    retrying: Installation, upstream: Upstream
) -> None:
    upstream.replies.append(Reply(status=503, headers={"retry-after": "9"}))
    engine = retrying.serve().ready()
    asked = asking(engine)
    while by_attempt(await asyncio.to_thread(read_books, retrying.state_dir)) != [(1, "released", 0)]:
        continue
    engine.kill()
    with pytest.raises(httpx.HTTPError):
        await asked
    again = retrying.serve().ready()
    books = read_books(retrying.state_dir)
    (run,) = books["runs"].values()
    assert (run["state"], run["reason"], run["cost"], run["attempts"]) == ("failed", "interrupted", 0, 1)
    assert (by_attempt(books), books.open_holds, books["usage"]) == ([(1, "released", 0)], {}, {})
    assert len(upstream.seen) == 1
    assert retrying.run("ledger", "verify").code == 0
    assert again.stop() == 0


async def test_a_kill_in_the_second_attempt_adds_its_bound_to_what_the_first_was_charged(
    retrying: Installation, upstream: Upstream
) -> None:
    upstream.replies += [Reply(break_at=0), Reply(gate=asyncio.Event())]
    engine = retrying.serve().ready()
    asked = asking(engine)
    await upstream.wait_for_requests(2)
    books = read_books(retrying.state_dir)
    (first,) = [row for row in books["holds"].values() if row["attempt"] == 1]
    (second,) = books.open_holds.values()
    assert (first["state"], first["actual_usd"] > 0, second["attempt"]) == ("settled", True, 2)
    engine.kill()
    with pytest.raises(httpx.HTTPError):
        await asked
    again = retrying.serve().ready()
    books = read_books(retrying.state_dir)
    (run,) = books["runs"].values()
    assert by_attempt(books) == [(1, "settled", first["actual_usd"]), (2, "settled", second["bound_usd"])]
    assert (run["state"], run["cost"]) == ("failed", first["actual_usd"] + second["bound_usd"])
    assert len(upstream.seen) == 2
    assert retrying.run("ledger", "verify").code == 0
    assert again.stop() == 0
    assert retrying.serve().ready().stop() == 0
    later = read_books(retrying.state_dir)
    assert (later["usage"], later["holds"], later["runs"]) == (books["usage"], books["holds"], books["runs"])
