"""Pages of runs in either direction: from the newest down, or from the oldest up."""

from collections.abc import Sequence

from palyra.core.errors import BadInputError
from palyra.core.values import value
from palyra.journal.readers.query import Query, whole
from palyra.journal.rows import RunPage
from palyra.journal.tables import RUNS, run_row

MAX_PAGE = 500
FIELDS = {
    "state": "state",
    "who": "principal",
    "session": "session",
    "model": "model",
    "provider": "provider",
    "why": "reason",
    "key": "key_id",
    "id": "run_id",
}
"""What filters look at, by the names that operators type."""


@value
class Turn:
    """Which page: at most `limit` (500) runs older than the place of `cursor` (empty: the newest there are), or with
    `upward` the nearest ones that are newer (empty: the oldest there are). A page's cursors say its ends."""

    cursor: str = ""
    limit: int = 50
    upward: bool = False


class RunPages(Query):
    """Reads pages of runs, and counts them."""

    async def _page_of_runs(
        self, by: str, conditions: Sequence[str], parameters: Sequence[int | str], turn: Turn
    ) -> RunPage:
        """Newest first by the column `by`, whichever way it was come from. Raises BadInputError for a cursor that no
        page gave."""
        limit = max(1, min(turn.limit, MAX_PAGE))
        place = _place(turn.cursor) if turn.cursor else ()
        beyond = [f"({by}, seq) {'>' if turn.upward else '<'} (?, ?)"] if place else []
        picked = " AND ".join([*conditions, *beyond])
        way = "ASC" if turn.upward else "DESC"
        found = await self._listed(
            f"SELECT json_group_array(json_array({by}, seq, {RUNS.array()})) FROM (SELECT * FROM runs"
            f"{f' WHERE {picked}' if picked else ''} ORDER BY {by} {way}, seq {way} LIMIT ?)",
            lambda values: (values[0], values[1], run_row(values[2])),
            (*parameters, *place, limit + 1),
        )
        page = found[:limit]
        further, came_from = len(found) > limit, bool(turn.cursor)
        if turn.upward:
            page, further, came_from = page[::-1], came_from, further
        older = f"{page[-1][0]}.{page[-1][1]}" if page and further else ""
        newer = f"{page[0][0]}.{page[0][1]}" if page and came_from else ""
        return RunPage(tuple(run for _, _, run in page), older, newer)

    async def _count_of_runs(self, conditions: Sequence[str], parameters: Sequence[int | str]) -> int:
        picked = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        sql = f"SELECT json_array(json_array(count(*))) FROM runs{picked}"
        (count,) = await self._listed(sql, lambda values: int(values[0]), parameters)
        return count


def _place(cursor: str) -> tuple[int, int]:
    at, _, seq = cursor.partition(".")
    try:
        return whole(at), whole(seq)
    except ValueError:
        raise BadInputError(f"{cursor!r} is no cursor of a page of runs.", fix="Start again without one.") from None
