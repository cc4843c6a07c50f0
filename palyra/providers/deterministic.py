"""The built-in provider: answers with what it was asked, on both wires, without a network; scripted where told so."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from palyra.config.providers import ScriptStep
from palyra.core.clock import Clock
from palyra.core.values import value
from palyra.providers.closing import DONE, sse_event
from palyra.providers.embedding_echo import DIMENSIONS, embeddings_body
from palyra.providers.embedding_input import read_embedding_input
from palyra.providers.errors import ErrorClass, ProviderError
from palyra.providers.prompt import texts_of
from palyra.providers.request import ParsedRequest, RequestError, parse_request
from palyra.providers.upstream import MAX_REPLY, Progress, UpstreamCall, UpstreamReply
from palyra.providers.wires import Wire, error_body

BYTES_PER_TOKEN = 4
ACK = "ack"
JSON_ACK = '{"ack":"ok"}'
NO_SCRIPT = ScriptStep()

_ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class DeterministicProvider:
    """Repeats the last user text. Each step of `script` shapes one answer, in order; then answers are normal."""

    def __init__(self, clock: Clock, script: Sequence[ScriptStep] = ()) -> None:
        self._clock = clock
        self._script = deque(script)

    async def send(self, call: UpstreamCall, progress: Progress | None = None) -> UpstreamReply:
        if progress is not None:
            progress.written = True
        step = self._script.popleft() if self._script else NO_SCRIPT
        if step.delay_ms:
            await self._clock.sleep(step.delay_ms / 1000)
        if step.status is not None and not 200 <= step.status < 300:
            return _error(call.wire, step.status, "scripted", f"scripted {step.status}", step.retry_after)
        try:
            request = parse_request(call.wire, call.body)
        except RequestError as refusal:
            return _error(call.wire, 400, refusal.code, str(refusal))
        if request.prompt.needs.tools or request.prompt.media:
            lacks = "tools" if request.prompt.needs.tools else "media"
            return _error(call.wire, 400, "capability_missing", f"The deterministic provider cannot handle {lacks}.")
        if call.wire is Wire.EMBEDDINGS:
            return _embedded(request, step)
        echo = _echo(request, step, self._clock.now_ms() // 1000)
        if request.stream:
            pieces = echo.chat_events() if call.wire is Wire.CHAT else echo.message_events()
            kind = "text/event-stream"
        else:
            pieces = iter((echo.chat_body() if call.wire is Wire.CHAT else echo.message_body(),))
            kind = "application/json"
        headers = {"content-type": kind}
        return _LocalReply(200, headers, _spoilt(pieces) if step.malformed else pieces, step.drop_after_chunks)


def _error(wire: Wire, status: int, code: str, message: str, retry_after: int | None = None) -> "_LocalReply":
    kind = _ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    headers = {"content-type": "application/json"}
    if retry_after is not None:
        headers["retry-after"] = str(retry_after)
    return _LocalReply(status, headers, iter((_compact(error_body(wire, kind, code, message)),)), None)


def _embedded(request: ParsedRequest, step: ScriptStep) -> "_LocalReply":
    asked = read_embedding_input(request.data)
    if asked.dimensions is not None and asked.dimensions > DIMENSIONS:
        said = f"The deterministic provider's vectors have at most {DIMENSIONS} dimensions."
        return _error(Wire.EMBEDDINGS, 400, "invalid_field", said)
    size = sum(len(item.encode("utf-8", "replace")) for item in asked.items if isinstance(item, str))
    tokens = _tokens(size) + sum(len(item) for item in asked.items if not isinstance(item, str))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens} if step.usage is None else step.usage
    pieces = iter((_compact(embeddings_body(asked, request.model, usage)),))
    headers = {"content-type": "application/json"}
    return _LocalReply(200, headers, _spoilt(pieces) if step.malformed else pieces, step.drop_after_chunks)


def _echo(request: ParsedRequest, step: ScriptStep, created: int) -> "_Echo":
    text = step.text if step.text is not None else _answer(request)
    encoded = text.encode("utf-8", "replace")
    finish = "stop"
    if request.max_tokens is not None and len(encoded) > request.max_tokens * BYTES_PER_TOKEN:
        encoded = encoded[: request.max_tokens * BYTES_PER_TOKEN].decode("utf-8", "ignore").encode()
        finish = "length"
    return _Echo(
        identity=request.digest[:24],
        created=created,
        model=request.model,
        text=encoded.decode(),
        finish=finish,
        choices=request.choices,
        include_usage=request.include_usage,
        input_tokens=_tokens(sum(len(text.encode("utf-8", "replace")) for text in _texts(request.data))),
        output_tokens=_tokens(len(encoded)) * request.choices,
        usage=step.usage,
    )


def _answer(request: ParsedRequest) -> str:
    if request.prompt.needs.json:
        return JSON_ACK
    for message in reversed(request.data["messages"]):
        if message["role"] == "user":
            return "\n".join(texts_of(message.get("content"))) or ACK
    return ACK


def _texts(data: Mapping[str, Any]) -> Iterator[str]:
    yield from texts_of(data.get("system"))
    for message in data["messages"]:
        yield from texts_of(message.get("content"))


def _tokens(size: int) -> int:
    return -(-size // BYTES_PER_TOKEN)


def _pieces(text: str) -> Iterator[str]:
    """Parts of at most four bytes that end at character borders."""
    piece, size = "", 0
    for character in text:
        width = len(character.encode())
        if size + width > BYTES_PER_TOKEN:
            yield piece
            piece, size = "", 0
        piece += character
        size += width
    if piece:
        yield piece


@value
class _Echo:
    """One answer. `usage` replaces the reported usage object; an empty one leaves it out."""

    identity: str
    created: int
    model: str
    text: str
    finish: str
    choices: int
    include_usage: bool
    input_tokens: int
    output_tokens: int
    usage: Mapping[str, object] | None

    def chat_body(self) -> bytes:
        message = {"role": "assistant", "content": self.text, "refusal": None}
        choices = [
            {"index": index, "message": message, "logprobs": None, "finish_reason": self.finish}
            for index in range(self.choices)
        ]
        return _compact({**self._chat_head("chat.completion"), "choices": choices, **_member(self._chat_usage())})

    def chat_events(self) -> Iterator[bytes]:
        head = self._chat_head("chat.completion.chunk")

        def chunk(index: int, delta: dict[str, str], finish: str | None = None) -> bytes:
            choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
            return sse_event({**head, "choices": [choice]})

        for index in range(self.choices):
            yield chunk(index, {"role": "assistant", "content": ""})
            for piece in _pieces(self.text):
                yield chunk(index, {"content": piece})
            yield chunk(index, {}, self.finish)
        usage = self._chat_usage()
        if self.include_usage and usage:
            yield sse_event({**head, "choices": [], "usage": usage})
        yield DONE

    def message_body(self) -> bytes:
        content = [{"type": "text", "text": self.text}]
        stop = {"stop_reason": self._stop_reason, "stop_sequence": None}
        return _compact({**self._message_head(content), **stop, **_member(self._message_usage())})

    def message_events(self) -> Iterator[bytes]:
        usage = self._message_usage()
        start = {**self._message_head([]), "stop_reason": None, "stop_sequence": None}
        begun = _member({**usage, "output_tokens": 0} if usage else {})
        yield sse_event({"type": "message_start", "message": {**start, **begun}}, "message_start")
        block = {"type": "text", "text": ""}
        yield sse_event({"type": "content_block_start", "index": 0, "content_block": block}, "content_block_start")
        for piece in _pieces(self.text):
            delta = {"type": "text_delta", "text": piece}
            yield sse_event({"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta")
        yield sse_event({"type": "content_block_stop", "index": 0}, "content_block_stop")
        stop = {"stop_reason": self._stop_reason, "stop_sequence": None}
        yield sse_event({"type": "message_delta", "delta": stop, **_member(usage)}, "message_delta")
        yield sse_event({"type": "message_stop"}, "message_stop")

    @property
    def _stop_reason(self) -> str:
        return "max_tokens" if self.finish == "length" else "end_turn"

    def _chat_head(self, kind: str) -> dict[str, Any]:
        return {"id": f"chatcmpl-{self.identity}", "object": kind, "created": self.created, "model": self.model}

    def _message_head(self, content: list[dict[str, str]]) -> dict[str, Any]:
        return {
            "id": f"msg_{self.identity}",
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
        }

    def _chat_usage(self) -> Mapping[str, object]:
        if self.usage is not None:
            return self.usage
        return {
            "prompt_tokens": self.input_tokens,
            "completion_tokens": self.output_tokens,
            "total_tokens": self.input_tokens + self.output_tokens,
        }

    def _message_usage(self) -> Mapping[str, object]:
        if self.usage is not None:
            return self.usage
        return {"input_tokens": self.input_tokens, "output_tokens": self.output_tokens}


def _member(usage: Mapping[str, object]) -> dict[str, object]:
    return {"usage": usage} if usage else {}


def _compact(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _spoilt(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The first piece whole where more follow, then one that nobody can read, then the end."""
    first = next(pieces)
    if next(pieces, None) is None:
        yield first[: len(first) // 2]
        return
    yield first
    yield b"data: {malformed\n\n"


class _LocalReply:
    """An answer made here. `drop_after` breaks it off after that many pieces."""

    def __init__(
        self, status: int, headers: Mapping[str, str], pieces: Iterator[bytes], drop_after: int | None
    ) -> None:
        self.status = status
        self.headers = headers
        self._pieces = pieces
        self._drop_after = drop_after
        self._closed = False

    async def read(self, limit: int = MAX_REPLY) -> bytes:
        data = b"".join([piece async for piece in self.chunks()])
        if len(data) > limit:
            raise ProviderError(ErrorClass.MALFORMED_RESPONSE, f"The answer is longer than {limit} bytes.")
        return data

    async def chunks(self) -> AsyncIterator[bytes]:
        sent = 0
        while not self._closed:
            if sent == self._drop_after:
                raise ProviderError(ErrorClass.NETWORK_UNAVAILABLE, "The script dropped the connection.")
            piece = next(self._pieces, None)
            if piece is None:
                return
            sent += 1
            yield piece
            # A long answer takes its turns with everybody else's.
            await asyncio.sleep(0)

    def close(self) -> None:
        self._closed = True
