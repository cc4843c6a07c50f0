"""What the Usage screen makes of an answer: series that add up, words that fit."""

from dataclasses import replace

import pytest

from palyra.control.snapshots import ForecastView, Snapshot
from palyra.control.usage_queries import (
    InsightsAnswer,
    UsageAnswer,
    UsageEntry,
    UsageNumbers,
    UsageStep,
)
from palyra.core.clock import ManualClock
from palyra.tui.details.usage import panel_lines, under_lines
from palyra.tui.usage_view import MEASURES, Sight, bucket_words, filter_for, name_of, series_of, span_of
from palyra.tui.widgets.charts import MOST_SERIES, OTHER, top_series
from palyra.tui.widgets.lines import lines_text, text_of, width_of
from tests.tui.fake_alerts import reaching
from tests.tui.fake_control import FakeControl
from tests.tui.fake_views import DAY, HOUR, NOW, USD
from tests.tui.fake_worlds import empty

COST = MEASURES[0]


def costing(amount: int) -> UsageNumbers:
    return UsageNumbers(requests=1, cost_nano_usd=amount)


def answer_of(by: str, *steps: tuple[int, dict[str, int]]) -> UsageAnswer:
    timeline = tuple(
        UsageStep(number, number + 1, costing(total), {key: costing(amount) for key, amount in series.items()})
        for number, (total, series) in enumerate(steps)
    )
    return UsageAnswer(0, 9, by, "hour", "UTC", costing(0), timeline, ())


def test_what_is_not_told_apart_is_other() -> None:
    series = series_of(answer_of("session", (10, {"a": 6, "": 1}), (5, {"a": 5})), COST)
    assert [(one.name, one.values) for one in series] == [("a", (6, 5)), ("(none)", (1, 0)), (OTHER, (3, 0))]


def test_work_with_several_tags_has_no_other() -> None:
    series = series_of(answer_of("tag", (10, {"a=1": 8, "b=2": 8}), (7, {})), COST)
    assert [(one.name, one.values) for one in series] == [("a=1", (8, 0)), ("b=2", (8, 0))]


def test_differences_below_nothing_are_drawn_as_nothing() -> None:
    (series,) = series_of(answer_of("model", (4, {"m": 4}), (-3, {"m": -3})), COST)
    assert series.values == (4, 0)


def test_unnamed_amounts_join_the_series_that_are_too_many() -> None:
    named = {f"s{number}": [10 - number] for number in range(MOST_SERIES + 2)}
    series = top_series(named, others=[5])
    assert len(series) == MOST_SERIES + 1
    assert (series[-1].name, series[-1].total) == (OTHER, 4 + 3 + 5)


@pytest.mark.parametrize(
    ("by", "key", "name"), [("model", "openai/gpt", "gpt"), ("user", "a/b", "a/b"), ("job", "", "(none)")]
)
def test_an_entry_is_named_and_found_again(by: str, key: str, name: str) -> None:
    assert name_of(by, key) == name
    assert filter_for(by, key).given == {by: key}


def test_hours_of_a_part_hour_zone_begin_at_its_full_hours() -> None:
    since, until = span_of("hour", "Asia/Kolkata", NOW)
    assert (until - NOW, until - since) == (48 * 60_000, DAY)
    assert until % HOUR == HOUR // 2


def sight_of(*forecasts: ForecastView, reasons: dict[str, int] | None = None) -> Sight:
    mix = (UsageEntry("openai/" + "long-name-" * 9, costing(7), 1.0),)
    insights = InsightsAnswer(0, 9, (), reasons or {}, mix, (), forecasts)
    return Sight(answer_of("model"), (UsageEntry("maria", costing(5), 1.0),), insights)


async def nothing_else() -> Snapshot:
    return await FakeControl(empty(), ManualClock(NOW)).snapshot([])


def forecast(policy_id: str, reaches_at: int | None, metric: str = "estimated_cost_usd") -> ForecastView:
    return ForecastView(policy_id, "*", metric, NOW + DAY, 99 * USD, 50 * USD, reaches_at)


async def test_the_budget_that_ends_first_is_named_first() -> None:
    sight = sight_of(forecast("calm", None), forecast("later", NOW + 30 * HOUR), forecast("soon", NOW + HOUR))
    (words, *_) = under_lines(sight, await nothing_else(), "model", "UTC", NOW, 120)
    assert text_of(words).split("·")[0].split() == ["forecast", "soon", "reaches", "$50.00", "at", "11:42"]
    assert "later reaches $50.00 at Mon 11-23 16:42" in text_of(words)


async def test_lists_end_with_what_fits_in_full() -> None:
    sight = sight_of(reasons={f"reason_{number}": 9 - number for number in range(9)})
    rows = [text_of(row) for row in under_lines(sight, await nothing_else(), "model", "UTC", NOW, 80)]
    (routing,) = [row for row in rows if "routing" in row]
    assert routing.endswith("reason_4")
    assert len(routing) < 80


@pytest.mark.parametrize(("width", "mix"), [(56, "█ cc 57 %  +2"), (120, "█ cc 57 %  █ bb 29 %  █ aa 14 %")])
def test_the_mix_of_a_bucket_names_what_fits_in_full_and_counts_the_rest(width: int, mix: str) -> None:
    answer = answer_of("model", (7 * USD, {"aa": USD, "bb": 2 * USD, "cc": 4 * USD}))
    (step,) = answer.timeline
    words = bucket_words(step, 0, "hour", series_of(answer, COST), "UTC", width, marks=False)
    assert text_of(words).endswith(mix)
    assert width_of(words) < width


async def test_a_long_alert_gives_way_to_how_many_more_there_are() -> None:
    snapshot = await nothing_else()
    grave, other = (replace(reaching(name, NOW), summary="team-day reaches " + "x" * 90) for name in ("a", "b"))
    shown = replace(snapshot, alerts=(grave, other))
    (words, *_) = under_lines(sight_of(), shown, "model", "UTC", NOW, 80)
    assert text_of(words).endswith("… and 1 more")
    panel = lines_text(panel_lines(sight_of(), shown, "UTC", NOW, 119))
    assert panel.index("alerts") < panel.index("routing") < panel.index("forecasts")


@pytest.mark.parametrize("width", [110, 119, 200])
async def test_the_panel_keeps_to_its_width(width: int) -> None:
    sight = sight_of(forecast("x" * 90, NOW + HOUR), reasons={"r" * 150: 1})
    lines = panel_lines(sight, await nothing_else(), "UTC", NOW, width)
    assert max(map(width_of, lines)) <= width
    assert "model mix" in lines_text(lines)
