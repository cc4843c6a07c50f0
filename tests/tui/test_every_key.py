"""Every key of every screen does something that can be seen: taken from the actions as they are declared.

What each of them does exactly is for the tests of its screen; here none is forgotten.
"""

import re
from pathlib import Path
from typing import Any

import pytest

from palyra.tui.app import SCREENS
from palyra.tui.commands.action import Action
from palyra.tui.commands.general import EVERYWHERE
from palyra.tui.commands.lists import LISTS, OPENING
from palyra.tui.screens.base import PalyraScreen
from palyra.tui.screens.listing import ListScreen
from tests.tui.desk import Desk, console
from tests.tui.fake_worlds import normal

SAME: tuple[Action[Any], ...] = (*EVERYWHERE, *LISTS, *OPENING)
"""On all screens."""
MOST_ROWS = 30
MOST_STEPS = 3
"""Back to a list from wherever a key leads."""
ELSEWHERE = {
    "letter.retry": "test_heartbeats_keys.py",
    "letter.discard": "test_heartbeats_keys.py",
    "incident.acknowledge_all": "test_incidents_keys.py",
    "audit.explain": "test_audit_keys.py",
    "usage.more": "test_usage_keys.py",
    "usage.hour": "test_usage_keys.py",
    "doctor.tick": "test_doctor_keys.py",
    "diagnostics.export": "test_diagnostics_keys.py",
}
"""Actions that the first view of an ordinary morning does not offer, or that a thread does, and where their keys are
pressed."""


@pytest.mark.parametrize("screen", SCREENS, ids=lambda one: one.NAME)
async def test_every_key_of_a_screen_does_something(screen: type[PalyraScreen]) -> None:
    passed_over = {action.id for action in SAME} | set(ELSEWHERE)
    actions = [action for action in screen.ACTIONS if action.id not in passed_over]
    never: list[str] = []
    async with console(normal()) as desk:
        for action in actions:
            await back_to(desk, screen)
            if not await come_to(desk, action):
                never.append(action.id)
                continue
            before = seen(desk)
            await desk.press(action.keys[0])
            assert seen(desk) != before, action.id
            assert "press again" not in desk.notice, action.id
    assert never == []


@pytest.mark.parametrize("identifier", ELSEWHERE)
def test_the_others_are_pressed_elsewhere(identifier: str) -> None:
    (key,) = {action.keys[0] for screen in SCREENS for action in screen.ACTIONS if action.id == identifier}
    text = Path(__file__).with_name(ELSEWHERE[identifier]).read_text()
    assert re.search(rf'press\([^)]*"{key}"', text), key


async def back_to(desk: Desk, screen: type[PalyraScreen]) -> None:
    """The list of a screen, nothing open, and past the guard time."""
    for _ in range(MOST_STEPS):
        front = desk.front
        if desk.dialog:
            await desk.press("escape")
        elif front.NAME != screen.NAME:
            await desk.app.show(screen.NAME)
            await desk.settle()
        elif isinstance(front, ListScreen) and front.can_go_back:
            front.go_back()
    await desk.press("g")
    await desk.ready()


async def come_to(desk: Desk, action: Action[Any]) -> bool:
    """Selects the first row for which the action can be done, in the list or opened; whether there is one."""
    front = desk.front
    for opened in (False, True):
        await desk.press("g")
        for _ in range(MOST_ROWS):
            if opened and isinstance(desk.front, ListScreen):
                desk.list.open_detail()
                if desk.front is not front:
                    return False
            if action.check(desk.front).ready:
                await desk.ready()
                return True
            if opened and isinstance(desk.front, ListScreen):
                desk.list.close_detail()
            place = selected(desk)
            await desk.press("j")
            if selected(desk) == place:
                break
    return False


def selected(desk: Desk) -> str | None:
    return desk.list.table.selected_key if isinstance(desk.front, ListScreen) else None


def seen(desk: Desk) -> tuple[object, ...]:
    """All that a key can change."""
    app = desk.app
    return (
        desk.lines[1:],
        app._exit,
        app.clipboard,
        app.theme,
        app.bridge.paused,
        len(desk.control.sent),
        len(desk.control.asked),
        desk.dialog,
        desk.front.NAME,
    )
