"""`E` in recovery mode: the engine is tried again; one that runs in another process is attached to by whoever asks."""

from dataclasses import replace

from palyra.control.engine_commands import RUNS_ELSEWHERE, StartEngine
from palyra.control.snapshots import CommandResult
from tests.tui.desk import console
from tests.tui.fake_views import engine
from tests.tui.fake_worlds import empty


async def test_the_engine_is_tried_again_and_one_elsewhere_ends_this_console() -> None:
    world = replace(empty(), engine=engine(phase="recovery", gateway_url="", trouble="palyra.toml line 2 is not valid"))
    async with console(world) as desk:
        assert "E start" in desk.text
        desk.control.results = [
            CommandResult("conflict", "The engine does not start: the disk is full.", code="state"),
            CommandResult("conflict", "The engine does not start: An engine already runs.", code=RUNS_ELSEWHERE),
        ]
        await desk.press("E")
        assert "the disk is full" in desk.notice
        assert not desk.app.taking_over
        await desk.press("E")
        assert desk.app.taking_over
        assert desk.control.sent == [StartEngine(), StartEngine()]
    async with console(empty()) as desk:
        assert "E start" not in desk.text
        await desk.press("E")
        assert desk.control.sent == []
