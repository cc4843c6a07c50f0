"""What the journal keeps, as plain values. Times are UTC unix ms, money is nano-dollars, None means unknown.

What the ledger makes for every attempt is a named tuple: a frozen dataclass takes five times as long to make.
"""

from collections.abc import Sequence
from dataclasses import field
from typing import Any, NamedTuple

from palyra.core.scope import Scope
from palyra.core.terms import Term
from palyra.core.values import value


@value
class RunRow:
    """One governed piece of model work. Saved whole; the highest `version` wins until terminal."""

    run_id: str
    boot_id: str
    version: int
    source: str
    scope: Scope
    task_class: str
    wire: str
    streaming: bool
    model_asked: str
    max_tokens: int | None
    input_bytes: int
    expected_input: int
    complexity: float
    digest: str
    state: str
    phase: str
    reason: str
    message: str
    accepted_at: int
    mode: str = ""
    decision_id: str = ""
    provider: str = ""
    model: str = ""
    approval_id: str = ""
    grant_ids: tuple[str, ...] = ()
    attempts: int = 0
    parked_at: int | None = None
    dispatched_at: int | None = None
    first_byte_at: int | None = None
    finished_at: int | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int | None = 0
    flags: tuple[str, ...] = ()


class CounterMove(NamedTuple):
    """What one hold moved in one counter. `held` is what it reserves there, `actual` what it settled to."""

    policy_id: str
    scope_value: str
    window_start: int
    metric: str
    held: int
    actual: int | None = None
    enforced: bool = True
    drawn: tuple[tuple[str, int], ...] = ()
    """(grant_id, amount) drawn from grants by this hold in this counter."""
    limit: int | None = None
    """The hard limit in force when this was admitted: a later edit must not make a lawful admission look unlawful."""
    rolling: str = ""
    """The kind of rolling window it was admitted to; '' for one of the calendar, whose start tells which it was."""


class HoldRow(NamedTuple):
    """One attempt's reservation. `state`: held, settled, released, expired."""

    hold_id: str
    run_id: str
    attempt: int
    boot_id: str
    scope: Scope
    provider: str
    model: str
    created_at: int
    bound_usd: int | None
    bound_tokens: int
    expected_input: int
    expected_usd: int | None
    price_state: str
    card: dict[str, Any] | None
    moves: Sequence[CounterMove]
    mode: str
    state: str = "held"
    terminal_at: int | None = None
    actual_usd: int | None = None
    actual_tokens: int | None = None
    requests: int = 0
    usage_source: str = ""
    overrun: int = 0
    recovered: bool = False
    metered_input: int | None = None
    metered_output: int | None = None
    metered_usd: int | None = None
    folded: int = 1
    """How many holds it stands for: more than one in an opening balance."""


@value
class UsageRow:
    """What one settled attempt used and cost, with every rate used. Never changed."""

    hold_id: str
    run_id: str
    attempt: int
    at: int
    provider: str
    model: str
    scope: Scope
    input_total: int
    cache_read: int
    write_5m: int
    write_1h: int
    output_total: int
    reasoning: int
    audio_in: int
    audio_out: int
    tool_uses: int
    metered_input: int
    metered_output: int
    usage_source: str
    flags: tuple[str, ...]
    price_state: str
    rates: tuple[dict[str, Any], ...]
    charge: int | None
    reported_cost: int | None = None
    raw: dict[str, Any] | None = None
    latency_ms: int = 0
    visible_bytes: int = 0
    """UTF-8 bytes of text, tool-call arguments and thinking text that the meter saw."""
    overhead: int = 30
    """Tokens the provider was expected to add to the prompt by itself."""
    readings: tuple[dict[str, Any], ...] = ()
    """Every way to understand a body that contradicts itself: its name, usage and charge."""
    corrects: str = ""
    """The hold whose usage this corrects: its numbers are differences then, and it has no hold of its own."""
    answer_id: str = ""
    """By which its provider keeps the answer, for requests that go on from it; empty where none can."""


@value
class DecisionRow:
    """One plan, as it was decided; `body` is the whole RoutingDecision as JSON data."""

    decision_id: str
    run_id: str
    at: int
    mode: str
    outcome: str
    action: str
    reason_codes: tuple[str, ...]
    body: dict[str, Any]


@value
class ApprovalRow:
    """One request for a person's word. `body` carries the breached budgets with their numbers."""

    approval_id: str
    version: int
    principal: str
    session: str
    policy_ids: tuple[str, ...]
    requested_at: int
    expires_at: int
    status: str
    decision: str
    resolved_at: int | None
    decided_by: str
    reason: str
    risk: str
    body: dict[str, Any]


@value
class GrantRow:
    """Permission to pass a limit, made by an approval."""

    grant_id: str
    version: int
    approval_id: str
    kind: str
    policy_id: str
    scope_value: str
    principal: str
    session: str
    cap: int
    metric: str
    created_at: int
    expires_at: int | None
    window_start: int | None
    state: str
    run_ids: tuple[str, ...] = ()
    granted_by: str = ""
    uses: int = 0


@value
class PolicyRow:
    """A policy made or edited by an operator; `body` holds its fields."""

    policy_id: str
    revision: int
    sha256: str
    removed: bool
    updated_at: int
    updated_by: str
    body: dict[str, Any]


@value
class AlertRow:
    """Something out of the ordinary, from its first sight to its end. `state`: open, acknowledged, snoozed, resolved.

    `version` grows with each change an operator has to know of, `revision` with every change. `holds`: whether its
    condition held when it was last looked at. `answered` is the severity somebody acknowledged or put away.
    """

    alert_id: str
    revision: int
    version: int
    kind: str
    severity: str
    state: str
    dedupe_key: str
    subject_kind: str
    subject: str
    occurrence_count: int
    first_seen: int
    last_seen: int
    holds: bool
    payload: dict[str, Any]
    notified_at: int | None = None
    snoozed_until: int | None = None
    resolved_at: int | None = None
    answered: str = ""
    acted_by: str = ""
    acted_at: int | None = None


@value
class CredentialRow:
    """What is noted of a provider's credential, by its id and fingerprint; never any of its value.

    `refused` is the class of error with which the provider turned it down for good, empty while it has not.
    """

    provider: str
    credential: str
    fingerprint: str
    cooling_until: int | None = None
    refused: str = ""
    last_used: int | None = None
    last_error: str = ""
    last_error_at: int | None = None


@value
class NoteRow:
    """A line of a run's timeline."""

    run_id: str
    at: int
    kind: str
    data: dict[str, Any]


@value
class AuditRow:
    """One link of the audit chain. `digest` = SHA-256 over the previous digest and this row's canonical JSON."""

    seq: int
    at: int
    kind: str
    subject: str
    actor: str
    payload: dict[str, Any]
    digest: str


class UsageTotals(NamedTuple):
    """Sums over a period. `unpriced` counts attempts whose price was unknown and that were not charged."""

    runs: int = 0
    ok: int = 0
    failed: int = 0
    refused: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost: int = 0
    unpriced: int = 0
    latency_ms: int = 0
    attempts: int = 0


@value
class UsageBucket:
    """One step of a timeline: [start, end), its totals, and those of each series in it.

    Where there are more series than are told apart, `total` holds the others too. Of tags, one piece of work may have
    several or none.
    """

    start: int
    end: int
    total: UsageTotals = field(default_factory=UsageTotals)
    series: dict[str, UsageTotals] = field(default_factory=dict)


@value
class UsageSlice:
    """One entry of a breakdown."""

    key: str
    totals: UsageTotals


@value
class UsagePage:
    """The dearest entries of a breakdown. `cursor` asks for the next ones and is empty on the last page."""

    entries: tuple[UsageSlice, ...]
    cursor: str


@value
class UsageRowPage:
    """Settled attempts in the order of time. `cursor` as in a UsagePage."""

    rows: tuple[UsageRow, ...]
    cursor: str


@value
class UsageSample:
    """What estimates learn from one attempt: its usage beside what was known before it was sent."""

    provider: str
    model: str
    principal: str
    at: int
    usage_source: str
    flags: tuple[str, ...]
    input_total: int
    output_total: int
    reasoning: int
    metered_output: int
    latency_ms: int
    expected_input: int
    input_bytes: int
    streaming: bool
    visible_bytes: int
    overhead: int
    overrun: int = 0
    """Nano-dollars above the bound of its hold."""
    answer_id: str = ""


@value
class ServedRow:
    """How a model did: runs completed or failed, and the completed ones' median time in ms, if any."""

    model: str
    runs: int
    failed: int
    p50_ms: int | None


@value
class RunFilter:
    """Which runs to list; an empty value asks for nothing. `text` is looked for, ignoring the case of ASCII letters,
    in ids, principal, session, models, reason and message; `terms` must hold of fields of `run_pages.FIELDS`. `since`
    and `until` are times of acceptance, half-open."""

    states: tuple[str, ...] = ()
    principal: str = ""
    session: str = ""
    job: str = ""
    model: str = ""
    text: str = ""
    since: int | None = None
    until: int | None = None
    terms: tuple[Term, ...] = ()


@value
class RunPage:
    """Runs, newest first. `cursor` asks for the older ones behind them and `newer` for those before them; empty where
    there are none."""

    runs: tuple[RunRow, ...]
    cursor: str
    newer: str = ""


@value
class SumsCheck:
    """A stretch of the check of sums: faults found in it, how much of all is done (0 to 1), where to go on."""

    differences: tuple[str, ...]
    share: float
    cursor: str
