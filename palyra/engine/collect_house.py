"""Journal, notes, disks, budgets, the loop and what the house is set up with, as diagnostics tell of them."""

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from palyra.core.errors import PalyraError
from palyra.diagnostics.collecting import OffLoop
from palyra.diagnostics.house import (
    ConfigData,
    EventLoopData,
    GovernanceData,
    LastRun,
    RecoveryData,
    ReferenceCounts,
    ReloadData,
    StallData,
    VaultData,
)
from palyra.diagnostics.storing import (
    AuditData,
    CheckpointData,
    DiskData,
    JournalData,
    MaintenanceData,
    MemoryData,
    RetentionData,
    RollupData,
    VacuumData,
    WriterData,
    days_until_full,
)
from palyra.doctor.at_work import at_work
from palyra.doctor.manifest import Manifest, RunState
from palyra.doctor.runs import load_runs
from palyra.governance.standing import incomplete
from palyra.runs.settings import run_settings
from palyra.vault.secrets import SecretState

if TYPE_CHECKING:
    from palyra.engine.engine import Engine

MINUTE_S = 60.0
GRACE_MS = 60_000
"""How long a hold may outlive its run's longest life."""
TURN = 32
"""References that are looked up in one turn of the loop."""
MISSING_SHOWN = 20


async def journal(engine: "Engine", off_loop: OffLoop) -> JournalData:
    """The journal's size, commits and audit chain."""
    store, noted = engine.journal, engine.noted
    stats, facts = store.stats, await store.readers.journal_facts()
    size, wal = await off_loop.run(lambda: (_size(store.path), _size(Path(f"{store.path}-wal"))))
    counted = stats.commits_total > 0
    return JournalData(
        path=str(store.path),
        schema_version=facts.schema_version,
        sqlite_version=facts.sqlite_version,
        bytes=size,
        wal_bytes=wal,
        free_pages_ratio=round(facts.free_pages / facts.pages, 4) if facts.pages else None,
        writer=WriterData(
            queue_rows=stats.queue_rows,
            oldest_wait_ms=round(stats.oldest_wait_ms),
            commits_total=stats.commits_total,
            commit_p50_ms=round(stats.commit_p50_ms) if counted else None,
            commit_p99_ms=round(stats.commit_p99_ms) if counted else None,
            batch_rows_p50=stats.batch_rows_p50,
            last_commit_at=stats.last_commit_at,
            last_error=stats.last_error or None,
        ),
        checkpoint=CheckpointData(noted.checkpoint_at, noted.checkpoint_busy_total),
        audit=AuditData(facts.audit_rows, facts.audit_head, noted.audit_at, store.audit_intact and noted.audit_ok),
        rollup_check=RollupData(
            noted.rollup_at,
            None if noted.rollup_at is None else not noted.rollup_differences,
            None if noted.rollup_at is None else noted.rollup_differences,
        ),
        writing=store.healthy,
        slow_ms=engine.diagnosing.slow_ms(),
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


async def memory(engine: "Engine") -> MemoryData:
    """Notes, their vectors and upkeep."""
    found = await engine.memory.figures()
    last = found.last
    return MemoryData(
        enabled=found.enabled,
        notes=found.notes,
        bytes=found.bytes,
        vectors_indexed=found.vectors_indexed,
        vectors_pending=found.vectors_pending,
        embeddings_model=found.embeddings_model,
        dimensions=found.dimensions or None,
        degraded_reason=found.degraded_reason or None,
        retention=RetentionData(
            found.max_entries or None, found.max_bytes or None, found.ttl_days or None, found.expired_waiting
        ),
        maintenance=MaintenanceData(
            last_at=None if last is None else last.at,
            took_ms=None if last is None else last.took_ms,
            deleted_expired=None if last is None else last.deleted_expired,
            deleted_capacity=None if last is None else last.deleted_capacity,
            bytes_before=None if last is None else last.bytes_before,
            bytes_after=None if last is None else last.bytes_after,
            error=None if last is None else last.error or None,
            next_due_at=found.maintenance_due_at,
        ),
        vacuum=VacuumData(found.vacuum_cron, found.vacuumed_at, found.vacuum_due_at, found.vacuum_overdue),
        codes=found.codes,
    )


async def disk(engine: "Engine", off_loop: OffLoop) -> DiskData:
    """The file systems Palyra writes to, and when they will be full."""
    config = engine.installation.config_path
    look = partial(engine.diagnosing.disks.look, engine.state_dir, None if config is None else config.parent)
    found = await off_loop.run(look)
    growth = engine.diagnosing.growth_24h()
    limits = engine.config.journal
    room = found[0].free_bytes - limits.disk_stop
    return DiskData(
        filesystems=found,
        journal_growth_bytes_24h=growth,
        days_until_full=days_until_full(max(0, room), growth),
        disk_low=limits.disk_low,
        disk_stop=limits.disk_stop,
    )


async def governance(engine: "Engine") -> GovernanceData:
    """Policies, holds, approvals, and whether the ledger agrees with the journal."""
    now, ledger, hearing = engine.clock.now_ms(), engine.ledger, engine.diagnosing.hearing
    holds, pending = ledger.open_holds(), engine.desk.pending()
    longest = round(1000 * run_settings(engine.config).max_duration_s) + GRACE_MS
    recovered = engine.recovered
    return GovernanceData(
        mode=engine.config.smart_routing.default_mode.value,
        policies_enabled=sum(policy.enabled for policy in ledger.policies),
        counters=ledger.books.counters,
        holds_open=len(holds),
        held_nano_usd=sum(hold.bound_usd or 0 for hold in holds),
        oldest_hold_ms=max((now - hold.created_at for hold in holds), default=None),
        recovered_total=recovered.charged + recovered.released,
        overrun_nano_usd=hearing.overruns,
        approvals_pending=len(pending),
        oldest_pending_ms=max((now - one.requested_at for one in pending), default=None),
        grants_live=sum(grant.live(now) for grant in ledger.grants),
        parked=len(engine.parking),
        decisions_5m=dict(hearing.decisions.counts()),
        unpriced_models=tuple(sorted(hearing.unpriced)),
        windows_incomplete=tuple(_incomplete(engine, now)),
        agrees=None if engine.noted.ledger_differs is None else not engine.noted.ledger_differs,
        overdue=tuple(hold.hold_id for hold in holds if now - hold.created_at > longest),
    )


def _incomplete(engine: "Engine", now: int) -> Iterator[str]:
    """The budgets whose present windows have lost rows."""
    ledger = engine.ledger
    if ledger.books.gaps:
        for policy in ledger.policies:
            budget = ledger.budget(policy.policy_id)
            if budget is not None and incomplete(ledger, budget.window(now)):
                yield policy.policy_id


async def event_loop(engine: "Engine") -> EventLoopData:
    """The loop's lateness over the last minute, and its stalls."""
    lag = engine.lag
    late = lag.within(MINUTE_S)
    longest, latest = lag.longest_stall(), lag.longest_stall(MINUTE_S)
    return EventLoopData(
        samples=len(late),
        lag_p50_ms=round(late[len(late) // 2], 2) if late else None,
        lag_p99_ms=round(late[len(late) * 99 // 100], 2) if late else None,
        lag_max_ms=round(late[-1], 2) if late else None,
        longest_stall=None if longest is None else StallData(longest.ms, longest.at),
        stalls_over_1s_total=lag.stalls_total,
        tasks_alive=len(asyncio.all_tasks()),
        suspended_ms_total=lag.suspended_ms,
        stalled_60s=latest is not None,
    )


async def vault(engine: "Engine") -> VaultData:
    """What the configuration and the profiles refer to is looked up, and forgotten at once."""
    source = engine.secrets.vault
    counts = dict.fromkeys(SecretState, 0)
    missing: list[str] = []
    for number, ref in enumerate(sorted(_references(engine)), start=1):
        state = source.resolve(ref).state
        counts[state] += 1
        if state is SecretState.MISSING and len(missing) < MISSING_SHOWN:
            missing.append(ref)
        if number % TURN == 0:
            await asyncio.sleep(0)
    opened = engine.secrets.opened
    return VaultData(
        state="absent" if opened is None else opened.state.value,
        key_source=engine.config.vault.key_source.value if opened is None else opened.key_source,
        key_id=None if opened is None else opened.key_id or None,
        entries=0 if opened is None else len(opened.entries()),
        references=ReferenceCounts(
            counts[SecretState.RESOLVED],
            counts[SecretState.MISSING],
            counts[SecretState.INVALID_REF],
            sum(count for state, count in counts.items() if state.unreadable),
        ),
        missing=tuple(missing),
    )


def _references(engine: "Engine") -> set[str]:
    config = engine.config
    found = {one.api_key_vault_ref for one in config.providers.values()}
    found |= {one.secret_ref for one in config.notifications.webhook} | {one.secret_ref for one in config.probes}
    return {ref for ref in found if ref} | {one.vault_ref for one in engine.sources.profiles.profiles.values()}


async def config(engine: "Engine") -> ConfigData:
    """The configuration that runs, beside the file."""
    state = engine.reloading.state
    last = None if state.reloaded_at is None else ReloadData(state.reloaded_at, bool(state.reload_ok))
    return ConfigData(state.version, len(state.problems), len(state.warnings), state.pending_restart, last)


async def recovery(engine: "Engine", off_loop: OffLoop) -> RecoveryData:
    """What the doctor did here."""
    runs, busy = await off_loop.run(partial(_runs, engine.state_dir))
    known = [one for one in runs if isinstance(one, Manifest)]
    newest = known[0] if known else None
    unknown = [one.code for one in runs if isinstance(one, PalyraError)]
    open_ones = [one.run_id for one in known if one.state is RunState.RUNNING]
    return RecoveryData(
        runs=len(runs),
        # The newest is under way where a doctor is at work.
        unfinished=tuple(open_ones[1:] if busy else open_ones) + tuple(unknown),
        last=None if newest is None else LastRun(newest.run_id, newest.state.value, newest.created_at_ms),
    )


def _runs(state_dir: Path) -> tuple[list[Manifest | PalyraError], bool]:
    """Every run, and whether one of them is under way."""
    runs = load_runs(state_dir)
    begun = any(isinstance(one, Manifest) and one.state is RunState.RUNNING for one in runs)
    return runs, begun and at_work(state_dir)
