"""Journals of earlier versions: opened by this one, they keep what they had."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from palyra.core.clock import ManualClock
from palyra.journal import tables
from palyra.journal.journal import Journal
from palyra.journal.migrations import apply
from palyra.journal.schema import MIGRATIONS
from palyra.journal.tables import Table, Values
from tests.journal.samples import a_hold, a_run, a_usage, settled, taken

KEPT_FROM_2_ON = ("visible_bytes", "overhead")
KEPT_FROM_6_ON = ("readings", "corrects")
KEPT_FROM_9_ON = ("answer_id",)


def older(state_dir: Path, version: int) -> sqlite3.Connection:
    """A journal as that version made it."""
    database = sqlite3.connect(state_dir / "journal.db", isolation_level=None)
    apply(database, [step for step in MIGRATIONS if step[0] <= version])
    return database


def insert(database: sqlite3.Connection, table: Table, values: Values, without: tuple[str, ...] = ()) -> None:
    """Writes a row as a version that did not know the columns `without` did."""
    row = {name: value for name, value in zip(table.columns, values, strict=True) if name not in without}
    places = ", ".join("?" * len(row))
    database.execute(f"INSERT INTO {table.name} ({', '.join(row)}) VALUES ({places})", list(row.values()))


async def test_usage_of_before_the_meter_was_kept_says_that_nothing_was_seen(
    tmp_path: Path, clock: ManualClock
) -> None:
    run = a_run("kept")
    hold = a_hold(run)
    usage = a_usage(hold)
    with closing(older(tmp_path, 1)) as database:
        insert(database, tables.RUNS, tables.run_values(run))
        insert(database, tables.HOLDS, tables.hold_values(hold))
        insert(database, tables.USAGE, tables.usage_values(usage), KEPT_FROM_2_ON + KEPT_FROM_6_ON + KEPT_FROM_9_ON)
    journal = await Journal.open(tmp_path, clock)
    try:
        fresh = a_run("fresh")
        again = a_hold(fresh)
        await journal.submit([*taken(fresh, again), *settled(fresh, again)])
        (row,) = await journal.readers.usage_of_run("kept")
        samples = [sample async for chunk in journal.readers.samples() for sample in chunk]
        totals = await journal.readers.usage_totals(usage.at - 1, usage.at + 1)
    finally:
        await journal.close()
    assert (row.visible_bytes, row.overhead, row.charge, row.raw) == (0, 30, usage.charge, usage.raw)
    assert [(one.visible_bytes, one.overhead) for one in samples] == [(0, 30), (2100, 700)]
    assert (totals.attempts, totals.output_tokens) == (2, 1000)


async def test_usage_of_before_answers_were_named_names_none(tmp_path: Path, clock: ManualClock) -> None:
    run = a_run("kept")
    hold = a_hold(run)
    usage = a_usage(hold)
    with closing(older(tmp_path, 8)) as database:
        insert(database, tables.RUNS, tables.run_values(run))
        insert(database, tables.HOLDS, tables.hold_values(hold))
        insert(database, tables.USAGE, tables.usage_values(usage), KEPT_FROM_9_ON)
    journal = await Journal.open(tmp_path, clock)
    try:
        fresh = a_run("fresh")
        await journal.submit([*taken(fresh, again := a_hold(fresh)), *settled(fresh, again)])
        (row,) = await journal.readers.usage_of_run("kept")
        samples = [sample async for chunk in journal.readers.samples() for sample in chunk]
    finally:
        await journal.close()
    assert row == replace(usage, answer_id="")
    assert [one.answer_id for one in samples] == ["", "resp_1"]
