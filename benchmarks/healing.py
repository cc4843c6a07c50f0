"""How soon work that falls silent becomes an incident: ten thousand heartbeats, some of which end.

`python -m benchmarks.healing` opens `palyra serve` and then `palyra-tui`, with the heartbeats on the screen and keys
pressed. Workers elsewhere, one for each heartbeat, say over HTTP that they live, each within its interval; a few
hundred of them, spread over an interval, say no more. What is measured is how long after its threshold each incident
opened, as the journal has it, and whether anybody else was taken for silent. The engine has one core, everything else
the other.
"""

import argparse
import asyncio
import json
import random
import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import aiohttp

from benchmarks.gateway import Numbers, acting
from benchmarks.parties import Cores, Target, headless, two_cores, upstream
from benchmarks.terminal import console

BEATING, LOST = 10_000, 400
INTERVAL_S = 60
CONNECTIONS = 16
AFTER_S = 10.0
"""How long is waited for incidents after the last threshold."""
HEARTBEATS_SCREEN = "3h"
GOALS_MS = {"p99": 1_500, "max": 3_000}


class Workers:
    """Says for each worker that it lives, at an even pace: all of them once in two thirds of their interval."""

    def __init__(self, target: Target, count: int, lost: int) -> None:
        self._target = target
        self._names = [f"worker-{number}" for number in range(count)]
        chosen = random.Random(1).sample(self._names, lost)
        self._ends = {name: INTERVAL_S * place / lost for place, name in enumerate(chosen)}
        """When each of those that fall silent does, in seconds after everybody was heard once."""
        self._heard_all: float | None = None

    @property
    def lost(self) -> set[str]:
        return set(self._ends)

    async def live(self) -> None:
        """Everybody is heard once, then some end; returns when all of these are past their threshold."""
        loop = asyncio.get_running_loop()
        pace = len(self._names) / (INTERVAL_S * 2 / 3)
        headers = {"Authorization": f"Bearer {self._target.key}"}
        connector = aiohttp.TCPConnector(limit=CONNECTIONS)
        url = f"http://127.0.0.1:{self._target.port}/console/v1/heartbeats"
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
            began, said, over = loop.time(), 0, 2 * INTERVAL_S + AFTER_S
            under_way: set[asyncio.Task[None]] = set()
            while self._heard_all is None or loop.time() - self._heard_all < over:
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
        f"{prefix}_p50_ms": _share(late, 0.5),
        f"{prefix}_p99_ms": _share(late, 0.99),
        f"{prefix}_max_ms": float(late[-1]),
    }


def _share(late: Sequence[int], part: float) -> float:
    return float(late[min(len(late) - 1, int(part * len(late)))])


def one_round(directory: Path, cores: Cores, count: int, lost: int) -> Numbers:
    numbers: Numbers = {}
    with upstream(directory, cores.others) as mock:
        sys.stderr.write("without a screen …\n")
        with headless(directory / "serve", mock.port, cores.engine) as target:
            workers = Workers(target, count, lost)
            asyncio.run(workers.live())
        numbers |= told_of(directory / "serve", workers.lost, "serve")
        sys.stderr.write("with the heartbeats on the screen, keys pressed …\n")
        with console(directory / "tui", mock.port, cores.engine) as screen:
            screen.press(HEARTBEATS_SCREEN)
            workers = Workers(screen.target, count, lost)
            with acting(screen):
                asyncio.run(workers.live())
        numbers |= told_of(directory / "tui", workers.lost, "screen")
    return numbers


def rows(numbers: Numbers) -> list[tuple[str, str, str]]:
    """Rows of the table: what, the number, the goal."""
    found: list[tuple[str, str, str]] = []
    for prefix, what in (("serve", "palyra serve"), ("screen", "palyra-tui, heartbeats")):
        for name in ("p50", "p99", "max"):
            goal = f"<= {GOALS_MS[name]} ms" if name in GOALS_MS else ""
            label = f"{what}: {name} of {numbers[f'{prefix}_incidents']:,.0f} incidents"
            found.append((label, f"{numbers[f'{prefix}_{name}_ms']:.0f} ms", goal))
        found.append((f"{what}: incidents about who beat", f"{numbers[f'{prefix}_false']:.0f}", "0"))
    return found


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m benchmarks.healing", description=__doc__)
    options.add_argument("--beating", type=int, default=BEATING, metavar="N", help="how many heartbeats (10,000)")
    options.add_argument("--lost", type=int, default=LOST, metavar="N", help="how many of them end (400)")
    options.add_argument("--directory", type=Path, metavar="D", help="where state lies (the temporary directory)")
    options.add_argument("--json", type=Path, metavar="FILE", help="where every number goes (standard output)")
    chosen = options.parse_args()
    cores = two_cores()
    with tempfile.TemporaryDirectory(prefix="palyra-bench-", dir=chosen.directory) as directory:
        numbers = one_round(Path(directory), cores, chosen.beating, chosen.lost)
    for what, number, goal in rows(numbers):
        print(f"{what:<52}{number:>14}   {goal}".rstrip())
    if chosen.json is None:
        print(json.dumps(numbers, indent=1))
    else:
        chosen.json.write_text(json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    main()
