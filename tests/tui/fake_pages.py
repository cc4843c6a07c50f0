"""Pages of a long list as a journal gives them, in both directions."""

from collections.abc import Sequence
from typing import TypeVar

from palyra.control.queries import RunsPage, RunsQuery
from palyra.control.snapshots import RunView
from palyra.control.usage_queries import UsageRunsQuery

T = TypeVar("T")


def paged(found: Sequence[T], cursor: str, limit: int, *, upward: bool) -> tuple[tuple[T, ...], str, str]:
    """A page of what is there, newest first, and the cursors of what is older and newer; a cursor is a border between
    two of them, counted from the newest."""
    if upward:
        end = int(cursor) if cursor else len(found)
        start = max(0, end - limit)
    else:
        start = int(cursor or 0)
        end = start + limit
    return tuple(found[start:end]), str(end) if end < len(found) else "", str(start) if start else ""


def runs_page(runs: Sequence[RunView], query: RunsQuery | UsageRunsQuery) -> RunsPage:
    found = sorted((run for run in runs if _wanted(run, query)), key=lambda run: -run.accepted_at)
    page = paged(found, query.cursor, query.limit, upward=query.upward)
    return RunsPage(*page, len(found) if query.counted else None)


def _wanted(run: RunView, query: RunsQuery | UsageRunsQuery) -> bool:
    if query.since is not None and run.accepted_at < query.since:
        return False
    if query.until is not None and run.accepted_at >= query.until:
        return False
    if isinstance(query, UsageRunsQuery):
        where = query.where
        given = ((where.model, run.model), (where.user, run.principal), (where.session, run.session))
        if any(wanted not in (None, is_so) for wanted, is_so in given):
            return False
    fields = {"state": run.state, "who": run.principal, "session": run.session, "model": run.model}
    fields |= {"provider": run.provider, "why": run.reason, "key": run.key_id, "id": run.run_id}
    return all(term.matches(fields) for term in query.terms)
