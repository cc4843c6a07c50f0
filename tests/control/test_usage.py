"""What consoles may ask of usage: defaults, limits, and answers that belong to one moment."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from palyra.control import usage
from palyra.control.usage import UsageRecords
from palyra.control.usage_queries import (
    InsightsQuery,
    UsageQuery,
    UsageRowsQuery,
    UsageRunsQuery,
)
from palyra.core.clock import ManualClock
from palyra.core.errors import BadInputError
from palyra.core.scope import Scope
from palyra.core.usage_filter import UsageFilter
from palyra.journal.changes import DecisionMade, HoldTaken, RunSaved, UsageRecorded
from palyra.journal.journal import Journal
from tests.journal.samples import DAY, HOUR, a_decision, a_hold, a_run, a_usage, ended

NOW = ManualClock().now_ms()


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    opened = await Journal.open(tmp_path, ManualClock())
    yield opened
    await opened.close()


@pytest.fixture
def records(journal: Journal) -> UsageRecords:
    return UsageRecords(journal.readers, ManualClock())


async def use(journal: Journal, at: int, *, user: str = "ann", **changes: Any) -> None:
    run = ended(a_run(accepted_at=at - 9, scope=Scope(user, f"{user}-s")), finished_at=at)
    hold = a_hold(run)
    await journal.submit(
        [RunSaved(run), DecisionMade(a_decision(run)), HoldTaken(hold), UsageRecorded(a_usage(hold, at=at, **changes))]
    )


async def test_without_ends_the_last_thirty_days_are_meant(journal: Journal, records: UsageRecords) -> None:
    for at in (NOW - 30 * DAY, NOW - 30 * DAY + 1, NOW, NOW + 1):
        await use(journal, at)
    answer = await records.usage(UsageQuery())
    assert (answer.until, answer.until - answer.since) == (NOW + 1, 30 * DAY)
    assert answer.total.requests == 2
    assert (answer.bucket, len(answer.timeline)) == ("day", 31)


@pytest.mark.parametrize(("hours", "bucket"), [(72, "hour"), (72.001, "day")])
async def test_up_to_72_hours_are_cut_at_hours(records: UsageRecords, hours: float, bucket: str) -> None:
    answer = await records.usage(UsageQuery(NOW - round(hours * HOUR), NOW))
    assert answer.bucket == bucket
    assert all(step.total.requests == 0 for step in answer.timeline)
    assert len(answer.timeline) == (72 if bucket == "hour" else 4)


async def test_a_start_is_in_and_an_end_is_out(journal: Journal, records: UsageRecords) -> None:
    await use(journal, NOW - HOUR)
    assert (await records.usage(UsageQuery(NOW - HOUR, NOW))).total.requests == 1
    assert (await records.usage(UsageQuery(NOW - 2 * HOUR, NOW - HOUR))).total.requests == 0


@pytest.mark.parametrize(
    ("query", "named"),
    [
        (UsageQuery(NOW, NOW - 1), "before it starts"),
        (UsageQuery(NOW - 368 * DAY, NOW), "366 days"),
        (UsageQuery(NOW - 368 * DAY, NOW, bucket="none"), "366 days"),
        (UsageQuery(NOW - 1, NOW, bucket="week"), "week"),
        (UsageQuery(NOW - 1, NOW, by="colour"), "colour"),
        (UsageQuery(NOW - DAY, NOW, timezone="Prague"), "Europe/Prague"),
        (UsageQuery(NOW - DAY, NOW, cursor="{}"), "cursor"),
    ],
)
async def test_what_cannot_be_answered_is_refused_in_words(
    records: UsageRecords, query: UsageQuery, named: str
) -> None:
    with pytest.raises(BadInputError, match=named):
        await records.usage(query)


async def test_rows_and_runs_keep_to_a_year_too(records: UsageRecords) -> None:
    with pytest.raises(BadInputError, match="366 days"):
        await records.rows(UsageRowsQuery(0, NOW))
    with pytest.raises(BadInputError, match="before it starts"):
        await records.runs(UsageRunsQuery(NOW, 0))


async def test_a_page_has_ten_entries_unless_told_and_never_more_than_fifty(
    journal: Journal, records: UsageRecords
) -> None:
    for number in range(55):
        await use(journal, NOW - number, user=f"u{number:02}", charge=number)
    first = await records.usage(UsageQuery(NOW - DAY, NOW + 1, by="user", bucket="none"))
    assert (len(first.breakdown), bool(first.next_cursor), first.timeline) == (10, True, ())
    most = await records.usage(UsageQuery(NOW - DAY, NOW + 1, by="user", bucket="none", limit=500))
    rest = await records.usage(
        UsageQuery(NOW - DAY, NOW + 1, by="user", bucket="none", limit=500, cursor=most.next_cursor)
    )
    keys = [entry.key for entry in (*most.breakdown, *rest.breakdown)]
    assert (len(most.breakdown), rest.next_cursor) == (50, "")
    assert keys == [f"u{number:02}" for number in reversed(range(55))]
    assert sum(entry.share for entry in (*most.breakdown, *rest.breakdown)) == pytest.approx(1.0)


async def test_the_middle_latency_is_told_where_it_is_cheap(
    journal: Journal, records: UsageRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    for latency in (100, 900, 200):
        await use(journal, NOW, latency_ms=latency)
    assert (await records.usage(UsageQuery())).median_latency_ms == 200
    assert (await records.usage(UsageQuery())).total.average_latency_ms == 400
    monkeypatch.setattr(usage, "SORTED_AT_MOST", 2)
    assert (await records.usage(UsageQuery())).median_latency_ms is None


async def test_shares_are_of_tokens_where_nothing_cost_anything(journal: Journal, records: UsageRecords) -> None:
    await use(journal, NOW, charge=0, input_total=30, output_total=0)
    await use(journal, NOW, user="bob", charge=None, input_total=10, output_total=0)
    answer = await records.usage(UsageQuery(by="user"))
    assert {entry.key: entry.share for entry in answer.breakdown} == {"ann": 0.75, "bob": 0.25}
    assert answer.total.unpriced == 1


async def test_a_filter_holds_for_every_part_of_an_answer(journal: Journal, records: UsageRecords) -> None:
    await use(journal, NOW, charge=1, latency_ms=10)
    await use(journal, NOW, user="bob", charge=5, latency_ms=90)
    answer = await records.usage(UsageQuery(where=UsageFilter(session="bob-s")))
    assert (answer.total.cost_nano_usd, answer.median_latency_ms) == (5, 90)
    assert sum(step.total.cost_nano_usd for step in answer.timeline) == 5
    assert [entry.numbers.cost_nano_usd for entry in answer.breakdown] == [5]


async def test_insights_are_of_a_day_unless_told(journal: Journal, records: UsageRecords) -> None:
    await use(journal, NOW)
    await use(journal, NOW - DAY - 10)
    answer = await records.insights(InsightsQuery(limit=5))
    assert (answer.until - answer.since, len(answer.decisions)) == (DAY, 2)
    assert answer.decisions[0].reason_codes == ("budget_ok", "complexity_low")
    assert answer.reasons == {"budget_ok": 1, "complexity_low": 1}
    assert [entry.numbers.requests for entry in answer.mix] == [1]
