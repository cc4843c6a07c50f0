"""Whole answers in the caller's dialect: text, tool calls, why they ended and what they used."""

from collections.abc import Iterator, Mapping
from typing import Any

from palyra.providers.errors import ErrorClass, ProviderError
from palyra.providers.translate.crossing import Used, compact, parsed_arguments, written
from palyra.providers.wires import completed_reason

STOP_REASONS: Mapping[str, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}


def stop_reason(finish: str | None, *, tools: bool) -> str:
    """A chat finish reason on the messages wire. Some providers say that they merely stopped where tools are called."""
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


def message_of_completion(data: Mapping[str, Any], used: Used, at_ms: int) -> bytes:
    """A chat completion as an Anthropic message. Raises ProviderError for one that cannot be understood."""
    choices = data.get("choices")
    choice = choices[0] if type(choices) is list and choices else None
    message = choice.get("message") if type(choice) is dict else None
    if type(choice) is not dict or type(message) is not dict:
        raise _malformed("The provider's answer holds no message.")
    finish = choice.get("finish_reason")
    content: list[dict[str, Any]] = []
    if text := "".join(chat_texts(message)):
        content.append({"type": "text", "text": text})
    calls = message.get("tool_calls")
    for call in calls if type(calls) is list else ():
        content.append(_tool_use(call, cut=completed_reason(finish if type(finish) is str else None) == "length"))
    reason = stop_reason(finish if type(finish) is str else None, tools=any(block.get("id") for block in content))
    return written(
        {
            "id": str(data.get("id") or ""),
            "type": "message",
            "role": "assistant",
            "model": str(data.get("model") or ""),
            "content": content,
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": messages_usage(used),
        }
    )


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
    return {
        "type": "tool_use",
        "id": str(call.get("id") or ""),
        "name": str(function.get("name") or ""),
        "input": arguments,
    }


def completion_of_message(data: Mapping[str, Any], used: Used, at_ms: int) -> bytes:
    """An Anthropic message as a chat completion. Raises ProviderError for one that cannot be understood."""
    text = ""
    calls: list[dict[str, Any]] = []
    blocks = data.get("content")
    if type(blocks) is not list:
        raise _malformed("The provider's answer holds no message.")
    for block in blocks:
        kind = block.get("type") if type(block) is dict else None
        if kind == "text":
            text += str(block.get("text") or "")
        elif kind == "tool_use":
            arguments = compact(block.get("input") or {})
            function = {"name": str(block.get("name") or ""), "arguments": arguments}
            calls.append({"id": str(block.get("id") or ""), "type": "function", "function": function})
    message: dict[str, Any] = {"role": "assistant", "content": text if text or not calls else None, "refusal": None}
    if calls:
        message["tool_calls"] = calls
    reason = data.get("stop_reason")
    finish = completed_reason(reason if type(reason) is str else None)
    return written(
        {
            "id": str(data.get("id") or ""),
            "object": "chat.completion",
            "created": at_ms // 1000,
            "model": str(data.get("model") or ""),
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
            "usage": chat_usage(used),
        }
    )


def _malformed(message: str) -> ProviderError:
    return ProviderError(ErrorClass.MALFORMED_RESPONSE, message)
