"""A budget policy: whose use it counts, over which window, how much is allowed, and what happens beyond."""

import hashlib
import json
from dataclasses import field
from enum import StrEnum

from palyra.config.choices import (
    MetricKind,
    OverrideKind,
    Percent,
    PolicyAction,
    RoutingOverride,
    ScopeKind,
    UnknownPrice,
)
from palyra.core.money import decimal_usd
from palyra.core.values import value
from palyra.core.windows import Interval

ANY = "*"
"""As a scope id: one counter for each distinct value."""


def plain_amount(amount: int, metric: MetricKind) -> str:
    """An amount as it is typed, and told to programs: `5.00` dollars, or a whole number of tokens or requests."""
    return decimal_usd(amount) if metric is MetricKind.ESTIMATED_COST_USD else str(amount)


class PolicySource(StrEnum):
    """`CONFIG` policies are edited in the configuration file and read-only at run time."""

    CONFIG = "config"
    OPERATOR = "operator"


@value
class UsageBudgetPolicyRecord:
    """One budget. Limits are in the metric's unit: nano-dollars, tokens or requests; equality with one passes.

    `hard_limit` None limits nothing and only warns at an absolute `soft_limit`. `sha256` is the hash of the canonical
    record, which leaves out what decides nothing (name, source, revision); approvals cite it.
    """

    policy_id: str
    hard_limit: int | None
    soft_limit: int | Percent
    name: str
    enabled: bool
    scope_kind: ScopeKind
    scope_id: str
    metric_kind: MetricKind
    interval_kind: Interval
    timezone: str
    action: PolicyAction
    routing_override: RoutingOverride
    on_unknown_price: UnknownPrice
    source: PolicySource = PolicySource.OPERATOR
    revision: int = 1
    soft: int | None = field(init=False, compare=False)
    sha256: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        share = self.soft_limit
        if not isinstance(share, Percent):
            object.__setattr__(self, "soft", share)
        else:
            object.__setattr__(self, "soft", None if self.hard_limit is None else share.of(self.hard_limit))
        canonical = json.dumps(self.canonical(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        object.__setattr__(self, "sha256", hashlib.sha256(canonical.encode()).hexdigest())

    def canonical(self) -> dict[str, str]:
        """What the hash is taken over: every field that decides something, as text."""
        return {key: value for key, value in self.fields().items() if key != "name"}

    def fields(self) -> dict[str, str]:
        """The fields as an operator types them; `parse_policy` reads them back to an equal record."""
        return {
            "policy_id": self.policy_id,
            "name": self.name,
            "enabled": "true" if self.enabled else "false",
            "scope_kind": self.scope_kind.value,
            "scope_id": self.scope_id,
            "metric_kind": self.metric_kind.value,
            "interval_kind": self.interval_kind.value,
            "timezone": self.timezone,
            "hard_limit": "none" if self.hard_limit is None else self.amount_text(self.hard_limit),
            "soft_limit": (
                str(self.soft_limit) if isinstance(self.soft_limit, Percent) else self.amount_text(self.soft_limit)
            ),
            "action": self.action.value,
            "routing_override": str(self.routing_override),
            "on_unknown_price": str(self.on_unknown_price),
        }

    def amount_text(self, amount: int) -> str:
        """An amount of this policy's metric, as it is typed."""
        return plain_amount(amount, self.metric_kind)

    def counts_like(self, other: "UsageBudgetPolicyRecord") -> bool:
        """Whether both count the same use in the same windows: if so, an edit leaves consumption as it stands."""
        return self.counting == other.counting

    @property
    def reroutes(self) -> bool:
        """Whether it asks for another model while over its soft limit."""
        return self.routing_override.kind in (OverrideKind.DEGRADE, OverrideKind.MODEL)

    @property
    def counting(self) -> tuple[object, ...]:
        """What decides how it counts; those of one id that count alike share their counters."""
        return (
            self.policy_id,
            self.enabled,
            self.scope_kind,
            self.scope_id,
            self.metric_kind,
            self.interval_kind,
            self.timezone,
            self.on_unknown_price,
        )
