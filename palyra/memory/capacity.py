"""Which notes go when there are too many, and when space is given back."""

from collections.abc import Iterable
from typing import Protocol


class Weighed(Protocol):
    """A note, as far as this matters."""

    @property
    def number(self) -> int:
        """Its number in the journal: the lower, the older."""
        ...

    @property
    def bytes(self) -> int:
        """What it weighs."""
        ...


def over_capacity(
    least_used: Iterable[Weighed], *, entries: int, size: int, max_entries: int, max_bytes: int
) -> list[int]:
    """The numbers of the notes that go, taken from those used least recently until the others fit. 0 is no limit."""
    gone: list[int] = []
    for note in least_used:
        if (not max_entries or entries <= max_entries) and (not max_bytes or size <= max_bytes):
            break
        gone.append(note.number)
        entries, size = entries - 1, size - note.bytes
    return gone


def vacuum_due(last: int | None, installed: int, latest: int | None) -> bool:
    """Whether a vacuum is due: the last one, else the installation, lies before the latest instant of its schedule."""
    return latest is not None and (installed if last is None else last) < latest
