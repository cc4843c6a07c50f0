"""Makes the installation of the schema that is the newest now, which the next migration is tested on:
`python -m tests.upgrading.making` lives with this program, kills it, and writes `states/vNN.tar.xz`.
"""

import asyncio
import io
import lzma
import tarfile
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from palyra.journal.schema import LATEST
from tests.support.process import Served, palyra, serve
from tests.support.upstream import Reply, Upstream
from tests.upgrading.places import STATES

LEFT_OUT = ("logs", "engine.lock", "files.lock", "operators.sock", "journal.db-shm")
NO_HEADERS: Mapping[str, str] = {}
RED = {"x-palyra-tags": "team=red"}
NOWHERE = "http://127.0.0.1:9"
CONFIG = """version = 1

[gateway]
bind = "127.0.0.1:0"
drain_seconds = 0

[runs]
store_content = "full"

[providers.mock]
kind = "openai_compatible"
base_url = "{base}/v1"
api_key = "sk-mock-0123456789abcdefghijklmnop"
pricing_provider = "openai"

[[models]]
provider = "mock"
upstream = "gpt-4o-mini"

[[budgets]]
policy_id = "month"
interval_kind = "monthly"
timezone = "Europe/Prague"
soft_limit = 0.000001
hard_limit = 50.00

[[budgets]]
policy_id = "calls"
metric_kind = "requests"
interval_kind = "lifetime"
hard_limit = 4
action = "approval_required"

[[budgets]]
policy_id = "team"
scope_kind = "tag"
scope_id = "team=*"
interval_kind = "rolling_24h"
hard_limit = 9.00

[[pricing]]
provider = "mock"
model = "gpt-4o-mini"
from = 2025-01-01
input = 0.20
output = 0.80

[[jobs]]
name = "morning"
cron = "0 9 * * mon-fri"
timezone = "Europe/Prague"
action = "prompt"
prompt = "Sum up yesterday."
"""
DEEDS = (
    (
        "budgets",
        "add",
        "by-hand",
        "--metric-kind",
        "total_tokens",
        "--interval-kind",
        "weekly",
        "--hard-limit",
        "99999",
    ),
    ("keys", "add", "builds", "--principal", "ci"),
    ("access", "operators", "add", "ana", "--role", "approver", "--identity", "unix:ana"),
    ("access", "token", "--operator", "ci", "--role", "viewer"),
    ("access", "flags", "set", "external_heartbeats", "on"),
    ("tasks", "add", "background_prompt", "--input", "Think.", "--not-before", "10h"),
    ("jobs", "add", "nightly", "--cron", "30 2 * * *", "--tz", "Europe/Prague", "--prompt", "Sum up the day."),
    ("memory", "add", "The invoice comes on the third."),
)


class House:
    """The program that is lived with."""

    def __init__(self, served: Served, config: Path) -> None:
        self.served, self.config = served, config
        self.client = httpx.AsyncClient(headers={"authorization": f"Bearer {served.key}"}, timeout=None)
        self.waiting: set[asyncio.Task[httpx.Response]] = set()

    async def do(self, *words: str, typed: str | None = None) -> Any:
        run = partial(palyra, *words, state_dir=self.served.state_dir, config=self.config, typed=typed)
        code, data, said = await asyncio.to_thread(run)
        assert code == 0, f"{words}: {said}"
        return data

    async def chat(self, text: str, headers: Mapping[str, str] = NO_HEADERS, *, stream: bool = False) -> httpx.Response:
        message = {"role": "user", "content": text}
        body = {"model": "mock/gpt-4o-mini", "max_tokens": 500, "stream": stream, "messages": [message]}
        return await self.client.post(f"{self.served.gateway_url}/v1/chat/completions", json=body, headers=headers)

    async def ask(self, session: str) -> str:
        """A request that waits for a person, and its approval's id."""
        self.waiting.add(asyncio.create_task(self.chat("May I?", {"x-palyra-session": session})))
        while True:
            listed = await self.do("approvals", "list")
            for approval in listed["approvals"]:
                if approval["status"] == "pending" and approval["session"].endswith(session):
                    return str(approval["approval_id"])


async def live(house: House, upstream: Upstream) -> None:
    """A little of everything, and a stream and a request that are still under way at the end."""
    first = await house.chat("hello", RED)
    await house.chat("Grüße, 世界", {"x-palyra-session": "s1"}, stream=True)
    await house.chat("third", RED)
    await house.do("usage", "correct", first.headers["x-palyra-run"], "--reason", "the invoice", "--input", "7")
    await house.do("vault", "set", "global/kept", typed="a kept secret\n")
    for words in DEEDS:
        await house.do(*words)
    beat = {"id": "etl", "interval_seconds": 300, "grace_seconds": 60, "status": "failing", "summary": "disk full"}
    (await house.client.post(f"{house.served.gateway_url}/console/v1/heartbeats", json=beat)).raise_for_status()
    seen = len(upstream.seen)
    upstream.replies = [Reply(gate=asyncio.Event(), gate_at=1)]
    house.waiting.add(asyncio.create_task(house.chat("for ever", stream=True)))
    await upstream.wait_for_requests(seen + 1)
    await house.do("approvals", "allow", await house.ask("allowed"))
    await house.do("approvals", "deny", await house.ask("denied"), "--reason", "not today")
    await house.ask("undecided")


def pack(root: Path, base: str) -> Path:
    target = STATES / f"v{LATEST:02}.tar.xz"
    with (
        lzma.open(target, "wb", preset=9 | lzma.PRESET_EXTREME) as file,
        tarfile.open(fileobj=file, mode="w") as archive,
    ):
        for path in sorted(root.rglob("*")):
            name = path.relative_to(root)
            if path.is_file() and not set(name.parts) & set(LEFT_OUT) and ".bak." not in path.name:
                data = path.read_bytes()
                if path.name == "palyra.toml":
                    data = data.replace(base.encode(), NOWHERE.encode())
                entry = tarfile.TarInfo(str(name))
                entry.size, entry.mode = len(data), 0o600
                archive.addfile(entry, io.BytesIO(data))
    return target


async def make(root: Path) -> Path:
    async with Upstream().serving() as upstream:
        config, state_dir = root / "palyra.toml", root / "state"
        config.write_text(CONFIG.format(base=upstream.base_url))
        house = House(await asyncio.to_thread(serve, state_dir, config), config)
        try:
            await live(house, upstream)
        finally:
            house.served.kill()
            await asyncio.gather(*house.waiting, return_exceptions=True)
            await house.client.aclose()
        (root / "state.ready.json").unlink()
        return pack(root, upstream.base_url)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print(asyncio.run(make(Path(place))))  # noqa: T201
