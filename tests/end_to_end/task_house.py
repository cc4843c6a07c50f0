"""Tasks in an open house, in few words."""

from dataclasses import replace
from typing import Any

from palyra.core.clock import settle_loop
from palyra.journal.task_rows import TaskRow, TaskState
from palyra.tasks.asking import TaskAsk
from palyra.tasks.queue import TaskQueue
from tests.end_to_end.premises import MINI, Premises

BRIEF = TaskAsk(text="hello", owner="nightly", model=MINI)


class Tasks:
    """The queue of a house, as a test uses it."""

    def __init__(self, here: Premises) -> None:
        self.here = here

    @property
    def queue(self) -> TaskQueue:
        return self.here.engine.tasks

    async def add(self, ask: TaskAsk = BRIEF, **fields: Any) -> str:
        row, _ = await self.queue.desk.submit(replace(ask, **fields), "ada")
        return row.task_id

    async def ends(self, task_id: str) -> TaskRow:
        """Waits until it has ended and everything about it is written."""
        row = await self.queue.desk.ended(task_id)
        await self.here.written()
        return row

    async def stands(self, task_id: str) -> TaskRow:
        return await self.queue.desk.find(task_id)

    async def until(self, task_id: str, *states: TaskState) -> TaskRow:
        """Waits, event by event, until it is in one of these states."""

        def arrived() -> bool:
            row = self.queue.desk.book.get(task_id)
            return row is None or row.state in states

        await self.here.until(arrived)
        return await self.stands(task_id)

    async def in_journal(self, task_id: str) -> TaskRow:
        await self.here.written()
        row = await self.here.engine.journal.readers.task(task_id)
        assert row is not None
        return row

    async def text_of(self, task_id: str) -> str:
        result = await self.here.engine.journal.readers.task_result(task_id)
        assert result is not None
        return result.text

    async def turns(self) -> None:
        await settle_loop(60)
        await self.here.written()
