"""Exports: every attempt once, whatever the number; nothing a spreadsheet or a terminal would obey."""

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.control.export import NAMES, Exported, ExportFormat, cell, columns, export_usage, format_of
from palyra.control.usage_queries import (
    UsageRecord,
    UsageRowsPage,
    UsageRowsQuery,
)
from palyra.core.errors import BadInputError

RECORD = UsageRecord(
    at=1_795_348_800_001,
    run_id="01A",
    attempt=1,
    provider="openai",
    model="openai/gpt",
    user="ann",
    session="s1",
    agent="",
    job="",
    key="k1",
    channel="",
    tags={"team": "blue"},
    input_tokens=10,
    cached_tokens=1,
    cache_write_tokens=2,
    output_tokens=5,
    reasoning_tokens=3,
    tool_uses=0,
    charge_nano_usd=9_007_199_254_740_993,
    price_state="known",
    usage_source="provider",
    flags=("late",),
    latency_ms=1_200,
)
QUERY = UsageRowsQuery(0, 10)


class Pages:
    """Answers with pages and remembers what was asked."""

    def __init__(self, *pages: Iterable[UsageRecord]) -> None:
        self.pages = [tuple(page) for page in pages]
        self.asked: list[UsageRowsQuery] = []

    async def ask(self, query: UsageRowsQuery) -> UsageRowsPage:
        self.asked.append(query)
        number = int(query.cursor or 0)
        more = str(number + 1) if number + 1 < len(self.pages) else ""
        return UsageRowsPage(self.pages[number], more)


async def written(form: ExportFormat, *pages: Iterable[UsageRecord], shown: bool = False) -> str:
    pieces: list[bytes] = []
    await export_usage(Pages(*pages), QUERY, form, pieces.append, shown=shown)
    return b"".join(pieces).decode()


def read(form: ExportFormat, text: str) -> list[dict[str, Any]]:
    """As other programs do."""
    match form:
        case ExportFormat.JSON:
            return list(json.loads(text))
        case ExportFormat.JSONL:
            return [json.loads(line) for line in text.splitlines()]
        case ExportFormat.CSV:
            return list(csv.DictReader(io.StringIO(text)))


def named(number: int) -> UsageRecord:
    return replace(RECORD, run_id=f"run {number}")


@pytest.mark.parametrize("form", list(ExportFormat))
@pytest.mark.parametrize("pages", [[[]], [[0]], [[0, 1], [2]], [[0, 1, 2], [], [3, 4], []]])
async def test_every_attempt_is_written_once_in_order(form: ExportFormat, pages: list[list[int]]) -> None:
    text = await written(form, *[map(named, page) for page in pages])
    rows = read(form, text)
    assert [row["run_id"] for row in rows] == [f"run {number}" for page in pages for number in page]


async def test_money_is_whole_nano_dollars_beside_a_text() -> None:
    (row,) = json.loads(await written(ExportFormat.JSON, [RECORD]))
    assert (row["charge_nano_usd"], row["charge_usd"]) == (9_007_199_254_740_993, "9007199.254740993")
    assert row["at"] == "2026-11-22T12:00:00.001Z"
    assert (row["tags"], row["flags"]) == ({"team": "blue"}, ["late"])
    (line,) = csv.DictReader(io.StringIO(await written(ExportFormat.CSV, [RECORD])))
    assert (line["charge_nano_usd"], line["charge_usd"]) == ("9007199254740993", "9007199.254740993")
    unpriced = replace(RECORD, charge_nano_usd=None)
    (line,) = csv.DictReader(io.StringIO(await written(ExportFormat.CSV, [unpriced])))
    assert (line["charge_nano_usd"], line["charge_usd"]) == ("", "")
    assert json.loads(await written(ExportFormat.JSON, [unpriced]))[0]["charge_usd"] is None


async def test_both_forms_name_the_same_columns() -> None:
    assert tuple(json.loads(await written(ExportFormat.JSON, [RECORD]))[0]) == NAMES
    assert (await written(ExportFormat.CSV, [])).strip().split(",") == list(NAMES)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
async def test_a_cell_that_could_be_a_formula_begins_with_an_apostrophe(start: str) -> None:
    text = f"{start}1+cmd|' /C calc'!A0"
    assert cell(text) == f"'{text}"
    hostile = replace(RECORD, user=text, session=text, tags={text: text}, flags=(text,))
    (row,) = csv.DictReader(io.StringIO(await written(ExportFormat.CSV, [hostile]), newline=""))
    assert row["user"] == row["session"] == f"'{text}"
    assert json.loads(await written(ExportFormat.JSON, [hostile]))[0]["user"] == text


@given(st.text())
def test_no_cell_begins_like_a_formula_and_nothing_else_is_changed(text: str) -> None:
    made = cell(text)
    assert not made.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert made.removeprefix("'") == text.removeprefix("'") or made == text


async def test_what_a_terminal_gets_it_does_not_obey() -> None:
    hostile = replace(RECORD, user="\x1b]52;c;QUJD\x07", session="\x9b2J", model="a\nb")
    shown = await written(ExportFormat.CSV, [hostile], shown=True)
    assert not {"\x1b", "\x07", "\x9b"} & set(shown)
    assert len(shown.splitlines()) == 2
    assert "\x1b" not in await written(ExportFormat.JSON, [hostile])
    assert len((await written(ExportFormat.JSONL, [hostile])).splitlines()) == 1


@pytest.mark.parametrize(
    ("file", "form", "expected"),
    [
        ("-", None, "csv"),
        ("a.json", None, "json"),
        ("a.JSONL", None, "jsonl"),
        ("a.txt", None, "csv"),
        ("a.json", "csv", "csv"),
        ("-", "jsonl", "jsonl"),
    ],
)
def test_the_form_is_the_one_asked_for_or_that_of_the_files_name(file: str, form: str | None, expected: str) -> None:
    assert format_of(file, form) == expected


def test_a_form_that_is_none_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInputError) as refused:
        format_of("a.csv", "xml")
    assert "csv, json, jsonl" in refused.value.fix


async def test_progress_is_told_after_each_page() -> None:
    told: list[Exported] = []
    pages = Pages([RECORD, RECORD], [RECORD])
    count = await export_usage(pages, QUERY, ExportFormat.CSV, lambda _: None, told.append)
    assert (count, [one.rows for one in told]) == (3, [2, 3])
    assert [query.cursor for query in pages.asked] == ["", "1"]


def test_every_field_is_exported() -> None:
    assert len(columns(RECORD)) == len(UsageRecord.__dataclass_fields__) + 2
