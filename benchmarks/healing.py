"""How soon work that falls silent becomes an incident: ten thousand heartbeats, some of which end.

`python -m benchmarks.healing` opens `palyra-tui` with the heartbeats on the screen and keys pressed, and with `--both`
first `palyra serve`. Workers elsewhere, one for each heartbeat, say over HTTP that they live, each within its interval;
a few hundred of them, one after another, say no more. What is measured is how long after its threshold each incident
opened, as the journal has it, and whether anybody else was taken for silent. The engine has one core, everything else
the other.
"""

import asyncio
import random
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from benchmarks.command import Benchmark, Setting, option, run, say
from benchmarks.measured import Found, Measured, Numbers, share
from benchmarks.parties import Cores, Target, headless, two_cores, upstream
from benchmarks.terminal import acting, console


@dataclass(frozen=True, slots=True)
class Size:
    beating: int = option(10_000, "how many heartbeats")
    lost: int = option(400, "how many of them end")
    spread: float = option(10.0, "seconds over which they do")
    both: bool = option(False, "without a screen, too")


QUICK = Size(beating=200, lost=20, spread=5.0)

INTERVAL_S = 60
CONNECTIONS = 16
AFTER_S = 5.0
"""How long is waited for incidents after the last threshold."""
HEARTBEATS_SCREEN = "3h"
GOALS_MS = {"p99": 1_500, "max": 3_000}


class Workers:
    """Says for each worker that it lives, at an even pace: all of them once in half their interval."""

    def __init__(self, target: Target, size: Size) -> None:
        self._target = target
        self._names = [f"worker-{number}" for number in range(size.beating)]
        chosen = random.Random(1).sample(self._names, size.lost)
        self._ends = {name: size.spread * place / size.lost for place, name in enumerate(chosen)}
        """When each of those that fall silent does, in seconds after everybody was heard once."""
        self._over = size.spread + INTERVAL_S + AFTER_S
        self._heard_all: float | None = None

    @property
    def lost(self) -> set[str]:
        return set(self._ends)

    async def live(self) -> None:
        """Everybody is heard once, then some end; returns when all of these are past their threshold."""
        loop = asyncio.get_running_loop()
        pace = len(self._names) / (INTERVAL_S / 2)
        headers = {"Authorization": f"Bearer {self._target.key}"}
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        url = f"http://127.0.0.1:{self._target.port}/console/v1/heartbeats"
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
            began, said = loop.time(), 0
            under_way: set[asyncio.Task[None]] = set()
            while self._heard_all is None or loop.time() - self._heard_all < self._over:
                await asyncio.sleep(max(0.0, began + said / pace - loop.time()))
                name = self._names[said % len(self._names)]
                said += 1
                if self._lives(name, loop.time()):
                    beat = loop.create_task(self._say(session, url, name))
                    under_way.add(beat)
                    beat.add_done_callback(under_way.discard)
                if said == len(self._names):
                    self._heard_all = loop.time()
            await asyncio.gather(*under_way)

    def _lives(self, name: str, now: float) -> bool:
        end = self._ends.get(name)
        return end is None or self._heard_all is None or now < self._heard_all + end

    async def _say(self, session: aiohttp.ClientSession, url: str, name: str) -> None:
        body = {"id": name, "interval_seconds": INTERVAL_S, "summary": "a load"}
        async with session.post(url, json=body) as answer:
            if answer.status != 200:
                raise RuntimeError(f"{name} was answered {answer.status}: {await answer.text()}")


def told_of(directory: Path, lost: set[str], prefix: str) -> Numbers:
    """Raises RuntimeError where an incident is missing."""
    question = "SELECT key, opened_at - condition_since FROM incidents WHERE family = 'heartbeat:external'"
    with closing(sqlite3.connect(f"file:{directory}/state/journal.db?mode=ro", uri=True)) as database:
        found = {key.rpartition("/")[2]: late for key, late in database.execute(question)}
    found = {name: late for name, late in found.items() if not name.startswith("storm")}
    late = sorted(found[name] for name in lost & found.keys())
    if len(late) < len(lost):
        raise RuntimeError(f"{len(lost) - len(late)} of {len(lost)} that fell silent became no incident")
    return {
        f"{prefix}_incidents": float(len(late)),
        f"{prefix}_false": float(len(found.keys() - lost)),
        f"{prefix}_p50_ms": share(late, 0.5),
        f"{prefix}_p99_ms": share(late, 0.99),
        f"{prefix}_max_ms": float(late[-1]),
    }


def one_round(directory: Path, cores: Cores, size: Size) -> Numbers:
    numbers: Numbers = {}
    with upstream(directory, cores.others) as mock:
        if size.both:
            say("without a screen")
            with headless(directory / "serve", mock.port, cores.engine) as target:
                workers = Workers(target, size)
                asyncio.run(workers.live())
            numbers |= told_of(directory / "serve", workers.lost, "serve")
        say("with the heartbeats on the screen, keys pressed")
        with console(directory / "tui", mock.port, cores.engine) as screen:
            screen.press(HEARTBEATS_SCREEN)
            workers = Workers(screen.target, size)
            with acting(screen):
                asyncio.run(workers.live())
        numbers |= told_of(directory / "tui", workers.lost, "screen")
    return numbers


def rows(numbers: Numbers, size: Size) -> tuple[Measured, ...]:
    told = []
    for prefix, what in (("serve", "no screen"), ("screen", "on the screen, keys pressed")):
        if f"{prefix}_false" not in numbers:
            continue
        for name, goal in GOALS_MS.items():
            label = f"an incident after silence, {size.beating:,} heartbeats, {name}, {what}"
            told.append(Measured(label, numbers[f"{prefix}_{name}_ms"], "ms", goal))
        told.append(Measured(f"incidents about who beat, {what}", numbers[f"{prefix}_false"], goal=0))
    return tuple(told)


def measure(setting: Setting, size: Size) -> Found:
    cores = two_cores()
    with tempfile.TemporaryDirectory(prefix="palyra-bench-", dir=setting.directory) as directory:
        numbers = one_round(Path(directory), cores, size)
    return Found(rows(numbers, size), (numbers,))


BENCHMARK = Benchmark("healing", __doc__, Size(), QUICK, measure)

if __name__ == "__main__":
    run(BENCHMARK)
