"""The terms requests are planned under, as they are kept for replays: policies, routing, and what bounds an answer."""

from collections.abc import Iterable, Mapping
from typing import Any

from palyra.config.choices import RoutingMode
from palyra.config.serving import SmartRoutingRuntimeConfig
from palyra.core.values import value
from palyra.governance.candidates import OutputLimits
from palyra.governance.policy import PolicySource, UsageBudgetPolicyRecord
from palyra.governance.policy_input import parse_policy


@value
class Terms:
    """All of them, as they stand at an engine's start."""

    policies: tuple[UsageBudgetPolicyRecord, ...]
    routing: SmartRoutingRuntimeConfig
    limits: OutputLimits


@value
class TermsEdited:
    """One policy put in force, or (None) taken out."""

    policy_id: str
    policy: UsageBudgetPolicyRecord | None


def kept_terms(
    policies: Iterable[UsageBudgetPolicyRecord], routing: SmartRoutingRuntimeConfig, limits: OutputLimits
) -> dict[str, Any]:
    """What requests are governed by, as the journal keeps it for replays."""
    return {
        "policies": [_policy(policy) for policy in policies],
        "routing": {
            "default_mode": routing.default_mode.value,
            "enabled": routing.enabled,
            "auxiliary_routing_enabled": routing.auxiliary_routing_enabled,
            "explicit_models": routing.explicit_models,
            "complexity_low": routing.complexity_low,
            "complexity_high": routing.complexity_high,
        },
        "limits": [limits.default_output_tokens, limits.min_output_tokens, limits.clamp_output],
    }


def kept_edit(policy_id: str, policy: UsageBudgetPolicyRecord | None) -> dict[str, Any]:
    """`policy` None: it is removed."""
    return {"removed": policy_id} if policy is None else {"policy": _policy(policy)}


def read_terms(body: Mapping[str, Any]) -> Terms | TermsEdited:
    """What `kept_terms` or `kept_edit` made."""
    if "removed" in body:
        return TermsEdited(body["removed"], None)
    if "policy" in body:
        policy = _read(body["policy"])
        return TermsEdited(policy.policy_id, policy)
    routing = dict(body["routing"])
    routing["default_mode"] = RoutingMode(routing["default_mode"])
    output, least, clamps = body["limits"]
    return Terms(
        policies=tuple(_read(item) for item in body["policies"]),
        routing=SmartRoutingRuntimeConfig.model_construct(**routing),
        limits=OutputLimits(output, least, bool(clamps)),
    )


def _policy(policy: UsageBudgetPolicyRecord) -> list[Any]:
    return [policy.fields(), policy.source.value, policy.revision]


def _read(data: list[Any]) -> UsageBudgetPolicyRecord:
    fields, source, revision = data
    return parse_policy(fields, source=PolicySource(source), revision=revision)
