"""What a console may ask of the journal, and the answers. Answers come from reader threads, never the loop."""

from dataclasses import field
from typing import Annotated, Any, Literal

from pydantic import Field

from palyra.control.access_queries import AccessAnswer, AccessQuery
from palyra.control.audit_queries import AuditAsked, AuditTold
from palyra.control.config_queries import ConfigAnswer, ConfigQuery
from palyra.control.diagnostics_queries import Diagnosis, DiagnosticsQuery
from palyra.control.doctor_queries import DoctorAsked, DoctorTold, JournalExamination, JournalExaminationQuery
from palyra.control.incidents_queries import IncidentAsked, IncidentTold
from palyra.control.jobs_queries import JobAsked, JobTold
from palyra.control.memory_queries import MemoryAsked, MemoryTold
from palyra.control.notice_queries import NoticeAsk, NoticeTold
from palyra.control.prices import PartView, PriceAsk, PriceTold
from palyra.control.replays import ReplayAsk, ReplayProgress
from palyra.control.secrets_queries import SecretsAsked, SecretsTold
from palyra.control.serving_queries import ServingAsk, ServingTold
from palyra.control.snapshots import AlertView, ApprovalView, BudgetView, GrantView, RunView
from palyra.control.task_queries import TaskAsked, TaskTold
from palyra.control.text_queries import RunTexts, RunTextsQuery
from palyra.control.usage_queries import UsageAsk, UsageTold
from palyra.core.terms import Term
from palyra.core.values import value


@value
class RunsQuery:
    """A page of runs, newest first. `text` matches ids, principal, session, model and reason; `terms` must hold of the
    fields state, who, session, model, provider, why, key and id. `upward`: the nearest that are newer than the cursor,
    without one the oldest there are. `counted`: how many there are in all is told too."""

    state: str = ""
    principal: str = ""
    session: str = ""
    model: str = ""
    text: str = ""
    since: int | None = None
    until: int | None = None
    limit: int = 50
    cursor: str = ""
    job: str = ""
    terms: tuple[Term, ...] = ()
    upward: bool = False
    counted: bool = False
    kind: Literal["runs"] = "runs"


@value
class RunsPage:
    """Newest first. `next_cursor` leads to older ones, `newer_cursor` with `upward` to newer ones; empty where there
    are none. `total`: how many there are on all pages; None where nobody asked."""

    runs: tuple[RunView, ...]
    next_cursor: str = ""
    newer_cursor: str = ""
    total: int | None = None


@value
class RunQuery:
    """One run. Answer: RunDetail."""

    run_id: str
    kind: Literal["run"] = "run"


@value
class AttemptView:
    """One attempt and how its hold ended. `state`: held, settled, released, expired.

    `parts` make up what it was charged. `readings` are the ways its answer could be understood, by name with the charge
    of each (nano-dollars), where it contradicted itself; the dearest is charged. `course`: why it was made, empty for
    a first one, retry, failover, failover_retry. `status` is what the provider answered with, None where it did not;
    `error_class` is empty for one that did not fail.
    """

    number: int
    hold_id: str
    provider: str
    model: str
    state: str
    created_at: int
    terminal_at: int | None
    bound_nano_usd: int | None
    actual_nano_usd: int | None
    usage_source: str
    price_state: str
    recovered: bool
    flags: tuple[str, ...] = ()
    parts: tuple[PartView, ...] = ()
    readings: tuple[tuple[str, int | None], ...] = ()
    course: str = ""
    credential_id: str = ""
    error_class: str = ""
    status: int | None = None
    first_byte_ms: int | None = None
    took_ms: int | None = None


@value
class NoteView:
    """What was noted of a run; `at` in UTC unix ms."""

    at: int
    kind: str
    data: dict[str, Any] = field(default_factory=dict)


@value
class RunDetail:
    """A run with its attempts, notes and decision."""

    run: RunView
    attempts: tuple[AttemptView, ...]
    notes: tuple[NoteView, ...]
    decision: "DecisionDetail | None"
    retry_count: int = 0
    """How often the same model was asked once more."""


@value
class DecisionQuery:
    """One decision; the id of its run works too. Answer: DecisionDetail."""

    decision_id: str
    kind: Literal["decision"] = "decision"


@value
class DecisionDetail:
    """A stored RoutingDecision: `body` is its JSON, `sentences` its explanation in words."""

    decision_id: str
    run_id: str
    at: int
    outcome: str
    mode: str
    sentences: tuple[str, ...]
    reason_codes: tuple[str, ...]
    body: dict[str, Any]


@value
class ApprovalQuery:
    """One approval. Answer: ApprovalDetail."""

    approval_id: str
    kind: Literal["approval"] = "approval"


@value
class OverrideView:
    """A request of somebody that was allowed. `cap` and `drawn` are of its first grant, in `metric_kind`'s unit."""

    approval_id: str
    at: int
    by: str
    kind: str
    metric_kind: str
    cap: int
    drawn: int


@value
class CounterNow:
    """What a counter has settled and held at present, in its budget's unit."""

    policy_id: str
    scope_value: str
    settled: int
    held: int


@value
class ApprovalDetail:
    """An approval with its requester's recent history (`daily_cost`: newest last, nano-dollars)."""

    approval: ApprovalView
    grants: tuple[GrantView, ...]
    requester_runs: int
    requester_cost_nano_usd: int
    requester_overrides: int
    daily_cost: tuple[int, ...]
    last_override: OverrideView | None = None
    """The newest one before this, of any age."""
    present: tuple[CounterNow, ...] = ()
    """Of a pending one's budgets: they move on after what was shown. Empty where no engine runs."""


@value
class ApprovalsQuery:
    """Pending ones, then those decided; of both the newest first. `status`: pending, resolved, or empty for both.
    `upward`, of those decided alone: the nearest that are newer than the cursor, without one the oldest there are."""

    status: str = ""
    limit: int = 50
    cursor: str = ""
    upward: bool = False
    kind: Literal["approvals"] = "approvals"


@value
class ApprovalsPage:
    """`next_cursor` leads to those behind the last, `newer_cursor` with `upward` to those before the first."""

    approvals: tuple[ApprovalView, ...]
    grants: tuple[GrantView, ...] = ()
    next_cursor: str = ""
    newer_cursor: str = ""


@value
class AlertsQuery:
    """Those that are not resolved, in the order of a snapshot; with `resolved`, then those too, newest first."""

    resolved: bool = False
    limit: int = 200
    kind: Literal["alerts"] = "alerts"


@value
class AlertsPage:
    """Alerts, the newest first."""

    alerts: tuple[AlertView, ...]


@value
class BudgetQuery:
    """One policy in full. Raises NotFoundError."""

    policy_id: str
    kind: Literal["budget"] = "budget"


@value
class RevisionView:
    """A policy as an operator made it at one time. `changes`: field -> (before, after), as typed."""

    revision: int
    at: int
    by: str
    removed: bool
    changes: dict[str, tuple[str, str]] = field(default_factory=dict)


@value
class BudgetDetail:
    """A policy with all that hangs on it.

    `fields` are its fields as typed. `counters` are its fullest, at most `COUNTERS_SHOWN`; `grants` its live ones,
    `approvals` those pending, `refusals` the newest runs it refused; `revisions` newest first, none for a policy of the
    configuration file.
    """

    policy_id: str
    fields: dict[str, str]
    counters: tuple[BudgetView, ...]
    grants: tuple[GrantView, ...]
    approvals: tuple[ApprovalView, ...]
    revisions: tuple[RevisionView, ...]
    refusals: tuple[RunView, ...]


@value
class LedgerQuery:
    """Rebuilds every counter and compares; and every sum of usage: the latter in stretches of time from `cursor` on."""

    part: Literal["all", "counters", "sums"] = "all"
    cursor: str = ""
    kind: Literal["ledger"] = "ledger"


@value
class LedgerDifference:
    """Two numbers that should be one, in the metric's unit."""

    policy_id: str
    scope_value: str
    window_start: int
    metric_kind: str
    what: str
    live: int
    rebuilt: int


@value
class LedgerOvershoot:
    """`amount`: how far an enforced counter stands above what it may, 0 when it does not; USD in nano-dollars."""

    policy_id: str
    scope_value: str
    window_start: int
    metric_kind: str
    amount: int


@value
class LedgerAnswer:
    """`open_holds` belong to live runs; `orphan_holds` to nobody, which is a fault. `live`: compared with an engine.

    `sums_share` of the sums (0 to 1) were checked up to here, and `sums_cursor` is where the next stretch goes on.
    """

    ok: bool
    live: bool
    holds: int
    counters: int
    open_holds: int
    orphan_holds: tuple[str, ...]
    overshoot: tuple[LedgerOvershoot, ...]
    differences: tuple[LedgerDifference, ...]
    rollup_differences: tuple[str, ...] = ()
    sums_share: float = 1.0
    sums_cursor: str = ""


@value
class AuditQuery:
    """Whether the audit's chain holds. Answer: AuditAnswer."""

    kind: Literal["audit"] = "audit"


@value
class AuditAnswer:
    """What following the chain came to: how many rows, which head, what is wrong."""

    ok: bool
    rows: int
    head: str
    first_bad: int | None
    message: str


Query = Annotated[
    RunsQuery
    | RunQuery
    | RunTextsQuery
    | DecisionQuery
    | ApprovalQuery
    | ApprovalsQuery
    | BudgetQuery
    | AlertsQuery
    | LedgerQuery
    | AuditQuery
    | AuditAsked
    | ReplayAsk
    | PriceAsk
    | ServingAsk
    | UsageAsk
    | NoticeAsk
    | JobAsked
    | TaskAsked
    | IncidentAsked
    | MemoryAsked
    | AccessQuery
    | SecretsAsked
    | DiagnosticsQuery
    | ConfigQuery
    | JournalExaminationQuery
    | DoctorAsked,
    Field(discriminator="kind"),
]
Answer = (
    RunsPage
    | RunDetail
    | RunTexts
    | DecisionDetail
    | ApprovalDetail
    | ApprovalsPage
    | BudgetDetail
    | AlertsPage
    | LedgerAnswer
    | AuditAnswer
    | AuditTold
    | ReplayProgress
    | PriceTold
    | ServingTold
    | UsageTold
    | NoticeTold
    | JobTold
    | TaskTold
    | IncidentTold
    | MemoryTold
    | AccessAnswer
    | SecretsTold
    | Diagnosis
    | ConfigAnswer
    | JournalExamination
    | DoctorTold
)
