"""Approvals: a refused request asks for a person's word; the first word counts, and an allowed one becomes grants.

Synchronous like the ledger: every act returns the changes that make it durable, to be submitted in the same step.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from palyra.core.errors import BadInputError, ConflictError, NotFoundError, PalyraError
from palyra.core.money import Usd
from palyra.governance.evaluate import UsageBudgetEvaluation
from palyra.governance.granting import Beneficiary, GrantTerms, check_terms, make_grant
from palyra.governance.grants import GrantBook, GrantKind, GrantState
from palyra.governance.policy_set import PolicySet
from palyra.journal.changes import ApprovalSaved, AuditAdded, Change
from palyra.journal.rows import ApprovalRow, GrantRow

DENIED_FOR_MS = 60_000
"""How long a denial answers the same principal, session and policies without asking again."""

REASON_MOST = 500
POLICY_EDITED = "policy_edited"
RUNS_SHOWN = 50
RESOLVED_KEPT = 200


class ApprovalStatus(StrEnum):
    PENDING = "pending"
    RESOLVED = "resolved"


class ApprovalDecision(StrEnum):
    """`TIMEOUT`: nobody answered in time; `ERROR`: a policy was edited meanwhile, so the numbers shown are void."""

    ALLOW = "allow"
    DENY = "deny"
    TIMEOUT = "timeout"
    ERROR = "error"


class FourEyesError(PalyraError):
    """The decider may not decide on a request of their own, or did not prove who they are."""

    code = "four_eyes"


@dataclass(frozen=True, slots=True)
class Decider:
    """Who decides. `attestation`: uid, ssh_key, owner, token, or claimed (a name nobody proved)."""

    name: str
    attestation: str = "uid"


@dataclass(frozen=True, slots=True)
class ApprovalSettings:
    """`ttl_ms`: how long a record stays pending. `max_grant_usd`: the largest amount grant, None for no cap."""

    ttl_ms: int = 900_000
    four_eyes: bool = False
    max_grant_usd: Usd | None = None


@dataclass(frozen=True, slots=True)
class Petition:
    """What a refused request shows the person who decides. `facts` are plain JSON data for the screen."""

    principal: str
    session: str
    run_id: str
    evaluations: tuple[UsageBudgetEvaluation, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ruling:
    """A decision. `amount` is in the budgets' unit (scope amount only), `duration_ms` for scope timeboxed only."""

    decision: ApprovalDecision
    by: Decider
    scope: GrantKind = GrantKind.ONCE
    duration_ms: int | None = None
    amount: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
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
        return tuple(evaluation.policy_id for evaluation in self.evaluations)

    @property
    def counters(self) -> frozenset[tuple[str, str]]:
        return frozenset((item.policy_id, item.scope_value) for item in self.evaluations)

    @property
    def pending(self) -> bool:
        return self.status is ApprovalStatus.PENDING

    @property
    def leading(self) -> UsageBudgetEvaluation:
        """The budget that is exceeded by the largest share."""
        return max(self.evaluations, key=lambda item: excess_percent([item]))

    def state(self) -> str:
        """In words, for an answer to somebody who came too late."""
        if self.pending:
            return "pending"
        by = f" by {self.decided_by}" if self.decided_by else ""
        return f"resolved/{self.decision}{by}"

    def row(self) -> ApprovalRow:
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


@dataclass(frozen=True, slots=True)
class Opened:
    """`fresh` is False when an equal pending record was joined instead of opening another."""

    record: ApprovalRecord
    fresh: bool
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Resolved:
    record: ApprovalRecord
    grants: tuple[GrantRow, ...]
    changes: tuple[Change, ...]


def excess_percent(evaluations: Iterable[UsageBudgetEvaluation]) -> float:
    """How far beyond its limit the worst of these budgets would stand, as a percentage of that limit."""
    return max((100 * item.excess / item.hard if item.hard else 100.0 for item in evaluations), default=0.0)


def risk_of(evaluations: Iterable[UsageBudgetEvaluation]) -> str:
    """low up to 10 % over, medium up to 50 %, high up to 100 %, critical beyond (a limit of 0 always is)."""
    items = list(evaluations)
    if any(item.hard == 0 for item in items):
        return "critical"
    percent = excess_percent(items)
    for most, name in ((10, "low"), (50, "medium"), (100, "high")):
        if percent <= most:
            return name
    return "critical"


def _in_force(item: UsageBudgetEvaluation, policies: PolicySet) -> bool:
    policy = policies.get(item.policy_id)
    return policy is not None and policy.sha256 == item.sha256


class ApprovalDesk:
    """Every pending approval, the newest decided ones, and who was denied a moment ago."""

    def __init__(
        self,
        new_id: Callable[[], str],
        grants: GrantBook,
        settings: ApprovalSettings | None = None,
        records: Iterable[ApprovalRecord] = (),
    ) -> None:
        """`records`: the pending ones and any decided ones worth remembering, oldest first."""
        self._new_id = new_id
        self._grants = grants
        self.settings = settings or ApprovalSettings()
        self._records: dict[str, ApprovalRecord] = {}
        self._waiting: dict[str, int] = {}
        self._denied: dict[tuple[str, str], dict[str, int]] = {}
        self.version = 0
        for record in records:
            self._records[record.approval_id] = record
            if record.decision is ApprovalDecision.DENY and record.resolved_at is not None:
                self._remember_denial(record, record.resolved_at)

    def __iter__(self) -> Iterator[ApprovalRecord]:
        return iter(self._records.values())

    def get(self, approval_id: str) -> ApprovalRecord:
        """Raises NotFoundError when it is neither pending nor lately decided."""
        record = self._records.get(approval_id)
        if record is None:
            raise NotFoundError(f"No approval {approval_id!r} is known.", fix="List them with `palyra approvals list`.")
        return record

    def pending(self) -> list[ApprovalRecord]:
        """Oldest first."""
        return [record for record in self._records.values() if record.pending]

    # Asking

    def open(self, petition: Petition, at: int) -> Opened:
        """Opens a record for these budgets, or joins the pending one of the same principal, session and budgets."""
        counters = frozenset((item.policy_id, item.scope_value) for item in petition.evaluations)
        for record in self._records.values():
            same = record.principal == petition.principal and record.session == petition.session
            if record.pending and same and record.counters == counters and at < record.expires_at:
                if petition.run_id not in record.run_ids:
                    run_ids = (*record.run_ids, petition.run_id)[-RUNS_SHOWN:]
                    record = replace(record, run_ids=run_ids)
                    self._put(record)
                return Opened(record, False, ())
        record = ApprovalRecord(
            approval_id=self._new_id(),
            version=1,
            principal=petition.principal,
            session=petition.session,
            run_ids=(petition.run_id,) if petition.run_id else (),
            evaluations=petition.evaluations,
            requested_at=at,
            expires_at=at + self.settings.ttl_ms,
            risk=risk_of(petition.evaluations),
            facts=petition.facts,
        )
        self._put(record)
        opened = {"state": "opened", "principal": record.principal, "session": record.session, "risk": record.risk}
        subjects = [f"usage-budget:{policy_id}" for policy_id in record.policy_ids]
        audit = AuditAdded(at, "approval", record.approval_id, record.principal, {**opened, "subjects": subjects})
        return Opened(record, True, (ApprovalSaved(record.row()), audit))

    def join(self, approval_id: str) -> None:
        """Somebody's connection is open for it."""
        self._waiting[approval_id] = self._waiting.get(approval_id, 0) + 1
        self.version += 1

    def leave(self, approval_id: str) -> None:
        left = self._waiting.get(approval_id, 0) - 1
        if left > 0:
            self._waiting[approval_id] = left
        else:
            self._waiting.pop(approval_id, None)
        self.version += 1

    def waiting(self, approval_id: str) -> int:
        return self._waiting.get(approval_id, 0)

    def denied(self, principal: str, session: str, at: int) -> frozenset[str]:
        """The policies this principal and session were denied within the last minute."""
        since = self._denied.get((principal, session))
        if since is None:
            return frozenset()
        fresh = frozenset(policy_id for policy_id, denied_at in since.items() if at - denied_at < DENIED_FOR_MS)
        if not fresh:
            del self._denied[principal, session]
        return fresh

    # Deciding

    def decide(
        self, approval_id: str, ruling: Ruling, at: int, *, policies: PolicySet, version: int | None = None
    ) -> Resolved:
        """Takes the first decision. `version` refuses one made on another state than the one it names.

        Raises NotFoundError, ConflictError (with the present state), BadInputError (naming the field), FourEyesError.
        """
        record = self.get(approval_id)
        if not record.pending or at >= record.expires_at:
            state = record.state() if not record.pending else "resolved/timeout"
            raise ConflictError(f"Approval {approval_id} is already {state}.", code="already_decided")
        if version is not None and version != record.version:
            raise ConflictError(
                f"Approval {approval_id} changed meanwhile; it is {record.state()}.", code="stale_version"
            )
        self._check_eyes(record, ruling.by)
        if len(ruling.reason) > REASON_MOST:
            raise BadInputError("reason is too long.", fix=f"Use at most {REASON_MOST} characters.")
        grants: tuple[GrantRow, ...] = ()
        if ruling.decision is ApprovalDecision.ALLOW:
            grants = self._granted(record, ruling, at, policies)
        record, changes = self._resolve(record, ruling.decision, at, by=ruling.by, reason=ruling.reason, grants=grants)
        saved = [self._grants.add(grant) for grant in grants]
        if ruling.decision is ApprovalDecision.DENY:
            self._remember_denial(record, at)
        return Resolved(record, grants, (*changes, *saved))

    def take_back(self, resolved: Resolved, at: int) -> tuple[Change, ...]:
        """After a decision that could not be written: it is pending again and its grants are void.

        What was drawn meanwhile stays spent. The changes make sure of it, should the write have happened after all.
        """
        decided = resolved.record
        record = replace(
            decided,
            version=decided.version + 1,
            status=ApprovalStatus.PENDING,
            decision=None,
            resolved_at=None,
            decided_by="",
            reason="",
            grant_ids=(),
        )
        self._put(record)
        if decided.decision is ApprovalDecision.DENY:
            self._denied.pop((record.principal, record.session), None)
        ended = [self._grants.end(grant.grant_id, GrantState.VOID) for grant in resolved.grants]
        audit = AuditAdded(at, "approval", record.approval_id, "palyra", {"state": "taken_back"})
        return (ApprovalSaved(record.row()), *(saved for saved in ended if saved is not None), audit)

    def revoke(self, grant_id: str, by: Decider, at: int) -> tuple[Change, ...]:
        """Ends a live grant; what was drawn stays spent. Raises NotFoundError, ConflictError."""
        grant = self._grants.get(grant_id)
        if grant is None:
            raise NotFoundError(f"No grant {grant_id!r} is known.", fix="List them with `palyra approvals list`.")
        saved = self._grants.end(grant_id, GrantState.REVOKED) if grant.live(at) else None
        if saved is None:
            raise ConflictError(f"Grant {grant_id} is already {grant.state(at)}.", code="already_decided")
        self.version += 1
        payload = {"state": "revoked", "attestation": by.attestation, "drawn": grant.drawn, "cap": grant.row.cap}
        return saved, AuditAdded(at, "grant", grant_id, by.name, payload)

    def sweep(self, at: int) -> tuple[list[ApprovalRecord], tuple[Change, ...]]:
        """Ends what nobody answered in time and grants whose time has come. Returns the records that ended."""
        ended: list[ApprovalRecord] = []
        changes: list[Change] = []
        for record in self.pending():
            if at >= record.expires_at:
                record, written = self._resolve(record, ApprovalDecision.TIMEOUT, at)
                ended.append(record)
                changes += written
        expired = self._grants.sweep(at)
        if expired:
            self.version += 1
        return ended, (*changes, *expired)

    def void(self, policy_id: str, at: int) -> tuple[list[ApprovalRecord], tuple[Change, ...]]:
        """After an edit of a policy: its pending approvals end as `policy_edited`, its live grants are void."""
        ended: list[ApprovalRecord] = []
        changes: list[Change] = []
        for record in self.pending():
            if policy_id in record.policy_ids:
                record, written = self._resolve(record, ApprovalDecision.ERROR, at, reason=POLICY_EDITED)
                ended.append(record)
                changes += written
        voided = self._grants.void(policy_id)
        self.version += 1
        return ended, (*changes, *voided)

    def reconcile(self, policies: PolicySet, at: int) -> tuple[Change, ...]:
        """After a start: ends what was asked or granted under terms that are no longer those of its policy.

        Policies of the configuration file may have been edited while no engine ran.
        """
        changes: list[Change] = []
        for record in tuple(self._records.values()):
            edited = {item.policy_id for item in record.evaluations if not _in_force(item, policies)}
            if edited and record.pending:
                _, written = self._resolve(record, ApprovalDecision.ERROR, at, reason=POLICY_EDITED)
                changes += written
            for grant_id in record.grant_ids:
                grant = self._grants.get(grant_id)
                if grant is not None and grant.row.policy_id in edited:
                    saved = self._grants.end(grant_id, GrantState.VOID)
                    changes += [] if saved is None else [saved]
        self.version += 1
        return tuple(changes)

    def _resolve(
        self,
        record: ApprovalRecord,
        decision: ApprovalDecision,
        at: int,
        *,
        by: Decider | None = None,
        reason: str = "",
        grants: tuple[GrantRow, ...] = (),
    ) -> tuple[ApprovalRecord, tuple[Change, ...]]:
        record = replace(
            record,
            version=record.version + 1,
            status=ApprovalStatus.RESOLVED,
            decision=decision,
            resolved_at=at,
            decided_by="" if by is None else by.name,
            reason=reason,
            grant_ids=tuple(grant.grant_id for grant in grants),
        )
        self._put(record)
        payload: dict[str, Any] = {
            "state": decision.value,
            "reason": reason,
            "attestation": "" if by is None else by.attestation,
            "policies": {item.policy_id: item.sha256 for item in record.evaluations},
            "grants": [{"grant_id": grant.grant_id, "kind": grant.kind, "cap": grant.cap} for grant in grants],
        }
        actor = "palyra" if by is None else by.name
        audit = AuditAdded(at, "approval", record.approval_id, actor, payload)
        return record, (ApprovalSaved(record.row()), audit)

    def _put(self, record: ApprovalRecord) -> None:
        self._records[record.approval_id] = record
        self.version += 1
        decided = [one.approval_id for one in self._records.values() if not one.pending]
        for approval_id in decided[: max(0, len(decided) - RESOLVED_KEPT)]:
            del self._records[approval_id]

    def _check_eyes(self, record: ApprovalRecord, by: Decider) -> None:
        if not self.settings.four_eyes:
            return
        if by.attestation == "claimed":
            raise FourEyesError(
                "Two people must stand behind an approval, and this name is only claimed.",
                fix="Sign in with an account or a key of your own.",
            )
        if by.name in (record.principal, record.facts.get("requested_by")):
            raise FourEyesError("Nobody may approve a request of their own.", fix="Ask another operator.")

    def _granted(self, record: ApprovalRecord, ruling: Ruling, at: int, policies: PolicySet) -> tuple[GrantRow, ...]:
        """One grant for each budget that would be breached. Raises BadInputError."""
        terms = GrantTerms(ruling.scope, ruling.duration_ms, ruling.amount)
        check_terms(terms, record.evaluations, self.settings.max_grant_usd)
        whom = Beneficiary(
            record.approval_id, record.principal, record.session, record.run_ids, granted_by=ruling.by.name
        )
        found = ((item, policies.get(item.policy_id)) for item in record.evaluations)
        return tuple(
            make_grant(self._new_id(), item, terms, whom, policy, at) for item, policy in found if policy is not None
        )

    def _remember_denial(self, record: ApprovalRecord, at: int) -> None:
        since = self._denied.setdefault((record.principal, record.session), {})
        since.update(dict.fromkeys(record.policy_ids, at))


def request_usage_budget_override(
    desk: ApprovalDesk,
    policies: PolicySet,
    evaluations: Iterable[UsageBudgetEvaluation],
    *,
    principal: str,
    session: str,
    by: Decider,
    at: int,
    facts: Mapping[str, Any] | None = None,
) -> Opened:
    """An operator (or a refused caller) asks for room ahead of need; opens the record a refused request would.

    `evaluations` are the budgets as they stand. Raises NotFoundError for one that is not in force.
    """
    wanted = tuple(evaluations)
    for item in wanted:
        if policies.get(item.policy_id) is None:
            raise NotFoundError(
                f"No budget {item.policy_id!r} is in force.", fix="List them with `palyra budgets list`."
            )
    petition = Petition(principal, session, "", wanted, {**(facts or {}), "requested_by": by.name})
    return desk.open(petition, at)
