"""Instants as people write them in commands: RFC 3339 with an offset, or a date meaning its UTC midnight."""

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:[Zz]|[+-]\d{2}:\d{2})", re.ASCII)
_FRACTION = re.compile(r"\.(\d{1,6})\d*")
LATEST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""


def parse_instant_ms(text: str) -> int:
    """`2026-11-22T12:00:00Z` or `2026-11-22` as UTC unix ms. Raises ValueError saying how to write one."""
    stripped = text.strip()
    if _DATE.fullmatch(stripped):
        stripped += "T00:00:00Z"
    try:
        if not _INSTANT.fullmatch(stripped):
            raise ValueError
        # Six decimals are all that is understood; what is finer than a millisecond makes no difference.
        plain = _FRACTION.sub(lambda found: f".{found[1]:0<6}", stripped.upper())
        moment = (datetime.fromisoformat(plain) - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{text[:64]!r} is no instant; write it like 2026-11-22T12:00:00Z, or a UTC date like 2026-11-22"
        ) from None
    if not 0 <= moment <= LATEST_MS:
        raise ValueError(f"{text[:64]!r} is outside the years 1970 to 9999")
    return moment


def spell_exactly(at: int) -> str:
    """UTC unix ms as `2026-11-22T12:00:00.000Z`, as other programs read it."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
