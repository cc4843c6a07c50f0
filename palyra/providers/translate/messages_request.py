"""Anthropic messages requests in the words of chat completions."""

from collections.abc import Mapping
from typing import Any

from palyra.providers.translate.crossing import (
    SHOWN_BELOW,
    Crossing,
    Members,
    UncarriedError,
    compact,
    note_cache_mark,
    objects,
    said,
    shown_by,
    text_of,
)

_MEMBERS = Members(
    carried=frozenset(
        {
            "max_tokens",
            "messages",
            "metadata",
            "model",
            "service_tier",
            "stop_sequences",
            "stream",
            "system",
            "temperature",
            "tool_choice",
            "tools",
            "top_p",
        }
    ),
    neutral={"speed": ("standard",), "thinking": ({"type": "disabled"},)},
    hints=frozenset({"cache_control"}),
)

SERVICE_TIERS: Mapping[str, str] = {"auto": "auto", "standard_only": "default"}
_TOOL_MEMBERS = frozenset(
    {"cache_control", "description", "eager_input_streaming", "input_schema", "name", "strict", "type"}
)
FAILED = "Error: "
"""Begins the result of a tool that failed: chat has no other word for it."""


def chat_of_messages(data: dict[str, Any]) -> Crossing:
    """The same request as a chat completion. Raises UncarriedError."""
    dropped = _MEMBERS.check(data)
    messages: list[dict[str, Any]] = []
    system = [text for text in _texts(data.get("system"), "system", dropped) if text]
    if system:
        messages.append({"role": "system", "content": "\n\n".join(system)})
    turns = objects(data.get("messages"), "messages")
    for index, message in enumerate(turns):
        messages += _turn(message, f"messages[{index}]", dropped)
    if turns and turns[-1].get("role") == "assistant":
        # The answer was to go on with it; there it begins anew.
        raise UncarriedError(f"messages[{len(turns) - 1}]")
    body: dict[str, Any] = {"messages": messages}
    for name in ("temperature", "top_p"):
        if data.get(name) is not None:
            body[name] = data[name]
    if data.get("stream") is not None:
        body["stream"] = data["stream"]
        if data["stream"] is True:
            body["stream_options"] = {"include_usage": True}
    if said(stop := data.get("stop_sequences")):
        body["stop"] = stop
    if type(metadata := data.get("metadata")) is dict and said(user := metadata.get("user_id")):
        body["user"] = user
    if (tier := data.get("service_tier")) is not None:
        if tier not in SERVICE_TIERS:
            raise UncarriedError("service_tier")
        body["service_tier"] = SERVICE_TIERS[tier]
    tools = [_tool(tool, f"tools[{index}]", dropped) for index, tool in enumerate(objects(data.get("tools"), "tools"))]
    if tools:
        body["tools"] = tools
    _choose_tools(data.get("tool_choice"), body)
    return Crossing(body, dropped=tuple(dropped))


def _texts(content: object, path: str, dropped: list[str]) -> list[str]:
    """The texts of a content that may hold nothing else."""
    if content is None:
        return []
    if type(content) is str:
        return [content]
    return [_text(block, f"{path}[{index}]", dropped) for index, block in enumerate(objects(content, path))]


def _text(block: Mapping[str, Any], path: str, dropped: list[str]) -> str:
    note_cache_mark(block, dropped)
    if block.get("type") != "text":
        raise UncarriedError(path)
    return text_of(block, "text", path)


def _turn(message: Mapping[str, Any], path: str, dropped: list[str]) -> list[dict[str, Any]]:
    """One turn as the messages it becomes."""
    for name, content in message.items():
        if name not in ("role", "content") and said(content):
            raise UncarriedError(f"{path}.{name[:64]}")
    role, content = message.get("role"), message.get("content")
    where = f"{path}.content"
    if role == "system":
        return [{"role": "system", "content": "\n\n".join(_texts(content, where, dropped))}]
    if role not in ("user", "assistant"):
        raise UncarriedError(f"{path}.role")
    if content is None or type(content) is str:
        return [{"role": role, "content": content or ""}]
    blocks = objects(content, where)
    return _assistant(blocks, where, dropped) if role == "assistant" else _user(blocks, where, dropped)


def _assistant(blocks: list[dict[str, Any]], path: str, dropped: list[str]) -> list[dict[str, Any]]:
    text, calls = "", []
    for index, block in enumerate(blocks):
        where = f"{path}[{index}]"
        note_cache_mark(block, dropped)
        if block.get("type") == "text":
            text += text_of(block, "text", where)
        elif block.get("type") == "tool_use":
            calls.append(_tool_call(block, where))
        else:
            raise UncarriedError(where)
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if calls:
        message["tool_calls"] = calls
    elif not text:
        message["content"] = ""
    return [message]


def _tool_call(block: Mapping[str, Any], path: str) -> dict[str, Any]:
    if type(arguments := block.get("input")) is not dict:
        raise UncarriedError(f"{path}.input")
    function = {"name": text_of(block, "name", path), "arguments": compact(arguments)}
    return {"id": text_of(block, "id", path), "type": "function", "function": function}


def _user(blocks: list[dict[str, Any]], path: str, dropped: list[str]) -> list[dict[str, Any]]:
    """Results of tools answer the assistant's calls, so they come before what the user says besides. Their images are
    shown there: a tool's result is only text on the other wire."""
    results: list[dict[str, Any]] = []
    shown: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for index, block in enumerate(blocks):
        where = f"{path}[{index}]"
        note_cache_mark(block, dropped)
        kind = block.get("type")
        if kind == "text":
            parts.append({"type": "text", "text": text_of(block, "text", where)})
        elif kind == "image":
            parts.append(_image(block, where))
        elif kind == "tool_result":
            message, images = _tool_message(block, where, dropped)
            results.append(message)
            shown += shown_by(message["tool_call_id"], images)
        else:
            raise UncarriedError(where)
    parts = [*shown, *parts]
    if not parts and results:
        return results
    alone = len(parts) == 1 and parts[0]["type"] == "text"
    return [*results, {"role": "user", "content": parts[0]["text"] if alone else parts or ""}]


def _image(block: Mapping[str, Any], path: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": _image_url(block.get("source"), f"{path}.source")}}


def _image_url(source: object, path: str) -> str:
    if type(source) is dict:
        if source.get("type") == "base64":
            return f"data:{text_of(source, 'media_type', path)};base64,{text_of(source, 'data', path)}"
        if source.get("type") == "url":
            return text_of(source, "url", path)
    raise UncarriedError(path)


def _tool_message(
    block: Mapping[str, Any], path: str, dropped: list[str]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a tool said, and the images it showed."""
    content, where = block.get("content"), f"{path}.content"
    texts: list[str] = []
    images: list[dict[str, Any]] = []
    for index, part in enumerate(objects(content, where) if type(content) is not str else ()):
        if part.get("type") == "image":
            note_cache_mark(part, dropped)
            images.append(_image(part, f"{where}[{index}]"))
        else:
            texts.append(_text(part, f"{where}[{index}]", dropped))
    text = content if type(content) is str else "\n".join(texts)
    if block.get("is_error") is True and not text.lower().startswith("error"):
        text = FAILED + text
    text = text or (SHOWN_BELOW if images else "")
    return {"role": "tool", "tool_call_id": text_of(block, "tool_use_id", path), "content": text}, images


def _tool(tool: Mapping[str, Any], path: str, dropped: list[str]) -> dict[str, Any]:
    if tool.get("type", "custom") not in ("custom", None):
        raise UncarriedError(path)
    for name, content in tool.items():
        if name not in _TOOL_MEMBERS and said(content) and content is not False:
            raise UncarriedError(f"{path}.{name[:64]}")
    note_cache_mark(tool, dropped)
    function: dict[str, Any] = {"name": text_of(tool, "name", path)}
    for name, their_name in (("description", "description"), ("input_schema", "parameters")):
        if tool.get(name) is not None:
            function[their_name] = tool[name]
    if tool.get("strict") is True:
        function["strict"] = True
    return {"type": "function", "function": function}


_CHOICES: Mapping[str, str] = {"auto": "auto", "any": "required", "none": "none"}


def _choose_tools(choice: object, body: dict[str, Any]) -> None:
    if choice is None:
        return
    if type(choice) is not dict:
        raise UncarriedError("tool_choice")
    kind = choice.get("type")
    if "tools" not in body and kind in ("auto", "none"):
        return
    if kind == "tool":
        name = text_of(choice, "name", "tool_choice")
        body["tool_choice"] = {"type": "function", "function": {"name": name}}
    elif type(kind) is str and kind in _CHOICES:
        body["tool_choice"] = _CHOICES[kind]
    else:
        raise UncarriedError("tool_choice")
    if choice.get("disable_parallel_tool_use") is True:
        body["parallel_tool_calls"] = False
