"""Instants as people read them."""

from datetime import UTC, datetime


def stamp(at: int) -> str:
    """2026-10-25T01:00:00.000Z"""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def at(text: str) -> int:
    """Unix milliseconds of an instant in UTC."""
    return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)
