"""The work of system jobs: what each does is told as numbers, `changed` 0 where there was nothing to do."""

import asyncio
import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from palyra.config.operations import Maintenance
from palyra.core.conditions import Clear, Condition, Domain, Severity, Tell
from palyra.core.errors import JournalUnavailableError
from palyra.core.events import Event
from palyra.core.windows import DAY_MS
from palyra.engine.books import counted_again
from palyra.journal.readers.sums_check import first_cursors
from palyra.providers.entries import ProviderEntry
from palyra.providers.health import HealthState
from palyra.scheduler.carrying import MaintenanceWork

if TYPE_CHECKING:
    from palyra.engine.engine import Engine

CHECKED_MS = 2 * DAY_MS
WINDOWS_DAYS = 34
"""The longest month, two days for which its counters are kept beyond it, and the difference of a zone to UTC."""
ROLLUP, DISK, AUDIT = "storage:rollup", "storage:disk", "storage:audit"
MOST_TOLD = 5


def upkeep(engine: "Engine", tell: Tell, clear: Clear) -> dict[Maintenance, MaintenanceWork]:
    """What an engine does by itself."""

    async def checkpoint() -> Mapping[str, object]:
        done = await engine.journal.checkpoint()
        engine.noted.checkpoint_at = engine.clock.now_ms()
        engine.noted.checkpoint_busy_total += done.busy
        return {"pages": done.pages, "moved": done.moved, "busy": int(done.busy), "changed": int(done.moved > 0)}

    async def vacuum() -> Mapping[str, object]:
        fires = await engine.journal.forget_old_fires()
        folded = await engine.journal.fold_old_runs(
            rows_until(engine.clock.now_ms(), engine.config.runs.retention_days)
        )
        tidied = await engine.journal.tidy()
        freed = max(0, tidied.bytes_before - tidied.bytes_after)
        return {
            "fires_forgotten": fires,
            "runs_folded": folded.runs,
            "bytes_freed": freed,
            "steps": tidied.steps + folded.steps,
            "longest_ms": round(max(tidied.longest_s, folded.longest_s) * 1000),
            "changed": int(bool(fires or folded.runs or freed)),
        }

    async def health() -> Mapping[str, object]:
        asked, failed = await _ask(engine, [one for one in _due(engine) if one.probe])
        disk = await asyncio.to_thread(shutil.disk_usage, engine.state_dir)
        limits = engine.config.journal
        low = disk.free < limits.disk_low
        severity = Severity.CRITICAL if disk.free < limits.disk_stop else Severity.HIGH
        left = [f"{disk.free >> 20} MiB are left; journal.disk_low is {limits.disk_low >> 20} MiB."] if low else []
        told_of(DISK, severity, "The disk of the state directory is nearly full", left)
        intact = engine.journal.audit_intact and engine.noted.audit_ok
        broken = [] if intact else ["`palyra audit verify` tells from where on."]
        told_of(AUDIT, Severity.HIGH, "The audit chain does not fit its head", broken)
        return {
            "asked": asked,
            "failed": failed,
            "disk_free": disk.free,
            "disk_low": int(low),
            "journal_ok": int(await _writes(engine)),
            "audit_ok": int(not broken),
            "changed": int(asked > 0 or low or bool(broken)),
        }

    async def discovery() -> Mapping[str, object]:
        asked, failed = await _ask(engine, [one for one in _due(engine) if one.discover])
        models = sum(len(engine.care.discovery.of(name).models) for name in engine.registry.providers)
        return {"asked": asked, "failed": failed, "models": models, "changed": int(asked > 0)}

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
        books = await counted_again(engine)
        counters = [
            f"{one.policy_id} {one.scope_value}: {one.what} is {one.live}, not {one.rebuilt}"
            for one in books.differences
        ]
        counters += [
            f"{one.policy_id} {one.scope_value}: {one.amount} above its limit" for one in books.overshoot if one.amount
        ]
        what = " and ".join(
            [*(["sums of usage"] if found else []), *(["counters of budgets"] if counters else [])],
        )
        engine.noted.rollup_at = engine.clock.now_ms()
        engine.noted.rollup_differences = len(found)
        engine.noted.ledger_differs = bool(counters)
        told_of(ROLLUP, Severity.HIGH, f"{what.capitalize()} are not what the rows say", [*found, *counters])
        return {
            "differences": len(found),
            "counters": books.counters,
            "counter_differences": len(counters),
            "changed": int(bool(found or counters)),
        }

    def told_of(key: str, severity: Severity, summary: str, found: Sequence[str]) -> None:
        """What was found wrong; nothing ends it."""
        if found:
            tell(Condition(Domain.STORAGE, key, severity, summary, "; ".join(found[:MOST_TOLD])))
        else:
            clear(key)

    for key in (ROLLUP, DISK, AUDIT):
        known = engine.healing.book.of(Domain.STORAGE, key)
        if known is not None and known.holds:
            # Whoever finds it gone is the next one to look, which may be a day from now.
            tell(
                Condition(Domain.STORAGE, key, known.severity, known.summary, known.cause, since=known.condition_since)
            )
    return {
        Maintenance.MEMORY_MAINTENANCE: engine.memory.maintain,
        Maintenance.JOURNAL_CHECKPOINT: checkpoint,
        Maintenance.JOURNAL_VACUUM: vacuum,
        Maintenance.HEALTH_CHECK: health,
        Maintenance.MODEL_DISCOVERY: discovery,
        Maintenance.APPROVALS_SWEEP: approvals,
        Maintenance.ROLLUP_CHECK: rollups,
    }


def rows_until(now: int, retention_days: int) -> int:
    """Where the day begins before which runs are told by sums alone: never within a window with an end that a budget
    may still count."""
    return (now - max(retention_days, WINDOWS_DAYS) * DAY_MS) // DAY_MS * DAY_MS


async def _writes(engine: "Engine") -> bool:
    """Whether the journal still writes, as it says when it is asked to."""
    try:
        await engine.journal.submit(())
    except JournalUnavailableError:
        return False
    return engine.journal.healthy


def _due(engine: "Engine") -> list[ProviderEntry]:
    """Those that should have been asked by now; without credentials there is no asking."""
    now, care = engine.clock.monotonic(), engine.care
    return [
        one
        for one in engine.registry.providers.values()
        if (due := care.upkeep.due(one, now)) is not None
        and due <= now
        and care.state(one.id) is not HealthState.MISSING_AUTH
    ]


async def _ask(engine: "Engine", providers: Sequence[ProviderEntry]) -> tuple[int, int]:
    """Asks all of them at once, so that nobody waits for one that does not answer. How many were asked, and failed."""
    errors = await asyncio.gather(*map(engine.care.upkeep.ask, providers))
    return len(errors), sum(error is not None for error in errors)
