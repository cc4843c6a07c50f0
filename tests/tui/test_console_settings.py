"""The console as the configuration wants it: of its own file for looks, of the engine's for how people are called."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from palyra.config.model import LoadedConfig
from palyra.config.operations import Switch
from palyra.console import Console
from palyra.control.notice_queries import NoticeView
from palyra.control.snapshots import Snapshot, Topic
from palyra.core.clock import Clock
from palyra.tui.frame.herald import QUIET_SECONDS, Herald
from tests.config.loading import sound
from tests.tui.desk import console
from tests.tui.fake_control import FakeControl
from tests.tui.fake_views import NOW
from tests.tui.fake_worlds import normal


class OnTerminal(Console):
    """The console of a process, with what it writes to its terminal beside the screen."""

    def __init__(self, control: FakeControl, *, clock: Clock, screen: LoadedConfig, state_dir: Path) -> None:
        super().__init__(control, screen, state_dir, clock, read_only=False, ascii_only=False)
        self.rung: list[str] = []
        self._herald = Herald(self.rung.append)

    async def _mount_screens(self) -> None:
        pass


async def test_an_attached_console_calls_as_the_engine_it_shows_is_configured_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    told: dict[str, Any] = {"bell": Switch.OFF, "osc9": Switch.OFF}
    notices: list[NoticeView] = []
    bare = FakeControl.snapshot

    async def snapshot(control: FakeControl, topics: Collection[Topic]) -> Snapshot:
        found = await bare(control, topics)
        return replace(found, engine=replace(found.engine, **told), notices=tuple(notices))

    monkeypatch.setattr(FakeControl, "snapshot", snapshot)
    # Its own file, which the engine does not read, wants to be called.
    screen = sound("[notifications]\nbell = 'on'\nosc9 = 'on'\n")
    options: dict[str, Any] = {"screen": screen, "state_dir": tmp_path}
    async with console(normal(), attached=True, app_class=OnTerminal, **options) as desk:
        app = desk.app
        assert isinstance(app, OnTerminal)

        async def rings() -> str:
            """What the terminal gets at the next grave notice."""
            app.rung.clear()
            number = len(notices) + 1
            notices.append(NoticeView(number, NOW, "opened", "high", f"incident:{number}", "silent", urgent=True))
            await desk.wait(QUIET_SECONDS + 1)
            return "".join(text for text in app.rung if not text.startswith("\x1b]2;"))

        assert await rings() == ""
        told["bell"] = Switch.ON
        assert await rings() == "\x07"
        told["osc9"] = Switch.ON
        assert (await rings()).startswith("\x07\x1b]9;")
        # In recovery mode no engine says anything: it stays as it was.
        told.update(bell=None, osc9=None)
        assert (await rings()).startswith("\x07\x1b]9;")
