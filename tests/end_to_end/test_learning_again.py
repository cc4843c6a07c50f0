"""What estimates have learned is the same after a restart, bit for bit."""

import asyncio
import random
from typing import Any

from palyra.pricing.learn import Learned
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import HAIKU, MINI, Premises, chat, message
from tests.end_to_end.test_streams import TEN, long, read_text, streamed
from tests.support.upstream import Reply, Upstream

TOOL: dict[str, Any] = {"name": "look", "input_schema": {"type": "object", "properties": {}}}
PICTURE: list[dict[str, Any]] = [
    {"type": "text", "text": "what is this?"},
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
]
RUNS, AT_ONCE = 240, 12


def learned(here: Premises) -> dict[tuple[str, str], Learned]:
    """What planning knows, by model and principal."""
    known = here.engine.experience.learner
    models = (("openai", "gpt-4o-mini"), ("anthropic", "claude-haiku-4-5"))
    return {
        (model, principal): known.learned(provider, model, principal)
        for provider, model in models
        for principal in ("local", "bob", "nobody")
    }


def asked(chance: random.Random, number: int) -> dict[str, Any]:
    said = [{"role": "user", "content": "word " * chance.randint(1, 60)}]
    if number % 3 == 0:
        body = message(messages=said, max_tokens=900)
        if chance.random() < 0.5:
            body["tools"] = [TOOL]
    else:
        body = chat(messages=said, max_tokens=900)
        if chance.random() < 0.1:
            body["messages"] = [{"role": "user", "content": PICTURE}]
    if chance.random() < 0.7:
        body["stream"] = True
    return body


def answered(chance: random.Random) -> Reply:
    return Reply(
        pieces=(TEN,) * chance.randint(1, 30),
        input_tokens=chance.randint(5, 900),
        output_tokens=chance.choice([0, 3, 40, 75, 300, 700]),
        usage=chance.random() < 0.85,
        break_at=chance.choice([None, None, None, None, 4]),
    )


async def test_everything_learned_is_the_same_after_a_restart(opened: Opener, upstream: Upstream) -> None:
    here = await opened("[runs]\nslice_tokens = 64\n")
    chance = random.Random(3)
    keys = (here.key, here.new_key("bobs", "bob"))
    upstream.choose = lambda seen: answered(chance)
    for first in range(0, RUNS, AT_ONCE):
        numbers = range(first, first + AT_ONCE)
        await asyncio.gather(*(here.ask(asked(chance, number), key=keys[number % 5 == 0]) for number in numbers))
    upstream.choose = None
    for model in (MINI, HAIKU):
        upstream.default = long(gate=asyncio.Event(), gate_at=9)
        caller = await here.call(streamed(model))
        await caller.head()
        await read_text(caller, 90)
        caller.leave()
        await here.rest()
    live = learned(here)
    known = live["gpt-4o-mini", "local"]
    assert known.output_p95 is not None
    assert known.r > 1
    assert known.c != 1
    assert (known.q, known.slice_q) != (Learned().q, Learned().slice_q)
    assert live["gpt-4o-mini", "bob"] != known
    assert live["claude-haiku-4-5", "nobody"].output_p50 is None
    assert here.engine.experience.drifts()
    drifts = here.engine.experience.drifts()
    await here.close()
    again = await opened("[runs]\nslice_tokens = 64\n")
    assert learned(again) == live
    assert again.engine.experience.drifts() == drifts


async def test_what_was_left_teaches_nothing_of_how_long_answers_are(opened: Opener, upstream: Upstream) -> None:
    """This wire tells its input first, so a stream that is left has usage, but no output that anybody reported."""
    here = await opened()
    for _ in range(20):
        upstream.default = Reply(pieces=(TEN,) * 4, output_tokens=400)
        await here.ask(message(max_tokens=900))
    before = learned(here)["claude-haiku-4-5", "local"]
    for _ in range(25):
        upstream.default = long(gate=asyncio.Event(), gate_at=2)
        caller = await here.call(streamed(HAIKU))
        await caller.head()
        await read_text(caller, 20)
        caller.leave()
        await here.rest()
    assert (await here.runs())[0].reason == "client_gone"
    assert "usage_partial" in (await here.runs())[0].flags
    assert learned(here)["claude-haiku-4-5", "local"] == before
    assert before.output_p50 == 400
