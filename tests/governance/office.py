"""A desk with its ledger and grants, and those who ask and decide at it."""

import itertools
from typing import Any

from palyra.core.scope import Scope
from palyra.governance.approval_record import ApprovalDecision, ApprovalRecord
from palyra.governance.approvals import (
    ApprovalDesk,
    ApprovalSettings,
    Opened,
    Petition,
    Resolved,
    Ruling,
)
from palyra.governance.evaluate import Demand
from palyra.governance.four_eyes import Decider
from palyra.governance.grants import GrantBook, GrantKind
from palyra.governance.ledger import Ledger
from palyra.governance.overrides import OverrideRequest, Requester, request_usage_budget_override
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.governance.policy_set import PolicySet
from palyra.journal.rows import HoldRow
from tests.core.test_windows import at as instant
from tests.governance.policies import CENT, policy, scope
from tests.governance.store import request

NOON = instant("2026-11-22T12:00")
TTL = 900_000
OLGA = Decider("olga")
ALLOW = Ruling(ApprovalDecision.ALLOW, OLGA)
DENY = Ruling(ApprovalDecision.DENY, OLGA, reason="too dear")


class Office:
    """A ledger that asks for approval from $1 on, and the desk beside it."""

    def __init__(self, *policies: UsageBudgetPolicyRecord, **settings: Any) -> None:
        self.policies = PolicySet(policies or [policy(action="approval_required")])
        self.grants = GrantBook()
        self.ledger = Ledger(self.policies, grants=self.grants)
        self.ids = itertools.count(1)
        self.desk = ApprovalDesk(lambda: f"id{next(self.ids)}", self.grants, ApprovalSettings(**settings))
        self.holds = itertools.count(1)

    def ask(
        self, usd: int = 120 * CENT, principal: str = "ann", session: str = "main", run_id: str = "r1", at: int = NOON
    ) -> ApprovalRecord:
        evaluations = self.ledger.evaluate(
            scope(principal, session), "openai", "openai/gpt", Demand(usd, 0), at=at, run_id=run_id
        )
        breached = tuple(item for item in evaluations if item.refused)
        assert breached
        opened = self.desk.open(Petition(principal, session, run_id, breached), at)
        assert opened is not None
        return opened.record

    def decide(self, record: ApprovalRecord, ruling: Ruling = ALLOW, at: int = NOON, **kwargs: Any) -> Resolved:
        return self.desk.decide(record.approval_id, ruling, at, policies=self.policies, **kwargs)

    def hold(
        self, usd: int = 120 * CENT, principal: str = "ann", session: str = "main", run_id: str = "r1", at: int = NOON
    ) -> Any:
        number = next(self.holds)
        return self.ledger.hold(request(f"h{number}", at, usd, scope=scope(principal, session), run_id=run_id))

    def admitted(self, **asked: Any) -> bool:
        return isinstance(self.hold(**asked), HoldRow)

    def room(
        self,
        *policy_ids: str,
        by: Decider = OLGA,
        key: Scope | None = None,
        at: int = NOON,
        principal: str = "ann",
        session: str = "",
        amount: str = "",
        reason: str = "a long thesis",
    ) -> Opened:
        """Asks for room in words; with `key`, as a gateway key whose requests carry that scope."""
        asked = OverrideRequest(policy_ids or ("day",), principal, session, amount, reason)
        requester = Requester(by, key or Scope(principal, session), bound=key is not None)
        return request_usage_budget_override(self.desk, self.ledger, asked, requester, at)


def allow(scope: GrantKind, **terms: Any) -> Ruling:
    return Ruling(ApprovalDecision.ALLOW, OLGA, scope, **terms)
