"""The audit chain, read backwards: what people and Palyra did."""

import json
from typing import Any

from palyra.core.values import value
from palyra.journal.readers.query import MOST, Query

MAX_PAGE = 500


@value
class AuditRow:
    """A link of the chain. `at` UTC unix ms; `digest` hex SHA-256."""

    seq: int
    at: int
    kind: str
    subject: str
    actor: str
    payload: dict[str, Any]
    digest: str


class AuditReaders(Query):
    async def audit_rows(
        self, *, before: int | None = None, kind: str = "", deeds: bool = False, limit: int = 100
    ) -> tuple[AuditRow, ...]:
        """Newest first, those of a lower number than `before`. `kind`: only these; `deeds`: all but decisions about
        requests, of which there are more than of anything else."""
        picked = ""
        parameters: list[int | str] = [MOST if before is None else before]
        if deeds or (kind and kind != "decision"):
            picked += " AND kind <> 'decision'"
        if kind:
            picked += " AND kind = ?"
            parameters.append(kind)
        sql = f"""
SELECT json_group_array(json_array(seq, at, kind, subject, actor, payload, digest)) FROM (
  SELECT * FROM audit WHERE seq < ?{picked} ORDER BY seq DESC LIMIT ?)
"""
        return await self._listed(sql, _row, (*parameters, max(1, min(limit, MAX_PAGE))))


def _row(values: list[Any]) -> AuditRow:
    seq, at, kind, subject, actor, payload, digest = values
    return AuditRow(seq, at, kind, subject, actor, json.loads(payload), digest)
