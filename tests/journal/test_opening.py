"""Opening a state directory: new, old, newer, foreign, damaged; modes; migrations with their backups."""

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from palyra.core.clock import ManualClock
from palyra.core.errors import StateError
from palyra.journal.changes import RunSaved
from palyra.journal.journal import Journal, open_readers
from palyra.journal.schema import LATEST, MIGRATIONS
from tests.journal.samples import a_run

NEXT = (LATEST + 1, "ALTER TABLE runs ADD COLUMN colour TEXT; CREATE TABLE colours (name TEXT) STRICT")
LAST = (LATEST + 2, "INSERT INTO colours VALUES ('blue')")


def pragma(path: Path, name: str) -> object:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(f"PRAGMA {name}").fetchone()[0]


def backups(state_dir: Path) -> list[str]:
    return sorted(path.name for path in (state_dir / "backups").glob("*"))


async def filled(state_dir: Path, clock: ManualClock) -> None:
    journal = await Journal.open(state_dir, clock)
    await journal.submit([RunSaved(a_run("kept"))])
    await journal.close()


def test_migrations_are_numbered_without_gaps() -> None:
    assert [number for number, _ in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))


async def test_a_new_journal_has_the_newest_schema_and_no_backup(tmp_path: Path, clock: ManualClock) -> None:
    await filled(tmp_path / "deep" / "state", clock)
    assert pragma(tmp_path / "deep" / "state" / "journal.db", "user_version") == LATEST
    assert not (tmp_path / "deep" / "state" / "backups").exists()


async def test_files_are_for_their_owner_only(tmp_path: Path, clock: ManualClock) -> None:
    state_dir = tmp_path / "state"
    journal = await Journal.open(state_dir, clock)
    await journal.submit([RunSaved(a_run())])
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in state_dir.iterdir()}
    await journal.close()
    assert modes == dict.fromkeys(["journal.db", "journal.db-wal", "journal.db-shm", "audit.head"], 0o600)
    assert stat.S_IMODE(state_dir.stat().st_mode) == 0o700


async def test_a_mode_that_was_widened_is_narrowed_again(tmp_path: Path, clock: ManualClock) -> None:
    await filled(tmp_path, clock)
    (tmp_path / "journal.db").chmod(0o666)
    await filled_again(tmp_path, clock)
    assert stat.S_IMODE((tmp_path / "journal.db").stat().st_mode) == 0o600


async def filled_again(state_dir: Path, clock: ManualClock) -> None:
    journal = await Journal.open(state_dir, clock)
    await journal.close()


async def test_it_writes_as_safely_as_sqlite_can(journal: Journal) -> None:
    settings = await journal._connection.run(
        lambda database: [
            database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    )
    assert settings == ["wal", 2, 1]


async def test_space_that_is_freed_can_be_given_back_in_steps(journal: Journal) -> None:
    incremental = 2
    assert (await journal._connection.run(lambda database: database.execute("PRAGMA auto_vacuum").fetchone())) == (
        incremental,
    )


async def test_every_table_is_strict(journal: Journal) -> None:
    tables = await journal._connection.run(
        lambda database: database.execute(
            "SELECT name, strict FROM pragma_table_list"
            " WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite%'"
        ).fetchall()
    )
    assert len(tables) >= 10
    assert [name for name, strict in tables if not strict] == []


async def test_closing_leaves_no_log_behind(tmp_path: Path, clock: ManualClock) -> None:
    await filled(tmp_path, clock)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.head", "journal.db"]


async def test_an_old_journal_is_backed_up_once_before_all_its_migrations(tmp_path: Path, clock: ManualClock) -> None:
    await filled(tmp_path, clock)
    journal = await Journal.open(tmp_path, clock, migrations=(*MIGRATIONS, NEXT, LAST))
    run = await journal.readers.run("kept")
    await journal.close()
    assert run is not None
    assert pragma(tmp_path / "journal.db", "user_version") == LATEST + 2
    name = f"journal-v{LATEST}-{clock.now_ms()}"
    assert backups(tmp_path) == [f"{name}.db", f"{name}.head"]
    copy, head = tmp_path / "backups" / f"{name}.db", tmp_path / "backups" / f"{name}.head"
    assert {stat.S_IMODE(path.stat().st_mode) for path in (copy, head)} == {0o600}
    assert head.read_bytes() == (tmp_path / "audit.head").read_bytes()
    assert pragma(copy, "user_version") == LATEST
    assert pragma(copy, "integrity_check") == "ok"
    with closing(sqlite3.connect(copy)) as database:
        assert database.execute("SELECT run_id FROM runs").fetchall() == [("kept",)]


async def test_only_the_newest_backups_are_kept(tmp_path: Path, clock: ManualClock) -> None:
    await filled(tmp_path, clock)
    steps = list(MIGRATIONS)
    for number in range(LATEST + 1, LATEST + 6):
        clock.tick(1)
        steps.append((number, f"CREATE TABLE t{number} (x TEXT) STRICT"))
        await (await Journal.open(tmp_path, clock, migrations=steps, backup_keep=2)).close()
    newest = [f"journal-v{version}-{clock.now_ms() - ago}" for version, ago in ((LATEST + 3, 1000), (LATEST + 4, 0))]
    assert backups(tmp_path) == sorted(f"{name}.{kind}" for name in newest for kind in ("db", "head"))


async def test_a_migration_that_fails_changes_nothing(tmp_path: Path, clock: ManualClock) -> None:
    await filled(tmp_path, clock)
    broken = (LATEST + 1, "CREATE TABLE half (x TEXT) STRICT; INSERT INTO nowhere VALUES (1)")
    with pytest.raises(StateError, match="nowhere"):
        await Journal.open(tmp_path, clock, migrations=(*MIGRATIONS, broken))
    assert pragma(tmp_path / "journal.db", "user_version") == LATEST
    with closing(sqlite3.connect(tmp_path / "journal.db")) as database:
        assert database.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'half'").fetchone() == (0,)
    await filled_again(tmp_path, clock)


async def test_a_newer_schema_is_refused_naming_both_versions_and_left_alone(
    tmp_path: Path, clock: ManualClock
) -> None:
    await filled(tmp_path, clock)
    await (await Journal.open(tmp_path, clock, migrations=(*MIGRATIONS, NEXT))).close()
    before = (tmp_path / "journal.db").read_bytes()
    with pytest.raises(StateError, match=rf"version {LATEST + 1}.*up to {LATEST}") as refused:
        await Journal.open(tmp_path, clock)
    assert refused.value.code == "journal_newer"
    assert (tmp_path / "journal.db").read_bytes() == before


async def test_a_database_of_somebody_else_is_refused_and_left_alone(tmp_path: Path, clock: ManualClock) -> None:
    with closing(sqlite3.connect(tmp_path / "journal.db")) as database:
        database.execute("CREATE TABLE recipes (name TEXT)")
    with pytest.raises(StateError, match="no journal of Palyra"):
        await Journal.open(tmp_path, clock)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as database:
        assert database.execute("SELECT name FROM sqlite_schema").fetchall() == [("recipes",)]


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "journal.db").write_bytes(b"What is this? " * 1000)
    with pytest.raises(StateError, match="not a database"):
        await Journal.open(tmp_path, clock)


async def test_a_directory_that_is_a_file_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StateError, match="state"):
        await Journal.open(tmp_path / "state", clock)


async def test_a_path_that_means_something_in_an_address_is_only_a_path(tmp_path: Path, clock: ManualClock) -> None:
    state_dir = tmp_path / "a?mode=memory&b#c d%20é"
    await filled(state_dir, clock)
    journal = await Journal.open(state_dir, clock)
    assert await journal.readers.run("kept") is not None
    await journal.close()


async def test_a_journal_is_read_without_an_engine_and_beside_one(tmp_path: Path, clock: ManualClock) -> None:
    journal = await Journal.open(tmp_path, clock)
    run = a_run("kept")
    await journal.submit([RunSaved(run)])
    async with open_readers(tmp_path) as readers:
        assert await readers.run("kept") == run
    await journal.close()
    before = (tmp_path / "journal.db").read_bytes()
    async with open_readers(tmp_path) as readers:
        assert await readers.run("kept") == run
    assert (tmp_path / "journal.db").read_bytes() == before


async def test_reading_what_a_killed_engine_left_in_the_log(tmp_path: Path, clock: ManualClock) -> None:
    journal = await Journal.open(tmp_path / "killed", clock)
    run = a_run("kept")
    await journal.submit([RunSaved(run)])
    (tmp_path / "left").mkdir()
    for name in ("journal.db", "journal.db-wal"):
        (tmp_path / "left" / name).write_bytes((tmp_path / "killed" / name).read_bytes())
    await journal.close()
    async with open_readers(tmp_path / "left") as readers:
        assert await readers.run("kept") == run


@pytest.mark.parametrize(
    ("content", "code"),
    [(None, "no_journal"), (b"What is this? " * 1000, "state"), (99, "journal_newer"), (0, "journal_older")],
)
async def test_readers_refuse_what_they_cannot_read(
    tmp_path: Path, clock: ManualClock, content: bytes | int | None, code: str
) -> None:
    if isinstance(content, bytes):
        (tmp_path / "journal.db").write_bytes(content)
    elif content is not None:
        await filled(tmp_path, clock)
        with closing(sqlite3.connect(tmp_path / "journal.db")) as database:
            database.execute(f"PRAGMA user_version = {content}")
    with pytest.raises(StateError) as refused:
        async with open_readers(tmp_path):
            pass
    assert refused.value.code == code
