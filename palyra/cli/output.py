"""How commands print: safe text for people, JSON for programs."""

import json
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from palyra.control.plain import USD_METRIC, plain
from palyra.core.money import format_usd, format_usd_short
from palyra.core.safe_text import cells, json_safe, safe

__all__ = [
    "USD_METRIC",
    "amount",
    "complain",
    "instant",
    "on_terminal",
    "plain",
    "print_foreign_json",
    "print_json",
    "say",
    "say_text",
    "table",
    "time_of_day",
]


def print_json(value: object) -> None:
    """A value of `control`."""
    print_foreign_json(plain(value))


def print_foreign_json(data: object) -> None:
    """JSON data of others, its members as they are."""
    sys.stdout.write(json_safe(json.dumps(data, indent=2, ensure_ascii=False)) + "\n")


def say(*lines: str) -> None:
    """Lines for a person. Whatever they quote is made harmless first, and ends no line: who could write to somebody's
    reason what Palyra itself seems to say below it would be believed."""
    sys.stdout.write("".join(f"{safe(line)}\n" for line in lines))


def say_text(text: str) -> None:
    """What somebody wrote in lines of its own, as such: an answer, a result."""
    say(*text.split("\n"))


def complain(*lines: str) -> None:
    """As `say`, on standard error."""
    sys.stderr.write("".join(f"{safe(line)}\n" for line in lines))


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Columns as wide as they need to be; those whose index is in `right` are aligned to the right.

    On a terminal that is too narrow for all of them, the last ones follow below each row with their names.
    """
    lines = [[safe(cell) for cell in row] for row in [headings, *rows]]
    widths = [max(cells(line[column]) for line in lines) for column in range(len(headings))]
    room = _terminal_cells()
    kept = len(widths) if room is None else _fitting(widths, room)
    for position, line in enumerate(lines):
        padded = []
        for column, cell in enumerate(line[:kept]):
            gap = " " * (widths[column] - cells(cell))
            padded.append(gap + cell if column in right else cell + gap)
        sys.stdout.write(BETWEEN.join(padded).rstrip() + "\n")
        if position and room is not None and kept < len(line):
            told = [f"{name} {cell}".lstrip() for name, cell in zip(lines[0][kept:], line[kept:], strict=True)]
            blank = [cell in ("", "–") for cell in line[kept:]]
            _continue([text for text, nothing in zip(told, blank, strict=True) if not nothing], room)


BETWEEN = "  "
UNDER = "    "
"""Begins what follows below a row."""
SEPARATOR = " · "


def on_terminal() -> bool:
    """Whether a person looks at what is written, and not a program."""
    return _terminal_cells() is not None


def _terminal_cells() -> int | None:
    """The width of the terminal that is written to; None where it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _fitting(widths: Sequence[int], room: int) -> int:
    """How many of the first columns fit beside each other; one at least."""
    if sum(widths) + len(BETWEEN) * (len(widths) - 1) <= room:
        return len(widths)
    kept, used = 1, widths[0]
    while used + len(BETWEEN) + widths[kept] <= room:
        used += len(BETWEEN) + widths[kept]
        kept += 1
    return kept


def _continue(texts: Sequence[str], room: int) -> None:
    """Texts one after another, in as many lines as they need."""
    line = ""
    for text in texts:
        if line and cells(safe(UNDER + line + SEPARATOR + text)) > room:
            sys.stdout.write(f"{UNDER}{line}\n")
            line = ""
        line += SEPARATOR * bool(line) + text
    if line:
        sys.stdout.write(f"{UNDER}{line}\n")


def amount(value: int | None, metric: str, *, exact: bool = False) -> str:
    """An amount in its metric's unit; None is written as a dash."""
    if value is None:
        return "–"
    if metric == USD_METRIC:
        return format_usd(value) if exact else format_usd_short(value)
    return f"{value:,}"


def time_of_day(at: int) -> str:
    """UTC, of an instant within the hour."""
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%H:%M:%SZ")


def instant(at: int | None) -> str:
    """UTC, to the second."""
    if at is None:
        return "–"
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
