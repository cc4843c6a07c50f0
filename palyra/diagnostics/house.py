"""Budgets, doors, the event loop, and what the house is set up with: what is told of them, and how they are.

Times UTC unix ms, durations ms, money int nano-dollars.
"""

from dataclasses import field

from palyra.core.values import value
from palyra.diagnostics.declared import Address, Public
from palyra.diagnostics.reasons import UNUSED, Judged, ReasonCode, judged, reason, those, when

LAG_HIGH_MS = 100
STALL_MS = 1_000
ERRORS_OF = 20
ERRORS_RATIO = 0.05


@value
class GovernanceData:
    """`overdue`: holds past their run's longest life, by id. `agrees`: counters were what the journal's rows say when
    they were last compared, None before. `decisions_5m` by outcome."""

    mode: Public
    policies_enabled: int
    counters: int
    holds_open: int
    held_nano_usd: int
    oldest_hold_ms: int | None
    recovered_total: int
    overrun_nano_usd: int
    approvals_pending: int
    oldest_pending_ms: int | None
    grants_live: int
    parked: int
    decisions_5m: dict[Public, int]
    unpriced_models: tuple[Public, ...]
    windows_incomplete: tuple[Public, ...]
    agrees: bool | None = None
    overdue: tuple[Public, ...] = ()


def judge_governance(data: GovernanceData) -> Judged:
    """Failed where the ledger does not agree with the journal or a hold is overdue."""
    return judged(
        when(ReasonCode.LEDGER_DIFFERS, data.agrees is False), those(ReasonCode.HOLD_OVERDUE, list(data.overdue))
    )


@value
class GatewayData:
    """`own_5xx_5m` are errors that were Palyra's and no provider's. `wanted`: the engine is ready and serves."""

    listening: bool
    address: Address
    tls: bool
    connections: int
    active_runs: int
    streams: int
    parked: int
    waiting_lease: int
    requests_5m: int
    status_5m: dict[Public, int]
    overhead_p50_ms: float | None
    overhead_p99_ms: float | None
    first_byte_p50_ms: float | None
    refused_hosts_total: int
    draining: bool
    own_5xx_5m: int = 0
    wanted: bool = True


@value
class DoorFigures:
    """What the gateway itself tells. Durations in seconds; requests by the class of their status."""

    listening: bool = False
    address: str = ""
    tls: bool = False
    connections: int = 0
    active_runs: int = 0
    requests_5m: int = 0
    status_5m: dict[str, int] = field(default_factory=lambda: {"2xx": 0, "4xx": 0, "402": 0, "5xx": 0})
    own_5xx_5m: int = 0
    overhead_p50_s: float | None = None
    overhead_p99_s: float | None = None
    first_byte_p50_s: float | None = None
    refused_hosts_total: int = 0


def judge_gateway(data: GatewayData) -> Judged:
    """Failed where it does not listen though it should, or answers too often with errors of its own."""
    many = data.requests_5m >= ERRORS_OF and data.own_5xx_5m > ERRORS_RATIO * data.requests_5m
    return judged(
        when(ReasonCode.NOT_LISTENING, not data.listening and data.wanted), when(ReasonCode.ERRORS_HIGH, many)
    )


@value
class StallData:
    """The longest stall: how long, in ms, and when, UTC unix ms."""

    ms: int
    at: int


@value
class EventLoopData:
    """Of the last 60 s; `longest_stall` of the last hour. `suspended_ms_total` is time the machine slept: no lag.
    `stalled_60s`: it stood still for a second within the last minute."""

    samples: int
    lag_p50_ms: float | None
    lag_p99_ms: float | None
    lag_max_ms: float | None
    longest_stall: StallData | None
    stalls_over_1s_total: int
    tasks_alive: int
    suspended_ms_total: int = 0
    stalled_60s: bool = False


def judge_event_loop(data: EventLoopData) -> Judged:
    """Failed while the loop stalls, degraded while its lateness is high."""
    late_once = data.lag_max_ms is not None and data.lag_max_ms >= STALL_MS
    late = data.lag_p99_ms is not None and data.lag_p99_ms > LAG_HIGH_MS
    return judged(when(ReasonCode.STALLED, data.stalled_60s or late_once), when(ReasonCode.LAG_HIGH, late))


@value
class ReferenceCounts:
    """References to secrets in the configuration, by whether they lead to one."""

    resolved: int
    missing: int
    invalid_ref: int
    unreadable: int


@value
class VaultData:
    """`state`: absent, ok, locked, wrong_key, damaged, newer. `missing`: references without an entry."""

    state: Public
    key_source: Public
    key_id: Public | None
    entries: int
    references: ReferenceCounts
    missing: tuple[Public, ...] = ()

    @property
    def referenced(self) -> int:
        """How many references the configuration has."""
        counts = self.references
        return counts.resolved + counts.missing + counts.invalid_ref + counts.unreadable


_CLOSED = {
    "locked": ReasonCode.VAULT_LOCKED,
    "wrong_key": ReasonCode.VAULT_WRONG_KEY,
    "damaged": ReasonCode.VAULT_DAMAGED,
    "newer": ReasonCode.VAULT_NEWER,
}


def judge_vault(data: VaultData) -> Judged:
    """A vault that nothing refers to fails nobody, and is not used where there is none."""
    missing = those(ReasonCode.SECRET_MISSING, list(data.missing)) or when(
        ReasonCode.SECRET_MISSING, data.references.missing + data.references.invalid_ref > 0
    )
    closed = _CLOSED.get(data.state)
    if closed is not None:
        told = (reason(closed),)
        return judged(told) if data.referenced else judged((), told)
    if data.state == "absent" and not missing:
        return UNUSED
    return judged((), missing)


@value
class ReloadData:
    """When the configuration was last read again, UTC unix ms, and whether it was taken."""

    at: int
    ok: bool


@value
class ConfigData:
    """The running configuration: its version, what is wrong with the file, what waits for a restart."""

    version: int
    problems: int
    warnings: int
    pending_restart: tuple[Public, ...]
    last_reload: ReloadData | None


def judge_config(data: ConfigData) -> Judged:
    """Degraded where the file is not what runs."""
    invalid = data.problems > 0 or (data.last_reload is not None and not data.last_reload.ok)
    return judged(
        (),
        (
            *when(ReasonCode.RELOAD_INVALID, invalid),
            *those(ReasonCode.RESTART_PENDING, list(data.pending_restart)),
        ),
    )


@value
class WebhookData:
    """One webhook: whether its last delivery arrived, notices that wait, notices given up."""

    name: Public
    ok: bool
    pending: int
    dead: int


@value
class NotificationsData:
    """How operators are told."""

    bell: Public
    osc9: Public
    webhooks: tuple[WebhookData, ...]


def judge_notifications(data: NotificationsData) -> Judged:
    """Degraded where a webhook does not take what it is sent."""
    return judged((), those(ReasonCode.WEBHOOK_FAILING, [one.name for one in data.webhooks if not one.ok]))


@value
class LastRun:
    """The newest run of the doctor; `at` in UTC unix ms."""

    run_id: Public
    state: Public
    at: int


@value
class RecoveryData:
    """Repairs of the installation. `unfinished`: those that neither ended nor were undone, by id."""

    runs: int
    unfinished: tuple[Public, ...]
    last: LastRun | None


def judge_recovery(data: RecoveryData) -> Judged:
    """Failed where a repair was begun and neither ended nor taken back."""
    if not data.runs:
        return UNUSED
    return judged(those(ReasonCode.RUN_UNFINISHED, list(data.unfinished)))
