"""Runs: live ones first, older ones paged in, and every key of it."""

import asyncio
from dataclasses import replace

from palyra.control.commands import CancelRun
from palyra.control.queries import RunQuery, RunsQuery
from palyra.control.snapshots import RunView
from palyra.tui.widgets.live_table import MAX_ROWS
from tests.tui.desk import LARGE, Desk, console
from tests.tui.fake_views import CENT, NOW, ident, run
from tests.tui.fake_worlds import empty, normal


async def test_live_runs_first_then_the_newest() -> None:
    async with console(normal()) as desk:
        await desk.press("5")
        rows = desk.lines[3:9]
        assert [row[3:21].strip() for row in rows] == [
            "running stream",
            "parked",
            "completed",
            "completed",
            "budget_blocked",
            "provider_timeout",
        ]
        assert "2 live · 1 of 60" in desk.title


async def test_costs_are_told_apart_from_none_and_unknown() -> None:
    world = normal()
    world.runs = (*world.runs, run(90, "completed", "zoe", "local/llama", None))
    async with console(world) as desk:
        await desk.press("5")
        costs = [[word for word in line.split() if word[0] in "$<≤–"] for line in desk.lines[3:10]]
        assert [words[0] for words in costs] == ["≤$0.31", "≤$0.31", "$0.0312", "<$0.0001", "–", "$0.0000", "$0.1208"]
        await desk.press("slash")
        await desk.type("who:zoe")
        assert "unpriced" in desk.lines[3]


def position(desk: Desk) -> str:
    """Which of how many runs the cursor is on."""
    return " ".join(desk.title.split()[-3:])


async def test_a_list_without_end_is_gone_through_page_by_page_and_to_either_end_with_one_key() -> None:
    world = normal()
    world.older_runs = tuple(run(number, "completed", "old", "m/m", CENT) for number in range(300, 1_000))
    everything = len(world.runs) + len(world.older_runs)
    async with console(world, size=(80, 60)) as desk:
        await desk.press("5")
        queries = [query for query in desk.control.asked if isinstance(query, RunsQuery)]
        assert [(query.limit, query.counted) for query in queries[:1]] == [(100, False)]
        first = desk.list.table.selected_key
        await desk.press("G")
        assert position(desk) == f"{everything} of {everything}"
        assert [line[0] for line in desk.lines[56:59]] == [" ", "▌", " "], "the oldest, at the bottom"
        assert len(desk.list._subjects) <= MAX_ROWS
        await desk.press("k")
        assert position(desk) == f"{everything - 1} of {everything}"
        seen: list[str] = []
        while position(desk) != f"1 of {everything}":
            listed = list(desk.list._subjects)
            assert len(listed) <= MAX_ROWS
            assert listed.index(desk.list.table.selected_key or "") > 0, "there is always more above"
            seen += [key for key in listed if key not in seen]
            await desk.press("pageup")
        assert len(seen) == everything, "none was left out on the way"
        assert desk.list.table.selected_key == first
        await desk.press("pagedown", "pagedown", "pagedown", "j")
        assert position(desk) == f"{3 * 54 + 2} of {everything}"
        await desk.press("g")
        assert desk.lines[3].startswith("▌● running")
        assert position(desk) == f"1 of {everything}"
        assert desk.control.most_in_flight <= 2, "one page, one count"


async def test_no_run_falls_between_the_newest_and_the_older_ones() -> None:
    """A snapshot carries no more than the newest, and pages begin where it ended when they were asked for."""
    every = [run(-number, "completed", f"n{number}", "m/m", CENT) for number in range(701)]
    async with console(replace(normal(), runs=(every[0],), older_runs=())) as desk:
        await desk.press("5")
        for newest in (*range(10, 301, 15), 700):
            desk.control.change(runs=tuple(every[max(0, newest - 29) : newest + 1]), older_runs=tuple(every[:newest]))
            await desk.wait()
            await desk.press("g")
            await desk.wait()
            listed = [one.principal for one in desk.list._subjects.values() if isinstance(one, RunView)]
            expected = [f"n{number}" for number in range(newest, -1, -1)]
            assert listed == expected[: len(listed)]
            assert len(listed) >= min(newest + 1, 100)


async def test_a_long_run_that_just_ended_leaves_no_gap_before_the_pages() -> None:
    """It was accepted before many that have ended and are not in the snapshot any more."""
    world = normal()
    ended = tuple(run(number, "completed", f"n{number}", "m/m", CENT) for number in range(20))
    long = run(400, "completed", "long", "m/m", CENT, finished_at=NOW - 1_000)
    older = tuple(run(number, "completed", f"n{number}", "m/m", CENT) for number in range(20, 700) if number != 400)
    live = run(900, "running", "slow", "m/m", None)
    expected = ["slow", *(f"n{number}" if number != 400 else "long" for number in range(700))]
    async with console(replace(world, runs=(live, *ended, long), older_runs=older)) as desk:

        def listed() -> list[str]:
            return [one.principal for one in desk.list._subjects.values() if isinstance(one, RunView)]

        await desk.press("5")
        assert listed() == expected[: len(listed())]
        assert len(listed()) > 100
        for _ in range(9):
            await desk.press("pagedown")
        assert listed() == expected[: len(listed())], "neither left out nor told twice"
        assert position(desk) == f"{9 * 18 + 1} of 701"
        while len(listed()) < 420:
            await desk.press("pagedown")
        assert listed() == expected[: len(listed())]
        await desk.press("S")
        assert "long" in listed()


async def test_the_journal_filters_so_that_what_is_rare_is_there_at_once() -> None:
    world = normal()
    world.older_runs = tuple(
        run(number, "completed", "rare" if number % 9 == 0 else "old", "m/m", CENT) for number in range(10, 4_000)
    )
    async with console(world) as desk:
        await desk.press("5", "slash")
        await desk.type("who:rare !state:failed")
        await desk.press("enter")
        assert "/ who:rare !state:failed  1 of 443 " in desk.title
        await desk.press("G")
        assert "  443 of 443 " in desk.title
        assert {one.principal for one in desk.list._subjects.values() if isinstance(one, RunView)} == {"rare"}
        asked = [query for query in desk.control.asked if isinstance(query, RunsQuery)]
        await desk.press("escape")
        assert "/ who:rare" not in desk.title
        assert all(len(query.terms) == 2 for query in asked[-3:])


async def test_the_detail_explains_the_decision_and_shows_attempts_and_notes() -> None:
    async with console(normal()) as desk:
        await desk.press("5", "j", "j", "enter")
        text = desk.text
        assert "● completed stop" in text
        assert "$0.0312" in text
        assert "why approval required" in text
        assert "budget_approval_required  explicit_model" in text or "budget_approval_required explicit_model" in text
        assert "settled" in text
        assert "notes" in text
        await desk.press("escape")
        assert "Runs  " in desk.title


async def test_the_detail_is_asked_once_for_each_run_and_late_answers_of_others_are_not_shown() -> None:
    async with console(normal(), size=LARGE) as desk:
        desk.control.gate = asyncio.Event()
        await desk.press("5", "j", "j", "j")
        assert desk.control.most_in_flight <= 2, "one page of runs, one run"
        desk.control.gate.set()
        await desk.settle()
        asked = [query.run_id for query in desk.control.asked if isinstance(query, RunQuery)]
        assert asked[-1] == ident(2003)
        assert len(asked) == 2, "those in between were never asked"
        assert "agent-ci" in desk.text


async def test_the_run_that_is_looked_at_stays_when_more_are_listed_than_a_table_takes() -> None:
    async with console(replace(normal(), older_runs=()), size=LARGE) as desk:
        await desk.press("5", "j", "j", "j")
        looked_at = desk.list.table.selected_key
        detail = desk.list.pane.lines
        asked = [query for query in desk.control.asked if isinstance(query, RunQuery)]
        for start in (0, MAX_ROWS):
            desk.control.change(
                runs=tuple(run(-start - number, "completed", "new", "m/m", CENT) for number in range(1, MAX_ROWS + 1))
            )
            await desk.wait()
            assert desk.list.table.selected_key == looked_at
            assert list(desk.list._subjects)[-1] == looked_at
            assert len(desk.list._subjects) == MAX_ROWS
        assert desk.list.pane.lines == detail
        assert [query for query in desk.control.asked if isinstance(query, RunQuery)] == asked, "nothing looked up anew"


async def test_the_run_that_is_looked_at_stays_while_newer_ones_push_the_others_out() -> None:
    async with console(replace(normal(), older_runs=()), size=LARGE) as desk:
        await desk.press("5", "j", "j", "j")
        looked_at = desk.list.table.selected_key
        detail = desk.list.pane.lines
        asked = [query for query in desk.control.asked if isinstance(query, RunQuery)]
        for start in (0, 50, 100):
            newer = tuple(run(-start - number, "completed", "new", "m/m", CENT) for number in range(1, 51))
            desk.control.change(runs=newer)
            await desk.wait()
            assert desk.list.table.selected_key == looked_at
            assert f"run:{newer[0].run_id}" in desk.list._subjects
        assert len(desk.list._subjects) == 51
        assert desk.list.pane.lines == detail
        again = [query for query in desk.control.asked if isinstance(query, RunQuery)]
        assert again == asked, "what is looked at was not asked for again"
        await desk.press("k")
        assert desk.list.table.selected_key != looked_at
        await desk.wait()
        assert looked_at not in desk.list._subjects


async def test_c_cancels_a_live_run_after_a_dialog() -> None:
    async with console(normal()) as desk:
        await desk.press("5")
        await desk.ready()
        await desk.press("c")
        assert desk.dialog == "ConfirmDialog"
        assert desk.app.focused is not None
        assert desk.app.focused.id == "keep"
        await desk.press("enter")
        assert desk.control.sent == []
        await desk.press("c", "tab", "enter")
        assert desk.control.sent == [CancelRun(ident(2000))]
        assert "The run is cancelled" in desk.notice


async def test_an_ended_run_cannot_be_cancelled_and_says_so() -> None:
    async with console(normal()) as desk:
        await desk.press("5", "j", "j")
        await desk.ready()
        assert desk.notice == ""
        await desk.press("c")
        assert desk.notice == "▲ Cancel the run: it is over (completed)."
        assert desk.dialog == ""


async def test_x_explains_the_decision() -> None:
    async with console(normal()) as desk:
        await desk.press("5", "x")
        assert desk.dialog == "DecisionDialog"
        await desk.press("y")
        assert "The request names openai/gpt-5.4" in desk.app.clipboard
        assert desk.dialog == ""


async def test_a_live_run_that_streams_on_does_not_hold_up_cancelling() -> None:
    world = normal()
    async with console(world) as desk:
        await desk.press("5")
        await desk.ready()
        first, *rest = world.runs
        for number in range(3):
            streamed = run(0, "running", "agent-ci", "openai/gpt-5.4", None, output_tokens=900 + number)
            desk.control.change(runs=(streamed, *rest))
            await desk.wait(0.25)
        await desk.press("c")
        assert desk.dialog == "ConfirmDialog"
        assert first.output_tokens == 812


async def test_an_order_is_of_all_there_is_room_for() -> None:
    world = normal()
    world.older_runs = tuple(run(number, "completed", "old", "m/m", number * CENT) for number in range(10, 390))
    async with console(world) as desk:
        await desk.press("5", "S", "g")
        assert "by cost  " in desk.title
        assert "2 live · 387 shown" in desk.title
        assert "$3.8900" in desk.lines[3]


async def test_an_order_that_is_not_of_all_says_of_how_many_it_is() -> None:
    world = normal()
    world.older_runs = tuple(run(number, "completed", "old", "m/m", number * CENT) for number in range(10, 900))
    async with console(world) as desk:
        await desk.press("5", "S", "G")
        loaded = len(desk.list._subjects)
        assert 300 < loaded <= MAX_ROWS
        assert f"by cost of the {loaded} loaded" in desk.title
        await desk.press("S", "S", "S")
        assert "loaded" not in desk.title


async def test_a_live_run_tells_when_it_beat_and_that_it_fell_silent() -> None:
    world = normal()
    first, second, *rest = world.runs
    first = replace(first, beat_at=NOW - 4_000, progress_at=NOW - 9_000)
    silent = replace(second, state="running", beat_at=NOW - 41_000, progress_at=NOW - 60_000)
    async with console(replace(world, runs=(first, silent, *rest)), size=(200, 60)) as desk:
        await desk.press("5")
        assert "heartbeat  0:04 ago, progress 0:09 ago" in desk.text
        assert " 0:04 stream" in desk.lines[3]
        assert " 0:41 silent 0:41" in desk.lines[4]


async def test_sort_orders() -> None:
    async with console(normal()) as desk:
        await desk.press("5", "S")
        assert "by cost" in desk.title
        costs = [item.cost_nano_usd or 0 for item in desk.list._subjects.values() if isinstance(item, RunView)]
        assert costs == sorted(costs, reverse=True)


async def test_at_80_columns_nothing_that_an_operator_looks_for_is_cut_or_left_out() -> None:
    """Why one failed and what a live one holds stand where its state and its cost would."""
    world = normal()
    failed = run(77, "failed", "hourly-job", "anthropic/claude-opus-5", 0, reason="transient_upstream")
    live = run(78, "running", "agent-ci", "openai/gpt-5.4", None, beat_at=NOW - 4_000, held_nano_usd=97 * CENT)
    tiny = replace(live, run_id="01K3TINY", held_nano_usd=1_041_500)
    async with console(replace(world, runs=(live, tiny, failed, *world.runs))) as desk:
        await desk.press("5")
        await desk.wait()
        assert any("≤$0.0011 " in one for one in desk.lines), "not cut, and not less than it is"
        told = [one.split() for one in desk.lines]
        assert desk.lines[2].split() == ["state", "who", "model", "tokens", "cost", "beat", "age"]
        assert ["✖", "transient_upstream", "hourly-job", "claude-opus-5"] in [one[:4] for one in told]
        (row,) = [one for one in told if "≤$0.97" in one]
        assert row[:5] == ["●", "running", "stream", "agent-ci", "gpt-5.4"]
        assert row[6:8] == ["≤$0.97", "0:05"]


async def test_with_room_each_has_a_column_of_its_own_and_the_cursor_stays_when_it_comes() -> None:
    async with console(normal()) as desk:
        await desk.press("5", "j", "j")
        selected = desk.list.table.selected_key
        await desk.pilot.resize_terminal(200, 60)
        await desk.settle()
        heading = ["state", "who", "session", "model", "tokens", "cost", "held", "beat", "why", "age"]
        assert desk.lines[2].split()[:10] == heading
        assert desk.list.table.selected_key == selected
        await desk.pilot.resize_terminal(80, 24)
        await desk.settle()
        assert desk.lines[2].split() == ["state", "who", "model", "tokens", "cost", "beat", "age"]
        assert desk.list.table.selected_key == selected


async def test_what_an_empty_list_teaches_is_whole_and_the_panel_comes_with_the_first_row() -> None:
    async with console(empty(), size=LARGE) as desk:
        await desk.press("5")
        await desk.wait()
        assert not desk.list.pane.display or not desk.list.pane.size.width
        assert not any("…" in one for one in desk.lines[2:-1])
    async with console(normal(), size=LARGE) as desk:
        await desk.press("5")
        await desk.wait()
        assert desk.list.pane.size.width
