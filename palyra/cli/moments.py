"""Instants as options name them: one that is told, one so far ahead, or one so long ago. UTC unix ms."""

from contextlib import suppress

from palyra.core.clock import SystemClock
from palyra.core.durations import parse_duration_ms
from palyra.core.errors import BadInputError
from palyra.core.instants import LATEST_MS, parse_instant_ms


def moment_at(text: str | None) -> int | None:
    """The instant given as --at. Raises BadInputError."""
    try:
        return None if text is None else parse_instant_ms(text)
    except ValueError as error:
        raise BadInputError(f"--at: {error}.") from None


def moment_ahead(option: str, text: str | None) -> int | None:
    """An instant, or one so far ahead of now (`30m`). Raises BadInputError, also for what lies after the year 9999."""
    if text is None:
        return None
    with suppress(ValueError):
        return after(option, text)
    try:
        return parse_instant_ms(text)
    except ValueError as error:
        raise BadInputError(f"{option}: {error}.", fix="Give a time like 2026-12-24T18:00:00Z, or 30m.") from None


def after(option: str, span: str) -> int:
    """The instant a span of time (`30m`) from now. Raises ValueError for what is none, and BadInputError for one that
    ends after the year 9999."""
    ahead = SystemClock().now_ms() + parse_duration_ms(span)
    if ahead > LATEST_MS:
        raise BadInputError(f"{option}: {span[:64]!r} from now is after the year 9999.", fix="Choose a shorter span.")
    return ahead


def moment_back(option: str, text: str, before: int) -> int:
    """An instant, or so long (`24h`) before `before`; what began before 1970 began then. Raises BadInputError."""
    try:
        return max(0, before - parse_duration_ms(text))
    except ValueError as no_length:
        if not text[:4].isdecimal() or "-" not in text:
            raise BadInputError(f"{option}: {no_length}.") from None
    try:
        return parse_instant_ms(text)
    except ValueError as no_instant:
        raise BadInputError(f"{option}: {no_instant}.") from None


def moment_since(text: str | None) -> int | None:
    """The instant given as --since: told, or so long ago. Raises BadInputError."""
    return None if text is None else moment_back("--since", text, SystemClock().now_ms())
