"""Units that memory has moved by already: they are kept over every failure, in their place, and written once."""

import asyncio
import itertools
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palyra.core.clock import ManualClock, settle_loop
from palyra.core.errors import JournalUnavailableError
from palyra.journal import writer
from palyra.journal.audit import verify
from palyra.journal.changes import AuditAdded, HoldTaken, RunSaved
from palyra.journal.journal import Journal
from palyra.journal.writer import RETRY_SECONDS, UnitRefusedError
from tests.journal.samples import T0, a_hold, a_run

OK, FAILS, LIES = "ok", "fails", "lies"
Commit = Callable[..., Any]


def noted(name: str) -> AuditAdded:
    return AuditAdded(T0, "engine", name, "engine", {})


def never(error: Exception) -> None:
    raise AssertionError(f"refused: {error}")


def told(path: Path) -> list[str]:
    """The subjects of the audit, in order; the chain must be whole."""
    assert verify(path, path.with_name("audit.head")).ok
    with closing(sqlite3.connect(path)) as database:
        return [row[0] for row in database.execute("SELECT subject FROM audit ORDER BY seq")]


def disk(monkeypatch: pytest.MonkeyPatch, outcomes: Sequence[str]) -> None:
    """What the next commits come to; all later ones succeed. A lie has reached the disk and is told as a failure."""
    commit, coming = writer._commit, itertools.chain(outcomes, itertools.repeat(OK))

    def committing(*args: Any) -> Any:
        outcome = next(coming)
        if outcome == FAILS:
            raise sqlite3.OperationalError("database or disk is full")
        done = commit(*args)
        if outcome == LIES:
            raise sqlite3.OperationalError("disk I/O error")
        return done

    monkeypatch.setattr(writer, "_commit", committing)


async def submit_kept(journal: Journal, name: str) -> None:
    with suppress(JournalUnavailableError):
        await journal.submit([noted(name)], refused=never)


@pytest.mark.parametrize("outcome", [FAILS, LIES])
async def test_a_kept_unit_is_written_once_and_before_what_comes_later(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    disk(monkeypatch, [outcome])
    with pytest.raises(JournalUnavailableError):
        await journal.submit([noted("kept")], refused=never)
    assert journal.behind == 1
    await journal.submit([noted("later")])
    assert journal.behind == 0
    await journal.close()
    assert told(journal.path) == ["kept", "later"]


async def test_a_kept_unit_is_tried_again_without_anything_else(
    journal: Journal, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk(monkeypatch, [FAILS, FAILS])
    await submit_kept(journal, "kept")
    for _ in range(2):
        assert (journal.behind, journal.healthy) == (1, False)
        await clock.advance(RETRY_SECONDS)
        await journal._connection.run(lambda _: None)
        await settle_loop()
    assert (journal.behind, journal.healthy) == (0, True)


async def test_units_queued_behind_a_failure_keep_their_order(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk(monkeypatch, [FAILS])
    hold_thread = threading.Event()
    journal._connection.start(lambda _: hold_thread.wait(), lambda *_: None)
    waiting = [journal.submit([noted("first")], refused=never)]
    await settle_loop()
    waiting += [journal.submit([noted("lost")]), journal.submit([noted("second")], refused=never)]
    hold_thread.set()
    await asyncio.gather(*waiting, return_exceptions=True)
    await journal.submit([noted("third")])
    await journal.close()
    assert told(journal.path) == ["first", "second", "third"]


async def test_a_fence_does_not_open_before_what_is_kept(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    disk(monkeypatch, [FAILS, FAILS])
    await submit_kept(journal, "kept")
    with pytest.raises(JournalUnavailableError):
        async with journal.fence():
            pytest.fail("what the fence shows would lack what was submitted before")
    async with journal.fence() as readers:
        assert (await readers.runs()).runs == ()
    assert journal.behind == 0


async def test_a_kept_unit_at_fault_is_told_of_and_hinders_nobody(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hold of a run that nobody wrote breaks a rule."""
    disk(monkeypatch, [FAILS])
    errors: list[Exception] = []
    with pytest.raises(JournalUnavailableError):
        await journal.submit([HoldTaken(a_hold(a_run()))], refused=errors.append)
    run = a_run()
    await journal.submit([RunSaved(run)])
    assert [type(error) for error in errors] == [sqlite3.IntegrityError]
    assert await journal.readers.run(run.run_id) == run
    with pytest.raises(UnitRefusedError):
        await journal.submit([HoldTaken(a_hold(a_run()))], refused=errors.append)
    assert len(errors) == 2


async def test_a_journal_closes_with_what_it_could_not_write(
    tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = await Journal.open(tmp_path, clock)
    disk(monkeypatch, [FAILS, FAILS])
    await submit_kept(journal, "kept")
    await journal.close()
    assert journal.behind == 0
    assert told(journal.path) == []


@given(
    outcomes=st.lists(st.sampled_from([OK, FAILS, LIES]), max_size=12),
    kept=st.lists(st.booleans(), min_size=1, max_size=8),
)
@settings(max_examples=60)
def test_whatever_the_disk_says_each_kept_unit_is_there_once_in_order(outcomes: list[str], kept: list[bool]) -> None:
    async def play(directory: Path) -> list[str]:
        journal = await Journal.open(directory, ManualClock(T0))
        confirmed: list[str] = []
        for number, keep in enumerate(kept):
            with suppress(JournalUnavailableError):
                await journal.submit([noted(f"u{number}")], refused=never if keep else None)
                confirmed.append(f"u{number}")
        for _ in outcomes:
            with suppress(JournalUnavailableError):
                await journal.submit(())
        await journal.submit([noted("end")])
        assert journal.behind == 0
        await journal.close()
        return confirmed

    with TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        disk(patch, outcomes)
        confirmed = asyncio.run(play(Path(directory)))
        found = told(Path(directory) / "journal.db")
    assert len(set(found)) == len(found)
    assert found == sorted(found, key=lambda name: (name == "end", name))
    assert set(found) >= {f"u{number}" for number, keep in enumerate(kept) if keep} | {*confirmed, "end"}
