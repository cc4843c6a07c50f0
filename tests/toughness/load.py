"""Clients, operators and consoles that use one engine at once, and remember what they were told.

Everything that is random comes from one seeded source, so that a failure names the seed to look for it again.
"""

import asyncio
import math
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from palyra.control.commands import AddPolicy, CancelRun, Command, DecideApproval, EditPolicy, RemovePolicy
from palyra.control.queries import LedgerQuery, RunsQuery
from palyra.control.remote import RemoteControl
from palyra.control.snapshots import ApprovalView, Topic
from palyra.core.errors import EngineGoneError
from palyra.core.money import parse_usd
from tests.support.one_try import one_try
from tests.support.upstream import Reply, Seen, Upstream

CLIENTS = 14
GATED = 0.3
"""Share of answers that hang half way until some more requests have come."""

MOST_GATED = 9

EXPECTED = (402, 410, 429, 502, 503)

CONFIG = """
version = 1

[approvals]
ttl = "24h"

[retries]
max = 2
base_ms = 10

[failover]
enabled = true

[providers.mock]
kind = "openai_compatible"
base_url = "{upstream}/v1"
pricing_provider = "openai"
api_key = "sk-upstream-1"
discover = false

[providers.other]
kind = "anthropic"
base_url = "{upstream}"
pricing_provider = "anthropic"
api_key = "sk-upstream-2"
discover = false

[providers.own]
kind = "openai_compatible"
base_url = "{upstream}/v1"
discover = false
api_key = "sk-upstream-3"

[[models]]
provider = "mock"
upstream = "gpt-4o-mini"
id = "priced"

[[models]]
provider = "other"
upstream = "claude-sonnet-4-5"
id = "dear"

[[models]]
provider = "own"
upstream = "acme-7b"
id = "unpriced"

[[budgets]]
policy_id = "all"
interval_kind = "lifetime"
hard_limit = 100000

[[budgets]]
policy_id = "tight"
scope_kind = "tag"
scope_id = "tight=*"
interval_kind = "daily"
hard_limit = "0.03"
action = "block"

[[budgets]]
policy_id = "ask"
scope_kind = "tag"
scope_id = "ask=*"
interval_kind = "lifetime"
hard_limit = "0.01"
action = "approval_required"

[[budgets]]
policy_id = "calls"
scope_kind = "tag"
scope_id = "calls=*"
metric_kind = "requests"
interval_kind = "hourly"
hard_limit = 20
action = "approval_required"

[[budgets]]
policy_id = "agents"
scope_kind = "agent"
metric_kind = "total_tokens"
interval_kind = "rolling_24h"
hard_limit = 60000
action = "block"

[[budgets]]
policy_id = "watched"
scope_kind = "session"
interval_kind = "rolling_30d"
soft_limit = "0.0001"
hard_limit = "0.0002"
action = "advise"

[[budgets]]
policy_id = "unpriced"
scope_kind = "model"
scope_id = "unpriced"
interval_kind = "monthly"
on_unknown_price = "flat:0.01"
hard_limit = 1000000
"""


def write_config(path: Path, upstream_url: str) -> Path:
    path.write_text(CONFIG.format(upstream=upstream_url) + one_try(CONFIG))
    return path


@dataclass
class Witness:
    """What was told to somebody outside and must be true for ever after. Money is nano-dollars."""

    answered: dict[str, int | None] = field(default_factory=dict)
    """run → the cost a client saw beside its whole answer; None where its answer bore no cost."""
    begun: set[str] = field(default_factory=set)
    """Runs whose streams began."""
    refused: dict[str, str] = field(default_factory=dict)
    """run → why a client was refused."""
    ended: dict[str, tuple[str, str, int | None, int, int]] = field(default_factory=dict)
    """run → state, reason, cost and tokens, as a console read them from the journal."""
    decided: dict[str, str] = field(default_factory=dict)
    """approval → the decision that an operator was told is made."""
    policies: dict[str, str] = field(default_factory=dict)
    """policy → its hard limit, as an operator was told; empty once removed."""
    asked: int = 0
    """Requests that clients sent."""


class Burst:
    """Load on one life of an engine, until the engine is gone or `finish` is called."""

    def __init__(
        self, *, name: str, seed: int, gateway_url: str, key: str, state_dir: Path, witness: Witness, upstream: Upstream
    ) -> None:
        self.witness = witness
        self._name = name
        self._random = random.Random(seed)
        self._url = gateway_url
        self._key = key
        self._state_dir = state_dir
        self._upstream = upstream
        self._gates: list[tuple[int, asyncio.Event]] = []
        self._happened = 0
        self._changed = asyncio.Condition()
        self._over = False
        upstream.choose = self._choose

    # What the provider answers.

    def _choose(self, seen: Seen) -> Reply:
        dice = self._random
        self._open_gates(len(self._upstream.seen))
        words = dice.choice((1, 4, 12, 40, 120))
        limit = seen.json.get("max_tokens") or seen.json.get("max_completion_tokens") or words
        pieces = tuple("word " for _ in range(min(words, limit)))
        reply = Reply(
            pieces=pieces,
            input_tokens=dice.randint(5, 12),
            output_tokens=len(pieces),
            usage=dice.random() < 0.9,
            finish="stop" if words <= limit else "length",
        )
        fate = dice.random()
        if fate < 0.1:
            return Reply(status=dice.choice((429, 500, 503)), headers={"retry-after-ms": str(dice.choice((0, 5, 50)))})
        if fate < 0.13:
            reply.break_at = dice.randrange(len(pieces))
        elif fate < 0.13 + GATED and len(self._gates) < MOST_GATED:
            reply.gate, reply.gate_at = asyncio.Event(), dice.randrange(len(pieces))
            self._gates.append((len(self._upstream.seen) + dice.randint(1, 60), reply.gate))
        return reply

    def _open_gates(self, arrived: float) -> None:
        for due, gate in self._gates:
            if due <= arrived:
                gate.set()
        self._gates = [(due, gate) for due, gate in self._gates if due > arrived]

    # What clients do.

    async def _tell(self) -> None:
        async with self._changed:
            self._happened += 1
            self._changed.notify_all()

    async def happened(self, count: int) -> None:
        """Waits until that many things were told to somebody outside, or the load has ended."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._happened >= count or self._over)

    async def _client(self, session: aiohttp.ClientSession, number: int) -> None:
        while not self._over:
            try:
                await self._request(session, number)
            except (aiohttp.ClientError, ConnectionError):
                return

    async def _request(self, session: aiohttp.ClientSession, number: int) -> None:
        dice = self._random
        messages = dice.random() < 0.3
        stream = dice.random() < 0.5
        body: dict[str, Any] = {
            "model": "dear" if messages else dice.choice(("priced", "priced", "unpriced")),
            "messages": [{"role": "user", "content": "please " * dice.randint(1, 30)}],
            "stream": stream,
        }
        if messages or dice.random() < 0.7:
            body["max_tokens"] = dice.choice((1, 20, 60, 200, 1500))
        headers = {"authorization": f"Bearer {self._key}", "x-palyra-session": f"s{number % 5}"}
        budget = dice.choice(("", "", "tight", "ask", "calls", "agents"))
        if budget == "agents":
            headers["x-palyra-agent"] = f"{self._name}-{number % 2}"
        elif budget:
            headers["x-palyra-tags"] = f"{budget}={self._name}"
            headers["x-palyra-park"] = dice.choice(("0", "30", "30"))
        path = "/v1/messages" if messages else "/v1/chat/completions"
        self.witness.asked += 1
        leaves_at = dice.randint(0, 5) if dice.random() < 0.05 else None
        async with session.post(self._url + path, json=body, headers=headers) as response:
            run_id = response.headers.get("x-palyra-run", "")
            if response.status == 200 and stream:
                self.witness.begun.add(run_id)
                await self._tell()
                async for _ in response.content.iter_any():
                    await self._tell()
                    if leaves_at is not None and (leaves_at := leaves_at - 1) < 0:
                        response.close()
                        return
                return
            data = await response.json()
            if response.status == 200:
                cost = response.headers.get("x-palyra-cost-usd")
                self.witness.answered[run_id] = None if cost is None else parse_usd(cost)
            else:
                assert response.status in EXPECTED, data
                if run_id:
                    self.witness.refused[run_id] = data["error"]["type"]
            await self._tell()

    # What operators and consoles do.

    async def _operators(self) -> None:
        control = RemoteControl(self._state_dir)
        try:
            while not self._over:
                await self._operate(control)
                await self.happened(self._happened + self._random.randint(3, 12))
        except EngineGoneError:
            return
        finally:
            await control.close()

    async def _operate(self, control: RemoteControl) -> None:
        dice = self._random
        snapshot = await control.snapshot([Topic.APPROVALS, Topic.RUNS])
        for approval in snapshot.approvals:
            if approval.status == "pending" and dice.random() < 0.7:
                command = self._ruling(approval)
                result = await control.send(command)
                if result.ok:
                    self.witness.decided[approval.approval_id] = command.decision
        running = [run for run in snapshot.runs if run.live]
        if running and dice.random() < 0.3:
            await control.send(CancelRun(dice.choice(running).run_id))
        if dice.random() < 0.3:
            await self._edit(control)
        await self._tell()

    def _ruling(self, approval: ApprovalView) -> DecideApproval:
        dice = self._random
        if dice.random() < 0.25:
            return DecideApproval(approval.approval_id, "deny", approval.version, reason="not today")
        kind = dice.choice(("once", "session", "timeboxed", "amount"))
        if kind == "timeboxed":
            return DecideApproval(
                approval.approval_id, "allow", None, "timeboxed", duration_seconds=dice.randint(3600, 86400)
            )
        if kind == "amount":
            amount = 2_000_000 if approval.excess_metric == "estimated_cost_usd" else 5
            return DecideApproval(approval.approval_id, "allow", None, "amount", amount=amount)
        return DecideApproval(approval.approval_id, "allow", approval.version, "once" if kind == "once" else "session")

    async def _edit(self, control: RemoteControl) -> None:
        dice = self._random
        ours = [name for name, limit in self.witness.policies.items() if limit]
        limit = f"{dice.randint(20, 60)}"
        command: Command
        if len(ours) < 3:
            name = f"{self._name}-{len(self.witness.policies)}"
            command = AddPolicy(
                {
                    "policy_id": name,
                    "scope_kind": "session",
                    "scope_id": dice.choice(("s0", "s1", "*")),
                    "interval_kind": dice.choice(("daily", "rolling_24h", "lifetime")),
                    "hard_limit": limit,
                    "action": dice.choice(("block", "advise", "approval_required")),
                }
            )
        elif dice.random() < 0.5:
            name = dice.choice(ours)
            command = EditPolicy(name, {"hard_limit": limit})
        else:
            name, limit = dice.choice(ours), ""
            command = RemovePolicy(name)
        unsure = dict(self.witness.policies)
        unsure.pop(name, None)
        before, self.witness.policies = self.witness.policies, unsure
        result = await control.send(command)
        # Killed meanwhile, nobody was told whether it is done: nothing is claimed of it.
        self.witness.policies = {**before, name: limit} if result.ok else before

    async def _observer(self) -> None:
        control = RemoteControl(self._state_dir)
        try:
            while not self._over:
                page = await control.ask(RunsQuery(state="completed,failed,cancelled,refused", limit=200))
                for run in page.runs:
                    told = (run.state, run.reason, run.cost_nano_usd, run.input_tokens, run.output_tokens)
                    assert self.witness.ended.setdefault(run.run_id, told) == told
                report = await control.ask(LedgerQuery())
                assert report.ok, report
                await self.happened(self._happened + self._random.randint(10, 60))
        except EngineGoneError:
            return
        finally:
            await control.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Burst"]:
        """Load runs inside; on leaving, the engine must have gone."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
            clients = [group.create_task(self._client(session, number)) for number in range(CLIENTS)]
            group.create_task(self._operators())
            group.create_task(self._observer())
            try:
                yield self
            finally:
                await asyncio.wait(clients)
                self._over = True
                self._open_gates(math.inf)
                await self._tell()


def later(seconds: float, what: Callable[[], None]) -> asyncio.TimerHandle:
    """A moment nobody can foresee is a time, not an event."""
    return asyncio.get_running_loop().call_later(seconds, what)
