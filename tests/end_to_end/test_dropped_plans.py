"""Plans that are made anew: what others refer to of them is kept, whatever becomes of whoever made them first."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from palyra.core.clock import settle_loop
from palyra.journal import writer
from palyra.runs.states import Phase
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import HELLO, Premises, chat
from tests.support.upstream import Reply, Upstream
from tests.toughness.books import read_books

ONE_PLACE = """
[leases]
provider_start = 1
provider_max = 1
credential_start = 1
credential_max = 1
"""
LONG = [{"role": "user", "content": "word " * 20_000}]


class SlowDisk:
    """While `down`, a commit waits for `go` and fails then."""

    def __init__(self) -> None:
        self.down = False
        self.go = threading.Event()
        self.tried = 0
        self._commit = writer._commit

    def commit(self, database: sqlite3.Connection, *rest: Any) -> Any:
        if not self.down:
            return self._commit(database, *rest)
        self.tried += 1
        self.go.wait()
        raise sqlite3.OperationalError("disk I/O error")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowDisk]:
    disk = SlowDisk()
    monkeypatch.setattr(writer, "_commit", disk.commit)
    yield disk
    disk.down = False
    disk.go.set()


async def test_the_names_of_a_plan_outlive_a_caller_who_left_in_line(opened: Opener, upstream: Upstream) -> None:
    here = await opened(ONE_PLACE)
    await here.add_budget("tokens", "2000", metric_kind="total_tokens", action="block")
    gate = asyncio.Event()
    upstream.default = Reply(gate=gate)
    first = asyncio.create_task(here.ask(chat(max_tokens=50, messages=HELLO)))
    await upstream.wait_for_requests(1)
    waiting = await here.call(chat(max_tokens=50, stream=True))
    await here.until(lambda: any(run.row.phase == Phase.LEASE for run in here.engine.runner.live))
    # Of the same kind as the one that waits, but refused at once: its plan is written while that one's is not.
    refused = await here.ask(chat(max_tokens=50, stream=True, messages=LONG))
    assert refused.status == 402
    waiting.close()
    await here.until(lambda: len(list(here.engine.runner.live)) == 1)
    gate.set()
    assert (await first).status == 200
    await here.rest()
    assert plans_of(here) > 0


async def test_the_names_of_a_plan_outlive_a_write_that_failed(opened: Opener, disk: SlowDisk) -> None:
    here = await opened()
    await here.add_budget("tokens", "2000", metric_kind="total_tokens", action="block")
    disk.down = True
    held = asyncio.create_task(here.ask(chat(max_tokens=50, stream=True, messages=HELLO)))
    await turned(lambda: disk.tried == 1)
    before = here.engine.journal.stats.queue_units
    # Planned while nobody knows yet that what is being written will fail; unlike a hold, it is written later.
    refused = asyncio.create_task(here.ask(chat(max_tokens=50, stream=True, messages=LONG)))
    await turned(lambda: here.engine.journal.stats.queue_units > before)
    disk.go.set()
    assert (await held).status == 503
    assert (await refused).status == 503
    disk.down = False
    await here.advance(1)
    await here.engine.catch_up()
    await here.rest()
    assert plans_of(here) == 1


async def turned(arrived: Callable[[], bool]) -> None:
    """Waits for what no event tells of."""
    while not arrived():
        await settle_loop(10)


def plans_of(here: Premises) -> int:
    """How many plans the journal has; each refers to names that it has too."""
    books = read_books(here.state_dir)
    named = {row["id"] for row in books["replay_names"].values()}
    plans = [row for row in books["replay_log"].values() if row["kind"] == 0]
    assert {row["scope"] for row in plans} | {row["shape"] for row in plans} <= named
    return len(plans)
