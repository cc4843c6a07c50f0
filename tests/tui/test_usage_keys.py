"""Usage: the numbers to the nano-dollar, a timeline with a cursor, and every key of it."""

import asyncio
from dataclasses import replace

import pytest

from palyra.control.usage_queries import UsageQuery, UsageRunsQuery
from palyra.core.usage_filter import ANYTHING, UsageFilter
from palyra.tui import usage_view
from palyra.tui.screens import usage as usage_screen
from palyra.tui.usage_view import MEASURES
from tests.tui.desk import LARGE, Desk, console
from tests.tui.fake_usage import NAMES
from tests.tui.fake_views import DAY, HOUR, MIDNIGHT, NOW
from tests.tui.fake_worlds import empty, normal


def usage_queries(desk: Desk) -> list[UsageQuery]:
    return [query for query in desk.control.asked if isinstance(query, UsageQuery) and query.bucket != "none"]


def runs_asked(desk: Desk) -> UsageRunsQuery:
    return [query for query in desk.control.asked if isinstance(query, UsageRunsQuery)][-1]


async def test_the_metric_grid_is_short_and_the_bar_under_the_cursor_exact() -> None:
    async with console(normal()) as desk:
        await desk.press("4")
        assert "tokens 7.87 M  cost $93.06  latency 1.9 s  requests 2,836  refused 54" in desk.lines[2]
        assert "last 24 h by model" in desk.title
        assert "v cost  b model  d days" in desk.title


async def test_the_last_24_hours_are_asked_by_model_in_whole_hours() -> None:
    async with console(normal()) as desk:
        await desk.press("4")
        query = usage_queries(desk)[-1]
        end = NOW - NOW % HOUR + HOUR
        assert (query.since, query.until, query.by, query.bucket) == (end - 24 * HOUR, end, "model", "hour")


async def test_the_cursor_moves_over_buckets_and_tells_each_in_words() -> None:
    async with console(normal()) as desk:
        await desk.press("4")
        assert "10:00–11:00  $3.806250029  116 req" in desk.text
        await desk.press("left_square_bracket")
        assert "09:00–10:00" in desk.text
        assert "▲09:00" in desk.text
        await desk.press("left", "left", "right")
        assert "08:00–09:00" in desk.text
        for _ in range(40):
            desk._send("left_square_bracket")
        await desk.settle()
        assert "11:00–12:00" in desk.text
        for _ in range(40):
            desk._send("right_square_bracket")
        await desk.settle()
        assert "10:00–11:00" in desk.text


async def test_a_cursor_that_was_moved_stays_on_its_hour_and_one_at_the_end_follows_the_clock() -> None:
    async with console(normal()) as desk:
        await desk.press("4", "left_square_bracket")
        await desk.jump(HOUR / 1_000)
        assert "09:00–10:00" in desk.text
        await desk.press("right_square_bracket", "right_square_bracket")
        assert "11:00–12:00" in desk.text


async def test_d_shows_days_and_h_hours() -> None:
    async with console(normal()) as desk:
        await desk.press("4", "d")
        query = usage_queries(desk)[-1]
        assert (query.bucket, query.since, query.until) == ("day", MIDNIGHT - 29 * DAY, MIDNIGHT + DAY)
        assert "last 30 days" in desk.title
        assert "▲11-22" in desk.text
        assert "h hours" in desk.title
        assert "d days" not in desk.title
        await desk.press("h")
        assert usage_queries(desk)[-1].bucket == "hour"


async def test_v_goes_through_the_measures_without_asking_again() -> None:
    async with console(normal()) as desk:
        await desk.press("4")
        asked = len(usage_queries(desk))
        for measure in ("tokens", "requests", "refused", "cost"):
            await desk.press("v")
            assert f"v {measure}  b model" in desk.title
        assert len(usage_queries(desk)) == asked


async def test_b_goes_through_the_breakdowns() -> None:
    async with console(normal()) as desk:
        await desk.press("4")
        for by in ("user", "session", "key", "provider", "agent", "job", "tag", "model"):
            await desk.press("b")
            assert usage_queries(desk)[-1].by == by
            assert f"all {by}s" in desk.text
            heading = next(line for line in desk.lines if "requests" in line and "share" in line)
            assert heading.split()[0] == by
        await desk.press("b")
        assert "maria" in desk.text


async def test_the_timeline_follows_the_breakdown() -> None:
    async with console(normal()) as desk:
        await desk.press("4")
        assert "█ gpt-5.4 " in desk.text
        await desk.press("b")
        assert "last 24 h by user" in desk.title
        assert "█ agent-ci " in desk.text
        assert "█ gpt-5.4 " not in desk.text
        for _ in range(5):
            await desk.press("b")
        assert "last 24 h by job" in desk.title
        assert "█ (none) " in desk.text


async def test_work_that_names_nothing_has_a_row_and_runs_of_its_own() -> None:
    async with console(normal()) as desk:
        await desk.press("4", "b", "b", "b", "b", "b", "b", "j")
        assert any("(none)" in line and line.startswith("▌") for line in desk.lines)
        await desk.press("enter")
        assert runs_asked(desk).where == UsageFilter(job="")
        assert "10:00–11:00 (none)" in desk.title


async def test_the_way_back_from_a_decision_ends_where_it_began() -> None:
    async with console(normal()) as desk:
        await desk.press("4", "b", "left_square_bracket", "j", "j", "enter", "escape")
        assert desk.front.NAME == "usage"
        assert "09:00–10:00" in desk.text
        assert desk.list.table.selected_key == "usage:maria"
        await desk.press("left_square_bracket", "right_square_bracket", "right_square_bracket", "g", "enter")
        assert "Runs › 10:00–11:00" in desk.title
        await desk.press("j", "enter")
        assert desk.list.opened
        selected = desk.list.table.selected_key
        await desk.press("escape")
        assert desk.list.table.selected_key == selected
        await desk.press("escape")
        assert "by user" in desk.title


async def test_what_matters_stands_under_the_table() -> None:
    async with console(normal()) as desk:
        await desk.press("4")
        assert "alert      ▲ " in desk.text
        assert "forecast   team-day reaches $45.00 at 15:42 · month ends near $931 of $1,200" in desk.text
        assert "routing    1,204 cheapest_capable · 38 budget_allowed_premium_model" in desk.text
        assert "w what-if  e export" in desk.footer
        assert "top users  agent-ci $" in desk.text
        await desk.press("b")
        assert "top users" not in desk.text


async def test_wide_terminals_get_the_mix_beside_the_reasons() -> None:
    async with console(normal(), size=LARGE) as desk:
        await desk.press("4")
        for text in ("model mix", "top users", "routing", "forecasts", "1,204  cheapest_capable", "median 1.4 s"):
            assert text in desk.text


async def test_without_usage_the_screen_teaches() -> None:
    async with console(empty()) as desk:
        await desk.press("4")
        assert "/v1" in desk.text
        assert "forecast" not in desk.text
        assert "e export" not in desk.footer


async def test_enter_shows_the_runs_of_the_bucket_and_escape_returns() -> None:
    async with console(normal()) as desk:
        await desk.press("4", "enter")
        assert desk.front.NAME == "runs"
        assert "Runs › 10:00–11:00" in desk.title
        query = runs_asked(desk)
        assert (query.since, query.until, query.where) == (NOW - NOW % HOUR, NOW - NOW % HOUR + HOUR, ANYTHING)
        await desk.press("enter")
        assert desk.list.opened
        await desk.press("escape", "escape")
        assert desk.front.NAME == "usage"
        await desk.press("5")
        assert "10:00–11:00" not in desk.title


async def test_enter_on_a_row_keeps_to_its_model() -> None:
    async with console(normal()) as desk:
        await desk.press("4", "j", "enter")
        assert runs_asked(desk).where == UsageFilter(model="openai/gpt-5.4")
        assert "Runs › 10:00–11:00 gpt-5.4" in desk.title


async def test_an_empty_bucket_says_so() -> None:
    async with console(normal()) as desk:
        await desk.press("4")
        for _ in range(6):
            await desk.press("left_square_bracket")
        await desk.press("enter")
        assert "no runs in 04:00–05:00" in desk.text


async def test_numbers_are_asked_again_only_after_something_happened_and_never_twice_at_a_time() -> None:
    async with console(normal()) as desk:
        await desk.press("4")
        await desk.wait(20)
        before = len(usage_queries(desk))
        desk.control.change(requests_total=3_103)
        await desk.wait(1)
        assert len(usage_queries(desk)) == before + 1
        desk.control.gate = asyncio.Event()
        for number in range(20):
            desk.control.change(requests_total=4_000 + number)
            await desk.wait(5)
        assert desk.control.in_flight == 1
        desk.control.gate.set()
        await desk.settle()
        assert desk.control.most_in_flight == 1


async def test_the_longer_an_answer_took_the_longer_the_next_question_waits() -> None:
    async with console(normal()) as desk:
        desk.control.gate = asyncio.Event()
        await desk.press("4")
        await desk.wait(4)
        desk.control.gate.set()
        await desk.settle()
        before = len(usage_queries(desk))
        desk.control.change(requests_total=9_001)
        await desk.wait(30)
        assert len(usage_queries(desk)) == before
        await desk.wait(10)
        assert len(usage_queries(desk)) == before + 1


async def test_wide_terminals_get_more_columns() -> None:
    async with console(normal(), size=LARGE) as desk:
        await desk.press("4")
        heading = next(line for line in desk.lines if "requests" in line and "share" in line)
        for title in ("refused", "failed", "input", "output", "latency"):
            assert title in heading


async def test_a_click_on_the_timeline_moves_the_cursor() -> None:
    async with console(normal()) as desk:
        await desk.press("4")
        plot = desk.app.screen.query_one("#plot")
        await desk.pilot.click(plot, offset=(10, 2))
        await desk.settle()
        assert "10:00–11:00  $" not in desk.text


async def test_unpriced_usage_is_not_shown_as_free() -> None:
    async with console(replace(normal(), usage=True)) as desk:
        await desk.press("4")
        assert "unpriced" not in desk.lines[2]


def listed(desk: Desk, names: tuple[str, ...]) -> list[str]:
    """Those of the names that the table shows, from its top."""
    first = next(number for number, line in enumerate(desk.lines) if "all models" in line)
    rows = [line.split()[0].removeprefix("▌") for line in desk.lines[first + 1 : first + 4] if line.strip()]
    return [row for row in rows if row in names]


async def test_the_table_is_ranked_by_the_shown_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    measures = (MEASURES[0], replace(MEASURES[1], of=lambda numbers: -numbers.cost_nano_usd), *MEASURES[2:])
    monkeypatch.setattr(usage_screen, "MEASURES", measures)
    async with console(normal(), size=LARGE) as desk:
        await desk.press("4")
        dearest = listed(desk, NAMES["model"])
        assert len(dearest) == 3
        await desk.press("v")
        assert listed(desk, NAMES["model"]) == dearest[::-1]


async def test_m_lists_the_next_page_of_the_breakdown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_view, "LISTED", 1)
    async with console(normal(), size=LARGE) as desk:
        await desk.press("4")
        assert len(listed(desk, NAMES["model"])) == 1
        await desk.press("m")
        assert len(listed(desk, NAMES["model"])) == 2
        await desk.press("m")
        assert len(listed(desk, NAMES["model"])) == 3
        asked = len(desk.control.asked)
        await desk.press("m")
        assert len(desk.control.asked) == asked


async def test_what_neither_the_table_nor_what_stands_under_it_needs_is_the_timelines() -> None:
    for size in ((200, 60), (120, 40)):
        async with console(normal(), size=size) as desk:
            await desk.press("4")
            last = next(number for number, text in enumerate(desk.lines) if "openai/gpt-5.4-mini  " in text)
            assert [desk.lines[last + step].strip() == "" for step in (1, 2)] == [True, False]
            # The axis ends near the highest bar.
            bars = [text for text in desk.lines[3:last] if "┤" in text]
            empty = sum("█" not in text and "▁" not in text for text in bars)
            assert empty <= len(bars) // 7 + 1
