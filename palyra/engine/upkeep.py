"""The work of system jobs: what each does is told as numbers, `changed` 0 where there was nothing to do."""

import shutil
from collections.abc import Mapping
from typing import TYPE_CHECKING

from palyra.config.operations import Maintenance
from palyra.core.conditions import Clear, Condition, Domain, Severity, Tell
from palyra.core.events import Event
from palyra.core.windows import DAY_MS
from palyra.journal.readers.sums_check import first_cursors
from palyra.providers.entries import ProviderEntry
from palyra.scheduler.carrying import MaintenanceWork

if TYPE_CHECKING:
    from palyra.engine.engine import Engine

CHECKED_MS = 2 * DAY_MS
ROLLUP = "storage:rollup"
MOST_TOLD = 5


def upkeep(engine: "Engine", tell: Tell, clear: Clear) -> dict[Maintenance, MaintenanceWork]:
    """What an engine does by itself."""

    async def checkpoint() -> Mapping[str, object]:
        done = await engine.journal.checkpoint()
        return {"pages": done.pages, "moved": done.moved, "busy": int(done.busy), "changed": int(done.moved > 0)}

    async def vacuum() -> Mapping[str, object]:
        fires = await engine.journal.forget_old_fires()
        tidied = await engine.journal.tidy()
        freed = max(0, tidied.bytes_before - tidied.bytes_after)
        return {
            "fires_forgotten": fires,
            "bytes_freed": freed,
            "steps": tidied.steps,
            "longest_ms": round(tidied.longest_s * 1000),
            "changed": int(bool(fires or freed)),
        }

    async def health() -> Mapping[str, object]:
        asked, failed = await _ask(engine, [one for one in _due(engine) if one.probe])
        disk = shutil.disk_usage(engine.state_dir)
        low = disk.free < engine.config.journal.disk_low
        return {
            "asked": asked,
            "failed": failed,
            "disk_free": disk.free,
            "disk_low": int(low),
            "journal_ok": int(engine.journal.healthy),
            "changed": int(asked > 0 or low),
        }

    async def discovery() -> Mapping[str, object]:
        asked, failed = await _ask(engine, [one for one in _due(engine) if one.discover])
        return {"asked": asked, "failed": failed, "changed": int(asked > 0)}

    async def approvals() -> Mapping[str, object]:
        now = engine.clock.now_ms()
        ended, changes = engine.desk.sweep(now)
        if changes:
            engine.parking.decided(ended)
            engine.write(changes)
            for record in ended:
                engine.events.publish(Event("approval.ended", now, record.approval_id))
        return {"ended": len(ended), "changed": int(bool(changes))}

    async def rollups() -> Mapping[str, object]:
        found: list[str] = []
        for group, cursor in first_cursors(engine.clock.now_ms() - CHECKED_MS):
            while cursor and cursor.partition(".")[0] == group and len(found) < MOST_TOLD:
                check = await engine.journal.readers.check_sums(cursor)
                found += check.differences
                cursor = check.cursor
        if found:
            tell(
                Condition(
                    Domain.STORAGE,
                    ROLLUP,
                    Severity.HIGH,
                    "Sums of usage are not what the rows say",
                    "; ".join(found[:MOST_TOLD]),
                )
            )
        else:
            clear(ROLLUP)
        return {"differences": len(found), "changed": int(bool(found))}

    return {
        Maintenance.MEMORY_MAINTENANCE: engine.memory.maintain,
        Maintenance.JOURNAL_CHECKPOINT: checkpoint,
        Maintenance.JOURNAL_VACUUM: vacuum,
        Maintenance.HEALTH_CHECK: health,
        Maintenance.MODEL_DISCOVERY: discovery,
        Maintenance.APPROVALS_SWEEP: approvals,
        Maintenance.ROLLUP_CHECK: rollups,
    }


def _due(engine: "Engine") -> list[ProviderEntry]:
    now, care = engine.clock.monotonic(), engine.care.upkeep
    return [one for one in engine.registry.providers.values() if (due := care.due(one, now)) is not None and due <= now]


async def _ask(engine: "Engine", providers: list[ProviderEntry]) -> tuple[int, int]:
    failed = 0
    for provider in providers:
        failed += await engine.care.upkeep.ask(provider) is not None
    return len(providers), failed
