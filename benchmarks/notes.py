"""What searching notes costs: `python -m benchmarks.notes` fills a journal with notes and looks for things in them.

Told is the processor time of the thread that reads, with sqlite-vec and without, and what it costs to give the space of
half the notes back to the disk. Words are as unevenly frequent as in any language, so that the common ones are in
nearly every note.
"""

import asyncio
import random
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from benchmarks.command import Benchmark, Setting, option, run, say
from benchmarks.measured import Found, Measured, Numbers
from palyra.core.clock import SystemClock
from palyra.journal.connection import ReaderPool
from palyra.journal.journal import Journal
from palyra.journal.note_rows import NOTES, VECTORS, MemoryNoteRow, MemoryVectorRow
from palyra.journal.readers.memory import NoteFilter
from palyra.journal.vector_extension import NO_EXTENSION
from palyra.memory.words import WORDS_MODEL, search_words, words_vector


@dataclass(frozen=True, slots=True)
class Size:
    notes: int = option(10_000, "how many")
    searches: int = option(50, "of each kind")


QUICK = Size(notes=500, searches=10)

GOAL_MS = 50.0
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


async def search(journal: Journal, language: Language, times: int) -> list[Numbers]:
    """Of each search; the reader's thread is asked for its CPU time before and after."""
    pool: ReaderPool = journal.readers._pool
    found: list[Numbers] = []
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
            took = time.perf_counter() - began
            after = await one.run(lambda _: (time.thread_time(), threading.get_ident()))
        assert before[1] == after[1]
        found.append({"cpu_ms": (after[0] - before[0]) * 1000, "took_ms": took * 1000})
    return found


async def tidied(journal: Journal, notes: int) -> Numbers:
    """What giving space back costs once every other note is gone: how many steps, and the longest, in which nobody else
    writes."""
    for start in range(1, notes + 1, 2 * BATCH):
        await journal.submit([NOTES.forgotten(number) for number in range(start, min(start + 2 * BATCH, notes + 1), 2)])
    began = time.perf_counter()
    done = await journal.tidy()
    return {
        "mib_before": done.bytes_before / 2**20,
        "mib_after": done.bytes_after / 2**20,
        "steps": float(done.steps),
        "longest_step_ms": done.longest_s * 1000,
        "tidied_ms": (time.perf_counter() - began) * 1000,
    }


@dataclass(frozen=True, slots=True)
class Searched:
    """Every search with sqlite-vec and every one without, and what giving space back took."""

    by_vec: list[Numbers]
    plain: list[Numbers]
    tidied: Numbers


async def searched(directory: Path, size: Size) -> Searched:
    language, clock = Language(1), SystemClock()
    journal = await Journal.open(directory, clock)
    say(f"{size.notes:,} notes")
    await fill(journal, language, size.notes)
    say("searches")
    by_vec = await search(journal, language, size.searches)
    await journal.close()
    journal = await Journal.open(directory, clock, extension=NO_EXTENSION)
    plain = await search(journal, language, size.searches)
    given_back = await tidied(journal, size.notes)
    await journal.close()
    return Searched(by_vec, plain, given_back)


def measure(setting: Setting, size: Size) -> Found:
    with tempfile.TemporaryDirectory(prefix="palyra-bench-", dir=setting.directory) as directory:
        found = asyncio.run(searched(Path(directory), size))
    kinds = (("sqlite-vec", found.by_vec), ("a plain scan", found.plain))
    told = [_p50(f"a search in {size.notes:,} notes by {name}: processor time, p50", one) for name, one in kinds]
    longest = found.tidied["longest_step_ms"]
    rows = (*told, Measured("giving the space of half of them back: longest time nobody else writes", longest, "ms"))
    return Found(rows, (*found.by_vec, *found.plain, found.tidied))


def _p50(what: str, searches: list[Numbers]) -> Measured:
    """With the quarters of all searches between which half of them lie."""
    low, middle, high = statistics.quantiles((one["cpu_ms"] for one in searches), n=4)
    return Measured(what, middle, "ms", GOAL_MS, least=low, most=high)


BENCHMARK = Benchmark("notes", __doc__, Size(), QUICK, measure)

if __name__ == "__main__":
    run(BENCHMARK)
