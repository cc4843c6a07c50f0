"""Instants as tests write them."""

from palyra.core.instants import parse_instant_ms, spell_exactly


def at(text: str) -> int:
    return parse_instant_ms(text)


def told(slot: int | None) -> str:
    """`2026-03-08T07:00Z`, with seconds only where there are any."""
    return "never" if slot is None else spell_exactly(slot).replace(":00.000Z", "Z")
