"""One process of the engine: on a loop whose time is a clock of its own, without threads, so that its writes come in
one order; everything else is the engine as it is."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from palyra.config.load import Sources, load_config
from palyra.config.model import LoadedConfig
from palyra.control.local import Doors, EngineFace, LocalControl
from palyra.control.snapshots import OperatorView
from palyra.core.ids import IdSource
from palyra.engine import Engine, Installation, settings
from palyra.engine import engine as engine_module
from palyra.engine import jobs as jobs_module
from palyra.journal.changes import HoldTaken
from palyra.journal.journal import Journal
from tests.faults.copies import Teller
from tests.simulation.loop import InlineQueues, SimClock, SimLoop
from tests.simulation.provider import WEATHER, Network
from tests.simulation.scene import Settings
from tests.simulation.stage import threads_within

T0 = 1_795_348_830_000
CALM = {"well": 1}
IDLE = ("lag", "probes", "diagnostics")
"""Rooms that measure the machine: what they write is another thing each time."""
CONFIG_FILE = "palyra.toml"
STATE = "state"
HOLD: ContextVar[str] = ContextVar("hold", default="")
"""The newest hold taken in this context: what is sent from it is sent for that one."""


@dataclass(slots=True)
class House:
    """The engine of one process, with those who look after it. `home` has the state directory and the file."""

    home: Path
    dice: random.Random
    teller: Teller
    clock: SimClock
    queues: InlineQueues
    weather: dict[str, int] = field(default_factory=lambda: dict(WEATHER))
    engine: Engine = field(init=False)
    face: EngineFace = field(init=False)
    ann: LocalControl = field(init=False)

    @property
    def state_dir(self) -> Path:
        return self.home / STATE

    @property
    def config_path(self) -> Path:
        return self.home / CONFIG_FILE

    async def open(self) -> None:
        """Raises what a start raises."""
        path = self.config_path
        installation = Installation(config_of(path), self.state_dir, path, sources=Sources(path, {}))
        self.engine = engine = await Engine.open(installation, self.clock, {})
        for room in IDLE:
            await engine._supervisor.stop(room)
        self.face = EngineFace(engine, Doors)
        await self.face.begin()
        self.ann = LocalControl(self.face, OperatorView("ann", "admin", "uid"))
        engine.tasks.open_claims()

    def sent(self) -> None:
        """A byte leaves for a provider."""
        self.teller.tell(sent=HOLD.get())


def text_of(dice: random.Random) -> str:
    """A configuration file: the simulation's, with jobs that run."""
    made = Settings(
        orphans=dice.choice(("charge", "charge", "release")),
        routed=dice.random() < 0.8,
        person=dice.choice(("0.3", "0.05", "0.01")),
        howe=dice.choice((150_000, 30_000)),
    )
    return made.text().replace("[scheduler]\nenabled = false", "[scheduler]\nenabled = true")


_READ: dict[bytes, LoadedConfig] = {}
"""Files that were read before: most lives start on one of a few."""


def config_of(path: Path) -> LoadedConfig:
    """What a start reads. Whoever reads it under way reads it anew."""
    data = path.read_bytes()
    if data not in _READ:
        loaded = load_config(path, {}, {})
        assert loaded.config is not None, loaded.problems
        _READ[data] = loaded.config
    return _READ[data]


def play(
    home: Path,
    dice: random.Random,
    at: int,
    teller: Teller,
    work: Callable[[House], Awaitable[None]],
    *,
    calm: bool = False,
) -> None:
    """Runs a process's work to its end: afterwards nothing is as it was, so that the process ends with it."""
    clock = SimClock(at)
    queues = InlineQueues(clock, random.Random(dice.random()))
    house = House(home, dice, teller, clock, queues)
    if calm:
        house.weather = dict(CALM)
    patch = pytest.MonkeyPatch()
    loop = SimLoop(clock)
    try:
        threads_within(patch, queues)
        _same_each_time(patch, house)
        asyncio.set_event_loop(loop)
        loop.run_until_complete(work(house))
        if loop.faults:
            teller.tell(fault="; ".join(loop.faults))
    finally:
        asyncio.set_event_loop(None)
        patch.undo()


def _same_each_time(patch: pytest.MonkeyPatch, house: House) -> None:
    seeds = random.Random(house.dice.random())
    patch.setattr(engine_module, "IdSource", partial(IdSource, entropy=random.Random(seeds.random()).randbytes))
    patch.setattr(settings, "random", random.Random(seeds.random()))
    # Palyra's own jobs wait for threads that ask the loop, and here there are none.
    patch.setattr(jobs_module, "add_system_jobs", lambda _: None)
    network = random.Random(seeds.random())

    def transport(*_: Any) -> Network:
        return Network(house.clock, network, house.sent, lambda _: None, house.weather)

    patch.setattr(engine_module, "Transport", transport)
    submit = Journal.submit

    def submitting(journal: Journal, unit: Any, **how: Any) -> Any:
        for change in unit:
            if isinstance(change, HoldTaken):
                HOLD.set(change.row.hold_id)
        return submit(journal, unit, **how)

    patch.setattr(Journal, "submit", submitting)
