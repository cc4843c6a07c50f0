"""Ending an engine: who is being served is served, who comes is told to come back, who insists is obeyed."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.support.upstream import Reply, Upstream
from tests.toughness.books import read_books
from tests.toughness.programs import Engine, Installation

CHAT = "/v1/chat/completions"
PIECES = ("It ", "scatters ", "blue ", "most.")


@asynccontextmanager
async def visitor(engine: Engine) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {engine.key}"}
    async with httpx.AsyncClient(base_url=engine.gateway_url, headers=headers, timeout=60, trust_env=False) as client:
        yield client


def question(model: str = "gpt-4o-mini", **more: object) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "why is the sky blue?"}], **more}


async def begun(client: httpx.AsyncClient) -> "tuple[httpx.Response, AsyncIterator[str]]":
    """A stream whose first words have come."""
    request = client.build_request("POST", CHAT, json=question(stream=True, stream_options={"include_usage": True}))
    response = await client.send(request, stream=True)
    assert response.status_code == 200
    lines = response.aiter_lines()
    async for line in lines:
        if PIECES[0] in line:
            break
    return response, lines


async def draining(client: httpx.AsyncClient) -> None:
    """Returns once the engine takes no more work."""
    while (await client.get("/readyz")).status_code == 200:
        continue


def gated() -> Reply:
    return Reply(pieces=PIECES, gate=asyncio.Event(), gate_at=1)


async def test_a_stream_ends_well_while_new_requests_are_told_to_come_back(
    installation: Installation, upstream: Upstream
) -> None:
    upstream.default = reply = gated()
    engine = installation.serve().ready()
    async with visitor(engine) as client:
        response, lines = await begun(client)
        engine.child.send(signal.SIGTERM)
        await draining(client)
        refused = await client.post(CHAT, json=question())
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "engine_draining"
        assert refused.headers["retry-after"] == "5"
        assert (await client.get("/readyz")).json()["reasons"] == ["draining"]
        assert (await client.get("/healthz")).status_code == 200
        assert reply.gate is not None
        reply.gate.set()
        rest = [line async for line in lines if line]
        assert rest[-1] == "data: [DONE]"
        await response.aclose()
    assert await asyncio.to_thread(engine.child.wait) == 0
    (run,) = read_books(installation.state_dir)["runs"].values()
    assert (run["state"], run["reason"]) == ("completed", "stop")
    assert installation.run("ledger", "verify").code == 0


async def test_a_parked_request_is_told_to_come_back_and_its_approval_stays(
    installation: Installation, upstream: Upstream
) -> None:
    engine = installation.serve().ready()
    async with visitor(engine) as client:
        waiting = asyncio.create_task(client.post(CHAT, json=question("gpt-4o", max_tokens=16_000)))
        while not (await installation.command("approvals", "list", "--json")).data["approvals"]:
            continue
        engine.child.send(signal.SIGTERM)
        answer = await waiting
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "engine_draining"
    assert await asyncio.to_thread(engine.child.wait) == 0
    assert not upstream.seen
    (approval,) = installation.run("approvals", "list", "--json").data["approvals"]
    assert approval["status"] == "pending"


async def test_what_does_not_end_in_time_is_cut_and_charged_at_its_meter(
    installation: Installation, upstream: Upstream
) -> None:
    upstream.default = gated()
    assert installation.config is not None
    installation.config.write_text(installation.config.read_text().replace("drain_seconds = 20", "drain_seconds = 0"))
    engine = installation.serve().ready()
    async with visitor(engine) as client:
        response, lines = await begun(client)
        engine.child.send(signal.SIGTERM)
        rest = [line async for line in lines if line]
        await response.aclose()
    assert rest[-1] == "data: [DONE]"
    assert json.loads(rest[-2].removeprefix("data: "))["error"]["code"] == "engine_draining"
    assert await asyncio.to_thread(engine.child.wait) == 0
    books = read_books(installation.state_dir)
    (run,) = books["runs"].values()
    (usage,) = books["usage"].values()
    assert (run["state"], run["reason"]) == ("cancelled", "engine_stopping")
    assert usage["usage_source"] == "metered"
    assert usage["output_total"] > 0
    assert not books.open_holds
    assert installation.run("ledger", "verify").code == 0


async def test_a_second_signal_ends_it_at_once_and_the_next_start_ends_the_holds(
    installation: Installation, upstream: Upstream
) -> None:
    upstream.default = gated()
    engine = installation.serve().ready()
    async with visitor(engine) as client:
        response, _ = await begun(client)
        engine.child.send(signal.SIGTERM)
        await draining(client)
        engine.child.send(signal.SIGTERM)
        assert await asyncio.to_thread(engine.child.wait) == 130
        assert "Stopped hard" in engine.complaints()
        await response.aclose()
    (hold,) = read_books(installation.state_dir).open_holds
    again = installation.serve().ready()
    books = read_books(installation.state_dir)
    ended = books["holds"][(hold,)]
    assert (ended["state"], ended["recovered"]) == ("settled", 1)
    assert again.stop() == 0


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
async def test_a_server_outlives_who_reads_it(installation: Installation, upstream: Upstream, terminal: bool) -> None:
    engine = installation.serve(terminal=terminal).ready()
    engine.child.send(signal.SIGHUP)
    async with visitor(engine) as client:
        assert (await client.post(CHAT, json=question())).status_code == 200
        engine.close_output()
        assert (await client.post(CHAT, json=question())).status_code == 200
    assert await asyncio.to_thread(engine.stop) == 0


async def test_a_start_that_is_stopped_ends_in_order(installation: Installation) -> None:
    engine = installation.serve()
    while not (installation.state_dir / "engine.lock").exists():
        continue
    engine.child.send(signal.SIGTERM)
    assert await asyncio.to_thread(engine.child.wait) == 0
    assert "Traceback" not in engine.complaints()
    assert installation.run("ledger", "verify").code == 0
