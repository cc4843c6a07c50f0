"""Opening and recounting the books while the engine goes on."""

import asyncio
import threading
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from palyra.control import ledger_check
from palyra.control.commands import AddPolicy
from palyra.control.queries import LedgerQuery
from palyra.governance.recount import Recount
from palyra.governance.verify import verify
from palyra.journal.readers import Readers
from palyra.journal.rows import HoldRow
from palyra.runs.policies import ROWS_PER_STEP
from tests.control.test_local import a_house, control_of
from tests.journal.samples import a_hold, a_run


async def test_the_books_are_rebuilt_beside_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def beside(*values: Any, **named: Any) -> Any:
        threads.append(threading.get_ident())
        return verify(*values, **named)

    monkeypatch.setattr(ledger_check, "verify", beside)
    async with a_house(tmp_path) as house:
        answer = await control_of(house).ask(LedgerQuery())
    assert (answer.ok, answer.live) == (True, True)
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_sums_are_checked_in_stretches_that_come_to_the_whole(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        control = control_of(house)
        await house.engine.journal._connection.run(
            lambda database: database.execute(
                "INSERT INTO usage_sums SELECT 'user', 'nobody', '', 900000, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 1"
            )
        )
        whole = await control.ask(LedgerQuery())
        counters = await control.ask(LedgerQuery("counters"))
        stretches = [await control.ask(LedgerQuery("sums"))]
        while stretches[-1].sums_cursor:
            stretches.append(await control.ask(LedgerQuery("sums", stretches[-1].sums_cursor)))
    assert (counters.ok, counters.sums_share, counters.counters) == (True, 0.0, whole.counters)
    assert [stretch.sums_share for stretch in stretches] == sorted(stretch.sums_share for stretch in stretches)
    found = [text for stretch in stretches for text in stretch.rollup_differences]
    assert (stretches[-1].sums_share, found) == (1.0, ["usage_sums user [900000, 'nobody', '']"])
    assert (whole.ok, list(whole.rollup_differences)) == (False, found)


async def test_others_have_turns_while_a_new_budget_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = 0
    seen: list[int] = []

    async def many(_: Readers, since: int = 0) -> AsyncIterator[tuple[HoldRow, ...]]:
        yield tuple(a_hold(a_run(), f"h{number}") for number in range(5 * ROWS_PER_STEP))

    def add(_: Recount, row: HoldRow) -> None:
        nonlocal counted
        counted += 1

    async def others() -> None:
        while True:
            seen.append(counted)
            await asyncio.sleep(0)

    async with a_house(tmp_path) as house:
        monkeypatch.setattr(Readers, "holds_for_rebuild", many)
        monkeypatch.setattr(Recount, "add", add)
        watching = asyncio.create_task(others())
        assert (await control_of(house).send(AddPolicy({"policy_id": "x", "hard_limit": "1"}))).ok
        watching.cancel()
        monkeypatch.undo()
    assert counted == 5 * ROWS_PER_STEP
    assert max(after - before for before, after in pairwise(seen)) <= ROWS_PER_STEP
