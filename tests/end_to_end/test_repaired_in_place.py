"""The console on a house that does not start: repaired at the keyboard, the engine starts beneath it; and back."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import cast

from palyra.config.load import Sources
from palyra.config.partial import for_a_screen
from palyra.core.clock import ManualClock, SystemClock
from palyra.doctor.reading import Where
from palyra.hosting import HostedControl
from palyra.installed import installed
from palyra.tui.screens.diagnostics import DiagnosticsScreen
from tests.tui.desk import LARGE, Desk, QuickApp
from tests.tui.fake_control import FakeControl

SOUND = b'version = 1\n[gateway]\nbind = "127.0.0.1:0"\n[scheduler]\nenabled = false\n'
BROKEN = SOUND + b"[runs\n"
SINCE = b"version = 1\n# mine\n"


async def until(desk: Desk, met: Callable[[], bool]) -> None:
    """Waits for what the console has under way, until it has come to something."""
    while not met():
        await asyncio.wait(set(desk.app._tasks), return_when=asyncio.FIRST_COMPLETED)
        await desk.settle()


async def opened(desk: Desk) -> DiagnosticsScreen:
    """Diagnostics, with what the doctor found and plans."""
    screen = desk.front
    assert isinstance(screen, DiagnosticsScreen)
    await until(desk, lambda: screen.doctor.plan is not None and screen.doctor.looking_since is None)
    await again(desk)
    return screen


async def again(desk: Desk) -> None:
    """Past what is under way, with a snapshot of what there is now, and with keys that are awake."""
    await desk.settle()
    await desk.jump(1)
    await desk.settle()


async def carried_out(desk: Desk, screen: DiagnosticsScreen) -> None:
    """Reads what is in view, agrees, and waits for what comes of it."""
    await desk.press("pagedown", "pagedown", "f")
    assert desk.dialog == "RepairDialog", desk.notice
    await desk.press("pagedown", "right", "enter")
    await until(desk, lambda: screen.doctor.came is not None and screen.doctor.work is None)
    await again(desk)


async def test_a_broken_configuration_is_mended_and_broken_again_from_the_keyboard(tmp_path: Path) -> None:
    file, state = tmp_path / "palyra.toml", tmp_path / "state"
    file.write_bytes(BROKEN)
    file.with_name("palyra.toml.bak.1").write_bytes(SOUND)
    for path in tmp_path.iterdir():
        path.chmod(0o600)
    state.mkdir(mode=0o700)
    environ = {"HOME": str(tmp_path)}
    sources = Sources(file, environ, {})
    hosted = HostedControl(
        lambda: installed(sources, state), Where(file, state, environ), state, for_a_screen(sources), SystemClock()
    )
    await hosted.start()
    await hosted.open_doors()
    clock = ManualClock()
    app = QuickApp(hosted, clock=clock)
    try:
        async with app.run_test(size=LARGE) as pilot:
            desk = Desk(app, pilot, cast(FakeControl, hosted), clock)
            await again(desk)
            screen = await opened(desk)
            assert "▲ recovery · no gateway: palyra.toml line 6 is not valid" in desk.status
            assert desk.lines[3].split()[1:3] == ["config.syntax", "blocking"]

            await desk.press("p")
            await until(desk, lambda: bool(screen.doctor.chosen))
            await carried_out(desk, screen)
            assert file.read_bytes() == SOUND
            assert "● ready" in desk.status, "the engine runs beneath the same screen"
            assert hosted.house is not None
            assert "put right" in desk.lines[3]
            (kept,) = tmp_path.glob("palyra.toml.quarantine-*")
            assert kept.read_bytes() == BROKEN

            await desk.press("u")
            await until(desk, lambda: screen.doctor.undoing is not None)
            await again(desk)
            await carried_out(desk, screen)
            assert file.read_bytes() == BROKEN, "every byte is back"
            assert list(tmp_path.glob("palyra.toml.quarantine-*")) == []
            assert screen.doctor.came is not None
            assert [one.outcome for one in screen.doctor.came.done.steps] == ["undone"]
            assert desk.lines[3].split()[1:3] == ["config.syntax", "blocking"]

            await desk.press("escape", "p")
            await until(desk, lambda: bool(screen.doctor.chosen))
            file.write_bytes(SINCE)
            await desk.press("pagedown", "pagedown", "f", "pagedown", "right", "enter")
            await until(desk, lambda: "plan" in desk.notice.lower() and screen.doctor.work is None)
            await again(desk)
            assert file.read_bytes() == SINCE, "changed meanwhile: nothing is written"
        assert not app.failures, app.failures
    finally:
        await hosted.close()
