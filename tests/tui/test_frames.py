"""What a snapshot costs a screen: rows that say the same are not made again, and painting waits for its own turn."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from palyra.control.snapshots import RunView
from palyra.tui import format as show
from palyra.tui.screens.runs import RunsScreen
from palyra.tui.subjects import Subject
from palyra.tui.widgets.rows import CellValue
from tests.tui.desk import LARGE, Desk, console
from tests.tui.fake_worlds import normal


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The runs whose cells were made, one after another."""
    ids: list[str] = []
    cells_of = RunsScreen.cells_of

    def noted(self: RunsScreen, subject: Subject) -> tuple[CellValue, ...]:
        assert isinstance(subject, RunView)
        ids.append(subject.run_id)
        return cells_of(self, subject)

    monkeypatch.setattr(RunsScreen, "cells_of", noted)
    return ids


async def pulled(desk: Desk) -> None:
    desk.app.bridge.hurry()
    await desk.settle()


async def test_a_row_is_made_again_when_what_it_says_has_changed_and_not_before(made: list[str]) -> None:
    world = normal()
    async with console(world, size=LARGE) as desk:
        await desk.press("5")
        await desk.wait(10.0)
        made.clear()
        await pulled(desk)
        assert made == []
        await desk.wait(1.0)
        assert set(made) >= {run.run_id for run in world.runs}
        assert len(made) <= desk.list.table.size.height + 3
        made.clear()
        changed = replace(world.runs[3], output_tokens=77_777, version=9)
        world.runs = (*world.runs[:3], changed, *world.runs[4:])
        await pulled(desk)
        assert made == [changed.run_id]
        assert "82.38 k" in desk.text


async def test_rows_that_were_out_of_sight_tell_the_present_time_when_they_are_seen() -> None:
    world = normal()
    async with console(world, size=(120, 26)) as desk:
        await desk.press("5")
        await desk.wait(5.0)
        await desk.press("pagedown", "pagedown")
        assert desk.list.table.scroll_y > 5
        await desk.wait(30.0)
        await desk.press("g")
        await pulled(desk)
        now = desk.clock.now_ms()
        ages = [line.split("▏")[0].split()[-1] for line in desk.lines[3:8]]
        assert ages == [show.age(now - run.accepted_at) for run in world.runs[:5]]


async def test_a_snapshot_is_painted_later_than_it_is_drawn_and_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    async with console(normal(), size=LARGE) as desk:
        await desk.press("5")
        app, painted = desk.app, asyncio.Event()
        display = app._display

        def noted(screen: Any, update: Any) -> None:
            painted.set()
            display(screen, update)

        monkeypatch.setattr(app, "_display", noted)
        desk.clock.tick(1.0)
        timer = app.screen._update_timer
        timer._reset = False
        await app.bridge.pull()
        # From its beginning: what is painted at once keeps the loop for twice as long.
        assert timer._reset
        assert not painted.is_set()
        await painted.wait()
