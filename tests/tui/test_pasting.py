"""What is pasted is text, wherever it lands: it acts on nothing."""

from textual import events

from tests.tui.desk import Desk, console
from tests.tui.fake_worlds import normal

PASTED = "a\nA\nd\n\r\x1b[201~a\x07q\n"
"""Each line of it would do something if it were typed, and the terminal's end mark is in the midst of it."""


async def paste(desk: Desk) -> None:
    assert desk.app._driver is not None
    event = events.Paste(PASTED)
    event.set_sender(desk.app)
    desk.app._driver.send_message(event)
    await desk.settle()


async def test_on_a_list_an_opened_detail_and_the_filter_it_decides_nothing() -> None:
    async with console(normal()) as desk:
        await desk.ready()
        for screen in "12345678901":
            await desk.press(screen)
            await desk.ready()
            await paste(desk)
            assert desk.dialog == "", screen
        await desk.press("enter")
        await desk.ready()
        await paste(desk)
        await desk.press("escape", "slash")
        await paste(desk)
        assert desk.list.filter.text == "a", "one line of it is looked for"
        assert desk.list.filtering
        assert desk.control.sent == []
        assert desk.app.is_running


async def test_in_a_dialog_it_presses_no_button_and_a_field_takes_one_line_of_it() -> None:
    async with console(normal()) as desk:
        await desk.ready()
        await desk.press("d")
        assert desk.dialog == "DenyDialog"
        for place in ("keep", "act", "reason"):
            desk.focus(place)
            await desk.settle()
            await paste(desk)
            assert desk.dialog == "DenyDialog", place
        await desk.press("tab")
        assert "reason a " in desk.box
        await desk.press("escape", "A")
        for place in ("serves", "act"):
            desk.focus(place)
            await desk.settle()
            await paste(desk)
        assert desk.dialog == "AllowDialog"
        assert "‹ session ›" in desk.box, "letters that are pasted choose nothing"
        await desk.press("escape", "colon")
        await paste(desk)
        assert desk.dialog == "PaletteDialog"
        assert desk.control.sent == []
