"""Splitting a stream into events at any chunk boundary, without changing a byte."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.providers.sse import SseSplitter, event_data

line = st.sampled_from(
    [
        "data: x",
        "data:y",
        "data",
        "data:",
        ": comment",
        "event: e",
        "id: 1",
        "data:  žluť 𝕏",
        "retry: 5",
        "other: z",
        "",
    ]
)
ending = st.sampled_from(["\n", "\r\n", "\r"])
stream = st.lists(st.tuples(line, ending), max_size=30).map(lambda lines: "".join(a + b for a, b in lines).encode())


def split(data: bytes, cuts: list[int]) -> tuple[list[bytes], bytes]:
    splitter = SseSplitter()
    events: list[bytes] = []
    edges = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    for start, stop in itertools.pairwise(edges):
        events += splitter.feed(data[start:stop])
    return events, splitter.rest()


@given(stream, st.lists(st.integers(0, 10_000), max_size=40))
def test_any_chunking_gives_the_same_events_and_every_byte(data: bytes, cuts: list[int]) -> None:
    events, rest = split(data, cuts)
    assert (events, rest) == split(data, [])
    assert (events, rest) == split(data, list(range(len(data))))
    assert b"".join(events) + rest == data


@given(stream)
def test_events_hold_what_the_format_says(data: bytes) -> None:
    """Compared with a line-by-line reading of the format, in which an empty line dispatches what was collected."""
    expected: list[bytes] = []
    collected: list[bytes] = []
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")[:-1]
    for text in lines:
        if not text and collected:
            expected.append(b"\n".join(collected))
            collected = []
        elif text == b"data":
            collected.append(b"")
        elif text.startswith(b"data:"):
            collected.append(text[6:] if text[5:6] == b" " else text[5:])
    events, _ = split(data + b":", [])
    assert [found for event in events if (found := event_data(event)[0]) is not None] == expected


@pytest.mark.parametrize(
    ("raw", "data", "name"),
    [
        (b"data: a\n\n", b"a", b""),
        (b"data:a\r\n\r\n", b"a", b""),
        (b"data:  a \r\r", b" a ", b""),
        (b"data: a\ndata: b\n\n", b"a\nb", b""),
        (b"data\n\n", b"", b""),
        (b"event: ping\ndata: {}\n\n", b"{}", b"ping"),
        (b": comment\n\n", None, b""),
        (b"event: e\n\n", None, b"e"),
        (b"\xef\xbb\xbfdata: a\n\n", b"a", b""),
        (b"\n: keep-alive\ndata: a\n\n", b"a", b""),
        (b"datas: a\n\n", None, b""),
    ],
)
def test_reading_one_event(raw: bytes, data: bytes | None, name: bytes) -> None:
    assert event_data(raw) == (data, name)


def test_an_event_is_out_as_soon_as_its_empty_line_is() -> None:
    splitter = SseSplitter()
    assert splitter.feed(b"data: a\n") == []
    assert splitter.feed(b"\ndata: b") == [b"data: a\n\n"]
    assert splitter.feed(b"\r\n\r\n") == [b"data: b\r\n\r\n"]
    assert splitter.rest() == b""


def test_a_carriage_return_at_the_edge_waits_for_its_line_feed() -> None:
    splitter = SseSplitter()
    assert splitter.feed(b"data: a\r\n\r") == []
    assert splitter.feed(b"\ndata: b\r\r") == [b"data: a\r\n\r\n"]
    assert splitter.feed(b"d") == [b"data: b\r\r"]


@pytest.mark.parametrize("piece", [1, 7, 64, 10_000])
def test_an_event_may_be_as_long_as_the_limit_and_no_longer(piece: int) -> None:
    fits = b"data: " + b"x" * 92 + b"\n\n"
    stream = fits + b"data: " + b"x" * 93 + b"\n\n" + fits
    splitter = SseSplitter(limit=100)
    events = [event for at in range(0, len(stream), piece) for event in splitter.feed(stream[at : at + piece])]
    assert events == [fits]
    assert splitter.overflowed


def test_an_event_that_never_ends_breaks_at_the_limit() -> None:
    splitter = SseSplitter(limit=1000)
    for _ in range(10):
        assert splitter.feed(b"x" * 100) == []
        assert not splitter.overflowed
    splitter.feed(b"x")
    assert splitter.overflowed
    assert splitter.feed(b"\n\n") == []
