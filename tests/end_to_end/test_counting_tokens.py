"""Counting a prompt costs nothing: no run, no hold, no budget asked; only the key must be good for the model."""

import asyncio
from typing import Any

import anthropic
import pytest

from palyra.core.clock import settle_loop
from tests.end_to_end.premises import HAIKU, HELLO, MINI, Premises, message
from tests.gateway.stand_in import RawAnswer
from tests.support.upstream import Reply, Upstream

PATH = "/v1/messages/count_tokens"
TOOL: Any = {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}


async def count(here: Premises, headers: dict[str, str] | None = None, **body: Any) -> RawAnswer:
    return await here.ask({"model": HAIKU, "messages": HELLO, **body}, headers, path=PATH)


async def test_the_provider_s_own_count_passes_byte_for_byte(here: Premises, upstream: Upstream) -> None:
    upstream.default = Reply(input_tokens=123)
    answer = await here.anthropic().messages.count_tokens(
        model="claude-haiku-4-5", messages=HELLO, system="Be brief.", tools=[TOOL]
    )
    assert answer.input_tokens == 123
    (seen,) = upstream.seen
    assert seen.path == PATH
    assert seen.json == {"model": "claude-haiku-4-5", "messages": HELLO, "system": "Be brief.", "tools": [TOOL]}
    assert seen.headers["x-api-key"].startswith("sk-upstream-")
    raw = await count(here)
    assert raw.body == upstream.seen[1].sent[0]
    assert upstream.seen[1].headers["anthropic-version"] == "2023-06-01"
    assert upstream.seen[1].json["model"] == "claude-haiku-4-5"
    assert await here.runs() == ()


async def test_another_provider_s_model_is_counted_by_what_is_expected(here: Premises, upstream: Upstream) -> None:
    answer = await here.anthropic().messages.count_tokens(model=MINI, messages=[{"role": "user", "content": "x" * 372}])
    # The compact JSON of the messages has 402 bytes.
    assert answer.input_tokens == 101
    assert upstream.seen == []


async def test_what_is_learned_of_a_model_is_heeded(here: Premises, upstream: Upstream) -> None:
    prompt: Any = [{"role": "user", "content": "x" * 364}]
    upstream.default = Reply(input_tokens=200)
    for _ in range(20):
        await here.ask({"model": MINI, "messages": prompt})
    assert (await count(here, model=MINI, messages=prompt)).json == {"input_tokens": 200}


async def test_no_budget_is_asked_and_none_moves(here: Premises, upstream: Upstream) -> None:
    await here.add_budget("nothing", "0")
    assert (await count(here)).json == {"input_tokens": upstream.default.input_tokens}
    assert (await count(here, model=MINI)).status == 200
    budget = await here.budget("nothing")
    assert (budget.settled, budget.held) == (0, 0)
    assert (await here.ledger()).open_holds == 0


async def test_a_provider_that_does_not_count_is_stood_in_for(here: Premises, upstream: Upstream) -> None:
    upstream.default = Reply(status=404)
    answer = await count(here)
    assert answer.status == 200
    assert answer.json["input_tokens"] > 0


@pytest.mark.parametrize(
    ("reply", "status", "code"),
    [
        (Reply(status=401), 502, "upstream_auth"),
        (Reply(status=429, headers={"retry-after": "7"}), 429, "upstream_rate_limited"),
        (Reply(status=529), 503, "upstream_overloaded"),
        (Reply(raw=b"<html>"), 502, "malformed_response"),
        (Reply(raw=b'{"input_tokens": "many"}'), 502, "malformed_response"),
    ],
)
async def test_a_provider_s_failure_is_told_in_the_caller_s_dialect(
    here: Premises, upstream: Upstream, reply: Reply, status: int, code: str
) -> None:
    upstream.default = reply
    answer = await count(here)
    assert (answer.status, answer.json["type"], answer.error["code"]) == (status, "error", code)
    if status == 429:
        assert answer.headers["retry-after"] == "7"


async def test_while_every_credential_rests_it_is_told_when_to_ask_again(here: Premises, upstream: Upstream) -> None:
    upstream.replies.append(Reply(status=429, headers={"retry-after": "40"}))
    assert (await here.ask(message(), path="/v1/messages")).status == 429
    answer = await count(here)
    assert (answer.status, answer.error["type"], answer.headers["retry-after"]) == (429, "rate_limit_error", "40")
    assert "Every credential of anthropic rests" in answer.error["message"]
    assert len(upstream.seen) == 1


async def test_the_rules_of_keys_hold_here_too(here: Premises, upstream: Upstream) -> None:
    with pytest.raises(anthropic.AuthenticationError):
        await here.anthropic("plk_wrong").messages.count_tokens(model=HAIKU, messages=HELLO)
    narrow = here.new_key("narrow", "bea", allowed_models=("openai/*",))
    with pytest.raises(anthropic.PermissionDeniedError):
        await here.anthropic(narrow).messages.count_tokens(model=HAIKU, messages=HELLO)
    with pytest.raises(anthropic.NotFoundError):
        await here.anthropic().messages.count_tokens(model="no-such", messages=HELLO)
    mistyped = await count(here, {"X-Palyra-Tag": "team=red"})
    assert (mistyped.status, mistyped.error["code"]) == (400, "invalid_header")
    assert (await count(here, messages=[])).error["code"] == "invalid_field"
    assert upstream.seen == []


async def test_a_caller_who_leaves_is_not_counted_for(here: Premises, upstream: Upstream) -> None:
    upstream.default = Reply(gate=asyncio.Event())
    caller = await here.call({"model": HAIKU, "messages": HELLO}, path=PATH)
    await upstream.wait_for_requests(1)
    caller.leave()
    gateway = here.house.gateway
    assert gateway is not None
    while gateway.running:
        await settle_loop()
    assert upstream.default.gate is not None
    upstream.default.gate.set()
