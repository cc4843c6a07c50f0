"""Rules between keys. Each finds what is wrong by itself, so that all of it is known in one pass."""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

from palyra.config.findings import Findings
from palyra.config.problem import Code
from palyra.config.rules_money import check_budgets, check_pricing
from palyra.config.rules_upstream import check_defaults, check_models, check_providers
from palyra.config.rules_work import check_jobs, check_memory, check_probes, check_webhooks
from palyra.config.urls import is_loopback_bind


class Order(NamedTuple):
    """Two keys of one table whose values must keep an order; `unit` brings the first to the second's unit."""

    table: str
    first: str
    holds: Callable[[Any, Any], bool]
    second: str
    says: str
    unit: int = 1


ORDERS = (
    Order("journal", "disk_low", operator.gt, "disk_stop", "must be above"),
    Order("smart_routing", "complexity_low", operator.lt, "complexity_high", "must be below"),
    Order("approvals", "park_seconds", operator.le, "ttl", "must not be longer than", unit=1000),
    Order("breaker", "cooldown_cap", operator.ge, "cooldown", "must not be shorter than"),
    Order("leases", "provider_start", operator.le, "provider_max", "must not be above"),
    Order("leases", "credential_start", operator.le, "credential_max", "must not be above"),
)


def check_rules(found: Findings) -> None:
    """Adds everything the rules find."""
    _check_orders(found)
    _check_listening(found)
    for check in (
        check_budgets,
        check_pricing,
        check_providers,
        check_models,
        check_defaults,
        check_jobs,
        check_memory,
        check_webhooks,
        check_probes,
    ):
        check(found)


def _check_orders(found: Findings) -> None:
    for order in ORDERS:
        section = getattr(found.config, order.table)
        first, second = (order.table, order.first), (order.table, order.second)
        values = getattr(section, order.first) * order.unit, getattr(section, order.second)
        if found.sound(first, second) and not order.holds(*values):
            at = first if found.is_set(first) else second
            message = f"{order.first} {order.says} {order.second}"
            found.add(Code.CONFLICT, at, message, "Change one of the two")


def _check_listening(found: Findings) -> None:
    gateway = found.config.gateway
    cert, key, bind = ("gateway", "tls_cert"), ("gateway", "tls_key"), ("gateway", "bind")
    if not found.sound(cert, key):
        return
    if (gateway.tls_cert is None) != (gateway.tls_key is None):
        given, absent = ("tls_key", cert) if gateway.tls_cert is None else ("tls_cert", key)
        found.add(Code.MISSING, absent, f"{given} is set without it", "Set both or neither")
        return
    encrypted = gateway.tls_cert is not None
    if encrypted or gateway.allow_remote or not found.sound(bind, ("gateway", "allow_remote")):
        return
    if not is_loopback_bind(gateway.bind):
        found.add(
            Code.INSECURE_BIND,
            bind,
            f"{gateway.bind} can be reached from other machines, and keys and prompts would travel in the clear",
            "Set tls_cert and tls_key, or allow_remote = true where something else protects the way",
        )
