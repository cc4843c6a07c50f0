"""Numbers with units as a configuration spells them: durations, sizes, dollars."""

import re
from decimal import Decimal, InvalidOperation

from palyra.config.problem import Code, Fault
from palyra.core.durations import parse_duration_ms
from palyra.core.money import MAX, NANO, ZERO, Usd, decimals_of, parse_usd

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

_DURATION_UNITS = {DAY: "d", HOUR: "h", MINUTE: "m", SECOND: "s", 1: "ms"}
_SIZE = re.compile(r"([0-9]{1,16})(B|KiB|MiB|GiB)")
_SIZE_UNITS = {"B": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB}
_DECIMAL = re.compile(r"-?[0-9]{1,40}(?:\.[0-9]{1,40})?")


def parse_duration(text: str) -> int:
    """`"90s"`, `"1h30m"`, `"1500ms"` in milliseconds. Raises ValueError, also for a number without a unit."""
    if not text.isascii() or text.isdigit() or text != text.strip():
        raise ValueError(text)
    return parse_duration_ms(text)


def spell_duration(milliseconds: int) -> str:
    """Every unit that is not zero, as `parse_duration` reads it back: 5400000 is `1h30m`."""
    parts: list[str] = []
    for unit, name in _DURATION_UNITS.items():
        count, milliseconds = divmod(milliseconds, unit)
        if count:
            parts.append(f"{count}{name}")
    return "".join(parts) or "0s"


def parse_size(text: str) -> int:
    """`"64MiB"` in bytes. Raises ValueError."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return int(match[1]) * _SIZE_UNITS[match[2]]


def spell_size(size: int) -> str:
    """The shortest spelling `parse_size` reads back: 67108864 is `64MiB`."""
    for name, unit in reversed(_SIZE_UNITS.items()):
        if size >= unit and size % unit == 0:
            return f"{size // unit}{name}"
    return f"{size}B"


def toml_float(text: str) -> Decimal:
    """What `tomllib` is to make of a number with a point or exponent: exact. One whose exponent no Decimal can hold is
    no number, which every key refuses in its place."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


def read_decimal(value: object, noun: str = "an amount in US dollars") -> Decimal:
    """An exact number from a TOML number or a string of plain digits. Raises Fault."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return Decimal(value)
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        number = Decimal(value)
        if not number.is_finite():
            raise Fault(Code.OUT_OF_RANGE, f"{noun} must be a finite number", "Write it like 12.50")
        return number
    raise Fault(Code.WRONG_TYPE, f"{noun} was expected", 'Write a number like 12.50, or "12.50"')


def read_usd(value: object) -> Usd:
    """Nano-dollars from a TOML number or string. Raises Fault for anything finer, negative or beyond `MAX`."""
    number = read_decimal(value)
    if not number:
        return ZERO
    if number < 0:
        raise Fault(Code.OUT_OF_RANGE, "an amount cannot be negative", "Write 0 or more")
    if decimals_of(number) > 9:
        raise Fault(
            Code.PRECISION,
            "an amount has at most 9 decimals: the smallest unit is one nano-dollar, 0.000000001",
            "Round it to 9 decimals",
        )
    if number.adjusted() > 9 or number > MAX // NANO:
        raise Fault(Code.OUT_OF_RANGE, f"an amount can be at most {MAX // NANO}", "Write a smaller amount")
    return parse_usd(number)
