"""Coding agents with the vendors' own clients, while every provider fails in every way: each call ends in an answer or
an ordinary error, and afterwards the books tell of each attempt exactly what its provider tells of it."""

import asyncio
import json
import os
import random
import socket
import sys
from collections import Counter, defaultdict
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from palyra.control.queries import LedgerQuery
from palyra.control.remote import RemoteControl
from palyra.control.snapshots import Topic
from tests.toughness.agents import Agents
from tests.toughness.books import Books, Row, read_books
from tests.toughness.load import later
from tests.toughness.moods import Asked, Moods
from tests.toughness.nursery import Nursery
from tests.toughness.programs import Installation

AGENTS = 24
STOPPED = ("provider_timeout", "network_unavailable")
"""Ends of attempts whose answers may not have been read to their ends."""

BRIEF_S, LONG_S = 60.0, 600.0

PROVIDERS = """
version = 1

[retries]
base_ms = 20

[breaker]
failures = 6
window = "5s"
cooldown = "1s"
cooldown_cap = "3s"

[providers.alpha]
kind = "openai_compatible"
base_url = "{alpha}/v1"
pricing_provider = "openai"
api_key = "sk-alpha-0123456789abcdef"
discover = false
first_byte_timeout = "1s"
idle_timeout = "1s"
total_timeout = "4s"

[providers.beta]
kind = "anthropic"
base_url = "{beta}"
pricing_provider = "anthropic"
api_key = "sk-beta-0123456789abcdef"
discover = false
first_byte_timeout = "1s"
idle_timeout = "1s"
total_timeout = "4s"

[providers.gamma]
kind = "openai_compatible"
base_url = "{gamma}/v1"
pricing_provider = "openai"
api_key = "sk-gamma-0123456789abcdef"
discover = false
first_byte_timeout = "1s"
idle_timeout = "1s"
total_timeout = "4s"

[providers.delta]
kind = "openai_compatible"
base_url = "http://127.0.0.1:{away}/v1"
pricing_provider = "openai"
api_key = "sk-delta-0123456789abcdef"
discover = false

[[models]]
provider = "alpha"
upstream = "gpt-4o-mini"

[[models]]
provider = "delta"
upstream = "gpt-4o-mini"

[[models]]
provider = "beta"
upstream = "claude-haiku-4-5"

[[models]]
provider = "gamma"
upstream = "gpt-4.1-mini"
responses = true

[[models]]
id = "embedding"
provider = "alpha"
upstream = "text-embedding-3-small"
role = "embeddings"
failover = ["spare-embedding"]

[[models]]
id = "spare-embedding"
provider = "gamma"
upstream = "text-embedding-3-small"
role = "embeddings"

[[budgets]]
policy_id = "all"
interval_kind = "lifetime"
hard_limit = 100000

[[budgets]]
policy_id = "tight"
scope_kind = "tag"
scope_id = "tight=*"
interval_kind = "daily"
hard_limit = "0.004"
action = "block"

[[budgets]]
policy_id = "ask"
scope_kind = "tag"
scope_id = "ask=*"
metric_kind = "requests"
interval_kind = "lifetime"
hard_limit = 4
action = "approval_required"

[[budgets]]
policy_id = "cut"
scope_kind = "tag"
scope_id = "cut=*"
metric_kind = "total_tokens"
interval_kind = "rolling_24h"
hard_limit = 500
action = "block"
"""


class Traffic:
    """One engine under agents, and the look at what is left."""

    def __init__(self, installation: Installation, seed: int) -> None:
        self.installation = installation
        self.moods = Moods(seed)
        self.agents: Agents
        self.seed = seed

    async def run(self, seconds: float) -> None:
        """Goes on for so long, and until everything has happened at least once."""
        config = self.installation.config
        assert config is not None
        async with AsyncExitStack() as stack:
            providers = {
                name: (await stack.enter_async_context(self.moods.provider(name))).base_url
                for name in ("alpha", "beta", "gamma")
            }
            nobody = stack.enter_context(socket.socket())
            nobody.bind(("127.0.0.1", 0))
            config.write_text(PROVIDERS.format(**providers, away=nobody.getsockname()[1]))
            engine = self.installation.serve().ready()
            self.agents = agents = Agents(engine.gateway_url, engine.key, self.moods, self.seed)
            control = RemoteControl(self.installation.state_dir)
            stack.push_async_callback(control.close)
            enough = asyncio.Event()
            timer = later(seconds, enough.set)
            stack.callback(timer.cancel)
            async with agents.working(AGENTS):
                operating = asyncio.create_task(agents.operate(control))
                await enough.wait()
                await agents.until(lambda: not agents.missing() and not self.moods.missing())
                self.moods.calm()
                await agents.end()
                await operating
            await at_rest(control)
            books = await control.ask(LedgerQuery())
            assert (books.ok, books.open_holds, books.orphan_holds) == (True, 0, ()), books
            assert await asyncio.to_thread(engine.stop) == 0
            assert "Traceback" not in engine.complaints(), engine.complaints()

    def check(self) -> None:
        """Everything that must be true of what is left."""
        for what in (("ledger", "verify"), ("audit", "verify"), ("replay", "--since", "1h")):
            done = self.installation.run(*what, "--json")
            assert done.code == 0, done
            assert done.data.get("ok", True), done
            assert done.data.get("differences", 0) in (0, []), done.data
        logged = "".join(log.read_text() for log in self.installation.state_dir.glob("logs/*"))
        assert logged, "the engine logged nothing"
        assert "Traceback" not in logged, logged
        books = read_books(self.installation.state_dir)
        assert not books.open_holds
        assert all(row["finished_at"] is not None for row in books["runs"].values())
        check_attempts(books, self.moods, self.agents)


def check_attempts(books: Books, moods: Moods, agents: Agents) -> None:
    """Call by call and attempt by attempt: what a provider met was held, what it told is what is charged."""
    held: dict[str, list[Row]] = defaultdict(list)
    for row in books["holds"].values():
        held[row["session"]].append(row)
    used = {row["hold_id"]: row for row in books["usage"].values()}
    settled = {row["hold_id"] for row in books["holds"].values() if row["state"] == "settled"}
    assert set(used) == settled
    traces = {trace["hold_id"]: trace for trace in told_of(books)}
    assert set(traces) == {row["hold_id"] for row in books["holds"].values()}
    cuts = Counter(row["session"] for row in books["runs"].values() if row["reason"] == "stream_cut_budget")
    met: dict[str, list[Asked]] = defaultdict(list)
    for asked in moods.asked:
        met[agents.calls[asked.ref].session].append(asked)
    for call in agents.calls.values():
        mine, theirs = held[call.session], met[call.session]
        about = f"{call}: {mine}; providers met {theirs}"
        answered = {row["hold_id"] for row in mine if traces[row["hold_id"]]["status"] is not None}
        sent = [row for row in mine if row["hold_id"] in answered | settled]
        if call.left:
            # What was on its way when its client left may have reached its provider or not.
            assert len(answered) <= len(theirs) <= len(mine), about
        else:
            assert len(sent) == len(theirs), about
        heard = Counter(
            (row["input_total"], row["output_total"])
            for row in (used[hold["hold_id"]] for hold in mine if hold["hold_id"] in settled)
            if row["usage_source"] == "provider" and "usage_partial" not in json.loads(row["flags"])
        )
        told = Counter(asked.told for asked in theirs if asked.told is not None)
        assert heard <= told, about
        unheard = cuts[call.session] + sum(traces[row["hold_id"]]["class"] in STOPPED for row in mine)
        assert call.left or (told - heard).total() <= unheard, about


async def at_rest(control: RemoteControl) -> None:
    """Asks until no run is alive: those of clients that left end on their own."""
    while any(run.live for run in (await control.snapshot([Topic.RUNS])).runs):
        pass


def told_of(books: Books) -> list[Any]:
    """The trace of every attempt."""
    notes = ((row["kind"], json.loads(row["data"])) for row in books["run_notes"].values())
    told = (data if kind == "attempt" else data.get("attempt") for kind, data in notes)
    return [trace for trace in told if isinstance(trace, dict) and "hold_id" in trace]


async def traffic(nursery: Nursery, place: Path, seconds: float) -> Traffic:
    seed = int(os.environ.get("PALYRA_TEST_SEED") or random.SystemRandom().getrandbits(32))
    installation = Installation(nursery, place / "state", place / "palyra.toml")
    going_on = Traffic(installation, seed)
    try:
        await going_on.run(seconds)
        going_on.check()
    except BaseException as error:
        error.add_note(f"seed {seed}; again with PALYRA_TEST_SEED={seed}")
        raise
    finally:
        installation.close()
    return going_on


async def test_agents_get_answers_or_errors_and_the_books_are_true(nursery: Nursery, tmp_path: Path) -> None:
    done = await traffic(nursery, tmp_path, BRIEF_S)
    assert done.moods.fates["good"] > 0


@pytest.mark.soak
async def test_ten_minutes_of_agents(nursery: Nursery, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = await traffic(nursery, tmp_path, LONG_S)
    with capsys.disabled():
        sys.stdout.write(f"\n{len(done.agents.calls)} calls: {dict(done.agents.ends)}\n{dict(done.moods.fates)}\n")
