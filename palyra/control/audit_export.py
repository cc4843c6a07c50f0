"""The audit chain written out for other programs, page by page."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol

from palyra.control.audit_queries import AuditEntry, AuditLogPage, AuditLogQuery
from palyra.control.export import ExportFormat, pen_for
from palyra.core.instants import spell_exactly

NAMES = ("seq", "at", "at_ms", "kind", "verb", "subject", "actor", "digest", "data")


class Asking(Protocol):
    """The part of a control that an export needs."""

    async def ask(self, query: AuditLogQuery) -> AuditLogPage:
        """One page of the audit."""
        ...


async def export_audit(
    control: Asking,
    query: AuditLogQuery,
    form: ExportFormat,
    write: Callable[[bytes], object],
    on_progress: Callable[[int], None] | None = None,
    *,
    shown: bool = False,
) -> int:
    """Writes every entry the query means, newest first, and returns how many there were.

    `write` gets UTF-8, a page at a time; `on_progress` how many are written; `shown` says that a terminal will get it.
    Raises what the control raises.
    """
    pen = pen_for(form, NAMES, shown)
    written = 0
    write(pen.begin())
    before = query.before
    while True:
        page = await control.ask(replace(query, before=before))
        if page.entries:
            write(pen.rows(map(_columns, page.entries)))
        written += len(page.entries)
        if on_progress is not None:
            on_progress(written)
        before = page.next_before
        if before is None:
            break
    write(pen.end())
    return written


def _columns(entry: AuditEntry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "at": spell_exactly(entry.at),
        "at_ms": entry.at,
        "kind": entry.kind,
        "verb": entry.verb,
        "subject": entry.subject,
        "actor": entry.actor,
        "digest": entry.digest,
        "data": entry.data,
    }
