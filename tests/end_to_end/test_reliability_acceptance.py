"""The agreed examples of what providers' failures come to, over real HTTP on a clock turned by hand."""

import asyncio
from typing import Any

import pytest

from palyra.providers.breaker import BreakerState
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import Premises, chat
from tests.gateway.stand_in import RawAnswer
from tests.support.faults import (
    FIRST,
    FIRST_KEY,
    OVERLOADED,
    SECOND,
    SECOND_KEY,
    Faults,
    says,
    status,
    two_providers,
)
from tests.support.upstream import Reply, Upstream

ONE_TRY = "[retries]\nmax = 0\n"
ALONE = "[failover]\nenabled = false\n"
ON = "[failover]\nenabled = true\n"
RETRIES = "[retries]\nmax = 2\n"


@pytest.fixture
def faults(upstream: Upstream) -> Faults:
    return Faults(upstream)


def asked(**fields: Any) -> dict[str, Any]:
    return chat(model=FIRST, max_tokens=100, **fields)


async def after(here: Premises, seconds: float, **fields: Any) -> RawAnswer:
    """A request whose attempts need so much time in all."""
    asking = asyncio.create_task(here.ask(asked(**fields)))
    while not asking.done():
        await here.advance(seconds / 10)
        await asyncio.sleep(0)
    return await asking


def breaker(here: Premises, provider: str = "front") -> BreakerState:
    return here.engine.breakers.of(provider).state


@pytest.mark.parametrize("streaming", [False, True])
async def test_three_dispatches_that_end_in_503_open_the_breaker_and_one_tries_it_out(
    opened: Opener, upstream: Upstream, faults: Faults, streaming: bool
) -> None:
    here = await opened(ONE_TRY + ALONE + two_providers(upstream.base_url))
    faults.script(FIRST_KEY, *[OVERLOADED] * 3)
    for _ in range(3):
        assert (await here.ask(asked(stream=streaming))).error["code"] == "upstream_overloaded"
    assert breaker(here) is BreakerState.OPEN
    refused = await here.ask(asked(stream=streaming))
    assert (refused.status, refused.error["code"], refused.headers["retry-after"]) == (503, "breaker_open", "30")
    assert len(faults.asked) == 3
    run = (await here.run(refused.headers["x-palyra-run"])).run
    assert (run.state, run.reason, run.attempts) == ("refused", "no_candidate", 0)
    assert "breaker_open" in refused.headers["x-palyra-reason"]
    await here.advance(30)
    assert (await here.ask(asked(stream=streaming))).status == 200
    assert (len(faults.asked), breaker(here)) == (4, BreakerState.CLOSED)


async def test_a_long_stream_that_tries_a_provider_out_keeps_nobody_waiting_for_its_end(
    opened: Opener, upstream: Upstream, faults: Faults
) -> None:
    here = await opened(ONE_TRY + ALONE + two_providers(upstream.base_url))
    gate = asyncio.Event()
    faults.script(FIRST_KEY, *[OVERLOADED] * 3, Reply(gate=gate, gate_at=2))
    for _ in range(3):
        assert (await here.ask(asked())).status == 503
    await here.advance(30)
    long = asyncio.create_task(here.ask(asked(stream=True)))
    await here.until(lambda: breaker(here) is BreakerState.CLOSED)
    assert not long.done()
    assert (await here.ask(asked())).status == 200
    gate.set()
    assert (await long).status == 200
    assert (breaker(here), here.engine.breakers.of("front").failures) == (BreakerState.CLOSED, 0)


async def test_three_bad_requests_leave_the_breaker_closed(opened: Opener, upstream: Upstream, faults: Faults) -> None:
    here = await opened(ALONE + RETRIES + two_providers(upstream.base_url))
    faults.script(FIRST_KEY, *[status(400)] * 3)
    for _ in range(3):
        assert (await here.ask(asked())).status == 400
    assert (breaker(here), here.engine.breakers.of("front").failures) == (BreakerState.CLOSED, 0)
    assert len(faults.asked) == 3


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_failure_that_passes_is_tried_again_and_counts_for_nothing(
    opened: Opener, upstream: Upstream, faults: Faults, streaming: bool
) -> None:
    here = await opened(ALONE + RETRIES + two_providers(upstream.base_url))
    await here.add_budget("day", "1", interval_kind="daily")
    faults.script(FIRST_KEY, OVERLOADED)
    answer = await after(here, 1, stream=streaming)
    assert (answer.status, answer.headers["x-palyra-attempts"]) == (200, "2")
    assert "retry_attempt" in answer.headers["x-palyra-reason"]
    detail = await here.run(answer.headers["x-palyra-run"])
    assert (detail.run.state, detail.retry_count) == ("completed", 1)
    assert [(one.state, one.course, one.status) for one in detail.attempts] == [
        ("released", "", 503),
        ("settled", "retry", 200),
    ]
    assert (breaker(here), here.engine.breakers.of("front").failures) == (BreakerState.CLOSED, 0)
    settled, held = here.counted("day", "*")
    assert (settled, held) == (detail.run.cost_nano_usd, 0)
    usage = (await here.usage()).total
    assert (usage.requests, usage.attempts) == (1, 1)


@pytest.mark.parametrize("streaming", [False, True])
async def test_the_second_provider_serves_where_the_first_fails(
    opened: Opener, upstream: Upstream, faults: Faults, streaming: bool
) -> None:
    here = await opened(ONE_TRY + ON + two_providers(upstream.base_url))
    faults.script(FIRST_KEY, OVERLOADED)
    answer = await here.ask(asked(stream=streaming))
    assert (answer.status, answer.headers["x-palyra-model"], answer.headers["x-palyra-attempts"]) == (200, SECOND, "2")
    assert "failover_to_secondary" in answer.headers["x-palyra-reason"]
    assert faults.asked == [FIRST_KEY, SECOND_KEY]
    detail = await here.run(answer.headers["x-palyra-run"])
    assert [(one.model, one.state, one.course, one.error_class, one.status) for one in detail.attempts] == [
        (FIRST, "released", "", "transient_upstream", 503),
        (SECOND, "settled", "failover", "", 200),
    ]
    assert [one.credential_id for one in detail.attempts] == ["api_key", "api_key"]
    assert detail.decision is not None
    assert detail.decision.body["action"] == "failover"
    reasons = {one["model"]: one["reasons"] for one in detail.decision.body["candidates"]}
    assert (reasons[FIRST], reasons[SECOND]) == (["already_tried"], [])
    told = [line for line in detail.decision.sentences if line.startswith("Attempt ")]
    assert told[0].startswith(f"Attempt 1 on {FIRST} with api_key: transient_upstream (HTTP 503) after ")
    assert told[0].endswith("another model was asked.")


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_blocked_prompt_is_told_at_once(
    opened: Opener, upstream: Upstream, faults: Faults, streaming: bool
) -> None:
    here = await opened(RETRIES + ON + two_providers(upstream.base_url))
    faults.script(FIRST_KEY, status(400, says("the prompt was filtered", "content_policy_violation")))
    answer = await here.ask(asked(stream=streaming))
    assert (answer.status, answer.error["code"]) == (400, "content_policy_blocked")
    assert (faults.asked, answer.headers["x-palyra-attempts"]) == ([FIRST_KEY], "1")


async def test_a_short_retry_after_is_waited_for(opened: Opener, upstream: Upstream, faults: Faults) -> None:
    here = await opened(RETRIES + ON + two_providers(upstream.base_url))
    faults.script(FIRST_KEY, status(429, retry_after="7"))
    asking = asyncio.create_task(here.ask(asked()))
    await here.until(lambda: any(run.resting for run in here.engine.runner.live))
    await here.advance(6.999)
    assert faults.asked == [FIRST_KEY]
    assert here.engine.ledger.open_holds() == ()
    await here.advance(1)
    answer = await asking
    assert (answer.status, answer.headers["x-palyra-model"]) == (200, FIRST)
    assert (faults.asked, breaker(here)) == ([FIRST_KEY, FIRST_KEY], BreakerState.CLOSED)


async def test_a_long_retry_after_asks_the_next_provider_at_once(
    opened: Opener, upstream: Upstream, faults: Faults
) -> None:
    here = await opened(RETRIES + ON + two_providers(upstream.base_url))
    faults.script(FIRST_KEY, status(429, retry_after="90"))
    answer = await here.ask(asked())
    assert (answer.status, answer.headers["x-palyra-model"]) == (200, SECOND)
    assert (faults.asked, breaker(here)) == ([FIRST_KEY, SECOND_KEY], BreakerState.CLOSED)
    # Its only credential rests meanwhile, so the next request does not even try.
    again = await here.ask(asked())
    assert (again.headers["x-palyra-model"], len(faults.asked)) == (SECOND, 3)
    assert "failover_to_secondary" in again.headers["x-palyra-reason"]


async def test_a_long_retry_after_is_told_where_nobody_else_is_left(
    opened: Opener, upstream: Upstream, faults: Faults
) -> None:
    here = await opened(RETRIES + ALONE + two_providers(upstream.base_url))
    faults.script(FIRST_KEY, status(429, retry_after="90"))
    answer = await here.ask(asked())
    assert (answer.status, answer.error["code"]) == (429, "upstream_rate_limited")
    assert (answer.headers["retry-after"], faults.asked) == ("90", [FIRST_KEY])
    await here.advance(89)
    resting = await here.ask(asked())
    assert (resting.status, resting.error["code"], resting.headers["retry-after"]) == (503, "no_candidate", "1")
    await here.advance(1)
    assert (await here.ask(asked())).status == 200
    assert (len(faults.asked), breaker(here)) == (2, BreakerState.CLOSED)


@pytest.mark.parametrize("streaming", [False, True])
async def test_a_refused_credential_is_never_told_and_never_used_again(
    opened: Opener, upstream: Upstream, faults: Faults, streaming: bool
) -> None:
    here = await opened(RETRIES + ALONE + two_providers(upstream.base_url))
    faults.script(FIRST_KEY, status(401, says("bad credential Bearer abc12345 given")))
    answer = await here.ask(asked(stream=streaming))
    assert (answer.status, answer.error["code"]) == (502, "upstream_auth")
    assert b"abc12345" not in answer.body
    detail = await here.run(answer.headers["x-palyra-run"])
    assert (detail.run.reason, "abc12345" in detail.run.message) == ("auth_invalid", False)
    again = await here.ask(asked(stream=streaming))
    assert (again.status, again.error["code"], len(faults.asked)) == (502, "upstream_auth", 1)
    (state,) = [one.state for one in here.engine.credentials.standings("front", here.clock.now_ms())]
    assert state == "rejected"
    kept = [path.read_bytes() for path in here.state_dir.iterdir() if path.is_file()]
    assert not any(b"abc12345" in data for data in kept)


async def test_an_open_breaker_is_an_alert_that_ends_by_itself(
    opened: Opener, upstream: Upstream, faults: Faults
) -> None:
    here = await opened(ONE_TRY + ALONE + two_providers(upstream.base_url))
    faults.script(FIRST_KEY, *[OVERLOADED] * 3)
    for _ in range(3):
        await here.ask(asked())
    await here.advance(2)
    (alert,) = [one for one in here.engine.watch.book.live() if one.subject == "front"]
    assert (alert.kind, alert.severity) == ("provider_health", "danger")
    turned = [event.data["state"] for event in here.events if event.kind == "provider.breaker"]
    assert turned == ["open"]
    (shown,) = [one for one in (await here.control.snapshot([])).providers if one.provider_id == "front"]
    assert (shown.health, shown.breaker.state) == ("down", "open")
    await here.advance(30)
    assert (await here.ask(asked())).status == 200
    await here.advance(2)
    assert [one for one in here.engine.watch.book.live() if one.severity == "danger"] == []
