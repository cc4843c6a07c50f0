"""Reading streams of the responses wire: what repeats shows nothing, and nothing is shown for free."""

import itertools
import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseStreamEvent

from palyra.providers.errors import ErrorClass
from palyra.providers.stream import ResponsesReader, StreamEvent
from tests.providers.recordings import (
    OUTPUT,
    RESPONSE,
    RESPONSES,
    SAID,
    response_end,
    response_event,
    responses_usage,
)

BEGUN = RESPONSES[0][0]


def read(*chunks: bytes) -> tuple[ResponsesReader, list[StreamEvent]]:
    reader = ResponsesReader()
    events = [event for chunk in chunks for event in reader.feed(chunk)]
    return reader, [*events, *reader.end()]


def test_every_kind_of_event_that_the_official_client_knows_is_recorded() -> None:
    kinds = {
        kind for one in get_args(get_args(ResponseStreamEvent)[0]) for kind in get_args(one.__annotations__["type"])
    }
    apart = {"error", "response.failed", "response.incomplete"}
    assert {json.loads(raw.split(b"data: ")[1])["type"] for raw, _ in RESPONSES} >= kinds - apart
    assert len(kinds) > 50


def test_it_tells_who_it_is_what_it_used_and_how_it_ended() -> None:
    reader, _ = read(b"".join(raw for raw, _ in RESPONSES))
    assert (reader.id, reader.model, reader.created) == ("resp_1", "gpt-5-mini-2025-08-07", 1_790_000_000)
    assert (reader.service_tier, reader.usage, reader.usage_final) == ("default", responses_usage(40), True)
    assert (reader.finish, reader.ended, reader.failure) == ("tool_calls", True, None)
    assert reader.items == tuple(item["type"] for item in OUTPUT)


@pytest.mark.parametrize(
    ("end", "finish"),
    [
        (response_end(output=[SAID]), "stop"),
        (response_end("incomplete", incomplete_details={"reason": "max_output_tokens"}), "max_output_tokens"),
        (response_end("incomplete", incomplete_details={"reason": "content_filter"}), "content_filter"),
        (response_end("incomplete"), "max_output_tokens"),
    ],
)
def test_each_end_has_its_reason(end: bytes, finish: str) -> None:
    reader, events = read(BEGUN, end)
    assert (events[-1].terminal, events[-1].finish, reader.finish) == (True, finish, finish)
    assert (events[-1].usage, reader.failure) == (responses_usage(40), None)


@pytest.mark.parametrize(
    ("code", "error_class"),
    [
        ("rate_limit_exceeded", ErrorClass.RATE_LIMITED),
        ("server_error", ErrorClass.TRANSIENT_UPSTREAM),
        ("context_length_exceeded", ErrorClass.CONTEXT_WINDOW_EXCEEDED),
        ("invalid_prompt", ErrorClass.PERMANENT_UPSTREAM),
        (None, ErrorClass.PERMANENT_UPSTREAM),
    ],
)
def test_a_response_that_failed_says_so_itself_and_counts_what_it_used(
    code: str | None, error_class: ErrorClass
) -> None:
    failed = response_end("failed", error={"code": code, "message": "gone wrong"})
    reader, events = read(BEGUN, failed)
    assert (events[-1].raw, events[-1].terminal, events[-1].error) == (failed, True, None)
    assert reader.failure is not None
    assert reader.failure.error_class is error_class
    assert "gone wrong" in str(reader.failure)
    assert (reader.usage, reader.usage_final) == (responses_usage(40), True)


@pytest.mark.parametrize(
    "event",
    [
        response_event("error", code="server_error", message="gone wrong", param=None, sequence_number=3),
        b'data: {"type": "error", "code": "server_error", "message": "gone wrong"}\n\n',
        b'event: error\ndata: {"error": {"message": "gone wrong"}}\n\n',
    ],
)
def test_an_error_event_breaks_the_stream(event: bytes) -> None:
    reader, events = read(BEGUN, event, response_end())
    assert events[-1].error is not None
    assert events[-1].error.error_class is ErrorClass.MALFORMED_RESPONSE
    assert "gone wrong" in str(events[-1].error)
    assert (events[-1].withheld, reader.ended) == (True, False)


def test_an_end_without_usage_is_an_end_whose_usage_nobody_told() -> None:
    reader, events = read(BEGUN, response_end(usage=None, output=[SAID]))
    assert (reader.ended, reader.usage, reader.usage_final) == (True, None, False)
    assert events[-1].visible_bytes == 13


@pytest.mark.parametrize(
    ("frames", "shown"),
    [
        # A provider that sends no deltas, one that sends some, and one that tells everything in the end.
        ([response_event("response.output_text.done", output_index=0, content_index=0, text="Žluť 𝕏")], [11]),
        (
            [
                response_event("response.output_text.delta", output_index=0, content_index=0, delta="Žluť"),
                response_event("response.output_item.done", output_index=0, item=SAID),
            ],
            [6, 7],
        ),
        ([response_event("response.output_item.done", output_index=0, item=SAID)], [13]),
    ],
)
def test_text_is_counted_when_it_is_first_seen(frames: list[bytes], shown: list[int]) -> None:
    _, events = read(BEGUN, *frames, response_end(output=[SAID]))
    assert [event.visible_bytes for event in events[1:-1]] == shown
    assert sum(event.visible_bytes for event in events) == 13


def test_what_was_not_passed_on_is_not_part_of_what_the_caller_has() -> None:
    reader = ResponsesReader()
    delta = response_event(
        "response.output_text.delta", output_index=0, content_index=0, delta="too much", sequence_number=7
    )
    added = response_event("response.output_item.added", output_index=0, item={**SAID, "content": []})
    for event in reader.feed(BEGUN + added + delta + b": still there\n\n" + delta):
        if event.visible_bytes:
            break
    assert (reader.sequence, reader.pieces, list(reader.open_items)) == (0, {}, [0])
    again = ResponsesReader()
    for _ in again.feed(BEGUN + added + delta + b": still there\n\n"):
        pass
    assert again.pieces == {(0, "response.output_text", 0): ["too much"]}
    assert again.sequence == 7


@given(st.lists(st.integers(0, 10**6), max_size=40))
def test_any_chunking_leaves_the_same_state(cuts: list[int]) -> None:
    data = b"".join(raw for raw, _ in RESPONSES[:-1])
    edges = sorted({cut % len(data) for cut in cuts} | {0, len(data)})
    one, _ = read(*(data[start:stop] for start, stop in itertools.pairwise(edges)))
    other, _ = read(data)
    assert (one.open_items, one.done_items, one.pieces, one.sequence, one.items) == (
        other.open_items,
        other.done_items,
        other.pieces,
        other.sequence,
        other.items,
    )
    assert one.done_items == set(range(len(OUTPUT)))


hostile = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**20) | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
NAMES = [
    "response",
    "output_index",
    "content_index",
    "summary_index",
    "item",
    "delta",
    "text",
    "part",
    "sequence_number",
]
KINDS = sorted(
    {json.loads(raw.split(b"data: ")[1])["type"] for raw, _ in RESPONSES} | {"response.failed", "response.x"}
)
WITHIN = ["output", "usage", "status", "error", "incomplete_details", "id", "model", "created_at", "service_tier"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(KINDS),
            st.dictionaries(st.sampled_from(NAMES), hostile, max_size=5),
            st.dictionaries(st.sampled_from(WITHIN), hostile, max_size=5),
        ),
        max_size=8,
    )
)
def test_hostile_events_are_read_or_break_the_stream(events: list[tuple[str, dict[str, Any], dict[str, Any]]]) -> None:
    data = BEGUN
    for kind, members, within in events:
        whole = {**members, "response": {**RESPONSE, **within}} if within else members
        data += response_event(kind, **whole)
    reader, seen = read(data)
    assert b"".join(event.raw for event in seen) == data
    assert all(event.visible_bytes >= 0 for event in seen)
    assert isinstance(reader.items, tuple)
