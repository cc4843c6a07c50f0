"""A view that fails becomes a calm panel; the console, the other screens and the engine go on."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from textual import events
from textual.geometry import Size

from palyra.tui import app
from palyra.tui.dialogs.deny import DenyDialog
from palyra.tui.dialogs.help import HelpDialog
from palyra.tui.screens.approvals import ApprovalsScreen
from palyra.tui.screens.base import PalyraScreen
from palyra.tui.screens.listing import ListScreen
from palyra.tui.widgets.lines import Lines
from palyra.tui.widgets.live_table import LiveTable
from tests.tui.desk import Desk, console
from tests.tui.fake_views import engine
from tests.tui.fake_worlds import normal

PATIENCE = 200_000
"""Turns of the loop; a fraction of a second."""
SECRET = "Bearer sk-abcdef1234567890abcdef"


class BrokenError(Exception):
    """A bug of ours."""


@asynccontextmanager
async def failing_console(**options: Any) -> AsyncIterator[Desk]:
    """A console that is expected to fail in a view."""
    world = replace(normal(), engine=engine(log_file="/home/ops/.local/state/palyra/logs/palyra.log"))
    async with console(world, **options) as desk:
        yield desk
        assert desk.app.failures
        desk.app.failures.clear()


def break_once(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> None:
    """The next call of a method raises; those after it work."""
    real = getattr(owner, name)
    calls = iter([True])

    def broken(self: object, *args: object, **options: object) -> object:
        if next(calls, False):
            raise BrokenError(f"[/b] \x1b[31m {SECRET}")
        return real(self, *args, **options)

    monkeypatch.setattr(owner, name, broken)


def panel_is_calm(desk: Desk) -> None:
    text = desk.text
    assert "could not be shown" in text
    assert "BrokenError" in text
    assert "logs/palyra.log" in text
    assert "the engine, its gateway, and the other screens" in text
    assert "Traceback" not in text
    assert SECRET not in text
    assert "\x1b" not in text
    assert "? keys" in desk.footer


async def test_a_snapshot_that_cannot_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    async with failing_console() as desk:
        break_once(monkeypatch, ListScreen, "draw_body")
        await desk.wait()
        panel_is_calm(desk)
        await desk.press("2")
        assert "2 waiting" in desk.text
        await desk.press("1")
        assert "5 need you" in desk.title
        assert "could not be shown" not in desk.text


async def test_pressing_the_screens_own_number_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with failing_console() as desk:
        break_once(monkeypatch, ListScreen, "draw_body")
        await desk.wait()
        await desk.press("1")
        assert "agent-ci" in desk.text


async def test_an_action_that_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    async with failing_console() as desk:
        break_once(monkeypatch, ListScreen, "next_order")
        await desk.press("S")
        panel_is_calm(desk)


async def test_an_answer_that_cannot_be_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    async with failing_console() as desk:
        break_once(monkeypatch, ApprovalsScreen, "_came")
        await desk.press("2")
        panel_is_calm(desk)


async def until_replaced(desk: Desk, broken: PalyraScreen) -> None:
    """A part whose handler raised handles no more messages, so nothing waits for it here."""
    for _ in range(PATIENCE):
        await asyncio.sleep(0)
        if desk.app.screen is not broken and desk.app.front is not broken:
            break
    await desk.settle()


@pytest.mark.parametrize("method", ["on_live_table_selected", "on_resize"])
async def test_a_handler_that_raises_costs_its_screen_and_no_more(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    async with failing_console() as desk:
        await desk.press("2")
        broken = desk.front
        break_once(monkeypatch, Lines if method == "on_resize" else ListScreen, method)
        if method == "on_resize":
            desk.app.post_message(events.Resize(Size(100, 30), Size(100, 30)))
        else:
            desk._send("j")
        await until_replaced(desk, broken)
        panel_is_calm(desk)
        await desk.press("1")
        assert "5 need you" in desk.title
        await desk.press("2")
        assert "2 waiting" in desk.text
        assert desk.front is not broken


async def test_a_key_of_a_widget_that_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    async with failing_console() as desk:
        break_once(monkeypatch, LiveTable, "action_move")
        await desk.press("j")
        panel_is_calm(desk)
        await desk.press("2")
        assert "2 waiting" in desk.text


async def test_painting_that_raises_costs_its_screen_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    async with failing_console() as desk:
        await desk.press("2")
        broken = desk.front
        break_once(monkeypatch, LiveTable, "render_lines")
        desk.list.table.refresh()
        await until_replaced(desk, broken)
        panel_is_calm(desk)


async def test_a_dialog_that_fails_is_closed_and_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    async with failing_console() as desk:
        await desk.ready()
        await desk.press("d")
        dialog = desk.app.screen
        break_once(monkeypatch, DenyDialog, "on_push_pressed")
        desk._send("enter")
        for _ in range(PATIENCE):
            await asyncio.sleep(0)
            if desk.app.screen is not dialog:
                break
        await desk.settle()
        assert desk.dialog == ""
        assert "That dialog failed and was closed; nothing was done." in desk.notice
        assert desk.control.sent == []


async def test_a_key_of_a_dialog_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async with failing_console() as desk:
        break_once(monkeypatch, HelpDialog, "action_page")
        await desk.press("question_mark", "pagedown")
        assert desk.dialog == ""
        assert "That dialog failed" in desk.notice


async def test_a_failure_is_logged_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with failing_console() as desk:
        break_once(monkeypatch, ListScreen, "draw_body")
        await desk.wait()
        assert any(record.exc_info and record.exc_info[0] is BrokenError for record in caplog.records)


async def test_failures_without_end_close_the_console_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "MOST_FAILURES", 1)

    def broken(self: object, event: object) -> None:
        raise BrokenError

    async with failing_console() as desk:
        await desk.press("2")
        screen = desk.front
        monkeypatch.setattr(ListScreen, "on_live_table_selected", broken)
        desk._send("j")
        await until_replaced(desk, screen)
        assert not desk.app._exit, "the panel itself needs nothing of what failed"
        await desk.press("1")
        desk._send("j")
        for _ in range(PATIENCE):
            await asyncio.sleep(0)
            if desk.app._exit:
                break
        assert desk.app.return_code == 1


async def test_work_that_fails_while_the_console_ends_is_noted_and_lost_on_nobody() -> None:
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
    async with failing_console() as desk:
        ended = asyncio.Event()

        async def late() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                ended.set()
                raise BrokenError from None

        desk.app.spawn(late())
        await desk.settle()
        desk.app.exit()
        for _ in range(PATIENCE):
            await asyncio.sleep(0)
            if ended.is_set() and not desk.app.is_running:
                break
        assert [type(error) for error in desk.app.failures] == [BrokenError]
    gc.collect()
    assert complaints == []


async def test_a_screen_that_cannot_even_show_its_panel_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    async with failing_console() as desk:
        break_once(monkeypatch, ListScreen, "draw_body")
        break_once(monkeypatch, PalyraScreen, "fail")
        await desk.wait()
        await desk.press("2")
        assert "2 waiting" in desk.text
