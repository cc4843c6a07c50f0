"""Approvals asked for in words, budgets with forecasts and their dialogs, as pictures."""

from dataclasses import replace

import pytest
from pytest_textual_snapshot import SVGImageExtension  # type: ignore[import-untyped]
from syrupy.assertion import SnapshotAssertion

from palyra.control.snapshots import BudgetView, ForecastView
from tests.tui.desk import Desk, console
from tests.tui.fake_budgets import asked_for_room
from tests.tui.fake_views import HOSTILE, HOUR, NOW
from tests.tui.fake_worlds import World, hostile, normal
from tests.tui.test_asking_for_room import asking
from tests.tui.test_budgets_keys import fill
from tests.tui.test_snapshots import SIZES, picture


def ahead(budget: BudgetView, projected: int, reaches_at: int | None) -> BudgetView:
    end = budget.window_end or 0
    forecast = ForecastView(
        budget.policy_id, budget.scope_value, budget.metric_kind, end, projected, budget.hard_limit, reaches_at
    )
    return replace(budget, forecast=forecast)


def forecasts() -> World:
    """The first budgets know where they are going."""
    world = asking()
    team, research, month, *others = world.budgets
    return replace(
        world,
        budgets=(
            ahead(team, 61 * 10**9, NOW + 5 * HOUR),
            ahead(research, 26 * 10**9, NOW + 2 * HOUR),
            ahead(month, 331 * 10**9, None),
            *others,
        ),
    )


def evil() -> World:
    """Reasons and names that a terminal would obey."""
    world = hostile()
    first, *others = world.approvals
    return replace(world, approvals=(asked_for_room(first, HOSTILE), *others))


WORLDS = {"asking": forecasts, "hostile": evil}
SCREENS = {
    "approvals": ["2"],
    "asked": ["2", "j", "j", "enter"],
    "budgets": ["7"],
    "budget_opened": ["7", "j", "enter"],
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("world", WORLDS)
async def test_screens(world: str, size: str, snapshot: SnapshotAssertion) -> None:
    pictures = snapshot.use_extension(SVGImageExtension)
    async with console(WORLDS[world](), size=SIZES[size]) as desk:
        for name, keys in SCREENS.items():
            await desk.press(*keys)
            assert picture(desk) == pictures(name=name)
            if "enter" in keys:
                await desk.press("escape")


async def begin(desk: Desk, key: str) -> None:
    await desk.press("7", "g", "j")
    await desk.jump(1)
    await desk.press(key)


@pytest.mark.parametrize("size", SIZES)
async def test_dialogs(size: str, snapshot: SnapshotAssertion) -> None:
    pictures = snapshot.use_extension(SVGImageExtension)
    async with console(normal(), size=SIZES[size]) as desk:
        await begin(desk, "e")
        await fill(desk, hard_limit="x", timezone="Prague", on_unknown_price="flat")
        assert picture(desk) == pictures(name="faults")
        await fill(desk, hard_limit="15.00", timezone="Europe/Prague", on_unknown_price="block")
        desk.focus("act")
        await desk.press("enter")
        await desk.wait(0.25)
        assert picture(desk) == pictures(name="trial_running")
        for _ in range(4):
            await desk.wait(0.25)
        assert picture(desk) == pictures(name="trial_done")
        await desk.press("escape")
        await begin(desk, "space")
        assert picture(desk) == pictures(name="switch")
        await desk.press("escape")
        await begin(desk, "o")
        await fill(desk, principal="maria", amount="5.00", reason="the thesis is due on Friday")
        assert picture(desk) == pictures(name="request")
        await desk.press("escape", "2", "j", "j", "j")
        await desk.jump(1)
        await desk.press("u")
        assert picture(desk) == pictures(name="revoke")
