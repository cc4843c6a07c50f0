"""Timelines and breakdowns say what the rows say: to the token, for any period, in any zone."""

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palyra.core.clock import ManualClock
from palyra.core.errors import BadInputError
from palyra.core.scope import Scope
from palyra.journal.changes import Change, HoldTaken, RunSaved, UsageRecorded
from palyra.journal.journal import Journal
from palyra.journal.readers import usage as usage_readers
from palyra.journal.readers.query import CHUNK
from palyra.journal.readers.usage import BREAKDOWNS
from palyra.journal.rows import RunRow, UsageRow, UsageSample, UsageSlice, UsageTotals
from tests.journal.samples import DAY, HOUR, T0, a_hold, a_run, a_usage, ended

ZONES = ["UTC", "Europe/Prague", "Asia/Kolkata", "Australia/Lord_Howe", "America/Santiago"]
START = T0 // DAY * DAY
moments = st.integers(START - DAY, START + 3 * DAY) | st.builds(
    lambda hour, edge: START + hour * HOUR + edge, st.integers(-24, 72), st.sampled_from([-1, 0, 1])
)
scopes = st.builds(
    Scope,
    st.sampled_from(["ann", "bob"]),
    st.sampled_from(["s1", "s2"]),
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
        attempts=len(usages),
    )


def within(runs: list[RunRow], usages: list[UsageRow], start: int, end: int) -> tuple[list[RunRow], list[UsageRow]]:
    return (
        [run for run in runs if run.finished_at is not None and start <= run.finished_at < end],
        [usage for usage in usages if start <= usage.at < end],
    )


def by_key(runs: list[RunRow], usages: list[UsageRow], keys: Callable[[Any], Iterable[str]]) -> dict[str, UsageTotals]:
    found = {key for row in [*runs, *usages] for key in keys(row)}
    return {
        key: summed([run for run in runs if key in keys(run)], [usage for usage in usages if key in keys(usage)])
        for key in found
    }


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


@settings(max_examples=60, deadline=None)
@given(facts(), moments, moments, st.sampled_from(ZONES))
async def test_every_answer_equals_the_sum_of_the_rows(
    rows: tuple[list[RunRow], list[UsageRow]], one: int, other: int, zone: str
) -> None:
    runs, usages = rows
    since, until = min(one, other), max(one, other)
    with tempfile.TemporaryDirectory() as directory:
        journal = await Journal.open(Path(directory), ManualClock())
        try:
            for run in runs:
                unit: list[Change] = [RunSaved(replace(run, version=1, state="pending", finished_at=None))]
                for usage in (usage for usage in usages if usage.run_id == run.run_id):
                    unit += [HoldTaken(a_hold(run, usage.hold_id, attempt=usage.attempt)), UsageRecorded(usage)]
                journal.submit(unit)
                journal.submit([RunSaved(run)])
            await journal.submit(())
            readers = journal.readers
            part = within(runs, usages, since, until)
            assert await readers.usage_totals(since, until) == summed(*part)
            for bucket in ("hour", "day"):
                timeline = await readers.usage_timeline(since, until, bucket=bucket, zone=zone)
                edges = [(step.start, step.end) for step in timeline]
                assert [start for start, _ in edges] + [until] * (since < until) == [since] * (since < until) + [
                    end for _, end in edges
                ]
                for step in timeline:
                    assert step.series == by_key(*within(runs, usages, step.start, step.end), KEYS["model"])
            ann = [[row for row in some if row.scope.principal == "ann"] for some in part]
            assert await readers.usage_totals(since, until, principal="ann") == summed(*ann)  # type: ignore[arg-type]
            for by in BREAKDOWNS:
                found = await readers.usage_breakdown(since, until, by, limit=50)
                assert list(found) == dearest_first(by_key(*part, KEYS[by]))
            assert await readers.rollup_differences() == ()
        finally:
            await journal.close()


async def add(journal: Journal, at: int, **changes: Any) -> None:
    run = a_run(accepted_at=at - 10)
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


async def test_a_breakdown_is_cut_and_goes_on(journal: Journal) -> None:
    for number in range(5):
        await add(journal, START + number, model=f"m{number}", charge=number)
    first = await journal.readers.usage_breakdown(START, START + HOUR, limit=2)
    then = await journal.readers.usage_breakdown(START, START + HOUR, limit=2, offset=2)
    assert [entry.key for entry in (*first, *then)] == ["m4", "m3", "m2", "m1"]


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


async def test_a_roll_up_that_lies_is_found(journal: Journal) -> None:
    await add(journal, START)
    await journal.submit(())
    await journal._connection.run(lambda database: database.execute("UPDATE usage_hours SET cost = cost + 1"))
    await journal._connection.run(lambda database: database.execute("DELETE FROM principal_days"))
    assert await journal.readers.rollup_differences() == (
        f"usage_hours [{START}, 'openai', 'gpt-4o-mini']",
        f"principal_days [{START}, 'ann@example.com']",
    )


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
            ("azure", "m2", 500),
            ("openai", "m1", 2),
            ("openai", "m1", 3),
            ("openai", "m1", 4),
        ]
    sample = samples[0]
    assert (sample.expected_input, sample.input_bytes, sample.streaming) == (512, 2048, True)
    assert (sample.flags, sample.usage_source) == (("identity_U2",), "provider")


async def test_the_counts_of_a_status_line(journal: Journal) -> None:
    now = START + 12 * HOUR
    await add(journal, START - 1, charge=7)
    await add(journal, START, charge=5)
    await add(journal, now, charge=None)
    run = a_run(state="running")
    await journal.submit([RunSaved(run), HoldTaken(a_hold(run, bound_usd=11)), HoldTaken(a_hold(run, bound_usd=None))])
    utc = await journal.readers.status_counts(now, "UTC")
    assert (utc.spent_today, utc.unpriced_today, utc.runs_today) == (5, 1, 2)
    assert (utc.live_runs, utc.open_holds, utc.held, utc.pending_approvals) == (1, 4 + 1, 3 * 1_000_000 + 11, 0)
    prague = await journal.readers.status_counts(now, "Europe/Prague")
    assert prague.spent_today == 12
