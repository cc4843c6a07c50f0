"""What a console sees: frozen values folded from the engine. Times UTC unix ms, money int nano-dollars.

Amounts of a budget are in its metric's unit: nano-dollars, tokens or requests.
"""

from dataclasses import field
from enum import StrEnum
from typing import Any

from palyra.config.operations import Switch
from palyra.control.incidents_queries import IncidentView
from palyra.control.jobs_queries import JobView
from palyra.control.notice_queries import NoticeView
from palyra.control.serving import ModelView, ProviderView
from palyra.control.task_queries import TaskView
from palyra.core.values import value


class Topic(StrEnum):
    """Parts of a snapshot a screen asks for; the status part always comes along."""

    APPROVALS = "approvals"
    RUNS = "runs"
    BUDGETS = "budgets"
    USAGE = "usage"
    MODELS = "models"
    JOBS = "jobs"


@value
class OperatorView:
    """Who is at the keyboard. `role`: viewer, approver, admin. `attestation`: uid, ssh_key, claimed, owner,
    token, key. `account`: theirs on this machine; `address`: where their connection or request comes from. `repairs`:
    they may repair whatever their role, since the access registry cannot be read and the state is theirs.
    `repairs_barred`: what keeps them from repairs whatever their role; empty for nothing."""

    name: str
    role: str
    attestation: str
    account: str = ""
    address: str = ""
    repairs: bool = False
    repairs_barred: str = ""

    @property
    def may_repair(self) -> bool:
        """Whether they may have the doctor repair."""
        return self.repairs or self.may_administer

    @property
    def may_approve(self) -> bool:
        """Whether they may decide and stop."""
        return self.role in ("approver", "admin")

    @property
    def may_administer(self) -> bool:
        """Whether they may change budgets, keys and configuration."""
        return self.role == "admin"


@value
class EngineView:
    """`phase`: starting, ready, draining, recovery (no engine runs, but the doctor works). `lag_ms`: how late the event
    loop runs, newest measurement."""

    phase: str
    mode: str
    version: str
    boot_id: str
    pid: int
    started_at: int
    timezone: str
    gateway_url: str
    socket: str
    key_file: str
    state_dir: str
    config_path: str
    demo: bool
    journal_ok: bool
    lag_ms: float
    problems: tuple[str, ...] = ()
    log_file: str = ""
    """Where the engine writes its log; empty when it goes to standard error."""
    trouble: str = ""
    """Why no engine runs, in a line without a full stop; empty while one does."""
    bell: Switch | None = None
    osc9: Switch | None = None
    """How consoles are to call for attention by the configuration in force; None where none is."""
    configured_at: int | None = None
    """When the configuration was last read again and taken up (UTC unix ms); None before that."""


@value
class ForecastView:
    """Where one counter is going: `projected` at `window_end` if it goes on as in the newest quarter of its window.

    `limit` is the hard limit with the live grants on it. `reaches_at` is when the counter gets there (unix ms): None
    when it does not before the window ends, or has no such limit. Amounts are in `metric_kind`'s unit.
    """

    policy_id: str
    scope_value: str
    metric_kind: str
    window_end: int
    projected: int
    limit: int | None
    reaches_at: int | None


@value
class BudgetView:
    """One counter of a policy in its current window."""

    policy_id: str
    name: str
    revision: int
    source: str
    enabled: bool
    scope_kind: str
    scope_value: str
    metric_kind: str
    interval_kind: str
    timezone: str
    action: str
    mode: str
    window_start: int
    window_end: int | None
    settled: int
    held: int
    soft_limit: int | None
    hard_limit: int | None
    granted: int
    status: str
    counters: int = 1
    """How many scope values this policy counts at present; only the fullest few are listed."""
    forecast: ForecastView | None = None
    """None for windows without a calendar, and while less than a tenth of one has elapsed."""
    incomplete: bool = False
    """What was used in this window is not all known: rows of the journal were lost."""

    @property
    def used_ratio(self) -> float:
        """Settled and held together, as a part of the limit."""
        limit = self.hard_limit if self.hard_limit is not None else self.soft_limit
        if not limit:
            return 1.0
        return (self.settled + self.held) / limit


@value
class EvaluationView:
    """What one budget said to one request."""

    policy_id: str
    scope_value: str
    metric_kind: str
    settled: int
    held: int
    bound: int
    projected: int
    soft_limit: int | None
    hard_limit: int | None
    granted: int
    window_start: int
    window_end: int | None
    timezone: str
    mode: str
    status: str
    message: str
    revision: int = 0
    sha256: str = ""
    """Of the policy as it was shown; an edit since makes the approval void."""
    once_cap: int = 0
    session_cap: int = 0
    """What a grant for one run, and one for a session or a time, may draw at most, where it is asked for."""


@value
class CounterfactualView:
    """What would have passed. `kind`: max_tokens, model, time, grant. `value` is text for people.

    `amount` is what a grant would need, in `metric_kind`'s unit. `target` is what `value` speaks of: the number of
    tokens, the model's id, the instant (UTC unix ms); None where it is not known.
    """

    kind: str
    value: str
    policy_id: str = ""
    amount: int | None = None
    metric_kind: str = ""
    target: int | str | None = None


@value
class ApplicantView:
    """Somebody who asked in words: an operator, or `key:<key_id>` for a gateway key. `attestation`: how we know."""

    name: str
    attestation: str = ""
    reason: str = ""


@value
class ApprovalView:
    """One request for a person's word. `waiting` counts clients whose connection is open for it.

    What was asked for in words has `applicants`, and `wanted` (in `excess_metric`'s unit) where they named an amount;
    with no refused request behind it, it has no run, no model and no prompt.
    """

    approval_id: str
    version: int
    status: str
    decision: str
    principal: str
    key_id: str
    session: str
    model: str
    policy_ids: tuple[str, ...]
    excess: int
    excess_metric: str
    risk: str
    risk_percent: float
    waiting: int
    requested_at: int
    expires_at: int
    park_until: int | None
    resolved_at: int | None
    decided_by: str
    reason: str
    run_ids: tuple[str, ...]
    prompt_bytes: int
    expected_input: int
    max_tokens: int | None
    complexity: float
    expected_nano_usd: int | None
    bound_nano_usd: int | None
    evaluations: tuple[EvaluationView, ...]
    counterfactual: tuple[CounterfactualView, ...]
    once_cap: int
    decision_id: str = ""
    grant_ids: tuple[str, ...] = ()
    tools: int = 0
    """How many tools the prompt offers to the model."""
    applicants: tuple[ApplicantView, ...] = ()
    wanted: int | None = None
    subject: str = ""
    """What is asked for where that is no room in a budget: `remedy:<incident>:<remedy>`."""
    barred: str = ""
    """Why whoever looks may not decide on it, whatever their role; empty where nothing but their role matters."""

    @property
    def refused(self) -> bool:
        """Whether a request that was refused stands behind it."""
        return bool(self.run_ids or self.decision_id)


@value
class GrantView:
    """Room that somebody gave; amounts in the metric of the policy, instants in UTC unix ms."""

    grant_id: str
    approval_id: str
    kind: str
    policy_id: str
    scope_value: str
    principal: str
    session: str
    metric_kind: str
    cap: int
    drawn: int
    created_at: int
    expires_at: int | None
    state: str
    granted_by: str


@value
class RunView:
    """One run. `cost_nano_usd` None means unpriced; `held_nano_usd` is what it reserves while live.

    `beat_at` and `progress_at`: when it last proved that it lives and that it gets on, to a tenth of a second; None for
    one that does not beat.
    """

    run_id: str
    version: int
    state: str
    phase: str
    reason: str
    message: str
    principal: str
    session: str
    key_id: str
    wire: str
    streaming: bool
    model_asked: str
    provider: str
    model: str
    input_tokens: int
    output_tokens: int
    cost_nano_usd: int | None
    held_nano_usd: int | None
    accepted_at: int
    first_byte_at: int | None
    finished_at: int | None
    attempts: int
    approval_id: str
    decision_id: str
    flags: tuple[str, ...] = ()
    beat_at: int | None = None
    progress_at: int | None = None

    @property
    def live(self) -> bool:
        """Whether it has not ended."""
        return self.state in ("pending", "parked", "running")


@value
class AlertView:
    """Something out of the ordinary. `severity`: warning, danger. `state`: open, acknowledged, snoozed, resolved.

    `kind`: cost_spike, provider_health, unusual_model_mix, routing_regression, budget_alert, budget_forecast,
    price_unknown, estimate_drift. `summary` is a line, `sentences` say the rest of `payload` in words.
    """

    alert_id: str
    kind: str
    severity: str
    summary: str
    first_seen: int
    last_seen: int = 0
    version: int = 1
    state: str = "open"
    occurrences: int = 1
    notified_at: int | None = None
    """When people were last told of it."""
    snoozed_until: int | None = None
    resolved_at: int | None = None
    acted_by: str = ""
    """Who acknowledged or snoozed it last."""
    subject_kind: str = ""
    """What it is about, for jumping there: budget, provider, model, or empty."""
    subject: str = ""
    sentences: tuple[str, ...] = ()
    payload: dict[str, Any] = field(default_factory=dict)

    @property
    def needs_a_person(self) -> bool:
        """Whether nobody has taken notice."""
        return self.state == "open"


@value
class Snapshot:
    """The newest state. `version` grows with every change; parts not asked for are empty.

    `alerts` are those that are not resolved: open ones first, then the more severe, then the older.
    `requests_total`: requests ended since this engine started; 0 without an engine. `notices` are the last things
    people were told, oldest first. `incidents` are those that are not resolved and hang below no other, as many as fit:
    the most urgent first, what was put away last; `incidents_open` counts all those that nobody put away.
    """

    version: int
    at: int
    engine: EngineView
    operator: OperatorView
    spend_today_nano_usd: int
    tightest: BudgetView | None
    approvals_pending: int
    incidents_open: int
    runs_live: int
    requests_total: int
    providers: tuple[ProviderView, ...]
    approvals: tuple[ApprovalView, ...] = ()
    grants: tuple[GrantView, ...] = ()
    alerts: tuple[AlertView, ...] = ()
    runs: tuple[RunView, ...] = ()
    budgets: tuple[BudgetView, ...] = ()
    models: tuple[ModelView, ...] = ()
    jobs: tuple[JobView, ...] = ()
    tasks: tuple[TaskView, ...] = ()
    notices: tuple[NoticeView, ...] = ()
    incidents: tuple[IncidentView, ...] = ()


@value
class FaultView:
    """What is wrong with one field of what an operator wrote, and what to write instead."""

    field: str
    message: str
    fix: str = ""


PARTLY_REFUSED = "partly_refused"
"""The code of a result whose message has a line for each thing that was refused."""


@value
class CommandResult:
    """The engine's answer. `status`: accepted, stale, denied, not_found, invalid, conflict.

    `message` says what is true now, read back after the act; `fix` what to do next; `data` has ids of what was made.
    `code` says why it was not accepted, for programs; `faults` are what is wrong with fields, where that is known.
    """

    status: str
    message: str
    fix: str = ""
    data: dict[str, str] = field(default_factory=dict)
    code: str = ""
    faults: tuple[FaultView, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it was carried out."""
        return self.status == "accepted"
