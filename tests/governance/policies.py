"""Policies and scopes for tests, said in as few words as a test needs."""

from collections.abc import Mapping

from palyra.core.scope import Scope
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.governance.policy_input import parse_policy

DOLLAR = 1_000_000_000
CENT = DOLLAR // 100


def policy(
    policy_id: str = "day", hard: object = "1.00", *, revision: int = 1, **fields: object
) -> UsageBudgetPolicyRecord:
    """A blocking daily dollar budget over everything, unless told otherwise."""
    given = {"policy_id": policy_id, "hard_limit": hard, "interval_kind": "daily", **fields}
    return parse_policy({name: str(value) for name, value in given.items()}, revision=revision)


def scope(principal: str = "ann", session: str = "main", tags: Mapping[str, str] | None = None, **values: str) -> Scope:
    return Scope(principal=principal, session=session, tags=tags or {}, **values)
