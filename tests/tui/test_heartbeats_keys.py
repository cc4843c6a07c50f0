"""Heartbeats of all work and dead letters, beside the incidents."""

from dataclasses import replace

from palyra.control.commands import DiscardDeadLetters, RetryDeadLetters
from tests.tui.desk import console
from tests.tui.fake_views import ident
from tests.tui.fake_worlds import empty, normal


async def test_heartbeats_of_all_kinds_with_ages_those_that_are_unwell_first() -> None:
    async with console(normal()) as desk:
        await desk.press("3", "h")
        assert "Incidents › heartbeats" in desk.title
        assert "3 heartbeats · 2 unwell" in desk.title
        assert desk.lines[3].startswith("▌✖ silent   run")
        assert " 4:00 " in desk.lines[3]
        assert "maria crawler" in desk.lines[4]
        assert "background task" in desk.lines[5]
        await desk.press("enter")
        assert "silent from 60 s on" in desk.text or "silent from 1 min on" in desk.text
        await desk.press("escape", "escape")
        assert "heartbeats" not in desk.title
        assert "high     open" in desk.lines[3]


async def test_the_key_goes_there_and_back_and_over_to_dead_letters() -> None:
    async with console(normal()) as desk:
        await desk.press("3", "h", "D")
        assert "2 dead letters · failing: pager" in desk.title
        await desk.press("D")
        assert "circuit open" in desk.title
        await desk.press("h", "h")
        assert "circuit open" in desk.title


async def test_a_dead_letter_is_sent_again() -> None:
    async with console(normal()) as desk:
        await desk.press("3", "D")
        await desk.ready()
        assert "HTTP 503" in desk.text
        await desk.press("r")
        await desk.wait()
        assert desk.control.sent == [RetryDeadLetters((ident(8001),))]
        assert "1 dead letter " in desk.title


async def test_a_dead_letter_is_discarded_after_a_question() -> None:
    async with console(normal()) as desk:
        await desk.press("3", "D", "enter")
        assert "the server is unavailable" in desk.text
        await desk.ready()
        await desk.press("delete")
        assert "Discard this dead letter for pager?" in desk.box
        await desk.press("enter")
        assert desk.control.sent == []
        await desk.press("delete", "tab", "enter")
        assert desk.control.sent == [DiscardDeadLetters((ident(8001),))]


async def test_heartbeats_are_asked_for_again_while_they_are_shown() -> None:
    async with console(normal()) as desk:
        await desk.press("3", "h")
        trouble = desk.control.world.trouble
        desk.control.change(trouble=replace(trouble, beats=()))
        await desk.wait(2)
        assert "No work beats now." in desk.text


async def test_empty_lists_teach() -> None:
    async with console(empty()) as desk:
        await desk.press("3")
        assert "No incidents." in desk.text
        await desk.press("D")
        assert "No dead letters." in desk.text
        await desk.press("h")
        assert "POST /console/v1/heartbeats" in desk.text
