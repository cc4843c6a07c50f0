"""What maintenance deletes, indexes and gives back, and what it says of that."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.core.errors import JournalUnavailableError
from palyra.core.instants import parse_instant_ms
from palyra.engine.memory import vacuum_times
from palyra.journal import word_index
from palyra.journal.changes import AuditAdded
from palyra.journal.journal import Journal
from palyra.memory.capacity import over_capacity, vacuum_due
from palyra.memory.memory import SPARE, SPARE_BYTES, Memory
from palyra.memory.search import Search
from palyra.memory.standing import MemoryLimits
from tests.memory.keeping import DAY_S, NIGHTLY, WORK, Keeping, keep


async def texts(memory: Memory, keeping: Keeping) -> list[str]:
    return [note.text for note in await memory.reading.notes(None, (), "", limit=500)]


async def test_of_too_many_notes_the_one_recalled_longest_ago_goes(keeping: Keeping) -> None:
    memory = await keeping.memory(MemoryLimits(max_entries=3))
    for text in ("first", "second", "third", "fourth"):
        keeping.clock.tick(1)
        await keep(memory, text)
    keeping.clock.tick(1)
    assert await memory.recall(WORK, "second", 1) == ("second",)
    assert (await memory.maintain())["deleted_capacity"] == 1
    assert await texts(memory, keeping) == ["fourth", "third", "second"]
    keeping.clock.tick(1)
    assert await memory.recall(WORK, "third", 1) == ("third",)
    await keep(memory, "fifth")
    await memory.maintain()
    assert await texts(memory, keeping) == ["fifth", "third", "second"]


async def test_too_many_bytes_go_like_too_many_notes(keeping: Keeping) -> None:
    memory = await keeping.memory(MemoryLimits(max_bytes=100, max_entries=0))
    for letter in "abcd":
        keeping.clock.tick(1)
        await keep(memory, letter * 40)
    assert (await memory.maintain())["deleted_capacity"] == 2
    assert await texts(memory, keeping) == ["d" * 40, "c" * 40]


async def test_what_has_expired_goes_before_what_is_too_much(keeping: Keeping) -> None:
    memory = await keeping.memory(MemoryLimits(max_entries=2))
    await keep(memory, "oldest")
    await keep(memory, "brief", ttl_ms=1000)
    await keep(memory, "newest")
    keeping.clock.tick(1)
    done = await memory.maintain()
    assert (done["deleted_expired"], done["deleted_capacity"]) == (1, 0)
    assert await texts(memory, keeping) == ["newest", "oldest"]


async def test_many_expired_notes_go_in_portions_and_never_push_out_living_ones(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("palyra.memory.memory.EXPIRED_AT_ONCE", 5)
    memory = await keeping.memory(MemoryLimits(max_entries=3))
    for number in range(3):
        await keep(memory, f"living {number}")
    for number in range(8):
        await keep(memory, f"brief {number}", ttl_ms=1000)
    keeping.clock.tick(1)
    first, second, third = [await memory.maintain() for _ in range(3)]
    assert [one["deleted_expired"] for one in (first, second, third)] == [5, 3, 0]
    assert [one["deleted_capacity"] for one in (first, second, third)] == [0, 0, 0]
    assert len(await texts(memory, keeping)) == 3


async def test_a_flood_between_two_maintenances_does_not_fill_the_disk(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("palyra.memory.memory.SPARE", 10)
    assert SPARE > 10
    memory = await keeping.memory(MemoryLimits(max_entries=5))
    for number in range(40):
        keeping.clock.tick(0.001)
        await keep(memory, f"note {number}")
        assert len(await texts(memory, keeping)) <= 15
    assert (await texts(memory, keeping))[0] == "note 39"


async def test_a_vacuum_that_was_missed_is_made_once_and_what_was_done_is_on_record(keeping: Keeping) -> None:
    """Due on Sunday while the engine was off: the first maintenance on Tuesday makes it."""
    clock = keeping.clock
    installed = clock.now_ms()
    await keeping.journal.submit([AuditAdded(installed, "engine", "boot", "palyra", {"verb": "started"})])
    memory = await keeping.memory()
    keeping.times = (installed - 1, installed + 4 * DAY_S * 1000)
    await keep(memory, "text " * 800)
    assert (await memory.maintain())["vacuumed"] is False
    clock.tick(6 * DAY_S)
    sunday, next_one = installed + 4 * DAY_S * 1000, installed + 11 * DAY_S * 1000
    keeping.times = (sunday, next_one)
    again = await keeping.memory()
    assert (await again.figures()).vacuum_due_at == sunday
    assert (await again.figures()).vacuum_overdue
    await again.forget([(await again.reading.notes(None, (), "", limit=500))[0].note_id], "op")
    done = await again.maintain()
    assert done["vacuumed"] is True
    assert isinstance(done["bytes_before"], int)
    assert isinstance(done["bytes_after"], int)
    assert done["bytes_before"] > done["bytes_after"] > 0
    assert done["next_vacuum_at"] == next_one
    assert (await again.maintain())["vacuumed"] is False
    kept = await keeping.journal.readers.memory_upkeep()
    assert kept is not None
    assert (kept.version, kept.at, kept.vacuumed_at, kept.vacuumed) == (3, clock.now_ms(), clock.now_ms(), False)
    figures = await again.figures()
    assert (figures.vacuum_due_at, figures.vacuum_overdue, figures.codes) == (next_one, False, ())


async def test_a_vacuum_that_fails_is_told_and_tried_again(keeping: Keeping, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = await keeping.memory()
    keeping.clock.tick(60)
    keeping.times = (keeping.clock.now_ms(), None)

    async def full(_: Journal) -> None:
        raise JournalUnavailableError("The journal cannot be tidied: disk full.")

    with monkeypatch.context() as failing:
        failing.setattr(Journal, "tidy", full)
        done = await memory.maintain()
    assert (done["vacuumed"], done["error"]) == (False, "The journal cannot be tidied: disk full.")
    assert (await memory.figures()).codes == ("maintenance_failed",)
    assert (await memory.maintain())["vacuumed"] is True
    assert (await memory.figures()).codes == ()


async def test_a_maintenance_that_does_not_come_is_told_after_half_an_hour(keeping: Keeping) -> None:
    memory = await keeping.memory()
    await memory.maintain()
    due = keeping.clock.now_ms() + 300_000
    keeping.clock.tick(300 + 1800)
    figures = await memory.figures()
    assert (figures.maintenance_due_at, figures.codes, figures.degraded) == (due, (), False)
    keeping.clock.tick(1)
    assert (await memory.figures()).codes == ("maintenance_late",)
    await memory.maintain()
    assert not (await memory.figures()).degraded


@pytest.mark.parametrize(
    ("last", "installed", "latest", "due"),
    [
        (None, 10, None, False),
        (None, 10, 9, False),
        (None, 10, 10, False),
        (None, 10, 11, True),
        (20, 10, 15, False),
        (20, 10, 20, False),
        (20, 10, 21, True),
    ],
)
def test_a_vacuum_is_due_from_the_schedules_instant_on(
    last: int | None, installed: int, latest: int | None, due: bool
) -> None:
    assert vacuum_due(last, installed, latest) is due


class Weighed(NamedTuple):
    number: int
    bytes: int


def weighed(sizes: Sequence[int]) -> list[Weighed]:
    return [Weighed(number, size) for number, size in enumerate(sizes)]


@given(st.lists(st.integers(1, 50), max_size=20), st.integers(0, 12), st.integers(0, 300))
def test_as_few_as_needed_go_and_those_that_stay_were_used_last(
    sizes: list[int], max_entries: int, max_bytes: int
) -> None:
    notes = weighed(sizes)

    def fits(kept: list[Weighed]) -> bool:
        enough = not max_entries or len(kept) <= max_entries
        return enough and (not max_bytes or sum(note.bytes for note in kept) <= max_bytes)

    gone = over_capacity(notes, entries=len(notes), size=sum(sizes), max_entries=max_entries, max_bytes=max_bytes)
    assert gone == list(range(len(gone)))
    assert fits(notes[len(gone) :])
    assert not gone or not fits(notes[len(gone) - 1 :])


@pytest.mark.parametrize("place", [NIGHTLY])
async def test_what_is_kept_and_recalled_follows_the_rules_whatever_the_order(keeping: Keeping, place: object) -> None:
    """Against a model in plain Python: which notes live, and which of them are the three used last."""
    memory, clock = await keeping.memory(MemoryLimits(max_entries=3)), keeping.clock
    used: dict[str, int] = {}
    ends: dict[str, int] = {}
    words = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot"]
    for step in range(120):
        clock.tick(1)
        word, now = words[(step * step + step // 3) % len(words)], clock.now_ms()
        match step % 4:
            case 0 | 1:
                await keep(memory, word, ttl_ms=20_000)
                used[word], ends[word] = now, now + 20_000
            case 2:
                recalled = await memory.recall(WORK, word, 1)
                living = {one for one in used if ends[one] > now}
                assert len(recalled) == min(1, len(living))
                assert set(recalled) <= living
                assert word not in living or recalled == (word,)
                used.update(dict.fromkeys(recalled, now))
            case _:
                await memory.maintain()
                living = {one for one in used if ends[one] > now}
                used = {one: used[one] for one in sorted(living, key=lambda one: used[one])[-3:]}
                assert set(await texts(memory, keeping)) == set(used)


async def test_far_too_many_bytes_do_not_wait_for_maintenance(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("palyra.memory.memory.SPARE_BYTES", 100)
    assert SPARE_BYTES > 100
    memory = await keeping.memory(MemoryLimits(max_bytes=100, max_entries=0))
    for letter in "abcde":
        keeping.clock.tick(1)
        await keep(memory, letter * 40)
        assert len(await texts(memory, keeping)) == "abcde".index(letter) + 1
    keeping.clock.tick(1)
    await keep(memory, "f" * 40)
    assert await texts(memory, keeping) == ["f" * 40, "e" * 40]
    again = await keeping.memory(MemoryLimits(max_bytes=100, max_entries=0))
    for letter in "ghij":
        keeping.clock.tick(1)
        await keep(again, letter * 40)
    assert await texts(again, keeping) == ["j" * 40, "i" * 40]


async def cleared(keeping: Keeping) -> None:
    """Waits until nothing is left to clear away."""
    while await keeping.journal.readers.memory_traces() is not None:
        async with keeping.journal.fence():
            pass


async def test_what_forgotten_notes_left_is_cleared_away_by_the_next_engine(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one is killed before it could."""
    memory = await keeping.memory()
    kept = await keep(memory, "xyloquartz is a secret")
    await memory.forget([kept.note.note_id], "ada")
    assert await keeping.journal.readers.memory_traces() is not None
    tidied = asyncio.Event()
    tidy = keeping.journal.tidy

    async def told() -> object:
        done = await tidy()
        tidied.set()
        return done

    monkeypatch.setattr(keeping.journal, "tidy", told)
    later = await keeping.memory()
    running = asyncio.create_task(later.run())
    await tidied.wait()
    await cleared(keeping)
    running.cancel()
    assert b"xyloquartz" not in keeping.journal.path.read_bytes()


async def test_what_could_not_be_cleared_away_is_tried_again_after_the_next_maintenance(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = await keeping.memory()
    kept = await keep(memory, "text")
    tried = asyncio.Event()

    async def away() -> object:
        tried.set()
        raise JournalUnavailableError("The journal cannot be written.")

    running = asyncio.create_task(memory.run())
    with monkeypatch.context() as broken:
        broken.setattr(keeping.journal, "tidy", away)
        await memory.forget([kept.note.note_id], "ada")
        await tried.wait()
    assert await keeping.journal.readers.memory_traces() is not None
    await memory.maintain()
    await cleared(keeping)
    running.cancel()


async def test_an_sqlite_without_an_index_of_words_still_finds_them_and_says_so(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = await keeping.memory()
    await keep(memory, "the disk of the printer is full")
    monkeypatch.setattr(word_index, "knows_words", lambda database: False)
    found = await memory.search(Search("printer", 3, "ann"))
    assert [note.text for note in found.notes] == ["the disk of the printer is full"]
    told = await memory.figures()
    assert (told.degraded, "no FTS5" in told.degraded_reason) == (True, True)


def test_a_vacuum_of_sunday_midnight_that_no_engine_ran_for_is_due_on_tuesday_and_once() -> None:
    days = ("2026-11-21T18:00:00Z", "2026-11-22T00:00:00Z", "2026-11-24T09:00:00Z")
    saturday, sunday, tuesday = map(parse_instant_ms, days)
    latest, upcoming = vacuum_times("0 0 * * 0")(tuesday)
    assert (latest, upcoming) == (sunday, sunday + 7 * DAY_S * 1000)
    assert vacuum_due(saturday, 0, latest)
    assert not vacuum_due(tuesday, 0, latest)
