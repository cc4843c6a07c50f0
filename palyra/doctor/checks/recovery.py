"""Repairs that were cut short."""

from collections.abc import Iterator
from datetime import UTC, datetime

from palyra.doctor.checks.check import Check
from palyra.doctor.finding import Finding, Severity
from palyra.doctor.installation import Installation


def unfinished(found: Installation) -> Iterator[Finding]:
    """No repair is left half done."""
    recovery = found.recovery.get()
    if recovery.holder is not None:
        # Whoever holds the lock is at it.
        return
    for run in recovery.runs:
        if run.finished:
            continue
        if run.fault:
            message = f"What the recovery run {run.run_id} did cannot be told: {run.fault}."
            manual = f"Look at recovery/runs/{run.run_id}/: its backups/ hold what was replaced."
            yield Finding("recovery.unfinished", Severity.BLOCKING, run.run_id, message, manual=manual)
            continue
        began = datetime.fromtimestamp(run.created_at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        yield Finding(
            "recovery.unfinished",
            Severity.BLOCKING,
            run.run_id,
            f"The {run.kind} run {run.run_id}, begun {began}, was cut short.",
            repairs=("recovery.undo",),
        )


CHECKS = (Check("recovery.unfinished", Severity.BLOCKING, unfinished),)
