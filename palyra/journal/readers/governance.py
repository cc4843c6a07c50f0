"""Approvals, grants, policies and the newest audit rows."""

from palyra.journal.readers.query import Query
from palyra.journal.rows import ApprovalRow, AuditRow, GrantRow, PolicyRow
from palyra.journal.tables import (
    APPROVALS,
    AUDIT,
    GRANTS,
    POLICIES,
    approval_row,
    audit_row,
    grant_row,
    policy_row,
)

MAX_PAGE = 500


class GovernanceReaders(Query):
    async def approval(self, approval_id: str) -> ApprovalRow | None:
        return await self._row(APPROVALS, approval_row, "WHERE approval_id = ?", (approval_id,))

    async def pending_approvals(self) -> tuple[ApprovalRow, ...]:
        """All of them, oldest first."""
        return await self._rows(APPROVALS, approval_row, "WHERE status = 'pending' ORDER BY requested_at, seq LIMIT -1")

    async def approvals(self, status: str = "", *, principal: str = "", limit: int = 50) -> tuple[ApprovalRow, ...]:
        """The newest requests, newest first; `status`: pending, resolved, or empty for both."""
        conditions = [condition for condition, value in (("status = ?", status), ("principal = ?", principal)) if value]
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        return await self._rows(
            APPROVALS,
            approval_row,
            f"{where} ORDER BY requested_at DESC, seq DESC LIMIT ?",
            (*(value for value in (status, principal) if value), max(1, min(limit, MAX_PAGE))),
        )

    async def grants(self, *, state: str = "", approval_id: str = "") -> tuple[GrantRow, ...]:
        """Oldest first; all of them, or those in one state, or those of one approval."""
        if approval_id:
            return await self._rows(
                GRANTS,
                grant_row,
                "WHERE approval_id = ? AND ? IN ('', state) ORDER BY seq LIMIT -1",
                (approval_id, state),
            )
        if state:
            return await self._rows(GRANTS, grant_row, "WHERE state = ? ORDER BY seq LIMIT -1", (state,))
        return await self._rows(GRANTS, grant_row, "ORDER BY seq LIMIT -1")

    async def policies(self) -> tuple[PolicyRow, ...]:
        """The newest revision of every policy that operators made, removed ones included, by id."""
        return await self._rows(
            POLICIES,
            policy_row,
            "AS p WHERE revision = (SELECT max(revision) FROM policies WHERE policy_id = p.policy_id)"
            " ORDER BY policy_id LIMIT -1",
        )

    async def audit(self, limit: int = 50, *, before: int | None = None) -> tuple[AuditRow, ...]:
        """The newest audit rows, newest first; `before`: only those with a smaller seq."""
        return await self._rows(
            AUDIT,
            audit_row,
            "WHERE seq < ifnull(?, 9223372036854775807) ORDER BY seq DESC LIMIT ?",
            (before, max(1, min(limit, MAX_PAGE))),
        )
