"""A damaged journal gives every row that can be read, and tells how many cannot."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from palyra.core.clock import ManualClock
from palyra.journal.examination import Asking, examine
from palyra.journal.journal import Journal
from palyra.journal.salvaging import Salvaged, salvage
from palyra.journal.schema import LATEST
from tests.journal.samples import DAY, T0, a_hold, a_run, settled, taken

RUNS = 400


async def filled(journal: Journal) -> None:
    for number in range(RUNS):
        run = a_run(accepted_at=T0 + number)
        hold = a_hold(run, created_at=T0 + number)
        journal.submit([*taken(run, hold), *settled(run, hold, at=T0 + number)])
    await journal.submit(())


@pytest.fixture
async def source(tmp_path: Path, journal: Journal) -> Path:
    await filled(journal)
    await journal.close()
    return tmp_path / "state" / "journal.db"


@pytest.fixture
def product(tmp_path: Path) -> Path:
    directory = tmp_path / "product"
    directory.mkdir()
    return directory / "journal.db"


def count(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as database:
        return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def leaf_pages(path: Path, table: str) -> list[int]:
    """Pages with rows of a table: leaves of its tree, as their first byte says."""
    data = path.read_bytes()
    size = int.from_bytes(data[16:18], "big")
    with closing(sqlite3.connect(path)) as database:
        (root,) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    found, waiting = [], [root]
    while waiting:
        page = waiting.pop(0)
        start = (page - 1) * size
        if data[start] == 13:
            found.append(page)
            continue
        cells = int.from_bytes(data[start + 3 : start + 5], "big")
        for cell in range(cells):
            at = start + int.from_bytes(data[start + 12 + 2 * cell : start + 14 + 2 * cell], "big")
            waiting.append(int.from_bytes(data[at : at + 4], "big"))
        waiting.append(int.from_bytes(data[start + 8 : start + 12], "big"))
    return found


def overwrite(path: Path, page: int) -> None:
    data = bytearray(path.read_bytes())
    size = int.from_bytes(data[16:18], "big")
    data[(page - 1) * size : page * size] = b"\xa5" * size
    path.write_bytes(data)


async def test_a_page_that_is_gone_costs_the_rows_on_it(source: Path, product: Path, clock: ManualClock) -> None:
    middle = leaf_pages(source, "holds")[10]
    overwrite(source, middle)
    damaged = source.read_bytes()

    done = salvage(source, product, clock.now_ms())

    assert source.read_bytes() == damaged
    saved = count(product, "holds")
    assert 0 < RUNS - saved < 40
    assert [str(one) for one in done.lost] == [f"holds: {RUNS - saved} rows lost"]
    assert done.gap is not None
    since, until = done.gap
    assert T0 < since < until < T0 + RUNS
    assert RUNS - saved < until - since < 60
    assert count(product, "runs") == count(product, "usage") == RUNS
    assert [path.name for path in product.parent.iterdir()] == ["journal.db"]
    found = await examine(product.parent, clock, Asking(deep=True))
    assert (found.version, found.integrity, found.foreign_keys, found.sums) == (LATEST, (), (), ())


async def test_money_of_a_run_that_is_lost_keeps_a_run(source: Path, product: Path, clock: ManualClock) -> None:
    overwrite(source, leaf_pages(source, "runs")[5])

    lost = [str(one) for one in salvage(source, product, clock.now_ms()).lost]

    assert any(text.startswith("runs: ") for text in lost)
    assert count(product, "runs") == count(product, "holds") == count(product, "usage") == RUNS
    with closing(sqlite3.connect(product)) as database:
        told = database.execute("SELECT DISTINCT state, reason FROM runs WHERE boot_id = ''").fetchall()
    assert told == [("failed", "salvaged")]
    opened = await Journal.open(product.parent, clock)
    page = await opened.readers.rollup_differences()
    await opened.close()
    assert page == ()


async def test_half_a_journal_gives_what_is_in_that_half(source: Path, product: Path, clock: ManualClock) -> None:
    data = source.read_bytes()
    source.write_bytes(data[: len(data) // 2])

    lost = [str(one) for one in salvage(source, product, clock.now_ms()).lost]

    assert any("lost" in text for text in lost)
    assert 0 < count(product, "runs") <= RUNS
    found = await examine(product.parent, clock, Asking(deep=True))
    assert (found.integrity, found.foreign_keys, found.sums) == ((), (), ())


async def test_where_nothing_can_be_read_the_new_journal_is_empty_and_says_so(
    source: Path, product: Path, clock: ManualClock
) -> None:
    source.write_bytes(b"\xff" * 8192)

    lost = [str(one) for one in salvage(source, product, clock.now_ms()).lost]

    assert "runs: rows are lost, nobody knows how many" in lost
    assert count(product, "runs") == 0
    opened = await Journal.open(product.parent, clock)
    await opened.close()


async def test_a_sound_journal_loses_nothing(source: Path, product: Path, clock: ManualClock) -> None:
    assert salvage(source, product, clock.now_ms()) == Salvaged((), None)

    def rows(path: Path) -> list[str]:
        with closing(sqlite3.connect(path)) as database:
            lines = [line for line in database.iterdump() if line.startswith("INSERT")]
        return sorted(line for line in lines if "memory_words" not in line)

    assert rows(product) == rows(source)


async def test_what_is_left_of_runs_that_have_gone_is_taken_along(
    tmp_path: Path, journal: Journal, product: Path, clock: ManualClock
) -> None:
    await filled(journal)
    assert (await journal.fold_old_runs((T0 // DAY + 1) * DAY)).runs == RUNS - 1
    totals = await journal.readers.usage_totals(T0 - DAY, T0 + DAY)
    await journal.close()
    assert salvage(tmp_path / "state" / "journal.db", product, clock.now_ms()) == Salvaged((), None)
    again = await Journal.open(product.parent, clock)
    try:
        assert await again.readers.usage_totals(T0 - DAY, T0 + DAY) == totals
        rows = [row async for chunk in again.readers.holds_for_rebuild() for row in chunk]
        assert sum(row.folded for row in rows) == RUNS
        assert await again.readers.rollup_differences() == ()
    finally:
        await again.close()
