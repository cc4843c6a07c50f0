"""Plans that are made anew: what others refer to of them is kept, whatever becomes of whoever made them first."""

import asyncio

from palyra.runs.states import Phase
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import HELLO, chat
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
    books = read_books(here.state_dir)
    named = {row["id"] for row in books["replay_names"].values()}
    plans = [row for row in books["replay_log"].values() if row["kind"] == 0]
    assert {row["scope"] for row in plans} | {row["shape"] for row in plans} <= named
