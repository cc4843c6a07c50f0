"""What each matching budget says to one request. Pure: counters and a demand in, evaluations out.

For each counter: projected = settled + held + this bound; allowance = hard + grants. Equality passes.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from palyra.config.choices import MetricKind, PolicyAction, RoutingMode, ScopeKind, UnknownPriceChoice
from palyra.core.values import value
from palyra.core.windows import Window
from palyra.governance.modes import policy_mode
from palyra.governance.policy import UsageBudgetPolicyRecord


class EvaluationStatus(StrEnum):
    """Weak to strong; the strongest of all evaluations is a request's outcome."""

    OK = "ok"
    SOFT_LIMIT = "soft_limit"
    OVERRIDE_APPLIED = "override_applied"
    PRICE_UNKNOWN = "price_unknown"
    HARD_LIMIT = "hard_limit"
    APPROVAL_REQUIRED = "approval_required"
    BLOCKED = "blocked"

    @property
    def strength(self) -> int:
        """Its rank, 0 for `ok`: of all evaluations of a request the one of the highest rank is its outcome."""
        return _STRENGTH[self]

    @property
    def refusing(self) -> bool:
        """Whether it stops the request where the policy's mode is enforced."""
        return self is EvaluationStatus.BLOCKED or self is EvaluationStatus.APPROVAL_REQUIRED


_STRENGTH = {status: rank for rank, status in enumerate(EvaluationStatus)}


class Cause(StrEnum):
    """Why a request is over: the limit itself, a price nobody knows, or a recent denial."""

    NONE = ""
    LIMIT = "limit"
    PRICE = "price"
    DENIED = "denied"


class Pricing(StrEnum):
    """How a dollar budget counts this request."""

    KNOWN = "known"
    FLAT = "flat"
    ALLOW = "allow"
    BLOCK = "block"


@value
class Demand:
    """What one attempt reserves at most. `usd` (nano-dollars) None means that nobody knows its price."""

    usd: int | None
    tokens: int
    requests: int = 1


class CounterView(NamedTuple):
    """A counter as a request finds it.

    `drawn` is what holds counted here have drawn from grants, `available` the undrawn rest of the live grants that
    serve this request. `denied`: a person refused this principal and session here a moment ago.
    """

    policy: UsageBudgetPolicyRecord
    scope_value: str
    window: Window
    settled: int
    held: int
    drawn: int = 0
    available: int = 0
    denied: bool = False


class UsageBudgetEvaluation(NamedTuple):
    """What one budget said to one request; amounts in the metric's unit, `grants` = drawn + available."""

    policy_id: str
    revision: int
    sha256: str
    scope_kind: ScopeKind
    scope_value: str
    metric_kind: MetricKind
    action: PolicyAction
    timezone: str
    window: Window
    settled: int
    held: int
    bound: int
    soft: int | None
    hard: int | None
    grants: int
    mode: RoutingMode
    status: EvaluationStatus
    cause: Cause = Cause.NONE
    pricing: Pricing = Pricing.KNOWN

    @property
    def projected(self) -> int:
        """What would be used with this request: settled + held + its bound, in the policy's metric."""
        return self.settled + self.held + self.bound

    @property
    def refused(self) -> bool:
        """Whether this budget stops the request."""
        return self.status.refusing and self.mode is RoutingMode.ENFORCED

    @property
    def would_refuse(self) -> bool:
        """Whether it would stop the request, were its mode enforced."""
        return self.status.refusing and self.mode is not RoutingMode.ENFORCED

    @property
    def over_soft(self) -> bool:
        """Whether `projected` is above the soft limit; equality is not."""
        return self.soft is not None and self.projected > self.soft

    @property
    def excess(self) -> int:
        """How far the request goes beyond the limit and the grants that serve it."""
        return 0 if self.hard is None else max(0, self.projected - self.hard - self.grants)

    def to_json(self) -> dict[str, Any]:
        """As the journal keeps it within a decision."""
        # `value` of an enum is looked up through Python code, too slow for what every request does so often.
        return {
            "policy_id": self.policy_id,
            "revision": self.revision,
            "sha256": self.sha256,
            "scope_kind": self.scope_kind._value_,
            "scope_value": self.scope_value,
            "metric_kind": self.metric_kind._value_,
            "action": self.action._value_,
            "timezone": self.timezone,
            "window_start": self.window.start,
            "window_end": self.window.end,
            "settled": self.settled,
            "held": self.held,
            "bound": self.bound,
            "projected": self.projected,
            "soft": self.soft,
            "hard": self.hard,
            "grants": self.grants,
            "mode": self.mode._value_,
            "status": self.status._value_,
            "cause": self.cause._value_,
            "pricing": self.pricing._value_,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "UsageBudgetEvaluation":
        """Reads what `to_json` made."""
        return cls(
            policy_id=data["policy_id"],
            revision=data["revision"],
            sha256=data["sha256"],
            scope_kind=ScopeKind(data["scope_kind"]),
            scope_value=data["scope_value"],
            metric_kind=MetricKind(data["metric_kind"]),
            action=PolicyAction(data["action"]),
            timezone=data["timezone"],
            window=Window(data["window_start"], data["window_end"]),
            settled=data["settled"],
            held=data["held"],
            bound=data["bound"],
            soft=data["soft"],
            hard=data["hard"],
            grants=data["grants"],
            mode=RoutingMode(data["mode"]),
            status=EvaluationStatus(data["status"]),
            cause=Cause(data["cause"]),
            pricing=Pricing(data["pricing"]),
        )


def evaluate_budget_policies(
    counters: Sequence[CounterView],
    demand: Demand,
    *,
    default_mode: RoutingMode = RoutingMode.ENFORCED,
    requested_mode: RoutingMode | None = None,
) -> tuple[UsageBudgetEvaluation, ...]:
    """One evaluation for each counter, in the order given. `requested_mode` can only raise a policy's mode."""
    return tuple(_evaluate(counter, demand, default_mode, requested_mode) for counter in counters)


def _evaluate(
    counter: CounterView, demand: Demand, default_mode: RoutingMode, requested_mode: RoutingMode | None
) -> UsageBudgetEvaluation:
    policy = counter.policy
    bound, pricing = demanded(policy, demand)
    projected = counter.settled + counter.held + bound
    over_soft = policy.soft is not None and projected > policy.soft
    status, cause = _status(counter, projected, over_soft, pricing)
    # By position, in the order of the fields: every request is given one of each budget.
    return UsageBudgetEvaluation(
        policy.policy_id,
        policy.revision,
        policy.sha256,
        policy.scope_kind,
        counter.scope_value,
        policy.metric_kind,
        policy.action,
        policy.timezone,
        counter.window,
        counter.settled,
        counter.held,
        bound,
        policy.soft,
        policy.hard_limit,
        counter.drawn + counter.available,
        policy_mode(policy, over_soft, default_mode, requested_mode),
        status,
        cause,
        pricing,
    )


def demanded(policy: UsageBudgetPolicyRecord, demand: Demand) -> tuple[int, Pricing]:
    """What an attempt reserves in one policy's unit. An unknown price is worth what the policy says, never $0 known."""
    if policy.metric_kind is MetricKind.TOTAL_TOKENS:
        return demand.tokens, Pricing.KNOWN
    if policy.metric_kind is MetricKind.REQUESTS:
        return demand.requests, Pricing.KNOWN
    if demand.usd is not None:
        return demand.usd, Pricing.KNOWN
    rule = policy.on_unknown_price
    if rule.choice is UnknownPriceChoice.FLAT:
        return rule.flat, Pricing.FLAT
    return 0, Pricing.ALLOW if rule.choice is UnknownPriceChoice.ALLOW else Pricing.BLOCK


def _status(counter: CounterView, projected: int, over_soft: bool, pricing: Pricing) -> tuple[EvaluationStatus, Cause]:
    policy = counter.policy
    advises = policy.action is PolicyAction.ADVISE
    if pricing is Pricing.BLOCK and not advises:
        return EvaluationStatus.BLOCKED, Cause.PRICE
    hard = policy.hard_limit
    if hard is not None and projected > hard + counter.drawn + counter.available:
        if advises:
            return EvaluationStatus.HARD_LIMIT, Cause.LIMIT
        if policy.action is PolicyAction.BLOCK:
            return EvaluationStatus.BLOCKED, Cause.LIMIT
        if counter.denied:
            return EvaluationStatus.BLOCKED, Cause.DENIED
        return EvaluationStatus.APPROVAL_REQUIRED, Cause.LIMIT
    if pricing in (Pricing.ALLOW, Pricing.BLOCK):
        return EvaluationStatus.PRICE_UNKNOWN, Cause.PRICE
    if hard is not None and projected > hard:
        return EvaluationStatus.OVERRIDE_APPLIED, Cause.NONE
    return (EvaluationStatus.SOFT_LIMIT if over_soft else EvaluationStatus.OK), Cause.NONE


def strongest(evaluations: Iterable[UsageBudgetEvaluation]) -> EvaluationStatus:
    """The outcome of all evaluations; ok when no budget matched."""
    return max((item.status for item in evaluations), key=lambda status: status.strength, default=EvaluationStatus.OK)
