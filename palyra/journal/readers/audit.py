"""The audit chain, read backwards: what people and Palyra did."""

import json
from collections.abc import Sequence
from typing import Any

from palyra.core.terms import Term
from palyra.core.values import value
from palyra.journal.readers.matching import matching
from palyra.journal.readers.query import MOST, Query

MAX_PAGE = 500
FIELDS = {
    "who": "actor",
    "kind": "kind",
    "what": "kind || ' ' || CASE WHEN json_valid(payload) THEN replace(coalesce(payload ->> 'verb',"
    " payload ->> 'outcome', payload ->> 'decision', payload ->> 'state', payload ->> 'action', ''), '_', ' ')"
    " ELSE '' END",
    "to": "subject",
    "told": "payload",
    "entry": "CAST(seq AS TEXT)",
}
"""What filters look at, by the names that operators type; `what` is the kind and what was done in a word."""


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
    """Reads the audit."""

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
        terms: Sequence[Term] = (),
        after: int | None = None,
        limit: int = 100,
    ) -> tuple[AuditRow, ...]:
        """Newest first, those of a lower number than `before`; with `after` the nearest of a higher number than that.
        `kind`, `actor`, `subject`: only theirs; `deeds`: all but decisions about requests, of which there are more than
        of anything else; of [since, until), unix ms; `terms` must hold of the fields of `FIELDS`. Raises BadInputError
        for another field."""
        picked = " AND kind <> 'decision'" if deeds or (kind and kind != "decision") else ""
        parameters: list[int | str] = [MOST if before is None else before, -1 if after is None else after]
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
        matched, patterns = matching(terms, FIELDS)
        picked += "".join(f" AND {condition}" for condition in matched)
        sql = f"""
SELECT json_group_array(json_array(seq, at, kind, subject, actor, payload, digest)) FROM (
  SELECT * FROM audit WHERE seq < ? AND seq > ?{picked} ORDER BY seq {"DESC" if after is None else "ASC"} LIMIT ?)
"""
        rows = await self._listed(sql, _row, (*parameters, *patterns, max(1, min(limit, MAX_PAGE))))
        return rows if after is None else rows[::-1]


def _row(values: list[Any]) -> AuditRow:
    seq, at, kind, subject, actor, payload, digest = values
    return AuditRow(seq, at, kind, subject, actor, json.loads(payload), digest)
