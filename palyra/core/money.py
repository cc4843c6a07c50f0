"""Money is an int of nano-dollars (1 USD = 1,000,000,000); text only at the edges, floats never."""

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation, localcontext
from typing import NewType

Usd = NewType("Usd", int)
"""An amount in nano-dollars."""

NANO = 1_000_000_000
ZERO = Usd(0)
MAX = Usd(9_000_000_000 * NANO)
"""Nine thousand million dollars: keeps every sum well inside a 64-bit integer."""


def parse_usd(value: str | int | Decimal) -> Usd:
    """`"1.50"`, `2` or a Decimal as nano-dollars.

    Raises ValueError for what is no number, negative, finer than a nano-dollar or larger than `MAX`.
    """
    try:
        amount = Decimal(value.strip().removeprefix("$").replace("_", "")) if isinstance(value, str) else Decimal(value)
    except InvalidOperation:
        raise ValueError(f"{value!r} is no amount in US dollars; write it like 12.50") from None
    if not amount.is_finite():
        raise ValueError("an amount must be a finite number")
    if amount < 0:
        raise ValueError("an amount cannot be negative")
    if not amount:
        return ZERO
    # Size and decimals are asked of the digits: arithmetic would round, or overflow, before it could be refused.
    if amount.adjusted() > 9 or amount > MAX // NANO:
        raise ValueError("an amount can be at most 9000000000 dollars")
    if decimals_of(amount) > 9:
        raise ValueError("an amount has at most 9 decimals: the smallest unit is one nano-dollar")
    with localcontext(prec=60):
        return Usd(int(amount * NANO))


def decimals_of(number: Decimal) -> int:
    """Decimals of a finite number without its trailing zeros; nothing is rounded, whatever its size."""
    _, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int) or not any(digits):
        return 0
    trailing = len(digits) - max(place for place, digit in enumerate(digits, start=1) if digit)
    return max(0, -(exponent + trailing))


def decimal_usd(amount: int) -> str:
    """Every nano-dollar, without a sign of currency, at least two decimals: `0.00045`, `12.50`."""
    sign = "-" if amount < 0 else ""
    whole, nano = divmod(abs(amount), NANO)
    decimals = f"{nano:09d}".rstrip("0").ljust(2, "0")
    return f"{sign}{whole}.{decimals}"


def format_usd(amount: int) -> str:
    """Every nano-dollar, for details: `$0.00045`, `$1,234.50`."""
    sign = "-" if amount < 0 else ""
    whole, nano = divmod(abs(amount), NANO)
    decimals = f"{nano:09d}".rstrip("0").ljust(2, "0")
    return f"{sign}${whole:,}.{decimals}"


def format_usd_short(amount: int) -> str:
    """Four significant digits and at least cents, for lists: `$0.0004500` never shows as `$0.00`."""
    sign = "-" if amount < 0 else ""
    size = abs(amount)
    if size == 0:
        return "$0.00"
    value = Decimal(size) / NANO
    if value >= 10:
        return f"{sign}${value.quantize(Decimal('0.01'), ROUND_HALF_EVEN):,}"
    decimals = min(9, max(2, 3 - value.adjusted()))
    text = f"{value.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN):f}"
    head, _, tail = text.partition(".")
    return f"{sign}${head}.{tail.rstrip('0').ljust(2, '0')}"
