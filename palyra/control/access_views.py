"""The access registry as consoles see it."""

from palyra.control.access_queries import AccessAnswer, KeyRow, OperatorRow
from palyra.vault.access import AccessRegistry
from palyra.vault.records import GatewayKey, Operator
from palyra.vault.registry_shape import FLAGS


def access_answer(registry: AccessRegistry, now_ms: int) -> AccessAnswer:
    """Operators, keys and flags of a registry, without any secret; `now_ms` tells which keys have ended."""
    return AccessAnswer(
        operators=tuple(_operator(one) for one in registry.operators),
        keys=tuple(_key(one, now_ms) for one in registry.keys.values()),
        flags={name: registry.flag(name) for name in FLAGS},
        unavailable=registry.unavailable,
        faults=registry.faults,
    )


def _operator(one: Operator) -> OperatorRow:
    has_token = one.digest is not None
    return OperatorRow(
        one.operator_id, one.name, one.role.value, one.enabled, one.identities, has_token, one.created_at
    )


def _key(one: GatewayKey, now_ms: int) -> KeyRow:
    return KeyRow(
        key_id=one.key_id,
        name=one.name,
        principal=one.principal,
        state=key_state(one, now_ms),
        channel=one.channel,
        agent=one.agent,
        tags=tuple(f"{name}={text}" for name, text in one.tags.items()),
        allowed_models=one.allowed_models,
        may_act_for=one.may_act_for,
        may_set_mode=one.may_set_mode,
        created_at=one.created_at,
        expires_at=one.expires_at,
        revoked_at=one.revoked_at,
    )


def key_state(one: GatewayKey, now_ms: int) -> str:
    """Whether a key opens the gateway at `now_ms`, or why not."""
    if one.revoked_at is not None:
        return "revoked"
    if not one.enabled:
        return "disabled"
    return "active" if one.opens_at(now_ms) else "expired"
