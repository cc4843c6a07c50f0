"""What searching notes costs: `python -m benchmarks.notes` fills a journal with notes and looks for things in them.

CPU milliseconds of the thread that reads, with sqlite-vec and without, beside the time that an answer takes; and what
it costs to give the space of half the notes back to the disk. Words are as unevenly frequent as in any language, so
that the common ones are in nearly every note.
"""

import argparse
import asyncio
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from hashlib import sha256
from pathlib import Path

from palyra.core.clock import SystemClock
from palyra.journal.connection import ReaderPool
from palyra.journal.journal import Journal
from palyra.journal.note_rows import NOTES, VECTORS, MemoryNoteRow, MemoryVectorRow
from palyra.journal.readers.memory import NoteFilter
from palyra.journal.vector_extension import NO_EXTENSION
from palyra.memory.words import WORDS_MODEL, search_words, words_vector

WORDS, LENGTH, ASKED = 5_000, 80, 20
"""Different words, words of a note, words of what is looked for."""
BATCH = 100


class Language:
    """Texts of made-up words; the n-th word is n times as rare as the first."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        letters = "abcdefghijklmnopqrstuvwxyz"
        self._words = ["".join(self._random.choices(letters, k=self._random.randint(3, 9))) for _ in range(WORDS)]
        self._weights = [1 / place for place in range(1, WORDS + 1)]

    def text(self, length: int) -> str:
        return " ".join(self._random.choices(self._words, self._weights, k=length))


def a_note(number: int, text: str) -> MemoryNoteRow:
    return MemoryNoteRow(
        number=number,
        note_id=f"note-{number}",
        version=1,
        scope="job",
        scope_value=f"job-{number % 3}",
        owner="local",
        digest=sha256(text.encode()).hexdigest(),
        bytes=len(text),
        created_at=number,
        used_at=number,
        recalled_at=None,
        recall_count=0,
        expires_at=None,
        run_id="",
        tags=(),
        text=text,
    )


async def fill(journal: Journal, language: Language, count: int) -> None:
    for start in range(1, count + 1, BATCH):
        unit = []
        for number in range(start, min(start + BATCH, count + 1)):
            text = language.text(LENGTH)
            unit += [NOTES.saved(a_note(number, text))]
            unit += [VECTORS.saved(MemoryVectorRow(number, 1, WORDS_MODEL, words_vector(text)))]
        await journal.submit(unit)


async def search(journal: Journal, language: Language, times: int) -> dict[str, float]:
    """Medians; the reader's thread is asked for its CPU time before and after each search."""
    pool: ReaderPool = journal.readers._pool
    spent, took = [], []
    for _ in range(times):
        text = language.text(ASKED)
        async with pool.at_one_moment() as one:
            before = await one.run(lambda _: (time.thread_time(), threading.get_ident()))
            began = time.perf_counter()
            await type(journal.readers)(one).nearest_notes(
                NoteFilter(1, "local"),
                model=WORDS_MODEL,
                vector=words_vector(text),
                words=search_words(text),
                most=50,
            )
            took.append(time.perf_counter() - began)
            after = await one.run(lambda _: (time.thread_time(), threading.get_ident()))
        assert before[1] == after[1]
        spent.append(after[0] - before[0])
    return {
        "cpu_p50_ms": round(statistics.median(spent) * 1000, 1),
        "cpu_longest_ms": round(max(spent) * 1000, 1),
        "took_p50_ms": round(statistics.median(took) * 1000, 1),
    }


async def tidied(journal: Journal, notes: int) -> dict[str, float]:
    """What giving space back costs once every other note is gone: how many steps, and the longest, in which nobody else
    writes."""
    for start in range(1, notes + 1, 2 * BATCH):
        await journal.submit([NOTES.forgotten(number) for number in range(start, min(start + 2 * BATCH, notes + 1), 2)])
    began = time.perf_counter()
    done = await journal.tidy()
    return {
        "mib_before": round(done.bytes_before / 2**20, 1),
        "mib_after": round(done.bytes_after / 2**20, 1),
        "steps": done.steps,
        "longest_step_ms": round(done.longest_s * 1000, 1),
        "took_ms": round((time.perf_counter() - began) * 1000),
    }


async def measure(directory: Path, notes: int, times: int) -> dict[str, dict[str, float]]:
    language, clock = Language(1), SystemClock()
    journal = await Journal.open(directory, clock)
    await fill(journal, language, notes)
    found = {"sqlite_vec": await search(journal, language, times)}
    await journal.close()
    journal = await Journal.open(directory, clock, extension=NO_EXTENSION)
    found["plain"] = await search(journal, language, times)
    found["tidied"] = await tidied(journal, notes)
    await journal.close()
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="What searching notes costs.")
    parser.add_argument("--notes", type=int, default=10_000)
    parser.add_argument("--searches", type=int, default=100)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="palyra-notes-") as directory:
        found = asyncio.run(measure(Path(directory), given.notes, given.searches))
    print(json.dumps({"notes": given.notes, **found}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
