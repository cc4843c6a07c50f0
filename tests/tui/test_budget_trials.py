"""An edited budget is tried on the last seven days before it is saved; nobody has to wait for it."""

from dataclasses import replace

from palyra.control.commands import EditPolicy
from palyra.control.queries import BudgetQuery
from palyra.control.replays import ReplayAnswer
from palyra.tui.dialogs.trial import verdict
from tests.tui.desk import Desk, console
from tests.tui.fake_views import DAY, NOW
from tests.tui.fake_worlds import normal
from tests.tui.test_budgets_keys import fill

SAVED = [EditPolicy("research-day", {"hard_limit": "15.00"}, 3)]


async def edited(desk: Desk) -> None:
    """The dialog with a lower limit of research-day, and the safe button left."""
    await desk.press("7", "j")
    await desk.ready()
    await desk.press("e")
    await fill(desk, hard_limit="15.00")
    desk.focus("act")


async def test_saving_first_tries_it_on_seven_days_and_tells_what_came_of_it() -> None:
    async with console(normal()) as desk:
        await edited(desk)
        assert "[ Save… ]" in desk.box
        await desk.press("enter")
        (query,) = desk.control.replays.asked
        assert (query.since, query.until) == (desk.clock.now_ms() - 7 * DAY, None)
        assert (query.policies[0]["policy_id"], query.policies[0]["hard_limit"]) == ("research-day", "15.00")
        assert query.policies[0]["soft_limit"] == "80%"
        assert "[ Save without waiting ]" in desk.box
        await desk.wait(0.25)
        assert "776 of 3,102" in desk.box
        assert "25 %" in desk.box
        for _ in range(4):
            await desk.wait(0.25)
        assert "Last 7 days: would have refused 212 of 3,102; $8.25 saved" in desk.box
        assert "It first bites on Sun 2026-11-15." in desk.box
        assert "[ Save ]" in desk.box
        assert desk.control.sent == []
        await desk.press("enter")
        assert desk.control.sent == SAVED
        assert desk.dialog == ""


async def test_saving_does_not_have_to_wait() -> None:
    async with console(normal()) as desk:
        desk.control.replays.stuck = True
        await edited(desk)
        await desk.press_anew("enter", "enter")
        assert desk.control.sent == SAVED
        (progress,) = desk.control.replays.states.values()
        assert progress.state == "cancelled"


async def test_esc_stops_the_trial_first_and_leaves_the_dialog_then() -> None:
    async with console(normal()) as desk:
        desk.control.replays.stuck = True
        await edited(desk)
        await desk.press("enter")
        await desk.wait(0.25)
        await desk.press("escape")
        (progress,) = desk.control.replays.states.values()
        assert progress.state == "cancelled"
        assert desk.dialog == "PolicyDialog"
        assert "[ Save… ]" in desk.box
        await desk.press("escape")
        assert desk.dialog == ""
        assert desk.control.sent == []


async def test_typing_on_makes_the_trial_worthless() -> None:
    async with console(normal()) as desk:
        await edited(desk)
        await desk.press("enter")
        await fill(desk, hard_limit="16.00")
        assert {progress.state for progress in desk.control.replays.states.values()} == {"cancelled"}
        assert "[ Save… ]" in desk.box
        desk.focus("act")
        await desk.press("enter")
        assert [query.policies[0]["hard_limit"] for query in desk.control.replays.asked] == ["15.00", "16.00"]


async def test_a_trial_that_cannot_be_made_says_so_and_saving_goes_on() -> None:
    async with console(normal()) as desk:
        desk.control.replays.trouble = "Two replays run already."
        await edited(desk)
        await desk.press_anew("enter")
        assert "could not be tried: Two replays run already." in desk.box
        await desk.press("enter")
        assert desk.control.sent == SAVED


async def test_a_name_decides_nothing_and_is_saved_at_once() -> None:
    async with console(normal()) as desk:
        await desk.press("7", "j")
        await desk.ready()
        await desk.press("e")
        await fill(desk, name="Research")
        assert "Changed: name. Nothing becomes void." in desk.box
        desk.focus("act")
        await desk.press("enter")
        assert desk.control.replays.asked == []
        assert desk.control.sent == [EditPolicy("research-day", {"name": "Research"}, 3)]


async def test_every_fault_is_told_while_typing_with_what_was_meant() -> None:
    async with console(normal()) as desk:
        await desk.press("7", "j")
        await desk.ready()
        await desk.press("e")
        await fill(desk, hard_limit="x", timezone="Prague", routing_override="degrad", on_unknown_price="flat")
        box = desk.box
        for words in ("limit:", 'Did you mean "Europe/Prague"?', 'Did you mean "degrade"?', "no price:"):
            assert words in box, box
        await fill(desk, hard_limit="10", soft_limit="11", timezone="UTC", routing_override="none")
        assert "warns at: it is above the hard limit" in desk.box


async def test_an_id_in_use_is_told_before_it_is_sent() -> None:
    async with console(normal()) as desk:
        await desk.press("7", "n")
        await fill(desk, policy_id="team-day", hard_limit="1")
        assert 'id: "team-day" exists already' in desk.box


async def test_a_budget_that_cannot_be_read_is_not_edited_blindly() -> None:
    async with console(normal()) as desk:
        await desk.press("7", "j")
        await desk.ready()
        desk.control.change(budgets=tuple(one for one in desk.control.world.budgets if one.policy_id != "research-day"))
        await desk.press("e")
        assert desk.dialog == ""
        assert "could not be read" in desk.notice
        assert BudgetQuery("research-day") in desk.control.asked


def test_a_quiet_week_and_a_looser_budget_are_told_as_they_are() -> None:
    nothing = ReplayAnswer(since=NOW - 7 * DAY, until=NOW)
    assert verdict(nothing, "day")[0][0].startswith("Nothing was asked in the last 7 days")
    young = replace(nothing, requests=1, recorded_since=NOW - 3 * DAY)
    assert verdict(young, "day")[-1][0] == "Only the last 3 d of them are recorded."
    looser = replace(nothing, requests=10, denied_before=3, denied_after=0, saved_nano_usd=-2_000_000_000)
    told = [text for text, _ in verdict(looser, "day")]
    assert told == [
        "Last 7 days: would have refused 0 of 10; $2.00 spent more.",
        "All budgets together refused 3, and would have refused 0.",
    ]
