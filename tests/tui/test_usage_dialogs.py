"""What-if and export on the Usage screen: told what would happen, followed, stopped, and what came of it."""

import asyncio
import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from palyra.control.usage_queries import UsageRowsQuery
from palyra.tui.dialogs.export import ExportDialog
from palyra.tui.dialogs.what_if import tried
from palyra.tui.widgets.lines import Lines, line
from tests.tui.desk import PATIENCE, Desk, console
from tests.tui.fake_usage import ATTEMPTS
from tests.tui.fake_views import DAY, HOUR, NOW, budget
from tests.tui.fake_worlds import World, empty, normal

END = NOW - NOW % HOUR + HOUR


async def finished(desk: Desk) -> None:
    """Waits for the export's file, which a thread closes."""
    dialog = desk.app.screen
    assert isinstance(dialog, ExportDialog)
    await until(lambda: not dialog.under_way)
    await desk.settle()


async def until(met: Callable[[], bool]) -> None:
    """Gives the loop turns until a thread has done its part."""
    for _ in range(PATIENCE):
        if met():
            return
        await asyncio.to_thread(os.sched_yield)
    raise AssertionError("it never came to be")


@pytest.fixture
def world(tmp_path: Path) -> World:
    known = normal()
    return replace(known, engine=replace(known.engine, state_dir=str(tmp_path)))


async def test_what_if_changes_one_limit_and_tells_the_difference(world: World) -> None:
    async with console(world) as desk:
        await desk.press("4", "w")
        assert desk.dialog == "WhatIfDialog"
        assert "What if · last 24 h" in desk.box
        assert "Nothing is changed." in desk.box
        policy = world.budgets[0].policy_id
        assert policy in desk.box
        desk.focus("limit")
        for _ in range(10):
            await desk.press("backspace")
        await desk.type("20")
        await desk.press("enter")
        (query,) = desk.control.replays.asked
        assert (query.since, query.until, query.only) == (END - DAY, NOW + 1, False)
        assert [(fields["policy_id"], fields["hard_limit"]) for fields in query.policies] == [(policy, "20")]
        await desk.wait(0.25)
        assert "esc stops it" in desk.box
        await desk.wait(0.25)
        assert "requests/s" in desk.box
        await desk.wait(1)
        for text in (
            "212 requests of 3,102 would have gone otherwise",
            "denied 14 226",
            "approvals 2 2",
            "saved $8.25",
        ):
            assert text in desk.box
        assert "first bites on 2026-11-15" in desk.box
        assert desk.control.sent == []
        await desk.press("escape")
        assert desk.dialog == ""


async def test_a_text_longer_than_its_dialog_is_paged(world: World) -> None:
    async with console(world) as desk:
        await desk.press("4", "w")
        text = desk.app.screen.query_one("#consequence", Lines)
        text.show([line(f"line {number}") for number in range(20)])
        await desk.wait(0)
        assert "line 19" not in desk.box
        await desk.press("pagedown", "pagedown")
        assert "line 19" in desk.box
        await desk.press("pageup", "pageup")
        assert "line 0" in desk.box


async def test_escape_stops_a_replay_first_and_leaves_then(world: World) -> None:
    async with console(world) as desk:
        desk.control.replays.stuck = True
        await desk.press("4", "w", "tab", "enter")
        await desk.wait(1)
        assert "esc stops it" in desk.box
        await desk.press("escape")
        assert "Stopped" in desk.box
        assert [one.state for one in desk.control.replays.states.values()] == ["cancelled"]
        await desk.press("escape")
        assert desk.dialog == ""


async def test_a_replay_that_is_refused_says_why(world: World) -> None:
    async with console(world) as desk:
        desk.control.replays.trouble = "Too many replays run already."
        await desk.press("4", "w", "tab", "enter")
        assert "Too many replays run already." in desk.box


async def test_a_limit_that_is_none_is_not_tried(world: World) -> None:
    async with console(world) as desk:
        await desk.press("4", "w", "tab")
        await desk.type("x")
        assert "limit:" in desk.box
        await desk.press("enter")
        assert desk.control.replays.asked == []


async def test_choosing_another_budget_shows_its_limit(world: World) -> None:
    async with console(world) as desk:
        await desk.press("4", "w")
        first = desk.box
        await desk.press("right")
        assert world.budgets[1].policy_id in desk.box
        assert desk.box != first


async def test_without_budgets_there_is_nothing_to_try() -> None:
    async with console(replace(normal(), budgets=())) as desk:
        await desk.press("4", "w")
        assert desk.dialog == ""


async def test_viewers_may_try_and_export_too(world: World) -> None:
    viewer = replace(world, operator=replace(world.operator, role="viewer"))
    async with console(viewer) as desk:
        await desk.press("4", "w")
        assert desk.dialog == "WhatIfDialog"
        await desk.press("escape", "e")
        assert desk.dialog == "ExportDialog"


def test_a_soft_limit_above_the_tried_one_gives_way() -> None:
    fields = {"policy_id": "a", "hard_limit": "45.00"}
    assert tried({**fields, "soft_limit": "36.00"}, "20") == {"policy_id": "a", "hard_limit": "20"}
    assert tried({**fields, "soft_limit": "36.00"}, "40")["soft_limit"] == "36.00"
    assert tried({**fields, "soft_limit": "80%"}, "20")["soft_limit"] == "80%"


@pytest.mark.parametrize("form", ["csv", "json"])
async def test_an_export_is_written_whole_for_its_owner_and_its_path_copied(world: World, form: str) -> None:
    async with console(world) as desk:
        await desk.press("4", "e")
        assert "Export usage of the last 24 h" in desk.box
        if form == "json":
            await desk.press("right")
        desk.focus("act")
        await desk.press("enter")
        await finished(desk)
        assert f"{ATTEMPTS} attempts in" in desk.box
        (path,) = (Path(world.engine.state_dir) / "exports").iterdir()
        assert path.name == f"usage-20261122-104200.{form}"
        assert "y copies the path" in desk.box
        await desk.press("y")
        assert str(path) in desk.app.clipboard
        query = next(query for query in desk.control.asked if isinstance(query, UsageRowsQuery))
        assert (query.since, query.until) == (END - DAY, NOW + 1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    rows = json.loads(text) if form == "json" else text.splitlines()[1:]
    assert len(rows) == ATTEMPTS


async def test_an_export_that_is_stopped_leaves_nothing_behind(world: World) -> None:
    async with console(world) as desk:
        await desk.press("4", "e")
        desk.control.gate = asyncio.Event()
        desk.focus("act")
        await desk.press("enter")
        dialog = desk.app.screen
        assert isinstance(dialog, ExportDialog)
        directory = Path(world.engine.state_dir) / "exports"
        await until(lambda: directory.is_dir() and any(directory.iterdir()))
        await desk.press("escape")
        await finished(desk)
        assert "Stopped" in desk.box
        assert list(directory.iterdir()) == []


async def test_an_export_that_cannot_be_written_says_why(world: World) -> None:
    (Path(world.engine.state_dir) / "exports").write_text("in the way")
    async with console(world) as desk:
        await desk.press("4", "e")
        desk.focus("act")
        await desk.press("enter")
        await finished(desk)
        assert "exports is no directory" in desk.box


async def test_there_is_nothing_to_export_before_anything_was_used() -> None:
    async with console(empty()) as desk:
        await desk.press("4", "e")
        assert desk.dialog == ""


def test_budgets_of_the_made_up_morning_are_enough_to_choose_from() -> None:
    assert len({view.policy_id for view in normal().budgets}) > 1
    assert budget("x", 0, 0, 1).policy_id == "x"
