"""A busy house on a clock turned by hand: people, streams, refusals, grants, edits and restarts, all of it recorded."""

import asyncio
import json
import random
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from palyra.config.load import interpret
from palyra.control.commands import (
    AddPolicy,
    Command,
    CorrectUsage,
    DecideApproval,
    EditPolicy,
    GrantScope,
    RemovePolicy,
    RevokeGrant,
)
from palyra.control.local import LocalControl
from palyra.control.snapshots import OperatorView
from palyra.core.clock import ManualClock, settle_loop
from palyra.core.errors import PalyraError
from palyra.core.scope import Scope
from palyra.engine import Installation
from palyra.house import House, open_house
from palyra.providers.request import parse_request
from palyra.providers.wires import Wire
from palyra.runs.request import GoneCallback, Outcome, RunReport, RunRequest
from tests.support.one_try import ONE_TRY

START = 1_792_879_200_000
"""2026-10-25T00:00+02:00 in Prague, the day whose clock is set back."""
MINUTE_MS = 60_000

HEAD = """
version = 1
[approvals]
park_seconds = 60
[providers.one]
kind = "deterministic"
script = [{script}]
[providers.two]
kind = "deterministic"
[[models]]
provider = "one"
upstream = "small"
[[models]]
provider = "one"
upstream = "middle"
[[models]]
provider = "two"
upstream = "large"
[[models]]
provider = "two"
upstream = "deep"
reasoning = true
[[pricing]]
provider = "one"
model = "small"
input = 1
output = 4
[[pricing]]
provider = "one"
model = "middle"
input = 3
output = 15
[[pricing]]
provider = "two"
model = "*"
input = 10
output = 50
"""

BUDGETS = """
[[budgets]]
policy_id = "house-day"
interval_kind = "daily"
timezone = "Europe/Prague"
hard_limit = 3
[[budgets]]
policy_id = "person-hour"
scope_kind = "user"
interval_kind = "hourly"
hard_limit = 0.25
soft_limit = "40%"
[[budgets]]
policy_id = "person-rolling"
scope_kind = "user"
interval_kind = "rolling_24h"
metric_kind = "total_tokens"
hard_limit = 400000
action = "approval_required"
[[budgets]]
policy_id = "session-calls"
scope_kind = "session"
interval_kind = "daily"
metric_kind = "requests"
hard_limit = 40
action = "approval_required"
[[budgets]]
policy_id = "large-week"
scope_kind = "model"
scope_id = "two/large"
interval_kind = "weekly"
hard_limit = 0.6
routing_override = "model:one/small"
soft_limit = "30%"
[[budgets]]
policy_id = "two-month"
scope_kind = "provider"
scope_id = "two"
interval_kind = "monthly"
hard_limit = 2
routing_override = "degrade"
[[budgets]]
policy_id = "team"
scope_kind = "tag"
scope_id = "team=*"
interval_kind = "daily"
hard_limit = 0.4
action = "approval_required"
[[budgets]]
policy_id = "key-life"
scope_kind = "key"
interval_kind = "lifetime"
metric_kind = "requests"
hard_limit = 100000
action = "advise"
[[budgets]]
policy_id = "agent-trial"
scope_kind = "agent"
interval_kind = "rolling_30d"
hard_limit = 0.01
routing_override = "mode:dry_run"
[[budgets]]
policy_id = "jobs"
scope_kind = "job"
interval_kind = "hourly"
hard_limit = 0.1
"""

MODELS = ("one/small", "one/middle", "two/large", "two/deep", "auto", "auto")
PEOPLE = ("ann", "ben", "cyd")
SCOPES: tuple[GrantScope, ...] = ("once", "session", "timeboxed")


class Caller:
    """A client that takes whatever comes, or leaves."""

    def __init__(self) -> None:
        self.gone = False
        self.streaming = False
        self._callbacks: list[GoneCallback] = []

    def on_gone(self, callback: GoneCallback) -> None:
        self._callbacks.append(callback)

    def leave(self) -> None:
        self.gone = True
        for callback in self._callbacks:
            callback()

    async def parked(self, report: RunReport) -> None:
        self.streaming = True

    async def begin(self, report: RunReport, headers: Mapping[str, str]) -> None:
        self.streaming = True

    async def write(self, data: bytes) -> None:
        await asyncio.sleep(0)


class Busy:
    """One house in which much happens; `dice` decides what."""

    def __init__(
        self, state_dir: Path, seed: int, budgets: str = BUDGETS, mode: str = "enforced", tries: str = ONE_TRY
    ) -> None:
        self.state_dir = state_dir
        self.dice = random.Random(seed)
        self.clock = ManualClock(START)
        self.outcomes: list[Outcome] = []
        self._budgets = f'[smart_routing]\ndefault_mode = "{mode}"\n{budgets}'
        self._tries = tries
        self._stack = AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()
        self.house: House

    async def open(self) -> None:
        steps = ", ".join(self._step() for _ in range(400))
        text = HEAD.replace("{script}", steps) + self._tries + self._budgets
        loaded = interpret(text.encode(), Path("palyra.toml"), {}, {})
        assert loaded.config is not None, loaded.problems
        installation = Installation(loaded.config, self.state_dir)
        self.house = await self._stack.enter_async_context(open_house(installation, self.clock, {}, serving=False))
        self.control = LocalControl(self.house.face, OperatorView("maria", "admin", "uid"))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._stack.aclose()
        self._stack = AsyncExitStack()

    def _step(self) -> str:
        dice = self.dice
        if dice.random() < 0.1:
            return "{delay_ms = 300, status = 503}"
        drops = ", drop_after_chunks = 9" if dice.random() < 0.1 else ""
        return f"{{delay_ms = {dice.choice((0, 0, 500, 4000))}{drops}}}"

    def ask(self, caller: Caller, **fields: Any) -> asyncio.Task[None]:
        """Sends a request; whatever is not said is diced."""
        dice = self.dice
        person = fields.pop("person", dice.choice(PEOPLE))
        body: dict[str, Any] = {
            "model": fields.pop("model", dice.choice(MODELS)),
            "stream": fields.pop("stream", dice.random() < 0.5),
            "messages": [{"role": "user", "content": "word " * fields.pop("words", dice.choice((20, 400, 3000)))}],
        }
        most = fields.pop("max_tokens", dice.choice((None, 50, 700, 4000)))
        if most is not None:
            body["max_tokens"] = most
        scope = Scope(
            principal=person,
            session=fields.pop("session", f"{person}-{dice.randint(1, 2)}"),
            key_id=f"key-{person}",
            agent=dice.choice(("", "crawler")),
            job=dice.choice(("", "", "nightly")),
            tags={"team": "red" if person == "ann" else "blue"},
        )
        request = RunRequest(
            scope=scope,
            parsed=parse_request(Wire.CHAT, json.dumps(body).encode()),
            park_seconds=fields.pop("park_seconds", dice.choice((0.0, 30.0))),
            mode_override=fields.pop("mode", dice.choice(("", "", "", "enforced", "suggest"))),
            task_class=fields.pop("task_class", dice.choice(("primary_interactive", "auxiliary_summary"))),
        )

        async def go() -> None:
            self.outcomes.append(await self.house.engine.runner.execute(request, caller))

        task = asyncio.get_running_loop().create_task(go())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def settle(self) -> None:
        """Lets everything that can happen now happen."""
        for _ in range(3):
            await settle_loop()
            await self.house.engine.journal.submit(())
        await settle_loop()

    async def send(self, command: Command) -> None:
        await self.control.send(command)

    async def live(self, rounds: int) -> None:
        """So many rounds of requests, decisions, edits and time passing."""
        dice = self.dice
        for _ in range(rounds):
            callers = [Caller() for _ in range(dice.randint(1, 4))]
            for caller in callers:
                self.ask(caller)
            await self.settle()
            await self._decide()
            if dice.random() < 0.15:
                dice.choice(callers).leave()
            if dice.random() < 0.08:
                await self._edit()
            if self.outcomes and dice.random() < 0.2:
                await self._correct()
            await self.clock.advance(dice.choice((0, 0, 1, 2, 7)))
            await self.settle()
            if dice.random() < 0.3:
                self.clock.set_wall(self.clock.now_ms() + dice.choice((1, 10, 61, 700)) * MINUTE_MS)
        await self.clock.advance(70)
        await self.settle()

    async def restart(self) -> None:
        await self.close()
        await self.open()

    async def _decide(self) -> None:
        dice = self.dice
        for record in self.house.engine.desk.pending():
            if dice.random() < 0.4:
                continue
            if dice.random() < 0.25:
                await self.send(DecideApproval(record.approval_id, "deny"))
                continue
            scope: GrantScope = dice.choice(SCOPES)
            duration = 600 if scope == "timeboxed" else None
            await self.send(DecideApproval(record.approval_id, "allow", scope=scope, duration_seconds=duration))
        grants = [grant for grant in self.house.engine.ledger.grants if grant.row.state == "active"]
        if grants and dice.random() < 0.2:
            await self.send(RevokeGrant(dice.choice(grants).row.grant_id))

    async def _correct(self) -> None:
        """A charge of a while ago turns out to be another; most can be corrected."""
        dice = self.dice
        run_id = dice.choice(self.outcomes[-12:]).report.run_id
        cost, output = dice.choice(((dice.randint(0, 90_000_000), None), (None, dice.randint(0, 3000))))
        with suppress(PalyraError):
            await self.send(CorrectUsage(run_id, "the bill says so", output_tokens=output, cost_nano_usd=cost))

    async def _edit(self) -> None:
        dice = self.dice
        policies = self.house.engine.policies.current
        policy_id = f"extra-{dice.randint(1, 3)}"
        if policies.get(policy_id) is None:
            fields = {
                "policy_id": policy_id,
                "hard_limit": dice.choice(("0.05", "0.5", "5")),
                "interval_kind": dice.choice(("hourly", "daily", "rolling_24h", "lifetime")),
                "scope_kind": dice.choice(("global", "user", "session")),
                "action": dice.choice(("block", "approval_required", "advise")),
            }
            await self.send(AddPolicy(fields))
        elif dice.random() < 0.3:
            await self.send(RemovePolicy(policy_id))
        else:
            name, values = dice.choice(
                (
                    ("hard_limit", ("0.02", "1", "9")),
                    ("interval_kind", ("hourly", "daily", "rolling_24h", "monthly")),
                    ("scope_kind", ("global", "user")),
                    ("enabled", ("true", "false")),
                    ("action", ("block", "approval_required")),
                )
            )
            await self.send(EditPolicy(policy_id, {name: dice.choice(values)}))
