"""How commands print: safe text for people, JSON for programs. Money in JSON is whole nano-dollars beside a text."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from palyra.control.queries import ApprovalDetail, UsageNumbers
from palyra.core.money import decimal_usd, format_usd, format_usd_short
from palyra.core.safe_text import cells, json_safe, safe

USD_METRIC = "estimated_cost_usd"


def plain(value: object) -> Any:
    """A value of `control` as JSON data.

    Every `…_nano_usd` gains a `…_usd` text; amounts of a budget are named `…_nano_usd` where its metric is money.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields: dict[str, Any] = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        if isinstance(value, UsageNumbers):
            fields["total_tokens"] = value.total_tokens
        if isinstance(value, ApprovalDetail):
            fields["daily_cost_nano_usd"] = fields.pop("daily_cost")
        return _members(fields)
    if isinstance(value, dict):
        return _members(value)
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value


_AMOUNTS = frozenset(
    {"settled", "held", "bound", "projected", "soft", "soft_limit", "hard", "hard_limit", "grants", "granted"}
    | {"cap", "drawn", "limit", "excess", "once_cap", "session_cap", "amount", "live", "rebuilt", "wanted"}
    | {"used", "burned"}
)
"""What is counted in the unit of the metric that is named beside it."""


def _members(fields: dict[str, Any]) -> dict[str, Any]:
    money = USD_METRIC in (fields.get("metric_kind"), fields.get("excess_metric"))
    members: dict[str, Any] = {}
    for name, content in fields.items():
        if money and name in _AMOUNTS and not isinstance(content, str):
            name = f"{name}_nano_usd"
        members[name] = plain(content)
        if name.endswith("_nano_usd"):
            members[name.removesuffix("_nano_usd") + "_usd"] = _usd_text(content)
    return members


def _usd_text(content: Any) -> Any:
    if isinstance(content, tuple | list):
        return [_usd_text(item) for item in content]
    return None if content is None else decimal_usd(content)


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
