"""Attempts that follow one another: where they end, what they hold meanwhile, who may stop them, and what is told."""

import asyncio
from typing import Any

import pytest

from palyra.control.queries import DecisionQuery, RunQuery
from palyra.core.clock import settle_loop
from palyra.runs.live import LiveRun
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import HAIKU, MINI, Premises, chat, events_of
from tests.gateway.stand_in import RawAnswer
from tests.support.faults import (
    DROPS,
    ERROR_EVENT,
    FIRST,
    FIRST_KEY,
    HALF,
    OVERLOADED,
    SECOND,
    SECOND_KEY,
    Faults,
    says,
    status,
    two_providers,
)
from tests.support.upstream import Reply, Upstream

ON = "[failover]\nenabled = true\n"
OFF = "[failover]\nenabled = false\n"
ONE_TRY = "[retries]\nmax = 0\n"
ONE_PLACE = "[leases]\nprovider_start = 1\nprovider_max = 1\ncredential_start = 1\ncredential_max = 1\n"
RETRIES = "[retries]\nmax = 2\n"
WAIT = status(503, retry_after="8")


@pytest.fixture
def faults(upstream: Upstream) -> Faults:
    return Faults(upstream)


def asked(**fields: Any) -> dict[str, Any]:
    return chat(model=FIRST, max_tokens=100, **fields)


def asking(here: Premises, body: dict[str, Any] | None = None, **headers: str) -> asyncio.Task[RawAnswer]:
    named = {f"X-Palyra-{name.title()}": text for name, text in headers.items()}
    return asyncio.create_task(here.ask(body or asked(), named))


async def resting(here: Premises) -> LiveRun:
    """Waits until a run rests between two attempts, and what is known of it is written."""
    await here.until(lambda: any(run.resting for run in here.engine.runner.live))
    await here.written()
    (run,) = here.engine.runner.live
    return run


# Between attempts


async def test_nothing_is_held_while_a_run_rests(opened: Opener, upstream: Upstream, faults: Faults) -> None:
    here = await opened(RETRIES + OFF + two_providers(upstream.base_url))
    await here.add_budget("tight", "0.0001", interval_kind="daily")
    faults.script(FIRST_KEY, WAIT)
    waiting = asking(here)
    await resting(here)
    assert here.counted("tight", "*") == (0, 0)
    # The room is there for others meanwhile.
    assert (await here.ask(asked())).status == 200
    settled, held = here.counted("tight", "*")
    assert (settled > 0, held) == (True, 0)
    await here.advance(8.5)
    assert (await waiting).status == 200


async def test_a_client_that_leaves_ends_the_rest(opened: Opener, upstream: Upstream, faults: Faults) -> None:
    here = await opened(RETRIES + ON + two_providers(upstream.base_url))
    faults.script(FIRST_KEY, WAIT)
    caller = await here.call(asked())
    run = await resting(here)
    caller.close()
    await here.until(lambda: run.state.terminal)
    await here.advance(20)
    detail = await here.run(run.run_id)
    assert (detail.run.state, detail.run.reason, faults.asked) == ("cancelled", "client_gone", [FIRST_KEY])
    assert [one.state for one in detail.attempts] == ["released"]


async def test_a_cancelled_run_makes_no_further_attempt(opened: Opener, upstream: Upstream, faults: Faults) -> None:
    here = await opened(RETRIES + ON + two_providers(upstream.base_url))
    faults.script(FIRST_KEY, WAIT)
    waiting = asking(here)
    run = await resting(here)
    run.ask_to_stop("by_operator", "ada")
    answer = await waiting
    assert (answer.status, answer.error["code"], faults.asked) == (410, "run_cancelled", [FIRST_KEY])


async def test_a_stopping_engine_makes_no_further_attempt(opened: Opener, upstream: Upstream, faults: Faults) -> None:
    here = await opened(RETRIES + ON + two_providers(upstream.base_url))
    gate = asyncio.Event()
    faults.script(FIRST_KEY, WAIT, Reply(break_at=0, gate=gate))
    rests = asking(here)
    run = await resting(here)
    under_way = asking(here)
    await upstream.wait_for_requests(2)
    stopping = asyncio.create_task(here.engine.drain())
    answer = await rests
    assert (answer.status, answer.error["code"]) == (503, "engine_draining")
    gate.set()
    failed = await under_way
    assert (failed.status, failed.error["code"]) == (503, "network_unavailable")
    await stopping
    assert faults.asked == [FIRST_KEY, FIRST_KEY]
    told = await here.control.ask(DecisionQuery(run.run_id))
    assert "engine_draining" in told.reason_codes


async def test_a_breaker_that_opens_meanwhile_ends_the_retries(
    opened: Opener, upstream: Upstream, faults: Faults
) -> None:
    here = await opened(RETRIES + ON + two_providers(upstream.base_url))
    faults.script(FIRST_KEY, WAIT)
    waiting = asking(here)
    await resting(here)
    for _ in range(3):
        permit = here.engine.breakers.of("front").enter()
        assert permit is not None
        permit.fail()
    await here.advance(9)
    answer = await waiting
    assert (answer.status, answer.headers["x-palyra-model"], faults.asked) == (200, SECOND, [FIRST_KEY, SECOND_KEY])


# Where attempts end


@pytest.mark.parametrize(("reply", "second"), [(DROPS, SECOND), (OVERLOADED, "front/gpt-4.1-nano")])
async def test_who_cannot_be_reached_is_not_asked_for_another_model_first(
    opened: Opener, upstream: Upstream, faults: Faults, reply: Reply, second: str
) -> None:
    cheaper = '[[models]]\nprovider = "front"\nupstream = "gpt-4.1-nano"\n'
    here = await opened(ONE_TRY + ON + two_providers(upstream.base_url, first=cheaper))
    faults.script(FIRST_KEY, reply)
    answer = await here.ask(asked())
    assert (answer.status, answer.headers["x-palyra-model"]) == (200, second)


async def test_there_are_so_many_candidates_and_no_more(opened: Opener, upstream: Upstream, faults: Faults) -> None:
    here = await opened(ONE_TRY + ON.replace("true", "true\nmax_candidates = 2") + two_providers(upstream.base_url))
    faults.always(FIRST_KEY, OVERLOADED)
    faults.always(SECOND_KEY, status(500))
    answer = await here.ask(asked())
    assert (answer.status, answer.error["code"]) == (502, "upstream_error")
    assert faults.asked == [FIRST_KEY, SECOND_KEY]
    detail = await here.run(answer.headers["x-palyra-run"])
    assert (detail.run.reason, [one.state for one in detail.attempts]) == ("transient_upstream", ["released"] * 2)


async def test_a_caller_may_want_no_other_model(opened: Opener, upstream: Upstream, faults: Faults) -> None:
    here = await opened(ONE_TRY + ON + two_providers(upstream.base_url))
    faults.always(FIRST_KEY, OVERLOADED)
    answer = await asking(here, failover="off")
    assert (answer.status, faults.asked) == (503, [FIRST_KEY])


async def test_an_operators_list_replaces_the_free_choice(opened: Opener, upstream: Upstream, faults: Faults) -> None:
    listed = f'failover = ["{MINI}", "{SECOND}"]\n'
    here = await opened(ONE_TRY + ON + two_providers(upstream.base_url, first=listed))
    faults.always(FIRST_KEY, OVERLOADED)
    answer = await here.ask(asked())
    assert (answer.status, answer.headers["x-palyra-model"]) == (200, MINI)
    detail = await here.run(answer.headers["x-palyra-run"])
    assert detail.decision is not None
    assert [one["model"] for one in detail.decision.body["candidates"]] == [FIRST, MINI, SECOND]


async def test_a_key_gets_none_but_its_own_models(opened: Opener, upstream: Upstream, faults: Faults) -> None:
    here = await opened(ONE_TRY + ON + two_providers(upstream.base_url))
    key = here.new_key("small", "bea", allowed_models=("front/*",))
    faults.always(FIRST_KEY, OVERLOADED)
    answer = await here.ask(asked(), key=key)
    assert (answer.status, answer.error["code"], faults.asked) == (503, "upstream_overloaded", [FIRST_KEY])
    told = await here.control.ask(DecisionQuery(answer.headers["x-palyra-run"]))
    assert {"no_candidate", "not_allowed_for_key"} <= set(told.reason_codes)


async def test_a_model_of_another_wire_answers_in_the_callers(
    opened: Opener, upstream: Upstream, faults: Faults
) -> None:
    listed = f'failover = ["{HAIKU}"]\n'
    here = await opened(ONE_TRY + ON + two_providers(upstream.base_url, first=listed))
    faults.always(FIRST_KEY, OVERLOADED)
    upstream.choose = lambda seen: Reply() if seen.path.endswith("/messages") else OVERLOADED
    answer = await here.ask(asked())
    assert (answer.status, answer.headers["x-palyra-model"]) == (200, HAIKU)
    assert answer.json["choices"][0]["message"]["content"] == Reply().text


# Budgets


async def test_a_budget_that_cannot_hold_the_next_attempt_refuses_the_run(
    opened: Opener, upstream: Upstream, faults: Faults
) -> None:
    here = await opened("[retries]\nmax = 1\n" + OFF + two_providers(upstream.base_url))
    await here.add_budget("requests", "1", metric_kind="requests", interval_kind="daily")
    faults.script(FIRST_KEY, Reply(break_at=0))
    waiting = asking(here)
    await resting(here)
    await here.advance(0.2)
    answer = await waiting
    assert (answer.status, answer.error["code"], faults.asked) == (402, "budget_blocked", [FIRST_KEY])
    assert "broke the connection" in answer.error["message"]
    detail = await here.run(answer.headers["x-palyra-run"])
    assert (detail.run.state, detail.run.reason) == ("refused", "budget_exceeded")
    assert "broke the connection" in detail.run.message
    assert [(one.state, one.flags) for one in detail.attempts] == [("settled", ("uncertain",))]
    assert detail.run.cost_nano_usd == detail.attempts[0].actual_nano_usd


async def test_a_budget_that_has_no_room_for_the_only_secondary_refuses_the_run(
    opened: Opener, upstream: Upstream, faults: Faults
) -> None:
    here = await opened(ONE_TRY + ON + two_providers(upstream.base_url, first=f'failover = ["{SECOND}"]\n'))
    await here.add_budget("none", "0", scope_kind="provider", scope_id="backup")
    faults.always(FIRST_KEY, OVERLOADED)
    answer = await here.ask(asked())
    assert (answer.status, answer.error["code"], faults.asked) == (402, "budget_blocked", [FIRST_KEY])
    assert "front answered 503" in answer.error["message"]
    detail = await here.run(answer.headers["x-palyra-run"])
    assert (detail.run.state, detail.run.reason, detail.run.model) == ("refused", "budget_exceeded", FIRST)
    assert [one.state for one in detail.attempts] == ["released"]


async def test_a_budget_passes_over_a_secondary_it_has_no_room_for(
    opened: Opener, upstream: Upstream, faults: Faults
) -> None:
    here = await opened(ONE_TRY + ON + two_providers(upstream.base_url))
    await here.add_budget("none", "0", scope_kind="provider", scope_id="backup")
    faults.always(FIRST_KEY, OVERLOADED)
    answer = await here.ask(asked())
    assert (answer.status, answer.headers["x-palyra-model"]) == (200, MINI)


async def test_each_attempt_is_charged_for_itself(opened: Opener, upstream: Upstream, faults: Faults) -> None:
    here = await opened("[retries]\nmax = 1\n" + ON + two_providers(upstream.base_url))
    await here.add_budget("day", "1", interval_kind="daily")
    faults.always(FIRST_KEY, DROPS)
    waiting = asking(here)
    await resting(here)
    shown = (await here.live()).popitem()[1]
    assert shown.cost_nano_usd == here.counted("day", "*")[0] > 0
    await here.advance(0.2)
    answer = await waiting
    detail = await here.run(answer.headers["x-palyra-run"])
    costs = [one.actual_nano_usd or 0 for one in detail.attempts]
    assert (len(costs), costs[0], min(costs) > 0) == (3, costs[1], True)
    assert (detail.run.cost_nano_usd, detail.run.flags) == (sum(costs), ("uncertain",))
    assert here.counted("day", "*") == (sum(costs), 0)
    total = (await here.usage()).total
    assert (total.requests, total.attempts, total.cost_nano_usd) == (1, 3, sum(costs))


# Streams


async def test_nothing_follows_a_stream_that_has_begun(opened: Opener, upstream: Upstream, faults: Faults) -> None:
    here = await opened(RETRIES + ON + two_providers(upstream.base_url))
    faults.always(FIRST_KEY, HALF)
    answer = await here.ask(asked(stream=True))
    assert (answer.status, faults.asked) == (200, [FIRST_KEY])
    assert events_of(answer.body)[-1]["error"]["code"] == "network_unavailable"
    (attempt,) = (await here.run(answer.headers["x-palyra-run"])).attempts
    assert (attempt.state, attempt.error_class) == ("settled", "network_unavailable")


async def test_an_error_before_the_first_byte_is_followed_by_the_next(
    opened: Opener, upstream: Upstream, faults: Faults
) -> None:
    here = await opened(RETRIES + ON + two_providers(upstream.base_url))
    faults.always(FIRST_KEY, ERROR_EVENT)
    answer = await here.ask(asked(stream=True))
    assert (answer.status, answer.headers["x-palyra-model"], faults.asked) == (200, SECOND, [FIRST_KEY, SECOND_KEY])
    assert not any("error" in event for event in events_of(answer.body))


@pytest.mark.parametrize("counted", [True, False])
async def test_an_answer_that_is_no_stream_shows_nothing_and_is_followed_by_the_next(
    opened: Opener, upstream: Upstream, faults: Faults, counted: bool
) -> None:
    here = await opened(RETRIES + ON + two_providers(upstream.base_url))
    faults.always(FIRST_KEY, Reply(unstreamed=True, usage=counted))
    answer = await here.ask(asked(stream=True))
    assert (answer.status, answer.headers["x-palyra-model"], faults.asked) == (200, SECOND, [FIRST_KEY, SECOND_KEY])
    assert not any("error" in event for event in events_of(answer.body))
    first, second = (await here.run(answer.headers["x-palyra-run"])).attempts
    assert (first.state, first.error_class, second.state) == ("settled", "malformed_response", "settled")
    assert (first.actual_nano_usd == second.actual_nano_usd) is counted


async def test_a_parked_streams_signs_of_life_are_no_answer(opened: Opener, upstream: Upstream, faults: Faults) -> None:
    here = await opened(ONE_TRY + ON + two_providers(upstream.base_url))
    await here.add_budget("desk", "0", action="approval_required")
    faults.always(FIRST_KEY, OVERLOADED)
    caller = await here.call(asked(stream=True))
    approval = await here.parked()
    await here.advance(10)
    await here.allow(approval.approval_id)
    answer = await caller.answer()
    events = events_of(answer.body)
    assert not any("error" in event for event in events)
    assert faults.asked == [FIRST_KEY, SECOND_KEY]


# Out of reach


async def test_a_refused_credential_leaves_the_work_to_another_provider(
    opened: Opener, upstream: Upstream, faults: Faults
) -> None:
    here = await opened(RETRIES + ON + two_providers(upstream.base_url))
    faults.script(FIRST_KEY, status(403, says("not yours")))
    assert (await here.ask(asked())).headers["x-palyra-attempts"] == "2"
    again = await here.ask(asked())
    assert (again.headers["x-palyra-model"], again.headers["x-palyra-attempts"]) == (SECOND, "1")
    detail = await here.run(again.headers["x-palyra-run"])
    assert detail.decision is not None
    reasons = {one["model"]: one["reasons"] for one in detail.decision.body["candidates"]}
    assert (reasons[FIRST], detail.decision.body["action"]) == (["unhealthy"], "failover")
    assert faults.asked == [FIRST_KEY, SECOND_KEY, SECOND_KEY]


async def test_who_does_badly_is_passed_over_where_others_would_do(
    opened: Opener, upstream: Upstream, faults: Faults
) -> None:
    lasting = "[breaker]\nfailures = 100\n[smart_routing]\nenabled = false\n"
    here = await opened(lasting + ONE_TRY + OFF + two_providers(upstream.base_url))
    assert (await here.ask(chat(model="auto"))).headers["x-palyra-model"] == FIRST
    faults.script(FIRST_KEY, *[OVERLOADED] * 4)
    for _ in range(4):
        assert (await here.ask(asked())).status == 503
    answer = await here.ask(chat(model="auto"))
    assert answer.headers["x-palyra-model"] == SECOND
    detail = await here.run(answer.headers["x-palyra-run"])
    assert detail.decision is not None
    reasons = {one["model"]: one["reasons"] for one in detail.decision.body["candidates"]}
    assert (reasons[FIRST], reasons[SECOND]) == (["unhealthy"], [])
    # Who names it gets it.
    assert (await here.ask(asked())).headers["x-palyra-model"] == FIRST


async def test_a_place_is_waited_for_holding_nothing(opened: Opener, upstream: Upstream, faults: Faults) -> None:
    here = await opened(ONE_TRY + OFF + ONE_PLACE + two_providers(upstream.base_url))
    await here.add_budget("day", "1", interval_kind="daily")
    gate = asyncio.Event()
    faults.script(FIRST_KEY, Reply(gate=gate))
    first = asking(here)
    await upstream.wait_for_requests(1)
    held = here.counted("day", "*")
    second, third = asking(here), asking(here)
    await here.until(lambda: here.engine.leases.waiting("front") == 2)
    assert here.counted("day", "*") == held
    assert len(here.engine.ledger.open_holds()) == 1
    gate.set()
    answers = await asyncio.gather(first, second, third)
    assert [one.status for one in answers] == [200, 200, 200]
    assert here.engine.leases.of_provider("front").in_use == 0


async def test_who_waits_for_a_person_keeps_nobody_from_a_place(
    opened: Opener, upstream: Upstream, faults: Faults
) -> None:
    here = await opened(ONE_TRY + OFF + ONE_PLACE + two_providers(upstream.base_url))
    asks = {"metric_kind": "requests", "interval_kind": "daily", "action": "approval_required"}
    await here.add_budget("day", "2", **asks)
    gate = asyncio.Event()
    faults.script(FIRST_KEY, Reply(gate=gate))
    first = asking(here)
    await upstream.wait_for_requests(1)
    second, third = asking(here), asking(here)
    await here.until(lambda: here.engine.leases.waiting("front") == 2)
    gate.set()
    assert [(await one).status for one in (first, second)] == [200, 200]
    await here.pending()
    assert here.engine.leases.of_provider("front").in_use == 0
    await here.advance(60)
    assert (await third).error["code"] == "budget_approval_required"


async def test_a_place_that_never_comes_is_told_or_leads_elsewhere(
    opened: Opener, upstream: Upstream, faults: Faults
) -> None:
    here = await opened(ONE_TRY + ON + ONE_PLACE + two_providers(upstream.base_url))
    gate = asyncio.Event()
    faults.script(FIRST_KEY, Reply(gate=gate))
    first = asking(here)
    await upstream.wait_for_requests(1)
    elsewhere, nowhere = asking(here), asking(here, failover="off")
    background = asyncio.create_task(here.ask(asked(), {"X-Palyra-Task-Class": "background_automation"}))
    deferred = await background
    assert (deferred.status, deferred.error["code"]) == (503, "lease_timeout")
    await here.written()
    detail = await here.control.ask(RunQuery(deferred.headers["x-palyra-run"]))
    assert (detail.run.state, detail.run.reason, detail.attempts) == ("failed", "deferred", ())
    assert detail.decision is not None
    assert detail.decision.body["action"] == "defer"
    assert "lease_deferred" in detail.decision.reason_codes
    await here.until(lambda: here.engine.leases.waiting("front") == 2)
    await here.advance(30)
    refused = await nowhere
    assert (refused.status, refused.error["code"]) == (503, "lease_timeout")
    assert int(refused.headers["retry-after"]) >= 1
    served = await elsewhere
    assert (served.status, served.headers["x-palyra-model"]) == (200, SECOND)
    gate.set()
    assert (await first).status == 200
    await settle_loop()
