"""The built-in provider: answers with what it was asked, on every wire, without a network; scripted where told so."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

from palyra.config.providers import ScriptStep
from palyra.core.clock import Clock
from palyra.providers.echo import PIECE_BYTES, Echo, compact_body
from palyra.providers.embedding_echo import DIMENSIONS, embeddings_body
from palyra.providers.embedding_input import read_embedding_input
from palyra.providers.errors import ErrorClass, ProviderError
from palyra.providers.prompt import texts_of
from palyra.providers.request import ParsedRequest, RequestError, parse_request
from palyra.providers.upstream import MAX_REPLY, Progress, UpstreamCall, UpstreamReply
from palyra.providers.wires import Wire, error_body

ACK = "ack"
JSON_ACK = '{"ack":"ok"}'
NO_SCRIPT = ScriptStep()
PIECES_A_TURN = 8
"""Pieces of an answer that come in one turn of the loop."""

_ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class DeterministicProvider:
    """Repeats the last user text. Each step of `script` shapes one answer, in order; then answers are normal."""

    def __init__(self, clock: Clock, script: Sequence[ScriptStep] = ()) -> None:
        self._clock = clock
        self._script = deque(script)

    async def send(self, call: UpstreamCall, progress: Progress | None = None) -> UpstreamReply:
        """Answers as its script says, else with an echo. Raises ProviderError where the script fails."""
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
            pieces, kind = echo.events(call.wire), "text/event-stream"
        else:
            pieces, kind = iter((echo.body(call.wire),)), "application/json"
        headers = {"content-type": kind}
        return _LocalReply(200, headers, _spoilt(pieces) if step.malformed else pieces, step.drop_after_chunks)


def _error(wire: Wire, status: int, code: str, message: str, retry_after: int | None = None) -> "_LocalReply":
    kind = _ERROR_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    headers = {"content-type": "application/json"}
    if retry_after is not None:
        headers["retry-after"] = str(retry_after)
    return _LocalReply(status, headers, iter((compact_body(error_body(wire, kind, code, message)),)), None)


def _embedded(request: ParsedRequest, step: ScriptStep) -> "_LocalReply":
    asked = read_embedding_input(request.data)
    if asked.dimensions is not None and asked.dimensions > DIMENSIONS:
        said = f"The deterministic provider's vectors have at most {DIMENSIONS} dimensions."
        return _error(Wire.EMBEDDINGS, 400, "invalid_field", said)
    size = sum(len(item.encode("utf-8", "replace")) for item in asked.items if isinstance(item, str))
    tokens = _tokens(size) + sum(len(item) for item in asked.items if not isinstance(item, str))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens} if step.usage is None else step.usage
    pieces = iter((compact_body(embeddings_body(asked, request.model, usage)),))
    headers = {"content-type": "application/json"}
    return _LocalReply(200, headers, _spoilt(pieces) if step.malformed else pieces, step.drop_after_chunks)


def _echo(request: ParsedRequest, step: ScriptStep, created: int) -> Echo:
    text = step.text if step.text is not None else _answer(request)
    encoded = text.encode("utf-8", "replace")
    finish = "stop"
    if request.max_tokens is not None and len(encoded) > request.max_tokens * PIECE_BYTES:
        encoded = encoded[: request.max_tokens * PIECE_BYTES].decode("utf-8", "ignore").encode()
        finish = "length"
    return Echo(
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
    for message in reversed(_conversation(request.data)):
        if message.get("role") == "user":
            return "\n".join(texts_of(message.get("content"))) or ACK
    return ACK


def _conversation(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The messages on every wire; on that of responses a text alone is one, and other items are passed over."""
    given = data.get("messages", data.get("input"))
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    return given or []


def _texts(data: Mapping[str, Any]) -> Iterator[str]:
    yield from texts_of(data.get("system"))
    yield from texts_of(data.get("instructions"))
    for message in _conversation(data):
        yield from texts_of(message.get("content"))
        yield from texts_of(message.get("output"))


def _tokens(size: int) -> int:
    return -(-size // PIECE_BYTES)


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
            if sent % PIECES_A_TURN == 0:
                # A long answer takes its turns with everybody else's.
                await asyncio.sleep(0)

    def close(self) -> None:
        self._closed = True
