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
        self,
        *,
        before: int | None = None,
        kind: str = "",
        deeds: bool = False,
        actor: str = "",
        subject: str = "",
        since: int | None = None,
        until: int | None = None,
        limit: int = 100,
    ) -> tuple[AuditRow, ...]:
        """Newest first, those of a lower number than `before`. `kind`, `actor`, `subject`: only theirs; `deeds`: all
        but decisions about requests, of which there are more than of anything else; of [since, until), unix ms."""
        picked = " AND kind <> 'decision'" if deeds or (kind and kind != "decision") else ""
        parameters: list[int | str] = [MOST if before is None else before]
        for condition, given in (
            ("kind = ?", kind or None),
            ("actor = ?", actor or None),
            ("subject = ?", subject or None),
            ("at >= ?", since),
            ("at < ?", until),
        ):
            if given is not None:
                picked += f" AND {condition}"
                parameters.append(given)
        sql = f"""
SELECT json_group_array(json_array(seq, at, kind, subject, actor, payload, digest)) FROM (
  SELECT * FROM audit WHERE seq < ?{picked} ORDER BY seq DESC LIMIT ?)
"""
        return await self._listed(sql, _row, (*parameters, max(1, min(limit, MAX_PAGE))))


def _row(values: list[Any]) -> AuditRow:
    seq, at, kind, subject, actor, payload, digest = values
    return AuditRow(seq, at, kind, subject, actor, json.loads(payload), digest)
