"""An installation whose console owns the engine, without a screen: for breaking it and mending it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from palyra.config.load import Sources
from palyra.config.partial import for_a_screen
from palyra.control.codec import decode
from palyra.control.doctor_commands import ApplyRepairs
from palyra.control.doctor_queries import DoctorPreviewQuery, RepairsDone
from palyra.control.doctor_views import OUTCOME
from palyra.control.snapshots import CommandResult
from palyra.core.clock import SystemClock
from palyra.doctor.reading import Where
from palyra.engine import Installation
from palyra.hosting import HostedControl
from palyra.installed import installed

SOUND = 'version = 1\n[gateway]\nbind = "127.0.0.1:0"\ndrain_seconds = 0\n[scheduler]\nenabled = false\n'


class Site:
    """`palyra.toml` and `state` in a directory of their own; sound at first, and never started."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config, self.state = root / "palyra.toml", root / "state"
        self.environ = {"HOME": str(root)}
        self.write(SOUND)

    def write(self, text: str) -> None:
        self.config.write_text(text)
        self.config.chmod(0o600)

    @property
    def journal(self) -> Path:
        return self.state / "journal.db"

    @property
    def registry(self) -> Path:
        return self.state / "access_registry.json"

    @property
    def where(self) -> Where:
        return Where(self.config, self.state, self.environ)

    @asynccontextmanager
    async def console(
        self, load: Callable[[], Installation] | None = None, *, read_only: bool = False
    ) -> AsyncIterator[HostedControl]:
        """As `palyra-tui` has it: started, and its doors opened as if a screen had been painted."""
        sources = Sources(self.config, self.where.environ, {})
        hosted = HostedControl(
            load or (lambda: installed(sources, self.state)),
            self.where,
            self.state,
            for_a_screen(sources),
            SystemClock(),
            read_only=read_only,
        )
        try:
            await hosted.start()
            await hosted.open_doors()
            yield hosted
        finally:
            await hosted.close()


async def repaired(control: HostedControl, *, force: bool = True, stop_engine: bool = False) -> CommandResult:
    """The whole plan, looked at and applied."""
    plan = await control.ask(DoctorPreviewQuery())
    return await control.send(ApplyRepairs(plan.digest, None, force, stop_engine=stop_engine))


def done(result: CommandResult) -> RepairsDone:
    told: RepairsDone = decode(RepairsDone, result.data[OUTCOME])
    return told


async def served(control: HostedControl) -> int:
    """How the gateway answers a real client: the status of a listing of models."""
    assert control.house is not None, control.standstill
    key = control.house.engine.access.key_file.read_text().strip()
    url = control.house.doors().gateway_url
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{url}/v1/models", headers={"Authorization": f"Bearer {key}"})).status_code
