"""Under the proven estimator no text costs more than was held, whoever counts its tokens."""

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palyra.config.choices import BoundEstimator
from palyra.pricing.learn import Learned
from palyra.pricing.prompt_size import bound_input
from palyra.providers.request import parse_request
from palyra.providers.wires import Wire
from palyra.runs.planning import prompt_size
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import HAIKU, MINI, chat, message
from tests.pricing.house import facts
from tests.support.upstream import Reply, Seen, Upstream

PROVEN = '[governance]\nbound_estimator = "proven"\n[runs]\ndefault_output_tokens = 20\nslice_tokens = 16\n'
MARKS_OF_A_MESSAGE, MARKS_OF_AN_ANSWER = 4, 3
TEXTS = ("", "hi", "Příliš žluťoučký kůň", "0" * 400, "🧮" * 90, "a b\tc\n\n" * 60, '"\\' * 80, "数独" * 70)
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": f"f{n}", "description": TEXTS[n], "parameters": {"type": "object"}}}
    for n in range(len(TEXTS))
]


def texts_in(value: Any) -> list[str]:
    """Every text a model could be shown of a value, names included."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for name, inner in value.items() for text in (name, *texts_in(inner))]
    return [text for inner in value for text in texts_in(inner)] if isinstance(value, list) else []


def dearest_count(body: dict[str, Any]) -> int:
    """Input tokens by a tokeniser to which every byte is one, with marks around each message."""
    shown = [body.get(name) for name in ("messages", "system", "tools", "response_format")]
    read = sum(len(text.encode()) for part in shown for text in texts_in(part))
    return read + MARKS_OF_A_MESSAGE * len(body["messages"]) + MARKS_OF_AN_ANSWER


def adversary(chance: random.Random) -> Any:
    """Answers of any length in pieces of any size, each byte of which is a token; what comes back with more than
    `max_tokens` would allow is cut there."""

    def reply(seen: Seen) -> Reply:
        wants = seen.json
        pieces = [chance.choice(TEXTS)[: chance.randint(0, 90)] for _ in range(chance.randint(0, 12))]
        most = wants.get("max_tokens", 10_000)
        while sum(len(piece.encode()) for piece in pieces) + MARKS_OF_AN_ANSWER > most:
            pieces.pop()
        output = sum(len(piece.encode()) for piece in pieces) + MARKS_OF_AN_ANSWER
        return Reply(pieces=tuple(pieces), input_tokens=dearest_count(wants), output_tokens=output)

    return reply


def asked(chance: random.Random, number: int) -> dict[str, Any]:
    said = [{"role": "user", "content": chance.choice(TEXTS)} for _ in range(chance.randint(1, 5))]
    body = message(messages=said, max_tokens=2_000) if number % 3 == 0 else chat(messages=said)
    if number % 3 == 0 and chance.random() < 0.5:
        body["system"] = chance.choice(TEXTS) or "s"
    elif chance.random() < 0.5:
        body["tools"] = chance.sample(TOOLS, chance.randint(1, 4)) if number % 3 else []
    if chance.random() < 0.7:
        body["stream"] = True
    return {name: value for name, value in body.items() if value != []}


async def test_a_provider_that_counts_every_byte_outruns_nothing(opened: Opener, upstream: Upstream) -> None:
    here = await opened(PROVEN)
    await here.add_budget("all", "1000")
    await here.add_budget("tokens", "100000000", metric_kind="total_tokens")
    chance = random.Random(11)
    upstream.choose = adversary(chance)
    for number in range(90):
        assert (await here.ask(asked(chance, number))).status == 200
    await here.rest()
    held = [row async for rows in here.engine.journal.readers.holds_for_rebuild(0) for row in rows]
    assert len(held) == 90
    assert {row.state for row in held} == {"settled"}
    assert [row for row in held if row.overrun] == []
    assert [row for row in held if (row.actual_tokens or 0) > row.bound_tokens] == []
    books = await here.ledger()
    assert books.ok
    assert [item.amount for item in books.overshoot] == [0, 0]
    # It was close: the calibrated bound would have been passed.
    by_run = {row.run_id: row for row in held}
    for run in await here.runs():
        assert run.input_tokens <= by_run[run.run_id].bound_tokens
    assert any(2 * run.input_tokens > by_run[run.run_id].bound_tokens for run in await here.runs())


async def test_a_stream_under_it_is_cut_within_what_was_held(opened: Opener, upstream: Upstream) -> None:
    here = await opened(PROVEN)
    upstream.choose = lambda seen: Reply(
        pieces=("0123456789",) * 40, input_tokens=dearest_count(seen.json), output_tokens=403
    )
    for model, body in ((MINI, chat), (HAIKU, message)):
        await here.add_budget(model[:6], "300", metric_kind="total_tokens", scope_kind="session", scope_id=model[:6])
        answer = await here.ask(body(stream=True, max_tokens=5_000), {"X-Palyra-Session": model[:6]})
        assert answer.status == 200
        shown = answer.body.count(b"0123456789") * 10
        assert 0 < shown < 400
        (hold,) = await here.engine.journal.readers.holds_of_run(answer.headers["x-palyra-run"])
        prompt = parse_request(Wire.CHAT, json.dumps(chat()).encode()).prompt.size + 30
        assert prompt + shown <= hold.bound_tokens <= 300
        assert hold.overrun == 0


MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": st.text(max_size=60)}),
    min_size=1,
    max_size=6,
)
SCHEMAS = st.recursive(
    st.one_of(st.text(max_size=12), st.booleans(), st.integers(-9, 9)),
    lambda inner: st.dictionaries(st.text(min_size=1, max_size=6), inner, max_size=3) | st.lists(inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("wire", [Wire.CHAT, Wire.MESSAGES])
@settings(deadline=None)
@given(messages=MESSAGES, system=st.text(max_size=60), schema=st.dictionaries(st.text(min_size=1), SCHEMAS, max_size=4))
def test_the_proven_bound_covers_every_byte_a_model_may_be_shown(
    wire: Wire, messages: list[dict[str, Any]], system: str, schema: dict[str, Any]
) -> None:
    body: dict[str, Any] = {"model": "m", "messages": messages, "max_tokens": 9}
    if wire is Wire.MESSAGES:
        body["system"] = system
        body["tools"] = [{"name": "t", "description": system, "input_schema": schema}]
    else:
        body["tools"] = [{"type": "function", "function": {"name": "t", "description": system, "parameters": schema}}]
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    parsed = parse_request(wire, json.dumps(body).encode())
    bound = bound_input(prompt_size(parsed), facts(), Learned(), BoundEstimator.PROVEN).total
    assert dearest_count(body) <= bound
