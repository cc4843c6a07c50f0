"""Spans of time as people write them: `90s`, `1h30m`, `250ms`, `7d`."""

import re

_PART = re.compile(r"(\d+)(ms|s|m|h|d)")
_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def parse_duration_ms(text: str) -> int:
    """`1h30m` as milliseconds; a bare number is seconds. Raises ValueError saying how to write one."""
    stripped = text.strip()
    if stripped.isascii() and stripped.isdigit():
        return int(stripped) * 1000
    parts = _PART.findall(stripped)
    if not parts or "".join(number + unit for number, unit in parts) != stripped:
        raise ValueError(f"{text!r} is no duration; write it like 90s, 15m, 1h30m or 7d")
    return sum(int(number) * _UNITS_MS[unit] for number, unit in parts)


def format_duration(milliseconds: int) -> str:
    """The two largest units: `4m12s`, `13h05m`, `3d4h`, `0.8s` under a second."""
    if milliseconds < 1000:
        return f"{max(0, milliseconds) / 1000:.1f}s"
    seconds = milliseconds // 1000
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    if seconds < 86_400:
        return f"{seconds // 3600}h{seconds % 3600 // 60:02d}m"
    return f"{seconds // 86_400}d{seconds % 86_400 // 3600}h"
