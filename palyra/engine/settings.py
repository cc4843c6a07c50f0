"""What the rooms of an engine take from the configuration, in their own units."""

import random
from collections.abc import Iterable
from typing import Any

from palyra.config.model import LoadedConfig
from palyra.governance.alerts import AlertSettings
from palyra.governance.approvals import ApprovalSettings
from palyra.governance.candidates import OutputLimits
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.governance.policy_input import PolicyDefaults
from palyra.governance.terms import kept_terms
from palyra.providers.breaker import BreakerSettings
from palyra.providers.leases import LeaseSettings
from palyra.providers.retry import RetryRule, RetrySettings
from palyra.runs.trail import FailoverSettings


def policy_defaults(config: LoadedConfig) -> PolicyDefaults:
    """What a budget takes where it says nothing."""
    return PolicyDefaults(config.governance.timezone, config.governance.on_unknown_price)


def approval_settings(config: LoadedConfig) -> ApprovalSettings:
    """How approvals are asked for and granted; `ttl` in ms, amounts in nano-dollars."""
    approvals = config.approvals
    return ApprovalSettings(ttl_ms=approvals.ttl, four_eyes=approvals.four_eyes, max_grant_usd=approvals.max_grant_usd)


def alert_settings(config: LoadedConfig) -> AlertSettings:
    """What is out of the ordinary; times in ms, amounts in nano-dollars."""
    governance = config.governance
    return AlertSettings(
        lookback_ms=governance.alert_lookback,
        cooldown_ms=governance.alert_cooldown,
        spike_usd=governance.spike_usd,
        mix_percent=governance.model_mix_percent,
        mix_min_runs=governance.model_mix_min_runs,
    )


def breaker_settings(config: LoadedConfig) -> BreakerSettings:
    """When a provider is left alone; the breaker counts in seconds."""
    breaker = config.breaker
    return BreakerSettings(
        breaker.failures,
        breaker.ratio,
        breaker.window / 1000,
        breaker.cooldown / 1000,
        breaker.cooldown_cap / 1000,
    )


def lease_settings(config: LoadedConfig) -> LeaseSettings:
    """How many calls may be under way at once."""
    leases = config.leases
    return LeaseSettings(
        leases.provider_start,
        leases.provider_max,
        leases.credential_start,
        leases.credential_max,
        config.gateway.max_waiting,
    )


def retry_rule(config: LoadedConfig) -> RetryRule:
    """When a failed attempt is tried again, jitter included."""
    return RetryRule(RetrySettings(config.retries.max, config.retries.base_ms), random.uniform)


def failover_settings(config: LoadedConfig) -> FailoverSettings:
    """Whether another model may answer, and how many are tried."""
    return FailoverSettings(config.failover.enabled, config.failover.max_candidates)


def terms(config: LoadedConfig, policies: Iterable[UsageBudgetPolicyRecord]) -> dict[str, Any]:
    """What plans are made under, for replays."""
    limits = OutputLimits(
        config.runs.default_output_tokens, config.governance.min_output_tokens, config.governance.clamp_output
    )
    return kept_terms(policies, config.smart_routing, limits)
