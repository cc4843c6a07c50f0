"""A journal from before the finer roll-ups, or the running sums, keeps all it had: they are made from its rows."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from palyra.core.clock import ManualClock
from palyra.core.usage_filter import UsageFilter
from palyra.journal.journal import Journal
from palyra.journal.schema import MIGRATIONS
from palyra.journal.sums_schema import SUMS
from palyra.journal.usage_schema import ZOOMS
from tests.journal.samples import DAY, HOUR, T0

Steps = tuple[tuple[int, str], ...]
BEFORE_ZOOMS, BEFORE_SUMS = (MIGRATIONS[: [sql for _, sql in MIGRATIONS].index(step)] for step in (ZOOMS, SUMS))
START = T0 // DAY * DAY


def fill(path: Path, before: Steps) -> None:
    """A journal of that time, written with plain SQL."""
    with closing(sqlite3.connect(path)) as database:
        for number, sql in before:
            database.executescript(f"{sql}; PRAGMA user_version = {number}")
        for table, columns in (("runs", _run), ("usage", _usage), ("decisions", _decision)):
            info = database.execute(f"PRAGMA table_info({table})").fetchall()
            for number in range(6):
                row: dict[str, object] = {
                    name: 0 if kind == "INTEGER" else ""
                    for _, name, kind, needed, default, key in info
                    if needed and not key and default is None
                }
                row |= columns(number)
                names = ", ".join(row)
                database.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", [*row.values()])
        database.commit()


def _at(number: int) -> int:
    return START + number * (DAY // 2) + number * 1_000


def _run(number: int) -> dict[str, object]:
    return {
        "run_id": f"r{number}",
        "state": "completed" if number % 2 else "refused",
        "finished_at": _at(number),
        "accepted_at": _at(number) - 5,
        "provider": "p",
        "model": f"m{number % 2}",
        "principal": "ann",
        "agent": "coder" if number < 2 else "",
        "tags": '{"team": "a"}',
        "grant_ids": "[]",
        "flags": "[]",
        "complexity": "0.5",
    }


def _usage(number: int) -> dict[str, object]:
    return {
        "run_id": f"r{number}",
        "at": _at(number),
        "provider": "p",
        "model": f"m{number % 2}",
        "principal": "ann",
        "agent": "coder" if number < 2 else "",
        "tags": '{"team": "a"}',
        "flags": "[]",
        "rates": "[]",
        "charge": None if number == 3 else 10**number,
        "input_total": number,
    }


def _decision(number: int) -> dict[str, object]:
    return {
        "decision_id": f"d{number}",
        "run_id": f"r{number}",
        "at": _at(number),
        "reason_codes": '["budget_ok"]',
        "body": "{}",
    }


@pytest.mark.parametrize("before", [BEFORE_ZOOMS, BEFORE_SUMS])
async def test_what_was_there_is_summed_for_every_zoom(tmp_path: Path, before: Steps) -> None:
    fill(tmp_path / "journal.db", before)
    clock = ManualClock()
    journal = await Journal.open(tmp_path, clock)
    try:
        readers = journal.readers
        assert await readers.rollup_differences() == ()
        total = await readers.usage_totals(START, START + 30 * DAY)
        assert (total.runs, total.refused, total.attempts) == (6, 3, 6)
        assert (total.cost, total.unpriced) == (110_111, 1)
        days = await readers.usage_timeline(START, START + 3 * DAY, bucket="day", by="user")
        assert [step.series["ann"].runs for step in days] == [2, 2, 2]
        agents = await readers.usage_breakdown(START, START + 30 * DAY, "agent")
        assert [(entry.key, entry.totals.runs, entry.totals.cost) for entry in agents.entries] == [
            ("", 4, 110_100),
            ("coder", 2, 11),
        ]
        team = await readers.usage_totals(START + HOUR, START + 30 * DAY, where=UsageFilter(tag="team=a"))
        assert (team.runs, team.attempts, team.input_tokens) == (5, 5, 15)
        assert await readers.decision_reasons(START, START + HOUR) == {"budget_ok": 1}
        page = await readers.usage_rows(START, START + 30 * DAY)
        assert [row.run_id for row in page.rows] == [f"r{number}" for number in range(6)]
    finally:
        await journal.close()
    names = [path.name for path in (tmp_path / "backups").iterdir()]
    assert names == [f"journal-v{before[-1][0]}-{clock.now_ms()}.db"]
