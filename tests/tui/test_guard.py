"""Acting is safe: on what was seen, after it stood still, once, and with the engine's own word as the result."""

from dataclasses import replace

from palyra.control.commands import DecideApproval
from palyra.control.snapshots import BudgetView, CommandResult
from palyra.core.errors import EngineGoneError
from palyra.tui.dialogs.allow import AllowDialog
from tests.tui.desk import LARGE, console
from tests.tui.fake_views import CENT, approval, ident
from tests.tui.fake_worlds import normal


async def test_a_key_pressed_just_after_the_selection_moved_is_ignored() -> None:
    async with console(normal()) as desk:
        await desk.ready()
        await desk.press("j", "a")
        assert desk.control.sent == []
        assert "changed just now" in desk.notice
        await desk.wait(0.29)
        await desk.press("a")
        assert desk.control.sent == []
        await desk.wait(0.02)
        await desk.press("a")
        assert desk.control.sent == [DecideApproval(ident(1002), "allow", 1)]


async def test_what_was_said_of_a_key_that_did_nothing_goes_once_another_act_is_done() -> None:
    async with console(normal()) as desk:
        await desk.ready()
        await desk.press("j", "a", "k")
        assert "changed just now" in desk.notice, "moving is no act"
        await desk.wait(0.31)
        await desk.press("d")
        await desk.press("escape")
        assert desk.notice == ""
        await desk.press("a")
        told = desk.notice
        assert len(desk.control.sent) == 1
        await desk.press("S")
        assert desk.notice == told != "", "what came of an act stays"


async def test_a_key_pressed_just_after_the_request_changed_is_ignored() -> None:
    async with console(normal()) as desk:
        await desk.ready()
        first, *others = desk.control.world.approvals
        desk.control.change(approvals=(replace(first, version=2, excess=99_000 * CENT), *others))
        await desk.wait(1.0)
        await desk.press("a", "A", "d")
        assert desk.control.sent == []
        assert desk.dialog == ""
        await desk.wait(0.31)
        await desk.press("a")
        assert desk.control.sent == [DecideApproval(ident(1001), "allow", 2)]


async def test_running_clocks_do_not_hold_up_keys() -> None:
    async with console(normal()) as desk:
        await desk.ready()
        await desk.wait(5.0)
        await desk.press("a")
        assert len(desk.control.sent) == 1


async def test_what_nobody_sees_does_not_hold_up_keys_either() -> None:
    async with console(normal()) as desk:
        await desk.ready()
        first, *others = desk.control.world.approvals
        joined = replace(first, run_ids=(*first.run_ids, ident(7)), park_until=(first.park_until or 0) + 1_000)
        desk.control.change(approvals=(joined, *others))
        await desk.wait(1.0)
        await desk.press("a")
        assert len(desk.control.sent) == 1


async def test_a_budget_that_is_spent_from_can_be_acted_on() -> None:
    """Under steady traffic its numbers never stand still."""
    async with console(normal()) as desk:
        await desk.ready()
        await desk.press("7")
        await desk.wait(1.0)
        for spent in range(1, 4):
            budgets = desk.control.world.budgets
            moved = [_moved(one, one.settled + spent) for one in budgets]
            desk.control.change(budgets=tuple(moved))
            await desk.wait(1.0)
        await desk.press("o")
        assert desk.dialog == "RequestDialog", desk.notice


async def test_a_budget_that_was_edited_just_now_is_looked_at_first() -> None:
    async with console(normal()) as desk:
        await desk.press("7")
        await desk.ready()
        edited = tuple(replace(one, revision=one.revision + 1) for one in desk.control.world.budgets)
        desk.control.change(budgets=edited)
        await desk.wait(0.25)
        await desk.press("o")
        assert desk.dialog == ""
        assert "changed just now" in desk.notice


def _moved(budget: BudgetView, settled: int) -> BudgetView:
    ahead = None if budget.forecast is None else replace(budget.forecast, projected=budget.forecast.projected + settled)
    return replace(budget, settled=settled, held=settled % 3, forecast=ahead)


async def test_what_an_act_came_to_is_told_where_it_was_done() -> None:
    async with console(normal()) as desk:
        await desk.ready()
        await desk.press("a")
        told = desk.notice
        assert told
        await desk.press("5")
        assert desk.notice != told
        await desk.press("1")
        assert desk.notice == told


async def test_what_changed_meanwhile_is_refused_and_the_new_state_shown() -> None:
    async with console(normal()) as desk:
        await desk.ready()
        first, *others = desk.control.world.approvals
        taken = replace(first, status="resolved", decision="deny", decided_by="eve", version=2)
        desk.control.world = replace(desk.control.world, approvals=(taken, *others))
        await desk.press("a")
        assert desk.control.sent == [DecideApproval(ident(1001), "allow", 1)]
        assert desk.notice == "▲ Meanwhile eve decided: deny."
        await desk.wait(0)
        assert "agent-ci" not in desk.lines[3]


async def test_an_open_dialog_says_when_its_request_changed() -> None:
    async with console(normal()) as desk:
        await desk.ready()
        await desk.press("A")
        first, *others = desk.control.world.approvals
        taken = replace(first, status="resolved", decision="deny", decided_by="eve", version=2)
        desk.control.change(approvals=(taken, *others))
        await desk.wait()
        assert isinstance(desk.app.screen, AllowDialog)
        assert "It changed meanwhile (denied by eve)" in desk.box


async def test_pressing_twice_sends_once() -> None:
    async with console(normal()) as desk:
        await desk.ready()
        desk._send("a")
        desk._send("a")
        await desk.settle()
        assert len(desk.control.sent) == 1


async def test_a_row_that_is_cut_is_opened_by_the_first_press() -> None:
    world = normal()
    long = replace(world.approvals[0], principal="a-service-account-whose-name-ends-in-production")
    async with console(replace(world, approvals=(long, *world.approvals[1:]))) as desk:
        await desk.ready()
        await desk.press("a")
        assert desk.control.sent == []
        assert desk.list.opened
        assert "so here is all of it" in desk.notice
        await desk.press("a")
        assert desk.control.sent == [], "the key may still be held down"
        await desk.press("G")
        await desk.ready()
        await desk.press("a")
        assert len(desk.control.sent) == 1


async def test_a_long_detail_must_be_read_to_its_end() -> None:
    world = normal()
    one = world.approvals[0]
    many = tuple(replace(one.evaluations[0], policy_id=f"budget-{number:02d}") for number in range(30))
    tall = replace(one, evaluations=many, policy_ids=tuple(item.policy_id for item in many))
    async with console(replace(world, approvals=(tall,))) as desk:
        await desk.press("enter")
        await desk.ready()
        await desk.press("a", "A")
        assert desk.control.sent == []
        assert desk.dialog == ""
        assert "Read to the end first" in desk.notice
        await desk.press("G", "a")
        assert len(desk.control.sent) == 1


async def test_the_side_panel_does_not_count_as_opened() -> None:
    world = normal()
    long = replace(world.approvals[0], principal="a-service-account-whose-name-ends-in-production")
    async with console(replace(world, approvals=(long, *world.approvals[1:])), size=LARGE) as desk:
        await desk.ready()
        await desk.press("a")
        assert desk.control.sent == []
        assert desk.list.opened


async def test_approved_is_never_shown_for_what_had_expired() -> None:
    async with console(normal()) as desk:
        await desk.ready()
        desk.control.results = [CommandResult("stale", "It lapsed at 10:41; nothing was allowed.")]
        await desk.press("a")
        assert desk.notice == "▲ It lapsed at 10:41; nothing was allowed."
        assert "Allowed" not in desk.text


async def test_an_engine_that_goes_away_in_the_act_is_said_so() -> None:
    async with console(normal()) as desk:
        await desk.ready()
        desk.control.trouble = EngineGoneError("The engine has gone away.", fix="Start it again.")
        await desk.press("a")
        assert desk.notice == "✖ Not done: The engine has gone away. Start it again."


async def test_the_result_fades() -> None:
    async with console(normal()) as desk:
        await desk.ready()
        await desk.press("a")
        assert desk.notice
        await desk.wait(9)
        assert desk.notice == ""


async def test_dialogs_take_keys_that_would_act_behind_them() -> None:
    async with console(normal()) as desk:
        await desk.ready()
        newcomer = approval(9, "zoe", "openai/gpt-5.4", "team-day", 500 * CENT, waiting=7)
        await desk.press("d")
        desk.control.change(approvals=(newcomer, *desk.control.world.approvals))
        await desk.wait()
        await desk.press("a", "x", "2", "q")
        assert desk.dialog == "DenyDialog"
        assert desk.control.sent == []
