"""Usage written out for other programs, as CSV, JSON or lines of JSON: page by page, so that any amount of it takes the
same memory.

Money is whole nano-dollars beside a decimal text. A CSV cell that a spreadsheet would take for a formula begins with an
apostrophe. JSON is ASCII: whatever names it quotes, a terminal obeys none of it.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import PurePath
from typing import Any, Protocol

from palyra.control.usage_queries import (
    UsageRecord,
    UsageRowsPage,
    UsageRowsQuery,
)
from palyra.core.errors import BadInputError
from palyra.core.instants import spell_exactly
from palyra.core.money import decimal_usd
from palyra.core.safe_text import safe
from palyra.core.values import value

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


class ExportFormat(StrEnum):
    """What usage is written as."""

    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"
    """An object on each line, which other programs take piece by piece."""


class Asking(Protocol):
    """The part of a control that an export needs."""

    async def ask(self, query: UsageRowsQuery) -> UsageRowsPage:
        """One page of settled attempts."""
        ...


@value
class Exported:
    """How far an export has come: attempts written so far."""

    rows: int


def cell(text: str, *, shown: bool = False) -> str:
    """A text as a cell of a CSV file. `shown`: for a terminal, which must not obey it."""
    guarded = f"'{text}" if text.startswith(_FORMULA) else text
    return safe(guarded) if shown else guarded


def columns(record: UsageRecord) -> dict[str, Any]:
    """An attempt as it is exported, by name."""
    charge = record.charge_nano_usd
    return {
        "at": spell_exactly(record.at),
        "at_ms": record.at,
        "run_id": record.run_id,
        "attempt": record.attempt,
        "provider": record.provider,
        "model": record.model,
        "user": record.user,
        "session": record.session,
        "agent": record.agent,
        "job": record.job,
        "key": record.key,
        "channel": record.channel,
        "tags": record.tags,
        "input_tokens": record.input_tokens,
        "cached_tokens": record.cached_tokens,
        "cache_write_tokens": record.cache_write_tokens,
        "output_tokens": record.output_tokens,
        "reasoning_tokens": record.reasoning_tokens,
        "tool_uses": record.tool_uses,
        "charge_nano_usd": charge,
        "charge_usd": None if charge is None else decimal_usd(charge),
        "price_state": record.price_state,
        "usage_source": record.usage_source,
        "flags": list(record.flags),
        "latency_ms": record.latency_ms,
        "correction": record.correction,
    }


_NOTHING = UsageRecord(0, "", 0, "", "", "", "", "", "", "", "", {}, 0, 0, 0, 0, 0, 0, None, "", "", (), 0)
NAMES = tuple(columns(_NOTHING))


async def export_usage(
    control: Asking,
    query: UsageRowsQuery,
    form: ExportFormat,
    write: Callable[[bytes], object],
    on_progress: Callable[[Exported], None] | None = None,
    *,
    shown: bool = False,
) -> int:
    """Writes every settled attempt the query means, the first first, and returns how many there were.

    `write` gets UTF-8, a page at a time; `shown` says that a terminal will get it. Raises what the control raises.
    """
    pen = pen_for(form, NAMES, shown)
    written = 0
    write(pen.begin())
    cursor = query.cursor
    while True:
        page = await control.ask(replace(query, cursor=cursor))
        if page.rows:
            write(pen.rows(columns(record) for record in page.rows))
        written += len(page.rows)
        if on_progress is not None:
            on_progress(Exported(written))
        cursor = page.next_cursor
        if not cursor:
            break
    write(pen.end())
    return written


class Pen(Protocol):
    """Writes rows of named values as one file, part by part, in UTF-8."""

    def begin(self) -> bytes:
        """What stands before the first row."""
        ...

    def rows(self, rows: Iterable[dict[str, Any]]) -> bytes:
        """Rows, one after the other."""
        ...

    def end(self) -> bytes:
        """What stands after the last row."""
        ...


def pen_for(form: ExportFormat, names: Sequence[str], shown: bool) -> Pen:
    """`names` head the columns; `shown`: for a terminal, which must not obey what it is shown."""
    match form:
        case ExportFormat.CSV:
            return _Csv(names, shown)
        case ExportFormat.JSON:
            return _Json()
        case ExportFormat.JSONL:
            return _JsonLines()


def format_of(file: str, form: str | None) -> ExportFormat:
    """The format that was asked for, else the one that a file's name ends like, else CSV. Raises BadInputError."""
    if form is not None:
        if form not in tuple(ExportFormat):
            raise BadInputError(f"--format {form!r} is unknown.", fix=f"Use one of: {', '.join(ExportFormat)}.")
        return ExportFormat(form)
    ending = PurePath(file).suffix.lower().removeprefix(".")
    return ExportFormat(ending) if ending in tuple(ExportFormat) else ExportFormat.CSV


class _Csv:
    def __init__(self, names: Sequence[str], shown: bool) -> None:
        self._names = names
        self._shown = shown

    def begin(self) -> bytes:
        return self._lines([self._names])

    def rows(self, rows: Iterable[dict[str, Any]]) -> bytes:
        return self._lines([[self._text(value) for value in row.values()] for row in rows])

    def end(self) -> bytes:
        return b""

    def _text(self, value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, int):
            return str(int(value))
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) if value else ""
        return cell(text, shown=self._shown)

    def _lines(self, rows: Sequence[Sequence[str]]) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerows(rows)
        return text.getvalue().encode("utf-8", "replace")


class _JsonLines:
    def begin(self) -> bytes:
        return b""

    def rows(self, rows: Iterable[dict[str, Any]]) -> bytes:
        return "".join(f"{json.dumps(row)}\n" for row in rows).encode("ascii")

    def end(self) -> bytes:
        return b""


class _Json:
    """An array with an object on each line."""

    def __init__(self) -> None:
        self._first = True

    def begin(self) -> bytes:
        return b"["

    def rows(self, rows: Iterable[dict[str, Any]]) -> bytes:
        parts = []
        for row in rows:
            parts.append(("\n" if self._first else ",\n") + json.dumps(row))
            self._first = False
        return "".join(parts).encode("ascii")

    def end(self) -> bytes:
        return b"\n]\n"
