"""What a console may ask of the journal, and the answers. Answers come from reader threads, never the loop."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from palyra.control.prices import CostAnswer, CostQuery, PriceAnswer, PriceCheckAnswer, PriceCheckQuery, PriceQuery
from palyra.control.snapshots import AlertView, ApprovalView, BudgetView, GrantView, RunView


@dataclass(frozen=True, slots=True)
class RunsQuery:
    """A page of runs, newest first. `text` matches ids, principal, session, model and reason."""

    state: str = ""
    principal: str = ""
    session: str = ""
    model: str = ""
    text: str = ""
    since: int | None = None
    until: int | None = None
    limit: int = 50
    cursor: str = ""
    kind: Literal["runs"] = "runs"


@dataclass(frozen=True, slots=True)
class RunsPage:
    runs: tuple[RunView, ...]
    next_cursor: str = ""


@dataclass(frozen=True, slots=True)
class RunQuery:
    run_id: str
    kind: Literal["run"] = "run"


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One attempt and how its hold ended. `state`: held, settled, released, expired."""

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


@dataclass(frozen=True, slots=True)
class NoteView:
    at: int
    kind: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunDetail:
    run: RunView
    attempts: tuple[AttemptView, ...]
    notes: tuple[NoteView, ...]
    decision: "DecisionDetail | None"


@dataclass(frozen=True, slots=True)
class DecisionQuery:
    decision_id: str
    kind: Literal["decision"] = "decision"


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class ApprovalQuery:
    approval_id: str
    kind: Literal["approval"] = "approval"


@dataclass(frozen=True, slots=True)
class OverrideView:
    """A request of somebody that was allowed. `cap` and `drawn` are of its first grant, in `metric_kind`'s unit."""

    approval_id: str
    at: int
    by: str
    kind: str
    metric_kind: str
    cap: int
    drawn: int


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class ApprovalsQuery:
    """Pending first (oldest first), then decided, newest first. `status` filters: pending, resolved, or empty."""

    status: str = ""
    limit: int = 50
    kind: Literal["approvals"] = "approvals"


@dataclass(frozen=True, slots=True)
class ApprovalsPage:
    approvals: tuple[ApprovalView, ...]
    grants: tuple[GrantView, ...] = ()


@dataclass(frozen=True, slots=True)
class AlertsQuery:
    """Those that are not resolved, in the order of a snapshot; with `resolved`, then those too, newest first."""

    resolved: bool = False
    limit: int = 200
    kind: Literal["alerts"] = "alerts"


@dataclass(frozen=True, slots=True)
class AlertsPage:
    alerts: tuple[AlertView, ...]


@dataclass(frozen=True, slots=True)
class BudgetQuery:
    """One policy in full. Raises NotFoundError."""

    policy_id: str
    kind: Literal["budget"] = "budget"


@dataclass(frozen=True, slots=True)
class RevisionView:
    """A policy as an operator made it at one time. `changes`: field -> (before, after), as typed."""

    revision: int
    at: int
    by: str
    removed: bool
    changes: dict[str, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """Usage in [since, until), UTC unix ms; `by`: model, provider, user, session, channel, agent, job, key, tag.

    `bucket`: hour, day (in `timezone`), auto (hour up to 72 h), none (no timeline).
    """

    since: int
    until: int
    by: str = "model"
    bucket: str = "auto"
    timezone: str = "UTC"
    limit: int = 50
    kind: Literal["usage"] = "usage"


@dataclass(frozen=True, slots=True)
class UsageNumbers:
    requests: int = 0
    ok: int = 0
    failed: int = 0
    refused: int = 0
    attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nano_usd: int = 0
    unpriced: int = 0
    average_latency_ms: int = 0

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class UsageStep:
    start: int
    end: int
    total: UsageNumbers
    series: dict[str, UsageNumbers] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UsageEntry:
    key: str
    numbers: UsageNumbers
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class UsageAnswer:
    since: int
    until: int
    by: str
    bucket: str
    timezone: str
    total: UsageNumbers
    timeline: tuple[UsageStep, ...]
    breakdown: tuple[UsageEntry, ...]


@dataclass(frozen=True, slots=True)
class LedgerQuery:
    """Rebuilds every counter from the journal and compares."""

    kind: Literal["ledger"] = "ledger"


@dataclass(frozen=True, slots=True)
class LedgerDifference:
    """Two numbers that should be one, in the metric's unit."""

    policy_id: str
    scope_value: str
    window_start: int
    metric_kind: str
    what: str
    live: int
    rebuilt: int


@dataclass(frozen=True, slots=True)
class LedgerOvershoot:
    """`amount`: how far an enforced counter stands above what it may, 0 when it does not; USD in nano-dollars."""

    policy_id: str
    scope_value: str
    window_start: int
    metric_kind: str
    amount: int


@dataclass(frozen=True, slots=True)
class LedgerAnswer:
    """`open_holds` belong to live runs; `orphan_holds` to nobody, which is a fault. `live`: compared with an engine."""

    ok: bool
    live: bool
    holds: int
    counters: int
    open_holds: int
    orphan_holds: tuple[str, ...]
    overshoot: tuple[LedgerOvershoot, ...]
    differences: tuple[LedgerDifference, ...]
    rollup_differences: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AuditQuery:
    kind: Literal["audit"] = "audit"


@dataclass(frozen=True, slots=True)
class AuditAnswer:
    ok: bool
    rows: int
    head: str
    first_bad: int | None
    message: str


Query = Annotated[
    RunsQuery
    | RunQuery
    | DecisionQuery
    | ApprovalQuery
    | ApprovalsQuery
    | BudgetQuery
    | AlertsQuery
    | UsageQuery
    | LedgerQuery
    | AuditQuery
    | PriceQuery
    | CostQuery
    | PriceCheckQuery,
    Field(discriminator="kind"),
]
Answer = (
    RunsPage
    | RunDetail
    | DecisionDetail
    | ApprovalDetail
    | ApprovalsPage
    | BudgetDetail
    | AlertsPage
    | UsageAnswer
    | LedgerAnswer
    | AuditAnswer
    | PriceAnswer
    | CostAnswer
    | PriceCheckAnswer
)
