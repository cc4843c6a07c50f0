"""Where a page goes on: behind the last thing that was shown, wherever that stands by then, and if it is gone too."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from palyra.core.errors import BadInputError

T = TypeVar("T")
Place = tuple[tuple[int, ...], str]
"""What a list is ordered by: numbers, then an id without dots."""


def page(items: Iterable[T], place: Callable[[T], Place], cursor: str, limit: int) -> tuple[list[T], str, int]:
    """At most `limit` items in order behind the place of a cursor (empty: from the start), the next page's cursor, and
    how many items there are in all. Raises BadInputError for a cursor that no page gave."""
    ordered = sorted(items, key=place)
    behind = _read(cursor, ordered, place) if cursor else None
    after = ordered if behind is None else [item for item in ordered if place(item) > behind]
    shown = after[:limit]
    return shown, _written(place(shown[-1])) if len(shown) < len(after) else "", len(ordered)


def _written(place: Place) -> str:
    numbers, identity = place
    return ".".join([*map(str, numbers), identity])


def _read(cursor: str, ordered: list[T], place: Callable[[T], Place]) -> Place:
    *numbers, identity = cursor.split(".")
    try:
        found = tuple(map(int, numbers)), identity
    except ValueError:
        found = (), ""
    if not identity or (ordered and len(found[0]) != len(place(ordered[0])[0])):
        raise BadInputError(f"{cursor[:64]!r} is no cursor of such a page.", fix="Start again without one.")
    return found
