"""A control that is still to come: the screen is there before the engine is loaded."""

import asyncio
from collections.abc import Collection

from palyra.control.commands import Command
from palyra.control.protocol import Control
from palyra.control.queries import Answer, Query
from palyra.control.snapshots import CommandResult, Snapshot, Topic


class ComingControl(Control):
    """Stands in for a control until there is one; whoever asks meanwhile waits for it. Made where a loop runs."""

    def __init__(self, meanwhile: Snapshot | None = None) -> None:
        """`meanwhile` is shown until then; without it nothing is."""
        self._meanwhile = meanwhile
        self._there: asyncio.Future[Control] = asyncio.get_running_loop().create_future()

    def come(self, control: Control) -> None:
        """From now on that one is asked; of several the first."""
        if not self._there.done():
            self._there.set_result(control)

    @property
    def attached(self) -> bool:
        """Whether the engine is another process's; false until it is there."""
        return self._there.done() and self._there.result().attached

    async def snapshot(self, topics: Collection[Topic]) -> Snapshot:
        """The newest state, once the engine is there, or what is shown until then."""
        if self._meanwhile is not None and not self._there.done():
            return self._meanwhile
        return await (await self._control()).snapshot(topics)

    async def send(self, command: Command) -> CommandResult:
        """Sends a command, once the engine is there."""
        return await (await self._control()).send(command)

    async def answer(self, query: Query) -> Answer:
        """Answers a question, once the engine is there."""
        return await (await self._control()).answer(query)

    async def close(self) -> None:
        """What came is closed by whoever made it."""

    async def _control(self) -> Control:
        return await asyncio.shield(self._there)
