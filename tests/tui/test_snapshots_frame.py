"""Screens as they are painted on a very wide terminal, and where something keeps the operator from acting."""

from dataclasses import replace

import pytest
from pytest_textual_snapshot import SVGImageExtension  # type: ignore[import-untyped]
from syrupy.assertion import SnapshotAssertion

from palyra.core.errors import EngineGoneError
from tests.tui.desk import console
from tests.tui.fake_views import NOW
from tests.tui.fake_worlds import normal, storm
from tests.tui.test_snapshots import picture, visit

HUGE = (200, 60)
SCREENS = {
    "triage": ["1"],
    "incidents": ["3"],
    "usage": ["4"],
    "runs": ["5", "j"],
    "jobs": ["6"],
    "models": ["8"],
    "approvals": ["2", "j"],
    "budgets": ["7", "j"],
    "diagnostics": ["9", "j"],
    "audit": ["0", "j"],
}


async def test_two_hundred_columns(snapshot: SnapshotAssertion) -> None:
    pictures = snapshot.use_extension(SVGImageExtension)
    async with console(normal(), size=HUGE) as desk:
        for name, keys in SCREENS.items():
            await visit(desk, keys)
            assert picture(desk) == pictures(name=name)


@pytest.mark.parametrize("mark", ["read-only", "faulty-keys"])
async def test_what_cannot_be_done_is_dimmed_and_said(mark: str, snapshot: SnapshotAssertion) -> None:
    pictures = snapshot.use_extension(SVGImageExtension)
    keys = {"approval.deny": "a"} if mark == "faulty-keys" else {}
    async with console(normal(), read_only=mark == "read-only", keys=keys) as desk:
        assert picture(desk) == pictures


async def test_an_engine_that_has_gone(snapshot: SnapshotAssertion) -> None:
    pictures = snapshot.use_extension(SVGImageExtension)
    async with console(normal(), attached=True) as desk:
        desk.control.trouble = EngineGoneError("The engine is gone.")
        await desk.wait()
        assert picture(desk) == pictures


async def test_a_run_that_fell_silent_among_a_storm(snapshot: SnapshotAssertion) -> None:
    pictures = snapshot.use_extension(SVGImageExtension)
    world = storm()
    first, *rest = world.runs
    world.runs = (replace(first, beat_at=NOW - 41_000, progress_at=NOW - 60_000), *rest)
    async with console(world) as desk:
        await desk.press("5")
        assert picture(desk) == pictures


async def test_a_view_that_failed(snapshot: SnapshotAssertion) -> None:
    pictures = snapshot.use_extension(SVGImageExtension)
    async with console(normal(), size=(120, 40)) as desk:
        await desk.press("5")
        desk.app.note_failure(RuntimeError("a bug"), desk.front)
        await desk.settle()
        assert "Runs could not be shown" in desk.text
        assert picture(desk) == pictures
        desk.app.failures.clear()
