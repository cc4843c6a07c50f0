"""What a killed engine left in flight, one case at a time: what is charged, and what goes on afterwards."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.support.upstream import Reply, Upstream
from tests.toughness.books import Row, read_books
from tests.toughness.programs import Engine, Installation

CHAT = "/v1/chat/completions"
SHORT_PROMPT = [{"role": "user", "content": "hello"}]
BOUND_INPUT = -(-len(json.dumps(SHORT_PROMPT, separators=(",", ":"))) // 2) + 30
"""Tokens held for that prompt."""


@asynccontextmanager
async def visitor(engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {engine.key}", "x-palyra-session": "sky"}
    async with httpx.AsyncClient(base_url=engine.gateway_url, headers=headers, timeout=60, trust_env=False) as client:
        yield client


async def metered_stream(installation: Installation, client: httpx.AsyncClient, upstream: Upstream) -> httpx.Response:
    """A stream that stands still after 200 words, once its meter has been journaled."""
    upstream.replies.append(Reply(pieces=("word ",) * 400, gate=asyncio.Event(), gate_at=200))
    body = {"model": "gpt-4o-mini", "messages": SHORT_PROMPT, "stream": True}
    response = await client.send(client.build_request("POST", CHAT, json=body), stream=True)
    words = 0
    async for line in response.aiter_lines():
        words += line.count("word ")
        if words == 200:
            break
    while not [
        row for row in read_books(installation.state_dir).open_holds.values() if (row["metered_output"] or 0) > 100
    ]:
        continue
    return response


def only(rows: "dict[str, Row]") -> Row:
    (row,) = rows.values()
    return row


async def test_a_stream_is_charged_its_last_reading(installation: Installation, upstream: Upstream) -> None:
    engine = installation.serve().ready()
    async with visitor(engine) as client:
        response = await metered_stream(installation, client, upstream)
        engine.kill()
        await response.aclose()
    hold = only(read_books(installation.state_dir).open_holds)
    assert hold["metered_usd"] < hold["bound_usd"]
    again = installation.serve().ready()
    books = read_books(installation.state_dir)
    usage = books["usage"][(hold["hold_id"],)]
    run = books.run(hold["run_id"])
    assert run is not None
    assert (usage["charge"], usage["output_total"]) == (hold["metered_usd"], hold["metered_output"])
    assert (run["state"], run["reason"], run["cost"]) == ("failed", "interrupted", hold["metered_usd"])
    assert again.stop() == 0
    assert installation.serve().ready().stop() == 0
    later = read_books(installation.state_dir)
    assert (later["usage"], later["holds"], later["runs"]) == (books["usage"], books["holds"], books["runs"])


async def test_a_kill_between_slices_charges_no_more_than_they_held(
    installation: Installation, upstream: Upstream
) -> None:
    """200 words are 250 tokens by the meter and 500 by what slices cover: 31 of them after the first."""
    assert installation.config is not None
    text = installation.config.read_text()
    installation.config.write_text(text + "\n[runs]\ndefault_output_tokens = 20\nslice_tokens = 16\n")
    engine = installation.serve().ready()
    async with visitor(engine) as client:
        response = await metered_stream(installation, client, upstream)
        engine.kill()
        await response.aclose()
    hold = only(read_books(installation.state_dir).open_holds)
    held_output = hold["bound_tokens"] - BOUND_INPUT
    assert 500 <= held_output <= 500 + 2 * 16
    again = installation.serve().ready()
    usage = read_books(installation.state_dir)["usage"][(hold["hold_id"],)]
    assert 100 < usage["output_total"] <= 250 < held_output
    assert 0 < usage["charge"] <= hold["bound_usd"]
    assert installation.run("ledger", "verify").code == 0
    assert again.stop() == 0


async def test_a_whole_answer_that_never_came_is_charged_its_bound(
    installation: Installation, upstream: Upstream
) -> None:
    """However long it was under way: nobody knows what the provider had done by then."""
    upstream.replies.append(Reply(gate=asyncio.Event()))
    engine = installation.serve().ready()
    async with visitor(engine) as client:
        body = {"model": "gpt-4o-mini", "messages": SHORT_PROMPT}
        asked = asyncio.create_task(client.post(CHAT, json=body))
        await upstream.wait_for_requests(1)
        response = await metered_stream(installation, client, upstream)
        engine.kill()
        await response.aclose()
        with pytest.raises(httpx.HTTPError):
            await asked
    books = read_books(installation.state_dir)
    (plain,) = [row for row in books.open_holds.values() if not books["runs"][(row["run_id"],)]["streaming"]]
    again = installation.serve().ready()
    assert read_books(installation.state_dir)["usage"][(plain["hold_id"],)]["charge"] == plain["bound_usd"] > 0
    assert again.stop() == 0


async def test_orphans_are_released_where_that_is_configured(installation: Installation, upstream: Upstream) -> None:
    assert installation.config is not None
    text = installation.config.read_text()
    installation.config.write_text(text + '\n[governance]\norphan_holds = "release"\n')
    engine = installation.serve().ready()
    async with visitor(engine) as client:
        response = await metered_stream(installation, client, upstream)
        engine.kill()
        await response.aclose()
    hold_id = only(read_books(installation.state_dir).open_holds)["hold_id"]
    again = installation.serve().ready()
    books = read_books(installation.state_dir)
    hold = books["holds"][(hold_id,)]
    assert (hold["state"], hold["recovered"], hold["actual_usd"]) == ("released", 1, 0)
    assert not books["usage"]
    assert installation.run("ledger", "verify").code == 0
    assert again.stop() == 0


async def test_an_approval_survives_and_its_grant_serves_the_retry(
    installation: Installation, upstream: Upstream
) -> None:
    engine = installation.serve().ready()
    body = {"model": "gpt-4o", "messages": SHORT_PROMPT, "max_tokens": 16_000}
    async with visitor(engine) as client:
        asked = asyncio.create_task(client.post(CHAT, json=body))
        while not (page := (await installation.command("approvals", "list", "--json")).data)["approvals"]:
            continue
        engine.child.send(signal.SIGKILL)
        with pytest.raises(httpx.HTTPError):
            await asked
    engine = installation.serve().ready()
    run = only({row["run_id"]: row for row in read_books(installation.state_dir)["runs"].values()})
    assert (run["state"], run["reason"], run["cost"]) == ("failed", "interrupted", 0)
    approval_id = page["approvals"][0]["approval_id"]
    assert (await installation.command("approvals", "allow", approval_id)).code == 0
    async with visitor(engine) as client:
        answer = await client.post(CHAT, json=body)
    assert answer.status_code == 200
    books = read_books(installation.state_dir)
    (grant,) = books["grants"].values()
    served = books.run(answer.headers["x-palyra-run"])
    assert served is not None
    assert json.loads(served["grant_ids"]) == [grant["grant_id"]]
    assert engine.stop() == 0
