"""The main job on a real terminal: a client waits, an operator presses a key, the client is answered, the cost told."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import openai
import pytest
from genai_prices import Usage, calc_price
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

from palyra.core.money import format_usd, format_usd_short
from tests.support.upstream import Reply, Upstream
from tests.toughness.programs import Installation
from tests.toughness.terminal import Terminal, terminal

MODEL = "gpt-4o"
RUNNING = re.compile(r"waiting \d+:\d\d")
QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "why is the sky blue? " * 60}]


@asynccontextmanager
async def client(term: Terminal) -> AsyncIterator[openai.AsyncOpenAI]:
    """Pointed here by nothing but what the first screen tells."""
    base_url = await term.ready()
    key = (term.installation.state_dir / "gateway-key.txt").read_text().strip()
    headers = {"x-palyra-session": "sky"}
    async with openai.AsyncOpenAI(base_url=f"{base_url}/v1", api_key=key, default_headers=headers) as made:
        yield made


def ask(made: openai.AsyncOpenAI) -> "asyncio.Task[ChatCompletion]":
    return asyncio.create_task(made.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=16_000))


async def stood_still(term: Terminal) -> None:
    """Waits until the approval has been on the screen for at least a second, as its running clock tells."""
    await term.shows("approval 1 waiting")
    seen: set[str] = set()

    def moved() -> bool:
        seen.update(RUNNING.findall(term.text))
        return len(seen) > 2

    await term.until(moved)


def price(reply: Reply) -> int:
    """Nano-dollars, as the price list has it."""
    usage = Usage(
        input_tokens=reply.input_tokens, output_tokens=reply.output_tokens, cache_read_tokens=reply.cached_tokens
    )
    found = calc_price(usage, MODEL, provider_id="openai").total_price * Decimal(1_000_000_000)
    assert found == int(found)
    return int(found)


async def test_an_operator_lets_a_waiting_client_through(installation: Installation, upstream: Upstream) -> None:
    upstream.default = Reply(input_tokens=1237, cached_tokens=333, output_tokens=589)
    async with terminal(installation) as term, client(term) as made:
        asked = ask(made)
        await stood_still(term)
        assert not upstream.seen
        term.type("a")
        await term.shows("Allowed local (once)")
        answer = await asked
        assert answer.choices[0].message.content == upstream.default.text
        term.type("4")
        cost = price(upstream.default)
        # In short where it is one of many numbers, to the nano-dollar where the cursor stands.
        await term.shows("Usage ›", f"cost {format_usd_short(cost)} ", f"{format_usd(cost)}  1 req", "requests 1")
        term.type("q")
        assert await term.ended() == 0


async def test_a_denied_client_is_told_why(installation: Installation, upstream: Upstream) -> None:
    async with terminal(installation) as term, client(term) as made:
        asked = ask(made)
        await stood_still(term)
        term.type("d")
        await term.shows(f"Deny local mock/{MODEL}?", "1 waiting client gets a refusal")
        await term.until(lambda: term.highlights("[ Keep it waiting ]"))
        term.type("\x1b[A")
        await term.until(lambda: term.types_at("told to the client"))
        term.type("not before Monday")
        await term.shows("not before Monday")
        term.type("\r")
        await term.until(lambda: term.highlights("[ Deny ]"))
        # Another key, or it could be one that is held down.
        term.type(" ")
        await term.shows("Denied local: not before Monday.")
        with pytest.raises(openai.APIStatusError) as refused:
            await asked
        assert refused.value.status_code == 402
        assert refused.value.code == "budget_denied"
        assert "not before Monday" in str(refused.value)
        assert not upstream.seen


async def test_a_waiting_stream_is_let_through(installation: Installation, upstream: Upstream) -> None:
    async with terminal(installation) as term, client(term) as made:

        async def streamed() -> str | None:
            async with made.chat.completions.stream(model=MODEL, messages=QUESTION, max_tokens=16_000) as stream:
                final = await stream.get_final_completion()
            return final.choices[0].message.content

        asked = asyncio.create_task(streamed())
        await stood_still(term)
        term.type("a")
        await term.shows("Allowed local (once)")
        assert await asked == upstream.default.text
