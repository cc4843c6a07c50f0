"""Every screen in every state, as pictures. `pytest tests/tui/test_snapshots.py --snapshot-update` makes them anew."""

import re

import pytest
from pytest_textual_snapshot import SVGImageExtension  # type: ignore[import-untyped]
from syrupy.assertion import SnapshotAssertion

from tests.tui.desk import LARGE, SMALL, Desk, console
from tests.tui.fake_worlds import World, empty, hostile, normal, storm

SCREENS = {
    "triage": ["1"],
    "approvals": ["2"],
    "approval_opened": ["2", "enter"],
    "usage": ["4"],
    "runs": ["5"],
    "run_opened": ["5", "enter"],
    "budgets": ["7"],
    "alert_opened": ["1", "G", "enter"],
    "incidents": ["3"],
    "incident_opened": ["3", "enter"],
    "heartbeats": ["3", "h"],
    "dead_letters": ["D"],
    "jobs": ["6"],
    "job_opened": ["6", "enter"],
    "models": ["8"],
    "provider_opened": ["8", "enter"],
    "diagnostics": ["9"],
    "diagnostics_opened": ["9", "enter"],
    "audit": ["0"],
    "audit_opened": ["0", "enter"],
    "model_opened": ["8", "j", "enter"],
}
DIALOGS = {
    "allow": ["1", "A"],
    "deny": ["1", "d"],
    "explain": ["1", "x"],
    "help": ["1", "question_mark"],
    "palette": ["1", "colon"],
    "filter": ["1", "slash"],
    "new_budget": ["7", "n"],
    "edit_budget": ["7", "j", "e"],
    "quit": ["1", "q"],
    "snooze": ["1", "G", "s"],
    "what_if": ["4", "w"],
    "remedy": ["3", "m"],
    "resolve": ["3", "R"],
    "healing_mode": ["3", "M"],
    "new_job": ["6", "n"],
    "review": ["6", "j", "j", "j", "j", "R"],
    "export": ["4", "e"],
    "export_audit": ["0", "e"],
    "measures": ["3", "t"],
    "configuration": ["1", "C"],
}
WORLDS = {"empty": empty, "normal": normal, "storm": storm, "hostile": hostile}
SIZES = {"80x24": SMALL, "120x40": LARGE}


def picture(desk: Desk) -> str:
    """The screen as SVG, without what differs from one run to the next."""
    return re.sub(r"\bterminal-\d+-([\w-]+)", r"terminal-\1", desk.app.export_screenshot(title="Palyra"))


async def visit(desk: Desk, keys: list[str]) -> None:
    await desk.press(*keys[:-1])
    if len(keys) > 1:
        await desk.jump(1)
    await desk.press(keys[-1])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("world", WORLDS)
async def test_screens(world: str, size: str, snapshot: SnapshotAssertion) -> None:
    pictures = snapshot.use_extension(SVGImageExtension)
    make: World = WORLDS[world]()
    async with console(make, size=SIZES[size]) as desk:
        for name, keys in SCREENS.items():
            if world == "empty" and "opened" in name:
                continue
            await visit(desk, keys)
            assert picture(desk) == pictures(name=name)
            if "opened" in name:
                await desk.press("escape")


@pytest.mark.parametrize("size", SIZES)
async def test_dialogs(size: str, snapshot: SnapshotAssertion) -> None:
    pictures = snapshot.use_extension(SVGImageExtension)
    async with console(normal(), size=SIZES[size]) as desk:
        for name, keys in DIALOGS.items():
            await visit(desk, keys)
            assert picture(desk) == pictures(name=name)
            await desk.press("escape")


@pytest.mark.parametrize("theme", ["palyra-light", "palyra-contrast", "palyra-cvd", "ansi-dark", "ansi-light"])
async def test_themes(theme: str, snapshot: SnapshotAssertion) -> None:
    pictures = snapshot.use_extension(SVGImageExtension)
    async with console(normal(), theme=theme) as desk:
        for key in ("1", "4"):
            await desk.press(key)
            assert picture(desk) == pictures(name=key)


async def test_without_colour(monkeypatch: pytest.MonkeyPatch, snapshot: SnapshotAssertion) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    pictures = snapshot.use_extension(SVGImageExtension)
    async with console(normal()) as desk:
        for key in ("1", "4"):
            await desk.press(key)
            assert picture(desk) == pictures(name=key)


async def test_ascii_only(snapshot: SnapshotAssertion) -> None:
    pictures = snapshot.use_extension(SVGImageExtension)
    async with console(normal(), ascii_only=True) as desk:
        for key in ("1", "4"):
            await desk.press(key)
            assert picture(desk) == pictures(name=key)


async def test_too_small(snapshot: SnapshotAssertion) -> None:
    pictures = snapshot.use_extension(SVGImageExtension)
    async with console(normal(), size=(60, 12)) as desk:
        assert picture(desk) == pictures
