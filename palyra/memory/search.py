"""Notes found by meaning and by word, in one order."""

from palyra.core.values import value
from palyra.journal.readers import Readers
from palyra.journal.readers.memory import NoteFilter, Place
from palyra.memory.note import Note, note_of
from palyra.memory.ranking import LOOKED_AT, joined
from palyra.memory.words import search_words


@value
class Search:
    """What is looked for. `owner` None: anybody's notes; `payer` pays for the vector of the text, where it costs.

    `places` limits it to some, none to nowhere; `scope` to one kind of place.
    """

    text: str
    most: int
    payer: str
    owner: str | None = None
    places: tuple[Place, ...] = ()
    scope: str = ""


@value
class Found:
    """The nearest first. `by_meaning`: vectors took part; `plain`: SQLite did not compute them, which is slower."""

    notes: tuple[Note, ...]
    by_meaning: bool
    plain: bool


async def found(readers: Readers, asked: Search, now: int, model: str, vector: bytes | None) -> Found:
    """Raises JournalUnavailableError."""
    which = NoteFilter(now, asked.owner, asked.places, asked.scope)
    looked_at = max(LOOKED_AT, asked.most)
    nearest = await readers.nearest_notes(
        which, model=model, vector=vector, words=search_words(asked.text), most=looked_at
    )
    by_vector = [number for number, _ in nearest.by_vector]
    best = joined([by_vector, nearest.by_words], asked.most)
    rows = {row.number: row for row in await readers.notes_numbered(best)}
    vectors = await readers.note_vectors(best)
    notes = [
        note_of(rows[number], indexed=vectors.get(number, (0, ""))[1] == model) for number in best if number in rows
    ]
    return Found(tuple(notes), by_meaning=vector is not None, plain=nearest.plain)
