"""Approvals: a refused request asks for a person's word; the first word counts, and an allowed one becomes grants.

Synchronous like the ledger: every act returns the changes that make it durable, to be submitted in the same step.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import field, replace
from itertools import chain
from typing import Any

from palyra.core.errors import BadInputError, ConflictError, NotFoundError
from palyra.core.money import Usd
from palyra.core.values import value
from palyra.governance.approval_record import (
    Applicant,
    ApprovalDecision,
    ApprovalRecord,
    ApprovalStatus,
    Question,
    question,
    risk_of,
)
from palyra.governance.evaluate import UsageBudgetEvaluation
from palyra.governance.four_eyes import Decider, check_four_eyes
from palyra.governance.granting import Beneficiary, GrantTerms, check_terms, make_grant
from palyra.governance.grants import GrantBook, GrantKind, GrantState
from palyra.governance.policy_set import PolicySet
from palyra.journal.changes import ApprovalSaved, AuditAdded, Change
from palyra.journal.rows import GrantRow

DENIED_FOR_MS = 60_000
"""How long a denial answers the same principal, session and policies without asking again."""

REASON_MOST = 500
POLICY_EDITED = "policy_edited"
RUNS_SHOWN = 50
RESOLVED_KEPT = 200
PENDING_MOST = 50
"""How many approvals may be pending for one principal; beyond, requests are refused without asking a person again."""


@value
class ApprovalSettings:
    """`ttl_ms`: how long a record stays pending. `max_grant_usd`: the largest amount grant, None for no cap."""

    ttl_ms: int = 900_000
    four_eyes: bool = False
    max_grant_usd: Usd | None = None


@value
class Petition:
    """What a refused request shows the person who decides. `facts` are plain JSON data for the screen."""

    principal: str
    session: str
    run_id: str
    evaluations: tuple[UsageBudgetEvaluation, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    applicant: Applicant | None = None
    subject: str = ""
    risk: str = ""
    """Set where no budget is asked about: what it is about instead, and how risky that is."""
    wanted: int | None = None
    """Set where room is asked for in words, which needs no run: who asks, and how much (in the budgets' unit)."""

    @property
    def question(self) -> Question:
        """What is asked: equal questions share one approval."""
        return question(self.principal, self.session, self.evaluations)

    def all_facts(self) -> dict[str, Any]:
        """What is kept with the approval for those who decide."""
        facts = dict(self.facts)
        if self.applicant is not None:
            facts["applicants"] = [self.applicant.to_json()]
        if self.wanted is not None:
            facts["wanted"] = self.wanted
        if self.subject:
            facts["subject"] = self.subject
        return facts


@value
class Ruling:
    """A decision. `amount` is in the budgets' unit (scope amount only), `duration_ms` for scope timeboxed only."""

    decision: ApprovalDecision
    by: Decider
    scope: GrantKind = GrantKind.ONCE
    duration_ms: int | None = None
    amount: int | None = None
    reason: str = ""


@value
class Opened:
    """`fresh` is False when an equal pending record was joined instead of opening another; `not_taken` is the amount
    named then where that record stands with another one."""

    record: ApprovalRecord
    fresh: bool
    changes: tuple[Change, ...]
    not_taken: int | None = None


@value
class Resolved:
    """A decision about an approval: the record after it, the grants it gave, what to write."""

    record: ApprovalRecord
    grants: tuple[GrantRow, ...]
    changes: tuple[Change, ...]


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
        self._pending: dict[str, ApprovalRecord] = {}
        self._decided: dict[str, ApprovalRecord] = {}
        self._asked: dict[Question, str] = {}
        self._pending_of: Counter[str] = Counter()
        self._waiting: dict[str, int] = {}
        self._denied: dict[tuple[str, str], dict[str, int]] = {}
        self.version = 0
        """Grows with everything a console could show."""
        for record in records:
            self._put(record)
            if record.decision is ApprovalDecision.DENY and record.resolved_at is not None:
                self._remember_denial(record, record.resolved_at)

    def __iter__(self) -> Iterator[ApprovalRecord]:
        """The decided ones as they were decided, then the pending ones."""
        return chain(self._decided.values(), self._pending.values())

    def get(self, approval_id: str) -> ApprovalRecord:
        """Raises NotFoundError when it is neither pending nor lately decided."""
        record = self.find(approval_id)
        if record is None:
            raise NotFoundError(f"No approval {approval_id!r} is known.", fix="List them with `palyra approvals list`.")
        return record

    def find(self, approval_id: str) -> ApprovalRecord | None:
        """None when it is neither pending nor lately decided."""
        return self._pending.get(approval_id) or self._decided.get(approval_id)

    def pending(self) -> list[ApprovalRecord]:
        """Oldest first."""
        return sorted(self._pending.values(), key=lambda record: (record.requested_at, record.approval_id))

    def decided(self) -> list[ApprovalRecord]:
        """The last decided ones, newest first."""
        return sorted(self._decided.values(), key=lambda record: record.resolved_at or 0, reverse=True)

    # Asking

    def open(self, petition: Petition, at: int) -> Opened | None:
        """Opens a record for these budgets, or joins the pending one of the same principal, session and budgets.

        None when `PENDING_MOST` other ones wait for an answer to this principal already.
        """
        asked = self._pending.get(self._asked.get(petition.question, ""))
        if asked is not None and at < asked.expires_at:
            return self._joined(asked, petition, at)
        if self._pending_of[petition.principal] >= PENDING_MOST:
            return None
        record = ApprovalRecord(
            approval_id=self._new_id(),
            version=1,
            principal=petition.principal,
            session=petition.session,
            run_ids=(petition.run_id,) if petition.run_id else (),
            evaluations=petition.evaluations,
            requested_at=at,
            expires_at=at + self.settings.ttl_ms,
            risk=petition.risk or risk_of(petition.evaluations, petition.wanted or 0),
            facts=petition.all_facts(),
        )
        self._put(record)
        opened: dict[str, Any] = {
            "state": "opened",
            "principal": record.principal,
            "session": record.session,
            "risk": record.risk,
        }
        subjects = [f"usage-budget:{policy_id}" for policy_id in record.policy_ids]
        subjects += [record.subject] if record.subject else []
        actor = record.principal
        if petition.applicant is not None:
            actor = petition.applicant.name
            opened |= {"wanted": petition.wanted, **petition.applicant.to_json()}
        audit = AuditAdded(at, "approval", record.approval_id, actor, {**opened, "subjects": subjects})
        return Opened(record, True, (ApprovalSaved(record.row()), audit))

    def _joined(self, record: ApprovalRecord, petition: Petition, at: int) -> Opened:
        """Another run waits for the same answer, or somebody asks for it in words, which deciders get to see. The first
        amount that is named stands."""
        if petition.run_id and petition.run_id not in record.run_ids:
            record = replace(record, run_ids=(*record.run_ids, petition.run_id)[-RUNS_SHOWN:])
            self._put(record)
        applicant, wanted = petition.applicant, petition.wanted
        not_taken = wanted if record.wanted is not None and wanted != record.wanted else None
        facts: dict[str, Any] = {}
        told: dict[str, Any] = {}
        if applicant is not None and applicant.name not in {one.name for one in record.applicants}:
            facts["applicants"] = [one.to_json() for one in (*record.applicants, applicant)]
            told = applicant.to_json()
        if wanted is not None and record.wanted is None:
            facts["wanted"] = told["wanted"] = wanted
        if not facts:
            return Opened(record, False, (), not_taken)
        record = replace(
            record,
            version=record.version + 1,
            facts={**record.facts, **facts},
            risk=risk_of(record.evaluations, record.wanted if record.wanted is not None else wanted or 0),
        )
        self._put(record)
        actor = record.principal if applicant is None else applicant.name
        audit = AuditAdded(at, "approval", record.approval_id, actor, {"state": "joined", **told})
        return Opened(record, False, (ApprovalSaved(record.row()), audit), not_taken)

    def join(self, approval_id: str) -> None:
        """Somebody's connection is open for it; until it closes, a grant for one run is kept for those who asked."""
        self._grants.awaited.add(approval_id)
        self._waiting[approval_id] = self._waiting.get(approval_id, 0) + 1
        self.version += 1

    def leave(self, approval_id: str) -> None:
        """One that waited for the decision waits no more."""
        left = self._waiting.get(approval_id, 0) - 1
        if left > 0:
            self._waiting[approval_id] = left
        else:
            self._waiting.pop(approval_id, None)
            self._grants.awaited.discard(approval_id)
        self.version += 1

    def waiting(self, approval_id: str) -> int:
        """How many requests wait for the decision."""
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

    def denied_until(self, principal: str, session: str, policy_ids: Collection[str], at: int) -> int | None:
        """Until when a denial of one of these policies answers this principal and session; None when none does."""
        since = self._denied.get((principal, session), {})
        ends = [since[policy_id] + DENIED_FOR_MS for policy_id in policy_ids if policy_id in since]
        return max((end for end in ends if at < end), default=None)

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
        if self.settings.four_eyes:
            check_four_eyes(record, ruling.by)
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
            since = self._denied.get((record.principal, record.session), {})
            for policy_id in record.policy_ids:
                since.pop(policy_id, None)
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
        """Ends what nobody answered in time and grants whose time has come; forgets denials that no longer answer.

        Returns the records that ended.
        """
        ended: list[ApprovalRecord] = []
        changes: list[Change] = []
        for record in tuple(self._pending.values()):
            if at >= record.expires_at:
                record, written = self._resolve(record, ApprovalDecision.TIMEOUT, at)
                ended.append(record)
                changes += written
        expired = self._grants.sweep(at)
        if expired:
            self.version += 1
        for whom in tuple(self._denied):
            self.denied(*whom, at)
        return ended, (*changes, *expired)

    def void(self, policy_id: str, at: int) -> tuple[list[ApprovalRecord], tuple[Change, ...]]:
        """After an edit of a policy: its pending approvals end as `policy_edited`, its live grants are void."""
        ended: list[ApprovalRecord] = []
        changes: list[Change] = []
        for record in tuple(self._pending.values()):
            if policy_id in record.policy_ids:
                record, written = self._resolve(record, ApprovalDecision.ERROR, at, reason=POLICY_EDITED)
                ended.append(record)
                changes += written
        voided = self._grants.void(policy_id)
        self.version += 1
        return ended, (*changes, *voided)

    def withdraw(
        self, subjects: Collection[str], at: int, reason: str
    ) -> tuple[list[ApprovalRecord], tuple[Change, ...]]:
        """Nobody has to decide about these subjects, none a budget, any more: what is asked ends as an error."""
        ended: list[ApprovalRecord] = []
        changes: list[Change] = []
        for record in tuple(self._pending.values()):
            if record.subject in subjects:
                record, written = self._resolve(record, ApprovalDecision.ERROR, at, reason=reason)
                ended.append(record)
                changes += written
        return ended, tuple(changes)

    def reconcile(self, policies: PolicySet, at: int) -> tuple[Change, ...]:
        """After a start: ends what was asked or granted under terms that are no longer those of its policy.

        Policies of the configuration file may have been edited while no engine ran.
        """
        changes: list[Change] = []
        for record in tuple(self):
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
        self._forget(record.approval_id)
        if record.pending:
            self._pending[record.approval_id] = record
            self._asked[record.question] = record.approval_id
            self._pending_of[record.principal] += 1
        else:
            self._decided[record.approval_id] = record
            if len(self._decided) > RESOLVED_KEPT:
                del self._decided[next(iter(self._decided))]
        self.version += 1

    def _forget(self, approval_id: str) -> None:
        self._decided.pop(approval_id, None)
        before = self._pending.pop(approval_id, None)
        if before is None:
            return
        if self._asked.get(before.question) == approval_id:
            del self._asked[before.question]
        self._pending_of[before.principal] -= 1
        if not self._pending_of[before.principal]:
            del self._pending_of[before.principal]

    def _granted(self, record: ApprovalRecord, ruling: Ruling, at: int, policies: PolicySet) -> tuple[GrantRow, ...]:
        """One grant for each budget that would be breached. Raises BadInputError."""
        terms = GrantTerms(ruling.scope, ruling.duration_ms, ruling.amount)
        if record.subject and terms != GrantTerms(GrantKind.ONCE, None, None):
            raise BadInputError(
                f"Approval {record.approval_id} is about no budget: there is nothing to grant.",
                fix="Allow or deny it, without a scope.",
            )
        check_terms(terms, record.evaluations, self.settings.max_grant_usd)
        whom = Beneficiary(
            record.approval_id, record.principal, record.session, record.run_ids, granted_by=ruling.by.name
        )
        found = ((item, policies.get(item.policy_id)) for item in record.evaluations)
        return tuple(
            make_grant(self._new_id(), item, terms, whom, policy, at, record.excess(item))
            for item, policy in found
            if policy is not None
        )

    def _remember_denial(self, record: ApprovalRecord, at: int) -> None:
        since = self._denied.setdefault((record.principal, record.session), {})
        since.update(dict.fromkeys(record.policy_ids, at))
