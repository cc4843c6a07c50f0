"""What a request of the responses wire makes its provider read: a text, or items of a conversation and what is kept of
it there."""

from collections.abc import Iterator
from typing import Any

from palyra.providers.prompt import (
    INSTRUCTIONS,
    JSON_SHAPES,
    Media,
    MediaKind,
    Needs,
    PromptFacts,
    ServerTool,
    Walk,
    prompt_bytes,
    server_tools,
    texts_of,
)
from palyra.providers.strict_json import invalid

_RUNS_AT_THE_CALLER = frozenset({"apply_patch", "computer", "local_shell", "namespace", "tool_search"})
"""Types of tools, besides those of every wire, that the caller executes."""

MAX_TOOL_CALLS = 1_000_000


def read_responses_prompt(data: dict[str, Any]) -> PromptFacts:
    """The facts of one parsed body. Raises RequestError where what they are read from has the wrong shape."""
    if data.get("background") not in (None, False):
        invalid("background", "Nobody would see what a response in the background uses.", "Leave background out.")
    previous, continues = _continued(data)
    walk = Walk()
    items = _items(data, continues=continues)
    for item in items:
        walk.blocks([item])
        continues = continues or item.get("type") == "item_reference"
    if data.get("prompt") is not None:
        if type(data["prompt"]) is not dict:
            invalid("prompt", "prompt must be an object.", "Leave it out, or send the id of a stored prompt.")
        walk.media.append(Media(MediaKind.DOCUMENT, None))
    return PromptFacts(
        size=prompt_bytes(data) - walk.payload,
        media=tuple(walk.media),
        server_tools=tuple(_server_tools(data, walk)),
        cache_marks=walk.cache_marks,
        cache_one_hour=walk.cache_one_hour,
        needs=_needs(data, vision=any(piece.kind is MediaKind.IMAGE for piece in walk.media)),
        latest_text=_latest_text(data.get("input")),
        continues=continues,
        previous=previous,
    )


def _continued(data: dict[str, Any]) -> tuple[str | None, bool]:
    """The response that is gone on from, if it is named, and whether anything is."""
    previous, conversation = data.get("previous_response_id"), data.get("conversation")
    if previous is not None and type(previous) is not str:
        invalid("previous_response_id", "previous_response_id must be a text.", "Send the id of a response.")
    if conversation is not None and type(conversation) not in (str, dict):
        invalid("conversation", "conversation must be a text or an object.", "Send the id of a conversation.")
    return previous or None, bool(previous or conversation)


def _items(data: dict[str, Any], *, continues: bool) -> list[dict[str, Any]]:
    given = data.get("input")
    if given is None and (continues or data.get("prompt") is not None):
        return []
    if type(given) is str:
        return []
    if type(given) is not list or not given:
        invalid("input", "input must be a text or a list with at least one item.", "Send the conversation in input.")
    for index, item in enumerate(given):
        if type(item) is not dict or not (type(item.get("type")) is str or type(item.get("role")) is str):
            invalid(f"input[{index}]", f"input[{index}] must be an object with a type or a role.", "Send such objects.")
        content = item.get("content")
        if content is not None and type(content) not in (str, list):
            field = f"input[{index}].content"
            invalid(field, f"{field} must be a text or a list of parts.", "Send a text, or a list of content parts.")
    return given


def _server_tools(data: dict[str, Any], walk: Walk) -> Iterator[ServerTool]:
    """`max_tool_calls` bounds the uses of all tools together, so each may have that many."""
    most = data.get("max_tool_calls")
    if most is not None and (type(most) is not int or not 1 <= most <= MAX_TOOL_CALLS):
        invalid(
            "max_tool_calls",
            f"max_tool_calls must be a whole number from 1 to {MAX_TOOL_CALLS}.",
            "Send such a number.",
        )
    for tool in server_tools(data, walk, also_at_the_caller=_RUNS_AT_THE_CALLER):
        yield tool if most is None or tool.max_uses is not None else ServerTool(tool.name, most)


def _needs(data: dict[str, Any], *, vision: bool) -> Needs:
    text, reasoning = data.get("text"), data.get("reasoning")
    shape = text.get("format") if type(text) is dict else None
    return Needs(
        json=type(shape) is dict and shape.get("type") in JSON_SHAPES,
        tools=bool(data.get("tools")),
        vision=vision,
        reasoning=type(reasoning) is dict and bool(reasoning) and reasoning.get("effort") != "none",
        audio=False,
    )


def _latest_text(given: object) -> str:
    """What users and tools said after the last item that the model made."""
    if type(given) is str:
        return given
    texts: list[str] = []
    for item in reversed(given if type(given) is list else []):
        kind, role = item.get("type", "message"), item.get("role")
        if role == "assistant" or not (kind == "message" or str(kind).endswith("_output")):
            if texts:
                break
            continue
        if role not in INSTRUCTIONS:
            said = item.get("content") if kind == "message" else item.get("output")
            texts.append("\n".join(texts_of(said)))
    return "\n".join(reversed(texts))
