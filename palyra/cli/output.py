"""How commands print: safe text for people, JSON for programs."""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from palyra.control.plain import USD_METRIC, plain
from palyra.core.money import format_usd, format_usd_short
from palyra.core.safe_text import cells, json_safe, safe

__all__ = ["USD_METRIC", "amount", "complain", "instant", "plain", "print_foreign_json", "print_json", "say", "table"]


def print_json(value: object) -> None:
    """A value of `control`."""
    print_foreign_json(plain(value))


def print_foreign_json(data: object) -> None:
    """JSON data of others, its members as they are."""
    sys.stdout.write(json_safe(json.dumps(data, indent=2, ensure_ascii=False)) + "\n")


def say(text: str) -> None:
    """One or more lines for a person; whatever they quote is made harmless first."""
    sys.stdout.write("\n".join(safe(line) for line in text.split("\n")) + "\n")


def complain(text: str) -> None:
    sys.stderr.write("\n".join(safe(line) for line in text.split("\n")) + "\n")


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Columns as wide as they need to be; those whose index is in `right` are aligned to the right."""
    lines = [[safe(cell) for cell in row] for row in [headings, *rows]]
    widths = [max(cells(line[column]) for line in lines) for column in range(len(headings))]
    for line in lines:
        padded = []
        for column, cell in enumerate(line):
            gap = " " * (widths[column] - cells(cell))
            padded.append(gap + cell if column in right else cell + gap)
        sys.stdout.write("  ".join(padded).rstrip() + "\n")


def amount(value: int | None, metric: str, *, exact: bool = False) -> str:
    """An amount in its metric's unit; None is written as a dash."""
    if value is None:
        return "–"
    if metric == USD_METRIC:
        return format_usd(value) if exact else format_usd_short(value)
    return f"{value:,}"


def instant(at: int | None) -> str:
    """UTC, to the second."""
    if at is None:
        return "–"
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
