"""Embeddings are governed like any other work: bounded by their input, without output, and answered byte for byte."""

from typing import Any

import openai
import pytest

from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import ACME, HAIKU, MINI, Premises, usd
from tests.gateway.stand_in import RawAnswer
from tests.support.upstream import Reply, Upstream

EMBEDDER = "openai/text-embedding-3-small"
MODELS = """
[defaults]
embeddings = "openai/text-embedding-3-small"

[[models]]
provider = "own"
upstream = "acme-embed"
role = "embeddings"

[[models]]
provider = "openai"
upstream = "text-embedding-3-small"
role = "embeddings"
"""
PATH = "/v1/embeddings"


@pytest.fixture
async def here(opened: Opener) -> Premises:
    return await opened(MODELS)


async def embed(here: Premises, **body: Any) -> RawAnswer:
    return await here.ask({"model": EMBEDDER, "input": "hello", **body}, path=PATH)


async def test_the_official_client_gets_what_the_provider_sent_and_it_is_charged(
    here: Premises, upstream: Upstream
) -> None:
    upstream.default = Reply(input_tokens=50_000)
    raw = await here.openai().embeddings.with_raw_response.create(
        model="text-embedding-3-small", input=["one", "two"], encoding_format="float", dimensions=2
    )
    assert raw.content == upstream.seen[0].sent[0]
    assert raw.parse().data[0].embedding == [0.6, 0.8]
    assert upstream.seen[0].path == PATH
    assert upstream.seen[0].json == {
        "model": "text-embedding-3-small",
        "input": ["one", "two"],
        "encoding_format": "float",
        "dimensions": 2,
    }
    assert usd(raw.headers["x-palyra-cost-usd"]) == usd("0.001")
    detail = await here.run()
    assert (detail.run.state, detail.run.reason, detail.run.wire) == ("completed", "stop", "embeddings")
    (attempt,) = detail.attempts
    assert (attempt.state, attempt.usage_source, attempt.actual_nano_usd) == ("settled", "provider", usd("0.001"))
    numbers = (await here.usage()).breakdown[0].numbers
    assert (numbers.input_tokens, numbers.output_tokens) == (50_000, 0)


async def test_only_input_is_held_and_charged(here: Premises, upstream: Upstream) -> None:
    await here.add_budget("day", "1", metric_kind="total_tokens", interval_kind="daily")
    refused = await embed(here)
    assert (refused.status, refused.error["code"]) == (402, "budget_blocked")
    assert [item["kind"] for item in refused.error["palyra"]["counterfactual"]] == ["grant"]
    assert upstream.seen == []
    # ⌈7 bytes with their quotes ÷ 2⌉ + 30 of the provider's own: nothing is held for an answer.
    assert refused.error["palyra"]["evaluations"][0]["bound"] == "34"


async def test_usage_that_is_missing_is_the_expected_input(here: Premises, upstream: Upstream) -> None:
    upstream.default = Reply(usage=False)
    await embed(here, input="x" * 398)
    numbers = (await here.usage()).breakdown[0].numbers
    assert (numbers.input_tokens, numbers.output_tokens) == (100, 0)
    assert (await here.run()).attempts[0].usage_source == "metered"


async def test_auto_is_the_default_whatever_would_be_cheaper(here: Premises, upstream: Upstream) -> None:
    answer = await embed(here, model="auto")
    assert answer.headers["x-palyra-model"] == EMBEDDER
    assert upstream.seen[0].json["model"] == "text-embedding-3-small"


async def test_a_budget_that_degrades_does_not_change_what_vectors_mean(here: Premises, upstream: Upstream) -> None:
    await here.add_budget("soft", "100", soft_limit="0", routing_override="degrade")
    answer = await embed(here, model="own/acme-embed")
    assert answer.headers["x-palyra-model"] == "own/acme-embed"


@pytest.mark.parametrize("model", [MINI, HAIKU, ACME])
async def test_a_chat_model_is_refused_naming_the_role(here: Premises, upstream: Upstream, model: str) -> None:
    answer = await embed(here, model=model)
    assert (answer.status, answer.error["code"], answer.error["param"]) == (400, "invalid_field", "model")
    assert "for chat, not for embeddings" in answer.error["message"]
    assert "own/acme-embed" in answer.error["message"]
    assert upstream.seen == []


async def test_an_embedding_model_does_not_chat(here: Premises) -> None:
    with pytest.raises(openai.BadRequestError, match="for embeddings, not for chat"):
        await here.openai().chat.completions.create(model=EMBEDDER, messages=[{"role": "user", "content": "hi"}])


@pytest.mark.parametrize(
    ("field", "value"),
    [("input", []), ("input", None), ("dimensions", 0), ("encoding_format", "hex"), ("stream", True)],
)
async def test_what_is_malformed_is_refused_by_name(here: Premises, field: str, value: object) -> None:
    answer = await embed(here, **{field: value})
    assert (answer.status, answer.error["code"], answer.error["param"]) == (400, "invalid_field", field)


async def test_a_provider_s_refusal_is_the_caller_s(here: Premises, upstream: Upstream) -> None:
    upstream.default = Reply(status=400, error_body=b'{"error": {"message": "too many inputs", "type": "x"}}')
    answer = await embed(here)
    assert answer.status == 400
    assert answer.error["message"] == "too many inputs"
    assert (await here.run()).run.cost_nano_usd == 0


async def test_embedding_models_are_listed(here: Premises) -> None:
    listed = [model.id async for model in here.openai().models.list()]
    assert {EMBEDDER, "own/acme-embed", MINI} <= set(listed)


async def test_the_built_in_model_embeds_in_both_formats(opened: Opener) -> None:
    here = await opened('[providers.local]\nkind = "deterministic"\n')
    client = here.openai()
    answer = await client.embeddings.create(model="local/embed", input=["same", "other", "same"])
    floats = await client.embeddings.create(model="local/embed", input="same", encoding_format="float")
    same, other, again = (item.embedding for item in answer.data)
    assert len(same) == 64
    assert same == again == floats.data[0].embedding != other
    assert sum(number * number for number in same) == pytest.approx(1)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 4
    assert {run.cost_nano_usd for run in await here.runs()} == {0}


async def test_vectors_are_kept_for_a_while_where_answers_are(opened: Opener, upstream: Upstream) -> None:
    here = await opened("[cache]\nenabled = true\n" + MODELS)
    first = await embed(here)
    again = await embed(here)
    assert (first.headers["x-palyra-cache"], again.headers["x-palyra-cache"]) == ("miss", "hit")
    assert again.body == first.body
    assert len(upstream.seen) == 1
    assert (await here.usage()).total.input_tokens == upstream.default.input_tokens


@pytest.mark.parametrize("listed", [False, True])
async def test_another_model_embeds_only_where_the_operator_says_so(
    opened: Opener, upstream: Upstream, listed: bool
) -> None:
    failover = 'failover = ["own/acme-embed"]\n' if listed else ""
    here = await opened("[retries]\nmax = 0\n[failover]\nenabled = true\n" + MODELS + failover)
    upstream.replies = [Reply(status=503)]
    answer = await embed(here)
    if listed:
        assert (answer.status, answer.headers["x-palyra-model"]) == (200, "own/acme-embed")
        assert [seen.json["model"] for seen in upstream.seen] == ["text-embedding-3-small", "acme-embed"]
    else:
        assert (answer.status, answer.error["code"], len(upstream.seen)) == (503, "upstream_overloaded", 1)
