"""A key that is held down decides once: the next request comes under the cursor by itself."""

import pytest

from palyra.control.commands import DecideApproval
from palyra.control.incidents_commands import AssignIncidents
from palyra.tui.commands.held import RELEASE_SECONDS, Held
from tests.tui.desk import console
from tests.tui.fake_views import ident
from tests.tui.fake_worlds import normal, storm


async def test_held_down_it_allows_one_request_and_not_those_that_come_after() -> None:
    async with console(normal()) as desk:
        await desk.ready()
        await desk.press("a")
        await desk.wait(0.5)
        for _ in range(60):
            await desk.press("a")
            await desk.wait(0.03)
        assert desk.control.sent == [DecideApproval(ident(1001), "allow", 1)]
        assert "Let go of the key" in desk.notice
        await desk.wait(RELEASE_SECONDS)
        await desk.press("a")
        assert [command.approval_id for command in desk.control.sent] == [ident(1001), ident(1002)]  # type: ignore[union-attr]


async def test_held_down_it_switches_once() -> None:
    """Owning an incident and letting go of it are one key."""
    async with console(storm()) as desk:
        await desk.press("3")
        await desk.ready()
        for _ in range(5):
            await desk.press("o")
            await desk.wait(0.4)
        assert [type(command) for command in desk.control.sent] == [AssignIncidents]


async def test_another_key_in_between_is_a_new_thought() -> None:
    async with console(normal()) as desk:
        await desk.ready()
        await desk.press("a")
        await desk.wait(0.4)
        await desk.press("j", "k")
        await desk.wait(0.31)
        await desk.press("a")
        assert len(desk.control.sent) == 2


@pytest.mark.parametrize(
    ("place", "opening", "field", "said"),
    [
        ("G", ("s",), "for", "Snooze this alert?"),
        ("g", ("A", "a"), "amount", "how far?"),
        ("g", ("d",), "reason", "Deny"),
    ],
    ids=["snooze", "amount", "deny"],
)
async def test_enter_held_in_a_field_comes_to_the_button_and_does_not_press_it(
    place: str, opening: tuple[str, ...], field: str, said: str
) -> None:
    async with console(normal()) as desk:
        await desk.press(place)
        await desk.ready()
        await desk.press(*opening)
        desk.focus(field)
        await desk.press("enter")
        await desk.wait(0.5)
        for _ in range(30):
            await desk.press("enter")
            await desk.wait(0.03)
        assert (desk.control.sent, said in desk.box) == ([], True)
        assert "let go, look, press again" in desk.box
        await desk.wait(RELEASE_SECONDS)
        await desk.press("enter")
        assert (len(desk.control.sent), desk.dialog) == (1, "")


async def test_how_a_dialog_is_worked_is_told_again_with_the_next_key_and_the_safe_button_is_always_there() -> None:
    async with console(normal()) as desk:
        await desk.press("G")
        await desk.ready()
        await desk.press("s", "enter", "enter")
        assert "let go, look, press again" in desk.box
        await desk.press("tab")
        assert "let go" not in desk.box
        desk.focus("keep")
        await desk.press("space", "space")
        assert (desk.control.sent, desk.dialog) == ([], "")


def test_what_was_let_go_may_act_again_and_what_did_nothing_holds_nothing_up() -> None:
    held = Held()
    held.press("a", 10.0)
    assert not held.repeats("allow")
    held.did("allow")
    held.press("a", 10.5)
    assert held.repeats("allow")
    assert not held.repeats("acknowledge")
    held.press("a", 10.6 + RELEASE_SECONDS)
    assert not held.repeats("allow")
    held.press("a", 11.4)
    assert not held.repeats("allow"), "it was not done since"
