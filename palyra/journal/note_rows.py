"""Rows of the notes that are kept and recalled, of their vectors, and of what maintenance did last."""

from palyra.core.values import value
from palyra.journal.entity import Entity

UPKEEP_ID = 1
"""The one row that tells what maintenance did."""
UNSETTLED = "run:"
"""Begins the digest of an answer that was written with the end of its run; the run's id follows. It gets the digest of
its text once it is known whether its owner has that text there already."""


@value
class MemoryNoteRow:
    """A note. `expires_at` None: it stays. `used_at` is when it was made, renewed or recalled last.

    `digest` is of the text; an owner has one note of a text in a place (`scope`, `scope_value`).
    """

    number: int
    note_id: str
    version: int
    scope: str
    scope_value: str
    owner: str
    digest: str
    bytes: int
    created_at: int
    used_at: int
    recalled_at: int | None
    recall_count: int
    expires_at: int | None
    run_id: str
    tags: tuple[str, ...]
    text: str


@value
class MemoryVectorRow:
    """The vector of the note of that number, as `model` made it: little-endian numbers of four bytes."""

    number: int
    version: int
    model: str
    vector: bytes


@value
class MemoryUpkeepRow:
    """What the newest maintenance did. `bytes_*` are of the journal's file, around the vacuum where there was one;
    `vacuumed_at` is when the newest vacuum was, None before any."""

    upkeep_id: int
    version: int
    at: int
    took_ms: int
    deleted_expired: int
    deleted_capacity: int
    indexed: int
    bytes_before: int
    bytes_after: int
    vacuumed: bool
    vacuumed_at: int | None
    error: str


@value
class NoteCounts:
    """How many notes there are and what their texts weigh. `expired` ones wait to be deleted and are in no other
    number; `indexed` ones have a vector of the model asked about."""

    entries: int
    bytes: int
    indexed: int
    expired: int
    by_scope: dict[str, int]


TRACES_ID = 1


@value
class MemoryTracesRow:
    """Notes were forgotten (at last at `at`, UTC unix ms) whose texts may still lie in parts of the file that nothing
    uses, until it is tidied."""

    traces_id: int
    version: int
    at: int


NOTES = Entity(MemoryNoteRow, "memory_notes", ["number"])
VECTORS = Entity(MemoryVectorRow, "memory_vectors", ["number"])
UPKEEP = Entity(MemoryUpkeepRow, "memory_upkeep", ["upkeep_id"])
TRACES = Entity(MemoryTracesRow, "memory_traces", ["traces_id"])
