"""Recovery mode: no engine runs, Diagnostics opens in front, and every other screen says so and what to do."""

from dataclasses import replace

from palyra.control.engine_commands import StartEngine
from palyra.control.snapshots import CommandResult
from palyra.tui.app import SCREENS
from palyra.tui.screens.diagnostics import DiagnosticsScreen
from palyra.tui.widgets.lines import text_of
from tests.tui.desk import LARGE, console
from tests.tui.fake_doctor import ill
from tests.tui.fake_views import engine
from tests.tui.fake_worlds import World, empty
from tests.tui.test_status_line import drawn

TROUBLE = "palyra.toml line 14 is not valid"


def broken() -> World:
    """No engine runs, since its configuration cannot be read."""
    stopped = engine(
        phase="recovery", mode="", boot_id="", gateway_url="", socket="", trouble=TROUBLE, log_file="/state/palyra.log"
    )
    return replace(empty(), engine=stopped, clinic=replace(ill(), live=False), providers=(), models=())


async def test_the_status_line_says_why_there_is_no_gateway() -> None:
    assert await drawn(broken(), 80) == (
        "▲ recovery · no gateway: palyra.toml line 14 is not valid       A –  I –  10:42Z"
    )
    long = replace(broken(), engine=replace(broken().engine, trouble="the journal " * 20))
    shown = await drawn(long, 80)
    assert len(shown) == 80
    assert shown.endswith("A –  I –  10:42Z")


async def test_it_opens_where_the_trouble_is_mended() -> None:
    async with console(broken()) as desk:
        assert isinstance(desk.front, DiagnosticsScreen)
        await desk.jump(1)
        assert desk.lines[3].split()[1:3] == ["config.syntax", "blocking"]
        assert "doctor: 1 blocking, 2 warnings" in desk.title
        assert "E start" in desk.footer
        groups = [line.split()[1:3] for line in desk.lines if "checks passed" in line or "not looked at" in line]
        assert groups[:2] == [["env", "passed"], ["state", "passed"]], "what was looked at and is well"
        assert desk.app.memory.screen == "", "the screen that was last in front is the one to come back to"
        await desk.press("G", "enter")
        assert "○ config.values  the configuration cannot be parsed" in desk.text
        await desk.press("escape", "g")
        await desk.jump(1)
        await desk.press("p", "pagedown")
        assert "+hard_limit = 40.00" in desk.text


async def test_every_other_screen_says_so_and_no_key_is_dead() -> None:
    async with console(broken(), size=LARGE) as desk:
        asked = len(desk.control.asked)
        for number, screen in enumerate(SCREENS):
            if screen is DiagnosticsScreen:
                continue
            await desk.press(str((number + 1) % 10))
            await desk.jump(1)
            assert f"No engine runs, so {screen.LABEL} has nothing to show." in desk.text
            assert TROUBLE in desk.text
            assert "Press 9 for Diagnostics" in desk.text
            keys = {key for action in screen.ACTIONS for key in action.keys if action not in desk.front.actions}
            for key in sorted(keys & {"n", "e", "w", "V", "D", "slash", "enter"}):
                await desk.press(key)
                if key != "enter":
                    assert "No engine runs" in desk.notice, (screen.NAME, key)
                assert desk.dialog == ""
        assert len(desk.control.asked) == asked, "nothing is asked of an engine that is not there"
        await desk.press("question_mark")
        assert "Start the engine" in desk.box


async def test_a_repair_starts_the_engine_and_the_screens_come_back() -> None:
    world = broken()
    async with console(world, size=LARGE) as desk:
        await desk.press("1")
        assert "No engine runs" in desk.text
        await desk.press("9")
        await desk.jump(1)
        await desk.press("p", "f", "pagedown", "right")
        desk.control.change(engine=engine())
        await desk.press("enter")
        await desk.jump(1)
        assert "ready" in desk.status
        assert "put right" in desk.lines[3]
        assert any("gateway" in line for line in desk.lines), "the parts are asked again"
        await desk.press("1")
        assert "No engine runs" not in desk.text
        assert "Point a client here" in desk.text


async def test_an_engine_on_its_way_is_no_trouble() -> None:
    starting = replace(broken(), engine=replace(broken().engine, phase="starting", trouble="it is being started"))
    assert (await drawn(starting, 80)).startswith("○ starting · no gateway yet ")
    draining = replace(broken(), engine=replace(broken().engine, phase="draining", trouble="stopped for repairs"))
    assert (await drawn(draining, 80)).startswith("▲ draining · stopped for repairs ")
    async with console(starting) as desk:
        assert desk.front.LABEL == "Triage", "nothing is in need of mending"
        assert "The engine is being started …" in desk.text
        assert "No engine runs" not in desk.text
        desk.control.change(engine=draining.engine)
        await desk.wait(1)
        assert "Stopped for repairs." in desk.text
        desk.control.change(engine=engine())
        await desk.wait(1)
        assert "Point a client here" in desk.text


async def test_an_engine_that_stops_later_brings_diagnostics_to_the_front_once() -> None:
    async with console(empty()) as desk:
        assert not isinstance(desk.front, DiagnosticsScreen)
        desk.control.change(engine=broken().engine, clinic=broken().clinic)
        await desk.wait(1)
        assert isinstance(desk.front, DiagnosticsScreen)
        await desk.press("1")
        await desk.wait(2)
        assert not isinstance(desk.front, DiagnosticsScreen), "who leaves it is not brought back"
        desk.control.results = [CommandResult("conflict", "The engine does not start: it is broken.")]
        await desk.press("E")
        assert desk.control.sent == [StartEngine()]
        assert "The engine does not start" in desk.notice


async def test_on_a_terminal_that_is_too_small_it_is_said_in_a_line() -> None:
    async with console(broken(), size=(60, 12)) as desk:
        shown = [text_of(one) for one in desk.front._lines("small").lines]
        assert shown[0].startswith("▲ recovery, no gateway: palyra.toml line 14")
