"""The decision record: what was asked, what was chosen, what every budget said, and what would have passed."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from palyra.config.choices import RoutingMode
from palyra.core.values import value
from palyra.governance.evaluate import EvaluationStatus, UsageBudgetEvaluation
from palyra.journal.rows import DecisionRow


class ReasonCode(StrEnum):
    """The closed list of why a decision is what it is."""

    BUDGET_OK = "budget_ok"
    BUDGET_SOFT_LIMIT = "budget_soft_limit"
    BUDGET_HARD_LIMIT = "budget_hard_limit"
    BUDGET_BLOCKED = "budget_blocked"
    BUDGET_APPROVAL_REQUIRED = "budget_approval_required"
    BUDGET_DENIED = "budget_denied"
    BUDGET_OVERRIDE_APPLIED = "budget_override_applied"
    WOULD_BLOCK = "would_block"
    WOULD_REQUIRE_APPROVAL = "would_require_approval"
    OUTPUT_CLAMPED = "output_clamped"
    STREAM_CUT_BUDGET = "stream_cut_budget"
    PRICE_UNKNOWN_BLOCKED = "price_unknown_blocked"
    PRICE_UNKNOWN_FLAT = "price_unknown_flat"
    PRICE_UNKNOWN_ALLOWED = "price_unknown_allowed"
    DEFAULT_MODEL = "default_model"
    EXPLICIT_MODEL = "explicit_model"
    COMPLEXITY_LOW = "complexity_low"
    COMPLEXITY_MID = "complexity_mid"
    COMPLEXITY_HIGH = "complexity_high"
    BUDGET_ALLOWED_PREMIUM_MODEL = "budget_allowed_premium_model"
    BUDGET_WITHHELD_PREMIUM_MODEL = "budget_withheld_premium_model"
    CHEAPEST_CAPABLE = "cheapest_capable"
    FASTEST_CAPABLE = "fastest_capable"
    AUXILIARY_COST_CAP = "auxiliary_cost_cap"
    POLICY_DEGRADE = "policy_degrade"
    POLICY_MODEL = "policy_model"
    POLICY_MODEL_INCAPABLE = "policy_model_incapable"
    SMART_ROUTING_DISABLED = "smart_routing_disabled"
    MODE_SUGGEST = "mode_suggest"
    MODE_DRY_RUN = "mode_dry_run"
    MODE_RAISED = "mode_raised"
    MODE_REFUSED = "mode_refused"
    CAPABILITY_MISSING = "capability_missing"
    CONTEXT_TOO_LONG = "context_too_long"
    NOT_ALLOWED_FOR_KEY = "not_allowed_for_key"
    UNHEALTHY = "unhealthy"
    BREAKER_OPEN = "breaker_open"
    CREDENTIAL_COOLING = "credential_cooling"
    NO_CANDIDATE = "no_candidate"
    FAILOVER_TO_SECONDARY = "failover_to_secondary"
    RETRY_ATTEMPT = "retry_attempt"
    LEASE_DEFERRED = "lease_deferred"
    CACHE_HIT = "cache_hit"
    HOLD_RECOVERED = "hold_recovered"
    ENGINE_DRAINING = "engine_draining"
    JOURNAL_UNAVAILABLE = "journal_unavailable"


class RoutingAction(StrEnum):
    """What a decision does with the request."""

    PROCEED = "proceed"
    DEGRADE = "degrade"
    UPGRADE = "upgrade"
    FAILOVER = "failover"
    DEFER = "defer"
    BLOCKED = "blocked"
    APPROVAL_REQUIRED = "approval_required"


@value
class CandidateReport:
    """A model that was looked at. `reasons` are empty for one that could serve; amounts None: price unknown."""

    model: str
    provider: str
    reasons: tuple[str, ...] = ()
    expected_usd: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As the journal keeps it within a decision."""
        return {
            "model": self.model,
            "provider": self.provider,
            "reasons": list(self.reasons),
            "expected_nano_usd": self.expected_usd,
        }


@value
class Counterfactual:
    """Something that would have passed. `kind`: max_tokens, model, time, grant.

    `value` is the number of tokens, the model's id, or the instant (unix ms); `amount` what a grant would need, in
    `policy_id`'s unit. `text` says it to a person.
    """

    kind: str
    text: str
    value: int | str | None = None
    policy_id: str = ""
    amount: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As the journal keeps it within a decision."""
        return {
            "kind": self.kind,
            "text": self.text,
            "value": self.value,
            "policy_id": self.policy_id,
            "amount": self.amount,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Counterfactual":
        """Reads what `to_json` made."""
        return cls(data["kind"], data["text"], data["value"], data["policy_id"], data["amount"])


@value
class RoutingDecision:
    """One plan, whole. `estimate` is the chosen model's PricingEstimate as JSON; `max_tokens` the ceiling sent upstream
    where it is not the caller's; `would_block` the budgets that would refuse were their mode enforced."""

    decision_id: str
    run_id: str
    at: int
    mode: RoutingMode
    task_class: str
    complexity: float
    requested_model: str
    default_model: str
    recommended_model: str
    actual_model: str
    candidates: tuple[CandidateReport, ...]
    estimate: Mapping[str, Any]
    evaluations: tuple[UsageBudgetEvaluation, ...]
    outcome: EvaluationStatus
    action: RoutingAction
    reason_codes: tuple[str, ...]
    max_tokens: int | None = None
    would_block: tuple[str, ...] = ()
    counterfactual: tuple[Counterfactual, ...] = field(default=())

    @property
    def blocked(self) -> bool:
        """Whether the request is refused."""
        return self.action is RoutingAction.BLOCKED

    @property
    def approval_required(self) -> bool:
        """Whether somebody has to let the request through."""
        return self.action is RoutingAction.APPROVAL_REQUIRED

    def to_json(self) -> dict[str, Any]:
        """As the journal keeps it; amounts in nano-dollars."""
        # As for evaluations, `_value_`: every request comes here.
        return {
            "decision_id": self.decision_id,
            "run_id": self.run_id,
            "at": self.at,
            "mode": self.mode._value_,
            "task_class": self.task_class,
            "complexity": self.complexity,
            "requested_model": self.requested_model,
            "default_model": self.default_model,
            "recommended_model": self.recommended_model,
            "actual_model": self.actual_model,
            "candidates": [candidate.to_json() for candidate in self.candidates],
            "estimate": dict(self.estimate),
            "evaluations": [evaluation.to_json() for evaluation in self.evaluations],
            "outcome": self.outcome._value_,
            "blocked": self.blocked,
            "approval_required": self.approval_required,
            "would_block": list(self.would_block),
            "action": self.action._value_,
            "reason_codes": list(self.reason_codes),
            "max_tokens": self.max_tokens,
            "counterfactual": [item.to_json() for item in self.counterfactual],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "RoutingDecision":
        """Reads what `to_json` made."""
        return cls(
            decision_id=data["decision_id"],
            run_id=data["run_id"],
            at=data["at"],
            mode=RoutingMode(data["mode"]),
            task_class=data["task_class"],
            complexity=data["complexity"],
            requested_model=data["requested_model"],
            default_model=data["default_model"],
            recommended_model=data["recommended_model"],
            actual_model=data["actual_model"],
            candidates=tuple(
                CandidateReport(item["model"], item["provider"], tuple(item["reasons"]), item["expected_nano_usd"])
                for item in data["candidates"]
            ),
            estimate=data["estimate"],
            evaluations=tuple(UsageBudgetEvaluation.from_json(item) for item in data["evaluations"]),
            outcome=EvaluationStatus(data["outcome"]),
            action=RoutingAction(data["action"]),
            reason_codes=tuple(data["reason_codes"]),
            max_tokens=data["max_tokens"],
            would_block=tuple(data["would_block"]),
            counterfactual=tuple(Counterfactual.from_json(item) for item in data["counterfactual"]),
        )

    def row(self) -> DecisionRow:
        """The row that the journal keeps of it."""
        return DecisionRow(
            decision_id=self.decision_id,
            run_id=self.run_id,
            at=self.at,
            mode=self.mode._value_,
            outcome=self.outcome._value_,
            action=self.action._value_,
            reason_codes=self.reason_codes,
            body=self.to_json(),
        )
