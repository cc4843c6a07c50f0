"""Work without a client waits for a person for as long as the record stays open."""

import asyncio
import math
from collections.abc import Mapping

import pytest

from palyra.core.clock import settle_loop
from palyra.core.scope import Scope
from palyra.providers.request import parse_request
from palyra.providers.wires import Wire
from palyra.runs.request import GoneCallback, Outcome, RunReport, RunRequest
from tests.end_to_end.asking import closed
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import HELLO, MINI, Premises
from tests.support.upstream import Upstream


class Nobody:
    """No connection is open behind a job."""

    gone = False
    streaming = False

    def on_gone(self, callback: GoneCallback) -> None:
        pass

    async def parked(self, report: RunReport) -> None:
        pass

    async def begin(self, report: RunReport, headers: Mapping[str, str]) -> None:
        raise AssertionError("nobody reads")

    async def write(self, data: bytes) -> None:
        raise AssertionError("nobody reads")


def job(here: Premises, source: str = "job", session: str = "night") -> asyncio.Task[Outcome]:
    body = b'{"model": "%b", "messages": [{"role": "user", "content": "%b"}], "max_tokens": 50}'
    parsed = parse_request(Wire.CHAT, body % (MINI.encode(), HELLO[0]["content"].encode()))
    request = RunRequest(Scope("nightly", session, job="report"), parsed, source=source, park_seconds=math.inf)
    return asyncio.create_task(here.engine.runner.execute(request, Nobody()))


@pytest.mark.parametrize("source", ["job", "task"])
async def test_a_job_waits_far_longer_than_a_client(here: Premises, source: str) -> None:
    await closed(here)
    work = job(here, source)
    view = await here.parked()
    assert view.park_until == here.clock.now_ms() + 900_000
    await here.advance(880)
    assert not work.done()
    await here.allow(view.approval_id)
    assert (await work).state == "completed"


async def test_a_job_hears_that_nobody_answered(here: Premises, upstream: Upstream) -> None:
    await closed(here)
    work = job(here)
    view = await here.parked()
    await here.advance(901)
    outcome = await work
    assert (outcome.state, outcome.reason) == ("refused", "budget_approval_required")
    (ended,) = await here.approvals()
    assert (ended.approval_id, ended.decision) == (view.approval_id, "timeout")
    assert upstream.seen == []


async def test_jobs_take_no_places_of_keys(opened: Opener) -> None:
    here = await opened("[gateway]\nmax_parked = 4\nmax_parked_per_key = 1\n")
    await closed(here)
    works = [job(here, session=f"s{number}") for number in range(3)]
    await here.until(lambda: len(here.engine.parking) == 3)
    await settle_loop()
    for view in await here.approvals():
        await here.deny(view.approval_id)
    assert {(await work).reason for work in works} == {"budget_denied"}
