"""The form of a cron expression. When it fires, in which zone, is the scheduler's business.

Five fields: minute, hour, day, month, weekday. `*`, a value, `a-b`, lists with `,`, steps `*/n` and `a-b/n`; names
`jan` to `dec` and `sun` to `sat` in any case; weekday 0 and 7 are both Sunday.
"""

import re
from typing import NamedTuple

from palyra.config.kinds import Kind, show
from palyra.config.problem import Code, Fault
from palyra.core.values import value

MAX_LENGTH = 256

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_LONGEST_MONTH = {month: 29 if month == 2 else 30 if month in (4, 6, 9, 11) else 31 for month in range(1, 13)}


class Field(NamedTuple):
    """One of the five fields: its name and what it may hold."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day", 1, 31),
    Field("month", 1, 12, _MONTHS),
    Field("weekday", 0, 7, _WEEKDAYS),
)


def check_cron(text: str) -> list[str]:
    """Everything wrong with an expression, one sentence each, led by the field at fault; empty when it is well."""
    if len(text) > MAX_LENGTH or not text.isascii():
        return [f"at most {MAX_LENGTH} ASCII characters"]
    parts = text.split()
    if len(parts) == 1 and parts[0].startswith("@"):
        instead = _MACROS.get(parts[0].lower(), "five fields")
        return [f'"{parts[0]}" is not accepted; write {instead}']
    if len(parts) != len(FIELDS):
        seconds = "; no seconds" if len(parts) == len(FIELDS) + 1 else ""
        return [f"5 fields needed (minute hour day month weekday), got {len(parts)}{seconds}"]
    found, _ = _read(parts)
    return found or _never(parts, cron_values(text))


def cron_values(text: str) -> dict[str, frozenset[int]]:
    """The values that each field of a well-formed expression chooses, by its name; weekday 7 is told as 0."""
    # It takes a twentieth of a second to load, and most commands meet no expression.
    from croniter import croniter  # type: ignore[import-untyped]  # noqa: PLC0415

    _, plain = _read(text.split())
    expanded = croniter.expand(" ".join(plain))[0]
    return {
        field.name: frozenset(range(field.low, field.high + 1) if values == ["*"] else map(int, values))
        for field, values in zip(FIELDS[:4], expanded[:4], strict=True)
    } | {"weekday": frozenset(range(7) if expanded[4] == ["*"] else (int(number) % 7 for number in expanded[4]))}


def _read(parts: list[str]) -> tuple[list[str], list[str]]:
    """Everything wrong with five fields, and the fields in the words that croniter reads as they are meant.

    It takes a range of one value, like `4-4`, for every value.
    """
    found: list[str] = []
    plain: list[str] = []
    for field, part in zip(FIELDS, parts, strict=True):
        items: list[str] = []
        for item in part.split(","):
            try:
                items.append(_plain(_span(field, part, item)))
            except ValueError as error:
                found.append(f"{field.name}: {error}")
        plain.append(",".join(items))
    return found, plain


def _plain(span: range) -> str:
    return str(span[0]) if len(span) == 1 else f"{span[0]}-{span[-1]}/{span.step}"


def _span(field: Field, part: str, item: str) -> range:
    """What one list item spans. Raises ValueError saying what is wrong."""
    if not item:
        raise ValueError(f'empty list item in "{part}"')
    if odd := re.search(r"[?LW#]", re.sub(r"[A-Za-z]{3,}", "", item)):
        raise ValueError(f'character "{odd[0]}" is not accepted')
    span, slash, step_text = item.partition("/")
    step = 1
    if slash:
        if not step_text.isdigit() or not 1 <= int(step_text[:9]) <= field.high:
            raise ValueError(f"step must be 1-{field.high}")
        step = int(step_text)
    if span == "*":
        return range(field.low, field.high + 1, step)
    first_text, dash, last_text = span.partition("-")
    first = _value(field, first_text)
    if not dash:
        if slash:
            raise ValueError(f"a step needs * or a range; write {first}-{field.high}/{step}")
        return range(first, first + 1)
    last = _value(field, last_text)
    if field.name == "weekday" and last_text.lower() == "sun":
        last = 7
    if first > last:
        raise ValueError(f"{span} runs backwards; write {first}-{field.high},{field.low}-{last}")
    return range(first, last + 1, step)


def _value(field: Field, text: str) -> int:
    if text.lower() in field.names:
        return field.names.index(text.lower()) + (1 if field.name == "month" else 0)
    if not text.isdigit():
        raise ValueError(f'"{text}" is no value')
    if len(text) > 4 or not field.low <= int(text) <= field.high:
        raise ValueError(f"{text} is outside {field.low}-{field.high}")
    return int(text)


def _never(parts: list[str], chosen: dict[str, frozenset[int]]) -> list[str]:
    """Whether the days chosen exist in none of the months chosen. A weekday beside them would fire in their stead."""
    day, weekday = parts[2], parts[4]
    if day.startswith("*") or not weekday.startswith("*"):
        return []
    first = min(chosen["day"])
    if any(first <= _LONGEST_MONTH[month] for month in chosen["month"]):
        return []
    return [f"day: no chosen month has day {first}; the job would never fire"]


@value
class Cron(Kind):
    """A cron expression of five fields, its blanks made single."""

    noun = "a cron expression"
    accepts = "5 fields"
    hint = "Write five fields: minute hour day month weekday, like 0 3 * * 1-5"

    def read(self, value: object) -> str:
        if not isinstance(value, str):
            raise self.wrong(value)
        if found := check_cron(value):
            raise Fault(Code.BAD_SCHEDULE, f"{show(value)}: {'; '.join(found)}", self.hint)
        return " ".join(value.split())
