"""What a request makes a provider read: text, media, server tools, cache marks, and what a model must be able to do.

Both wires are read by one walk over messages, since their content blocks carry distinct type names.
"""

import json
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from palyra.core.values import value
from palyra.providers.strict_json import invalid
from palyra.providers.wires import Wire

NOT_PROMPT = frozenset(
    {
        "audio",
        "container",
        "context_management",
        "conversation",
        "function_call",
        "include",
        "logit_bias",
        "mcp_servers",
        "metadata",
        "modalities",
        "model",
        "moderation",
        "previous_response_id",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning",
        "reasoning_effort",
        "safety_identifier",
        "service_tier",
        "stop",
        "stop_sequences",
        "stream_options",
        "thinking",
        "tool_choice",
        "truncation",
        "user",
        "verbosity",
        "web_search_options",
    }
)
"""Members that are settings. Any other text, list or object counts as read by the model, unknown extensions too."""

JSON_SHAPES = ("json_object", "json_schema")
"""Types of formats by which JSON is asked for."""

RUNS_AT_THE_CALLER = ("bash_", "computer_", "custom", "function", "memory_", "text_editor_")
"""How types of tools begin that the caller executes; every other typed tool is run, and charged, by the provider."""


class MediaKind(StrEnum):
    """What a part of a prompt is, where it is no text."""

    IMAGE = "image"
    DOCUMENT = "document"
    AUDIO = "audio"


@value
class Media:
    """One piece of media. `size` is decoded bytes; None when it is given by address or id."""

    kind: MediaKind
    size: int | None


@value
class ServerTool:
    """A tool the provider runs itself. `max_uses` None means no limit was given."""

    name: str
    max_uses: int | None


@value
class Needs:
    """What a model must support to serve the request. `reasoning` and `audio` (as output) are asked for explicitly."""

    json: bool
    tools: bool
    vision: bool
    reasoning: bool
    audio: bool


NO_NEEDS = Needs(json=False, tools=False, vision=False, reasoning=False, audio=False)


@value
class PromptFacts:
    """What estimates and complexity are made from.

    `size` is the UTF-8 bytes of the compact JSON of everything the provider tokenises, without media payloads;
    `cache_marks` tells whether a cache point is set and `cache_one_hour` whether one lasts an hour; `latest_text` is
    what users and tools said after the last answer of the assistant; `continues`: the provider adds what it keeps of
    an earlier answer, `previous` being that answer's id where it is named.
    """

    size: int
    media: tuple[Media, ...]
    server_tools: tuple[ServerTool, ...]
    cache_marks: bool
    cache_one_hour: bool
    needs: Needs
    latest_text: str
    continues: bool = False
    previous: str | None = None


def read_prompt(wire: Wire, data: dict[str, Any]) -> PromptFacts:
    """The facts of one parsed body. Raises RequestError where what it needs has the wrong shape."""
    walk = Walk()
    messages = data.get("messages")
    if type(messages) is not list or not messages:
        invalid("messages", "messages must be a list with at least one message.", "Send the conversation in messages.")
    for index, message in enumerate(messages):
        if type(message) is not dict or type(message.get("role")) is not str:
            invalid(f"messages[{index}]", f"messages[{index}] must be an object with a role.", "Send role and content.")
        walk.message(message, index)
    if type(system := data.get("system")) is list:
        walk.blocks(system)
    if "cache_control" in data:
        walk.mark(data["cache_control"])
    return PromptFacts(
        size=prompt_bytes(data) - walk.payload,
        media=tuple(walk.media),
        server_tools=tuple(server_tools(data, walk)),
        cache_marks=walk.cache_marks,
        cache_one_hour=walk.cache_one_hour,
        needs=_needs(wire, data, vision=any(piece.kind is MediaKind.IMAGE for piece in walk.media)),
        latest_text=_latest_text(messages),
    )


_compact = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def json_size(value: object) -> int:
    """UTF-8 bytes of a value's compact JSON."""
    return text_size(_compact(value))


def text_size(text: str) -> int:
    """UTF-8 bytes of a text; a lone surrogate counts as the three bytes it would take."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def prompt_bytes(data: dict[str, Any]) -> int:
    """UTF-8 bytes of the compact JSON of every member that a model reads, media payloads included."""
    read = [
        value
        for name, value in data.items()
        if (type(value) is list or type(value) is dict or type(value) is str) and name not in NOT_PROMPT
    ]
    brackets_and_commas = 2 + max(0, len(read) - 1)
    return json_size(read) - brackets_and_commas


class Walk:
    """Collects media and cache marks from content blocks. `payload` is the JSON bytes of media payloads."""

    __slots__ = ("cache_marks", "cache_one_hour", "media", "payload")

    def __init__(self) -> None:
        self.media: list[Media] = []
        self.payload = 0
        self.cache_marks = False
        self.cache_one_hour = False

    def message(self, message: dict[str, Any], index: int) -> None:
        """Takes in one message of chat. Raises RequestError."""
        content = message.get("content")
        if type(content) is list:
            self.blocks(content)
        elif content is not None and type(content) is not str:
            field = f"messages[{index}].content"
            invalid(field, f"{field} must be a text or a list of parts.", "Send a text, or a list of content parts.")
        if "cache_control" in message:
            self.mark(message["cache_control"])
        if type(message.get("audio")) is dict:
            self.media.append(Media(MediaKind.DOCUMENT, None))

    def blocks(self, blocks: list[Any]) -> None:
        """Takes in the parts of a message, nested ones too."""
        for block in blocks:
            if type(block) is not dict:
                continue
            if "cache_control" in block:
                self.mark(block["cache_control"])
            kind = block.get("type")
            if kind == "text":
                continue
            if kind == "tool_result" or kind == "tool":
                if type(nested := block.get("content")) is list:
                    self.blocks(nested)
            elif type(kind) is str and kind.endswith("_output"):
                nested = block.get("output")
                self.blocks(nested if type(nested) is list else [nested])
            elif (kind == "message" or kind is None) and type(nested := block.get("content")) is list:
                self.blocks(nested)
            elif type(kind) is str and (reader := _MEDIA.get(kind)) is not None:
                reader(self, block)

    def mark(self, cache_control: object) -> None:
        """Takes in a cache hint."""
        if cache_control is None:
            return
        self.cache_marks = True
        if type(cache_control) is dict and cache_control.get("ttl") == "1h":
            self.cache_one_hour = True

    def inline(self, kind: MediaKind, payload: str) -> None:
        """A payload in base64, or a data URL."""
        self.payload += json_size(payload) - 2
        encoded = payload
        if payload[:5].lower() == "data:":
            encoded = payload[payload.find(",") + 1 :]
        self.media.append(Media(kind, max(0, len(encoded) * 3 // 4 - encoded[-2:].count("="))))

    def by_address(self, kind: MediaKind) -> None:
        """A medium that the provider fetches: nobody knows its size."""
        self.media.append(Media(kind, None))

    def url(self, kind: MediaKind, url: object) -> None:
        """A medium by its address, or within a data: URL."""
        if type(url) is str and url[:5].lower() == "data:":
            self.inline(kind, url)
        else:
            self.by_address(kind)


def _url_part(walk: Walk, block: dict[str, Any]) -> None:
    value = block.get(block["type"])
    url = value.get("url") if type(value) is dict else value
    walk.url(MediaKind.IMAGE if block["type"] == "image_url" else MediaKind.DOCUMENT, url)


def _audio_part(walk: Walk, block: dict[str, Any]) -> None:
    value = block.get("input_audio")
    payload = value.get("data") if type(value) is dict else None
    if type(payload) is str:
        walk.inline(MediaKind.AUDIO, payload)
    else:
        walk.by_address(MediaKind.DOCUMENT)


def _file_part(walk: Walk, block: dict[str, Any]) -> None:
    value = block.get("file")
    payload = value.get("file_data") if type(value) is dict else None
    if type(payload) is str:
        walk.inline(MediaKind.DOCUMENT, payload)
    else:
        walk.by_address(MediaKind.DOCUMENT)


def _source_part(walk: Walk, block: dict[str, Any]) -> None:
    kind = MediaKind.IMAGE if block["type"] == "image" else MediaKind.DOCUMENT
    source = block.get("source")
    if type(source) is not dict:
        walk.by_address(kind)
        return
    shape = source.get("type")
    payload = source.get("data")
    if shape == "content":
        if type(nested := source.get("content")) is list:
            walk.blocks(nested)
    elif shape == "text":
        return
    elif type(payload) is str:
        walk.inline(kind, payload)
    else:
        walk.by_address(kind)


def _stored_part(walk: Walk, block: dict[str, Any]) -> None:
    walk.by_address(MediaKind.DOCUMENT)


def _addressed_part(walk: Walk, block: dict[str, Any]) -> None:
    """Media of the responses wire: by URL, which may hold it, or by id."""
    kind = MediaKind.DOCUMENT if block["type"] == "input_file" else MediaKind.IMAGE
    payload = block.get("file_data")
    if kind is MediaKind.DOCUMENT and type(payload) is str:
        walk.inline(kind, payload)
    else:
        walk.url(kind, block.get("image_url"))


def _made_image(walk: Walk, block: dict[str, Any]) -> None:
    """An image that the provider made before."""
    if type(payload := block.get("result")) is str:
        walk.inline(MediaKind.IMAGE, payload)
    else:
        walk.by_address(MediaKind.IMAGE)


_MEDIA = {
    "input_image": _addressed_part,
    "input_file": _addressed_part,
    "computer_screenshot": _addressed_part,
    "image_generation_call": _made_image,
    "image_url": _url_part,
    "video_url": _url_part,
    "audio_url": _url_part,
    "input_audio": _audio_part,
    "file": _file_part,
    "image": _source_part,
    "document": _source_part,
    "container_upload": _stored_part,
}


def server_tools(
    data: dict[str, Any], walk: Walk, *, also_at_the_caller: frozenset[str] = frozenset()
) -> Iterator[ServerTool]:
    """The tools of a body that its provider runs itself. `also_at_the_caller` are further types that it does not.

    Raises RequestError.
    """
    tools = data.get("tools")
    if tools is not None and type(tools) is not list:
        invalid("tools", "tools must be a list.", "Leave it out, or send a list of tools.")
    for tool in tools or ():
        if type(tool) is not dict:
            invalid("tools", "Every tool must be an object.", "Send each tool as an object.")
        if "cache_control" in tool:
            walk.mark(tool["cache_control"])
        kind = tool.get("type")
        at_the_caller = type(kind) is str and (kind.startswith(RUNS_AT_THE_CALLER) or kind in also_at_the_caller)
        if type(kind) is str and kind != "mcp_toolset" and not at_the_caller:
            uses = tool.get("max_uses")
            yield ServerTool(kind, uses if type(uses) is int and uses >= 1 else None)
    if data.get("web_search_options") is not None:
        yield ServerTool("web_search", None)
    if type(servers := data.get("mcp_servers")) is list:
        for _ in servers:
            yield ServerTool("mcp", None)


def _needs(wire: Wire, data: dict[str, Any], *, vision: bool) -> Needs:
    if wire is Wire.MESSAGES:
        output = data.get("output_config")
        shape = output.get("format") if type(output) is dict else data.get("output_format")
        audio = False
    else:
        shape = data.get("response_format")
        modalities = data.get("modalities")
        audio = type(modalities) is list and "audio" in modalities
    return Needs(
        json=type(shape) is dict and shape.get("type") in JSON_SHAPES,
        tools=bool(data.get("tools") or data.get("functions")),
        vision=vision,
        reasoning=_reasons(data),
        audio=audio,
    )


def _reasons(data: dict[str, Any]) -> bool:
    """Whether an answer is asked for that is thought over first; servers of either wire know each of these members."""
    if _effort(data.get("reasoning_effort")):
        return True
    thinking = data.get("thinking")
    if type(thinking) is dict and thinking.get("type") != "disabled":
        return True
    reasoning = data.get("reasoning")
    if type(reasoning) is not dict:
        return reasoning is not None and reasoning is not False
    if reasoning.get("enabled") is False:
        return False
    return _effort(reasoning.get("effort")) or any(name not in _NOT_EFFORT for name in reasoning)


def _effort(value: object) -> bool:
    return value is not None and value != "none"


_NOT_EFFORT = frozenset({"effort", "exclude", "generate_summary", "summary"})
"""Members of `reasoning` that ask for none: what is shown of it is asked for beside it."""


def _latest_text(messages: list[dict[str, Any]]) -> str:
    """A last message of the assistant itself is the start of the answer asked for, not an earlier answer."""
    end = len(messages)
    if messages[-1]["role"] == "assistant":
        end -= 1
    start = end
    while start and messages[start - 1]["role"] != "assistant":
        start -= 1
    if end - start == 1 and type(content := messages[start].get("content")) is str:
        return content if messages[start]["role"] not in INSTRUCTIONS else ""
    texts: list[str] = []
    for message in messages[start:end]:
        if message["role"] not in INSTRUCTIONS:
            texts.extend(texts_of(message.get("content")))
    return "\n".join(texts)


INSTRUCTIONS = frozenset({"system", "developer"})
"""Roles whose text is the same on every turn and so says nothing about what is asked now."""


def texts_of(content: object) -> Iterator[str]:
    """The texts in a message's content, those inside tool results included."""
    if type(content) is str:
        yield content
    elif type(content) is list:
        for block in content:
            if type(block) is dict:
                if type(text := block.get("text")) is str:
                    yield text
                elif block.get("type") == "tool_result":
                    yield from texts_of(block.get("content"))
