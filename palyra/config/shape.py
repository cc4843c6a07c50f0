"""What keys exist, read off the models: for the environment, for suggestions and for origins."""

import json
from collections.abc import Iterator, Mapping
from enum import Enum, auto
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from pydantic.fields import FieldInfo

from palyra.config.kinds import Kind
from palyra.config.section import Section
from palyra.core.redact import redact
from palyra.core.values import value

Path = tuple[str | int, ...]


class Form(Enum):
    """What stands under a key."""

    VALUE = auto()
    TABLE = auto()
    ROWS = auto()
    """An array of tables."""
    NAMED_TABLES = auto()
    """A table of tables whose names are free."""
    NAMED_VALUES = auto()
    """A table of values whose names are free."""


@value
class Entry:
    """One key of a table; the model calls it `attribute`. `kind` is set for values, `table` for tables and rows."""

    name: str
    attribute: str
    form: Form
    required: bool
    kind: Kind | None = None
    table: type[Section] | None = None
    unset: bool = False
    """Whether the key may be without a value, so that a blank variable unsets it."""


@cache
def entries(model: type[Section]) -> Mapping[str, Entry]:
    """The keys of a table by the name the file uses, in the order of the model."""
    return {entry.name: entry for entry in (_entry(name, field) for name, field in model.model_fields.items())}


def _entry(attribute: str, field: FieldInfo) -> Entry:
    name = field.validation_alias if isinstance(field.validation_alias, str) else attribute
    required = field.is_required()
    for note in field.metadata:
        if isinstance(note, Kind):
            unset = not required and field.default is None
            return Entry(name, attribute, Form.VALUE, required, kind=note, unset=unset)
    annotation: Any = field.annotation
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return Entry(name, attribute, Form.TABLE, required, table=annotation)
    arguments = get_args(annotation)
    if get_origin(annotation) is tuple:
        return Entry(name, attribute, Form.ROWS, required, table=arguments[0])
    if isinstance(arguments[1], type) and issubclass(arguments[1], Section):
        return Entry(name, attribute, Form.NAMED_TABLES, required, table=arguments[1])
    return Entry(name, attribute, Form.NAMED_VALUES, required, kind=_kind_of(arguments[1]))


def _kind_of(annotation: Any) -> Kind:
    notes = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    return next(note for note in notes if isinstance(note, Kind))


def entry_at(model: type[Section], path: Path) -> Entry | None:
    """The key at a path below a table; None where there is none. Names of free tables match anything."""
    entry: Entry | None = None
    table: type[Section] | None = model
    rest = list(path)
    while rest:
        if table is None:
            return None
        entry = entries(table).get(str(rest.pop(0)))
        if entry is None:
            return None
        table = entry.table
        if entry.form in (Form.ROWS, Form.NAMED_TABLES):
            if not rest:
                return entry
            rest.pop(0)
            if not rest:
                return Entry(entry.name, entry.attribute, Form.TABLE, required=False, table=table)
        elif entry.form is Form.NAMED_VALUES:
            if len(rest) > 1:
                return None
            return Entry(entry.name, entry.attribute, Form.VALUE, required=False, kind=entry.kind) if rest else entry
    return entry


def table_at(model: type[Section], path: Path) -> type[Section] | None:
    """The model of the table at a path; the whole configuration's for the empty path."""
    if not path:
        return model
    entry = entry_at(model, path)
    return entry.table if entry is not None and entry.form is Form.TABLE else None


def key_names(model: type[Section], prefix: str = "") -> Iterator[str]:
    """Every dotted key, as documentation writes them: rows and free names without index or name."""
    for entry in entries(model).values():
        dotted = f"{prefix}{entry.name}"
        if entry.table is None:
            yield dotted
        else:
            yield from key_names(entry.table, f"{dotted}.")


def dotted(path: Path) -> str:
    """`budgets[2].timezone`; a part that is no bare key is quoted."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            bare = part.isascii() and part.replace("_", "").replace("-", "").isalnum()
            text += ("." if text else "") + (part if bare else quoted(part))
    return text


def quoted(part: str) -> str:
    """A key as TOML would quote it, without a credential that stands in it, cut where it is longer than anybody would
    read."""
    part = redact(part)
    shown = part if len(part) <= 60 else f"{part[:60]}…"
    return json.dumps(shown, ensure_ascii=False)
