"""Questions about usage look things up: SQLite's own plan of every one of them names no whole table."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from palyra.core.usage_filter import ANYTHING, UsageFilter
from palyra.journal.readers.usage import UsageReaders
from palyra.journal.readers.usage_facts import BY_MODEL, BY_PRINCIPAL, KEYS, ROLL_UPS, roll_up_for
from palyra.journal.schema import MIGRATIONS
from tests.journal.samples import DAY, HOUR, T0

TABLES = ("runs", "usage", "decisions", *(roll_up.table for roll_up in ROLL_UPS), "decision_reasons")
SESSION = UsageFilter(session="s")
FILTERS = (ANYTHING, *(UsageFilter(**{key: "x=1"}) for key in KEYS), UsageFilter(model="m", user="ann"))


class Explained(UsageReaders):
    """Takes the plan of what would be asked, and answers nothing."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self.plans: list[str] = []

    async def _listed(self, sql: str, decode: Any, parameters: Any = ()) -> tuple[Any, ...]:
        found = self._database.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)
        self.plans += [str(row[3]) for row in found]
        return ()


@pytest.fixture
def readers() -> Any:
    with closing(sqlite3.connect(":memory:")) as database:
        for _, sql in MIGRATIONS:
            database.executescript(sql)
        yield Explained(database)


def scans(readers: Explained) -> list[str]:
    return [plan for plan in readers.plans if plan.startswith("SCAN") and plan.split()[1] in TABLES]


@pytest.mark.parametrize("where", FILTERS)
async def test_no_question_reads_a_whole_table(readers: Explained, where: UsageFilter) -> None:
    since, until = T0 + 1, T0 + 40 * DAY + 1
    await readers.usage_totals(since, until, where=where) if where == ANYTHING else None
    for by in KEYS:
        await readers.usage_timeline(since, until, bucket="day", zone="Europe/Prague", by=by, where=where)
        await readers.usage_breakdown(since, until, by, where=where)
    await readers.usage_runs(since, until, where=where)
    await readers.usage_rows(since, until, where=where)
    await readers.median_latency(since, until, 10, where=where)
    await readers.decision_reasons(since, until)
    assert len(readers.plans) > 50
    assert scans(readers) == []


async def test_whole_steps_by_model_provider_and_user_read_no_row(readers: Explained) -> None:
    quarter, hour = T0 + HOUR // 4, T0 + HOUR
    for by, since in (("model", quarter), ("provider", quarter), ("user", hour)):
        await readers.usage_timeline(since, since + 30 * DAY, bucket="hour", by=by)
        await readers.usage_timeline(since, since + 30 * DAY, bucket="day", zone="America/New_York", by=by)
        await readers.usage_breakdown(since, since + 30 * DAY, by)
    touched = {plan.split()[1] for plan in readers.plans if plan.startswith("SEARCH")}
    assert touched & set(TABLES) == {BY_MODEL.table, BY_PRINCIPAL.table}


async def test_sessions_are_found_by_an_index_of_their_own(readers: Explained) -> None:
    await readers.usage_rows(T0, T0 + DAY, where=SESSION)
    await readers.usage_runs(T0, T0 + DAY, where=SESSION)
    assert [plan.split("INDEX ")[1].split()[0] for plan in readers.plans if "INDEX" in plan] == [
        "usage_by_session",
        "runs_of_session_by_end",
    ]


def test_a_filter_the_roll_up_does_not_know_asks_the_rows() -> None:
    assert roll_up_for("model", UsageFilter(provider="openai")) is BY_MODEL
    assert roll_up_for("user", ANYTHING) is BY_PRINCIPAL
    assert roll_up_for("model", replace(SESSION, model="m")) is None
