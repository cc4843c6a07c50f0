"""Vectors for the notes that have none of the present model, a batch at a time, each owner's on the owner's bill."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import groupby

from palyra.core.clock import Clock
from palyra.core.errors import PalyraError
from palyra.journal.changes import Change
from palyra.journal.journal import Journal
from palyra.journal.note_rows import VECTORS, MemoryNoteRow, MemoryVectorRow
from palyra.memory.words import DIMENSIONS, WORDS_MODEL, pack, words_vector

log = logging.getLogger(__name__)

BATCH = 64
EMBEDDED_BYTES = 6 * 1024
"""Of a text, how much a model is given: more would be refused by models of 8,192 tokens, all of a batch with it."""

Embed = Callable[[str, Sequence[str]], Awaitable[Sequence[Sequence[float]]]]
"""The vectors of texts, paid by a principal. Raises EmbeddingError."""


class EmbeddingError(PalyraError):
    """There are no vectors now. `of_text`: the texts are at fault, and would be the next time too."""

    code = "no_embeddings"

    def __init__(self, message: str, *, of_text: bool = False) -> None:
        super().__init__(message)
        self.of_text = of_text


class Indexer:
    """`model` is the name that vectors are kept under; without `embed` they are made of the words alone.

    `trouble` says why the model gave none the last time, empty when it did; `dimensions` how many numbers its vectors
    have, 0 before anybody knows.
    """

    def __init__(self, journal: Journal, clock: Clock, model: str, embed: Embed | None) -> None:
        self._journal = journal
        self._clock = clock
        self._embed = embed
        self._unfit: set[int] = set()
        """Notes whose texts the model does not take; tried again by the next engine."""
        self.model = WORDS_MODEL if embed is None else model
        self.dimensions = DIMENSIONS if embed is None else 0
        self.trouble = ""

    @property
    def immediate(self) -> bool:
        """Whether a vector costs nobody anything and is there at once."""
        return self._embed is None

    async def vector(self, owner: str, text: str) -> bytes | None:
        """The vector of what is searched for; None where the model gives none now."""
        if self._embed is None:
            return words_vector(text)
        try:
            (numbers,) = await self._vectors(self._embed, owner, [_beginning(text)])
        except EmbeddingError:
            return None
        return numbers

    async def pending(self, most: int = BATCH) -> tuple[MemoryNoteRow, ...]:
        """The oldest notes that want a vector, but those whose text the model did not take."""
        now = self._clock.now_ms()
        return await self._journal.readers.notes_without_vector(now, self.model, most, sorted(self._unfit))

    async def made(self, rows: Sequence[MemoryNoteRow]) -> dict[int, bytes]:
        """Vectors by the numbers of their notes; those that could not be made are missing."""
        found: dict[int, bytes] = {}
        if self._embed is None:
            for row in rows:
                found[row.number] = words_vector(row.text)
                await asyncio.sleep(0)
            return found
        for owner, own in groupby(sorted(rows, key=lambda row: row.owner), key=lambda row: row.owner):
            try:
                await self._of_owner(self._embed, owner, list(own), found)
            except EmbeddingError as error:
                log.warning("notes wait for their vectors: %s", error)
                break
        return found

    async def _of_owner(self, embed: Embed, owner: str, rows: list[MemoryNoteRow], found: dict[int, bytes]) -> None:
        """A batch that is refused for what is in it is halved until the note at fault stands alone.

        Raises EmbeddingError.
        """
        try:
            vectors = await self._vectors(embed, owner, [_beginning(row.text) for row in rows])
        except EmbeddingError as error:
            if not error.of_text:
                raise
            if len(rows) == 1:
                self._unfit.add(rows[0].number)
                return
            middle = len(rows) // 2
            await self._of_owner(embed, owner, rows[:middle], found)
            await self._of_owner(embed, owner, rows[middle:], found)
            return
        found.update((row.number, vector) for row, vector in zip(rows, vectors, strict=True))

    async def _vectors(self, embed: Embed, owner: str, texts: Sequence[str]) -> list[bytes]:
        try:
            answered = await embed(owner, texts)
            vectors = [pack(numbers) for numbers in answered]
            if len(vectors) != len(texts) or len({len(one) for one in vectors}) != 1:
                raise EmbeddingError(f"{self.model} gave vectors that do not fit its texts.")
        except (ValueError, OverflowError) as error:
            raise self._troubled(EmbeddingError(f"{self.model} gave {error}.")) from error
        except EmbeddingError as error:
            raise self._troubled(error) from None
        self.trouble, self.dimensions = "", len(answered[0])
        return vectors

    def _troubled(self, error: EmbeddingError) -> EmbeddingError:
        self.trouble = error.message
        return error

    async def saved(self, vectors: dict[int, bytes]) -> list[Change]:
        """The changes that keep vectors of notes that are still there."""
        readers = self._journal.readers
        there = {row.number for row in await readers.notes_numbered(list(vectors))}
        before = await readers.note_vectors(sorted(there))
        return list(self._changes(vectors, there, before))

    def _changes(
        self, vectors: dict[int, bytes], there: set[int], before: dict[int, tuple[int, str]]
    ) -> Iterator[Change]:
        for number in sorted(there):
            version = before.get(number, (0, ""))[0] + 1
            yield VECTORS.saved(MemoryVectorRow(number, version, self.model, vectors[number]))


def _beginning(text: str) -> str:
    return text.encode()[:EMBEDDED_BYTES].decode(errors="ignore")
