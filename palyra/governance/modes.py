"""Routing modes in order of strictness, and what governs them."""

from palyra.config.choices import OverrideKind, RoutingMode
from palyra.governance.policy import UsageBudgetPolicyRecord

_STRICTNESS = {mode: rank for rank, mode in enumerate(RoutingMode)}


def strictest(*modes: RoutingMode | None) -> RoutingMode:
    """The strictest of the modes given; None is no mode. With none at all, enforced."""
    given = [mode for mode in modes if mode is not None]
    return max(given, key=_STRICTNESS.__getitem__) if given else RoutingMode.ENFORCED


def stricter(mode: RoutingMode, than: RoutingMode) -> bool:
    """Whether a mode refuses what the other lets through."""
    return _STRICTNESS[mode] > _STRICTNESS[than]


def policy_mode(
    policy: UsageBudgetPolicyRecord, over_soft: bool, default: RoutingMode, requested: RoutingMode | None = None
) -> RoutingMode:
    """A policy's mode: its own override while over soft, else the default; a request may only raise it."""
    override = policy.routing_override
    own = override.mode if over_soft and override.kind is OverrideKind.MODE and override.mode else default
    return own if requested is None else strictest(own, requested)
