"""The palette knows every action and every object of every screen by its name, and leads to it."""

from dataclasses import replace
from typing import get_args

from palyra.tui.app import SCREENS
from palyra.tui.commands.catalogue import palette_entries
from palyra.tui.details.finding import GroupRow
from palyra.tui.dialogs.palette import PaletteDialog
from palyra.tui.everything import everything
from palyra.tui.screens.listing import ListScreen
from palyra.tui.subjects import Subject, key_of
from tests.tui.desk import Desk, console
from tests.tui.fake_doctor import very_ill
from tests.tui.fake_worlds import World, normal
from tests.tui.test_recovery import broken

BY_ITS_KEY_ALONE = {"table.down", "table.up", "table.first", "table.last", "table.page_down", "table.page_up"}


def eventful() -> World:
    return replace(normal(), clinic=very_ill())


def shown(desk: Desk) -> dict[str, str]:
    """Names of the palette's entries by their ids."""
    assert isinstance(desk.app.screen, PaletteDialog)
    return {entry.id: entry.title for entry in desk.app.screen._entries}


async def test_every_kind_of_thing_that_a_screen_lists_is_found_and_selected_where_it_is_listed() -> None:
    async with console(eventful()) as desk:
        for key in "1234567890":
            await desk.press(key)
            await desk.ready()
        own = [desk.app._own(screen.NAME) for screen in SCREENS]
        named = await everything(desk.control, own)
        listed = {key_of(one) for screen in own for one in screen.known}
        assert listed <= {key_of(one) for _, one in named}
        first = {type(one): (name, one) for name, one in reversed(named)}
        assert set(first) == set(get_args(Subject)) - {GroupRow}
        for name, one in first.values():
            await desk.app.show_object(name, key_of(one))
            await desk.settle()
            assert (desk.front.NAME, desk.list.table.selected_key) == (name, key_of(one))


async def test_what_nobody_has_looked_at_yet_is_found_too() -> None:
    async with console(eventful()) as desk:
        for words, key in (("dead letter", "letter:"), ("part vault", "part:vault")):
            await desk.press("colon")
            await desk.type(words)
            await desk.press("enter")
            assert (desk.list.table.selected_key or "").startswith(key), words


async def test_findings_of_the_doctor_are_found_by_their_check_once_it_has_looked() -> None:
    async with console(eventful()) as desk:
        await desk.press("9", "1", "colon")
        await desk.type("finding vault.state")
        await desk.press("enter")
        assert (desk.front.NAME, desk.list.table.selected_key) == (
            "diagnostics",
            "finding:vault.state:vault/vault.json",
        )


async def test_every_action_of_every_screen_is_in_it() -> None:
    every = {(action.id, action.title) for screen in SCREENS for action in screen.ACTIONS}
    async with console(eventful()) as desk:
        for name in ("triage", "diagnostics"):
            await desk.app.show(name)
            await desk.ready()
            entries = palette_entries(desk.front, SCREENS, [])
            found = {(entry.id.split(":")[2], entry.title) for entry in entries}
            assert found <= every
            assert {action for action, _ in every - found} == BY_ITS_KEY_ALONE, name


async def test_without_an_engine_what_the_doctor_looked_at_is_found_and_nothing_else_is_asked_for() -> None:
    async with console(broken()) as desk:
        assert isinstance(desk.front, ListScreen)
        await desk.press("9", "colon")
        kinds = {name.split(":")[2] for name in shown(desk) if name.startswith("object:")}
        assert kinds <= {"finding", "checks", "repair"}
