"""Notes as consoles see them, with an engine or from the journal alone, and what operators do about them."""

from dataclasses import asdict

from palyra.config.model import LoadedConfig
from palyra.control.memory_commands import AddNote, ForgetNotes, ForgetScope, MemoryCommand
from palyra.control.memory_queries import (
    MaintenanceView,
    MemoryAsked,
    MemoryStats,
    MemoryStatsQuery,
    MemoryTold,
    NoteSearchAnswer,
    NoteSearchQuery,
    NotesPage,
    NotesQuery,
    NoteView,
)
from palyra.control.snapshots import CommandResult
from palyra.core.clock import Clock
from palyra.core.errors import BadInputError
from palyra.core.plural import plural
from palyra.engine.memory import memory_limits, vacuum_times
from palyra.governance.four_eyes import Decider
from palyra.journal.readers import Readers
from palyra.journal.readers.memory import MAX_PAGE
from palyra.journal.vector_extension import installed_extension
from palyra.memory.memory import Memory
from palyra.memory.note import Note, NoteAsk, read_place, read_scope
from palyra.memory.reading import NoteReading
from palyra.memory.search import Search
from palyra.memory.standing import MemoryFigures
from palyra.vault.access import FIRST_PRINCIPAL

FOUND_MOST = 50
FORGOTTEN_AT_ONCE = 1_000
NOBODY_ASKED = "without an engine the model of {model} is not asked: only words are compared"


async def memory_answer(memory: Memory, query: MemoryAsked) -> MemoryTold:
    """Raises BadInputError, NotFoundError."""
    match query:
        case NotesQuery():
            return await _page(memory.reading, query)
        case NoteSearchQuery():
            found = await memory.search(_search(query))
            return NoteSearchAnswer(tuple(note_view(note) for note in found.notes), found.by_meaning)
        case MemoryStatsQuery():
            return _stats(await memory.figures(), live=True)


async def recorded_memory(readers: Readers, config: LoadedConfig, clock: Clock, query: MemoryAsked) -> MemoryTold:
    """What the journal tells. Raises BadInputError, NotFoundError."""
    limits = memory_limits(config.memory)
    reading = NoteReading(readers, clock, limits, vacuum_times(limits.vacuum_cron))
    match query:
        case NotesQuery():
            return await _page(reading, query)
        case NoteSearchQuery():
            found = await reading.search_alone(_search(query))
            return NoteSearchAnswer(tuple(note_view(note) for note in found.notes), found.by_meaning)
        case MemoryStatsQuery():
            unasked = NOBODY_ASKED.format(model=limits.embeddings_model) if limits.embeddings_model else ""
            return _stats(await reading.figures(installed_extension().problem, unasked), live=False)


async def act_on_notes(memory: Memory, command: MemoryCommand, by: Decider) -> CommandResult:
    """Raises PalyraError for what is refused."""
    match command:
        case AddNote():
            place = read_place(command.scope, command.scope_value)
            owner = command.owner or FIRST_PRINCIPAL
            kept = await memory.add(NoteAsk(command.text, place, owner, command.tags, ttl_ms=command.ttl_ms), by.name)
            note = kept.note
            told = f"Note {note.note_id} is kept." if kept.fresh else f"Note {note.note_id} had this text already."
            data = {"note_id": note.note_id, "fresh": str(kept.fresh).lower(), "scope": str(place), "owner": owner}
            data["expires_at"] = "" if note.expires_at is None else str(note.expires_at)
            return CommandResult("accepted", told, data=data)
        case ForgetNotes():
            ids = tuple(dict.fromkeys(command.note_ids))
            if not 1 <= len(ids) <= FORGOTTEN_AT_ONCE:
                raise BadInputError(f"1 to {FORGOTTEN_AT_ONCE:,} notes are forgotten at once.", fix="Name some.")
            count = await memory.forget(ids, by.name)
        case ForgetScope():
            scope = read_scope(command.scope)
            name = None if command.scope_value is None else read_place(scope, command.scope_value).value
            count = await memory.forget_all(scope, name, by.name)
    return CommandResult("accepted", f"{plural(count, 'note')} forgotten.", data={"count": str(count)})


def note_view(note: Note) -> NoteView:
    """A note as consoles see it."""
    return NoteView(
        note_id=note.note_id,
        scope=note.scope,
        scope_value=note.scope_value,
        owner=note.owner,
        text=note.text,
        tags=note.tags,
        run_id=note.run_id,
        created_at=note.created_at,
        recalled_at=note.recalled_at,
        recall_count=note.recall_count,
        expires_at=note.expires_at,
        indexed=note.indexed,
    )


async def _page(reading: NoteReading, query: NotesQuery) -> NotesPage:
    limit = max(1, min(query.limit, MAX_PAGE - 1))
    scope, places = _places(query.scope, query.scope_value)
    notes = await reading.notes(query.owner or None, places, scope, limit=limit + 1, before=query.cursor)
    shown = notes[:limit]
    return NotesPage(
        tuple(note_view(note) for note in shown), shown[-1].note_id if len(notes) > limit and shown else ""
    )


def _search(query: NoteSearchQuery) -> Search:
    """Raises BadInputError."""
    if not query.text.strip():
        raise BadInputError("There is nothing to look for.", fix="Give some words.")
    scope, places = _places(query.scope, query.scope_value)
    most = max(1, min(query.limit, FOUND_MOST))
    return Search(query.text, most, query.owner or FIRST_PRINCIPAL, query.owner or None, places, scope)


def _places(scope: str, name: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Raises NoteFaultError."""
    if not scope:
        if name:
            raise BadInputError("A name alone is no place.", fix="Name its scope: session, job or agent.")
        return "", ()
    if not name:
        return read_scope(scope).value, ()
    return "", ((scope, read_place(scope, name).value),)


def _stats(figures: MemoryFigures, *, live: bool) -> MemoryStats:
    last = figures.last
    maintenance = None
    if last is not None:
        maintenance = MaintenanceView(
            last_at=last.at,
            took_ms=last.took_ms,
            deleted_expired=last.deleted_expired,
            deleted_capacity=last.deleted_capacity,
            indexed=last.indexed,
            bytes_before=last.bytes_before,
            bytes_after=last.bytes_after,
            vacuumed=last.vacuumed,
            error=last.error,
        )
    state = "disabled" if not figures.enabled else "degraded" if figures.degraded else "ok"
    told = asdict(figures)
    for name in ("last", "codes"):
        del told[name]
    return MemoryStats(live=live, state=state, problems=figures.codes, maintenance=maintenance, **told)
