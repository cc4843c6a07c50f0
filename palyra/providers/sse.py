"""Server-sent events: a byte stream split into them without changing a byte, and new ones written.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html (lines end in LF, CR or CRLF, an event ends in an
empty line). The raw events, put together, are the input again.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

MAX_EVENT = 8 * 1024 * 1024
"""Bytes of one event; a longer one breaks the stream."""

_BOUNDARY = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LONGEST_PARTIAL_BOUNDARY = 3
_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_BOM = b"\xef\xbb\xbf"


class SseSplitter:
    """Cuts chunks of any size into whole raw events.

    An event whose last byte so far is CR waits for the next byte, which may be the LF that belongs to it.
    `overflowed` turns true at an event longer than `limit`; nothing comes after that.
    """

    def __init__(self, limit: int = MAX_EVENT) -> None:
        self.overflowed = False
        self._limit = limit
        self._pending = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events completed by this chunk."""
        if self.overflowed:
            return []
        pending = self._pending
        data: bytes | bytearray = chunk
        scan = 0
        if pending:
            scan = max(0, len(pending) - _LONGEST_PARTIAL_BOUNDARY)
            pending += chunk
            data = pending
        events: list[bytes] = []
        start = 0
        for end in _ends(data, scan):
            if end - start > self._limit:
                self._overflow()
                return events
            events.append(bytes(data[start:end]))
            start = end
        if data is not pending:
            pending += data[start:]
        elif start:
            self._pending = pending[start:]
        if len(self._pending) > self._limit:
            self._overflow()
        return events

    def rest(self) -> bytes:
        """What is left after the last chunk: empty, or an event that nothing ended."""
        rest = bytes(self._pending)
        self._pending = bytearray()
        return rest

    def _overflow(self) -> None:
        self.overflowed = True
        self._pending = bytearray()


def _ends(data: bytes | bytearray, scan: int) -> Iterator[int]:
    """Where events end, those that a further byte could still belong to left out."""
    if data.find(b"\r", scan) < 0:
        # As nearly every provider writes; a search for two bytes is many times faster than one for all line ends.
        at = data.find(b"\n\n", scan)
        while at >= 0:
            yield at + 2
            at = data.find(b"\n\n", at + 2)
        return
    for boundary in _BOUNDARY.finditer(data, scan):
        end = boundary.end()
        if end == len(data) and data[-1] == 0x0D:
            return
        yield end


def event_data(raw: bytes) -> tuple[bytes | None, bytes]:
    """The joined `data` of a raw event (None without any) and its `event` name."""
    data: bytes | None = None
    name = b""
    for line in raw.removeprefix(_BOM).splitlines():
        if line.startswith(b"data:"):
            value = line[6:] if line[5:6] == b" " else line[5:]
            data = value if data is None else data + b"\n" + value
        elif line.startswith(b"event:"):
            name = line[6:].strip()
        elif line == b"data":
            data = b"" if data is None else data + b"\n"
    return data, name


def sse_event(data: Mapping[str, Any], name: str = "") -> bytes:
    """One event of a stream: compact JSON, with an event name where the wire has them."""
    head = f"event: {name}\ndata: ".encode() if name else b"data: "
    try:
        told = orjson.dumps(data)
    except TypeError:
        # Numbers beyond 64 bits and unpaired surrogates.
        told = _compact(data).encode("utf-8", "replace")
    return b"%s%s\n\n" % (head, told)
