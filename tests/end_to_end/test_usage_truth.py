"""What answers are charged and what is kept of them, whatever their usage looks like."""

import asyncio
import json
import random
from typing import Any

import pytest

from palyra.core.clock import ManualClock
from palyra.journal.rows import UsageRow
from palyra.pricing.learn import UNLEARNED
from palyra.pricing.rates import RatePart
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import HAIKU, MINI, Premises, chat, message
from tests.pricing.house import at, nano, sum_of_parts
from tests.support.upstream import Reply, Upstream

TEXT = "x" * 400


def answered(usage: object, **more: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
    return json.dumps({"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage, **more}).encode()


async def settled(here: Premises, upstream: Upstream, body: bytes, **fields: Any) -> UsageRow:
    """The usage row of one answer; what it was charged is what its parts make up and what the counter moved by."""
    upstream.replies.append(Reply(raw=body))
    answer = await here.ask(chat(max_tokens=1_000, **fields))
    assert (answer.status, answer.body) == (200, body)
    detail = await here.run()
    (row,) = await here.engine.journal.readers.usage_of_run(detail.run.run_id)
    assert row.charge is not None
    assert sum_of_parts(tuple(RatePart.from_json(part) for part in row.rates)) == row.charge
    assert here.counted("day", "*") == (row.charge, 0)
    return row


@pytest.fixture
async def counting(here: Premises) -> Premises:
    await here.add_budget("day", "100", interval_kind="daily")
    return here


@pytest.mark.parametrize(
    ("usage", "charge", "flags", "readings"),
    [
        ({"prompt_tokens": 1_000, "completion_tokens": 500}, 450_000, (), ()),
        (
            {"prompt_tokens": 100, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 250}},
            100 * 150 + 250 * 75 + 100 * 600,
            ("identity_U2",),
            (100 * 75 + 100 * 600, 100 * 150 + 250 * 75 + 100 * 600),
        ),
        (
            {"prompt_tokens": 40, "completion_tokens": 60, "total_tokens": 130},
            40 * 150 + 90 * 600,
            ("identity_U5",),
            (40 * 150 + 60 * 600, 40 * 150 + 90 * 600),
        ),
        ({"prompt_tokens": 40, "completion_tokens": -60}, 40 * 150 + 100 * 600, ("identity_U1",), (66_000,)),
        ({"prompt_tokens": 40, "completion_tokens": 0}, 40 * 150 + 100 * 600, ("usage_zero",), ()),
        ({"prompt_tokens": 40}, 40 * 150 + 100 * 600, ("usage_partial",), ()),
    ],
)
async def test_usage_that_contradicts_itself_is_charged_dearest_and_kept_whole(
    counting: Premises,
    upstream: Upstream,
    usage: dict[str, Any],
    charge: int,
    flags: tuple[str, ...],
    readings: tuple[int, ...],
) -> None:
    row = await settled(counting, upstream, answered(usage))
    assert (row.charge, row.flags, row.usage_source) == (charge, flags, "provider")
    assert row.raw == usage
    assert tuple(reading["charge"] for reading in row.readings) == readings
    (attempt,) = (await counting.run()).attempts
    assert sum(int(part.nano) for part in attempt.parts) == charge
    assert tuple(amount for _, amount in attempt.readings) == readings


async def test_the_tier_that_served_is_charged_not_the_one_asked_for(counting: Premises, upstream: Upstream) -> None:
    usage = {"prompt_tokens": 1_000, "completion_tokens": 500}
    body = answered(usage, service_tier="priority", model="gpt-5-mini")
    row = await settled(counting, upstream, body, model="openai/gpt-5-mini", service_tier="flex")
    assert row.charge == 1_000 * 450 + 500 * 3_600
    assert row.flags == ()


async def test_another_model_is_charged_at_its_own_price_and_told(counting: Premises, upstream: Upstream) -> None:
    body = answered({"prompt_tokens": 1_000, "completion_tokens": 500}, model="gpt-4.1-2025-04-14")
    row = await settled(counting, upstream, body)
    assert (row.charge, row.flags, row.model) == (1_000 * 2_000 + 500 * 8_000, ("model_substituted",), MINI)


async def test_a_cost_of_the_providers_own_is_kept_beside_the_charge(counting: Premises, upstream: Upstream) -> None:
    body = answered({"prompt_tokens": 1_000, "completion_tokens": 500, "cost": 0.0009})
    row = await settled(counting, upstream, body)
    assert (row.charge, row.reported_cost, row.flags) == (450_000, 900_000, ("cost_mismatch",))


async def test_a_count_beyond_all_reason_costs_what_was_held(counting: Premises, upstream: Upstream) -> None:
    row = await settled(counting, upstream, answered({"prompt_tokens": 10**18, "completion_tokens": 1}))
    detail = await counting.run()
    assert row.charge == detail.attempts[0].bound_nano_usd
    assert row.flags == ("unpriceable_body",)
    assert row.input_total < 1_000


@pytest.mark.parametrize(
    ("held", "settled_at", "dollars"),
    [
        ("2026-11-22T00:29:59Z", "2026-11-22T00:31:00Z", "0.0019"),
        ("2026-11-22T00:30:00Z", "2026-11-22T16:30:00Z", "0.0038"),
    ],
)
async def test_the_price_is_that_of_the_instant_the_hold_was_taken(
    opened: Opener, upstream: Upstream, held: str, settled_at: str, dollars: str
) -> None:
    provider = f'[providers.deepseek]\nkind = "openai_compatible"\nbase_url = "{upstream.base_url}/v1"\n'
    model = '[[models]]\nprovider = "deepseek"\nupstream = "deepseek-chat"\n'
    text = f'{provider}pricing_provider = "deepseek"\n{model}'
    here = await opened(text, clock=ManualClock(at(held)))
    gate = asyncio.Event()
    upstream.default = Reply(gate=gate, raw=answered({"prompt_tokens": 10_000, "completion_tokens": 1_000}))
    waiting = asyncio.create_task(here.ask(chat(model="deepseek/deepseek-chat", max_tokens=1_000)))
    await upstream.wait_for_requests(1)
    here.set_wall(at(settled_at))
    gate.set()
    assert (await waiting).status == 200
    detail = await here.run()
    assert detail.run.cost_nano_usd == nano(dollars)
    (row,) = await here.engine.journal.readers.usage_of_run(detail.run.run_id)
    assert row.at == at(settled_at)
    assert sum_of_parts(tuple(RatePart.from_json(part) for part in row.rates)) == nano(dollars)


async def test_how_far_estimates_are_off_survives_a_restart(opened: Opener, upstream: Upstream) -> None:
    here = await opened()
    for _ in range(60):
        assert (await here.ask(message())).status == 200
    await here.rest()
    (drift,) = here.engine.experience.drifts()
    assert (drift.provider, drift.model, drift.samples, drift.actual) == ("anthropic", HAIKU, 60, 60 * 12)
    assert drift.drifting is (abs(drift.actual - drift.expected) * 4 > drift.expected)
    await here.close()
    again = await opened()
    assert again.engine.experience.drifts() == (drift,)


async def test_what_estimates_learned_is_the_same_after_a_restart(opened: Opener, upstream: Upstream) -> None:
    """Text, media, tools, streams, missing and impossible usage, of two people: rebuilt as it was learned live."""
    here = await opened()
    chance = random.Random(3)
    keys = {name: here.new_key(name, name) for name in ("ann", "bob")}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    for number in range(110):
        words = "word " * chance.randint(1, 40)
        upstream.replies.append(
            Reply(
                input_tokens=chance.randint(1, 90),
                output_tokens=chance.choice([0, 5, 12, 40, 41]),
                usage=chance.random() < 0.9,
                pieces=("abc " * chance.randint(1, 30),),
            )
        )
        content: Any = [{"type": "text", "text": words}, image] if number % 11 == 0 else words
        body = chat(max_tokens=50, messages=[{"role": "user", "content": content}], stream=number % 8 != 0)
        if number % 6 == 0:
            body = message(messages=[{"role": "user", "content": words}])
        if number % 5 == 0:
            body["tools"] = [tool] if body["model"] == MINI else [{"name": "look", "input_schema": {"type": "object"}}]
        assert (await here.ask(body, key=keys[chance.choice(["ann", "bob"])])).status == 200
    await here.rest()
    models = (("openai", "gpt-4o-mini"), ("anthropic", "claude-haiku-4-5"))
    asked_of = [(*model, who) for model in models for who in keys]
    live = [here.engine.experience.learner.learned(*one) for one in asked_of]
    assert live[0].c != 1
    assert live[0].r > 1
    assert live[0].output_p95 is not None
    assert live[0].q != UNLEARNED.q
    drifts = here.engine.experience.drifts()
    await here.close()
    again = await opened()
    assert [again.engine.experience.learner.learned(*one) for one in asked_of] == live
    assert again.engine.experience.drifts() == drifts
