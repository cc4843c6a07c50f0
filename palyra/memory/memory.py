"""The notes of one engine: kept, recalled, forgotten, looked after."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

from palyra.core.clock import Clock
from palyra.core.errors import JournalUnavailableError, NotFoundError, PalyraError
from palyra.core.ids import IdSource
from palyra.core.scope import Scope
from palyra.core.values import value
from palyra.journal.changes import AuditAdded, Change
from palyra.journal.journal import Journal
from palyra.journal.note_rows import (
    NOTES,
    TRACES,
    TRACES_ID,
    UNSETTLED,
    UPKEEP,
    UPKEEP_ID,
    VECTORS,
    MemoryNoteRow,
    MemoryTracesRow,
    MemoryUpkeepRow,
    MemoryVectorRow,
)
from palyra.journal.readers.memory import NoteFilter
from palyra.memory.capacity import over_capacity, vacuum_due
from palyra.memory.indexing import Embed, Indexer
from palyra.memory.note import (
    MAX_TAGS,
    Note,
    NoteAsk,
    NoteScope,
    cut_text,
    place_of_answer,
    places_around,
    read_end,
    read_tags,
    read_text,
)
from palyra.memory.reading import NoteReading, VacuumTimes
from palyra.memory.search import Found, Search
from palyra.memory.standing import MemoryFigures, MemoryLimits
from palyra.memory.words import words_vector

log = logging.getLogger(__name__)

EXPIRED_AT_ONCE = 512
"""How many expired notes one maintenance deletes at most."""
IN_ONE_WRITE = 64
LOOKED_FOR = 8_192
"""Characters of a text that notes are looked for with: a prompt may be long, and says early what it is about."""
SPARE, SPARE_BYTES = 256, 1024 * 1024
"""How many notes and bytes more than there may be are kept until the next maintenance; beyond, room is made at once."""

TOLD = (
    "deleted_expired",
    "deleted_capacity",
    "indexed",
    "bytes_before",
    "bytes_after",
    "vacuumed",
    "vacuumed_at",
    "took_ms",
    "error",
)
"""What a maintenance says of itself."""


@value
class Kept:
    """`fresh` is False where the owner had this text there already."""

    note: Note
    fresh: bool


class Memory:
    """Writes one change after another, each judged by what is durable; reads at any time."""

    def __init__(
        self,
        limits: MemoryLimits,
        journal: Journal,
        clock: Clock,
        ids: IdSource,
        vacuum_times: VacuumTimes,
        embed: Embed | None = None,
    ) -> None:
        self._limits = limits
        self._journal = journal
        self._clock = clock
        self._ids = ids
        self._vacuum_times = vacuum_times
        self.reading = NoteReading(journal.readers, clock, limits, vacuum_times)
        self._indexer = Indexer(journal, clock, limits.embeddings_model, embed)
        self._turn = asyncio.Lock()
        self._upkeep_turn = asyncio.Lock()
        self._index_turn = asyncio.Lock()
        """Nobody pays twice for the vector of one note."""
        self._woken = asyncio.Event()
        self._traces: MemoryTracesRow | None = None
        """Of forgotten notes, until the file is tidied."""
        self._unsettled = False
        self._next_number = 1
        """Notes that are on their way to the journal have numbers already."""
        self._installed = clock.now_ms()
        self._upkeep: MemoryUpkeepRow | None = None
        self._entries = self._bytes = 0
        """About as many notes and bytes as there are: counted at each maintenance, and up with each new one."""

    async def restore(self) -> None:
        """What an earlier engine did. Raises JournalUnavailableError."""
        readers = self._journal.readers
        self._upkeep = await readers.memory_upkeep()
        begun = await readers.recorded_since()
        self._installed = self._clock.now_ms() if begun is None else begun
        counts = await readers.note_counts(self._clock.now_ms(), self._indexer.model)
        self._entries, self._bytes = counts.entries, counts.bytes
        self._traces = await readers.memory_traces()
        _, self._next_number = await readers.note_alike("", ("", ""), "")
        self._unsettled = True
        self._woken.set()

    async def run(self) -> None:
        """Settles answers, makes vectors of notes that wait for them, and clears away what forgotten notes left,
        whenever there are some; what fails waits for the next maintenance."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                await self._settle()
                await self._clear_away()
                while self._limits.enabled and await self._index():
                    pass
            except JournalUnavailableError as error:
                log.warning("notes wait: %s", error)

    async def _clear_away(self) -> None:
        """Texts of forgotten notes leave the file; what cannot be done now is done after the next maintenance, and what
        a kill cuts short by the next engine."""
        traces = self._traces
        if traces is None:
            return
        await self._journal.tidy()
        async with self._turn:
            if self._traces is traces:
                await self._journal.submit([TRACES.forgotten(TRACES_ID)])
                self._traces = None

    # Keeping and forgetting

    async def add(self, ask: NoteAsk, by: str = "") -> Kept:
        """Keeps a note; an equal text of the owner in the same place is one note, whose end is set anew. With `by`, who
        wanted it, the audit tells of it, and never of its text.

        Raises NoteFaultError, PalyraError while notes are switched off, JournalUnavailableError.
        """
        self._check_on()
        text, tags = read_text(ask.text), read_tags(ask.tags)
        now = self._clock.now_ms()
        end = read_end(ask.ttl_ms, self._limits.ttl_days, now)
        digest = sha256(text.encode()).hexdigest()
        place = (ask.place.scope.value, ask.place.value)
        async with self._turn:
            before, _ = await self._journal.readers.note_alike(ask.owner, place, digest)
            unit: list[Change] = []
            if before is not None and _alive(before, now):
                tags = tuple(dict.fromkeys([*before.tags, *tags]))[:MAX_TAGS]
                row = replace(before, version=before.version + 1, used_at=now, expires_at=end, tags=tags)
                unit = [NOTES.saved(row)]
            else:
                row = self._fresh(ask, text, tags, digest, end, now)
                if before is not None:
                    unit.append(NOTES.forgotten(before.number))
                unit += self._made(row)
            if by:
                told = {"verb": "kept", "scope": row.scope, "owner": row.owner}
                unit.append(AuditAdded(now, "memory", row.note_id, by, told))
            await self._journal.submit(unit)
            await self._keep_room(now)
        if not self._indexer.immediate:
            self._woken.set()
        (note,) = await self.reading.shown([row])
        return Kept(note, fresh=row.version == 1)

    def answer(self, scope: Scope, text: str, run_id: str) -> list[Change]:
        """What keeps an answer, cut where it is too long, for its principal: with its job, else with its session. To be
        written in one unit with the end of its run."""
        kept = cut_text(text)
        if not self._limits.enabled or not kept:
            return []
        now = self._clock.now_ms()
        ask = NoteAsk(kept, place_of_answer(scope), scope.principal, (), run_id)
        row = self._fresh(ask, kept, (), UNSETTLED + run_id, read_end(None, self._limits.ttl_days, now), now)
        self._unsettled = True
        self._woken.set()
        return self._made(row)

    async def _settle(self) -> None:
        """Answers whose text their owners had there already renew that note and are none of their own."""
        if not self._unsettled:
            return
        self._unsettled = False
        async with self._turn:
            now = self._clock.now_ms()
            async with self._journal.fence() as readers:
                rows = await readers.unsettled_notes()
            for row in rows:
                digest = sha256(row.text.encode()).hexdigest()
                place = (row.scope, row.scope_value)
                before, _ = await self._journal.readers.note_alike(row.owner, place, digest)
                settled = replace(row, version=row.version + 1, digest=digest)
                unit: list[Change] = []
                if before is not None and _alive(before, now):
                    renewed = replace(before, version=before.version + 1, used_at=now, expires_at=row.expires_at)
                    unit += [NOTES.forgotten(row.number), NOTES.saved(renewed)]
                    self._entries, self._bytes = self._entries - 1, self._bytes - row.bytes
                else:
                    unit += [NOTES.forgotten(before.number)] if before is not None else []
                    unit.append(NOTES.saved(settled))
                await self._journal.submit(unit)
            await self._keep_room(now)

    def _fresh(
        self, ask: NoteAsk, text: str, tags: tuple[str, ...], digest: str, end: int | None, now: int
    ) -> MemoryNoteRow:
        number, self._next_number = self._next_number, self._next_number + 1
        return MemoryNoteRow(
            number=number,
            note_id=self._ids.new(),
            version=1,
            scope=ask.place.scope.value,
            scope_value=ask.place.value,
            owner=ask.owner,
            digest=digest,
            bytes=len(text.encode()),
            created_at=now,
            used_at=now,
            recalled_at=None,
            recall_count=0,
            expires_at=end,
            run_id=ask.run_id,
            tags=tags,
            text=text,
        )

    def _made(self, row: MemoryNoteRow) -> list[Change]:
        self._entries, self._bytes = self._entries + 1, self._bytes + row.bytes
        unit: list[Change] = [NOTES.saved(row)]
        if self._indexer.immediate:
            unit.append(VECTORS.saved(MemoryVectorRow(row.number, 1, self._indexer.model, words_vector(row.text))))
        return unit

    async def forget(self, note_ids: Sequence[str], by: str) -> int:
        """Deletes notes, all or none. Their ids stay in the audit, their texts nowhere in the journal's file.

        Raises NotFoundError naming those there are not, JournalUnavailableError.
        """
        async with self._turn:
            now = self._clock.now_ms()
            rows = {note_id: await self._journal.readers.note(note_id) for note_id in note_ids}
            there = [row for row in rows.values() if row is not None and _alive(row, now)]
            if len(there) < len(rows):
                missing = ", ".join(sorted(rows.keys() - {row.note_id for row in there}))
                raise NotFoundError(f"There is no note {missing}.", fix="`palyra memory list` shows them.")
            await self._delete(there, by)
            return len(there)

    async def forget_all(self, scope: NoteScope, name: str | None, by: str) -> int:
        """Deletes all notes of a scope, or those of the one named so, and says how many there were.

        Raises JournalUnavailableError.
        """
        count = 0
        places = () if name is None else ((scope.value, name),)
        which = NoteFilter(self._clock.now_ms(), None, places, scope.value)
        async with self._turn:
            while rows := await self._journal.readers.notes(which, limit=IN_ONE_WRITE):
                await self._delete(rows, by)
                count += len(rows)
        return count

    async def _delete(self, rows: Sequence[MemoryNoteRow], by: str = "") -> None:
        """With `by`, who wanted it, the audit tells of each."""
        now = self._clock.now_ms()
        traces = self._traces
        if by and rows:
            traces = MemoryTracesRow(TRACES_ID, 1 if traces is None else traces.version + 1, now)
        for start in range(0, len(rows), IN_ONE_WRITE):
            unit: list[Change] = [TRACES.saved(traces)] if traces is not None and by else []
            for row in rows[start : start + IN_ONE_WRITE]:
                unit.append(NOTES.forgotten(row.number))
                if by:
                    told = {"verb": "forgotten", "scope": row.scope, "owner": row.owner}
                    unit.append(AuditAdded(now, "memory", row.note_id, by, told))
            await self._journal.submit(unit)
        self._entries, self._bytes = self._entries - len(rows), self._bytes - sum(row.bytes for row in rows)
        if by and rows:
            self._traces = traces
            self._woken.set()

    # Finding

    async def search(self, asked: Search) -> Found:
        """Raises PalyraError while notes are switched off, JournalUnavailableError."""
        self._check_on()
        text = asked.text[:LOOKED_FOR]
        vector = await self._indexer.vector(asked.payer, text) if text.strip() else None
        return await self.reading.search(replace(asked, text=text), vector)

    async def recall(self, scope: Scope, text: str, most: int) -> tuple[str, ...]:
        """The texts of the notes of its principal that are nearest to a text, of every place that `scope` lies in.

        Raises JournalUnavailableError.
        """
        if not self._limits.enabled or most <= 0:
            return ()
        places = tuple((place.scope.value, place.value) for place in places_around(scope))
        nearest = await self.search(Search(text, most, scope.principal, scope.principal, places))
        await self._recalled([note.note_id for note in nearest.notes])
        return tuple(note.text for note in nearest.notes)

    async def _recalled(self, note_ids: Sequence[str]) -> None:
        async with self._turn:
            now = self._clock.now_ms()
            unit: list[Change] = []
            for note_id in note_ids:
                row = await self._journal.readers.note(note_id)
                if row is not None:
                    count, version = row.recall_count + 1, row.version + 1
                    row = replace(row, version=version, used_at=now, recalled_at=now, recall_count=count)
                    unit.append(NOTES.saved(row))
            if unit:
                await self._journal.submit(unit)

    # Looking after

    async def maintain(self) -> Mapping[str, object]:
        """Deletes what has expired and what is too much, makes vectors, gives space back when that is due, and says
        what it did; it is kept in the journal as well. Raises JournalUnavailableError."""
        async with self._upkeep_turn:
            return await self._maintain()

    async def _maintain(self) -> Mapping[str, object]:
        self._unsettled = True
        await self._settle()
        began, now = self._clock.monotonic(), self._clock.now_ms()
        readers, earlier = self._journal.readers, self._upkeep
        async with self._turn:
            expired = await readers.expired_notes(now, EXPIRED_AT_ONCE)
            await self._delete(expired)
            over = await self._make_room(now)
        indexed = await self._index() if self._limits.enabled else 0
        last = None if earlier is None else earlier.vacuumed_at
        latest, due = self._vacuum_times(now)
        size = after = self._journal.path.stat().st_size
        vacuumed, error = vacuum_due(last, self._installed, latest), ""
        if vacuumed:
            try:
                tidied = await self._journal.tidy()
                size, after, last = tidied.bytes_before, tidied.bytes_after, now
            except JournalUnavailableError as failed:
                vacuumed, error = False, failed.message
        row = MemoryUpkeepRow(
            upkeep_id=UPKEEP_ID,
            version=1 if earlier is None else earlier.version + 1,
            at=now,
            took_ms=round((self._clock.monotonic() - began) * 1000),
            deleted_expired=len(expired),
            deleted_capacity=over,
            indexed=indexed,
            bytes_before=size,
            bytes_after=after,
            vacuumed=vacuumed,
            vacuumed_at=last,
            error=error,
        )
        await self._journal.submit([UPKEEP.saved(row)])
        self._upkeep = row
        if indexed or self._traces is not None:
            self._woken.set()
        changed = bool(expired or over or indexed or vacuumed)
        return {**{name: getattr(row, name) for name in TOLD}, "next_vacuum_at": due, "changed": int(changed)}

    async def _keep_room(self, now: int) -> None:
        """Between two maintenances nobody fills the disk."""
        entries, size = self._limits.max_entries, self._limits.max_bytes
        if (entries and self._entries > entries + SPARE) or (size and self._bytes > size + SPARE_BYTES):
            await self._make_room(now)

    async def _make_room(self, now: int) -> int:
        """Deletes what is over the limits, and says how many notes that were."""
        readers, limits = self._journal.readers, self._limits
        deleted = 0
        while True:
            counts = await readers.note_counts(now, self._indexer.model)
            self._entries, self._bytes = counts.entries, counts.bytes
            rows = {row.number: row for row in await readers.least_used_notes(now, EXPIRED_AT_ONCE)}
            gone = over_capacity(
                rows.values(),
                entries=counts.entries,
                size=counts.bytes,
                max_entries=limits.max_entries,
                max_bytes=limits.max_bytes,
            )
            if not gone:
                return deleted
            await self._delete([rows[number] for number in gone])
            deleted += len(gone)

    async def _index(self) -> int:
        """Makes one batch of vectors, and says how many."""
        async with self._index_turn:
            vectors = await self._indexer.made(await self._indexer.pending())
            if not vectors:
                return 0
            async with self._turn:
                await self._journal.submit(await self._indexer.saved(vectors))
            return len(vectors)

    async def figures(self) -> MemoryFigures:
        """How it stands. Raises JournalUnavailableError."""
        indexer, extension = self._indexer, self._journal.extension
        return await self.reading.figures(extension.problem, indexer.trouble, dimensions=indexer.dimensions)

    def _check_on(self) -> None:
        if not self._limits.enabled:
            raise PalyraError("Notes are switched off (memory.enabled).", code="feature_off")


def _alive(row: MemoryNoteRow, now: int) -> bool:
    return row.expires_at is None or row.expires_at > now
