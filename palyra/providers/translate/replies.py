"""Whole answers in the caller's dialect: text, tool calls, why they ended and what they used."""

from collections.abc import Iterator, Mapping
from typing import Any

from palyra.core.values import value
from palyra.providers.errors import ErrorClass, ProviderError
from palyra.providers.request import ParsedRequest
from palyra.providers.translate.crossing import Used, compact, parsed_arguments
from palyra.providers.translate.response_object import call_item, ended_response, message_item
from palyra.providers.wires import completed_reason

STOP_REASONS: Mapping[str, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


@value
class Answered:
    """A whole answer in nobody's dialect. `blocks` are those of Anthropic messages: of text and of tool use; `finish`
    is one of stop, length, tool_calls, content_filter."""

    identity: str
    model: str
    blocks: tuple[dict[str, Any], ...]
    finish: str


def read_completion(data: Mapping[str, Any]) -> Answered:
    """What a chat completion says. Raises ProviderError for one that cannot be understood."""
    choices = data.get("choices")
    choice = choices[0] if type(choices) is list and choices else None
    message = choice.get("message") if type(choice) is dict else None
    if type(choice) is not dict or type(message) is not dict:
        raise _malformed("The provider's answer holds no message.")
    finish = _finish(choice.get("finish_reason"))
    blocks: list[dict[str, Any]] = []
    if text := "".join(chat_texts(message)):
        blocks.append({"type": "text", "text": text})
    calls = message.get("tool_calls")
    used = [_tool_use(call, cut=finish == "length") for call in (calls if type(calls) is list else ())]
    return Answered(
        str(data.get("id") or ""),
        str(data.get("model") or ""),
        (*blocks, *used),
        # Some providers say that they merely stopped where tools are called.
        "tool_calls" if used and finish == "stop" else finish,
    )


def read_message(data: Mapping[str, Any]) -> Answered:
    """What an Anthropic message says. Raises ProviderError for one that cannot be understood."""
    content = data.get("content")
    if type(content) is not list:
        raise _malformed("The provider's answer holds no message.")
    blocks: list[dict[str, Any]] = []
    for block in content:
        kind = block.get("type") if type(block) is dict else None
        if kind == "text":
            blocks.append({"type": "text", "text": str(block.get("text") or "")})
        elif kind == "tool_use":
            blocks.append(_used(block.get("id"), block.get("name"), block.get("input") or {}))
    return Answered(
        str(data.get("id") or ""), str(data.get("model") or ""), tuple(blocks), _finish(data.get("stop_reason"))
    )


def message_of(answered: Answered, used: Used, asked: ParsedRequest, at_ms: int) -> dict[str, Any]:
    """An Anthropic message."""
    return {
        "id": answered.identity,
        "type": "message",
        "role": "assistant",
        "model": answered.model,
        "content": list(answered.blocks),
        "stop_reason": STOP_REASONS[answered.finish],
        "stop_sequence": None,
        "usage": messages_usage(used),
    }


def completion_of(answered: Answered, used: Used, asked: ParsedRequest, at_ms: int) -> dict[str, Any]:
    """A chat completion, made at an instant (unix ms)."""
    text = "".join(block["text"] for block in answered.blocks if block["type"] == "text")
    calls = [
        {
            "id": block["id"],
            "type": "function",
            "function": {"name": block["name"], "arguments": compact(block["input"])},
        }
        for block in answered.blocks
        if block["type"] == "tool_use"
    ]
    message: dict[str, Any] = {"role": "assistant", "content": text if text or not calls else None, "refusal": None}
    if calls:
        message["tool_calls"] = calls
    return {
        "id": answered.identity,
        "object": "chat.completion",
        "created": at_ms // 1000,
        "model": answered.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": answered.finish}],
        "usage": chat_usage(used),
    }


def response_of(answered: Answered, used: Used, asked: ParsedRequest, at_ms: int) -> dict[str, Any]:
    """A response object of the responses wire, made at an instant (unix ms)."""
    items = [
        message_item(answered.identity, place, block["text"])
        if block["type"] == "text"
        else call_item(answered.identity, place, block["id"], block["name"], compact(block["input"]))
        for place, block in enumerate(answered.blocks)
    ]
    return ended_response(asked, answered.identity, answered.model, at_ms, items, answered.finish, used)


def stop_reason(finish: str | None, *, tools: bool) -> str:
    """A chat finish reason on the messages wire."""
    reason = completed_reason(finish)
    return STOP_REASONS["tool_calls" if tools and reason == "stop" else reason]


def messages_usage(used: Used) -> dict[str, Any]:
    """Cached tokens stand beside the input on this wire."""
    usage: dict[str, Any] = {
        "input_tokens": max(0, used.input_total - used.cache_read - used.cache_write),
        "cache_creation_input_tokens": used.cache_write,
        "cache_read_input_tokens": used.cache_read,
        "output_tokens": used.output_total,
    }
    if used.reasoning:
        usage["output_tokens_details"] = {"thinking_tokens": used.reasoning}
    return usage


def chat_usage(used: Used) -> dict[str, Any]:
    """Cached tokens are part of the prompt on this wire."""
    prompt = {"cached_tokens": used.cache_read}
    if used.cache_write:
        prompt["cache_write_tokens"] = used.cache_write
    return {
        "prompt_tokens": used.input_total,
        "completion_tokens": used.output_total,
        "total_tokens": used.input_total + used.output_total,
        "prompt_tokens_details": prompt,
        "completion_tokens_details": {"reasoning_tokens": used.reasoning},
    }


def chat_texts(message: Mapping[str, Any]) -> Iterator[str]:
    """What a chat message, or a delta of one, says aloud; reasoning has no place on other wires."""
    content = message.get("content")
    if type(content) is str:
        yield content
    elif type(content) is list:
        for part in content:
            if type(part) is dict and part.get("type") == "text" and type(text := part.get("text")) is str:
                yield text
    if type(refusal := message.get("refusal")) is str:
        yield refusal


def _finish(reason: object) -> str:
    return completed_reason(reason if type(reason) is str else None)


def _tool_use(call: object, *, cut: bool) -> dict[str, Any]:
    """An answer that was cut at its ceiling may break off inside the arguments; nobody is to run such a call."""
    function = call.get("function") if type(call) is dict else None
    if type(call) is not dict or type(function) is not dict:
        raise _malformed("The provider's answer calls a tool in an unknown way.")
    text = function.get("arguments")
    arguments = parsed_arguments(text) if type(text) is str else {}
    if arguments is None:
        if not cut:
            raise _malformed("The provider's answer calls a tool with arguments that are no JSON object.")
        arguments = {}
    return _used(call.get("id"), function.get("name"), arguments)


def _used(identity: object, name: object, arguments: object) -> dict[str, Any]:
    return {"type": "tool_use", "id": str(identity or ""), "name": str(name or ""), "input": arguments}


def _malformed(message: str) -> ProviderError:
    return ProviderError(ErrorClass.MALFORMED_RESPONSE, message)
