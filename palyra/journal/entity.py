"""Rows that are saved whole and are no part of a request's way: jobs, fires, tasks, incidents, notes and their like.

A row is a flat value (`@value`) whose fields are the columns of its table, in order. A field is a text, a whole
number, a truth (kept as 0 or 1), one of these or None, or, where its type is a tuple or a dict, JSON; or bytes, which
no JSON holds, so that readers ask for them in a way of their own. So a new kind of row needs a value, a migration, one
line here in the registry `entities.ENTITIES` and its questions.
"""

from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter
from types import UnionType
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from palyra.core.values import value
from palyra.journal.tables import Table, Values, clean, dumps

Row = TypeVar("Row")


class Entity(Generic[Row]):
    """How the rows of one class lie in a table.

    `key` names the columns that a row is known by; a row that is saved again replaces the stored one where its
    `version` column is greater and changes nothing otherwise. With `version` empty the first one saved stays for good.
    A row that breaks a UNIQUE of the table other than its key's makes the whole unit be refused (UnitRefusedError).
    """

    def __init__(self, row: type[Row], table: str, key: Sequence[str], *, version: str = "version") -> None:
        hints = get_type_hints(row)
        names = [one.name for one in fields(row)]  # type: ignore[arg-type]
        kinds = {name: _Kind(hints[name]) for name in names}
        self.row = row
        self.key = tuple(key)
        self.version = version
        self.table = Table(
            table,
            tuple(names),
            frozenset(name for name in names if kinds[name].json),
            frozenset(name for name in names if kinds[name].nullable),
        )
        self.payloads = {name: _NOTHING[kinds[name].sort] for name in names if kinds[name].json}
        """The columns that hold JSON, each with the empty text of its kind."""
        self._kinds = [kinds[name] for name in names]
        self._values = attrgetter(*names) if len(names) > 1 else lambda row: (getattr(row, names[0]),)
        self._plain = [kind.sort if kind.sort in (int, str) else None for kind in self._kinds]
        """The type whose values are stored as they are, if they are ASCII where they are texts."""

    def saved(self, row: Row) -> "EntitySaved":
        """The change that inserts or replaces a row. Raises TypeError or ValueError for data that is no JSON."""
        stored = [
            given if type(given) is plain and (plain is int or given.isascii()) else kind.store(given)
            for given, kind, plain in zip(self._values(row), self._kinds, self._plain, strict=True)
        ]
        return EntitySaved(self.table.name, tuple(stored))

    def forgotten(self, *key: str | int) -> "EntityForgotten":
        """The change that deletes a row, given the values of its key in order; deleting none is no error."""
        return EntityForgotten(self.table.name, key)

    def read(self, values: Sequence[Any]) -> Row:
        """A row out of the values of its JSON array (`Table.array`)."""
        return self.row(*(kind.load(stored) for kind, stored in zip(self._kinds, values, strict=True)))


@value
class EntitySaved:
    """Inserts or replaces a row of an entity; made by `Entity.saved`."""

    table: str
    values: Values


@value
class EntityForgotten:
    """Deletes a row of an entity; made by `Entity.forgotten`."""

    table: str
    key: tuple[str | int, ...]


_NOTHING = {tuple: "[]", dict: "{}"}


class _Kind:
    """What a field holds, read off its annotation."""

    def __init__(self, hint: Any) -> None:
        union = isinstance(hint, UnionType)
        self.nullable = union and type(None) in get_args(hint)
        plain = [one for one in get_args(hint) if one is not type(None)] if union else [hint]
        if len(plain) != 1:
            raise TypeError(f"a column holds one kind of value, not {hint}")
        self.sort = get_origin(plain[0]) or plain[0]
        self.json = self.sort in (tuple, dict)
        if not self.json and not issubclass(self.sort, (str, int, bytes)):
            raise TypeError(f"{hint} cannot be kept in a column")

    def store(self, given: Any) -> Any:
        if type(given) is str and not self.json:
            return given if given.isascii() else clean(given)
        if given is None:
            if not self.nullable:
                raise TypeError("a column that is never NULL was given None")
            return None
        if self.json:
            # A small text is made sooner than its maker is called.
            return dumps(given) if given else _NOTHING[self.sort]
        if isinstance(given, str):
            return clean(str(given))
        return given if isinstance(given, bytes) else int(given)

    def load(self, stored: Any) -> Any:
        if stored is None or self.sort in (str, int, dict):
            return stored
        if self.sort is tuple:
            return tuple(tuple(item) if isinstance(item, list) else item for item in stored)
        return self.sort(stored)
