"""Reading a plain (not streamed) answer: its usage, how it finished and how much of it can be seen."""

import json
import re
from typing import Any

import orjson

from palyra.core.values import value
from palyra.providers.errors import ErrorClass, ProviderError, error_in
from palyra.providers.responses_answer import failure_of, finish_of, items_of, types_of
from palyra.providers.strict_json import may_hold_more
from palyra.providers.visible import item_bytes, message_bytes, whole_block_bytes
from palyra.providers.wires import Wire


@value
class PlainReply:
    """A parsed answer. `usage` is the provider's own object, None if it gave none; `model` and `service_tier` (empty
    if unsaid) as the provider named them.

    `finish` is the first choice's finish reason as sent; `visible_bytes` counts text, tool-call arguments and thinking
    text of all choices in UTF-8. `items` are the types of the output items where the wire has such; `failure` is set
    by an answer that says of itself that it failed.
    """

    data: dict[str, Any]
    model: str
    usage: dict[str, Any] | None
    finish: str | None
    visible_bytes: int
    service_tier: str = ""
    id: str = ""
    items: tuple[str, ...] = ()
    failure: ProviderError | None = None


_PARTS = {Wire.CHAT: "choices", Wire.MESSAGES: "content", Wire.RESPONSES: "output", Wire.EMBEDDINGS: "data"}
"""The member that holds the reply."""

MAX_VALUES = 4_000_000
"""How many values an answer may hold: it has room for fewer numbers of embeddings, and reading more than these takes
seconds in which nobody is served."""


def read_reply(wire: Wire, body: bytes) -> PlainReply:
    """Raises ProviderError, malformed_response, for what is no answer of this wire."""
    if may_hold_more(body, MAX_VALUES):
        raise _malformed(f"The provider's answer holds more than {MAX_VALUES:,} values.")
    try:
        data = _decoded(body)
    except (ValueError, RecursionError):
        raise _malformed("The provider's answer is not JSON.") from None
    if type(data) is not dict:
        raise _malformed("The provider's answer is not a JSON object.")
    said = None if wire is Wire.RESPONSES and data.get("object") == "response" else error_in(data)
    if said is not None:
        raise _malformed(f"The provider answered with an error inside a success: {said}")
    parts = data.get(_PARTS[wire])
    if type(parts) is not list:
        raise _malformed("The provider's answer holds no reply.")
    finish: object = None
    visible = 0
    if wire is Wire.EMBEDDINGS:
        pass
    elif wire is Wire.RESPONSES:
        finish, visible = finish_of(data), sum(item_bytes(item) for item in items_of(data))
    elif wire is Wire.CHAT:
        finish, visible = _choices(parts)
    else:
        finish, visible = data.get("stop_reason"), sum(whole_block_bytes(part) for part in parts if type(part) is dict)
    usage, tier = data.get("usage"), data.get("service_tier")
    return PlainReply(
        data=data,
        model=str(data.get("model") or ""),
        usage=usage if type(usage) is dict else None,
        finish=finish if type(finish) is str else None,
        visible_bytes=visible,
        service_tier=tier if type(tier) is str else "",
        id=str(data.get("id") or ""),
        items=types_of(items_of(data)) if wire is Wire.RESPONSES else (),
        failure=failure_of(data) if wire is Wire.RESPONSES else None,
    )


def read_refusal(body: bytes) -> PlainReply | None:
    """What an error answer says it used; None for most, which say nothing of it."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    usage = data.get("usage") if type(data) is dict else None
    if type(usage) is not dict or not any(type(count) is int and count > 0 for count in usage.values()):
        return None
    tier = data.get("service_tier")
    return PlainReply(data, str(data.get("model") or ""), usage, None, 0, tier if type(tier) is str else "")


def _decoded(body: bytes) -> Any:
    """The JSON of an answer. Raises ValueError or RecursionError.

    The quick reader refuses what is only nearly JSON and rounds numbers beyond 64 bits, which counts never may be.
    """
    if _LONG_NUMBER.search(body) is None:
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            pass
    return json.loads(body)


_LONG_NUMBER = re.compile(rb"[0-9]{17}")


def _choices(choices: list[Any]) -> tuple[object, int]:
    finish: object = None
    visible = 0
    for choice in choices:
        if type(choice) is dict:
            finish = finish or choice.get("finish_reason")
            if type(message := choice.get("message")) is dict:
                visible += message_bytes(message)
    return finish, visible


def _malformed(message: str) -> ProviderError:
    return ProviderError(ErrorClass.MALFORMED_RESPONSE, message)
