"""What goes wrong at providers: told in the caller's terms, nothing held, and our credential never shown."""

import asyncio
import json
from typing import Any

import openai
import pytest

from palyra.control.queries import RunsQuery
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import HAIKU, HELLO, MINI, UPSTREAM_KEY, Premises, chat, events_of, message
from tests.end_to_end.test_streams import charged
from tests.support.upstream import Reply, Upstream

PLAIN = chat(max_tokens=100)


def says(text: str, kind: str = "x") -> bytes:
    return json.dumps({"error": {"message": text, "type": kind, "code": kind}}).encode()


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("reply", "status", "kind", "code", "reason"),
    [
        (Reply(status=401), 502, "api_error", "upstream_auth", "auth_invalid"),
        (Reply(status=403), 502, "api_error", "upstream_auth", "permission_denied"),
        (
            Reply(status=429, error_body=says("You exceeded your current quota", "insufficient_quota")),
            502,
            "api_error",
            "upstream_quota",
            "quota_exceeded",
        ),
        (
            Reply(status=429, headers={"retry-after": "7"}),
            429,
            "rate_limit_error",
            "upstream_rate_limited",
            "rate_limited",
        ),
        (Reply(status=500), 502, "api_error", "upstream_error", "transient_upstream"),
        (Reply(status=503), 503, "overloaded_error", "upstream_overloaded", "transient_upstream"),
        (
            Reply(status=400, error_body=says("maximum context length is 128000 tokens", "context_length_exceeded")),
            400,
            "invalid_request_error",
            "context_window_exceeded",
            "context_window_exceeded",
        ),
    ],
)
async def test_an_error_is_told_in_our_terms_and_costs_nothing(
    here: Premises, upstream: Upstream, reply: Reply, status: int, kind: str, code: str, reason: str, streaming: bool
) -> None:
    await here.add_budget("day", "1", interval_kind="daily")
    upstream.default = reply
    for body in (PLAIN, message()):
        answer = await here.ask({**body, "stream": streaming})
        assert (answer.status, answer.error["type"], answer.error["code"]) == (status, kind, code)
        assert answer.error["palyra"]["run_id"] == answer.headers["x-palyra-run"]
        assert answer.headers.get("retry-after") == (
            reply.headers.get("retry-after") or ("1" if status == 503 else None)
        )
        detail = await here.run(answer.headers["x-palyra-run"])
        assert (detail.run.state, detail.run.reason, detail.run.cost_nano_usd) == ("failed", reason, 0)
        assert [attempt.state for attempt in detail.attempts] == ["released"]
    assert here.counted("day", "*") == (0, 0)
    total = (await here.usage()).total
    assert (total.failed, total.cost_nano_usd) == (2, 0)


@pytest.mark.parametrize("status", [400, 404, 413, 422])
async def test_what_is_the_callers_own_fault_passes_as_it_came(here: Premises, upstream: Upstream, status: int) -> None:
    body = says("messages[0].role is not known")
    upstream.default = Reply(status=status, error_body=body)
    answer = await here.ask(PLAIN)
    assert (answer.status, answer.body) == (status, body)
    assert (await here.run()).run.reason == "permanent_upstream"


async def test_official_clients_see_a_bad_request_of_the_provider(here: Premises, upstream: Upstream) -> None:
    upstream.default = Reply(status=400, error_body=says("temperature is out of range", "invalid_request_error"))
    with pytest.raises(openai.BadRequestError, match="temperature is out of range"):
        await here.openai().chat.completions.create(model=MINI, messages=HELLO)


@pytest.mark.parametrize("status", [400, 401, 500])
async def test_our_credential_is_never_told(here: Premises, upstream: Upstream, status: int) -> None:
    upstream.default = Reply(status=status, error_body=says(f"Incorrect API key provided: {UPSTREAM_KEY}."))
    answer = await here.ask(PLAIN)
    assert upstream.seen[0].headers["authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert UPSTREAM_KEY.encode() not in answer.body
    assert b"Incorrect API key provided" in answer.body
    run = (await here.run()).run
    assert UPSTREAM_KEY not in run.message
    kept = [path.read_bytes() for path in here.state_dir.iterdir() if path.is_file()]
    assert len(kept) > 3
    assert not any(UPSTREAM_KEY.encode() in data for data in kept)


async def test_a_provider_that_cannot_be_reached_costs_nothing(here: Premises, upstream: Upstream) -> None:
    await here.add_budget("day", "1", interval_kind="daily")
    await upstream.stop()
    answer = await here.ask(PLAIN)
    assert (answer.status, answer.error["code"]) == (503, "network_unavailable")
    detail = await here.run()
    assert (detail.run.reason, [one.state for one in detail.attempts]) == ("network_unavailable", ["released"])
    assert here.counted("day", "*") == (0, 0)


async def test_a_request_that_was_read_and_never_answered_costs_its_input(here: Premises, upstream: Upstream) -> None:
    upstream.default = Reply(break_at=0)
    answer = await here.ask(PLAIN)
    assert (answer.status, answer.error["code"]) == (503, "network_unavailable")
    detail = await here.run()
    (attempt,) = detail.attempts
    assert (attempt.state, attempt.flags) == ("settled", ("uncertain",))
    assert detail.run.cost_nano_usd == charged(MINI, 0)
    assert len(upstream.seen) == 1


async def test_a_provider_that_never_answers_is_given_up(opened: Opener, upstream: Upstream) -> None:
    here = await opened()
    upstream.default = Reply(gate=asyncio.Event())
    waiting = asyncio.create_task(here.ask(PLAIN))
    await upstream.wait_for_requests(1)
    await here.advance(600)
    answer = await waiting
    assert (answer.status, answer.error["type"], answer.error["code"]) == (504, "timeout_error", "provider_timeout")
    detail = await here.run()
    assert (detail.run.reason, detail.run.cost_nano_usd) == ("provider_timeout", charged(MINI, 0))


async def test_an_answer_nobody_can_read_costs_its_input(here: Premises, upstream: Upstream) -> None:
    upstream.default = Reply(raw=b"<html>gateway time-out</html>")
    answer = await here.ask(PLAIN)
    assert (answer.status, answer.error["code"]) == (502, "malformed_response")
    detail = await here.run()
    assert (detail.run.reason, detail.run.cost_nano_usd) == ("malformed_response", charged(MINI, 0))


async def test_a_provider_without_a_credential_is_not_asked(opened: Opener, upstream: Upstream) -> None:
    here = await opened(
        '[providers.bare]\nkind = "openai_compatible"\napi_key_env = "NOT_SET_ANYWHERE"\n'
        '[[models]]\nprovider = "bare"\nupstream = "gpt-4o"\n'
    )
    answer = await here.ask(chat(model="bare/gpt-4o"))
    assert (answer.status, answer.error["code"]) == (502, "upstream_auth")
    assert "NOT_SET_ANYWHERE" in answer.error["message"]
    detail = await here.run()
    assert (detail.run.state, detail.run.reason, detail.attempts) == ("refused", "no_candidate", ())
    assert detail.decision is not None
    assert "unhealthy" in detail.decision.reason_codes


# Models a caller may not have


async def test_a_model_nobody_has_is_not_found_and_the_nearest_is_named(here: Premises) -> None:
    answer = await here.ask(chat(model="gpt-4o-mimi"))
    assert (answer.status, answer.error["type"], answer.error["code"]) == (404, "not_found_error", "model_not_found")
    assert f'Did you mean "{MINI}"?' in answer.error["message"]
    with pytest.raises(openai.NotFoundError):
        await here.openai().chat.completions.create(model="nothing-like-it", messages=HELLO)
    assert (await here.control.ask(RunsQuery())).runs == ()


async def test_a_key_gets_its_own_models_only(here: Premises, upstream: Upstream) -> None:
    key = here.new_key("small", "bea", allowed_models=("openai/*",))
    refused = await here.ask(message(), key=key)
    assert (refused.status, refused.error["type"], refused.error["code"]) == (
        403,
        "permission_error",
        "model_not_allowed",
    )
    assert [model.id async for model in here.openai(key).models.list()] == ["auto", MINI]
    assert (await here.ask(PLAIN, key=key)).status == 200
    assert (await here.ask(chat(model="auto"), key=key)).headers["x-palyra-model"] == MINI
    assert [run.model for run in await here.runs()] == [MINI, MINI]


async def test_a_model_whose_wire_has_no_words_for_it_cannot_serve(here: Premises, upstream: Upstream) -> None:
    caller = await here.caller()
    body = chat(model=HAIKU, n=2)
    caller.request("POST", "/v1/chat/completions", {"Authorization": f"Bearer {here.key}"}, body)
    answer = await caller.answer()
    assert (answer.status, answer.error["code"], answer.error["param"]) == (400, "capability_missing", "n")
    assert upstream.seen == []
    run = (await here.run()).run
    assert (run.state, run.reason) == ("refused", "no_candidate")


async def test_an_error_after_signs_of_life_is_an_event(here: Premises, upstream: Upstream) -> None:
    await here.add_budget("desk", "0", action="approval_required")
    upstream.default = Reply(status=500)
    caller = await here.call({**PLAIN, "stream": True})
    approval = await here.parked()
    await here.advance(10)
    await here.allow(approval.approval_id)
    answer: Any = await caller.answer()
    assert answer.status == 200
    assert events_of(answer.body)[0]["error"]["code"] == "upstream_error"


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("usage", "charged_input"),
    [({"prompt_tokens": 1_000, "completion_tokens": 0}, 1_000), ({"prompt_tokens": 0}, 0), ("much", 0)],
)
async def test_an_error_that_says_what_it_used_is_charged_for_it(
    here: Premises, upstream: Upstream, usage: object, charged_input: int, streaming: bool
) -> None:
    await here.add_budget("day", "1", interval_kind="daily")
    said = {"error": {"message": "the filter stopped it", "type": "x"}, "model": "gpt-4o-mini", "usage": usage}
    upstream.default = Reply(status=500, error_body=json.dumps(said).encode())
    assert (await here.ask({**PLAIN, "stream": streaming})).status == 502
    run = (await here.run()).run
    assert (run.state, run.input_tokens) == ("failed", charged_input)
    # gpt-4o-mini takes $0.15 for a million tokens of input.
    assert here.counted("day", "*") == (charged_input * 150, 0)
    assert run.cost_nano_usd == charged_input * 150
