"""Amounts, times and sizes as an operator reads them: short, aligned, and never rounded to nothing."""

from datetime import UTC, datetime, tzinfo
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache

from palyra.core.money import NANO, format_usd, format_usd_short
from palyra.core.windows import load_zone

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NONE = "–"
"""Shown where there is no value, so that a blank never has to be guessed at."""


def money(amount: int | None) -> str:
    """Nano-dollars with cents; amounts under a dollar keep four significant digits: `$19.02`, `$0.01601`, `–`."""
    if amount is None:
        return NONE
    if amount == 0:
        return "$0.00"
    if abs(amount) >= NANO:
        cents = (Decimal(amount) / NANO).quantize(Decimal("0.01"), ROUND_HALF_EVEN)
        return f"-${-cents:,}" if cents < 0 else f"${cents:,}"
    return format_usd_short(amount)


def steady_money(amount: int) -> str:
    """Nano-dollars with cents, under a dollar with four decimals, so that a growing amount moves nothing beside it."""
    if NANO // 100 <= amount < NANO:
        return f"${(Decimal(amount) / NANO).quantize(Decimal('0.0001'), ROUND_HALF_EVEN)}"
    return money(amount)


def exact_money(amount: int | None) -> str:
    """Nano-dollars to the last one: `$0.000450001`."""
    return NONE if amount is None else format_usd(amount)


def run_money(amount: int | None) -> str:
    """Nano-dollars with four decimals, as single runs cost; smaller ones say so: `$0.0312`, `<$0.0001`."""
    if amount is None:
        return NONE
    if 0 < amount < NANO // 10_000:
        return "<$0.0001"
    return f"${(Decimal(amount) / NANO).quantize(Decimal('0.0001'), ROUND_HALF_EVEN):,}"


def count(number: int) -> str:
    """Thousands apart: `3,102`."""
    return f"{number:,}"


def tokens(number: int) -> str:
    """Tokens with three digits and their unit: `912`, `4.60 k`, `8.41 M`."""
    if number < 10_000:
        return f"{number:,}"
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if number >= size or (unit == "k"):
            value = number / size
            return f"{value:.2f} {unit}" if value < 100 else f"{value:.0f} {unit}"
    raise AssertionError("unreachable: thousands catch everything")


def size(octets: int) -> str:
    """Bytes: `812 B`, `18.4 kB`, `1.2 MB`, `53.7 GB`."""
    if octets < 1_000:
        return f"{octets} B"
    if octets < 1_000_000:
        return f"{octets / 1_000:.1f} kB"
    if octets < 1_000_000_000:
        return f"{octets / 1_000_000:.1f} MB"
    return f"{octets / 1_000_000_000:.1f} GB"


def quantity(metric: str, amount: int | None) -> str:
    """An amount of a budget in its metric's unit: nano-dollars, tokens or requests."""
    if amount is None:
        return NONE
    if metric == "estimated_cost_usd":
        return money(amount)
    if metric == "total_tokens":
        return f"{tokens(amount)} tok"
    return f"{amount:,} req"


def brief(metric: str, amount: int | None) -> str:
    """An amount of a budget in at most eight cells, without its unit's word, for a column: `$0.0135`, `$1,235`, `–`.

    Dollars have at most four decimals, and none from a thousand on.
    """
    if amount is None:
        return NONE
    if metric != "estimated_cost_usd":
        return tokens(amount) if metric == "total_tokens" or amount >= 1_000_000 else f"{amount:,}"
    if 0 < amount < NANO // 10_000:
        return "<$0.0001"
    dollars = Decimal(amount) / NANO
    if dollars >= 999_999:
        millions = dollars / 1_000_000
        return f"${millions:.2f} M" if millions < 99 else f"${millions:,.0f} M"
    if dollars >= 1_000:
        return f"${dollars:,.0f}"
    if dollars >= 1:
        return f"${dollars:.2f}"
    return f"${dollars:.4f}".removesuffix("00")


def percent(ratio: float) -> str:
    """A share of one: `92 %`, `<1 %`."""
    if 0 < ratio < 0.01:
        return "<1 %"
    return f"{min(ratio, 99.99) * 100:.0f} %"


def latency(milliseconds: int) -> str:
    """How long an answer took: `840 ms`, `1.9 s`."""
    if milliseconds < 1_000:
        return f"{milliseconds} ms"
    return f"{milliseconds / 1_000:.1f} s"


def stopwatch(milliseconds: int) -> str:
    """A running clock: `0:41`, `11:50`, `1:02:09`, `3 d`."""
    seconds = max(0, milliseconds) // SECOND
    if seconds >= 100 * 3_600:
        return f"{seconds // 86_400} d"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def age(milliseconds: int) -> str:
    """How old something is, in six cells: a running clock within the hour, then its largest unit: `0:41`, `3 h`."""
    return stopwatch(milliseconds) if milliseconds < HOUR else span(milliseconds)


def span(milliseconds: int) -> str:
    """A length of time in its largest whole unit: `45 s`, `12 min`, `13 h`, `9 d`."""
    if milliseconds < MINUTE:
        return f"{max(0, milliseconds) // SECOND} s"
    if milliseconds < 100 * MINUTE:
        return f"{milliseconds // MINUTE} min"
    if milliseconds < 48 * HOUR:
        return f"{milliseconds // HOUR} h"
    return f"{milliseconds // DAY} d"


@lru_cache(maxsize=64)
def zone(name: str) -> tzinfo:
    """An IANA zone; UTC where the name is none (the engine checks names, the screen must only not fall over)."""
    try:
        return load_zone(name)
    except ValueError:
        return UTC


def local(at: int, zone_name: str) -> datetime:
    """UTC unix ms as local time of a zone."""
    return datetime.fromtimestamp(at / 1_000, UTC).astimezone(zone(zone_name))


def clock(at: int, zone_name: str) -> str:
    """Time of day with its zone: `10:42Z`, `11:42 CET`."""
    moment = local(at, zone_name)
    mark = moment.strftime("%Z")
    return f"{moment:%H:%M}Z" if mark in ("UTC", "Z") else f"{moment:%H:%M} {mark}"


def moment(at: int | None, zone_name: str, now: int) -> str:
    """A moment as near as it needs to be told: `10:42:07` today, `Thu 09:14` within a week, else `2026-11-02`."""
    if at is None:
        return NONE
    then, today = local(at, zone_name), local(now, zone_name)
    if then.date() == today.date():
        return f"{then:%H:%M:%S}"
    if abs((today.date() - then.date()).days) < 7:
        return f"{then:%a %H:%M}"
    return f"{then:%Y-%m-%d}"


def renewal(end: int | None, zone_name: str, now: int) -> str:
    """When a budget's window ends: `00:00 (13 h)` within a day, `12-01 (9 d)` later, `never`."""
    if end is None:
        return "never"
    then = local(end, zone_name)
    day = f"{then:%H:%M}" if end - now <= DAY else f"{then:%m-%d}"
    return f"{day} ({span(end - now)})"


def instant(at: int, zone_name: str, now: int) -> str:
    """A moment to come with the time until it: `10:00 (15 min)`; from a day on with its date: `12-01 00:00 (9 d)`."""
    then = local(at, zone_name)
    return f"{then:%H:%M} ({span(at - now)})" if at - now < DAY else f"{then:%m-%d %H:%M} ({span(at - now)})"


def short_id(identifier: str) -> str:
    """The part of an id that tells it from its neighbours: `01K3…7F2Q`."""
    return identifier if len(identifier) <= 10 else f"{identifier[:4]}…{identifier[-4:]}"


def short_model(model: str) -> str:
    """A model without its provider, as lists show it: `openai/gpt-5.4` is `gpt-5.4`."""
    return model.rpartition("/")[2] or model
