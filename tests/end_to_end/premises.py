"""A whole Palyra on real sockets beside a mock provider, in the test's own process."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import anthropic
import openai

from palyra.config.load import Sources
from palyra.config.model import LoadedConfig
from palyra.control.commands import AddPolicy, Command, DecideApproval, Reload
from palyra.control.local import LocalControl
from palyra.control.offline import offline_control
from palyra.control.queries import (
    AuditQuery,
    LedgerAnswer,
    LedgerQuery,
    RunDetail,
    RunQuery,
    RunsQuery,
)
from palyra.control.snapshots import ApprovalView, BudgetView, CommandResult, RunView, Topic
from palyra.control.usage_queries import UsageAnswer, UsageQuery
from palyra.core.clock import Clock, ManualClock, settle_loop
from palyra.core.events import Event
from palyra.core.money import parse_usd
from palyra.engine import Engine, Installation
from palyra.house import House, open_house
from palyra.vault.identity import Attestation, Identity
from palyra.vault.records import Role
from tests.config.loading import sound, versioned
from tests.gateway.stand_in import Caller, RawAnswer
from tests.support.one_try import one_try
from tests.support.upstream import Upstream

UPSTREAM_KEY = "sk-upstream-0123456789abcdefghijklmnopqrstuvwxyz"
HELLO: Any = [{"role": "user", "content": "hello"}]
DAY_MS = 86_400_000

PROVIDERS = """
[providers.openai]
kind = "openai_compatible"
base_url = "{base}/v1"
api_key = "{key}"
pricing_provider = "openai"

[providers.anthropic]
kind = "anthropic"
base_url = "{base}"
api_key = "{key}"
pricing_provider = "anthropic"

[providers.own]
kind = "openai_compatible"
base_url = "{base}/v1"

[[models]]
provider = "openai"
upstream = "gpt-4o-mini"

[[models]]
provider = "anthropic"
upstream = "claude-haiku-4-5"

[[models]]
provider = "own"
upstream = "acme-7b"
"""
QUIET = "\n[scheduler]\nenabled = false\n"
MINI, HAIKU, ACME = "openai/gpt-4o-mini", "anthropic/claude-haiku-4-5", "own/acme-7b"


class Premises:
    """One open house. Clients, raw callers and operators come and go; `clock` is the house's."""

    def __init__(self, house: House, clock: Clock, upstream: Upstream, stack: AsyncExitStack) -> None:
        self.house = house
        self.clock = clock
        self.upstream = upstream
        self._stack = stack
        self._changed = asyncio.Event()
        self.events: list[Event] = []
        self.abandoned = False
        self.engine.events.subscribe(self._hear)
        self.close: Callable[[], Awaitable[None]] = stack.aclose
        """Closes the house before the test ends."""
        self.key = self.engine.access.key_file.read_text().strip()
        self.control = self.operator("ada", Role.ADMIN)

    @property
    def engine(self) -> Engine:
        return self.house.engine

    @property
    def state_dir(self) -> Path:
        return self.engine.state_dir

    def _hear(self, event: Event) -> None:
        self.events.append(event)
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits, event by event, until something has become true in the engine."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def advance(self, seconds: float) -> None:
        assert isinstance(self.clock, ManualClock)
        await self.clock.advance(seconds)

    def set_wall(self, now_ms: int) -> None:
        """Moves the wall clock alone: windows change, nothing that waits for time to pass wakes up."""
        assert isinstance(self.clock, ManualClock)
        self.clock.set_wall(now_ms)

    # Clients

    def openai(self, key: str = "", **options: Any) -> openai.AsyncOpenAI:
        client = openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=key or self.key, **options)
        self._stack.push_async_callback(client.close)
        return client

    def anthropic(self, key: str = "", **options: Any) -> anthropic.AsyncAnthropic:
        client = anthropic.AsyncAnthropic(base_url=self.url, api_key=key or self.key, **options)
        self._stack.push_async_callback(client.close)
        return client

    @property
    def url(self) -> str:
        return self.house.doors().gateway_url

    async def caller(self) -> Caller:
        """A connection of its own, spoken to in bytes."""
        parts = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, limit=64 * 1024 * 1024)
        caller = Caller(reader, writer, parts.netloc)
        self._stack.callback(caller.close)
        return caller

    async def call(
        self, body: Mapping[str, Any], headers: Mapping[str, str] | None = None, *, key: str = "", path: str = ""
    ) -> Caller:
        """Sends a request and leaves its answer to be read. Without a `path` the model tells the wire."""
        caller = await self.caller()
        path = path or ("/v1/messages" if body["model"] == HAIKU else "/v1/chat/completions")
        caller.request("POST", path, {"Authorization": f"Bearer {key or self.key}", **(headers or {})}, body)
        return caller

    async def ask(
        self, body: Mapping[str, Any], headers: Mapping[str, str] | None = None, *, key: str = "", path: str = ""
    ) -> RawAnswer:
        """Sends a request and reads its whole answer."""
        return await (await self.call(body, headers, key=key, path=path)).answer()

    def new_key(self, key_id: str, principal: str, **fields: Any) -> str:
        return self.engine.access.add_key(key_id, principal, **fields)

    # Operators

    def rewrite(self, text: str) -> None:
        """The configuration file says something else now, besides the providers."""
        path = self.house.engine.installation.config_path
        assert path is not None
        path.write_text(file_text(self.upstream, text))

    async def reload(self, text: str) -> CommandResult:
        """The configuration file says something else, and is read again."""
        self.rewrite(text)
        return await self.control.send(Reload())

    def operator(self, name: str, role: Role) -> LocalControl:
        return self.house.control_for(Identity(name, role, Attestation.UID, name))

    async def send(self, command: Command) -> CommandResult:
        """A command that is accepted."""
        result = await self.control.send(command)
        assert result.ok, result
        return result

    async def add_budget(self, policy_id: str, hard_limit: str, **fields: str) -> None:
        await self.send(AddPolicy({"policy_id": policy_id, "hard_limit": hard_limit, **fields}))

    async def allow(self, approval_id: str, **fields: Any) -> CommandResult:
        return await self.send(DecideApproval(approval_id, "allow", **fields))

    async def deny(self, approval_id: str, reason: str = "") -> CommandResult:
        return await self.send(DecideApproval(approval_id, "deny", reason=reason))

    async def budget(self, policy_id: str, scope_value: str = "") -> BudgetView:
        shot = await self.control.snapshot([Topic.BUDGETS])
        (view,) = [one for one in shot.budgets if one.policy_id == policy_id and scope_value in ("", one.scope_value)]
        return view

    def counted(self, policy_id: str, scope_value: str) -> tuple[int, int]:
        """What one counter has settled and holds at present."""
        for state in self.engine.ledger.counters(self.clock.now_ms()):
            if (state.policy_id, state.scope_value) == (policy_id, scope_value):
                return state.settled, state.held
        return 0, 0

    async def approvals(self) -> tuple[ApprovalView, ...]:
        return (await self.control.snapshot([Topic.APPROVALS])).approvals

    async def pending(self) -> ApprovalView:
        """The one approval that waits."""
        (view,) = [one for one in await self.approvals() if one.status == "pending"]
        return view

    async def parked(self, count: int = 1) -> ApprovalView:
        """Waits until so many requests wait for a person; the one approval they wait for."""
        await self.until(lambda: len(self.engine.parking) >= count)
        await self.written()
        await settle_loop()
        return await self.pending()

    async def live(self) -> dict[str, RunView]:
        """The runs that are alive, by session."""
        shot = await self.control.snapshot([Topic.RUNS])
        return {run.session: run for run in shot.runs if run.live}

    # What is remembered

    async def runs(self) -> tuple[RunView, ...]:
        """Every run, newest first, once none is alive."""
        await self.rest()
        return (await self.control.ask(RunsQuery(limit=500))).runs

    async def run(self, run_id: str = "") -> RunDetail:
        """One run, or the only one."""
        if not run_id:
            ((run_id),) = [one.run_id for one in await self.runs()]
        await self.rest()
        return await self.control.ask(RunQuery(run_id))

    async def usage(self, by: str = "model", *, since: int | None = None) -> UsageAnswer:
        """Of the last day and all to come, or since another time (UTC unix ms)."""
        await self.rest()
        now = self.clock.now_ms()
        return await self.control.ask(UsageQuery(now - DAY_MS if since is None else since, now + DAY_MS, by=by))

    async def rest(self) -> None:
        """Waits until no run is alive and everything about them is written."""
        await self.engine.runner.live.idle()
        await self.written()

    async def written(self) -> None:
        """Waits until everything that was to be written so far is."""
        await self.engine.journal.submit(())

    async def ledger(self) -> LedgerAnswer:
        return await self.control.ask(LedgerQuery())

    def abandon(self) -> None:
        """The test has failed: whatever still runs is stopped, and nobody asks how the books stand."""
        self.abandoned = True
        self.engine.tasks.stop_claims()
        self.engine.jobs.drain()
        for run in self.engine.runner.live:
            run.ask_to_stop("engine_stopping")

    async def check(self) -> None:
        """The books are in order: counters as the journal has them, nothing left held, the audit chain whole."""
        await self.rest()
        books = await self.ledger()
        assert books.ok, books
        assert (books.open_holds, books.orphan_holds) == (0, ())
        audit = await self.control.ask(AuditQuery())
        assert audit.ok, audit


FLAGS = {"gateway.bind": "127.0.0.1:0"}


def configuration(upstream: Upstream, text: str = "") -> LoadedConfig:
    """The configuration of `file_text`."""
    return sound(file_text(upstream, text), flags=FLAGS)


def file_text(upstream: Upstream, text: str = "") -> str:
    """The providers of these tests, and whatever a test adds; what it does not ask for is tried once, and no jobs of
    the system come between where none of its own do."""
    providers = PROVIDERS.format(base=upstream.base_url, key=UPSTREAM_KEY)
    quiet = "" if "[scheduler]" in text or "[[jobs]]" in text else QUIET
    return versioned(text + quiet + one_try(text) + providers)


@asynccontextmanager
async def premises(
    upstream: Upstream, state_dir: Path, text: str = "", clock: Clock | None = None
) -> AsyncIterator[Premises]:
    """Opens a house on a state directory. When it closes in peace, its books are checked before and after."""
    clock = clock or ManualClock()
    config = configuration(upstream, text)
    async with AsyncExitStack() as stack:
        file = state_dir.with_suffix(".toml")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(file_text(upstream, text))
        installation = Installation(config, state_dir, file, sources=Sources(file, {}, FLAGS))
        house = await stack.enter_async_context(open_house(installation, clock, {}))
        here = Premises(house, clock, upstream, stack)
        yield here
        if here.abandoned:
            return
        await here.check()
    async with offline_control(house.engine.config, state_dir, None, clock) as control:
        books = await control.ask(LedgerQuery())
        assert books.ok, books
        assert (await control.ask(AuditQuery())).ok


def usd(text: str) -> int:
    """Nano-dollars of an amount as headers and bodies write it."""
    return int(parse_usd(text))


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": MINI, "messages": HELLO, **fields}


def message(**fields: Any) -> dict[str, Any]:
    return {"model": HAIKU, "messages": HELLO, "max_tokens": 64, **fields}


def events_of(data: bytes) -> list[dict[str, Any]]:
    """The JSON of each event of a stream; comments and end marks are left out."""
    found = []
    for block in data.decode().split("\n\n"):
        for line in block.split("\n"):
            if line.startswith("data: ") and line != "data: [DONE]":
                found.append(json.loads(line[6:]))
    return found
