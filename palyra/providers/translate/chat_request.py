"""Chat completion requests in the words of Anthropic messages."""

import re
from collections.abc import Mapping
from typing import Any

from palyra.providers.translate.crossing import (
    Crossing,
    Members,
    UncarriedError,
    note_cache_mark,
    objects,
    parsed_arguments,
    said,
    text_of,
)

_MEMBERS = Members(
    carried=frozenset(
        {
            "max_completion_tokens",
            "max_tokens",
            "messages",
            "metadata",
            "model",
            "parallel_tool_calls",
            "safety_identifier",
            "service_tier",
            "stop",
            "stream",
            "stream_options",
            "temperature",
            "tool_choice",
            "tools",
            "top_p",
            "user",
        }
    ),
    neutral={
        "frequency_penalty": (0,),
        "function_call": ("none", "auto"),
        "logprobs": (False,),
        "modalities": (["text"],),
        "n": (1,),
        "presence_penalty": (0,),
        "reasoning_effort": ("none",),
        "response_format": ({"type": "text"},),
        "store": (False,),
        "top_logprobs": (0,),
        "verbosity": ("medium",),
    },
    hints=frozenset({"cache_control", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"}),
)

SERVICE_TIERS: Mapping[str, str] = {"auto": "auto", "default": "standard_only"}
LONGEST_USER = 256
MAX_TEMPERATURE = 1
_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w.+-]+=[^;,]*)*;base64,", re.IGNORECASE)
_FOREIGN = re.compile(r"[^a-zA-Z0-9_-]")


def messages_of_chat(data: dict[str, Any]) -> Crossing:
    """The same request as Anthropic messages. Raises UncarriedError."""
    dropped = _MEMBERS.check(data)
    system, turns = _conversation(objects(data.get("messages"), "messages"), dropped)
    if not turns:
        raise UncarriedError("messages")
    if turns[-1][0] == "assistant":
        # There the answer would go on with it; here it begins anew.
        raise UncarriedError(f"messages[{len(data['messages']) - 1}]")
    body: dict[str, Any] = {"messages": [{"role": role, "content": _content(blocks)} for role, blocks in turns]}
    if system:
        body["system"] = "\n\n".join(system)
    for name in ("stream", "top_p"):
        if data.get(name) is not None:
            body[name] = data[name]
    if (temperature := data.get("temperature")) is not None:
        body["temperature"] = min(temperature, MAX_TEMPERATURE) if type(temperature) in (int, float) else temperature
    if said(stop := data.get("stop")):
        body["stop_sequences"] = [stop] if type(stop) is str else stop
    if said(user := data.get("safety_identifier") or data.get("user")):
        if type(user) is not str or len(user) > LONGEST_USER:
            raise UncarriedError("safety_identifier" if data.get("safety_identifier") else "user")
        body["metadata"] = {"user_id": user}
    if (tier := data.get("service_tier")) is not None:
        if tier not in SERVICE_TIERS:
            raise UncarriedError("service_tier")
        body["service_tier"] = SERVICE_TIERS[tier]
    tools = [_tool(tool, f"tools[{index}]", dropped) for index, tool in enumerate(objects(data.get("tools"), "tools"))]
    if tools:
        body["tools"] = tools
    choice = _tool_choice(data, tools=bool(tools))
    if choice is not None:
        body["tool_choice"] = choice
    return Crossing(body, ceiling="max_tokens", dropped=tuple(dropped))


def _conversation(
    messages: list[dict[str, Any]], dropped: list[str]
) -> tuple[list[str], list[tuple[str, list[dict[str, Any]]]]]:
    """What the system says, and the turns: neighbours of one role are one turn."""
    system: list[str] = []
    turns: list[tuple[str, list[dict[str, Any]]]] = []
    for index, message in enumerate(messages):
        path = f"messages[{index}]"
        note_cache_mark(message, dropped)
        role = message.get("role")
        if role in ("system", "developer"):
            _only(message, path)
            system += [text for text in _texts(message.get("content"), f"{path}.content", dropped) if text]
            continue
        if role == "user":
            _only(message, path)
            blocks = _parts(message.get("content"), f"{path}.content", dropped)
        elif role == "assistant":
            blocks = _said_by_assistant(message, path, dropped)
        elif role == "tool":
            role, blocks = "user", [_tool_result(message, path, dropped)]
        else:
            raise UncarriedError(f"{path}.role")
        if not blocks:
            continue
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(blocks)
        else:
            turns.append((role, blocks))
    return system, turns


def _only(message: Mapping[str, Any], path: str, *others: str) -> None:
    """Raises UncarriedError for a member that says something and is none of these."""
    for name, content in message.items():
        if name not in ("role", "content", "cache_control", *others) and said(content):
            raise UncarriedError(f"{path}.{name[:64]}")


def _content(blocks: list[dict[str, Any]]) -> Any:
    if len(blocks) == 1 and blocks[0]["type"] == "text":
        return blocks[0]["text"]
    return blocks


def _texts(content: object, path: str, dropped: list[str]) -> list[str]:
    """The texts of a content that may hold nothing else."""
    if content is None:
        return []
    if type(content) is str:
        return [content]
    texts = []
    for index, part in enumerate(objects(content, path)):
        where = f"{path}[{index}]"
        note_cache_mark(part, dropped)
        if part.get("type") == "refusal":
            texts.append(text_of(part, "refusal", where))
        elif part.get("type") == "text":
            texts.append(text_of(part, "text", where))
        else:
            raise UncarriedError(where)
    return texts


def _parts(content: object, path: str, dropped: list[str]) -> list[dict[str, Any]]:
    """What a user says. The wire takes no empty text."""
    if content is None or type(content) is str:
        return _text_blocks([content or ""])
    blocks: list[dict[str, Any]] = []
    for index, part in enumerate(objects(content, path)):
        where = f"{path}[{index}]"
        if part.get("type") == "image_url":
            note_cache_mark(part, dropped)
            blocks.append(_image(part.get("image_url"), f"{where}.image_url"))
        else:
            blocks += _text_blocks(_texts([part], path, dropped) if part.get("type") == "text" else _not_text(where))
    return blocks


def _not_text(path: str) -> list[str]:
    raise UncarriedError(path)


def _text_blocks(texts: list[str]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text} for text in texts if text]


def _image(content: object, path: str) -> dict[str, Any]:
    url = content.get("url") if type(content) is dict else content
    if type(url) is str:
        if url[:8].lower() == "https://":
            return {"type": "image", "source": {"type": "url", "url": url}}
        if (data := _DATA_URL.match(url)) is not None:
            kind = data.group(1).lower()
            return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": url[data.end() :]}}
    raise UncarriedError(path)


def _said_by_assistant(message: Mapping[str, Any], path: str, dropped: list[str]) -> list[dict[str, Any]]:
    _only(message, path, "annotations", "refusal", "tool_calls")
    blocks = _text_blocks(_texts(message.get("content"), f"{path}.content", dropped))
    if type(refusal := message.get("refusal")) is str:
        blocks += _text_blocks([refusal])
    for index, call in enumerate(objects(message.get("tool_calls"), f"{path}.tool_calls")):
        blocks.append(_tool_use(call, f"{path}.tool_calls[{index}]"))
    return blocks


def _tool_use(call: Mapping[str, Any], path: str) -> dict[str, Any]:
    function = call.get("function")
    if call.get("type", "function") != "function" or type(function) is not dict:
        raise UncarriedError(path)
    arguments = parsed_arguments(text_of(function, "arguments", f"{path}.function"))
    if arguments is None:
        raise UncarriedError(f"{path}.function.arguments")
    name = text_of(function, "name", f"{path}.function")
    return {"type": "tool_use", "id": plain_id(text_of(call, "id", path)), "name": name, "input": arguments}


def _tool_result(message: Mapping[str, Any], path: str, dropped: list[str]) -> dict[str, Any]:
    _only(message, path, "name", "tool_call_id")
    blocks = _parts(message.get("content"), f"{path}.content", dropped)
    content = _content(blocks) if blocks else ""
    identity = plain_id(text_of(message, "tool_call_id", path))
    return {"type": "tool_result", "tool_use_id": identity, "content": content}


def plain_id(identity: str) -> str:
    """An id in the letters that ids of tool calls may have on this wire; others' may have any."""
    return _FOREIGN.sub("_", identity)


def _tool(tool: Mapping[str, Any], path: str, dropped: list[str]) -> dict[str, Any]:
    function = tool.get("function")
    if tool.get("type") != "function" or type(function) is not dict:
        raise UncarriedError(path)
    note_cache_mark(tool, dropped)
    note_cache_mark(function, dropped)
    schema = function.get("parameters")
    if schema is None:
        schema = {"type": "object", "properties": {}}
    elif type(schema) is not dict:
        raise UncarriedError(f"{path}.function.parameters")
    name = text_of(function, "name", f"{path}.function")
    translated: dict[str, Any] = {"name": name, "input_schema": {"type": "object", **schema}}
    if said(function.get("description")):
        translated["description"] = function["description"]
    if function.get("strict") is True:
        translated["strict"] = True
    return translated


_CHOICES: Mapping[str, str] = {"auto": "auto", "required": "any", "none": "none"}


def _tool_choice(data: Mapping[str, Any], *, tools: bool) -> dict[str, Any] | None:
    choice = data.get("tool_choice")
    alone = data.get("parallel_tool_calls") is False and tools
    if not tools and choice in (None, "auto", "none"):
        return None
    if type(choice) is dict:
        function = choice.get("function")
        if choice.get("type") != "function" or type(function) is not dict:
            raise UncarriedError("tool_choice")
        translated: dict[str, Any] = {"type": "tool", "name": text_of(function, "name", "tool_choice.function")}
    elif choice is None:
        if not alone:
            return None
        translated = {"type": "auto"}
    elif type(choice) is str and choice in _CHOICES:
        translated = {"type": _CHOICES[choice]}
    else:
        raise UncarriedError("tool_choice")
    if alone and translated["type"] != "none":
        translated["disable_parallel_tool_use"] = True
    return translated
