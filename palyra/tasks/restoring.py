"""Tasks after a start: what a dead engine's workers held is ended by what became of their runs, then the rest waits.

To be done once runs are recovered and before anything is claimed. A second pass finds nothing and changes nothing.
"""

import logging
from collections.abc import Mapping, Sequence

from palyra.core.errors import JournalUnavailableError
from palyra.core.values import value
from palyra.journal.changes import Change
from palyra.journal.journal import Journal
from palyra.journal.task_rows import TaskRow, TaskState
from palyra.journal.writer import UnitRefusedError
from palyra.tasks.desk import TaskDesk
from palyra.tasks.ends import finalised, sooner, unreadable

log = logging.getLogger(__name__)


@value
class Restored:
    """What a start found: open tasks, those that a dead engine had leased, and those whose parent was cancelled."""

    open: int = 0
    lapsed: int = 0
    orphaned: int = 0


async def restore(desk: TaskDesk, journal: Journal, boot_id: str) -> Restored:
    """Loads every open task into memory, ends foreign leases and finishes what was cut off."""
    readers = journal.readers
    rows = await readers.open_tasks()
    known = {row.task_id: row for row in rows}
    desk.known([(row, await _bonds(row, known, journal)) for row in rows])
    units: list[list[Change]] = []
    lapsed = orphaned = 0
    broken = frozenset(await readers.unreadable_tasks())
    for row in rows:
        if row.task_id in broken:
            units.append([desk.move(row, unreadable(row, desk.now))])
        elif row.state is TaskState.QUEUED and row.waits and row.updated_at > desk.now:
            # The clock was set back meanwhile: it waits no longer than it was to.
            units.append([desk.move(row, sooner(row, desk.now))])
        elif row.state.leased and row.boot_id != boot_id:
            run = await readers.run(row.target_run_id) if row.target_run_id else None
            units.append([desk.move(row, finalised(row, run, desk.now))])
            lapsed += 1
    for above in sorted({one for row in rows for one in desk.book.bonds(row.task_id)}):
        if await desk.was_cancelled(above):
            changes = desk.stop_below(above)
            orphaned += len(changes)
            if changes:
                units.append(changes)
    await _write(journal, units)
    return Restored(len(rows), lapsed, orphaned)


async def _bonds(row: TaskRow, known: Mapping[str, TaskRow], journal: Journal) -> frozenset[str]:
    bonds: set[str] = set()
    above: TaskRow | None = row
    while above is not None and not above.keep:
        bonds |= {one for one in (above.parent_run_id, above.parent_task_id) if one}
        parent = above.parent_task_id
        if not parent:
            break
        above = known.get(parent) or await journal.readers.task(parent)
    return frozenset(bonds)


async def _write(journal: Journal, units: Sequence[Sequence[Change]]) -> None:
    """One that is refused takes only its own task. Raises JournalUnavailableError."""
    for written in [journal.submit(unit) for unit in units]:
        try:
            await written
        except UnitRefusedError as error:
            log.error("the journal refused how a task was found: %s", error)
        except JournalUnavailableError:
            log.error("tasks that were found leased could not be given back")
            raise
