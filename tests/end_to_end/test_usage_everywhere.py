"""Usage is the same to every console: in the engine's process, over its socket, and from the journal it leaves."""

from pathlib import Path
from typing import Any

from palyra.control.export import ExportFormat, export_usage
from palyra.control.offline import offline_control
from palyra.control.remote import RemoteControl
from palyra.control.usage_queries import (
    InsightsQuery,
    UsageQuery,
    UsageRowsQuery,
    UsageRunsQuery,
)
from palyra.core.clock import ManualClock
from palyra.core.usage_filter import UsageFilter
from tests.end_to_end.premises import DAY_MS, Premises, chat, configuration, premises
from tests.support.upstream import Reply, Upstream

ASKED = chat(max_tokens=100)
BY = ("model", "provider", "user", "session", "channel", "agent", "job", "key", "tag")


async def some_traffic(here: Premises, upstream: Upstream) -> None:
    for session in ("one", "two", "two"):
        assert (await here.ask(ASKED, {"X-Palyra-Session": session, "X-Palyra-Tags": "team=blue"})).status == 200
    upstream.default = Reply(status=500)
    assert (await here.ask(ASKED)).status != 200
    await here.add_budget("shut", "0")
    assert (await here.ask(ASKED)).status == 402
    await here.rest()


def questions(now: int) -> list[Any]:
    since, until = now - DAY_MS, now + 1
    return [
        *[UsageQuery(since, until, by, "hour", "Asia/Kolkata") for by in BY],
        UsageQuery(since, until, "session", "day", "Europe/Prague", where=UsageFilter(session="two")),
        UsageRunsQuery(since, until),
        UsageRunsQuery(since, until, UsageFilter(session="two"), limit=1),
        UsageRowsQuery(since, until, UsageFilter(job="")),
        InsightsQuery(since, until),
    ]


async def test_every_console_gets_the_same_answers(tmp_path: Path) -> None:
    clock = ManualClock()
    async with Upstream().serving() as upstream:
        async with premises(upstream, tmp_path, clock=clock) as here:
            await some_traffic(here, upstream)
            asked = questions(clock.now_ms())
            local = [await here.control.ask(query) for query in asked]
            remote = RemoteControl(here.state_dir, operator="", environ={})
            try:
                assert [await remote.ask(query) for query in asked] == local
            finally:
                await remote.close()
        async with offline_control(configuration(upstream), tmp_path, None, clock) as control:
            assert [await control.ask(query) for query in asked[:-1]] == local[:-1]
            insights = await control.ask(asked[-1])
    assert (insights.reasons, insights.mix, insights.decisions) == (
        local[-1].reasons,
        local[-1].mix,
        local[-1].decisions,
    )
    first = local[0]
    assert (first.total.requests, first.total.refused, first.total.ok) == (5, 1, 3)
    assert sum(step.total.requests for step in first.timeline) == 5
    assert {entry.key for entry in local[3].breakdown} >= {"one", "two"}
    assert local[9].total.requests == 2
    assert insights.reasons["budget_ok"] >= 4


async def test_an_export_adds_up_to_the_totals(here: Premises, upstream: Upstream) -> None:
    await some_traffic(here, upstream)
    now = here.clock.now_ms()
    pieces: list[bytes] = []
    query = UsageRowsQuery(now - DAY_MS, now + 1, limit=1)
    count = await export_usage(here.control, query, ExportFormat.CSV, pieces.append)
    total = (await here.usage()).total
    lines = b"".join(pieces).decode().splitlines()
    charge = lines[0].split(",").index("charge_nano_usd")
    assert (count, len(lines) - 1) == (total.attempts, total.attempts)
    assert sum(int(line.split(",")[charge] or 0) for line in lines[1:]) == total.cost_nano_usd > 0
