"""What an engine does about repairs: it adds what waits of them to the audit chain, and takes up what was changed."""

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from palyra.core.errors import JournalUnavailableError, PalyraError
from palyra.core.events import Event
from palyra.doctor.audit_pending import PendingRow, forget_pending, read_pending
from palyra.governance.four_eyes import Decider
from palyra.journal.changes import AuditAdded, Change

if TYPE_CHECKING:
    from palyra.engine.engine import Engine

log = logging.getLogger(__name__)

KIND = "repair"
KNOWN = 500
"""Rows of repairs that are compared with what waits: the newest in the chain."""


async def import_pending(engine: "Engine") -> int:
    """Adds the audit rows of repairs that no engine has added yet, each once; how many. What cannot be read waits."""
    try:
        waiting = await asyncio.to_thread(read_pending, engine.state_dir)
        if not waiting:
            return 0
        known = {
            (row.subject, row.payload.get("verb"))
            for row in await engine.journal.readers.audit_rows(kind=KIND, limit=KNOWN)
        }
        new = [row for row in waiting if (row.subject, row.verb) not in known]
        await engine.journal.submit(_links(new))
        await asyncio.to_thread(forget_pending, engine.state_dir, len(waiting))
        return len(new)
    except (OSError, JournalUnavailableError) as error:
        log.warning("the audit rows of repairs wait for the next start: %s", error)
        return 0


def _links(rows: Sequence[PendingRow]) -> list[Change]:
    return [AuditAdded(row.at, KIND, row.subject, row.actor, {**row.payload, "verb": row.verb}) for row in rows]


async def after_repairs(engine: "Engine", by: Decider, run_id: str) -> None:
    """The audit row, an event, and everything that lies in the files that may have been repaired."""
    await import_pending(engine)
    engine.events.publish(Event("repair.done", engine.clock.now_ms(), run_id, {"operator": str(by.name)}))
    for take_up in (engine.access.refresh, engine.secrets.apply):
        try:
            take_up()
        except PalyraError as error:
            log.warning("after a repair: %s", error)
    try:
        await engine.reloading.reload(by)
    except PalyraError as error:
        log.warning("after a repair the configuration was not reloaded: %s", error)
