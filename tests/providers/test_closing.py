"""What Palyra writes into a stream itself, as the official clients read it."""

import json
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from palyra.providers.closing import budget_cut, error_event, parking_comment
from palyra.providers.sse import SseSplitter, event_data
from palyra.providers.stream import ChatReader, MessagesReader
from palyra.providers.wires import Wire, error_body
from tests.providers.recordings import CHAT, MESSAGES, block_delta, block_start, chat_event, delta
from tests.providers.test_stream import pass_on

AT_MS = 1_795_348_800_999


def cut(reader: ChatReader | MessagesReader, *, include_usage: bool = False) -> bytes:
    return budget_cut(
        reader,
        input_tokens=30,
        output_tokens=7,
        include_usage=include_usage,
        fallback_id="01K",
        model="asked-model",
        at_ms=AT_MS,
    )


def events_of(data: bytes) -> list[dict[str, Any]]:
    splitter = SseSplitter()
    found = [event_data(raw)[0] for raw in splitter.feed(data)]
    assert splitter.rest() == b""
    return [json.loads(event) for event in found if event is not None and event != b"[DONE]"]


def test_a_cut_chat_stream_ends_each_open_choice_with_length() -> None:
    reader = ChatReader(choices=3)
    pass_on(reader, chat_event([delta(0, content="a"), delta(2, content="b")]) + chat_event([delta(2, finish="stop")]))
    data = cut(reader)
    chunks = events_of(data)
    assert data.endswith(b"data: [DONE]\n\n")
    assert [chunk["choices"] for chunk in chunks] == [
        [{"index": index, "delta": {}, "finish_reason": "length"}] for index in (0, 1)
    ]
    assert {(chunk["id"], chunk["model"], chunk["created"]) for chunk in chunks} == {
        ("chatcmpl-1", "gpt-4o-mini-2024-07-18", 1_790_000_000)
    }


def test_a_cut_chat_stream_tells_usage_where_it_was_asked_for() -> None:
    *_, last = events_of(cut(ChatReader(), include_usage=True))
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 30, "completion_tokens": 7, "total_tokens": 37}
    assert all("usage" not in chunk for chunk in events_of(cut(ChatReader())))


def test_a_chat_stream_cut_before_it_began_stands_on_its_own() -> None:
    (chunk,) = events_of(cut(ChatReader()))
    assert (chunk["id"], chunk["model"], chunk["created"]) == ("01K", "asked-model", AT_MS // 1000)


def test_a_cut_message_stream_closes_its_blocks() -> None:
    reader = MessagesReader()
    pass_on(reader, MESSAGES[0][0] + block_start(0, type="text", text="") + block_start(1, type="text", text=""))
    pass_on(reader, block_delta(1, type="text_delta", text="abc"))
    assert [event["type"] for event in events_of(cut(reader))] == [
        "content_block_stop",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    delta_event = events_of(cut(reader))[-2]
    assert delta_event["delta"] == {"stop_reason": "max_tokens", "stop_sequence": None}
    assert delta_event["usage"] == {"output_tokens": 7}


def test_a_message_stream_cut_before_it_began_begins_first() -> None:
    start, *_ = events_of(cut(MessagesReader()))
    assert start["type"] == "message_start"
    assert start["message"]["id"] == "01K"
    assert start["message"]["usage"] == {"input_tokens": 30, "output_tokens": 0}


def test_a_parking_comment_is_a_comment_and_nothing_more() -> None:
    comment = parking_comment("01KAPPROVAL")
    assert comment == b": palyra parked approval=01KAPPROVAL\n\n"
    assert event_data(comment) == (None, b"")


def served(body: bytes) -> httpx2.MockTransport:
    return httpx2.MockTransport(
        lambda request: httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=body)
    )


def openai_client(body: bytes) -> openai.OpenAI:
    return openai.OpenAI(
        api_key="k", base_url="http://127.0.0.1/v1", http_client=httpx2.Client(transport=served(body)), max_retries=0
    )


def anthropic_client(body: bytes) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        api_key="k", base_url="http://127.0.0.1", http_client=httpx2.Client(transport=served(body)), max_retries=0
    )


@pytest.mark.parametrize("events", [0, 1, 5, 9])
def test_the_openai_client_reads_a_cut_stream_to_its_end(events: int) -> None:
    reader = ChatReader()
    before = b"".join(raw for raw, _ in CHAT[:events])
    pass_on(reader, before)
    client = openai_client(parking_comment("01K") + before + cut(reader, include_usage=True))
    stream = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}], stream=True)
    chunks = list(stream)
    finishes = [choice.finish_reason for chunk in chunks for choice in chunk.choices]
    assert finishes[-1] == "length"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 7


@pytest.mark.parametrize("events", [0, 1, 2, 4, 9, 11, 17, 21])
def test_the_anthropic_client_reads_a_cut_stream_to_its_end(events: int) -> None:
    reader = MessagesReader()
    before = b"".join(raw for raw, _ in MESSAGES[:events])
    pass_on(reader, before)
    client = anthropic_client(parking_comment("01K") + before + cut(reader))
    with client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}]) as stream:
        message = stream.get_final_message()
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 7


def test_an_error_event_makes_the_openai_client_raise() -> None:
    body = error_body(Wire.CHAT, "budget_denied", "budget_denied", "The operator said no.", palyra={"run_id": "01K"})
    event = error_event(Wire.CHAT, body)
    assert event.endswith(b"data: [DONE]\n\n")
    client = openai_client(parking_comment("01K") + event)
    stream = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}], stream=True)
    with pytest.raises(openai.APIError, match="The operator said no"):
        list(stream)


def test_an_error_event_makes_the_anthropic_client_raise() -> None:
    body = error_body(Wire.MESSAGES, "budget_denied", "budget_denied", "The operator said no.", "01K")
    client = anthropic_client(parking_comment("01K") + error_event(Wire.MESSAGES, body))
    stream = client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}], stream=True)
    with pytest.raises(anthropic.APIError, match="The operator said no"):
        list(stream)
