"""A second console on the same state directory, and commands with an engine and without one."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from tests.support.upstream import Upstream
from tests.toughness.programs import Installation
from tests.toughness.terminal import assert_given_back, terminal
from tests.toughness.test_main_job import stood_still


@asynccontextmanager
async def client(installation: Installation, url: str) -> AsyncIterator[httpx.AsyncClient]:
    key = (installation.state_dir / "gateway-key.txt").read_text().strip()
    headers = {"x-api-key": key, "x-palyra-session": "sky"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60, trust_env=False) as made:
        yield made


def ask(made: httpx.AsyncClient) -> "asyncio.Task[httpx.Response]":
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 16_000}
    return asyncio.create_task(made.post("/v1/chat/completions", json=body))


async def test_a_second_console_attaches_and_decides(installation: Installation) -> None:
    async with terminal(installation) as first:
        url = await first.ready()
        async with terminal(installation) as second, client(installation, url) as made:
            await second.shows("attached")
            assert await second.ready() == url
            asked = ask(made)
            await stood_still(second)
            second.type("a")
            await second.shows("Allowed local (once)")
            assert (await asked).status_code == 200
            await first.shows("A 0", "today $0.00007")
            assert "attached" not in first.text
            second.type("q")
            assert await second.ended() == 0
            assert_given_back(second)
            assert (await made.get("/readyz")).status_code == 200
        first.type("q")
        assert await first.ended() == 0


async def test_who_only_looks_decides_nothing(installation: Installation, upstream: Upstream) -> None:
    engine = installation.serve().ready()
    assert installation.config is not None
    # What somebody broke since keeps nobody from looking.
    installation.config.write_text("[gateway\n")
    async with terminal(installation, "--read-only") as term, client(installation, engine.gateway_url) as made:
        await term.shows("attached", "read-only")
        asked = ask(made)
        await stood_still(term)
        term.type("a")
        await term.shows("Allow once:")
        assert not upstream.seen
        assert not asked.done()
        asked.cancel()
        term.type("q")
        assert await term.ended() == 0


async def test_an_attached_console_says_when_the_engine_has_gone_and_that_it_is_back(
    installation: Installation,
) -> None:
    engine = installation.serve().ready()
    async with terminal(installation) as term:
        await term.shows("attached", "ready")
        engine.kill()
        await term.shows("engine gone")
        again = installation.serve().ready()
        await term.shows("attached", "ready")
        term.send(signal.SIGTERM)
        assert await term.ended() == 0
        assert_given_back(term)
        assert again.stop() == 0


async def test_a_console_takes_over_from_an_engine_that_died(installation: Installation) -> None:
    engine = installation.serve().ready()
    async with terminal(installation) as term:
        await term.shows("attached", "ready")
        term.type("E2")
        # The second key tells that the first has been heard, and did nothing.
        await term.shows("attached", "Approvals")
        engine.kill()
        await term.shows("engine gone", "E take over")
        term.type("E")
        await term.until(lambda: "attached" not in term.text and "ready" in term.text)
        url = await term.ready()
        async with client(installation, url) as made:
            assert (await made.get("/readyz")).status_code == 200
        term.type("q")
        assert await term.ended() == 0
        assert_given_back(term)


async def test_of_two_consoles_one_takes_over_and_the_other_follows(installation: Installation) -> None:
    engine = installation.serve().ready()
    async with terminal(installation) as first, terminal(installation) as second:
        for term in (first, second):
            await term.shows("attached", "ready")
        engine.kill()
        for term in (first, second):
            await term.shows("E take over")
        first.type("E")
        await first.until(lambda: "attached" not in first.text and "ready" in first.text)
        await second.shows("attached", "ready")
        assert "take over" not in second.text
        second.type("q")
        assert await second.ended() == 0
        first.type("q")
        assert await first.ended() == 0


async def test_commands_speak_to_the_running_engine(installation: Installation, upstream: Upstream) -> None:
    engine = installation.serve().ready()
    command = installation.command
    said = await command("run", "hello", "--model", "gpt-4o-mini", "--json")
    assert said.code == 0
    assert said.data["reply"]["choices"][0]["message"]["content"] == upstream.default.text
    assert (await command("budgets", "add", "mine", "--hard-limit", "3", "--json")).code == 0
    assert [item["policy_id"] for item in (await command("budgets", "list", "--json")).data["budgets"]].count(
        "mine"
    ) == 1
    async with client(installation, engine.gateway_url) as made:
        asked = ask(made)
        while not (page := (await command("approvals", "list", "--json")).data)["approvals"]:
            continue
        approval = page["approvals"][0]["approval_id"]
        assert (await command("approvals", "allow", approval)).code == 0
        assert (await asked).status_code == 200
        assert (await command("approvals", "allow", approval)).code == 4
    status = (await command("status", "--json")).data
    assert (status["phase"], status["pid"], status["gateway_url"]) == ("ready", engine.pid, engine.gateway_url)
    usage = (await command("usage", "--json")).data
    assert usage["total"]["requests"] == 2
    assert engine.stop() == 0


async def test_commands_start_an_engine_for_themselves_or_read_what_lies_there(
    installation: Installation, upstream: Upstream
) -> None:
    assert installation.config is not None
    installation.config.write_text(installation.config.read_text() + "\n[approvals]\npark_seconds = 0\n")
    command = installation.command
    said = await command("run", "hello", "--model", "gpt-4o-mini")
    assert said.code == 0, said
    assert upstream.default.text in said.output
    added = await command("budgets", "add", "mine", "--hard-limit", "3")
    assert added.code == 0, added
    refused = await command("run", "hello", "--model", "gpt-4o", "--max-tokens", "16000", "--json")
    assert refused.code == 1
    assert refused.data["status"] == 402
    (approval,) = (await command("approvals", "list", "--json")).data["approvals"]
    allowed = await command("approvals", "allow", approval["approval_id"])
    assert allowed.code == 0, allowed
    again = await command("run", "hello", "--model", "gpt-4o", "--max-tokens", "16000")
    assert again.code == 0, again
    status = (await command("status", "--json")).data
    assert status["phase"] == "stopped"
    for what in (("ledger", "verify"), ("audit", "verify")):
        assert (await command(*what)).code == 0
    assert (installation.state_dir / "engine.lock").read_bytes() == b""
