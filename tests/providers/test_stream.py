"""Reading streamed answers while their bytes pass unchanged."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.providers.errors import ErrorClass
from palyra.providers.stream import AnswerReader, ChatReader, MessagesReader, StreamEvent, stream_reader
from palyra.providers.wires import Wire
from tests.providers.recordings import (
    CHAT,
    DONE,
    MESSAGES,
    RESPONSES,
    block_delta,
    block_start,
    block_stop,
    chat_event,
    chat_usage,
    delta,
    message_event,
)

RECORDED = {Wire.CHAT: CHAT, Wire.MESSAGES: MESSAGES, Wire.RESPONSES: RESPONSES}


def read(reader: AnswerReader, *chunks: bytes) -> list[StreamEvent]:
    return [event for chunk in chunks for event in reader.feed(chunk)] + list(reader.end())


def pass_on(reader: AnswerReader, *chunks: bytes) -> None:
    for chunk in chunks:
        for _ in reader.feed(chunk):
            pass


def bytes_of(recorded: list[tuple[bytes, int]]) -> bytes:
    return b"".join(raw for raw, _ in recorded)


@pytest.mark.parametrize("wire", RECORDED)
def test_every_kind_of_event_passes_unchanged_and_shows_what_it_shows(wire: Wire) -> None:
    events = read(stream_reader(wire), bytes_of(RECORDED[wire]))
    assert [(event.raw, event.visible_bytes) for event in events] == RECORDED[wire]
    assert not any(event.error or event.withheld for event in events)
    assert [event.terminal for event in events] == [False] * (len(events) - 1) + [True]


@given(
    st.sampled_from(list(RECORDED)),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.lists(st.integers(0, 10**6), max_size=60),
)
def test_any_chunking_gives_the_same_events(wire: Wire, ending: bytes, cuts: list[int]) -> None:
    data = bytes_of(RECORDED[wire]).replace(b"\n", ending)
    edges = sorted({cut % len(data) for cut in cuts} | {0, len(data)})
    pieces = [data[start:stop] for start, stop in itertools.pairwise(edges)]
    events = read(stream_reader(wire), *pieces)
    assert b"".join(event.raw for event in events) == data
    assert events == read(stream_reader(wire), data)
    assert [event.visible_bytes for event in events] == [visible for _, visible in RECORDED[wire]]


def test_an_event_split_inside_a_character_over_three_reads_is_forwarded_whole() -> None:
    data = chat_event([delta(content="𝕏")]) + DONE
    inside = data.index("𝕏".encode())
    events = read(ChatReader(), data[: inside + 1], data[inside + 1 : inside + 3], data[inside + 3 :])
    assert b"".join(event.raw for event in events) == data
    assert events[0].visible_bytes == 4


def test_a_chat_stream_tells_who_it_is_and_how_it_ended() -> None:
    reader = ChatReader()
    read(reader, bytes_of(CHAT))
    assert (reader.id, reader.model, reader.created) == ("chatcmpl-1", "gpt-4o-mini-2024-07-18", 1_790_000_000)
    assert (reader.finish, reader.ended, reader.usage) == ("tool_calls", True, chat_usage(40))
    assert list(reader.open_choices) == []


def test_usage_on_every_chunk_is_replaced_never_summed() -> None:
    reader = ChatReader()
    for output in (3, 6, 9, 12, 14):
        (event,) = reader.feed(chat_event([delta(content="ab")], usage=chat_usage(output)))
        assert event.usage == chat_usage(output)
    assert reader.usage == chat_usage(14)


def test_a_null_usage_does_not_undo_one() -> None:
    reader = ChatReader()
    pass_on(reader, chat_event([delta(content="a")], usage=chat_usage(3)) + chat_event([delta()], usage=None))
    assert reader.usage == chat_usage(3)


def test_the_usage_chunk_is_withheld_from_a_caller_who_did_not_ask() -> None:
    chunk = chat_event([], usage=chat_usage(4))
    (event,) = stream_reader(Wire.CHAT, include_usage=False).feed(chunk)
    assert event.withheld
    assert event.usage == chat_usage(4)
    (event,) = stream_reader(Wire.CHAT, include_usage=True).feed(chunk)
    assert not event.withheld


def test_only_the_usage_chunk_is_withheld() -> None:
    reader = stream_reader(Wire.CHAT, include_usage=False)
    filter_results = chat_event([], prompt_filter_results=[{"prompt_index": 0}])
    with_text = chat_event([delta(content="a")], usage=chat_usage(4))
    events = read(reader, filter_results, with_text, DONE)
    assert [event.withheld for event in events] == [False, False, False]


def test_choices_are_open_until_they_have_a_finish_reason() -> None:
    reader = ChatReader(choices=2)
    assert list(reader.open_choices) == [0, 1]
    pass_on(reader, chat_event([delta(1, finish="length")]))
    assert list(reader.open_choices) == [0]
    pass_on(reader, chat_event([delta(7, content="more than asked")]))
    assert list(reader.open_choices) == [0, 7]
    pass_on(reader, chat_event([delta(0, finish="stop")]))
    assert list(reader.open_choices) == [7]
    assert reader.finish == "stop"


def test_message_usage_is_cumulative_per_field() -> None:
    reader = MessagesReader()
    pass_on(reader, message_event("message_start", message={"usage": {"input_tokens": 310, "output_tokens": 1}}))
    (event,) = reader.feed(message_event("message_delta", delta={}, usage={"output_tokens": 5}))
    assert event.usage == {"input_tokens": 310, "output_tokens": 5}
    late = {"input_tokens": 1904, "output_tokens": 57, "cache_read_input_tokens": None}
    (event,) = reader.feed(message_event("message_delta", delta={"stop_reason": "end_turn"}, usage=late))
    assert event.usage == {"input_tokens": 1904, "output_tokens": 57} == reader.usage
    assert event.finish == "end_turn" == reader.finish


def test_a_message_stream_tells_which_blocks_are_open() -> None:
    reader = MessagesReader()
    assert not reader.started
    read_events = bytes_of(MESSAGES[:1])
    pass_on(reader, read_events)
    assert (reader.started, reader.id, reader.model) == (True, "msg_1", "claude-sonnet-4-5-20250929")
    (event,) = reader.feed(block_start(0, type="text", text="at once"))
    assert event.visible_bytes == len("at once")
    pass_on(reader, block_start(1, type="text", text="") + block_delta(1, type="text_delta", text="b"))
    assert list(reader.open_blocks) == [0, 1]
    pass_on(reader, block_stop(0))
    assert list(reader.open_blocks) == [1]


def test_what_was_not_passed_on_did_not_happen_for_the_caller() -> None:
    """The last event of each chunk is kept back, as where a budget ends; nothing after it was seen by the caller."""
    chat = ChatReader(choices=2)
    both = chat_event([delta(0, content="ab")]) + chat_event([delta(0, finish="stop", content="c")])
    for event in chat.feed(both + chat_event([delta(1, finish="stop")]) + DONE):
        if event.finish:
            break
    assert list(chat.open_choices) == [0, 1]

    messages = MessagesReader()
    pass_on(messages, MESSAGES[0][0], block_start(0, type="text", text=""))
    for event in messages.feed(block_delta(0, type="text_delta", text="too much") + block_stop(0)):
        if event.visible_bytes:
            break
    assert list(messages.open_blocks) == [0]

    unsent = MessagesReader()
    for event in unsent.feed(MESSAGES[0][0] + block_start(0, type="text", text="at once") + block_stop(0)):
        if event.visible_bytes:
            break
    assert unsent.started
    assert list(unsent.open_blocks) == []


ERROR: dict[str, Any] = {"type": "overloaded_error", "message": "Overloaded: key sk-abcdef123456"}


@pytest.mark.parametrize(
    ("wire", "chunk"),
    [
        (Wire.CHAT, chat_event([], error=ERROR)),
        (Wire.CHAT, b'data: {"error": "sk-abcdef123456 broke"}\n\n'),
        (Wire.CHAT, b'event: error\ndata: {"message": "x"}\n\n'),
        (Wire.CHAT, b"data: {not json\n\n"),
        (Wire.CHAT, b"data: 7\n\n"),
        (Wire.CHAT, b"data: " + b"[" * 100_000 + b"\n\n"),
        (Wire.MESSAGES, message_event("error", error=ERROR)),
        (Wire.MESSAGES, b"data: <html>\n\n"),
    ],
)
def test_a_broken_stream_ends_in_a_malformed_response_and_its_event_is_withheld(wire: Wire, chunk: bytes) -> None:
    reader = stream_reader(wire)
    head = RECORDED[wire][0][0]
    first, broken = reader.feed(head + chunk + head)
    assert first.error is None
    assert broken.withheld
    assert broken.error is not None
    assert broken.error.error_class is ErrorClass.MALFORMED_RESPONSE
    assert "sk-abcdef123456" not in str(broken.error)
    assert list(reader.feed(head)) == []
    assert list(reader.end()) == []


@pytest.mark.parametrize("wire", RECORDED)
def test_an_end_without_the_terminal_event_is_an_error(wire: Wire) -> None:
    *events, last = read(stream_reader(wire), bytes_of(RECORDED[wire][:-1]))
    assert not any(event.error for event in events)
    assert last.error is not None
    assert last.error.error_class is ErrorClass.MALFORMED_RESPONSE


@pytest.mark.parametrize("wire", RECORDED)
def test_a_last_event_without_its_empty_line_still_counts(wire: Wire) -> None:
    data = bytes_of(RECORDED[wire]).rstrip(b"\n")
    events = read(stream_reader(wire), data)
    assert events[-1].terminal
    assert b"".join(event.raw for event in events) == data


@pytest.mark.parametrize("wire", RECORDED)
def test_a_stream_cut_inside_an_event_is_an_error(wire: Wire) -> None:
    *_, last = read(stream_reader(wire), bytes_of(RECORDED[wire])[:-20])
    assert last.error is not None


def test_what_follows_the_end_passes_unread() -> None:
    events = read(ChatReader(), DONE, b"data: {nonsense\n\n", b"rest")
    assert [event.raw for event in events] == [DONE, b"data: {nonsense\n\n", b"rest"]
    assert not any(event.error for event in events)


def test_an_oversized_event_breaks_the_stream_after_what_came_before() -> None:
    reader = ChatReader(limit=2000)
    good, broken = reader.feed(chat_event([delta(content="a")]) + b"data: " + b"x" * 3000)
    assert good.error is None
    assert broken.error is not None
    assert "2000 bytes" in broken.error.message
    assert list(reader.end()) == []


MEMBERS = ["type", "index", "delta", "choices", "usage", "message", "content_block", "content", "text", "thinking"]
MEMBERS += [
    "tool_calls",
    "function",
    "arguments",
    "finish_reason",
    "stop_reason",
    "id",
    "created",
    "audio",
    "transcript",
]


@given(
    st.sampled_from(list(RECORDED)),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(MEMBERS),
                inner,
                max_size=5,
            )
        ),
        max_leaves=25,
    ),
    st.sampled_from(["message_start", "message_delta", "content_block_delta", "content_block_start", "x"]),
)
def test_no_shape_of_event_makes_a_reader_fail(wire: Wire, content: Any, kind: str) -> None:
    members = content if isinstance(content, dict) else {"delta": content, "choices": content, "usage": content}
    raw = message_event(kind, **{name: value for name, value in members.items() if name != "type"})
    (event,) = stream_reader(wire).feed(raw)
    assert event.raw == raw
    assert event.visible_bytes >= 0


@pytest.mark.parametrize(
    ("events", "final"),
    [
        ([{"choices": [{"index": 0, "finish_reason": "stop"}]}, {"choices": [], "usage": {}}], True),
        ([{"choices": [{"index": 0, "finish_reason": "stop"}], "usage": {}}], True),
        ([{"choices": [{"index": 0, "delta": {"content": "a"}}], "usage": {}}], False),
        ([{"choices": [{"index": 0, "finish_reason": "stop"}]}], False),
        ([{"choices": [{"index": 0, "finish_reason": "stop"}, {"index": 1}]}, {"choices": [], "usage": {}}], False),
    ],
)
def test_usage_is_final_once_every_choice_has_finished(events: list[dict[str, Any]], final: bool) -> None:
    reader = ChatReader()
    for event in events:
        list(reader.feed(b"data: " + json.dumps(event).encode() + b"\n\n"))
    assert reader.usage_final is final


def test_the_service_tier_a_chunk_names() -> None:
    reader = ChatReader()
    for tier in (None, "flex", None, 5):
        list(reader.feed(b"data: " + json.dumps({"choices": [], "service_tier": tier}).encode() + b"\n\n"))
    assert reader.service_tier == "flex"


def test_counts_beyond_64_bits_stay_exact() -> None:
    reader = ChatReader()
    read(reader, b'data: {"choices": [], "usage": {"completion_tokens": 36893488147419103233}}\n\n', DONE)
    assert reader.usage == {"completion_tokens": 36_893_488_147_419_103_233}


@pytest.mark.parametrize("odd", [b"NaN", b"-Infinity", rb'"\ud800"', b'"\xff"'])
def test_what_is_only_nearly_json_is_read_all_the_same(odd: bytes) -> None:
    event = b'data: {"choices": [{"index": 0, "delta": {"content": "four"}}], "odd": %b}\n\n' % odd
    (first, *_) = read(ChatReader(), event, DONE)
    assert (first.error, first.visible_bytes, first.raw) == (None, 4, event)
