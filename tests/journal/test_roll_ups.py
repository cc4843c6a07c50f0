"""Timelines and breakdowns say what the rows say: to the token, for any period, in any zone."""

import tempfile
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palyra.core.clock import ManualClock
from palyra.core.errors import BadInputError
from palyra.core.scope import Scope
from palyra.core.usage_filter import UsageFilter
from palyra.core.windows import Interval, window_for
from palyra.journal.changes import Change, DecisionMade, HoldTaken, RunSaved, UsageRecorded
from palyra.journal.journal import Journal
from palyra.journal.readers import Readers, sums_check
from palyra.journal.readers import usage as usage_readers
from palyra.journal.readers.query import CHUNK
from palyra.journal.readers.usage import MAX_SERIES
from palyra.journal.readers.usage_facts import DAY_STEPS, REASON_STEPS, pieces
from palyra.journal.rows import RunRow, UsageRow, UsageSample, UsageSlice, UsageTotals
from tests.journal.samples import DAY, HOUR, SCOPE, T0, a_decision, a_hold, a_run, a_usage, ended

ZONES = ["UTC", "Europe/Prague", "Asia/Kolkata", "Australia/Lord_Howe", "America/Santiago"]
START = T0 // DAY * DAY
moments = st.integers(START - DAY, START + 3 * DAY) | st.builds(
    lambda hour, edge: START + hour * HOUR + edge, st.integers(-24, 72), st.sampled_from([-1, 0, 1])
)
scopes = st.builds(
    Scope,
    st.sampled_from(["ann", "bob"]),
    st.sampled_from(["s1", "s2", "s3", "s4"]),
    st.sampled_from(["k1", "k2"]),
    st.sampled_from(["", "web"]),
    st.sampled_from(["", "coder"]),
    st.sampled_from(["", "nightly"]),
    st.dictionaries(st.sampled_from(["team", "env"]), st.sampled_from(["a", "b"]), max_size=2),
)
models = st.sampled_from([("openai", "m1"), ("openai", "m2"), ("azure", "m1"), ("", "")])
small = st.integers(0, 5)


@st.composite
def facts(draw: st.DrawFn) -> tuple[list[RunRow], list[UsageRow]]:
    runs: list[RunRow] = []
    usages: list[UsageRow] = []
    for _ in range(draw(st.integers(0, 8))):
        provider, model = draw(models)
        run = a_run(scope=draw(scopes), provider=provider, model=model, accepted_at=draw(moments))
        state = draw(st.sampled_from(["pending", "running", "completed", "failed", "cancelled", "refused"]))
        if state not in ("pending", "running"):
            run = ended(run, state, finished_at=draw(moments))
        runs.append(run)
        for attempt in range(draw(st.integers(0, 2))):
            hold = a_hold(run, attempt=attempt)
            usages.append(
                a_usage(
                    hold,
                    at=draw(moments),
                    input_total=draw(small),
                    output_total=draw(small),
                    cache_read=draw(small),
                    reasoning=draw(small),
                    charge=draw(st.none() | small),
                    latency_ms=draw(small),
                )
            )
            for charge in draw(st.lists(st.integers(-5, 5), max_size=2)):
                corrected = a_usage(hold, hold_id="", at=draw(moments), charge=charge, output_total=-1, latency_ms=0)
                usages.append(replace(corrected, corrects=hold.hold_id))
    return runs, usages


def summed(runs: Iterable[RunRow], usages: Iterable[UsageRow]) -> UsageTotals:
    runs, usages = list(runs), list(usages)
    return UsageTotals(
        runs=len(runs),
        ok=sum(run.state == "completed" for run in runs),
        failed=sum(run.state == "failed" for run in runs),
        refused=sum(run.state == "refused" for run in runs),
        input_tokens=sum(usage.input_total for usage in usages),
        output_tokens=sum(usage.output_total for usage in usages),
        cached_tokens=sum(usage.cache_read for usage in usages),
        reasoning_tokens=sum(usage.reasoning for usage in usages),
        cost=sum(usage.charge or 0 for usage in usages),
        unpriced=sum(usage.charge is None for usage in usages),
        latency_ms=sum(usage.latency_ms for usage in usages),
        attempts=sum(not usage.corrects for usage in usages),
    )


def within(runs: list[RunRow], usages: list[UsageRow], start: int, end: int) -> tuple[list[RunRow], list[UsageRow]]:
    return (
        [run for run in runs if run.finished_at is not None and start <= run.finished_at < end],
        [usage for usage in usages if start <= usage.at < end],
    )


def by_key(runs: list[RunRow], usages: list[UsageRow], keys: Callable[[Any], Iterable[str]]) -> dict[str, UsageTotals]:
    found = {key for row in [*runs, *usages] for key in keys(row)}
    sums = {
        key: summed([run for run in runs if key in keys(run)], [usage for usage in usages if key in keys(usage)])
        for key in found
    }
    return {key: totals for key, totals in sums.items() if any(totals)}


KEYS: dict[str, Callable[[Any], Iterable[str]]] = {
    "model": lambda row: [row.model],
    "provider": lambda row: [row.provider],
    "user": lambda row: [row.scope.principal],
    "session": lambda row: [row.scope.session],
    "agent": lambda row: [row.scope.agent],
    "job": lambda row: [row.scope.job],
    "key": lambda row: [row.scope.key_id],
    "channel": lambda row: [row.scope.channel],
    "tag": lambda row: [f"{name}={value}" for name, value in row.scope.tags.items()],
}


def dearest_first(entries: dict[str, UsageTotals]) -> list[UsageSlice]:
    return [
        UsageSlice(key, totals)
        for key, totals in sorted(
            entries.items(), key=lambda item: (-item[1].cost, -item[1].attempts, -item[1].runs, item[0])
        )
    ]


def kept_by(where: UsageFilter, rows: list[Any]) -> list[Any]:
    return [row for row in rows if all(value in KEYS[name](row) for name, value in where.given.items())]


filters = st.just(UsageFilter()) | st.builds(
    lambda name, value: UsageFilter(**{name: value}),
    st.sampled_from(sorted(KEYS)),
    st.sampled_from(["", "ann", "s1", "m1", "openai", "coder", "nightly", "k1", "web", "team=a"]),
)


def dearest_series(entries: dict[str, UsageTotals]) -> list[str]:
    return [entry.key for entry in dearest_first(entries)[:MAX_SERIES]]


@asynccontextmanager
async def written(runs: list[RunRow], usages: list[UsageRow]) -> AsyncIterator[Readers]:
    """The history as the real writer writes it, every row of it several times."""
    with tempfile.TemporaryDirectory() as directory:
        journal = await Journal.open(Path(directory), ManualClock())
        try:
            for run in runs:
                unit: list[Change] = [RunSaved(replace(run, version=1, state="pending", finished_at=None))]
                for usage in (usage for usage in usages if usage.run_id == run.run_id):
                    if usage.hold_id:
                        unit.append(HoldTaken(a_hold(run, usage.hold_id, attempt=usage.attempt)))
                    unit.append(UsageRecorded(usage))
                journal.submit(unit)
                journal.submit([RunSaved(run)])
            for usage in (usage for usage in usages if usage.hold_id):
                journal.submit([UsageRecorded(replace(usage, input_total=99, charge=99))])
            for run in runs:
                journal.submit([RunSaved(replace(run, version=run.version + 1, state="failed", finished_at=START))])
            await journal.submit(())
            yield journal.readers
        finally:
            await journal.close()


async def pages(readers: Readers, since: int, until: int, by: str, where: UsageFilter, limit: int) -> list[UsageSlice]:
    """A breakdown, turned over page by page."""
    found: list[UsageSlice] = []
    cursor = None
    while cursor != "":
        page = await readers.usage_breakdown(since, until, by, where=where, limit=limit, cursor=cursor or "")
        assert len(page.entries) <= limit
        found += page.entries
        cursor = page.cursor
    return found


@settings(max_examples=60, deadline=None)
@given(facts(), moments, moments, st.sampled_from(ZONES), st.sampled_from(sorted(KEYS)), filters)
async def test_every_answer_equals_the_sum_of_the_rows(
    rows: tuple[list[RunRow], list[UsageRow]], one: int, other: int, zone: str, by: str, where: UsageFilter
) -> None:
    runs, usages = rows
    runs = [run if run.finished_at is not None else ended(run, "failed", finished_at=START) for run in runs]
    since, until = min(one, other), max(one, other)
    runs_meant, usages_meant = kept_by(where, runs), kept_by(where, usages)
    async with written(*rows) as readers:
        part = within(runs_meant, usages_meant, since, until)
        assert await readers.usage_totals(since, until, where=where) == summed(*part)
        shown = dearest_series(by_key(*part, KEYS[by]))
        for bucket in ("hour", "day"):
            timeline = await readers.usage_timeline(since, until, bucket=bucket, zone=zone, by=by, where=where)
            edges = [(step.start, step.end) for step in timeline]
            assert [start for start, _ in edges] + [until] * (since < until) == [since] * (since < until) + [
                end for _, end in edges
            ]
            for step in timeline:
                inside = within(runs_meant, usages_meant, step.start, step.end)
                assert step.total == summed(*inside)
                expected = by_key(*inside, KEYS[by])
                assert step.series == {key: expected[key] for key in shown if key in expected}
        found = await readers.usage_breakdown(since, until, by, limit=50, where=where)
        entries = dearest_first(by_key(*part, KEYS[by]))
        assert (list(found.entries), found.cursor) == (entries, "")
        assert await pages(readers, since, until, by, where, 1) == entries
        listed = await readers.usage_runs(since, until, where=where, limit=500)
        assert [run.run_id for run in listed.runs] == [
            run.run_id for run in sorted(part[0], key=lambda run: (run.finished_at, runs.index(run)), reverse=True)
        ]
        settled = await readers.usage_rows(since, until, where=where)
        assert sorted(row.hold_id for row in settled.rows) == sorted(usage.hold_id for usage in part[1])
        assert [row.at for row in settled.rows] == sorted(usage.at for usage in part[1])
        middle = sorted(usage.latency_ms for usage in part[1] if not usage.corrects)
        median = middle[(len(middle) - 1) // 2] if middle else 0
        assert await readers.median_latency(since, until, len(middle), where=where) == median
        assert await readers.rollup_differences() == ()


@settings(max_examples=200, deadline=None)
@given(
    st.lists(moments, min_size=2, max_size=6, unique=True).map(sorted),
    st.sampled_from([DAY_STEPS, REASON_STEPS, (DAY, 6 * HOUR, HOUR, HOUR // 4), ()]),
)
def test_a_span_is_put_together_without_gaps_or_overlaps(cuts: list[int], steps: tuple[int, ...]) -> None:
    spans = tuple(pairwise(cuts))
    found = pieces(spans, steps)
    for number, (start, end) in enumerate(spans):
        weights: dict[int, int] = {}
        for piece in (piece for piece in found if piece.span == number):
            assert piece.start < piece.end
            assert not piece.step or piece.start % piece.step == piece.end % piece.step == 0
            weights[piece.start] = weights.get(piece.start, 0) + piece.sign
            weights[piece.end] = weights.get(piece.end, 0) - piece.sign
        assert {at: weight for at, weight in weights.items() if weight} == {start: 1, end: -1}


@pytest.mark.parametrize(("zone", "entries"), [("UTC", 1), ("Europe/Prague", 3), ("America/Los_Angeles", 7)])
def test_a_local_day_is_a_handful_of_entries(zone: str, entries: int) -> None:
    day = window_for(Interval.DAILY, zone, START + 12 * HOUR)
    assert day.end is not None
    found = pieces(((day.start, day.end),), (DAY, 6 * HOUR, HOUR))
    assert sum((piece.end - piece.start) // piece.step for piece in found) == entries


@pytest.mark.parametrize("by", ["model", "provider", "user", "tag"])
async def test_what_nobody_used_is_drawn_as_nothing(journal: Journal, by: str) -> None:
    await add(journal, START)
    for where in (UsageFilter(model="m9"), UsageFilter(provider="p9"), UsageFilter(user="nobody"), UsageFilter()):
        until = START if where == UsageFilter() else START + DAY
        timeline = await journal.readers.usage_timeline(until - DAY, until, by=by, where=where)
        assert [(step.total, step.series) for step in timeline] == [(UsageTotals(), {})] * 24


async def test_the_dearest_series_are_told_apart_and_the_total_has_all(journal: Journal) -> None:
    for number in range(MAX_SERIES + 3):
        await add(journal, START + number, principal=f"u{number:02}", charge=number)
    for by in ("user", "session"):
        (step,) = await journal.readers.usage_timeline(START, START + HOUR, by=by)
        assert step.total.cost == sum(range(MAX_SERIES + 3))
        assert set(step.series) == {f"u{number:02}" for number in range(3, MAX_SERIES + 3)}


async def test_hours_of_a_part_hour_zone_begin_at_its_full_hours(journal: Journal) -> None:
    await add(journal, START + HOUR // 2 - 1)
    await add(journal, START + HOUR // 2)
    timeline = await journal.readers.usage_timeline(START, START + 2 * HOUR, zone="Asia/Kolkata")
    assert [step.start - START for step in timeline] == [0, HOUR // 2, 3 * HOUR // 2]
    assert [step.total.attempts for step in timeline] == [1, 1, 0]


async def test_reasons_are_counted_over_any_period(journal: Journal) -> None:
    moments = [START - 1, START, START + HOUR, START + DAY - 1, START + DAY, START + 40 * DAY]
    for number, at in enumerate(moments):
        run = a_run(accepted_at=at)
        codes = ("budget_ok", f"odd_{number % 2}")
        await journal.submit([RunSaved(run), DecisionMade(a_decision(run, at=at, reason_codes=codes))])
    readers = journal.readers
    assert await readers.decision_reasons(START, START + DAY) == {"budget_ok": 3, "odd_1": 2, "odd_0": 1}
    assert await readers.decision_reasons(START + 1, START + DAY - 1) == {"budget_ok": 1, "odd_0": 1}
    assert await readers.decision_reasons(START - 1, START + 366 * DAY) == {"budget_ok": 6, "odd_0": 3, "odd_1": 3}
    assert await readers.decision_reasons(START, START) == {}
    await journal._connection.run(lambda database: database.execute("UPDATE decision_reasons SET decisions = 9"))
    assert len(await readers.rollup_differences()) > 3


async def add(journal: Journal, at: int, **changes: Any) -> None:
    principal = changes.pop("principal", "")
    scope = Scope(principal, principal) if principal else SCOPE
    run = a_run(accepted_at=at - 10, scope=scope)
    hold = a_hold(run)
    usage = a_usage(hold, at=at, **changes)
    await journal.submit([RunSaved(ended(run, finished_at=at)), HoldTaken(hold), UsageRecorded(usage)])


async def test_days_of_a_zone_begin_at_its_midnight(journal: Journal) -> None:
    midnight = 1_774_738_800_000  # 2026-03-28T23:00Z: the 23 hours of 2026-03-29 in Prague
    for at in (midnight - 1, midnight, midnight + 23 * HOUR - 1, midnight + 23 * HOUR):
        await add(journal, at)
    timeline = await journal.readers.usage_timeline(midnight - HOUR, midnight + DAY, bucket="day", zone="Europe/Prague")
    assert [(step.start - midnight, step.end - midnight) for step in timeline] == [
        (-HOUR, 0),
        (0, 23 * HOUR),
        (23 * HOUR, DAY),
    ]
    assert [sum(totals.attempts for totals in step.series.values()) for step in timeline] == [1, 2, 1]


async def test_a_timeline_leaves_no_hour_out(journal: Journal) -> None:
    await add(journal, START + 5 * HOUR)
    timeline = await journal.readers.usage_timeline(START, START + DAY)
    assert [step.start for step in timeline] == list(range(START, START + DAY, HOUR))
    assert [bool(step.series) for step in timeline] == [hour == 5 for hour in range(24)]


async def test_a_run_counts_once_however_often_its_end_is_written(journal: Journal) -> None:
    run = a_run()
    await journal.submit([RunSaved(run)])
    for version in (2, 3, 4):
        await journal.submit([RunSaved(ended(run, "failed", version=version))])
    assert (await journal.readers.usage_totals(T0, T0 + HOUR)).failed == 1


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ({"since": 2, "until": 1}, "before it starts"),
        ({"since": 0, "until": 368 * DAY}, "366 days"),
        ({"since": 0, "until": 1, "bucket": "week"}, "week"),
        ({"since": 0, "until": 1, "bucket": "day", "zone": "Prague"}, "Europe/Prague"),
    ],
)
async def test_a_timeline_that_cannot_be_drawn_is_refused(
    journal: Journal, question: dict[str, Any], named: str
) -> None:
    with pytest.raises(BadInputError, match=named):
        await journal.readers.usage_timeline(**question)


async def test_an_unknown_breakdown_is_refused_naming_the_known(journal: Journal) -> None:
    with pytest.raises(BadInputError, match="session"):
        await journal.readers.usage_breakdown(0, 1, "colour")


async def test_sums_that_lie_are_found(journal: Journal) -> None:
    await add(journal, START)
    await add(journal, START + DAY)
    await journal.submit(())
    for sql in (
        f"UPDATE usage_sums SET cost = cost + 1 WHERE kind = 'model' AND start = {START}",
        "DELETE FROM usage_sums WHERE kind = 'key'",
        f"INSERT INTO usage_sums SELECT 'agent', 'nobody', '', {START}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1",
        f"UPDATE usage_days SET runs = 7 WHERE day = {START + DAY}",
    ):
        await journal._connection.run(lambda database, sql=sql: database.execute(sql))  # type: ignore[misc]
    key = SCOPE.key_id
    assert await journal.readers.rollup_differences() == (
        f"usage_sums model [{START}, 'gpt-4o-mini', 'openai']",
        f"usage_sums model [{START + DAY}, 'gpt-4o-mini', 'openai']",
        f"usage_sums agent [{START}, 'nobody', '']",
        f"usage_sums key [{START}, {key!r}, '']",
        f"usage_sums key [{START + DAY}, {key!r}, '']",
        f"usage_days [{START + DAY}, 'ann@example.com', 'gpt-4o-mini']",
    )


async def test_sums_are_checked_a_stretch_after_another(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums_check, "STRETCH_ROWS", 2)
    for number in range(9):
        await add(journal, START + number * HOUR)
    shares = []
    check = await journal.readers.check_sums()
    while check.cursor:
        assert check.differences == ()
        shares.append(check.share)
        check = await journal.readers.check_sums(check.cursor)
    assert (check.share, check.differences) == (1.0, ())
    assert len(shares) > 5
    assert shares == sorted(shares)


@pytest.mark.parametrize("cursor", ["x", "9.0", "-1.0", "0.x"])
async def test_a_cursor_that_no_stretch_gave_is_refused(journal: Journal, cursor: str) -> None:
    with pytest.raises(BadInputError, match="cursor"):
        await journal.readers.check_sums(cursor)


async def sampled(journal: Journal, monkeypatch: pytest.MonkeyPatch, chunk_size: int, newest: int) -> list[UsageSample]:
    smaller = usage_readers._SAMPLES.replace(f"LIMIT {CHUNK}", f"LIMIT {chunk_size}")
    monkeypatch.setattr(usage_readers, "_SAMPLES", smaller)
    found = [sample async for chunk in journal.readers.samples(newest) for sample in chunk]
    monkeypatch.undo()
    return found


async def test_samples_are_the_newest_attempts_of_each_model_oldest_first(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        await add(journal, START + number, model="m1", output_total=number)
    await add(journal, START, model="m2", provider="azure")
    for chunk_size in (1, 2, 500):
        samples = await sampled(journal, monkeypatch, chunk_size, newest=3)
        assert [(one.provider, one.model, one.output_total) for one in samples] == [
            ("openai", "m1", 2),
            ("openai", "m1", 3),
            ("openai", "m1", 4),
            ("azure", "m2", 500),
        ]
    sample = samples[-1]
    assert (sample.expected_input, sample.input_bytes, sample.streaming) == (512, 2048, True)
    assert (sample.flags, sample.usage_source) == (("identity_U2",), "provider")


async def test_what_a_local_day_cost(journal: Journal) -> None:
    now = START + 12 * HOUR
    await add(journal, START - 1, charge=7)
    await add(journal, START, charge=5)
    await add(journal, now, charge=None)
    assert await journal.readers.spent_on_day(now, "UTC") == 5
    assert await journal.readers.spent_on_day(now, "Europe/Prague") == 12
    with pytest.raises(BadInputError):
        await journal.readers.spent_on_day(now, "Mars/Base")


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 50])
async def test_sessions_are_told_dearest_first_whatever_they_have_in_common(journal: Journal, limit: int) -> None:
    """Costs that are equal, none, or taken back; and sessions that only have a run."""
    for number, charge in enumerate((7, 5, 5, 5, 3, 3, 0, 0, None, -2, -3)):
        await add(journal, START + number, principal=f"u{number}", charge=charge)
    await add(journal, START + 20, principal="u4", charge=0)
    for name in ("idle", "also"):
        await journal.submit([RunSaved(ended(a_run(scope=Scope(name, name)), "refused", finished_at=START))])
    found = await pages(journal.readers, START, START + HOUR, "session", UsageFilter(), limit)
    keys = ["u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "also", "idle", "u9", "u10"]
    assert [entry.key for entry in found] == keys
    assert found[4].totals.attempts == 2
    assert found[-3].totals.refused == 1


async def test_many_sessions_that_cost_the_same_are_all_turned_over(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage_readers, "LEADING_MOST", 3)
    for number in range(8):
        await add(journal, START + number, principal=f"u{number}", charge=4)
    await journal.submit([RunSaved(ended(a_run(scope=Scope("u7", "u7")), "refused", finished_at=START))])
    found = await pages(journal.readers, START, START + HOUR, "session", UsageFilter(), 2)
    assert [entry.key for entry in found] == ["u7", *[f"u{number}" for number in range(7)]]
