"""What works everywhere: going places, help, palette, theme, pause, quit; and the frame around it."""

import asyncio

import pytest

from palyra.control.incidents_queries import IncidentView
from palyra.control.snapshots import ApprovalView
from palyra.core.errors import EngineGoneError
from palyra.tui import themes
from palyra.tui.app import PalyraApp
from palyra.tui.screens.triage import TriageScreen
from tests.tui.desk import PATIENCE, console
from tests.tui.fake_views import engine
from tests.tui.fake_worlds import empty, normal, storm

PLACES = {
    "1": "triage",
    "2": "approvals",
    "3": "incidents",
    "4": "usage",
    "5": "runs",
    "6": "jobs",
    "7": "budgets",
    "8": "models",
    "9": "diagnostics",
    "0": "audit",
}


async def test_every_number_goes_to_a_screen() -> None:
    async with console(normal()) as desk:
        for key, name in PLACES.items():
            await desk.press(key)
            assert name == desk.front.NAME
        assert desk.notice == ""


async def test_all_screens_are_made_ahead_of_the_first_key() -> None:
    async with console(normal(), app_class=PalyraApp) as desk:
        screens = [desk.app.get_screen(name) for name in PLACES.values()]
        for _ in range(PATIENCE):
            await asyncio.sleep(0)
            if all(screen.is_mounted for screen in screens):
                break
        await desk.settle()
        assert all(screen.is_mounted for screen in screens)
        assert desk.control.pulls[-1] == set(TriageScreen.TOPICS), "only the one in front is fed"
        for key in PLACES:
            await desk.press(key)
            assert desk.app.focused is not None
            assert desk.app.focused.id == "list"


async def test_help_lists_every_key_of_the_screen() -> None:
    async with console(normal()) as desk:
        for key in PLACES:
            await desk.press(key)
            screen = desk.front
            await desk.press("question_mark")
            assert desk.dialog == "HelpDialog"
            await desk.press("y")
            for action in screen.actions:
                assert action.title in desk.app.clipboard, (screen.NAME, action.id)
            assert desk.dialog == ""


async def test_help_begins_with_what_can_be_done_to_what_is_selected() -> None:
    async with console(normal()) as desk:
        told = [(ApprovalView, "Allow once", "Acknowledge incident"), (IncidentView, "Own it", "Allow once")]
        for kind, first, later in told:
            while not isinstance(desk.front.subject, kind):
                await desk.press("j")
            await desk.press("question_mark", "y")
            mine, others = desk.app.clipboard.split("not for what is selected now")
            assert first in mine, kind
            assert later in others, kind


async def test_help_scrolls() -> None:
    async with console(normal()) as desk:
        await desk.press("question_mark")
        assert "screens" not in desk.box
        await desk.press("G")
        assert "Pause or go on" in desk.box
        await desk.press("g", "j", "k", "pagedown", "pageup")
        assert desk.box.startswith("Keys of Triage here")
        await desk.press("question_mark")
        assert desk.dialog == ""


@pytest.mark.parametrize("opener", ["colon", "ctrl+p"])
async def test_the_palette_runs_actions_by_name(opener: str) -> None:
    async with console(normal()) as desk:
        await desk.press(opener)
        assert desk.dialog == "PaletteDialog"
        await desk.type("budgets")
        await desk.press("enter")
        assert desk.front.NAME == "budgets"


async def test_the_palette_finds_objects_by_name_and_goes_to_them() -> None:
    async with console(normal()) as desk:
        await desk.press("slash")
        await desk.type("zzz")
        await desk.press("enter", "colon")
        await desk.type("grant agent")
        await desk.press("enter")
        assert desk.front.NAME == "approvals"
        assert desk.lines[6].startswith("▌◆ grant")
        await desk.press("colon")
        await desk.type("budget ci-month")
        await desk.press("enter")
        assert desk.front.NAME == "budgets"
        assert (desk.list.table.selected_key or "").startswith("budget:ci-month")


async def test_the_palette_knows_the_actions_of_other_screens() -> None:
    async with console(normal()) as desk:
        await desk.press("colon")
        await desk.type("new budget")
        await desk.press("enter")
        assert (desk.front.NAME, desk.dialog) == ("budgets", "PolicyDialog")
        await desk.press("escape", "colon")
        await desk.type("test the connection")
        await desk.press("enter")
        assert (desk.front.NAME, desk.notice) == ("models", "Test the connection: select what it is for, then press t.")


async def test_the_palette_finds_what_comes_after_hundreds_of_others() -> None:
    async with console(storm()) as desk:
        await desk.press("colon")
        await desk.type("team-059-day")
        await desk.press("enter")
        assert desk.front.NAME == "budgets"
        assert (desk.list.table.selected_key or "").startswith("budget:team-059-day")


async def test_the_palette_moves_with_arrows_and_leaves_with_escape() -> None:
    async with console(normal()) as desk:
        await desk.press("colon", "down", "down", "up", "pagedown", "pageup", "escape")
        assert desk.dialog == ""
        assert desk.front.NAME == "triage"


async def test_acting_through_the_palette_obeys_the_same_rules() -> None:
    async with console(normal(), read_only=True) as desk:
        await desk.ready()
        await desk.press("colon")
        await desk.type("allow once")
        await desk.press("enter")
        assert desk.dialog == "PaletteDialog", "a dimmed action is not chosen"
        assert desk.control.sent == []


async def test_a_palette_word_that_names_nothing() -> None:
    async with console(normal()) as desk:
        await desk.press("colon")
        await desk.type("zzz")
        assert "Nothing is called so." in desk.box
        await desk.press("enter")
        assert desk.dialog == "PaletteDialog"


async def test_t_goes_through_the_themes() -> None:
    async with console(normal()) as desk:
        seen = [desk.app.theme]
        for _ in themes.CHOICES:
            await desk.press("T")
            seen.append(desk.app.theme)
        assert seen == [*themes.CHOICES, themes.CHOICES[0]]


async def test_p_freezes_the_lists_while_the_status_line_goes_on() -> None:
    async with console(normal()) as desk:
        await desk.press("P")
        assert "paused" in desk.status
        assert "Paused at 10:42Z" in desk.notice
        desk.control.change(approvals=())
        await desk.wait(2)
        assert "agent-ci" in desk.lines[3]
        assert "A 0" in desk.status
        await desk.press("P")
        assert "ready" in desk.status
        assert "agent-ci" not in desk.lines[3]


async def test_quitting_with_runs_in_flight_says_what_would_stop() -> None:
    async with console(normal(), drain_seconds=20) as desk:
        await desk.press("q")
        assert desk.dialog == "ConfirmDialog"
        assert "2 runs in flight: they get up to 20 s to end" in desk.box
        assert "palyra serve" in desk.box
        await desk.press("enter")
        assert desk.dialog == ""
        assert desk.app.is_running
        await desk.press("ctrl+c", "right", "enter")
        assert desk.app._exit


async def test_quitting_an_idle_engine_needs_no_question() -> None:
    world = normal()
    world.runs = ()
    async with console(world) as desk:
        await desk.press("q")
        assert desk.app._exit


async def test_quitting_an_attached_console_leaves_the_engine_alone() -> None:
    async with console(normal(), attached=True) as desk:
        assert "attached" in desk.status
        await desk.press("q")
        assert desk.app._exit


async def test_an_engine_that_is_gone_is_said_so_and_what_was_seen_stays() -> None:
    async with console(normal(), attached=True) as desk:
        desk.control.trouble = EngineGoneError("The socket is closed.")
        await desk.wait(1)
        assert "✖ engine gone" in desk.status
        assert "Engine gone since 10:42Z" in desk.notice
        assert "agent-ci" in desk.lines[3]
        await desk.press("a")
        assert desk.control.sent == []
        assert "the engine is gone" in desk.notice
        desk.control.trouble = None
        await desk.wait(10)
        assert "● ready" in desk.status
        assert desk.notice == ""


async def test_what_is_wrong_with_the_engine_is_said_on_every_screen() -> None:
    world = normal()
    world.engine = engine(problems=("The journal cannot be written: disk full.", "No provider has a credential."))
    async with console(world) as desk:
        for key in PLACES:
            await desk.press(key)
            assert desk.notice == "▲ The journal cannot be written: disk full. (and 1 problem more)"


async def test_a_failing_query_is_a_line_and_not_an_end() -> None:
    async with console(normal()) as desk:
        desk.control.trouble = EngineGoneError("The socket is closed.")
        await desk.press("4", "5")
        assert "The socket is closed." in desk.notice
        desk.control.trouble = None
        await desk.press("4")
        await desk.wait(5)
        assert "tokens 7.87 M" in desk.text


async def test_below_80_by_24_one_line_says_what_matters() -> None:
    async with console(normal(), size=(60, 12)) as desk:
        assert desk.lines[0].startswith("A 3  I 2  $41.27 today")
        assert "enlarge to 80×24" in desk.lines[1]
        await desk.ready()
        await desk.press("a", "2")
        assert desk.control.sent == []
        await desk.pilot.resize_terminal(80, 24)
        await desk.settle()
        assert "● ready" in desk.status
        assert "agent-ci" in desk.text


async def test_a_dialog_whose_terminal_became_too_small_waits_for_room() -> None:
    """What would happen can not be read in full, so nothing is done."""
    async with console(normal()) as desk:
        await desk.ready()
        await desk.press("d", "tab")
        assert desk.dialog == "DenyDialog"
        assert "esc leaves" in desk.box
        await desk.pilot.resize_terminal(79, 24)
        await desk.settle()
        assert "enlarge to 80×24" in desk.lines[1]
        assert "Deny" not in desk.text
        await desk.press("enter", "space", "tab", "enter")
        assert desk.control.sent == []
        await desk.pilot.resize_terminal(80, 24)
        await desk.settle()
        assert desk.dialog == "DenyDialog"
        assert "Keep it waiting" in desk.box
        await desk.press("tab", "escape")
        assert desk.dialog == ""


async def test_a_terminal_that_is_too_small_can_be_left() -> None:
    async with console(empty(), size=(60, 12)) as desk:
        assert "q quits" in desk.lines[1]
        await desk.press("q")
        assert desk.app._exit


async def test_keys_can_be_remapped_by_id() -> None:
    async with console(normal(), keys={"approval.allow_once": "o", "table.down": "N"}) as desk:
        await desk.ready()
        assert "o allow once" in desk.footer
        await desk.press("a")
        assert desk.control.sent == []
        await desk.press("N")
        assert desk.lines[4].startswith("▌")
        await desk.ready()
        await desk.press("o")
        assert len(desk.control.sent) == 1


async def test_the_footer_can_be_clicked() -> None:
    async with console(normal()) as desk:
        await desk.pilot.click("#footer", offset=(desk.footer.index("keys"), 0))
        await desk.settle()
        assert desk.dialog == "HelpDialog"


async def test_a_row_can_be_clicked_and_opened() -> None:
    async with console(normal()) as desk:
        await desk.pilot.click("#list", offset=(20, 2))
        await desk.settle()
        assert desk.lines[4].startswith("▌")
        await desk.pilot.click("#list", offset=(20, 2), times=2)
        await desk.settle()
        assert desk.list.opened


async def test_every_demo_screen_says_so() -> None:
    world = storm()
    world.engine = engine(demo=True)
    async with console(world) as desk:
        for key in PLACES:
            await desk.press(key)
            assert "DEMO" in desk.status


@pytest.mark.parametrize("attached", [False, True])
async def test_nothing_is_pulled_faster_than_four_times_a_second(attached: bool) -> None:
    async with console(normal(), attached=attached) as desk:
        before = len(desk.control.pulls)
        for _ in range(20):
            await desk.press("j")
        await desk.wait(1)
        assert len(desk.control.pulls) - before <= 5
