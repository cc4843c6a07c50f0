"""What was last found when somebody compared the books or tidied the journal: diagnostics tell of it."""

from dataclasses import dataclass


@dataclass(slots=True)
class Noted:
    """Instants are UTC unix ms, None where it has not been done since the start."""

    checkpoint_at: int | None = None
    checkpoint_busy_total: int = 0
    rollup_at: int | None = None
    rollup_differences: int = 0
    ledger_differs: bool | None = None
    audit_at: int | None = None
    audit_ok: bool = True
