"""Coding agents: the vendors' own clients, with tools called in parallel, pictures and long streams; some leave early.

Every call must end in a whole answer or in an error of its client's own family; anything else ends the test.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anthropic
import openai

from tests.toughness.crowd import Call, Crowd
from tests.toughness.moods import Moods
from tests.toughness.told import CHAT_TOOLS, MESSAGES_TOOLS, RESPONSES_TOOLS

CHAT, MESSAGES, RESPONSES, EMBEDDING = "alpha/gpt-4o-mini", "beta/claude-haiku-4-5", "gamma/gpt-4.1-mini", "embedding"
AWAY = "delta/gpt-4o-mini"
"""Whose provider refuses every connection."""

MODELS = (CHAT, MESSAGES, RESPONSES, "auto", CHAT, MESSAGES, RESPONSES, AWAY)
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PATIENCE_S = 90.0
"""How long a client waits that means to stay."""


class UnfinishedError(Exception):
    """A stream ended without an end."""


class Agents(Crowd):
    """Each works through a job with tools, asks several things at once, or one."""

    def __init__(self, url: str, key: str, moods: Moods, seed: int) -> None:
        super().__init__(seed)
        self._moods = moods
        self._openai = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=1, timeout=PATIENCE_S)
        self._anthropic = anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=2, timeout=PATIENCE_S)
        self._flows: dict[str, Callable[[Call], Awaitable[None]]] = {
            "chat": self._chat,
            "picture": self._picture,
            "messages": self._message,
            "responses": self._response,
            "embeddings": self._embeddings,
            "count": self._count,
            "chat stream": self._chat_stream,
            "messages stream": self._messages_stream,
            "responses stream": self._responses_stream,
            "chat left": self._chat_left,
            "messages left": self._messages_left,
            "plain left": self._plain_left,
            "timed out": self._timed_out,
        }
        self._jobs = {
            "openai agent": self._openai_agent,
            "anthropic agent": self._anthropic_agent,
            "responses agent": self._responses_agent,
        }

    def flows(self) -> set[str]:
        return {*self._flows, *self._jobs}

    @asynccontextmanager
    async def working(self, count: int) -> AsyncIterator[None]:
        async with self._openai, self._anthropic, super().working(count):
            yield

    async def _turn(self) -> None:
        chance = self._dice.random()
        if chance < 0.35:
            name = self._dice.choice(list(self._jobs))
            await self._jobs[name](name)
        elif chance < 0.5:
            async with asyncio.TaskGroup() as group:
                for name in self._dice.choices(list(self._flows), k=4):
                    group.create_task(self._one(name))
        else:
            await self._one(self._dice.choice(list(self._flows)))

    async def _one(self, flow: str) -> None:
        call = self._call(flow)
        await self._ended(call, self._flows[flow](call))

    def _asks(self, call: Call) -> list[Any]:
        before = "Look at the sources. " * self._dice.choice((1, 3, 20))
        return [{"role": "user", "content": before}, {"role": "assistant", "content": "Yes?"}, *self._user(call)]

    def _user(self, call: Call) -> list[Any]:
        return [{"role": "user", "content": call.text}]

    def _limit(self) -> int:
        return self._dice.choice((10, 100, 1500))

    # Whole answers

    async def _chat(self, call: Call) -> None:
        answer = await self._openai.chat.completions.create(
            model=self._dice.choice(MODELS),
            messages=self._asks(call),
            max_tokens=self._limit(),
            extra_headers=call.headers,
        )
        assert answer.choices[0].finish_reason in ("stop", "length"), answer

    async def _picture(self, call: Call) -> None:
        model, limit = self._dice.choice(MODELS), self._limit()
        if self._dice.random() < 0.5:
            parts: list[Any] = [
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                {"type": "text", "text": call.text},
            ]
            asked: Any = [{"role": "user", "content": parts}]
            await self._openai.chat.completions.create(
                model=model, messages=asked, max_tokens=limit, extra_headers=call.headers
            )
        else:
            source = {"type": "base64", "media_type": "image/png", "data": PNG}
            asked = [
                {"role": "user", "content": [{"type": "image", "source": source}, {"type": "text", "text": call.text}]}
            ]
            await self._anthropic.messages.create(
                model=model, messages=asked, max_tokens=limit, extra_headers=call.headers
            )

    async def _message(self, call: Call) -> None:
        answer = await self._anthropic.messages.create(
            model=self._dice.choice(MODELS),
            messages=self._asks(call),
            max_tokens=self._limit(),
            extra_headers=call.headers,
        )
        assert answer.stop_reason in ("end_turn", "max_tokens"), answer

    async def _response(self, call: Call) -> None:
        answer = await self._openai.responses.create(
            model=self._dice.choice(MODELS),
            input=self._asks(call),
            max_output_tokens=self._limit() + 16,
            extra_headers=call.headers,
        )
        assert answer.status in ("completed", "incomplete"), answer

    async def _embeddings(self, call: Call) -> None:
        answer = await self._openai.embeddings.create(
            model=EMBEDDING, input=["one", call.text], extra_headers=call.headers
        )
        assert answer.data[0].embedding, answer

    async def _count(self, call: Call) -> None:
        counted = await self._anthropic.messages.count_tokens(
            model=self._dice.choice((CHAT, MESSAGES)), messages=self._asks(call), extra_headers=call.headers
        )
        assert counted.input_tokens > 0, counted

    # Streams

    async def _chat_turn(self, call: Call, model: str, messages: list[Any], **options: Any) -> list[Any]:
        """The tool calls of an answer; raises UnfinishedError."""
        calls: dict[int, dict[str, Any]] = {}
        finish = None
        stream = await self._openai.chat.completions.create(
            model=model, messages=messages, stream=True, extra_headers=call.headers, **options
        )
        async for chunk in stream:
            for choice in chunk.choices:
                finish = choice.finish_reason or finish
                for told in choice.delta.tool_calls or ():
                    known = calls.setdefault(told.index, {"id": told.id, "type": "function"})
                    function = known.setdefault("function", {"name": "", "arguments": ""})
                    assert told.function is not None
                    function["name"] += told.function.name or ""
                    function["arguments"] += told.function.arguments or ""
        if finish is None:
            raise UnfinishedError(call)
        return list(calls.values()) if finish == "tool_calls" else []

    async def _chat_stream(self, call: Call) -> None:
        options: dict[str, Any] = {"stream_options": {"include_usage": True}} if self._dice.random() < 0.5 else {}
        model = self._dice.choice(MODELS)
        await self._chat_turn(call, model, self._asks(call), max_tokens=self._limit(), **options)

    async def _messages_turn(self, call: Call, model: str, messages: list[Any], **options: Any) -> Any:
        """The whole message; raises UnfinishedError."""
        ended = False
        async with self._anthropic.messages.stream(
            model=model, messages=messages, extra_headers=call.headers, **options
        ) as stream:
            async for event in stream:
                ended = ended or event.type == "message_stop"
            if not ended:
                raise UnfinishedError(call)
            return await stream.get_final_message()

    async def _messages_stream(self, call: Call) -> None:
        await self._messages_turn(call, self._dice.choice(MODELS), self._asks(call), max_tokens=self._limit())

    async def _responses_turn(self, call: Call, model: str, asked: list[Any], **options: Any) -> Any:
        """The whole response; raises UnfinishedError."""
        stream = await self._openai.responses.create(
            model=model, input=asked, stream=True, extra_headers=call.headers, **options
        )
        whole: Any = None
        async for event in stream:
            if event.type in ("response.completed", "response.incomplete", "response.failed"):
                whole = event.response
        if whole is None:
            raise UnfinishedError(call)
        return whole

    async def _responses_stream(self, call: Call) -> None:
        await self._responses_turn(
            call, self._dice.choice(MODELS), self._asks(call), max_output_tokens=self._limit() + 16
        )

    # Agents that call tools

    async def _openai_agent(self, name: str) -> None:
        model = self._dice.choice(MODELS)
        call = self._call(name)
        history = self._asks(call)
        calls = await self._ended(call, self._chat_turn(call, model, history, tools=CHAT_TOOLS, max_tokens=2000))
        if calls:
            again = self._call(name)
            history.append({"role": "assistant", "tool_calls": calls})
            history += [{"role": "tool", "tool_call_id": one["id"], "content": again.text} for one in calls]
            await self._ended(again, self._chat_turn(again, model, history, tools=CHAT_TOOLS, max_tokens=2000))

    async def _anthropic_agent(self, name: str) -> None:
        model = self._dice.choice(MODELS)
        call = self._call(name)
        history = self._asks(call)
        options: dict[str, Any] = {"tools": MESSAGES_TOOLS, "max_tokens": 2000}
        whole = await self._ended(call, self._messages_turn(call, model, history, **options))
        if whole is not None and whole.stop_reason == "tool_use":
            again = self._call(name)
            results = [
                {"type": "tool_result", "tool_use_id": block.id, "content": again.text}
                for block in whole.content
                if block.type == "tool_use"
            ]
            history += [{"role": "assistant", "content": whole.content}, {"role": "user", "content": results}]
            await self._ended(again, self._messages_turn(again, model, history, **options))

    async def _responses_agent(self, name: str) -> None:
        model = self._dice.choice(MODELS)
        call = self._call(name)
        history = self._asks(call)
        whole = await self._ended(call, self._responses_turn(call, model, history, tools=RESPONSES_TOOLS))
        uses = [] if whole is None else [item for item in whole.output if item.type == "function_call"]
        if uses and whole.status == "completed":
            again = self._call(name)
            history += [item.model_dump(exclude_none=True) for item in uses]
            history += [{"type": "function_call_output", "call_id": one.call_id, "output": again.text} for one in uses]
            await self._ended(again, self._responses_turn(again, model, history, tools=RESPONSES_TOOLS))

    # Clients that leave

    async def _chat_left(self, call: Call) -> None:
        call.left = True
        stream = await self._openai.chat.completions.create(
            model=self._dice.choice(MODELS), messages=self._asks(call), stream=True, extra_headers=call.headers
        )
        left = self._dice.randint(0, 60)
        async for _ in stream:
            if (left := left - 1) < 0:
                break
        await stream.close()

    async def _messages_left(self, call: Call) -> None:
        call.left = True
        left = self._dice.randint(0, 60)
        async with self._anthropic.messages.stream(
            model=self._dice.choice(MODELS), messages=self._asks(call), max_tokens=1500, extra_headers=call.headers
        ) as stream:
            async for _ in stream:
                if (left := left - 1) < 0:
                    break

    async def _plain_left(self, call: Call) -> None:
        """Gives up once the provider has the request."""
        call.left = True
        asking = asyncio.create_task(self._chat(call))
        arriving = asyncio.create_task(self._moods.arrival(call.ref).wait())
        await asyncio.wait((asking, arriving), return_when=asyncio.FIRST_COMPLETED)
        arriving.cancel()
        if asking.done():
            return await asking
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        return None

    async def _timed_out(self, call: Call) -> None:
        call.left = True
        impatient = self._openai.with_options(timeout=self._dice.choice((0.05, 0.3, 1.0)))
        await impatient.chat.completions.create(
            model=self._dice.choice(MODELS), messages=self._asks(call), max_tokens=1500, extra_headers=call.headers
        )
