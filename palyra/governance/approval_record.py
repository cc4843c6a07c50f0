"""One request for a person's word, as it is shown, decided and kept."""

from collections.abc import Iterable, Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from palyra.core.values import value
from palyra.governance.evaluate import UsageBudgetEvaluation
from palyra.journal.rows import ApprovalRow

Question = tuple[str, str, frozenset[tuple[str, str]]]
"""Who asks in which session, over which counters: equal ones are asked once."""


class ApprovalStatus(StrEnum):
    """Whether somebody still has to decide."""

    PENDING = "pending"
    RESOLVED = "resolved"


class ApprovalDecision(StrEnum):
    """`TIMEOUT`: nobody answered in time; `ERROR`: what was shown is void, since a policy was edited meanwhile or an
    incident ended."""

    ALLOW = "allow"
    DENY = "deny"
    TIMEOUT = "timeout"
    ERROR = "error"


@value
class Applicant:
    """Somebody who asked for room in words, beside any request that was refused.

    `name` is an operator, or `key:<key_id>` for a gateway key; `account` theirs on this machine, empty for a key;
    `attestation` says how we know (uid, ssh_key, owner, claimed, key).
    """

    name: str
    account: str = ""
    attestation: str = ""
    reason: str = ""

    def to_json(self) -> dict[str, str]:
        """As the journal keeps it among the facts of an approval."""
        return {"by": self.name, "account": self.account, "attestation": self.attestation, "reason": self.reason}

    @classmethod
    def from_json(cls, data: Mapping[str, str]) -> "Applicant":
        """Reads what `to_json` made."""
        return cls(data["by"], data["account"], data["attestation"], data["reason"])


@value
class ApprovalRecord:
    """One request for a person's word, over every budget it would breach. `version` grows with every decision."""

    approval_id: str
    version: int
    principal: str
    session: str
    run_ids: tuple[str, ...]
    evaluations: tuple[UsageBudgetEvaluation, ...]
    requested_at: int
    expires_at: int
    risk: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    status: ApprovalStatus = ApprovalStatus.PENDING
    decision: ApprovalDecision | None = None
    resolved_at: int | None = None
    decided_by: str = ""
    reason: str = ""
    grant_ids: tuple[str, ...] = ()

    @property
    def policy_ids(self) -> tuple[str, ...]:
        """The budgets that the request would go over."""
        return tuple(evaluation.policy_id for evaluation in self.evaluations)

    @property
    def applicants(self) -> tuple[Applicant, ...]:
        """Who asked for it in words, first one first; empty when only refused requests stand behind it."""
        return tuple(Applicant.from_json(item) for item in self.facts.get("applicants") or ())

    @property
    def subject(self) -> str:
        """What it is about where that is no budget: `remedy:<incident>:<remedy>`; empty otherwise."""
        return str(self.facts.get("subject") or "")

    @property
    def wanted(self) -> int | None:
        """How much room was asked for in words, in the budgets' unit; None when no amount was named."""
        amount = self.facts.get("wanted")
        return amount if isinstance(amount, int) else None

    def excess(self, item: UsageBudgetEvaluation) -> int:
        """What one budget lacks for what is asked: how far the request goes beyond it, or the room asked for."""
        return item.excess + (self.wanted or 0)

    @property
    def question(self) -> Question:
        """What is asked: equal questions share one approval."""
        return question(self.principal, self.session, self.evaluations)

    @property
    def pending(self) -> bool:
        """Whether somebody still has to decide."""
        return self.status is ApprovalStatus.PENDING

    @property
    def leading(self) -> UsageBudgetEvaluation:
        """The budget that is exceeded by the largest share. Raises ValueError where no budget is asked about."""
        return max(self.evaluations, key=lambda item: excess_percent([item], self.wanted or 0))

    def state(self) -> str:
        """In words, for an answer to somebody who came too late."""
        if self.pending:
            return "pending"
        by = f" by {self.decided_by}" if self.decided_by else ""
        return f"resolved/{self.decision}{by}"

    def row(self) -> ApprovalRow:
        """The row that the journal keeps of it."""
        return ApprovalRow(
            approval_id=self.approval_id,
            version=self.version,
            principal=self.principal,
            session=self.session,
            policy_ids=self.policy_ids,
            requested_at=self.requested_at,
            expires_at=self.expires_at,
            status=self.status.value,
            decision="" if self.decision is None else self.decision.value,
            resolved_at=self.resolved_at,
            decided_by=self.decided_by,
            reason=self.reason,
            risk=self.risk,
            body={
                "run_ids": list(self.run_ids),
                "grant_ids": list(self.grant_ids),
                "evaluations": [evaluation.to_json() for evaluation in self.evaluations],
                "facts": dict(self.facts),
            },
        )

    @classmethod
    def from_row(cls, row: ApprovalRow) -> "ApprovalRecord":
        """The record a row holds, as `row` made it."""
        return cls(
            approval_id=row.approval_id,
            version=row.version,
            principal=row.principal,
            session=row.session,
            run_ids=tuple(row.body["run_ids"]),
            evaluations=tuple(UsageBudgetEvaluation.from_json(item) for item in row.body["evaluations"]),
            requested_at=row.requested_at,
            expires_at=row.expires_at,
            risk=row.risk,
            facts=row.body["facts"],
            status=ApprovalStatus(row.status),
            decision=ApprovalDecision(row.decision) if row.decision else None,
            resolved_at=row.resolved_at,
            decided_by=row.decided_by,
            reason=row.reason,
            grant_ids=tuple(row.body["grant_ids"]),
        )


def excess_percent(evaluations: Iterable[UsageBudgetEvaluation], wanted: int = 0) -> float:
    """How far beyond its limit the worst of these budgets would stand, as a percentage of that limit.

    `wanted` is room asked for in words, in the budgets' unit.
    """
    return max((100 * (item.excess + wanted) / item.hard if item.hard else 100.0 for item in evaluations), default=0.0)


def risk_of(evaluations: Iterable[UsageBudgetEvaluation], wanted: int = 0) -> str:
    """low up to 10 % over, medium up to 50 %, high up to 100 %, critical beyond (a limit of 0 always is)."""
    items = list(evaluations)
    if any(item.hard == 0 for item in items):
        return "critical"
    percent = excess_percent(items, wanted)
    for most, name in ((10, "low"), (50, "medium"), (100, "high")):
        if percent <= most:
            return name
    return "critical"


def question(principal: str, session: str, evaluations: Iterable[UsageBudgetEvaluation]) -> Question:
    """Who asks, in which session, over which budgets of whom: what makes two requests the same question."""
    return principal, session, frozenset((item.policy_id, item.scope_value) for item in evaluations)
