"""Ledgers that plans are made on."""

from typing import Any

from palyra.config.choices import RoutingMode
from palyra.core.money import decimal_usd
from palyra.governance.candidates import Plan
from palyra.governance.ledger import Ledger
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.governance.policy_set import PolicySet
from tests.core.test_windows import at as instant
from tests.governance.policies import policy, scope
from tests.governance.store import request, taken

NOON = instant("2026-11-22T12:00")
MIDNIGHT = instant("2026-11-23T00:00")
CENT = 10_000_000
"""What 1,000 output tokens of the default model cost."""


def usd(nano: int) -> str:
    return decimal_usd(nano)


def ledger(*policies: UsageBudgetPolicyRecord, spent: int = 0, mode: RoutingMode = RoutingMode.ENFORCED) -> Ledger:
    made = Ledger(PolicySet(policies), default_mode=mode)
    if spent:
        made.judge.default_mode = RoutingMode.SUGGEST
        taken(made.hold(request("spent", NOON, spent, 1, scope=scope("somebody"))))
        made.settle("spent", at=NOON, usd=spent, tokens=1)
        made.judge.default_mode = mode
    return made


def codes(made: Plan) -> set[str]:
    return set(made.decision.reason_codes)


def tight(**fields: Any) -> UsageBudgetPolicyRecord:
    """A budget that has room for three cents, soft from two on."""
    return policy(hard=usd(3 * CENT), soft_limit=usd(2 * CENT), **fields)
