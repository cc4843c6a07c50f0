"""What a request makes a provider read."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.providers.prompt import Media, MediaKind, PromptFacts, ServerTool
from palyra.providers.request import parse_request
from palyra.providers.wires import Wire
from tests.providers.bodies import base64_of, chat, compact, messages, text, user

IMAGE, DOCUMENT, AUDIO = MediaKind.IMAGE, MediaKind.DOCUMENT, MediaKind.AUDIO


def on_chat(**members: Any) -> PromptFacts:
    return parse_request(Wire.CHAT, chat(**members)).prompt


def on_messages(**members: Any) -> PromptFacts:
    return parse_request(Wire.MESSAGES, messages(**members)).prompt


# Size


def test_size_is_the_compact_json_of_what_is_read() -> None:
    said = [{"role": "user", "content": "žluťoučký \n 𝕏"}]
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    assert on_chat(messages=said, tools=tools).size == len(compact(said)) + len(compact(tools))


def test_white_space_and_escapes_of_the_body_do_not_change_size() -> None:
    data = json.loads(chat(messages=[{"role": "user", "content": "čau"}]))
    loose = json.dumps(data, indent=4, ensure_ascii=True).encode()
    assert parse_request(Wire.CHAT, loose).prompt.size == parse_request(Wire.CHAT, compact(data)).prompt.size


def test_settings_are_not_read_by_the_model_but_schemas_and_instructions_are() -> None:
    base = on_chat().size
    assert on_chat(user="u" * 99, metadata={"a": "b" * 99}, stop=["x" * 99], temperature=0.5, store=True).size == base
    schema = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
    assert on_chat(response_format=schema).size == base + len(compact(schema))
    assert on_messages(system="Be brief.").size == on_messages().size + len(b'"Be brief."')


def test_an_unknown_text_counts_so_that_no_prompt_hides_in_an_extension() -> None:
    assert on_chat(documents=["d" * 1000]).size == on_chat().size + len(compact(["d" * 1000]))


def test_a_lone_surrogate_is_measured_not_raised() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}'
    assert parse_request(Wire.CHAT, body).prompt.size == len(b'[{"role":"user","content":"xxx"}]')


@given(st.text(), st.integers(0, 2000))
def test_a_payload_adds_nothing_to_size(said: str, size: int) -> None:
    def request(payload: str) -> PromptFacts:
        url = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{payload}"}}
        return on_chat(messages=user(text(said), url))

    empty, full = request(""), request(base64_of(size))
    assert full.size == empty.size
    assert full.media == (Media(IMAGE, size),)


# Media

CHAT_MEDIA: list[tuple[dict[str, Any], Media]] = [
    ({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64_of(1000)}"}}, Media(IMAGE, 1000)),
    ({"type": "image_url", "image_url": f"DATA:image/png;base64,{base64_of(1001)}"}, Media(IMAGE, 1001)),
    ({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}, Media(IMAGE, None)),
    ({"type": "image_url"}, Media(IMAGE, None)),
    ({"type": "input_audio", "input_audio": {"data": base64_of(50_000), "format": "wav"}}, Media(AUDIO, 50_000)),
    ({"type": "file", "file": {"file_data": f"data:application/pdf;base64,{base64_of(7)}"}}, Media(DOCUMENT, 7)),
    ({"type": "file", "file": {"file_id": "file-1"}}, Media(DOCUMENT, None)),
    ({"type": "video_url", "video_url": {"url": "https://example.org/a.mp4"}}, Media(DOCUMENT, None)),
]


@pytest.mark.parametrize(("part", "media"), CHAT_MEDIA)
def test_media_of_a_chat_request(part: dict[str, Any], media: Media) -> None:
    facts = on_chat(messages=user(text("look"), part))
    assert facts.media == (media,)
    assert facts.needs.vision is (media.kind is IMAGE)


def source(kind: str, **members: Any) -> dict[str, Any]:
    return {"type": kind, "source": members}


MESSAGES_MEDIA: list[tuple[dict[str, Any], tuple[Media, ...]]] = [
    (source("image", type="base64", media_type="image/png", data=base64_of(30)), (Media(IMAGE, 30),)),
    (source("image", type="url", url="https://example.org/a.png"), (Media(IMAGE, None),)),
    (source("image", type="file", file_id="file_1"), (Media(IMAGE, None),)),
    (source("document", type="base64", media_type="application/pdf", data=base64_of(31)), (Media(DOCUMENT, 31),)),
    (source("document", type="url", url="https://example.org/a.pdf"), (Media(DOCUMENT, None),)),
    (source("document", type="text", media_type="text/plain", data="plain words"), ()),
    (
        source("document", type="content", content=[text("a"), source("image", type="url", url="https://e.org")]),
        (Media(IMAGE, None),),
    ),
    ({"type": "container_upload", "file_id": "file_1"}, (Media(DOCUMENT, None),)),
    (
        {
            "type": "tool_result",
            "tool_use_id": "t",
            "content": [text("x"), source("image", type="base64", media_type="image/png", data=base64_of(8))],
        },
        (Media(IMAGE, 8),),
    ),
    ({"type": "image"}, (Media(IMAGE, None),)),
]


@pytest.mark.parametrize(("part", "media"), MESSAGES_MEDIA)
def test_media_of_a_messages_request(part: dict[str, Any], media: tuple[Media, ...]) -> None:
    assert on_messages(messages=user(part)).media == media


def test_text_inside_a_document_counts_as_text() -> None:
    part = source("document", type="text", media_type="text/plain", data="plain words")
    assert on_messages(messages=user(part)).size == len(compact(user(part)))


def test_an_earlier_spoken_answer_is_something_the_provider_reads_again() -> None:
    said = [{"role": "user", "content": "a"}, {"role": "assistant", "audio": {"id": "audio_1"}}]
    assert on_chat(messages=said).media == (Media(DOCUMENT, None),)


# Tools


def test_tools_the_provider_runs_are_told_from_those_the_caller_runs() -> None:
    facts = on_messages(
        tools=[
            {"name": "mine", "input_schema": {"type": "object"}},
            {"type": "custom", "name": "mine too", "input_schema": {"type": "object"}},
            {"type": "bash_20250124", "name": "bash"},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
            {"type": "code_execution_20250522", "name": "code_execution"},
            {"type": "mcp_toolset", "mcp_server_name": "a"},
        ],
        mcp_servers=[{"type": "url", "url": "https://example.org", "name": "a"}],
    )
    assert facts.server_tools == (
        ServerTool("web_search_20250305", 3),
        ServerTool("code_execution_20250522", None),
        ServerTool("mcp", None),
    )
    assert facts.needs.tools


def test_a_chat_request_may_ask_for_web_search() -> None:
    facts = on_chat(web_search_options={}, tools=[{"type": "function", "function": {"name": "f"}}])
    assert facts.server_tools == (ServerTool("web_search", None),)


@pytest.mark.parametrize("uses", [0, -1, "3", True])
def test_a_limit_of_uses_that_is_none_is_not_trusted(uses: object) -> None:
    tool = {"type": "web_search_20250305", "name": "web_search", "max_uses": uses}
    assert on_messages(tools=[tool]).server_tools == (ServerTool("web_search_20250305", None),)


# Cache marks

MARK = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


@pytest.mark.parametrize(
    "members",
    [
        {"system": [text("x", cache_control=MARK)]},
        {"messages": user(text("x", cache_control=MARK))},
        {"messages": [{"role": "user", "content": "x", "cache_control": MARK}]},
        {"messages": user({"type": "tool_result", "tool_use_id": "t", "content": [text("x", cache_control=MARK)]})},
        {"tools": [{"name": "f", "input_schema": {}, "cache_control": MARK}]},
        {"cache_control": MARK},
    ],
)
def test_a_cache_mark_is_seen_wherever_it_may_stand(members: dict[str, Any]) -> None:
    facts = on_messages(**members)
    assert (facts.cache_marks, facts.cache_one_hour) == (True, False)
    longer = json.loads(json.dumps(members).replace(json.dumps(MARK), json.dumps(HOUR)))
    assert on_messages(**longer).cache_one_hour


def test_no_cache_mark() -> None:
    said = user(text("cache_control", cache_control=None))
    facts = on_messages(messages=said, tools=[{"name": "f", "input_schema": {"properties": {"cache_control": {}}}}])
    assert (facts.cache_marks, facts.cache_one_hour) == (False, False)


# Needs


@pytest.mark.parametrize(
    ("members", "need"),
    [
        ({"response_format": {"type": "json_object"}}, "json"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "json"),
        ({"response_format": {"type": "text"}}, ""),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"tools": []}, ""),
        ({"functions": [{"name": "f"}]}, "tools"),
        ({"reasoning_effort": "high"}, "reasoning"),
        ({"reasoning_effort": "none"}, ""),
        ({"reasoning_effort": None}, ""),
        ({"reasoning": {"effort": "low"}}, "reasoning"),
        ({"reasoning": {"max_tokens": 2000}}, "reasoning"),
        ({"reasoning": {"enabled": True}}, "reasoning"),
        ({"reasoning": {"effort": "none", "summary": "auto"}}, ""),
        ({"reasoning": {"enabled": False}}, ""),
        ({"reasoning": None}, ""),
        ({"thinking": {"type": "enabled"}}, "reasoning"),
        ({"thinking": {"type": "disabled"}}, ""),
        ({"modalities": ["text", "audio"]}, "audio"),
        ({"modalities": ["text"]}, ""),
    ],
)
def test_needs_of_a_chat_request(members: dict[str, Any], need: str) -> None:
    needs = on_chat(**members).needs
    assert {name for name in ("json", "tools", "vision", "reasoning", "audio") if getattr(needs, name)} == (
        {need} if need else set()
    )


@pytest.mark.parametrize(
    ("members", "need"),
    [
        ({"output_config": {"format": {"type": "json_schema", "schema": {}}}}, "json"),
        ({"output_format": {"type": "json_schema", "schema": {}}}, "json"),
        ({"output_config": {"effort": "low"}}, ""),
        ({"tools": [{"name": "f", "input_schema": {}}]}, "tools"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "reasoning"),
        ({"thinking": {"type": "adaptive"}}, "reasoning"),
        ({"thinking": {"type": "disabled"}}, ""),
    ],
)
def test_needs_of_a_messages_request(members: dict[str, Any], need: str) -> None:
    needs = on_messages(**members).needs
    assert {name for name in ("json", "tools", "vision", "reasoning", "audio") if getattr(needs, name)} == (
        {need} if need else set()
    )


# Latest text


def turn(role: str, content: object) -> dict[str, Any]:
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    ("said", "latest"),
    [
        ([turn("user", "hello")], "hello"),
        ([turn("system", "rules"), turn("user", "hello")], "hello"),
        ([turn("user", "old"), turn("assistant", "answer"), turn("user", "new")], "new"),
        ([turn("assistant", "a"), turn("user", "b"), turn("developer", "d"), turn("user", "c")], "b\nc"),
        ([turn("assistant", None), turn("tool", "result"), turn("user", [text("x"), text("y")])], "result\nx\ny"),
        ([turn("user", [{"type": "tool_result", "content": [text("found")]}, text("so?")])], "found\nso?"),
        ([turn("user", "old"), turn("assistant", "answer"), turn("user", "new"), turn("assistant", "{")], "new"),
        ([turn("assistant", "{")], ""),
        ([turn("system", "rules")], ""),
    ],
)
def test_the_latest_text_is_what_was_said_after_the_last_answer(said: list[dict[str, Any]], latest: str) -> None:
    assert on_chat(messages=said).latest_text == latest
