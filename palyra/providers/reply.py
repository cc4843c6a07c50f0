"""Reading a plain (not streamed) answer: its usage, how it finished and how much of it can be seen."""

import json
from typing import Any

from palyra.core.values import value
from palyra.providers.errors import ErrorClass, ProviderError, error_in
from palyra.providers.prompt import json_size
from palyra.providers.stream import block_bytes, message_bytes
from palyra.providers.wires import Wire


@value
class PlainReply:
    """A parsed answer. `usage` is the provider's own object, None if it gave none; `model` and `service_tier` (empty
    if unsaid) as the provider named them.

    `finish` is the first choice's finish reason as sent; `visible_bytes` counts text, tool-call arguments and thinking
    text of all choices in UTF-8.
    """

    data: dict[str, Any]
    model: str
    usage: dict[str, Any] | None
    finish: str | None
    visible_bytes: int
    service_tier: str = ""


_PARTS = {Wire.CHAT: "choices", Wire.MESSAGES: "content", Wire.EMBEDDINGS: "data"}
"""The member that holds the reply."""


def read_reply(wire: Wire, body: bytes) -> PlainReply:
    """Raises ProviderError, malformed_response, for what is no answer of this wire."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise _malformed("The provider's answer is not JSON.") from None
    if type(data) is not dict:
        raise _malformed("The provider's answer is not a JSON object.")
    said = error_in(data)
    if said is not None:
        raise _malformed(f"The provider answered with an error inside a success: {said}")
    parts = data.get(_PARTS[wire])
    if type(parts) is not list:
        raise _malformed("The provider's answer holds no reply.")
    if wire is Wire.EMBEDDINGS:
        finish, visible = None, 0
    elif wire is Wire.CHAT:
        finish, visible = _choices(parts)
    else:
        finish, visible = data.get("stop_reason"), sum(_block(part) for part in parts if type(part) is dict)
    usage, tier = data.get("usage"), data.get("service_tier")
    return PlainReply(
        data=data,
        model=str(data.get("model") or ""),
        usage=usage if type(usage) is dict else None,
        finish=finish if type(finish) is str else None,
        visible_bytes=visible,
        service_tier=tier if type(tier) is str else "",
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


def _choices(choices: list[Any]) -> tuple[object, int]:
    finish: object = None
    visible = 0
    for choice in choices:
        if type(choice) is dict:
            finish = finish or choice.get("finish_reason")
            if type(message := choice.get("message")) is dict:
                visible += message_bytes(message)
    return finish, visible


def _block(block: dict[str, Any]) -> int:
    arguments = block.get("input")
    return block_bytes(block) + (json_size(arguments) if arguments else 0)


def _malformed(message: str) -> ProviderError:
    return ProviderError(ErrorClass.MALFORMED_RESPONSE, message)
