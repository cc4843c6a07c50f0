"""The example file with every key there is, made from the model: `python -m palyra.config.example`.

As it stands it changes nothing. A line beginning with `#` and no blank is a setting; with all of these switched on the
file is sound as well, and shows what belongs together.
"""

import ast
import inspect
import json
import sys
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise

from palyra.config.example_rows import BELOW, HEAD, ROWS, SECTIONS, VALUES
from palyra.config.model import RELOADABLE, LoadedConfig
from palyra.config.section import Section
from palyra.config.shape import Entry, Form, entries
from palyra.config.versions import CURRENT

WIDTH = 120
LEFT_OUT = "Left out"
"""Begins the words on what a key means that is not there; the model's own default is not told then."""


def example_file() -> str:
    """The whole text."""
    lines = [HEAD, f"version = {CURRENT}"]
    told: set[str] = set()
    for name, words in SECTIONS.items():
        entry = entries(LoadedConfig)[name]
        again = " `palyra reload` applies it." if name in RELOADABLE else ""
        lines += ["", f"# {'-' * (WIDTH - 3)}", *_prose(words + again)]
        if entry.form is Form.TABLE and entry.table is not None:
            lines += _table(entry.table, name, told)
        else:
            lines += _rows(name, told)
    return "\n".join(lines) + "\n"


def words_of(table: type[Section]) -> Mapping[str, str]:
    """What a table's source says of each of its fields."""
    return _words_of(table)


@cache
def _words_of(table: type[Section]) -> Mapping[str, str]:
    (made,) = ast.parse(textwrap.dedent(inspect.getsource(table))).body
    assert isinstance(made, ast.ClassDef)
    found: dict[str, str] = {}
    for field, below in pairwise(made.body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            words = ast.literal_eval(below.value)
            found[field.target.id] = " ".join(words.split())
    return found


def _table(table: type[Section], name: str, told: set[str]) -> Iterator[str]:
    """A plain table: each key at its default."""
    yield f"[{name}]"
    below: list[Entry] = []
    for entry in entries(table).values():
        key = f"{name}.{entry.name}"
        if entry.form is not Form.VALUE:
            below.append(entry)
            continue
        default = table.model_fields[entry.attribute].default
        yield from _words(table, entry, key, told, "unset by default" if entry.unset else "")
        assert entry.kind is not None
        yield f"#{entry.name} = {VALUES[key] if entry.unset else toml(entry.kind.spell_in(default, {}))}"
    for entry in below:
        key = f"{name}.{entry.name}"
        yield ""
        if entry.form is Form.NAMED_VALUES:
            yield from _words(table, entry, key, told, "unset by default")
            yield from (f"[{key}]", f"#{VALUES[key]}")
            continue
        yield from _prose(BELOW[key])
        if entry.form is Form.TABLE and entry.table is not None:
            yield from _table(entry.table, key, told)
        else:
            yield from _rows(key, told)


def _rows(name: str, told: set[str]) -> Iterator[str]:
    """Rows and named tables: examples, each key explained where it comes first."""
    for number, (prefix, heading, keys) in enumerate(ROWS[name]):
        table = _table_of(prefix)
        yield from ([""] if number else []) + [f"#{heading}"]
        for entry in entries(table).values():
            if entry.name not in keys:
                continue
            if f"{prefix}.{entry.name}" not in told:
                yield from _words(table, entry, f"{prefix}.{entry.name}", told, _if_left_out(table, entry))
            yield f"#{entry.name} = {keys[entry.name]}"


def _if_left_out(table: type[Section], entry: Entry) -> str:
    if entry.required:
        return "required"
    if entry.unset:
        return "unset by default"
    default = table.model_fields[entry.attribute].default
    assert entry.kind is not None
    return f"default {toml(entry.kind.spell_in(default, {}))}"


def _words(table: type[Section], entry: Entry, key: str, told: set[str], default: str) -> Iterator[str]:
    """What a key is for, what it accepts, and what it is by itself."""
    told.add(key)
    assert entry.kind is not None
    words = words_of(table)[entry.attribute]
    facts = [entry.kind.accepts, *([default] if default and LEFT_OUT not in words else [])]
    yield from _prose(f"{words} ({'; '.join(facts)})")


def _table_of(prefix: str) -> type[Section]:
    table: type[Section] = LoadedConfig
    for part in prefix.split("."):
        found = entries(table)[part].table
        assert found is not None
        table = found
    return table


def _prose(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def toml(value: object) -> str:
    """Plain data as TOML writes it in a line."""
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(name)} = {toml(one)}' for name, one in value.items())} }}"
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    sys.stdout.write(example_file())
