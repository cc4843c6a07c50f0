"""Notes as people and jobs keep them: one of a text, ends, owners, what is refused, what forgetting leaves."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.core.errors import NotFoundError, PalyraError
from palyra.core.redact import REDACTED
from palyra.core.scope import Scope
from palyra.memory.note import (
    MAX_TAGS,
    MAX_TEXT,
    NoteFaultError,
    NotePlace,
    NoteScope,
    cut_text,
    place_of_answer,
    places_around,
    read_end,
    read_place,
    read_tags,
    read_text,
)
from palyra.memory.search import Search
from palyra.memory.standing import MemoryLimits
from tests.memory.keeping import DAY_S, NIGHTLY, WORK, Keeping, keep


def place_of(text: str) -> NotePlace:
    """`job:nightly`, `global`."""
    scope, _, name = text.partition(":")
    return read_place(scope, name)


async def test_equal_texts_in_one_place_are_one_note_whose_end_is_set_anew(keeping: Keeping) -> None:
    memory, clock = await keeping.memory(), keeping.clock
    first = await keep(memory, "The backup took four hours.", tags=("backup",))
    assert await memory.recall(WORK, "backup", 1) == ("The backup took four hours.",)
    clock.tick(10 * DAY_S)
    again = await keep(memory, "  The backup took four hours.\n", tags=("slow", "backup"))
    assert (first.fresh, again.fresh) == (True, False)
    assert again.note == replace(
        first.note,
        recall_count=1,
        recalled_at=first.note.created_at,
        expires_at=clock.now_ms() + 90 * DAY_S * 1000,
        tags=("backup", "slow"),
    )
    elsewhere = await keep(memory, "The backup took four hours.", NotePlace(NoteScope.SESSION, "nightly"))
    somebody = await keep(memory, "The backup took four hours.", owner="bob")
    assert elsewhere.fresh
    assert somebody.fresh
    assert (await memory.figures()).by_scope == {"job": 2, "session": 1}


async def test_a_note_ends_to_the_millisecond_and_is_deleted_at_the_next_maintenance(keeping: Keeping) -> None:
    memory, clock = await keeping.memory(MemoryLimits(ttl_days=1)), keeping.clock
    note = (await keep(memory, "Disk three is loud.")).note

    async def answers() -> list[int]:
        listed = await memory.reading.notes(None, (), "", limit=500)
        found = await memory.search(Search("loud disk", 5, "ann"))
        recalled = await memory.recall(Scope("ann", "", job="nightly"), "loud disk", 5)
        return [len(listed), len(found.notes), len(recalled)]

    clock.tick(DAY_S - 1)
    assert await answers() == [1, 1, 1]
    clock.tick(1)
    assert await answers() == [0, 0, 0]
    with pytest.raises(NotFoundError):
        await memory.forget([note.note_id], "operator")
    figures = await memory.figures()
    assert (figures.notes, figures.expired_waiting) == (0, 1)
    assert (await memory.maintain())["deleted_expired"] == 1
    assert (await memory.figures()).expired_waiting == 0


async def test_a_text_that_has_ended_is_a_new_note_when_it_comes_again(keeping: Keeping) -> None:
    memory = await keeping.memory(MemoryLimits(ttl_days=1))
    old = (await keep(memory, "Disk three is loud.")).note
    keeping.clock.tick(DAY_S)
    fresh = await keep(memory, "Disk three is loud.")
    assert fresh.fresh
    assert fresh.note.note_id != old.note_id
    assert fresh.note.recall_count == 0
    assert (await memory.figures()).expired_waiting == 0


async def test_notes_are_recalled_by_their_owner_in_the_places_a_run_lies_in(keeping: Keeping) -> None:
    memory = await keeping.memory()
    for place in ("job:nightly", "job:other", "session:s1", "session:s2", "agent:a", "global"):
        await keep(memory, f"server {place}", place_of(place))
    await keep(memory, "server of bob", owner="bob")
    recalled = await memory.recall(WORK, "server", 8)
    assert set(recalled) == {"server job:nightly", "server session:s1", "server global"}
    assert await memory.recall(Scope("bob", "s1"), "server", 8) == ()
    assert await memory.recall(WORK, "server", 0) == ()
    counted = {note.text: note.recall_count for note in await memory.reading.notes(None, (), "", limit=500)}
    assert counted["server job:nightly"] == 1
    assert counted["server of bob"] == counted["server agent:a"] == 0


async def test_an_answer_is_kept_with_its_job_and_cut_where_it_is_too_long(keeping: Keeping) -> None:
    memory = await keeping.memory()
    await keeping.journal.submit(memory.answer(WORK, "x" * 20_000, "run-1"))
    await keeping.journal.submit(memory.answer(Scope("ann", "s1"), " short ", "run-2"))
    assert memory.answer(Scope("ann", "s1"), " \n ", "run-3") == []
    short, long = await memory.reading.notes(None, (), "", limit=500)
    assert (short.scope, short.scope_value, short.text, short.run_id) == ("session", "s1", "short", "run-2")
    assert (long.scope, long.scope_value, long.run_id) == ("job", "nightly", "run-1")
    assert len(long.text.encode()) == MAX_TEXT
    assert long.text.endswith("x …")


async def test_an_answer_is_found_at_once_and_one_the_owner_had_there_renews_that_note_after_a_kill_too(
    keeping: Keeping,
) -> None:
    memory = await keeping.memory()
    old = (await keep(memory, "The backup takes four hours.")).note
    await keeping.clock.advance(60)
    await keeping.journal.submit(memory.answer(WORK, "The backup takes four hours.", "run-1"))
    await keeping.journal.submit(memory.answer(WORK, "The disk is full.", "run-2"))
    assert "The disk is full." in await memory.recall(WORK, "disk full", 1)
    after = await keeping.memory()
    await after.maintain()
    disk, backup = await after.reading.notes(None, (), "", limit=500)
    assert (backup.note_id, backup.expires_at) == (old.note_id, (old.expires_at or 0) + 60_000)
    assert (disk.text, disk.run_id, disk.recall_count, disk.indexed) == ("The disk is full.", "run-2", 1, True)
    assert not (await keep(after, "The disk is full.")).fresh
    assert (await keep(after, "Something else.")).fresh
    assert len(await after.reading.notes(None, (), "", limit=500)) == 3


async def test_notes_that_come_while_an_answer_is_written_have_numbers_of_their_own(keeping: Keeping) -> None:
    memory = await keeping.memory()
    answer = memory.answer(WORK, "The disk is full.", "run-1")
    await keep(memory, "Something else.")
    await keeping.journal.submit(answer)
    assert len(await memory.reading.notes(None, (), "", limit=500)) == 2


async def test_a_forgotten_note_leaves_its_id_and_time_and_nothing_of_its_text(
    keeping: Keeping, tmp_path: Path
) -> None:
    memory, clock = await keeping.memory(), keeping.clock
    secret = "xyloquartz"
    note = (await keep(memory, f"The word is {secret}.")).note
    for number in range(20):
        await keep(memory, f"Another note, number {number}.")
    clock.tick(5)
    with pytest.raises(NotFoundError, match="no note absent"):
        await memory.forget([note.note_id, "absent"], "uid:1000")
    assert await memory.forget([note.note_id], "uid:1000") == 1
    assert [one.text for one in (await memory.search(Search(secret, 50, "ann"))).notes if secret in one.text] == []
    await keeping.journal.tidy()
    files = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert [name for name, data in files.items() if secret.encode() in data] == []
    assert b"Another note, number 7." in files["journal.db"]
    (told,) = [row for row in await keeping.journal.readers.audit() if row.kind == "memory"]
    assert (told.subject, told.actor, told.at) == (note.note_id, "uid:1000", clock.now_ms())
    assert told.payload == {"verb": "forgotten", "scope": "job", "owner": "ann"}


async def test_a_whole_scope_is_forgotten_or_one_of_its_places(keeping: Keeping) -> None:
    memory = await keeping.memory()
    for number in range(130):
        await keep(memory, f"note {number}", place_of("job:nightly" if number % 2 else "job:other"))
    await keep(memory, "stays", place_of("session:nightly"))
    assert await memory.forget_all(NoteScope.JOB, "nightly", "op") == 65
    assert await memory.forget_all(NoteScope.JOB, None, "op") == 65
    assert await memory.forget_all(NoteScope.JOB, None, "op") == 0
    assert [note.text for note in await memory.reading.notes(None, (), "", limit=500)] == ["stays"]


async def test_switched_off_it_keeps_and_recalls_nothing(keeping: Keeping) -> None:
    memory = await keeping.memory(MemoryLimits(enabled=False))
    with pytest.raises(PalyraError, match="switched off"):
        await keep(memory, "Not kept.")
    assert memory.answer(WORK, "Not kept either.", "run-1") == []
    assert await memory.recall(WORK, "kept", 3) == ()
    assert (await memory.figures()).notes == 0
    assert (await memory.maintain())["indexed"] == 0


async def test_a_list_goes_on_after_the_last_note_seen(keeping: Keeping) -> None:
    memory = await keeping.memory()
    ids = [(await keep(memory, f"note {number}")).note.note_id for number in range(5)]
    reading = memory.reading
    assert [note.note_id for note in await reading.notes(None, (), "", limit=2)] == [ids[4], ids[3]]
    assert [note.note_id for note in await reading.notes(None, (), "", limit=5, before=ids[3])] == [
        ids[2],
        ids[1],
        ids[0],
    ]
    with pytest.raises(NotFoundError):
        await reading.notes(None, (), "", limit=5, before="absent")


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("jobs:nightly", "Did you mean job"),
        ("", "there are session, job, agent, global"),
        ("job", "1 to 128 letters"),
        ("job:", "1 to 128 letters"),
        ("session:a b", "1 to 128 letters"),
        (f"agent:{'x' * 129}", "1 to 128 letters"),
        ("global:all", "has no value"),
    ],
)
def test_an_unknown_place_is_refused(place: str, told: str) -> None:
    with pytest.raises(NoteFaultError) as refused:
        place_of(place)
    assert told in str(refused.value)
    assert refused.value.field.startswith("scope")


def test_places_are_read_and_told_alike() -> None:
    for text in ("job:nightly", "session:default:key-1", "agent:a/b", "global"):
        assert str(place_of(text)) == text
    assert place_of_answer(Scope("ann", "s1", job="nightly")) == NIGHTLY
    assert place_of_answer(Scope("ann", "s1")) == NotePlace(NoteScope.SESSION, "s1")
    assert place_of_answer(Scope("ann", "", agent="scribe")) == NotePlace(NoteScope.AGENT, "scribe")
    assert place_of_answer(Scope("ann", "")) == NotePlace(NoteScope.GLOBAL)
    assert [str(one) for one in places_around(Scope("a", "s", agent="b", job="j"))] == [
        "job:j",
        "session:s",
        "agent:b",
        "global",
    ]


@pytest.mark.parametrize("text", ["x" * (MAX_TEXT + 1), "é" * (MAX_TEXT // 2 + 1), "", " \n\t "])
def test_a_text_that_is_too_long_or_empty_is_refused(text: str) -> None:
    with pytest.raises(NoteFaultError) as refused:
        read_text(text)
    assert refused.value.field == "text"


def test_a_text_is_kept_safe_and_without_secrets() -> None:
    assert read_text("é" * (MAX_TEXT // 2)) == "é" * (MAX_TEXT // 2)
    kept = read_text("two\nlines \x1b[31mred\x1b[0m with Authorization: Bearer abcdef0123456789")
    assert "\x1b" not in kept
    assert kept.startswith("two\nlines ")
    assert REDACTED in kept
    assert "abcdef0123456789" not in kept


@given(st.text(max_size=200), st.integers(0, 3))
def test_kept_texts_have_no_other_line_breaks_than_newlines(text: str, times: int) -> None:
    """So that whoever quotes them line by line quotes all of them."""
    kept = cut_text(text * 10**times)
    assert len(kept.encode()) <= MAX_TEXT
    assert kept.splitlines() == ([] if not kept else kept.split("\n"))


def test_tags_and_ends_are_checked() -> None:
    assert read_tags(["a", "b=c", "a"]) == ("a", "b=c")
    for tags in (["two words"], [""], [f"t{number}" for number in range(MAX_TAGS + 1)]):
        with pytest.raises(NoteFaultError):
            read_tags(tags)
    assert read_end(None, 1, 5) == 5 + DAY_S * 1000
    assert read_end(None, 0, 5) is None
    assert read_end(0, 1, 5) is None
    assert read_end(7, 1, 5) == 12
    assert read_end(10**12, 0, 5) == 10**12 + 5
    for ttl in (-1, DAY_S * 1000 + 1):
        with pytest.raises(NoteFaultError, match="for 1 day "):
            read_end(ttl, 1, 5)
