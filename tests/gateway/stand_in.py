"""An engine's stand-in behind a real gateway, and a caller that speaks raw HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from palyra.config.serving import ApprovalsConfig, GatewayConfig
from palyra.core.clock import Clock, SystemClock
from palyra.gateway.server import Gateway
from palyra.governance.approvals import Opened
from palyra.governance.overrides import OverrideRequest, Requester
from palyra.healing.reporters import Report
from palyra.runs.overrides import Found
from palyra.runs.request import Answer, Client, Outcome, Refusal, RunReport, RunRequest
from palyra.vault.records import Operator

TOKEN = "plk_default_" + "A" * 43
AUTHORISED = {"Authorization": f"Bearer {TOKEN}"}
CHAT = {"model": "stub/one", "messages": [{"role": "user", "content": "hello"}]}
MESSAGES = {**CHAT, "max_tokens": 64}
RUN_ID = "01KABCDEFGHJKMNPQRSTVWXYZ0"

Script = Callable[[RunRequest, Client], Awaitable[Outcome]]


@dataclass(frozen=True)
class StandInKey:
    key_id: str = "default"
    principal: str = "local"
    channel: str = ""
    agent: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    allowed_models: tuple[str, ...] = ()
    may_act_for: tuple[str, ...] = ()
    may_set_mode: bool = False


@dataclass(frozen=True)
class StandInModel:
    id: str
    provider: str
    max_context: int | None = 128_000
    max_output: int | None = None


class StandInAccess:
    def __init__(self) -> None:
        self.keys: dict[str, StandInKey] = {TOKEN: StandInKey()}
        self.unavailable = ""

    def authenticate(self, token: str) -> StandInKey | None:
        return self.keys.get(token)

    @property
    def operators(self) -> Sequence[Operator]:
        return ()

    def authenticate_operator(self, token: str) -> Operator | None:
        return None

    def flag(self, name: str) -> bool:
        return False

    def refresh(self) -> None:
        """Nobody else writes it."""


def report(**fields: Any) -> RunReport:
    return replace(RunReport(run_id=RUN_ID, decision_id="01KDECISION"), **fields)


def plain(body: bytes = b'{"id": "x"}', **fields: Any) -> Outcome:
    answer = Answer(200, {"content-type": "application/json"}, body)
    return Outcome(report(**fields), "completed", "stop", answer=answer)


class StandInRunner:
    """Answers every request with `script`, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[RunRequest] = []
        self.script: Script | None = None
        self.models: list[StandInModel] = [StandInModel("openai/gpt-4o-mini", "openai"), StandInModel("local", "stub")]

    async def execute(self, request: RunRequest, client: Client) -> Outcome:
        self.asked.append(request)
        return plain() if self.script is None else await self.script(request, client)

    def models_for(self, patterns: Sequence[str]) -> Sequence[StandInModel]:
        return [model for model in self.models if not patterns or model.id in patterns]


class StandInCounter:
    """Says that every prompt has seven tokens, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[RunRequest] = []

    async def count(self, request: RunRequest) -> Answer | Refusal:
        self.asked.append(request)
        return Answer(200, {}, b'{"input_tokens": 7}')


class StandInOverrides:
    """Knows of no approval, and opens none."""

    async def request(self, asked: OverrideRequest, requester: Requester) -> Opened:
        raise AssertionError("nobody asks for room here")

    async def look_up(self, approval_id: str) -> Found | None:
        return None


class StandInReporters:
    """Remembers what work elsewhere said; each has a minute until it must say something again."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, Report]] = []

    def take(self, principal: str, report: Report) -> int | None:
        self.reports.append((principal, report))
        return 60_000

    def forget(self, principal: str, name: str) -> bool:
        return False


@dataclass(frozen=True)
class StandInConfig:
    gateway: GatewayConfig
    approvals: ApprovalsConfig


class StandInHouse:
    def __init__(self, **gateway: Any) -> None:
        self.phase = "ready"
        self.problems: list[str] = []
        self.runner = StandInRunner()
        self.counter = StandInCounter()
        self.overrides = StandInOverrides()
        self.reporters = StandInReporters()
        self.access: Any = StandInAccess()
        self.config = StandInConfig(GatewayConfig(**{"bind": "127.0.0.1:0", **gateway}), ApprovalsConfig())

    def ready_problems(self) -> Sequence[str]:
        return self.problems


@dataclass
class RawAnswer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.body)
        return data

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.json["error"]
        return error


class Caller:
    """One connection, spoken to in bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self.reader = reader
        self.writer = writer
        self.host = host

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | Mapping[str, Any] | None = None,
        *,
        host: str | None = None,
    ) -> None:
        content = json.dumps(body).encode() if isinstance(body, Mapping) else body
        fields = {"Host": self.host if host is None else host, **(headers or {})}
        if content is not None:
            fields = {"Content-Type": "application/json", "Content-Length": str(len(content)), **fields}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.send(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + (content or b""))

    async def head(self) -> RawAnswer:
        """The status line and headers; the body stays unread."""
        raw = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return RawAnswer(int(first.split(" ")[1]), headers, b"")

    async def answer(self) -> RawAnswer:
        answer = await self.head()
        if answer.headers.get("transfer-encoding") == "chunked":
            pieces = []
            while piece := await self.chunk():
                pieces.append(piece)
            answer.body = b"".join(pieces)
        elif "content-length" in answer.headers:
            answer.body = await self.reader.readexactly(int(answer.headers["content-length"]))
        else:
            answer.body = await self.reader.read()
        return answer

    async def chunk(self) -> bytes:
        """One chunk of a chunked body; empty at its end."""
        size = int(await self.reader.readuntil(b"\r\n"), 16)
        data = await self.reader.readexactly(size + 2)
        return data[:-2]

    async def ended(self) -> bool:
        """Whether the other side closed without another byte."""
        try:
            return await self.reader.read(1) == b""
        except ConnectionResetError:
            return True

    def leave(self) -> None:
        self.writer.transport.abort()

    def close(self) -> None:
        self.writer.close()


class Door:
    """A gateway that is open, and callers at it."""

    def __init__(self, gateway: Gateway, house: StandInHouse) -> None:
        self.gateway = gateway
        self.house = house
        parts = urlsplit(gateway.url)
        assert parts.hostname is not None
        assert parts.port is not None
        self.host, self.port = parts.hostname, parts.port
        self._callers: list[Caller] = []

    @property
    def runner(self) -> StandInRunner:
        return self.house.runner

    async def caller(self) -> Caller:
        reader, writer = await asyncio.open_connection(self.host, self.port, limit=64 * 1024 * 1024)
        caller = Caller(reader, writer, f"{self.host}:{self.port}")
        self._callers.append(caller)
        return caller

    async def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | Mapping[str, Any] | None = None,
        *,
        host: str | None = None,
    ) -> RawAnswer:
        """One request on a connection of its own, with the good key unless `headers` name another."""
        caller = await self.caller()
        caller.request(method, path, AUTHORISED if headers is None else headers, body, host=host)
        answer = await caller.answer()
        caller.close()
        return answer

    async def close(self) -> None:
        for caller in self._callers:
            caller.close()
        await self.gateway.close(patience=0.5)


async def until(condition: Callable[[], bool]) -> None:
    """Turns the loop until something has become true."""
    for _ in range(1_000_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never became true")


@asynccontextmanager
async def serving(house: StandInHouse | None = None, clock: Clock | None = None) -> AsyncIterator[Door]:
    house = house or StandInHouse()
    gateway = Gateway(house, clock or SystemClock())
    gateway.open()
    door = Door(gateway, house)
    try:
        yield door
    finally:
        await door.close()
