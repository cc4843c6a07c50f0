"""An attempt that is under way."""

import asyncio
from dataclasses import dataclass

from palyra.journal.job_rows import AttemptRow, FireRow
from palyra.scheduler.execution import Order


@dataclass(slots=True)
class Running:
    """`ended`: what it came to is known. `asked`: why somebody asked it to end. `gone`: what its fire ended as before
    it, when its job was removed."""

    order: Order
    attempt: AttemptRow
    ended: bool = False
    asked: str = ""
    gone: FireRow | None = None
    task: "asyncio.Task[None] | None" = None
