"""`/` narrows a list while it is typed; Enter keeps, Esc lets go."""

from palyra.tui.screens.listing import ListScreen
from tests.tui.desk import console
from tests.tui.fake_worlds import normal, storm


async def test_typing_a_filter_narrows_the_list_at_once_and_takes_no_action() -> None:
    async with console(normal()) as desk:
        await desk.ready()
        await desk.press("slash")
        assert "⏎ keep" in desk.footer
        assert "who" in desk.footer
        await desk.type("maria")
        assert "/ maria  2 of 7" in desk.title
        assert desk.control.sent == []
        await desk.press("enter")
        assert "a allow once" in desk.footer
        assert len(desk.list._subjects) == 2
        await desk.press("escape")
        assert "5 need you" in desk.title


async def test_escape_while_typing_clears_the_filter() -> None:
    async with console(normal()) as desk:
        await desk.press("slash")
        await desk.type("zzz")
        assert "nothing matches zzz" in desk.text
        await desk.press("escape")
        assert len(desk.list._subjects) == 7
        assert not desk.list.filtering


async def test_fields_and_inversion() -> None:
    async with console(normal()) as desk:
        await desk.press("5", "slash")
        await desk.type("state:completed !who:maria")
        shown = list(desk.list._subjects.values())
        assert shown
        assert all(desk.list.fields(item)["state"] == "completed" for item in shown)
        assert all(desk.list.fields(item)["who"] != "maria" for item in shown)


async def test_the_filter_stays_on_its_screen() -> None:
    async with console(normal()) as desk:
        await desk.press("slash")
        await desk.type("maria")
        await desk.press("enter", "2")
        assert not desk.list.filter
        await desk.press("1")
        assert desk.list.filter.text == "maria"


async def test_every_list_knows_the_fields_it_promises() -> None:
    async with console(storm()) as desk:
        for key in ("1", "2", "5", "7", "4"):
            await desk.press(key)
            screen = desk.front
            assert isinstance(screen, ListScreen)
            known = {name for item in screen._subjects.values() for name in screen.fields(item)}
            assert known <= set(screen.FIELDS), screen.NAME
