"""How Palyra ends a stream of the responses wire, as the official client reads it."""

import json
from typing import Any

import httpx2
import openai
import pytest
from openai.types.responses import Response

from palyra.providers.closing import budget_cut, error_event
from palyra.providers.stream import ResponsesReader
from palyra.providers.wires import Wire, error_body
from tests.providers.recordings import CALL, CUSTOM, OUTPUT, RESPONSE, RESPONSES, SAID, THOUGHT, response_event
from tests.providers.test_closing import AT_MS, events_of
from tests.providers.test_stream import pass_on


def cut(reader: ResponsesReader) -> bytes:
    return budget_cut(
        reader,
        input_tokens=30,
        output_tokens=7,
        include_usage=False,
        fallback_id="01K",
        model="asked-model",
        at_ms=AT_MS,
    )


def before(kind: str, index: int) -> bytes:
    """The recorded events up to the first of a kind for one output item, without it."""
    found = b""
    for raw, _ in RESPONSES:
        content = json.loads(raw.split(b"data: ")[1])
        if content["type"] == kind and content.get("output_index") == index:
            return found
        found += raw
    raise AssertionError(kind)


def test_it_is_incomplete_with_the_usage_of_the_meter() -> None:
    reader = ResponsesReader()
    pass_on(reader, before("response.output_text.done", 6))
    (event,) = events_of(cut(reader))
    assert event["type"] == "response.incomplete"
    assert event["sequence_number"] == 3
    response = Response.model_validate(event["response"], strict=False)
    assert (response.id, response.status, response.model) == ("resp_1", "incomplete", RESPONSE["model"])
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (30, 7, 37)
    assert response.output_text == "Žluť 𝕏"


@pytest.mark.parametrize(
    ("kind", "index", "member", "expected"),
    [
        ("response.reasoning_summary_text.done", 0, "summary", THOUGHT["summary"]),
        ("response.refusal.done", 6, "content", [{**SAID["content"][0]}, SAID["content"][1]]),
        ("response.function_call_arguments.done", 7, "arguments", CALL["arguments"]),
        ("response.custom_tool_call_input.done", 8, "input", CUSTOM["input"]),
    ],
)
def test_what_was_begun_is_part_of_it_as_far_as_it_was_passed_on(
    kind: str, index: int, member: str, expected: object
) -> None:
    reader = ResponsesReader()
    pass_on(reader, before(kind, index))
    (event,) = events_of(cut(reader))
    *done, last = event["response"]["output"]
    assert done == OUTPUT[:index]
    assert (last["status"], last[member]) == ("incomplete", expected)


def test_a_stream_cut_before_it_began_begins_first() -> None:
    created, incomplete = events_of(cut(ResponsesReader()))
    assert (created["type"], created["sequence_number"], created["response"]["usage"]) == ("response.created", 0, None)
    assert (incomplete["type"], incomplete["sequence_number"]) == ("response.incomplete", 1)
    assert incomplete["response"]["id"] == created["response"]["id"] == "01K"
    assert incomplete["response"]["created_at"] == AT_MS // 1000


@pytest.mark.parametrize("content", [5, None, "text", {"a": 1}, [None]])
def test_a_strange_item_is_closed_too(content: Any) -> None:
    reader = ResponsesReader()
    item = {"type": "message", "content": content, "summary": content}
    pass_on(reader, RESPONSES[0][0] + response_event("response.output_item.added", output_index=-3, item=item))
    pass_on(reader, response_event("response.output_text.delta", output_index=-3, delta="a"))
    pass_on(reader, response_event("response.reasoning_summary_text.delta", output_index=-3, delta="b"))
    (event,) = events_of(cut(reader))
    assert event["response"]["output"][0]["content"][-1]["text"] == "a"


def test_an_item_too_deep_to_be_written_is_left_out() -> None:
    reader = ResponsesReader()
    pass_on(reader, before("response.output_text.done", 6))
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"content": [deep]}
    reader.open_items[0] = deep
    (event,) = events_of(cut(reader))
    assert (event["type"], event["response"]["id"], event["response"]["output"]) == (
        "response.incomplete",
        "resp_1",
        [],
    )
    assert event["response"]["usage"]["output_tokens"] == 7
    # Taken apart level by level: a chain this long is not let go of in one piece.
    while deep:
        (deep,) = deep["content"]


def test_an_error_ends_the_stream_in_both_of_the_wire_s_shapes() -> None:
    body = error_body(Wire.RESPONSES, "budget_denied", "budget_denied", "No.", "01KRUN", {"run_id": "01KRUN"})
    data = error_event(Wire.RESPONSES, body)
    assert data.startswith(b"event: error\n")
    (event,) = events_of(data)
    assert (event["type"], event["code"], event["message"], event["param"]) == ("error", "budget_denied", "No.", None)
    assert event["error"]["palyra"] == {"run_id": "01KRUN"}


async def test_the_official_client_reads_a_cut_and_raises_an_error() -> None:
    reader = ResponsesReader()
    begun = before("response.output_text.done", 6)
    pass_on(reader, begun)
    refused = error_event(Wire.RESPONSES, error_body(Wire.RESPONSES, "api_error", "upstream_error", "It broke."))
    answers = [begun + cut(reader), begun + refused]

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=answers.pop(0))

    transport = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    async with openai.AsyncOpenAI(api_key="k", base_url="http://test/v1", http_client=transport) as client:
        stream = await client.responses.create(model="m", input="hi", stream=True)
        events = [event async for event in stream]
        assert events[-1].type == "response.incomplete"
        assert events[-1].response.output_text == "Žluť 𝕏"
        stream = await client.responses.create(model="m", input="hi", stream=True)
        with pytest.raises(openai.APIError, match="It broke"):
            _ = [event async for event in stream]
