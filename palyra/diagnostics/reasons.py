"""Why a section is not ok: closed codes, each with a sentence and what to do next."""

from collections.abc import Mapping
from enum import StrEnum

from palyra.core.values import value
from palyra.diagnostics.declared import Public


class State(StrEnum):
    """How a part is. `disabled` is switched off or not used, `unknown` nobody could look."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILED = "failed"
    DISABLED = "disabled"
    UNKNOWN = "unknown"

    @property
    def rank(self) -> int:
        """From well to bad: disabled, ok, unknown, degraded, failed."""
        return _RANKS[self]

    @property
    def unwell(self) -> bool:
        """Whether somebody should look."""
        return self in (State.DEGRADED, State.FAILED)


_RANKS = {State.DISABLED: -1, State.OK: 0, State.UNKNOWN: 1, State.DEGRADED: 2, State.FAILED: 3}


class ReasonCode(StrEnum):
    """Why a part is not well; SENTENCES says it in words, with the next step."""

    NO_CHAT_PROVIDER = "no_chat_provider"
    PROVIDER_DOWN = "provider_down"
    PROVIDER_DEGRADED = "provider_degraded"
    MISSING_AUTH = "missing_auth"
    NONE_ELIGIBLE = "none_eligible"
    ALL_COOLING = "all_cooling"
    EXPIRING = "expiring"
    EXPIRED = "expired"
    REJECTED = "rejected"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    MAINTENANCE_FAILED = "maintenance_failed"
    MAINTENANCE_LATE = "maintenance_late"
    VACUUM_OVERDUE = "vacuum_overdue"
    VECTORS_PENDING = "vectors_pending"
    CRITICAL_PROBE_DOWN = "critical_probe_down"
    PROBE_DOWN = "probe_down"
    DEAD_LETTERS = "dead_letters"
    LOOP_SILENT = "loop_silent"
    INCIDENT_OPEN = "incident_open"
    CIRCUIT_OPEN = "circuit_open"
    NO_TICK = "no_tick"
    JOB_FAULTED = "job_faulted"
    REVIEW_WAITING = "review_waiting"
    QUEUE_STUCK = "queue_stuck"
    POISONED = "poisoned"
    WRITE_FAILED = "write_failed"
    AUDIT_BROKEN = "audit_broken"
    COMMIT_SLOW = "commit_slow"
    WAL_LARGE = "wal_large"
    ROLLUP_DIFFERS = "rollup_differs"
    LEDGER_DIFFERS = "ledger_differs"
    HOLD_OVERDUE = "hold_overdue"
    NOT_LISTENING = "not_listening"
    ERRORS_HIGH = "errors_high"
    LAG_HIGH = "lag_high"
    STALLED = "stalled"
    SPACE_LOW = "space_low"
    SPACE_OUT = "space_out"
    READ_ONLY = "read_only"
    VAULT_LOCKED = "vault_locked"
    VAULT_WRONG_KEY = "vault_wrong_key"
    VAULT_DAMAGED = "vault_damaged"
    VAULT_NEWER = "vault_newer"
    SECRET_MISSING = "secret_missing"  # noqa: S105 a code
    RELOAD_INVALID = "reload_invalid"
    RESTART_PENDING = "restart_pending"
    WEBHOOK_FAILING = "webhook_failing"
    RUN_UNFINISHED = "run_unfinished"
    COLLECTOR_ERROR = "collector_error"
    COLLECTOR_TIMEOUT = "collector_timeout"
    SWITCHED_OFF = "switched_off"
    ENGINE_STOPPED = "engine_stopped"


SENTENCES: Mapping[ReasonCode, tuple[str, str]] = {
    ReasonCode.NO_CHAT_PROVIDER: (
        "No enabled provider can answer chats.",
        "Give one a credential or wait for it: `palyra models test-connection` tells which.",
    ),
    ReasonCode.PROVIDER_DOWN: (
        "A provider does not answer.",
        "It is tried again by itself; `palyra models test-connection` asks it now.",
    ),
    ReasonCode.PROVIDER_DEGRADED: (
        "A provider fails more often than it should.",
        "Look at its last error; `palyra models test-connection` asks it now.",
    ),
    ReasonCode.MISSING_AUTH: (
        "A provider has no credential that can be used.",
        "Set one of its credentials, or switch it off.",
    ),
    ReasonCode.NONE_ELIGIBLE: (
        "A provider has no credential left.",
        "Put a valid one in place: `palyra auth list` shows what is wrong with each.",
    ),
    ReasonCode.ALL_COOLING: (
        "Every credential of a provider has to rest.",
        "They come back by themselves; one more credential shares the load.",
    ),
    ReasonCode.EXPIRING: ("A credential ends within minutes.", "Renew it; Palyra does not."),
    ReasonCode.EXPIRED: ("A credential has ended.", "Renew it."),
    ReasonCode.REJECTED: (
        "A provider refused a credential.",
        "Put a valid one in its place, or clear it if it is good again: `palyra auth clear`.",
    ),
    ReasonCode.MISSING: ("The vault has no entry for a credential.", "Store it: `palyra vault set`."),
    ReasonCode.UNREADABLE: ("A credential cannot be read.", "Open the vault with its key."),
    ReasonCode.MAINTENANCE_FAILED: ("The last maintenance of the notes failed.", "Its error says why; it runs again."),
    ReasonCode.MAINTENANCE_LATE: (
        "Maintenance of the notes is more than 30 minutes late.",
        "Look at its job: `palyra jobs show system.memory_maintenance`.",
    ),
    ReasonCode.VACUUM_OVERDUE: (
        "Space of deleted notes has not been given back for a day.",
        "Run its job: `palyra jobs run system.memory_maintenance`.",
    ),
    ReasonCode.VECTORS_PENDING: (
        "More than 1,000 notes have no vector yet.",
        "See whether the embeddings model answers; searching by words goes on.",
    ),
    ReasonCode.CRITICAL_PROBE_DOWN: ("A service this house needs is down.", "Start it, or mend the way to it."),
    ReasonCode.PROBE_DOWN: ("A service that is looked at is down.", "Start it, or mend the way to it."),
    ReasonCode.DEAD_LETTERS: (
        "Notifications were given up.",
        "See why and send them again: `palyra incidents dead-letters list`.",
    ),
    ReasonCode.LOOP_SILENT: ("Self-healing has not looked for 45 s.", "The log says why; restart the engine."),
    ReasonCode.INCIDENT_OPEN: ("A grave incident is open.", "Triage it on the Incidents screen."),
    ReasonCode.CIRCUIT_OPEN: ("A remedy failed too often and is not tried any more.", "Find the cause by hand."),
    ReasonCode.NO_TICK: ("The scheduler has not looked for 5 s.", "The log says why; restart the engine."),
    ReasonCode.JOB_FAULTED: ("A job cannot be planned.", "Mend or remove it: `palyra jobs show`."),
    ReasonCode.REVIEW_WAITING: ("Slots that were missed wait for a person.", "Decide: `palyra jobs review`."),
    ReasonCode.QUEUE_STUCK: (
        "Tasks wait although workers are idle.",
        "See what they wait for: `palyra tasks list --state queued`.",
    ),
    ReasonCode.POISONED: (
        "A task ended its worker too often.",
        "Look at it and retry or drop it: `palyra tasks list`.",
    ),
    ReasonCode.WRITE_FAILED: (
        "The journal cannot be written: no new work is taken.",
        "Free disk space or mend the disk; Palyra goes on by itself.",
    ),
    ReasonCode.AUDIT_BROKEN: (
        "The audit chain does not fit its head.",
        "`palyra audit verify` tells from where on.",
    ),
    ReasonCode.COMMIT_SLOW: ("Writing the journal takes long.", "See what else uses the disk."),
    ReasonCode.WAL_LARGE: (
        "The journal's log has grown past 256 MiB.",
        "Somebody reads for very long: end long exports; the next checkpoint shrinks it.",
    ),
    ReasonCode.ROLLUP_DIFFERS: ("Sums of usage are not what the rows say.", "`palyra ledger verify` shows where."),
    ReasonCode.LEDGER_DIFFERS: (
        "Counters in memory are not what the journal says.",
        "Restart the engine, which counts again; keep the journal for a look.",
    ),
    ReasonCode.HOLD_OVERDUE: ("A hold is older than its run may be.", "Cancel its run: `palyra runs list`."),
    ReasonCode.NOT_LISTENING: ("The gateway does not listen.", "The log says why; another program may hold its port."),
    ReasonCode.ERRORS_HIGH: ("More than 1 in 20 requests ended in an error of ours.", "The log says which."),
    ReasonCode.LAG_HIGH: ("The event loop runs late.", "See what else uses the processor."),
    ReasonCode.STALLED: ("The event loop stood still for a second.", "See what else uses the processor or the disk."),
    ReasonCode.SPACE_LOW: ("The disk is nearly full.", "Free space; journal.disk_low says when this is told."),
    ReasonCode.SPACE_OUT: ("The disk is full.", "Free space now."),
    ReasonCode.READ_ONLY: ("The disk cannot be written.", "Mount it for writing; its own log says why it was not."),
    ReasonCode.VAULT_LOCKED: ("There is no key for the vault.", "Bring its key back: see `palyra vault status`."),
    ReasonCode.VAULT_WRONG_KEY: ("The key does not open the vault.", "Bring the right key: see `palyra vault status`."),
    ReasonCode.VAULT_DAMAGED: ("The vault's file cannot be read.", "`palyra doctor` tells what can be saved."),
    ReasonCode.VAULT_NEWER: ("A newer Palyra wrote the vault.", "Upgrade Palyra."),
    ReasonCode.SECRET_MISSING: ("The vault has no entry for a reference.", "Store it: `palyra vault set`."),
    ReasonCode.RELOAD_INVALID: (
        "The configuration on disk is not valid; the one before goes on.",
        "`palyra config check` tells every problem.",
    ),
    ReasonCode.RESTART_PENDING: ("Changes of the configuration wait for a restart.", "Restart the engine."),
    ReasonCode.WEBHOOK_FAILING: (
        "A webhook does not take notifications.",
        "See why: `palyra incidents dead-letters list`.",
    ),
    ReasonCode.RUN_UNFINISHED: ("A repair was not finished.", "Finish or undo it: `palyra doctor`."),
    ReasonCode.COLLECTOR_ERROR: ("What this part is doing could not be read.", "The log says why."),
    ReasonCode.COLLECTOR_TIMEOUT: ("What this part is doing could not be read in time.", "It is asked again."),
    ReasonCode.SWITCHED_OFF: ("It is switched off.", ""),
    ReasonCode.ENGINE_STOPPED: (
        "Stopped in recovery mode.",
        "Repair what the doctor found; the engine starts by itself then.",
    ),
}
"""What each code means, and the next step."""


@value
class Reason:
    """`subjects` are what it is about, by id: providers, probes, jobs; empty where it is the section itself."""

    code: ReasonCode
    sentence: Public
    next_step: Public
    subjects: tuple[Public, ...] = ()


def reason(code: ReasonCode, *subjects: str) -> Reason:
    """The reason of that code, in words, about these subjects."""
    sentence, next_step = SENTENCES[code]
    return Reason(code, sentence, next_step, subjects)


@value
class Judged:
    """What comes of a section's data."""

    state: State
    reasons: tuple[Reason, ...] = ()


def judged(failed: tuple[Reason, ...] = (), degraded: tuple[Reason, ...] = ()) -> Judged:
    """Failed with any reason to be, else degraded with any, else ok; all reasons are told, the gravest first."""
    state = State.FAILED if failed else State.DEGRADED if degraded else State.OK
    return Judged(state, (*failed, *degraded))


OFF = Judged(State.DISABLED, (reason(ReasonCode.SWITCHED_OFF),))
UNUSED = Judged(State.DISABLED)
"""Nothing is configured, so nothing can be wrong."""


def those(code: ReasonCode, subjects: list[str]) -> tuple[Reason, ...]:
    """One reason for all of them; none where there are none."""
    return (reason(code, *subjects),) if subjects else ()


def when(code: ReasonCode, holds: bool) -> tuple[Reason, ...]:
    """The reason, where it holds."""
    return (reason(code),) if holds else ()
