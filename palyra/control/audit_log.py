"""Links of the audit chain as consoles see them."""

import asyncio
from typing import Any, cast

from palyra.control.audit_queries import AuditEntry, AuditLogPage, AuditLogQuery
from palyra.core.errors import BadInputError
from palyra.core.redact import redact, redact_data
from palyra.journal.readers import Readers
from palyra.journal.readers.audit import MAX_PAGE, AuditRow

_VERBS = ("verb", "outcome", "decision", "state", "action")
"""Where a payload says what was done, first match."""


async def audit_log(readers: Readers, query: AuditLogQuery) -> AuditLogPage:
    """A page. Raises BadInputError for a size that no page has."""
    if not 1 <= query.limit <= MAX_PAGE:
        raise BadInputError(f"A page has 1 to {MAX_PAGE} entries, not {query.limit}.")
    rows = await readers.audit_rows(
        before=query.before,
        kind=query.audit_kind,
        deeds=query.deeds,
        actor=query.actor,
        subject=query.subject,
        since=query.since,
        until=query.until,
        terms=query.terms,
        after=query.after,
        limit=query.limit,
    )
    full = len(rows) == query.limit
    # Looking for secrets in a page of them takes longer than the loop may stand still.
    entries = await asyncio.to_thread(lambda: tuple(map(entry_of, rows)))
    if query.after is not None:
        return AuditLogPage(entries, next_after=rows[0].seq if full else None)
    return AuditLogPage(entries, rows[-1].seq if full and rows[-1].seq > 1 else None)


def entry_of(row: AuditRow) -> AuditEntry:
    """An audit row as consoles see it, secrets taken out."""
    data = cast(dict[str, Any], redact_data(row.payload))
    verb = next((str(data[name]) for name in _VERBS if data.get(name)), "")
    return AuditEntry(row.seq, row.at, row.kind, redact(row.subject), redact(row.actor), verb, row.digest, data)
