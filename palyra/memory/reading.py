"""Notes as they lie in the journal: listed, searched and counted, with an engine or without."""

from collections.abc import Callable, Sequence

from palyra.core.clock import Clock
from palyra.core.errors import NotFoundError
from palyra.journal.note_rows import MemoryNoteRow
from palyra.journal.readers import Readers
from palyra.journal.readers.memory import NoteFilter
from palyra.memory.note import Note, note_of
from palyra.memory.search import Found, Search, found
from palyra.memory.standing import MemoryFigures, MemoryLimits, figures
from palyra.memory.words import DIMENSIONS, WORDS_MODEL, words_vector

VacuumTimes = Callable[[int], tuple[int | None, int | None]]
"""The latest instant of the vacuum's schedule that is not after a time, and the first one after it."""

NO_INDEX = "this Python's SQLite has no FTS5: words are looked for in every note"


class NoteReading:
    """Every method raises JournalUnavailableError when the journal cannot be read."""

    def __init__(self, readers: Readers, clock: Clock, limits: MemoryLimits, vacuum_times: VacuumTimes) -> None:
        self._readers = readers
        self._clock = clock
        self._limits = limits
        self._vacuum_times = vacuum_times
        self.model = limits.embeddings_model or WORDS_MODEL

    async def notes(
        self, owner: str | None, places: Sequence[tuple[str, str]], scope: str, *, limit: int, before: str = ""
    ) -> tuple[Note, ...]:
        """The newest first; `before` is the id of the last one seen. Raises NotFoundError."""
        last = None
        if before:
            row = await self._readers.note(before)
            if row is None:
                raise NotFoundError(f"There is no note {before}.")
            last = row.number
        which = NoteFilter(self._clock.now_ms(), owner, tuple(places), scope)
        return await self.shown(await self._readers.notes(which, limit=limit, before=last))

    async def shown(self, rows: Sequence[MemoryNoteRow]) -> tuple[Note, ...]:
        """The notes of these rows, each with whether it can be searched by meaning."""
        vectors = await self._readers.note_vectors([row.number for row in rows])
        return tuple(note_of(row, indexed=vectors.get(row.number, (0, ""))[1] == self.model) for row in rows)

    async def search(self, asked: Search, vector: bytes | None) -> Found:
        """`vector` is the text's, None where there is none."""
        return await found(self._readers, asked, self._clock.now_ms(), self.model, vector)

    async def search_alone(self, asked: Search) -> Found:
        """Without anybody who could ask a model for the text's vector."""
        known = self.model == WORDS_MODEL and asked.text.strip()
        return await self.search(asked, words_vector(asked.text) if known else None)

    async def figures(self, *troubles: str, dimensions: int | None = None) -> MemoryFigures:
        """How it stands; `troubles` say what is not as it should be. `dimensions` None: nobody asked a model so far."""
        now = self._clock.now_ms()
        begun = await self._readers.recorded_since()
        scanned = "" if await self._readers.words_indexed() else NO_INDEX
        known = DIMENSIONS if self.model == WORDS_MODEL else 0
        return figures(
            self._limits,
            await self._readers.note_counts(now, self.model),
            await self._readers.memory_upkeep(),
            now=now,
            model=self.model,
            dimensions=known if dimensions is None else dimensions,
            times=self._vacuum_times(now),
            installed=now if begun is None else begun,
            troubles=(*troubles, scanned),
        )
