"""Usage in pages: each goes on where the one before stopped, either way, and a cursor that no page gave is refused."""

import pytest

from palyra.core.errors import BadInputError
from palyra.core.terms import Term
from palyra.journal.journal import Journal
from tests.journal.samples import HOUR
from tests.journal.test_roll_ups import START, add


async def test_a_breakdown_is_cut_and_goes_on(journal: Journal) -> None:
    for number in range(5):
        await add(journal, START + number, model=f"m{number}", charge=number)
    first = await journal.readers.usage_breakdown(START, START + HOUR, limit=2)
    then = await journal.readers.usage_breakdown(START, START + HOUR, limit=2, cursor=first.cursor)
    last = await journal.readers.usage_breakdown(START, START + HOUR, limit=2, cursor=then.cursor)
    assert [[entry.key for entry in page.entries] for page in (first, then, last)] == [
        ["m4", "m3"],
        ["m2", "m1"],
        ["m0", "gpt-4o-mini"],
    ]
    assert last.cursor == ""


async def test_pages_of_runs_and_attempts_go_on_where_they_stopped(journal: Journal) -> None:
    for number in range(5):
        await add(journal, START + number // 2, model=f"m{number}", principal=f"p{number}")
    runs, rows, cursor = [], [], ""
    for _ in range(3):
        page = await journal.readers.usage_runs(START, START + HOUR, limit=2, cursor=cursor)
        runs += [run.finished_at for run in page.runs]
        cursor = page.cursor
    assert (runs, cursor) == ([START + 2, START + 1, START + 1, START, START], "")
    up = await journal.readers.usage_runs(START, START + HOUR, limit=2, upward=True, terms=[Term("who", "p")])
    assert ([run.scope.principal for run in up.runs], up.cursor) == (["p1", "p0"], "")
    up = await journal.readers.usage_runs(START, START + HOUR, limit=9, upward=True, cursor=up.newer)
    assert ([run.scope.principal for run in up.runs], up.newer) == (["p4", "p3", "p2"], "")
    assert await journal.readers.count_usage_runs(START, START + HOUR, terms=[Term("who", "p3")]) == 1
    for _ in range(3):
        some = await journal.readers.usage_rows(START, START + HOUR, limit=2, cursor=cursor)
        rows += [row.model for row in some.rows]
        cursor = some.cursor
    assert (rows, cursor) == ([f"m{number}" for number in range(5)], "")


@pytest.mark.parametrize("cursor", ["x", "[1]", "1", '[1, 2, "x", "y"]', "null"])
async def test_a_cursor_that_no_page_gave_is_refused(journal: Journal, cursor: str) -> None:
    with pytest.raises(BadInputError, match="cursor"):
        await journal.readers.usage_breakdown(START, START + HOUR, cursor=cursor)


async def test_a_cursor_of_rows_that_no_page_gave_is_refused(journal: Journal) -> None:
    for ask in (journal.readers.usage_runs, journal.readers.usage_rows):
        with pytest.raises(BadInputError, match="cursor"):
            await ask(START, START + HOUR, cursor="yesterday")
