"""Pieces of the statements that store rows handed over as `NEW.v1`, `NEW.v2`, … of a view."""

from collections.abc import Iterable

from palyra.journal.tables import NULL, Table


def insert_into(table: Table, first: int = 1) -> str:
    """Inserts a row whose columns are the view's from `first` on."""
    values = ", ".join(new_value(column, name in table.nullable) for column, name in enumerate(table.columns, first))
    return f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({values})"


def new_value(column: int, nullable: bool) -> str:
    """A column's value as a statement sets it."""
    return f"nullif(NEW.v{column}, {NULL})" if nullable else f"NEW.v{column}"


def replaced(columns: Iterable[str]) -> str:
    """The assignments of an upsert."""
    return ", ".join(f"{name} = excluded.{name}" for name in columns)
