"""Vectors by a model: on whose bill, in which portions, and what happens while there are none."""

import asyncio
from pathlib import Path

import pytest

from palyra.core.clock import ManualClock, settle_loop
from palyra.journal.journal import Journal
from palyra.journal.vector_extension import NO_EXTENSION
from palyra.memory.indexing import BATCH, EMBEDDED_BYTES
from palyra.memory.memory import Memory
from palyra.memory.search import Search
from palyra.memory.standing import PENDING_MOST, MemoryLimits
from tests.memory.keeping import MODEL, WORK, Keeping, Model, keep


async def pending(memory: Memory) -> int:
    return (await memory.figures()).vectors_pending


async def test_while_the_provider_is_down_words_still_find_notes(keeping: Keeping) -> None:
    model = Model(down="acme is down")
    memory = await keeping.memory(embed=model.embed)
    await keep(memory, "The cat is called Mimir.")
    assert (await memory.maintain())["indexed"] == 0
    figures = await memory.figures()
    assert (figures.vectors_pending, figures.degraded_reason, figures.degraded) == (1, "acme is down", True)
    found = await memory.search(Search("mimir", 3, "ann"))
    assert [note.text for note in found.notes] == ["The cat is called Mimir."]
    assert (found.by_meaning, found.notes[0].indexed) == (False, False)
    model.down = ""
    assert (await memory.maintain())["indexed"] == 1
    figures = await memory.figures()
    assert (figures.vectors_pending, figures.dimensions, figures.degraded_reason) == (0, 2, "")
    found = await memory.search(Search("cats", 3, "ann"))
    assert (found.by_meaning, found.notes[0].indexed) == (True, True)


async def test_each_owner_pays_for_the_own_notes_and_searches(keeping: Keeping) -> None:
    model = Model()
    memory = await keeping.memory(embed=model.embed)
    for owner, text in (("ann", "cat"), ("bob", "disk"), ("ann", "more cat")):
        await keep(memory, text, owner=owner)
    assert (await memory.maintain())["indexed"] == 3
    assert model.asked == [("ann", ["cat", "more cat"]), ("bob", ["disk"])]
    model.asked.clear()
    assert await memory.recall(WORK, "a cat?", 1) == ("cat",)
    assert model.asked == [("ann", ["a cat?"])]


async def test_batches_are_of_64_and_texts_are_cut(keeping: Keeping) -> None:
    model = Model()
    memory = await keeping.memory(embed=model.embed)
    for number in range(BATCH + 6):
        await keep(memory, f"{number} {'é' * 5000}")
    assert (await memory.maintain())["indexed"] == BATCH
    assert await pending(memory) == 6
    ((_, texts),) = model.asked
    assert {len(text.encode()) for text in texts} == {EMBEDDED_BYTES - 1, EMBEDDED_BYTES}


async def test_notes_are_indexed_as_they_come_without_waiting_for_maintenance(keeping: Keeping) -> None:
    model = Model()
    memory = await keeping.memory(embed=model.embed)
    for number in range(BATCH + 6):
        await keep(memory, f"cat {number}")
    work = asyncio.create_task(memory.run())
    try:
        while await pending(memory):
            await settle_loop()
        assert len(model.asked) == 2
        await keep(memory, "disk")
        while await pending(memory):
            await settle_loop()
        assert model.asked[2:] == [("ann", ["disk"])]
    finally:
        work.cancel()


async def test_nobody_pays_twice_for_a_vector_that_two_want_at_once(keeping: Keeping) -> None:
    asked: list[object] = []
    answered = asyncio.Event()

    async def embed(_owner: str, texts: object) -> list[list[float]]:
        asked.append(texts)
        await answered.wait()
        return [[1.0, 2.0]]

    memory = await keeping.memory(embed=embed)
    await keep(memory, "cat")
    upkeep = asyncio.create_task(memory.maintain())
    while not asked:
        await settle_loop()
    work = asyncio.create_task(memory.run())
    try:
        for _ in range(20):
            assert await pending(memory) == 1
        answered.set()
        await upkeep
        assert asked == [["cat"]]
        assert await pending(memory) == 0
    finally:
        work.cancel()


async def test_a_changed_model_makes_all_vectors_anew_in_the_background(keeping: Keeping) -> None:
    memory = await keeping.memory()
    for text in ("cat food", "disk three"):
        await keep(memory, text)
    assert await pending(memory) == 0
    model = Model()
    changed = await keeping.memory(embed=model.embed)
    figures = await changed.figures()
    assert (figures.embeddings_model, figures.vectors_pending) == (MODEL, 2)
    found = await changed.search(Search("food", 3, "ann"))
    assert [note.text for note in found.notes] == ["cat food"]
    work = asyncio.create_task(changed.run())
    while await pending(changed):
        await settle_loop()
    work.cancel()
    found = await changed.search(Search("many cats and no dogs", 1, "ann"))
    assert [(note.text, note.indexed) for note in found.notes] == [("cat food", True)]
    back = await keeping.memory()
    assert await pending(back) == 2
    assert (await back.maintain())["indexed"] == 2
    assert [note.text for note in (await back.search(Search("disk", 1, "ann"))).notes] == ["disk three"]


async def test_a_text_that_the_model_refuses_holds_up_no_other(keeping: Keeping) -> None:
    model = Model(refuses="poison")
    memory = await keeping.memory(embed=model.embed)
    for text in ("cat one", "cat two", "poison", "cat three", "cat four"):
        await keep(memory, text)
    assert (await memory.maintain())["indexed"] == 4
    model.asked.clear()
    assert (await memory.maintain())["indexed"] == 0
    assert model.asked == []
    assert await pending(memory) == 1
    assert [note.text for note in (await memory.search(Search("poison", 1, "ann"))).notes] == ["poison"]


@pytest.mark.parametrize("wrong", [[[0.0, 0.0]], [[1.0], [2.0]], [], [[]], [[float("nan"), 1.0]], [[1.7e308, 1.7e308]]])
async def test_vectors_that_cannot_be_are_not_kept(keeping: Keeping, wrong: list[list[float]]) -> None:
    async def embed(_owner: str, _texts: object) -> list[list[float]]:
        return wrong

    memory = await keeping.memory(embed=embed)
    await keep(memory, "cat")
    assert (await memory.maintain())["indexed"] == 0
    assert (await memory.figures()).degraded_reason.startswith(MODEL)


async def test_a_note_forgotten_while_its_vector_is_made_stays_forgotten(keeping: Keeping) -> None:
    asked, answered = asyncio.Event(), asyncio.Event()

    async def embed(_owner: str, texts: object) -> list[list[float]]:
        asked.set()
        await answered.wait()
        return [[1.0, 2.0]] * 2

    memory = await keeping.memory(embed=embed)
    gone, stays = [(await keep(memory, text)).note.note_id for text in ("gone", "stays")]
    indexing = asyncio.create_task(memory.maintain())
    await asked.wait()
    await memory.forget([gone], "op")
    answered.set()
    await indexing
    figures = await memory.figures()
    assert (figures.notes, figures.vectors_indexed) == (1, 1)
    assert stays != gone


async def test_too_many_waiting_vectors_and_a_missing_extension_are_told(tmp_path: Path, clock: ManualClock) -> None:
    journal = await Journal.open(tmp_path, clock, extension=NO_EXTENSION)
    keeping = Keeping(journal, clock)
    memory = await keeping.memory(MemoryLimits())
    await keep(memory, "The cat is called Mimir.")
    found = await memory.search(Search("mimir", 1, "ann"))
    assert (found.plain, found.by_meaning, len(found.notes)) == (True, True, 1)
    figures = await memory.figures()
    assert (figures.degraded_reason, figures.degraded, figures.codes) == ("sqlite-vec is not used", True, ())
    await journal.close()


async def test_more_than_a_thousand_waiting_vectors_are_told(keeping: Keeping, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("palyra.memory.standing.PENDING_MOST", 2)
    assert PENDING_MOST == 1000
    memory = await keeping.memory(embed=Model(down="down").embed)
    for number in range(3):
        assert (await memory.figures()).codes == ()
        await keep(memory, f"cat {number}")
    assert (await memory.figures()).codes == ("vectors_pending",)
