"""Many lives with many deaths each, on one core or several; and one death again."""

import json
import os
import selectors
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palyra.core.clock import SystemClock
from tests.faults.lives import Lives, Outcome
from tests.faults.passing import Death, Side
from tests.faults.plan import death_at, deaths_of, life_of
from tests.faults.tally import Tally
from tests.faults.zygote import prepare

PROGRESS_S = 20.0
TOLD_MOST = 12
"""Faults of one death that are told."""
GIVEN_UP_AFTER = 25


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def replay_line(seed: int, life: int, death: Death | None, plant: str = "", *, power: bool = False) -> str:
    """What brings the same death about again."""
    mode = " --power" if power else ""
    named = "" if death is None else f" --write {death.write} --side {death.side}"
    planted = f" --plant {plant}" if plant else ""
    return f"python -m tests.faults --seed {seed} --life {life}{named}{mode}{planted}"


def evidence(
    seed: int, life: int, death: Death | None, outcome: Outcome, kept: Path, plant: str = "", *, power: bool = False
) -> str:
    """What did not fit, where, and how to see it again."""
    died = outcome.first.last("died", "not killed")
    faults = [f"  {fault}" for fault in outcome.faults[:TOLD_MOST]]
    if len(outcome.faults) > TOLD_MOST:
        faults.append(f"  and {len(outcome.faults) - TOLD_MOST} more")
    side = "" if death is None else f", {death.side}"
    head = f"seed {seed}, life {life}, {died}{side}: {len(outcome.faults)} faults"
    return "\n".join(
        [head, *faults, f"  again: {replay_line(seed, life, death, plant, power=power)}", f"  kept in {kept}"]
    )


@dataclass(frozen=True, slots=True)
class Series:
    """`deaths` of each life are a sample of all there could be, 0 all of them. Lives are dealt out to `jobs`."""

    seed: int
    kills: int
    lives: int | None
    first: int
    deaths: int
    jobs: int
    place: Path | None
    plant: str = ""
    at_most: int = GIVEN_UP_AFTER
    """So many faulty deaths, and nobody learns from more."""
    power: bool = False

    def run(self) -> int:
        """Returns 1 when anything did not fit."""
        prepare(self.plant)
        root = Path(tempfile.mkdtemp(prefix="palyra-faults-", dir=self.place))
        try:
            total = self._together(root)
        finally:
            if not (root / "kept").exists():
                shutil.rmtree(root, ignore_errors=True)
        say(str(total))
        return 1 if total.counts["faulty"] or not total.kills else 0

    def _together(self, root: Path) -> Tally:
        """Workers tell each line as it is true of them; the last one counts."""
        pipes = {}
        for number in range(self.jobs):
            reading, writing = os.pipe()
            if not os.fork():
                os.close(reading)
                code = 1
                try:
                    self._work(number, root, writing)
                    code = 0
                except BaseException:
                    traceback.print_exc()
                finally:
                    os._exit(code)
            os.close(writing)
            pipes[number] = os.fdopen(reading)
        tallies = {number: Tally(self.seed, self.power) for number in pipes}
        clock, told_at = SystemClock(), SystemClock().monotonic()
        began = told_at
        watch = selectors.DefaultSelector()
        for number, pipe in pipes.items():
            watch.register(pipe, selectors.EVENT_READ, number)
        while watch.get_map():
            for key, _ in watch.select():
                line = pipes[key.data].readline()
                if not line:
                    watch.unregister(key.fileobj)
                    continue
                told = json.loads(line)
                if "text" in told:
                    say(told["text"])
                else:
                    tallies[key.data] = Tally(self.seed, self.power, Counter(told["counts"]), told["cpu"])
            now = clock.monotonic()
            if now - told_at > PROGRESS_S:
                told_at = now
                total = self._sum(tallies)
                rate = total.kills / (now - began)
                faulty = total.counts["faulty"]
                say(f"{total.kills:,} kills in {now - began:.0f} s, {rate:.1f} a second, {faulty} faulty")
        for _ in pipes:
            _, status = os.wait()
            if status:
                raise SystemExit("a worker ended badly")
        return self._sum(tallies)

    def _sum(self, tallies: dict[int, Tally]) -> Tally:
        total = Tally(self.seed, self.power)
        for tally in tallies.values():
            total.merge(tally)
        return total

    def _work(self, number: int, root: Path, writing: int) -> None:
        tally = Tally(self.seed, self.power)
        own = root / str(number)
        own.mkdir(mode=0o700)
        share = -(-self.kills // self.jobs)

        def tell(**facts: Any) -> None:
            os.write(writing, f"{json.dumps(facts)}\n".encode())

        lives = Lives(self.seed, own, power=self.power)
        for life_number, death, outcome in self._deaths(number, lives, lambda: tally.kills >= share):
            tally.add(life_of(self.seed, life_number), death, outcome)
            tell(counts=dict(tally.counts), cpu=tally.cpu)
            if outcome.faults:
                kept = root / "kept" / f"{life_number}-{'none' if death is None else f'{death.write}-{death.side}'}"
                kept.parent.mkdir(exist_ok=True)
                shutil.copytree(own / "home", kept)
                told = evidence(self.seed, life_number, death, outcome, kept, self.plant, power=self.power)
                tell(text=told)
            if tally.counts["faulty"] >= self.at_most:
                return

    def _deaths(
        self, worker: int, lives: Lives, enough: Callable[[], bool]
    ) -> Iterator[tuple[int, Death | None, Outcome]]:
        last = None if self.lives is None else self.first + self.lives
        life_number = self.first + worker
        while not enough() and (last is None or life_number < last):
            life = life_of(self.seed, life_number)
            whole = lives.play(life, None)
            yield life_number, None, whole
            for death in deaths_of(life, whole.trail, self.deaths):
                if enough():
                    return
                yield life_number, death, lives.play(life, death, whole)
            life_number += self.jobs


def replay(
    seed: int,
    life_number: int,
    write: int | None,
    side: Side,
    place: Path | None,
    plant: str,
    *,
    power: bool,
    verbose: bool,
) -> int:
    """One death, or a life without one. The directory stays."""
    prepare(plant)
    root = Path(tempfile.mkdtemp(prefix="palyra-faults-", dir=place)) / "0"
    root.mkdir(mode=0o700)
    life = life_of(seed, life_number)
    death = None if write is None else death_at(life, write, side)
    lives = Lives(seed, root, power=power)
    outcome = lives.play(life, death)
    if verbose:
        say("\n".join(json.dumps(line) for line in outcome.first.told))
    say(f"digest {outcome.first.last('digest', '')}")
    if outcome.faults:
        say(evidence(seed, life_number, death, outcome, lives.home, plant, power=power))
        return 1
    tally = Tally(seed, power)
    tally.add(life, death, outcome)
    say(str(tally))
    return 0
