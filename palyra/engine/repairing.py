"""What an engine does about repairs: it adds what waits of them to the audit chain, and takes up what was changed."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from palyra.core.conditions import Condition, Domain, Severity
from palyra.core.errors import JournalUnavailableError, PalyraError
from palyra.core.events import Event
from palyra.doctor.audit_pending import PendingRow, forget_pending, read_pending
from palyra.doctor.repairs.journal import NOTHING_LOST, SALVAGE
from palyra.governance.four_eyes import Decider
from palyra.journal.changes import AuditAdded, Change

if TYPE_CHECKING:
    from palyra.engine.engine import Engine

log = logging.getLogger(__name__)

KIND = "repair"
KNOWN = 500
"""Rows of repairs that are compared with what waits: the newest in the chain."""


async def import_pending(engine: "Engine") -> int:
    """Adds the audit rows of repairs that no engine has added yet, each once; how many. What cannot be read waits.

    Rows that a salvage lost are made known: to budgets, and as an incident where nobody has heard of them.
    """
    try:
        waiting = await asyncio.to_thread(read_pending, engine.state_dir)
        rows = await engine.journal.readers.audit_rows(kind=KIND, limit=KNOWN)
        known = {(row.subject, row.payload.get("verb")) for row in rows}
        new = [row for row in waiting if (row.subject, row.verb) not in known]
        told = [(row.subject, row.payload) for row in rows] + [(row.subject, row.payload) for row in new]
        undone = {one for _, payload in told if isinstance(one := payload.get("rolls_back"), str)}
        engine.ledger.books.gaps = tuple(gap for run, payload in told if run not in undone for gap in _gaps(payload))
        for row in new:
            if row.subject not in undone:
                _tell_of_losses(engine, row)
        if not waiting:
            return 0
        await engine.journal.submit(_links(new))
        await asyncio.to_thread(forget_pending, engine.state_dir, len(waiting))
        return len(new)
    except (OSError, JournalUnavailableError) as error:
        log.warning("the audit rows of repairs wait for the next start: %s", error)
        return 0


def _links(rows: Sequence[PendingRow]) -> list[Change]:
    return [AuditAdded(row.at, KIND, row.subject, row.actor, {**row.payload, "verb": row.verb}) for row in rows]


def _gaps(payload: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Times of which rows are lost, as the row of a salvage tells them."""
    told = payload.get("gaps")
    return [(since, until) for since, until in told] if isinstance(told, list) else []


def _tell_of_losses(engine: "Engine", row: PendingRow) -> None:
    lost = row.payload.get("notes", {}).get(SALVAGE)
    if not lost or lost == [NOTHING_LOST]:
        return
    engine.healing.tell(
        Condition(
            Domain.STORAGE,
            f"storage:salvaged:{row.subject}",
            Severity.HIGH,
            "The journal was salvaged, and rows of it are lost",
            "Budget windows they belong to count less than was used.",
            row.subject,
            since=row.at,
            detail="; ".join(map(str, lost)),
        )
    )


async def after_repairs(engine: "Engine", by: Decider, run_id: str) -> None:
    """The audit row, an event, and everything that lies in the files that may have been repaired."""
    await import_pending(engine)
    engine.events.publish(Event("repair.done", engine.clock.now_ms(), run_id, {"operator": str(by.name)}))
    engine.access.refresh()
    await engine.secrets.reload()
    try:
        await engine.reloading.reload(by)
    except PalyraError as error:
        log.warning("after a repair the configuration was not reloaded: %s", error)
