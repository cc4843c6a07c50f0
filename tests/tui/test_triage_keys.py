"""Triage: the most urgent first, and every key of it."""

from dataclasses import replace

from palyra.control.commands import DecideApproval
from palyra.control.queries import ApprovalQuery, CounterNow
from palyra.control.snapshots import ApprovalView
from palyra.control.usage_queries import UsageQuery
from palyra.core.usage_filter import UsageFilter
from tests.tui.desk import console
from tests.tui.fake_incidents import storm_of
from tests.tui.fake_views import CENT, USD, approval, ident
from tests.tui.fake_worlds import normal, storm


async def test_people_waiting_come_first_then_age_then_incidents_then_alerts() -> None:
    async with console(normal()) as desk:
        rows = desk.lines[3:10]
        assert [
            "agent-ci" in rows[0],
            "maria" in rows[1],
            "nightly" in rows[2],
            "run 01KA…007F is silent" in rows[3],
            "team-day reaches its limit" in rows[6],
        ] == [True] * 5
        assert rows[0].startswith("▌▲ approval 2 waiting")
        assert "5 need you" in desk.title


async def test_from_a_cold_start_the_most_urgent_is_allowed_with_one_key() -> None:
    async with console(normal()) as desk:
        await desk.ready()
        await desk.press("a")
        assert desk.control.sent == [DecideApproval(ident(1001), "allow", 1)]
        assert desk.notice == "● Allowed once: agent-ci may go on."
        await desk.wait()
        assert "agent-ci" not in desk.lines[3]
        assert desk.snapshot.approvals_pending == 2


async def test_the_preview_says_what_is_breached_and_what_would_pass() -> None:
    async with console(normal()) as desk:
        await desk.wait()
        preview = "\n".join(desk.lines[-8:-2])
        assert "agent-ci asks for openai/gpt-5.4 in session build-771" in preview
        assert "waiting 0:42 of 1:00 (2)" in preview
        assert "settled $19.02 + held $0.31 + this $1.51 = $20.84 of $20.00" in preview
        assert "max_tokens ≤ 212" in preview
        assert "88 runs · $31.20 · 2 overrides" in preview


async def test_where_the_arithmetic_does_not_fit_one_line_it_takes_two_and_no_amount_is_cut() -> None:
    world = normal()
    first, *others = world.approvals
    small = tuple(
        replace(item, settled=2_262_001, held=11_740_001, bound=18_600_001, projected=32_602_003, hard_limit=30_000_000)
        for item in first.evaluations
    )
    async with console(replace(world, approvals=(replace(first, evaluations=small), *others))) as desk:
        where = next(number for number, text in enumerate(desk.lines) if "$0.0326 of $0.03" in text)
        assert desk.lines[where].rstrip() == " research-day   $0.0326 of $0.03"
        assert desk.lines[where + 1].strip() == "settled $0.002262 + held $0.01174 + this $0.0186"


async def test_what_would_pass_is_told_in_the_zone_of_the_budget_with_the_time_until_then() -> None:
    async with console(normal()) as desk:
        await desk.wait()
        assert "would pass     max_tokens ≤ 212 · openai/gpt-5.4-mini · after 00:00 (12 h)" in desk.text
        await desk.press("enter")
        assert "   after 00:00 (12 h)" in [text.rstrip() for text in desk.lines]


async def test_the_requesters_history_is_asked_once_for_each_selection_and_never_twice_at_a_time() -> None:
    async with console(storm()) as desk:
        asked = [query for query in desk.control.asked if isinstance(query, ApprovalQuery)]
        assert len(asked) == 1
        await desk.press("j", "j", "k")
        await desk.wait(4)
        assert len(desk.control.asked) == 4
        await desk.wait(1)
        assert len(desk.control.asked) == 5, "budgets move on: a pending one is asked about again"
        assert desk.control.most_in_flight == 1


async def test_what_budgets_came_to_meanwhile_is_told_and_whether_once_still_does() -> None:
    async with console(normal()) as desk:
        await desk.wait()
        assert "now  " not in desk.text, "nothing was used since"
        over = desk.control.world.approvals[0].evaluations[0]
        desk.control.present = (CounterNow(over.policy_id, over.scope_value, over.settled + 5 * USD, over.held),)
        await desk.wait(5)
        assert "now            $25.84 of $20.00: once ≤ $0.924 is too little, A does" in desk.text
        desk.control.present = (CounterNow(over.policy_id, over.scope_value, over.settled + CENT, over.held),)
        await desk.wait(5)
        assert "now            $20.85 of $20.00\n" in desk.text
        desk.control.present = (CounterNow(over.policy_id, over.scope_value, 0, 0),)
        await desk.press("enter")
        await desk.wait(5)
        assert "now   research-day $1.51 of $20.00: it would pass by now" in desk.text


async def test_moving_keys() -> None:
    async with console(storm()) as desk:
        subjects = list(desk.list._subjects)
        for key, place in [("j", 1), ("down", 2), ("k", 1), ("up", 0), ("G", 411), ("g", 0), ("end", 411), ("home", 0)]:
            await desk.press(key)
            assert desk.list.table.selected_key == subjects[place], key
        await desk.press("pagedown")
        paged = subjects.index(desk.list.table.selected_key or "")
        assert paged > 5
        await desk.press("pageup")
        assert desk.list.table.selected_key == subjects[0]


async def test_enter_opens_and_escape_closes() -> None:
    async with console(normal()) as desk:
        await desk.press("enter")
        assert desk.list.opened
        assert "Triage › 01KA…017F" in desk.title
        assert "would pass" in desk.text
        assert "esc back" in desk.footer
        await desk.press("escape")
        assert not desk.list.opened
        assert "5 need you" in desk.title
        assert "esc back" not in desk.footer


async def test_the_decision_keys_work_on_the_opened_detail_too() -> None:
    async with console(normal()) as desk:
        await desk.press("j", "enter")
        await desk.ready()
        await desk.press("a")
        assert desk.control.sent == [DecideApproval(ident(1002), "allow", 1)]
        await desk.wait()
        assert not desk.list.opened, "what was decided left the list"


async def test_x_explains_in_sentences() -> None:
    async with console(normal()) as desk:
        await desk.press("x")
        assert desk.dialog == "DecisionDialog"
        assert "A person has to let it pass" in desk.text
        await desk.press("escape")
        assert desk.dialog == ""


async def test_the_selection_stays_on_its_request_when_a_more_urgent_one_comes() -> None:
    async with console(normal()) as desk:
        await desk.press("j")
        chosen = desk.list.table.selected_key
        newcomer = approval(9, "zoe", "openai/gpt-5.4", "team-day", 500 * CENT, waiting=7)
        desk.control.change(approvals=(newcomer, *desk.control.world.approvals))
        await desk.wait()
        assert desk.list.table.selected_key == chosen
        assert "zoe" in desk.lines[3]
        assert desk.lines[5].startswith("▌▲ approval 1 waiting  maria")


async def test_sorting_by_who() -> None:
    async with console(normal()) as desk:
        await desk.press("S", "S")
        assert "by who" in desk.title
        assert "who↑" in desk.lines[2]
        names = [item.principal for item in desk.list._subjects.values() if isinstance(item, ApprovalView)]
        assert names == sorted(names)
        await desk.press("S")
        assert "by who" not in desk.title


async def test_y_copies_the_row_with_its_id() -> None:
    async with console(normal()) as desk:
        await desk.press("y")
        assert desk.app.clipboard.endswith(ident(1001))
        assert "agent-ci" in desk.app.clipboard
        await desk.press("enter", "y")
        assert "would pass" in desk.app.clipboard
        assert "Copied" in desk.notice


async def test_a_list_that_does_not_hold_everything_says_how_many_more_there_are() -> None:
    world = storm()
    async with console(world) as desk:
        assert "412 listed, 300 beyond · 712 need you · / filter" in desk.title
        await desk.press("slash")
        await desk.type("severity:critical")
        await desk.press("enter")
        assert "/ severity:critical  125 of 412, 300 not looked through" in desk.title
        await desk.press("escape", "S")
        assert desk.title.startswith(" Triage ")
        assert "412 listed, 300 beyond · by age  712 need you" in desk.title
        # More than the list has rows for.
        first, *_ = world.alerts
        world.alerts = tuple(replace(first, alert_id=ident(20_000 + number)) for number in range(200))
        await desk.wait(2)
        assert "500 listed, 400 beyond" in desk.title
    async with console(normal()) as desk:
        assert "beyond" not in desk.title


async def test_incidents_beyond_the_rows_of_their_list_are_counted() -> None:
    world = storm()
    world.trouble = storm_of(640)
    async with console(world) as desk:
        await desk.press("3")
        assert "500 listed, 140 beyond · " in desk.title


async def test_on_a_large_screen_the_days_of_whom_it_is_about_stand_below_the_list() -> None:
    async with console(replace(normal(), usage=True), size=(200, 60)) as desk:
        await desk.wait()

        def asked() -> list[UsageFilter]:
            return [query.where for query in desk.control.asked if isinstance(query, UsageQuery)]

        assert asked() == [UsageFilter(user="agent-ci")]
        assert "agent-ci  cost of all their requests · last 14 days, Europe/Prague" in desk.text
        assert any("┤" in text and "█" in text for text in desk.lines)
        assert desk.lines[-3].startswith(" Sun 11-22  $6.168750047  188 req"), "none of it is cut"
        await desk.press("G")
        assert "last 14 days" not in desk.text
        await desk.press("k", "k")
        assert "local  requests of all asked of this provider · last 14 days, UTC" in desk.text
        assert asked()[-1] == UsageFilter(provider="local")
    async with console(replace(normal(), usage=True)) as desk:
        await desk.wait()
        assert not [query for query in desk.control.asked if isinstance(query, UsageQuery)]
