"""Instants as tests write them."""

from palyra.core.instants import parse_instant_ms
from palyra.scheduler.schedule import spell_instant


def at(text: str) -> int:
    return parse_instant_ms(text)


def told(slot: int | None) -> str:
    """`2026-03-08T07:00Z`, with seconds only where there are any."""
    return "never" if slot is None else spell_instant(slot).replace(":00.000Z", "Z")
