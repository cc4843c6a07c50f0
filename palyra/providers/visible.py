"""How much of an answer its caller can see, in bytes of UTF-8: text, refusals, thinking, arguments of tool calls."""

from typing import Any

from palyra.providers.prompt import json_size, text_size


def message_bytes(message: dict[str, Any]) -> int:
    """Visible bytes of a chat message or of a delta of one: text, refusal, thinking text, tool-call arguments."""
    size = 0
    for name in ("content", "refusal"):
        value = message.get(name)
        if type(value) is str:
            size += text_size(value)
        elif type(value) is list:
            size += sum(block_bytes(part) for part in value if type(part) is dict)
    # Providers that name it twice repeat the same text.
    for name in ("reasoning_content", "reasoning"):
        if type(value := message.get(name)) is str:
            size += text_size(value)
            break
    if calls := message.get("tool_calls"):
        size += sum(_call_bytes(call) for call in calls if type(call) is dict) if type(calls) is list else 0
    if type(call := message.get("function_call")) is dict:
        size += _call_bytes({"function": call})
    if type(audio := message.get("audio")) is dict and type(spoken := audio.get("transcript")) is str:
        size += text_size(spoken)
    return size


def _call_bytes(call: dict[str, Any]) -> int:
    size = 0
    for name, member in (("function", "arguments"), ("custom", "input")):
        if type(inner := call.get(name)) is dict and type(value := inner.get(member)) is str:
            size += text_size(value)
    return size


def block_bytes(block: dict[str, Any]) -> int:
    """Visible bytes of an Anthropic content block or of a delta of one."""
    size = 0
    for name in ("text", "thinking", "partial_json"):
        value = block.get(name)
        if type(value) is str:
            size += text_size(value)
        elif type(value) is list:
            size += sum(block_bytes(part) for part in value if type(part) is dict)
    return size


def whole_block_bytes(block: dict[str, Any]) -> int:
    """The same of a block that is complete, where a tool call's arguments are an object."""
    arguments = block.get("input")
    return block_bytes(block) + (json_size(arguments) if arguments else 0)


def item_bytes(item: dict[str, Any]) -> int:
    """Visible bytes of an output item of the responses wire."""
    size = 0
    for name in ("content", "summary"):
        parts = item.get(name)
        for part in parts if type(parts) is list else ():
            if type(part) is dict:
                size += _texts(part, ("text", "refusal", "transcript"))
    if type(action := item.get("action")) is dict:
        commands = action.get("commands")
        size += sum(text_size(command) for command in commands if type(command) is str) if type(commands) is list else 0
    if type(operation := item.get("operation")) is dict:
        size += _texts(operation, ("diff",))
    return size + _texts(item, ("arguments", "input", "code"))


def _texts(holder: dict[str, Any], names: tuple[str, ...]) -> int:
    return sum(text_size(value) for name in names if type(value := holder.get(name)) is str)
