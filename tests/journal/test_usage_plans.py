"""Questions about usage look things up: SQLite's own plan of every one of them names no whole table."""

import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from palyra.core.usage_filter import ANYTHING, UsageFilter
from palyra.journal.readers.usage import UsageReaders
from palyra.journal.readers.usage_facts import DAYS, KEYS
from palyra.journal.readers.usage_sums import KINDS, SUMS, kind_for
from palyra.journal.schema import MIGRATIONS
from tests.journal.samples import DAY, HOUR, T0

TABLES = ("runs", "usage", "decisions", SUMS, DAYS, "decision_reasons")
NAMES = {"entry": SUMS, "last": SUMS}
"""What tables are called within a statement."""
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
    return [plan for plan in readers.plans if plan.startswith("SCAN") and _table(plan) in TABLES]


def _table(plan: str) -> str:
    """The table that a line of a plan reads."""
    name = plan.split()[1]
    return NAMES.get(name, name)


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


@pytest.mark.parametrize("by", [kind for kind in KINDS if kind])
async def test_whole_quarters_read_no_row_and_of_every_sum_one_entry(readers: Explained, by: str) -> None:
    quarter = T0 + HOUR // 4
    await readers.usage_timeline(quarter, quarter + 30 * DAY, bucket="hour", zone="Asia/Kathmandu", by=by)
    await readers.usage_timeline(quarter, quarter + 30 * DAY, bucket="day", zone="America/New_York", by=by)
    await readers.usage_breakdown(quarter, quarter + 30 * DAY, by)
    searched = [plan for plan in readers.plans if plan.startswith("SEARCH")]
    assert {_table(plan) for plan in searched} & set(TABLES) == {SUMS}
    for plan in searched:
        if plan.startswith("SEARCH entry"):
            assert re.search(r"kind=\? AND name=\? AND provider=\? AND start[<=]\?\)", plan), plan


async def test_sessions_are_found_by_an_index_of_their_own(readers: Explained) -> None:
    await readers.usage_rows(T0, T0 + DAY, where=SESSION)
    await readers.usage_runs(T0, T0 + DAY, where=SESSION)
    assert [plan.split("INDEX ")[1].split()[0] for plan in readers.plans if "INDEX" in plan] == [
        "usage_by_session",
        "runs_of_session_by_end",
    ]


@pytest.mark.parametrize(
    ("by", "where", "kind"),
    [
        ("", ANYTHING, ""),
        ("model", ANYTHING, "model"),
        ("model", UsageFilter(provider="openai"), "model"),
        ("provider", UsageFilter(model="m"), "model"),
        ("provider", ANYTHING, "provider"),
        ("", UsageFilter(tag="team=a"), "tag"),
        ("tag", UsageFilter(tag="team=a"), None),
        ("key", UsageFilter(agent="a"), None),
        ("session", ANYTHING, None),
        ("model", replace(SESSION, model="m"), None),
    ],
)
def test_sums_are_asked_for_what_they_know(by: str, where: UsageFilter, kind: str | None) -> None:
    assert kind_for(by, where) == kind
