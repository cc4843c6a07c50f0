"""The models a key may name, as each official client pages through them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import anthropic
import openai
import pytest
from anthropic.types import ModelInfo

from tests.gateway.stand_in import AUTHORISED, TOKEN, Door, StandInKey, StandInModel, serving

NAMES = [f"one/m{number}" for number in range(7)]
ALL = ["auto", *NAMES]
ANTHROPIC = {**AUTHORISED, "anthropic-version": "2023-06-01"}


@asynccontextmanager
async def listing() -> AsyncIterator[Door]:
    async with serving() as door:
        door.runner.models = [StandInModel(name, "one", 200_000, 64_000) for name in NAMES]
        yield door


def anthropic_client(door: Door) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=door.gateway.url, api_key=TOKEN, max_retries=0)


async def ids(door: Door, query: str, headers: dict[str, str] = ANTHROPIC) -> tuple[list[str], object]:
    data = (await door.ask("GET", f"/v1/models?{query}", headers)).json
    return [model["id"] for model in data["data"]], data.get("has_more")


async def test_the_anthropic_client_pages_forwards_and_backwards() -> None:
    async with listing() as door, anthropic_client(door) as client:
        assert [model.id async for model in client.models.list(limit=3)] == ALL
        first = await client.models.list(limit=3)
        assert [model.id for model in first.data] == ALL[:3]
        assert (first.has_more, first.first_id, first.last_id) == (True, "auto", "one/m1")
        before = await client.models.list(limit=3, before_id="one/m5")
        assert [model.id for model in before.data] == ["one/m2", "one/m3", "one/m4"]
        backwards = [model.id async for model in client.models.list(limit=3, before_id="one/m5")]
        assert sorted(backwards) == sorted(ALL[:6])


async def test_a_model_has_every_member_that_the_anthropic_client_knows() -> None:
    async with listing() as door:
        data = (await door.ask("GET", "/v1/models/one/m1", ANTHROPIC)).json
        model = ModelInfo.model_validate(data)
    assert (model.id, model.type, model.max_input_tokens, model.max_tokens) == ("one/m1", "model", 200_000, 64_000)


@pytest.mark.parametrize(
    ("query", "expected", "more"),
    [
        ("", ALL, False),
        ("limit=8", ALL, False),
        ("limit=7", ALL[:7], True),
        ("limit=2&after_id=one%2Fm4", ALL[6:], False),
        ("after_id=one%2Fm6", [], False),
        ("before_id=auto", [], False),
        ("limit=1&before_id=one%2Fm0", ["auto"], False),
        ("lifecycle=active&unknown=1", ALL, False),
    ],
)
async def test_pages_begin_and_end_where_they_are_asked_to(query: str, expected: list[str], more: bool) -> None:
    async with listing() as door:
        assert await ids(door, query) == (expected, more)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("limit=-1", "limit"),
        ("limit=", "limit"),
        ("limit=%D9%A3", "limit"),
        ("after_id=gone", "after_id"),
        ("before_id=gone", "before_id"),
        ("after_id=auto&before_id=auto", "before_id"),
    ],
)
async def test_a_page_that_there_is_not_is_refused_by_name(query: str, param: str) -> None:
    async with listing() as door:
        answer = await door.ask("GET", f"/v1/models?{query}", ANTHROPIC)
    assert (answer.status, answer.json["type"], answer.error["code"]) == (400, "error", "invalid_field")
    assert param in answer.error["message"]


async def test_the_openai_shape_has_no_pages() -> None:
    async with listing() as door:
        assert await ids(door, "limit=2&after_id=gone", AUTHORISED) == (ALL, None)
        async with openai.AsyncOpenAI(base_url=f"{door.gateway.url}/v1", api_key=TOKEN) as client:
            assert [model.id async for model in client.models.list()] == ALL


async def test_a_key_sees_what_it_may_use() -> None:
    async with listing() as door, anthropic_client(door) as client:
        door.house.access.keys[TOKEN] = replace(StandInKey(), allowed_models=("one/m3",))
        assert [model.id async for model in client.models.list(limit=1)] == ["auto", "one/m3"]
        with pytest.raises(anthropic.NotFoundError):
            await client.models.retrieve("one/m1")
