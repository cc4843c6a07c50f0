"""What a console may ask about notes, and the answers. Times UTC unix ms."""

from typing import Literal

from palyra.core.values import value


@value
class NoteView:
    """A note. `expires_at` None: it stays. `indexed`: it is found by meaning too, and not by its words alone."""

    note_id: str
    scope: str
    scope_value: str
    owner: str
    text: str
    tags: tuple[str, ...]
    run_id: str
    created_at: int
    recalled_at: int | None
    recall_count: int
    expires_at: int | None
    indexed: bool


@value
class NotesQuery:
    """The newest first. An empty value asks for nothing; `scope_value` only goes with a scope. `cursor` is the last
    page's. Raises BadInputError, NotFoundError."""

    scope: str = ""
    scope_value: str = ""
    owner: str = ""
    limit: int = 50
    cursor: str = ""
    kind: Literal["notes"] = "notes"


@value
class NotesPage:
    """Notes, the newest first; an empty cursor: the last page."""

    notes: tuple[NoteView, ...]
    next_cursor: str = ""


@value
class NoteSearchQuery:
    """The notes nearest to a text, the best first. What its vector costs is paid by `owner`, else by the principal of
    the first key. Raises BadInputError."""

    text: str
    scope: str = ""
    scope_value: str = ""
    owner: str = ""
    limit: int = 8
    kind: Literal["note_search"] = "note_search"


@value
class NoteSearchAnswer:
    """`by_meaning` is False where there was no vector to search with: only words were compared."""

    notes: tuple[NoteView, ...]
    by_meaning: bool


@value
class MemoryStatsQuery:
    """How the memory does. Answer: MemoryStats."""

    kind: Literal["memory_stats"] = "memory_stats"


@value
class MaintenanceView:
    """What the newest maintenance did; bytes are of the journal's file. `error` is why it gave no space back."""

    last_at: int
    took_ms: int
    deleted_expired: int
    deleted_capacity: int
    indexed: int
    bytes_before: int
    bytes_after: int
    vacuumed: bool
    error: str


@value
class MemoryStats:
    """How notes stand. `expired_waiting` ones are in no answer any more and not yet deleted. 0 is no limit.

    `problems`: maintenance_failed, maintenance_late, vacuum_overdue, vectors_pending. `dimensions` 0: nobody knows yet.
    `maintenance` is None before the first. `live`: an engine told it.
    """

    live: bool
    enabled: bool
    state: str
    notes: int
    bytes: int
    by_scope: dict[str, int]
    vectors_indexed: int
    vectors_pending: int
    embeddings_model: str
    dimensions: int
    degraded_reason: str
    problems: tuple[str, ...]
    max_entries: int
    max_bytes: int
    ttl_days: int
    expired_waiting: int
    maintenance: MaintenanceView | None
    maintenance_due_at: int
    vacuum_cron: str
    vacuumed_at: int | None
    vacuum_due_at: int | None
    vacuum_overdue: bool


MemoryAsked = NotesQuery | NoteSearchQuery | MemoryStatsQuery
MemoryTold = NotesPage | NoteSearchAnswer | MemoryStats
