"""Who may not act sees the keys dimmed, with the reason."""

from dataclasses import replace

import pytest

from palyra.tui.themes import Tone
from tests.tui.desk import LARGE, Desk, console
from tests.tui.fake_views import operator
from tests.tui.fake_worlds import normal


def dimmed(desk: Desk) -> set[str]:
    """Actions of the footer that are dimmed."""
    (footer,) = desk.front._lines("footer").lines
    return {piece.action for piece in footer if piece.action and piece.tone is Tone.MUTED}


async def test_a_viewer_sees_everything_and_may_decide_nothing() -> None:
    async with console(replace(normal(), operator=operator("viewer", "eve"))) as desk:
        await desk.ready()
        assert {"approval.allow_once", "approval.allow", "approval.deny"} <= dimmed(desk)
        assert desk.notice == "a A d: needs the role approver, eve is viewer"
        await desk.press("a", "A", "d")
        assert desk.control.sent == []
        assert desk.dialog == ""
        assert desk.notice == "▲ Deny: needs the role approver, eve is viewer."
        await desk.press("2", "j", "j", "j", "u", "5", "c", "7", "n")
        assert desk.control.sent == []
        assert desk.dialog == ""


@pytest.mark.parametrize("role", ["approver", "admin"])
async def test_read_only_dims_for_everybody(role: str) -> None:
    async with console(replace(normal(), operator=operator(role)), read_only=True) as desk:
        await desk.ready()
        assert "read-only" in desk.status
        assert "approval.allow_once" in dimmed(desk)
        await desk.press("a")
        assert desk.control.sent == []
        assert "started with --read-only" in desk.notice


async def test_an_approver_decides_but_makes_no_budgets() -> None:
    async with console(replace(normal(), operator=operator("approver"))) as desk:
        await desk.ready()
        assert dimmed(desk) == set()
        await desk.press("7")
        assert {"budget.new", "budget.edit"} <= dimmed(desk)


async def test_a_role_taken_away_meanwhile_dims_at_once() -> None:
    async with console(normal()) as desk:
        await desk.ready()
        desk.control.change(operator=operator("viewer"))
        await desk.wait()
        await desk.press("a")
        assert desk.control.sent == []


async def test_before_the_first_snapshot_nobody_may_act() -> None:
    async with console(normal()) as desk:
        desk.app.bridge.latest = None
        await desk.press("a")
        assert desk.control.sent == []


async def test_what_is_refused_whatever_the_role_is_dimmed_with_its_reason_before_a_key_is_pressed() -> None:
    kept = "repairs from a console are for palyra alone (console_repair is off)"
    world = replace(normal(), operator=replace(operator("admin"), repairs_barred=kept))
    asked = tuple(replace(one, barred="Nobody may decide on a request of their own.") for one in world.approvals)
    async with console(replace(world, approvals=asked), size=LARGE) as desk:
        await desk.ready()
        assert {"approval.allow_once", "approval.allow", "approval.deny"} <= dimmed(desk)
        assert desk.notice == "a A d: Nobody may decide on a request of their own"
        await desk.press("a", "A", "d", "9")
        await desk.jump(1)
        assert "doctor.apply" in dimmed(desk)
        assert desk.notice == f"f u: {kept}"
        await desk.press("f", "u")
        assert (desk.control.sent, desk.dialog) == ([], "")
        assert kept in desk.notice
