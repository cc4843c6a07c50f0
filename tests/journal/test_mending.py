"""Journals made out of others say the same, in one file, and leave the original as it is."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from palyra.core.clock import ManualClock
from palyra.journal.changes import RunSaved
from palyra.journal.journal import Journal
from palyra.journal.mending import UnmendableError, bring_up_to_date, count_sums_anew, settle
from palyra.journal.schema import LATEST
from tests.journal.samples import DAY, SCOPE, T0, a_hold, a_run, settled, taken
from tests.journal.test_migrating import older


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return sorted(database.iterdump())


def files_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


async def filled(journal: Journal) -> None:
    for number in range(40):
        tags = {"team": f"t{number % 3}"}
        scope = replace(SCOPE, tags=tags, principal=f"p{number % 4}", agent="a" if number % 2 else "")
        run = a_run(scope=scope)
        hold = a_hold(run)
        await journal.submit(taken(run, hold))
        await journal.submit(settled(run, hold))


@pytest.fixture
def made(tmp_path: Path) -> Path:
    directory = tmp_path / "made"
    directory.mkdir()
    return directory / "journal"


async def test_what_a_wal_holds_is_in_the_file_that_is_made_of_it(tmp_path: Path, journal: Journal, made: Path) -> None:
    await filled(journal)
    state = tmp_path / "state"
    assert (state / "journal.db-wal").stat().st_size > 0
    before = files_of(state)

    assert settle(state / "journal.db", made) == ()

    assert files_of(state) == before
    assert list(files_of(made.parent)) == [made.name]
    assert dump(made) == dump(state / "journal.db")
    assert made.stat().st_mode & 0o777 == 0o600


async def test_sums_that_lie_are_counted_anew_from_the_rows(tmp_path: Path, journal: Journal, made: Path) -> None:
    await filled(journal)
    await journal.submit([RunSaved(a_run())])
    await journal.close()
    source = tmp_path / "state" / "journal.db"
    right = dump(source)
    with closing(sqlite3.connect(source)) as database:
        database.execute("UPDATE usage_sums SET cost = cost + 7 WHERE kind = 'model'")
        database.execute("DELETE FROM usage_days")
        database.execute("INSERT INTO decision_reasons VALUES (3600000, 0, 'made_up', 3)")
        database.commit()
    assert dump(source) != right

    count_sums_anew(source, made)

    assert dump(made) == right


async def test_sums_of_runs_that_have_gone_stay_and_are_gone_on_from(
    tmp_path: Path, journal: Journal, made: Path
) -> None:
    await filled(journal)
    for number in range(6):
        run = a_run(accepted_at=T0 + number * DAY)
        hold = a_hold(run)
        await journal.submit([*taken(run, hold), *settled(run, hold)])
    assert (await journal.fold_old_runs((T0 // DAY + 3) * DAY)).runs > 40
    await journal.close()
    source = tmp_path / "state" / "journal.db"
    right = dump(source)
    with closing(sqlite3.connect(source)) as database:
        database.execute("UPDATE usage_sums SET cost = cost + 7 WHERE start >= ?", ((T0 // DAY + 3) * DAY,))
        database.execute("DELETE FROM usage_days WHERE day >= ?", ((T0 // DAY + 3) * DAY,))
        database.commit()
    assert dump(source) != right

    count_sums_anew(source, made)

    assert dump(made) == right


async def test_an_older_journal_becomes_the_newest_without_a_change_to_the_old_one(
    tmp_path: Path, clock: ManualClock, made: Path
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    older(state, LATEST - 1).close()
    before = files_of(state)

    assert bring_up_to_date(state / "journal.db", made) == (f"from schema version {LATEST - 1}",)

    assert files_of(state) == before
    assert list(files_of(made.parent)) == [made.name]
    with closing(sqlite3.connect(made)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (LATEST,)
    made.rename(state / "journal.db")
    opened = await Journal.open(state, clock)
    await opened.close()


async def test_what_is_no_journal_is_refused_and_leaves_nothing_behind(tmp_path: Path, made: Path) -> None:
    source = tmp_path / "journal.db"
    source.write_bytes(b"no database at all, but long enough to be looked at as one\n" * 40)

    with pytest.raises(UnmendableError, match="file is not a database"):
        count_sums_anew(source, made)

    assert files_of(made.parent) == {}
