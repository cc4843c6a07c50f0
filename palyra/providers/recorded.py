"""An answer as it was recorded from the wire: a whole body, a stream, or the usage object alone."""

import json
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NoReturn

from palyra.core.errors import BadInputError
from palyra.core.values import value
from palyra.providers.errors import error_in
from palyra.providers.prompt import text_size
from palyra.providers.sse import SseSplitter, event_data
from palyra.providers.stream import stream_reader
from palyra.providers.visible import item_bytes, message_bytes, whole_block_bytes
from palyra.providers.wires import Wire


class Shape(StrEnum):
    """Which kind of answer it is. `INPUT_OUTPUT` is a usage object of input and output tokens that says no more."""

    CHAT = "chat"
    RESPONSES = "responses"
    EMBEDDINGS = "embeddings"
    MESSAGES = "messages"
    INPUT_OUTPUT = "input_output"


@value
class RecordedAnswer:
    """What matters of a recorded answer for its price.

    `answer` holds `usage` (None without one), `model`, `service_tier` and, on the responses wire, the types of the
    `output` items, each as it came. `visible_bytes` counts text, tool-call arguments and thinking text in UTF-8.
    `complete` is false for a stream that ends before the answer does.
    """

    shape: Shape
    answer: Mapping[str, Any]
    visible_bytes: int = 0
    complete: bool = True


_WIRES = {Shape.CHAT: Wire.CHAT, Shape.MESSAGES: Wire.MESSAGES, Shape.RESPONSES: Wire.RESPONSES}
_CHAT = frozenset({"prompt_tokens", "completion_tokens"})
_COUNTS = _CHAT | {"input_tokens", "output_tokens", "total_tokens"}
_OF_MESSAGES = frozenset(
    {"cache_read_input_tokens", "cache_creation_input_tokens", "cache_creation", "server_tool_use"}
)
_OF_RESPONSES = frozenset({"input_tokens_details", "total_tokens"})
_STREAM_STARTS = (b"data", b"event", b"id", b"retry")


def read_recorded(body: bytes) -> RecordedAnswer:
    """Raises BadInputError for what holds no answer and no usage."""
    text = body.removeprefix(b"\xef\xbb\xbf").strip()
    if not text:
        _refuse("There is nothing in it.")
    streamed = text.startswith(b":") or text.split(b":", 1)[0].strip() in _STREAM_STARTS
    try:
        return _stream(text + b"\n\n") if streamed else _whole(_object(text))
    except RecursionError:
        _refuse("It nests too deeply.")


def _refuse(message: str) -> NoReturn:
    fix = "Give one response body as it came from the wire, or its usage object."
    raise BadInputError(message, fix=fix, code="no_answer")


def _object(text: bytes) -> dict[str, Any]:
    try:
        data = json.loads(text.decode("utf-8"))
    except UnicodeDecodeError as error:
        _refuse(f"It is not UTF-8 (byte {error.start}).")
    except json.JSONDecodeError as error:
        _refuse(f"It is not JSON: {error.msg} at character {error.pos}.")
    except ValueError:
        _refuse("It holds a number that is too long.")
    if type(data) is not dict:
        _refuse("It is not a JSON object.")
    return data


def _whole(data: dict[str, Any]) -> RecordedAnswer:
    kind = data.get("type")
    wrapped = "message" if kind == "message_start" else "response"
    inner = data.get(wrapped)
    if type(kind) is str and kind.startswith(("response.", "message_start")) and type(inner) is dict:
        data = inner
    usage = data.get("usage")
    shape = _shape_of_body(data)
    if usage is None and shape is None:
        if data.keys() & _COUNTS:
            return RecordedAnswer(_shape_of_usage(data), {"usage": data})
        said = error_in(data)
        _refuse(
            "It is an error, not an answer: nothing is charged for it." if said is not None else "It holds no usage."
        )
    if shape is None:
        shape = _shape_of_usage(usage if type(usage) is dict else {})
    return _recorded(shape, data, _visible(shape, data))


def _recorded(shape: Shape, data: Mapping[str, Any], visible: int, *, complete: bool = True) -> RecordedAnswer:
    answer: dict[str, Any] = {name: data.get(name) for name in ("usage", "model", "service_tier")}
    if shape is Shape.RESPONSES:
        answer["output"] = [{"type": item.get("type")} for item in _dicts(data.get("output"))]
    return RecordedAnswer(shape, MappingProxyType(answer), visible, complete)


def _shape_of_body(data: Mapping[str, Any]) -> Shape | None:
    """The shape of a body by what it holds besides the usage; None where nothing tells."""
    if type(data.get("choices")) is list:
        return Shape.CHAT
    named = data.get("object")
    if named == "response" or type(data.get("output")) is list:
        return Shape.RESPONSES
    if data.get("type") in ("message", "message_delta") or type(data.get("content")) is list:
        return Shape.MESSAGES
    if named == "list" or any("embedding" in item for item in _dicts(data.get("data"))):
        return Shape.EMBEDDINGS
    return None


def _shape_of_usage(usage: Mapping[str, Any]) -> Shape:
    if usage.keys() & _OF_MESSAGES and not usage.keys() & _CHAT:
        return Shape.MESSAGES
    if usage.keys() & {"input_tokens", "output_tokens"} and not usage.keys() & _CHAT:
        return Shape.RESPONSES if usage.keys() & _OF_RESPONSES else Shape.INPUT_OUTPUT
    return Shape.CHAT


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if type(item) is dict] if type(value) is list else []


def _visible(shape: Shape, data: Mapping[str, Any]) -> int:
    if shape is Shape.CHAT:
        return sum(_choice(choice) for choice in _dicts(data.get("choices")))
    if shape is Shape.MESSAGES:
        return sum(whole_block_bytes(block) for block in _dicts(data.get("content")))
    if shape is Shape.RESPONSES:
        return sum(item_bytes(item) for item in _dicts(data.get("output")))
    return 0


def _choice(choice: dict[str, Any]) -> int:
    if type(message := choice.get("message")) is dict:
        return message_bytes(message)
    return text_size(text) if type(text := choice.get("text")) is str else 0


def _stream(body: bytes) -> RecordedAnswer:
    events = [event_data(raw)[0] for raw in SseSplitter(len(body)).feed(body)]
    contents = [_object(data) for data in events if data is not None and data.strip() not in (b"", b"[DONE]")]
    if not contents:
        _refuse("It is a stream without an event.")
    responses = any(str(content.get("type")).startswith("response.") for content in contents)
    messages = any(content.get("type") in ("message_start", "message_delta") for content in contents)
    if not messages and not responses and not any("choices" in content or "usage" in content for content in contents):
        said = error_in(contents[0])
        _refuse(
            "It is an error, not an answer: nothing is charged for it." if said is not None else "It holds no usage."
        )
    shape = Shape.RESPONSES if responses else Shape.MESSAGES if messages else Shape.CHAT
    reader = stream_reader(_WIRES[shape])
    visible = sum(event.visible_bytes for event in reader.feed(body))
    said_of_itself: dict[str, Any] = {
        "usage": reader.usage,
        "model": reader.model,
        "service_tier": reader.service_tier,
        "output": [{"type": kind} for kind in reader.items],
    }
    return _recorded(shape, said_of_itself, visible, complete=reader.ended or reader.usage_final)
