"""The console on a terminal, over an engine whose every text is hostile, walked by itself: each screen, what it opens,
each of its keys. What it says it shows is compared with what a terminal made of the bytes.

Runs in a process of its own (`walk`, as what a nursery's child does first); the environment says how.
"""

import asyncio
import json
import os
import sys
import traceback
import unicodedata
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyte
from textual.pilot import Pilot

from palyra.control.snapshots import Snapshot, Topic
from palyra.core.clock import ManualClock
from palyra.tui import terminal_writer
from palyra.tui.app import SCREENS, PalyraApp
from palyra.tui.commands.general import GoTo
from palyra.tui.driver import PalyraDriver
from palyra.tui.screens.base import PalyraScreen
from tests.support.hostile import ATTACKS, LONG, Venom, mapped, obeyed
from tests.tui.desk import Desk
from tests.tui.fake_control import FakeControl
from tests.tui.fake_views import NOW
from tests.tui.fake_worlds import normal

ATTACK, REPORT = "PALYRA_TEST_ATTACK", "PALYRA_TEST_REPORT"
"""The environment's: one attack by name, or `all` in turn; and the file that tells how it went."""

EVERYTHING = " ".join(ATTACKS.values())

ENGINES_OWN = frozenset(
    [
        "state",
        "status",
        "phase",
        "mode",
        "kind",
        "role",
        "severity",
        "metric_kind",
        "interval_kind",
        "scope_kind",
        "action",
        "decision",
        "source",
        "health",
        "timezone",
        "zone",
        "attestation",
        "domain",
        "wire",
        "cursor",
        "next_cursor",
        "bucket",
        "layer",
        "level",
        "verb",
        "subject_kind",
        "price_state",
        "local",
        "offset",
        "mark",
        "risk",
        "blast",
        "feature",
        "section",
        "window",
        "unit",
        "nano",
        "usd",
        "subject",
        "code",
        "op",
        "state_dir",
    ]
)
"""Fields that hold one of a few words, which the engine alone chooses."""

MISREAD = dict.fromkeys(map(ord, "\u0489\u20dd\u1161\u11a8"))
"""Marks that do not combine: what stands for the terminal here leaves out the rest of the line behind one."""

ENDING = frozenset(["console.quit"])
"""What ends the walk."""


class PoisonedControl(FakeControl):
    """Takes back what it did to an id when it is asked about it."""

    venom: Venom

    async def snapshot(self, topics: Collection[Topic]) -> Snapshot:
        told: Snapshot = self._spoiled(await super().snapshot(topics))
        return told

    async def answer(self, query: Any) -> Any:
        return self._spoiled(await super().answer(self._cured(query)))

    async def send(self, command: Any) -> Any:
        return self._spoiled(await super().send(self._cured(command)))

    def _spoiled(self, told: Any) -> Any:
        return mapped(told, lambda name, text: text if name in ENGINES_OWN else self.venom.spoiled(text))

    def _cured(self, asked: Any) -> Any:
        return mapped(asked, lambda _, text: self.venom.cured(text))


class Walk:
    """One walk, and what was wrong on it."""

    def __init__(self, app: PalyraApp, pilot: Pilot[None], control: PoisonedControl, clock: ManualClock) -> None:
        self.app = app
        self.desk = Desk(app, pilot, control, clock)
        width, height = app.size
        self.screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self.screen)
        self.sent = bytearray()
        self.steps = 0
        self.wrong: list[str] = []
        self.dialogs: set[str] = set()
        self.done = set(ENDING)

    def hear(self) -> None:
        """Everything that goes to the terminal is also seen here."""
        driver = self.app._driver
        assert isinstance(driver, PalyraDriver)
        assert driver._writer is not None
        put = driver._writer._put

        def heard(piece: Any) -> None:
            self.sent += piece.data
            put(piece)

        driver._writer._put = heard  # type: ignore[method-assign]

    def check(self, where: str) -> None:
        self.steps += 1
        self.dialogs.add(self.desk.dialog)
        self._stream.feed(bytes(self.sent))
        self.sent.clear()
        for number, strip in enumerate(self.app.screen._compositor.render_strips()):
            line = strip.text
            if (found := obeyed(line)) is not None:
                self.wrong.append(f"{where}, line {number}: {found}")
            painted = self.screen.display[number]
            if unicodedata.normalize("NFC", painted).rstrip() != unicodedata.normalize("NFC", line).rstrip():
                self.wrong.append(f"{where}, line {number}: {painted!r} for {line!r}")

    async def press(self, *keys: str) -> None:
        for key in keys:
            await self.desk.press(key)
            self.check(f"{type(self.app.front).__name__} {self.desk.dialog} after {key}")

    async def back(self) -> None:
        for _ in range(4):
            if self.desk.dialog:
                await self.press("escape")

    async def whole(self) -> None:
        """Every screen with what it opens, and every action, each where it first occurs."""
        for number, kind in enumerate(SCREENS, 1):
            place = str(number % 10)
            await self.press(place)
            assert type(self.app.front) is kind, kind
            await self.press("j", "y", "enter", "y", "pagedown", "escape", "G", "enter", "escape", "g", "slash")
            await self.desk.type("x")
            self.check(f"{kind.__name__} filter")
            await self.press("escape", "question_mark", "escape", "colon")
            await self.desk.type("e")
            self.check(f"{kind.__name__} palette")
            await self.back()
            await self.act(kind, place)
            assert self.app.front is not None
            self.app.front.fail(RuntimeError(EVERYTHING))
            await self.desk.settle()
            self.check(f"{kind.__name__} failed")
            self.app.front.recover()

    async def act(self, kind: type[PalyraScreen], place: str) -> None:
        for action in kind.ACTIONS:
            if action.id in self.done or isinstance(action, GoTo):
                continue
            self.done.add(action.id)
            await self.desk.ready()
            await self.press(action.keys[0])
            if self.desk.dialog:
                await self.press("tab")
            await self.press("escape")
            await self.back()
            if type(self.app.front) is not kind:
                await self.press(place)


async def _walked() -> None:
    terminal_writer.BEHIND_BYTES = 1 << 40
    name = os.environ[ATTACK]
    clock = ManualClock(NOW)
    world = normal()
    state_dir = os.environ[REPORT].removesuffix(".json")
    control = PoisonedControl(replace(world, engine=replace(world.engine, state_dir=state_dir)), clock)
    attacks = {"all": list(ATTACKS.values()), "long": [LONG]}.get(name) or [ATTACKS[name]]
    control.venom = Venom([attack.translate(MISREAD) for attack in attacks])
    app = PalyraApp(control, clock=clock, driver_class=PalyraDriver, color_system="truecolor")
    report: dict[str, Any] = {}

    async def pilot(seat: Pilot[Any]) -> None:
        walk = Walk(app, seat, control, clock)
        try:
            walk.hear()
            await walk.desk.settle()
            app._driver.repaint()  # type: ignore[union-attr]
            await walk.desk.settle()
            await walk.whole()
        except BaseException as error:
            walk.wrong.append(f"it ended: {type(error).__name__}: {error}")
            raise
        finally:
            report.update(steps=walk.steps, wrong=walk.wrong[:20], dialogs=sorted(walk.dialogs), done=sorted(walk.done))
            app.exit()

    try:
        await app.run_async(auto_pilot=pilot)
    finally:
        report["failures"] = ["".join(traceback.format_exception(one)) for one in app.failures]
        Path(os.environ[REPORT]).write_text(json.dumps(report))


def walk() -> None:
    """Never returns."""
    try:
        asyncio.run(_walked())
    finally:
        sys.stderr.flush()
        os._exit(0)
