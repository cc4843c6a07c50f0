"""Requests of the responses wire in the words of chat completions, and through them in those of Anthropic messages."""

from collections.abc import Mapping
from typing import Any

from palyra.providers.translate.chat_request import messages_of_chat
from palyra.providers.translate.crossing import (
    SHOWN_BELOW,
    Crossing,
    Members,
    UncarriedError,
    note_cache_mark,
    objects,
    said,
    shown_by,
    text_of,
)

_MEMBERS = Members(
    carried=frozenset(
        {
            "include",
            "input",
            "instructions",
            "max_output_tokens",
            "max_tool_calls",
            "metadata",
            "model",
            "parallel_tool_calls",
            "reasoning",
            "safety_identifier",
            "service_tier",
            "store",
            "stream",
            "stream_options",
            "temperature",
            "text",
            "tool_choice",
            "tools",
            "top_p",
            "user",
        }
    ),
    neutral={"background": (False,), "top_logprobs": (0,), "truncation": ("disabled",)},
    hints=frozenset({"prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"}),
)

_SAME_NAME = ("parallel_tool_calls", "safety_identifier", "service_tier", "temperature", "top_p", "user")
_LOGPROBS = "message.output_text.logprobs"
_NAMES: Mapping[str, str] = {
    "reasoning_effort": "reasoning.effort",
    "response_format": "text.format",
    "verbosity": "text.verbosity",
}
"""What the caller calls members of the chat request that goes between."""


def messages_of_responses(data: dict[str, Any]) -> Crossing:
    """The same request as Anthropic messages. Raises UncarriedError."""
    chat = chat_of_responses(data)
    try:
        crossing = messages_of_chat(chat.body)
    except UncarriedError as error:
        field = "input" if error.field.startswith("messages") else _NAMES.get(error.field, error.field)
        raise UncarriedError(field) from None
    crossing.body.pop("stream_options", None)
    return Crossing(crossing.body, crossing.ceiling, tuple(dict.fromkeys([*chat.dropped, *crossing.dropped])))


def chat_of_responses(data: dict[str, Any]) -> Crossing:
    """The same request as a chat completion. Raises UncarriedError."""
    dropped = _MEMBERS.check(data)
    messages: list[dict[str, Any]] = []
    if said(instructions := data.get("instructions")):
        if type(instructions) is not str:
            raise UncarriedError("instructions")
        messages.append({"role": "system", "content": instructions})
    given = data.get("input")
    if type(given) is str:
        messages.append({"role": "user", "content": given})
    else:
        _add_items(objects(given, "input"), messages, dropped)
    body: dict[str, Any] = {"messages": messages}
    for name in _SAME_NAME:
        if data.get(name) is not None:
            body[name] = data[name]
    if data.get("stream") is not None:
        body["stream"] = data["stream"]
        if data["stream"] is True:
            body["stream_options"] = {"include_usage": True}
    if type(included := data.get("include")) is list and _LOGPROBS in included:
        raise UncarriedError("include")
    _add_reasoning(data.get("reasoning"), body)
    _add_text(data.get("text"), body)
    tools = [_tool(tool, f"tools[{index}]", dropped) for index, tool in enumerate(objects(data.get("tools"), "tools"))]
    if tools:
        body["tools"] = tools
    if (choice := data.get("tool_choice")) is not None and (tools or choice not in ("auto", "none")):
        body["tool_choice"] = _tool_choice(choice)
    if not tools:
        body.pop("parallel_tool_calls", None)
    return Crossing(body, dropped=tuple(dropped))


def _add_reasoning(reasoning: object, body: dict[str, Any]) -> None:
    if reasoning is None:
        return
    if type(reasoning) is not dict:
        raise UncarriedError("reasoning")
    for name, content in reasoning.items():
        if name == "effort" or not said(content) or (name in ("summary", "generate_summary") and content == "auto"):
            continue
        raise UncarriedError(f"reasoning.{name[:64]}")
    if said(reasoning.get("effort")):
        body["reasoning_effort"] = reasoning["effort"]


def _add_text(text: object, body: dict[str, Any]) -> None:
    if text is None:
        return
    if type(text) is not dict:
        raise UncarriedError("text")
    for name, content in text.items():
        if name not in ("format", "verbosity") and said(content):
            raise UncarriedError(f"text.{name[:64]}")
    if said(text.get("verbosity")):
        body["verbosity"] = text["verbosity"]
    if not said(shape := text.get("format")):
        return
    if type(shape) is not dict:
        raise UncarriedError("text.format")
    kind = shape.get("type")
    if kind == "json_schema":
        schema = {name: content for name, content in shape.items() if name != "type" and content is not None}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif kind == "json_object":
        body["response_format"] = {"type": "json_object"}
    elif kind != "text":
        raise UncarriedError("text.format")


def _add_items(items: list[dict[str, Any]], messages: list[dict[str, Any]], dropped: list[str]) -> None:
    shown: list[dict[str, Any]] = []
    for index, item in enumerate(items):
        path = f"input[{index}]"
        kind = item.get("type", "message")
        if kind == "function_call_output":
            message, images = _output(item, path)
            messages.append(message)
            shown += shown_by(message["tool_call_id"], images)
            continue
        if shown:
            # All results of one turn come before anything else is said.
            messages.append({"role": "user", "content": shown})
            shown = []
        if kind == "message":
            messages.append(_message(item, path, dropped))
        elif kind == "function_call":
            # What an assistant says and all it calls with it are one message there.
            if not messages or messages[-1]["role"] != "assistant":
                messages.append({"role": "assistant", "content": None})
            messages[-1].setdefault("tool_calls", []).append(_call(item, path))
        else:
            raise UncarriedError(path)
    if shown:
        messages.append({"role": "user", "content": shown})


def _output(item: Mapping[str, Any], path: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a tool said, and the images it showed: a tool's result is only text on the other wire."""
    content, where = item.get("output"), f"{path}.output"
    texts: list[str] = []
    images: list[dict[str, Any]] = []
    for index, part in enumerate(objects(content, where) if type(content) is not str else ()):
        if part.get("type") == "input_image":
            images.append(_part(part, f"{where}[{index}]"))
        else:
            texts.append(_text(part, f"{where}[{index}]"))
    text = content if type(content) is str else "\n".join(texts)
    text = text or (SHOWN_BELOW if images else "")
    return {"role": "tool", "tool_call_id": text_of(item, "call_id", path), "content": text}, images


def _message(item: Mapping[str, Any], path: str, dropped: list[str]) -> dict[str, Any]:
    role, content = item.get("role"), item.get("content")
    if role not in ("user", "assistant", "system", "developer"):
        raise UncarriedError(f"{path}.role")
    if content is None or type(content) is str:
        return {"role": role, "content": content or ""}
    parts = objects(content, f"{path}.content")
    for part in parts:
        note_cache_mark(part, dropped)
    if role == "user":
        return {"role": role, "content": [_part(part, f"{path}.content[{at}]") for at, part in enumerate(parts)]}
    return {"role": role, "content": _texts(parts, f"{path}.content", "" if role == "assistant" else "\n")}


def _texts(parts: list[dict[str, Any]], path: str, between: str = "\n") -> str:
    """The texts of parts that may be nothing else, put together."""
    return between.join(_text(part, f"{path}[{index}]") for index, part in enumerate(parts))


def _text(part: Mapping[str, Any], path: str) -> str:
    kind = part.get("type")
    if kind not in ("input_text", "output_text", "text", "refusal"):
        raise UncarriedError(path)
    return text_of(part, "refusal" if kind == "refusal" else "text", path)


def _part(part: Mapping[str, Any], path: str) -> dict[str, Any]:
    kind = part.get("type")
    if kind in ("input_text", "text", "output_text"):
        return {"type": "text", "text": text_of(part, "text", path)}
    if kind != "input_image":
        raise UncarriedError(path)
    image = {"url": text_of(part, "image_url", path)}
    if part.get("detail") in ("low", "high"):
        image["detail"] = part["detail"]
    return {"type": "image_url", "image_url": image}


def _call(item: Mapping[str, Any], path: str) -> dict[str, Any]:
    function = {"name": text_of(item, "name", path), "arguments": text_of(item, "arguments", path)}
    return {"id": text_of(item, "call_id", path), "type": "function", "function": function}


def _tool(tool: Mapping[str, Any], path: str, dropped: list[str]) -> dict[str, Any]:
    if tool.get("type") != "function":
        raise UncarriedError(path)
    note_cache_mark(tool, dropped)
    function: dict[str, Any] = {"name": text_of(tool, "name", path)}
    for name in ("description", "parameters", "strict"):
        if tool.get(name) is not None:
            function[name] = tool[name]
    return {"type": "function", "function": function}


def _tool_choice(choice: object) -> Any:
    if type(choice) is str and choice in ("auto", "none", "required"):
        return choice
    if type(choice) is dict and choice.get("type") == "function":
        return {"type": "function", "function": {"name": text_of(choice, "name", "tool_choice")}}
    raise UncarriedError("tool_choice")
