"""Approvals, grants, policies and the newest audit rows."""

from typing import Any

from palyra.journal.readers.query import Query
from palyra.journal.rows import ApprovalRow, AuditRow, GrantRow, PolicyRow
from palyra.journal.tables import (
    APPROVALS,
    AUDIT,
    GRANTS,
    POLICIES,
    approval_row,
    grant_row,
    policy_row,
)

MAX_PAGE = 500
LONGEST_RUN_MS = 86_400_000
"""A stream that was open when a grant was given may draw from it too."""
NEVER = 2**63 - 1


class GovernanceReaders(Query):
    """Reads approvals, grants and policies."""

    async def approval(self, approval_id: str) -> ApprovalRow | None:
        """The approval of that id."""
        return await self._row(APPROVALS, approval_row, "WHERE approval_id = ?", (approval_id,))

    async def pending_approvals(self) -> tuple[ApprovalRow, ...]:
        """All of them, oldest first."""
        return await self._rows(APPROVALS, approval_row, "WHERE status = 'pending' ORDER BY requested_at, seq LIMIT -1")

    async def approvals(
        self,
        status: str = "",
        *,
        principal: str = "",
        limit: int = 50,
        before: tuple[int, str] | None = None,
        after: tuple[int, str] | None = None,
    ) -> tuple[ApprovalRow, ...]:
        """The newest requests, newest first; `status`: pending, resolved, or empty for both. `before` is when one was
        asked for and its id: only older ones are told. With `after` the nearest that are newer than that."""
        conditions = [condition for condition, value in (("status = ?", status), ("principal = ?", principal)) if value]
        values: list[str | int] = [value for value in (status, principal) if value]
        if before is not None:
            conditions.append("(requested_at, approval_id) < (?, ?)")
            values += before
        if after is not None:
            conditions.append("(requested_at, approval_id) > (?, ?)")
            values += after
        way = "DESC" if after is None else "ASC"
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        found = await self._rows(
            APPROVALS,
            approval_row,
            f"{where} ORDER BY requested_at {way}, approval_id {way} LIMIT ?",
            (*values, max(1, min(limit, MAX_PAGE))),
        )
        return found if after is None else found[::-1]

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

    async def grant(self, grant_id: str) -> GrantRow | None:
        """The grant of that id."""
        return await self._row(GRANTS, grant_row, "WHERE grant_id = ?", (grant_id,))

    async def policies(self) -> tuple[PolicyRow, ...]:
        """The newest revision of every policy that operators made, removed ones included, by id."""
        return await self._rows(
            POLICIES,
            policy_row,
            "AS p WHERE revision = (SELECT max(revision) FROM policies WHERE policy_id = p.policy_id)"
            " ORDER BY policy_id LIMIT -1",
        )

    async def policy_revisions(self, policy_id: str, *, limit: int = 50) -> tuple[PolicyRow, ...]:
        """What operators made of one policy, newest first."""
        return await self._rows(
            POLICIES,
            policy_row,
            "WHERE policy_id = ? ORDER BY revision DESC LIMIT ?",
            (policy_id, max(1, min(limit, MAX_PAGE))),
        )

    async def drawn_from(self, grant: GrantRow) -> int:
        """What holds have drawn from a grant, net, in its metric's unit."""
        sql = (
            "SELECT json_array(json_array(ifnull(sum(d.value ->> 1), 0))) FROM holds AS h INDEXED BY holds_by_time,"
            " json_each(h.moves) AS m, json_each(m.value, '$[7]') AS d"
            " WHERE h.created_at >= ? AND h.created_at < ? AND instr(h.moves, ?) > 0 AND d.value ->> 0 = ?"
        )
        until = NEVER if grant.expires_at is None else grant.expires_at
        found = await self._listed(
            sql, _number, (grant.created_at - LONGEST_RUN_MS, until, grant.grant_id, grant.grant_id)
        )
        return found[0]

    async def audit(self, limit: int = 50, *, before: int | None = None) -> tuple[AuditRow, ...]:
        """The newest audit rows, newest first; `before`: only those with a smaller seq."""
        return await self._rows(
            AUDIT,
            lambda values: AuditRow(*values),
            "WHERE seq < ifnull(?, 9223372036854775807) ORDER BY seq DESC LIMIT ?",
            (before, max(1, min(limit, MAX_PAGE))),
        )


def _number(values: list[Any]) -> int:
    return int(values[0])
