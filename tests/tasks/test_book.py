"""The tasks in memory: nothing of those that have ended stays."""

from palyra.journal.task_rows import TaskState
from palyra.tasks import moves
from palyra.tasks.asking import Family, new_task
from palyra.tasks.book import SPARE_ENTRIES, TaskBook
from tests.tasks.stage import ASK, T0, Stage

YEARS_MS = 10 * 365 * 86_400_000


async def test_parents_that_are_done_leave_no_counts(stage: Stage) -> None:
    for _ in range(3):
        parent = await stage.add()
        child = await stage.add(kind="delegation_prompt", parent=parent.task_id)
        await stage.end(child.task_id)
        await stage.end(parent.task_id)
    assert (stage.desk.book._running, stage.desk._coming_below) == ({}, {})


def test_what_falls_due_in_years_is_forgotten_with_its_task() -> None:
    book = TaskBook()
    kept, _ = new_task(ASK, "kept", T0)
    book.add(moves.edit(kept, T0, not_before=T0 + 5, expires_at=T0 + 9), (), T0)
    for number in range(3 * SPARE_ENTRIES):
        row, _ = new_task(ASK, f"task-{number}", T0, Family())
        row = moves.edit(row, T0, not_before=T0 + YEARS_MS + number, expires_at=T0 + 2 * YEARS_MS + number)
        book.add(row, (), T0)
        book.put(moves.prioritise(row, T0, 1), T0)
        book.put(moves.cancel(moves.prioritise(row, T0, 1), T0), T0)
    assert len(book) == 1
    assert max(len(book._later), len(book._expiring)) <= SPARE_ENTRIES + 2
    assert book.next_due() == T0 + 5
    book.ripen(T0 + 6)
    assert [row.task_id for row in book.take(T0 + 6)] == ["kept"]
    book.back(list(book))
    assert [(row.task_id, row.state) for row in book.expired(T0 + 9)] == [("kept", TaskState.QUEUED)]
