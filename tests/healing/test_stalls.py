"""Loops that stand still, for up to a minute and at any time: nobody who beats is taken for silent, and whoever hangs
is found all the same."""

import random
from dataclasses import dataclass, field

import pytest

from tests.healing.conftest import Staged
from tests.healing.stage import Stage, healing_config

BEAT_S, BACK_WITHIN_S = 15, 10
SILENT_MS = 30_000
FOUND_WITHIN_MS = 1_500
MINUTES = 20


@dataclass
class Runs:
    """Workers that beat every 15 s, each at its own time; none beats while the loop stands still."""

    stage: Stage
    next_beat: dict[str, float] = field(default_factory=dict)

    def begin(self, name: str, later: float) -> None:
        self.stage.beat(name, 0)
        self.next_beat[name] = self.now + later

    def hang(self, name: str) -> None:
        del self.next_beat[name]

    @property
    def now(self) -> float:
        return self.stage.clock.monotonic()

    def beat(self) -> None:
        """What is due by now."""
        for name, at in self.next_beat.items():
            if at <= self.now:
                self.stage.beat(name, round(self.now))
                self.next_beat[name] = self.now + BEAT_S

    def come_back(self, chance: random.Random) -> None:
        """After a stall whoever is late beats again one after the other, once the loop has come to all."""
        for name, at in self.next_beat.items():
            self.next_beat[name] = max(at, self.now + chance.uniform(0, BACK_WITHIN_S))

    async def go_on(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            await self.stage.clock.advance(min(1.0, until - self.now))
            self.beat()


@pytest.mark.parametrize("seed", range(2))
async def test_whatever_stands_still_nobody_who_beats_is_taken_for_silent(staged: Staged, seed: int) -> None:
    chance = random.Random(seed)
    limits = healing_config("auto").silent_after.model_copy(update={"run": SILENT_MS})
    stage = await staged(healing_config("auto").model_copy(update={"silent_after": limits}))
    runs = Runs(stage)
    for number in range(20):
        runs.begin(f"r{number}", chance.uniform(0, BEAT_S))
    lost_ms = 0
    until = runs.now + MINUTES * 60
    while runs.now < until:
        await runs.go_on(chance.choice([0.5, 5, 20, 45, 90]))
        stalled = chance.choice([0.5, 1, 5, 30, 60])
        stage.clock.tick(stalled)
        lost_ms += round(stalled * 1000)
        runs.come_back(chance)
    assert (stage.events, stage.cancelled) == ([], [])
    assert lost_ms > 60_000
    await runs.go_on(60)
    runs.hang("r7")
    while stage.incident_of("r7") is None:
        await runs.go_on(1)
    found = stage.incident_of("r7")
    assert found is not None
    assert found.opened_at - found.condition_since <= FOUND_WITHIN_MS
    await runs.go_on(2)
    assert [name for name, _ in stage.cancelled] == ["r7"]
