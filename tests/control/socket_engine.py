"""A control with fixed answers behind a real operators' socket."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp.web_request import BaseRequest

from palyra.control.commands import Command
from palyra.control.protocol import Control
from palyra.control.queries import AuditAnswer, Query, RunsPage
from palyra.control.snapshots import CommandResult, EngineView, OperatorView, Snapshot, Topic
from palyra.gateway.operators import OperatorsServer, Peer, peer_of
from palyra.vault.identity import Identity
from palyra.vault.records import Operator

ENGINE = EngineView(
    phase="ready",
    mode="enforced",
    version="0.1.0",
    boot_id="01KBOOT",
    pid=42,
    started_at=1,
    timezone="UTC",
    gateway_url="http://127.0.0.1:7142",
    socket="s",
    key_file="k",
    state_dir="d",
    config_path="",
    demo=False,
    journal_ok=True,
    lag_ms=0.5,
)


def snapshot_for(identity: Identity) -> Snapshot:
    return Snapshot(
        version=7,
        at=1,
        engine=ENGINE,
        operator=OperatorView(identity.operator, identity.role, identity.attestation),
        spend_today_nano_usd=2**60,
        tightest=None,
        approvals_pending=0,
        incidents_open=0,
        runs_live=0,
        requests_total=0,
        providers=(),
    )


@dataclass
class FixedControl(Control):
    """Answers with what the test says, and remembers what it was asked."""

    identity: Identity
    engine: "FixedEngine"

    @property
    def attached(self) -> bool:
        return False

    async def snapshot(self, topics: Collection[Topic]) -> Snapshot:
        self.engine.topics.append(set(topics))
        self.engine.fail()
        return snapshot_for(self.identity)

    async def send(self, command: Command) -> CommandResult:
        self.engine.commands.append(command)
        self.engine.fail()
        return CommandResult("accepted", "Done.", data={"by": self.identity.operator})

    async def answer(self, query: Query) -> Any:
        self.engine.queries.append(query)
        self.engine.fail()
        return self.engine.answer

    async def close(self) -> None:
        return None


@dataclass
class FixedEngine:
    operators: tuple[Operator, ...] = ()
    operators_registered: bool = False
    unavailable: str = ""
    error: Exception | None = None
    answer: RunsPage | AuditAnswer = field(default_factory=lambda: RunsPage((), "next"))
    topics: list[set[Topic]] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    queries: list[Query] = field(default_factory=list)
    identities: list[Identity] = field(default_factory=list)

    def refresh(self) -> None:
        """Who is registered stays."""

    def fail(self) -> None:
        if self.error is not None:
            raise self.error

    def control_for(self, identity: Identity) -> FixedControl:
        self.identities.append(identity)
        return FixedControl(identity, self)


@asynccontextmanager
async def operators_server(
    state_dir: Path,
    engine: FixedEngine | None = None,
    environ: Mapping[str, str] | None = None,
    peer: Callable[[BaseRequest], Peer] = peer_of,
) -> AsyncIterator[OperatorsServer]:
    engine = engine or FixedEngine()
    server = OperatorsServer(state_dir, engine, engine.control_for, environ or {}, peer=peer)
    await server.open()
    try:
        yield server
    finally:
        await server.close()
