"""The list changes under the cursor ten thousand times while keys are pressed: nothing wrong is ever acted on."""

import asyncio
from dataclasses import replace
from random import Random
from typing import Any

from palyra.control.commands import DecideApproval
from palyra.control.incidents_commands import AckIncidents
from palyra.control.incidents_queries import IncidentView
from palyra.control.snapshots import ApprovalView
from palyra.tui.commands.action import GUARD_SECONDS
from palyra.tui.subjects import key_of
from tests.tui.desk import Desk, console
from tests.tui.fake_views import CENT, NOW, approval
from tests.tui.fake_worlds import World, normal

CHANGES = 10_000
LEAST_LISTED, MOST_LISTED = 3, 8
TICKS = (0.0, 0.0, 0.0, 0.05, 0.31)
TURNS = 6
"""Of the loop, in which a snapshot is pulled, or a command sent and answered."""

Seen = tuple[str, str]
"""A thing's key, and all that its row says but running clocks."""


class Night:
    """A world in which everything changes by chance."""

    def __init__(self, desk: Desk, chance: Random) -> None:
        self.desk = desk
        self.chance = chance
        self.number = 0

    def change(self) -> None:
        chance, world = self.chance, self.desk.control.world
        asked = [one for one in world.approvals if one.status == "pending"]
        incidents = list(world.trouble.incidents)
        match chance.randrange(8):
            case 0 | 1 if len(asked) < MOST_LISTED:
                asked.insert(chance.randrange(len(asked) + 1), self._new())
            case 2 if len(asked) > LEAST_LISTED:
                asked.pop(chance.randrange(len(asked)))
            case 3 if asked:
                self._alter(asked, lambda one: replace(one, excess=one.excess + CENT, version=one.version + 1))
            case 4 if asked:
                self._alter(asked, lambda one: replace(one, waiting=chance.randrange(3)))
            case 5:
                self.number += 1
                fresh: dict[str, Any] = {
                    "acknowledged_at": None,
                    "acknowledged_by": "",
                    "summary": f"it is {self.number}",
                }
                self._alter(incidents, lambda one: replace(one, **fresh, version=one.version + 1))
            case 6:
                self._alter(incidents, lambda one: replace(one, occurrences=one.occurrences + 1))
            case _:
                chance.shuffle(incidents)
        self.desk.control.change(approvals=tuple(asked), trouble=replace(world.trouble, incidents=tuple(incidents)))

    def _new(self) -> ApprovalView:
        self.number += 1
        at = NOW - self.chance.randrange(900_000)
        who = f"agent-{self.number % 7}"
        return approval(
            self.number, who, "openai/gpt-5.4", "day", CENT, waiting=self.chance.randrange(3), requested_at=at
        )

    def _alter(self, things: list[Any], how: Any) -> None:
        place = self.chance.randrange(len(things))
        things[place] = how(things[place])


class Eye:
    """Sees what the row under the cursor says, and for how long it has said so."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.seen: Seen | None = None
        self.since = 0.0

    def look(self) -> tuple[Seen | None, float]:
        row, now = self.desk.list.table.selected_row, self.desk.clock.monotonic()
        seen: Seen | None = None
        if row is not None:
            *still, _age = map(str, row.cells)
            seen = row.key, " ".join(still)
        if seen != self.seen:
            self.seen, self.since = seen, now
        return seen, now - self.since


async def test_nothing_wrong_is_ever_acted_on() -> None:
    chance = Random(20261122)
    world = normal()
    few = replace(world, alerts=(), trouble=replace(world.trouble, incidents=world.trouble.incidents[:4]))
    acted, stale = set[str](), 0
    async with console(few) as desk:
        night = Night(desk, chance)
        eye = Eye(desk)
        for _ in range(CHANGES):
            night.change()
            # What is shown is pulled once a second, so that the engine is ahead of it most of the time.
            desk.clock.tick(chance.choice(TICKS))
            await turns()
            if chance.random() < 0.03:
                desk.list.move(chance.choice(("down", "up")))
            eye.look()
            if chance.random() < 0.9:
                continue
            before = things(desk.control.world)
            seen, still = eye.look()
            await press(desk)
            eye.look()
            for command in desk.control.sent:
                assert seen is not None
                assert still >= GUARD_SECONDS - 1e-9
                key, version = target(command)
                assert key == seen[0]
                changed = {one for one, what in things(desk.control.world).items() if what != before[one]}
                if changed:
                    assert changed == {key}
                    assert before[key].version == version
                    acted.add(key.partition(":")[0])
                stale += not changed
    assert acted == {"approval", "incident"}
    assert stale > 20


async def press(desk: Desk) -> None:
    """The key `a`, whatever is selected."""
    desk.control.sent.clear()
    approves = isinstance(desk.list.subject, ApprovalView)
    desk.front.action_act("approval.allow_once" if approves else "incident.acknowledge")
    await turns()


async def turns() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


def things(world: World) -> dict[str, ApprovalView | IncidentView]:
    listed: list[ApprovalView | IncidentView] = [*world.approvals, *world.trouble.incidents]
    return {key_of(one): one for one in listed}


def target(command: Any) -> tuple[str, int | None]:
    """Whose key and version a command carries."""
    if isinstance(command, DecideApproval):
        return f"approval:{command.approval_id}", command.version
    assert isinstance(command, AckIncidents)
    (one,) = command.incidents
    return f"incident:{one.incident_id}", one.version
