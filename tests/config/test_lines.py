"""Where keys stand: the scan finds the same keys as the reader, each on its line."""

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palyra.config.lines import Path, TooDeepError, lines_of


def paths(tree: Any, path: Path = ()) -> set[Path]:
    """Every path of a tree, tables and list entries included."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    found: set[Path] = set()
    for name, value in items:
        found |= {(*path, name)} | paths(value, (*path, name))
    return found


DOCUMENT = '''# comment with = and [brackets]
title = "a # no comment" # comment
'quoted key' = 1
"es\\"caped\\u00e9" = 2
a.b . "c.d" = 3
date = 1979-05-27 07:32:00
other = 1979-05-27T07:32:00.5-08:00
text = """
 = not a key
[not a table]
\\"""still""" # end
literal = \'\'\'
x = 1 ''
\'\'\'\'
list = [
  1, # one
  [2, 3],
  { x = 1, y = "}" },
  "]",
]
empty = []
nothing = {}
inline = { a.b = 1, c = [ { d = 2 } ] }

[table]
key = 1
[table.sub]
key = -inf
[[rows]]
name = "first"
[rows.extra]
deep = true
[[rows.inner]]
n = 1
[[rows.inner]]
n = 2
[[rows]]
name = "second"
[[rows.inner]]
n = 3
[ spaced . "out" ]
key=1e5
'''


def test_every_key_of_a_document_is_found() -> None:
    assert set(lines_of(DOCUMENT)) == paths(tomllib.loads(DOCUMENT))


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("title",), 2),
        (('es"capedé',), 4),
        (("a", "b", "c.d"), 5),
        (("text",), 8),
        (("literal",), 12),
        (("list", 1, 0), 17),
        (("list", 2, "y"), 18),
        (("inline", "c", 0, "d"), 23),
        (("table",), 25),
        (("table", "sub", "key"), 28),
        (("rows",), 29),
        (("rows", 0, "inner", 1, "n"), 36),
        (("rows", 1), 37),
        (("rows", 1, "inner", 0, "n"), 40),
        (("spaced", "out", "key"), 42),
    ],
)
def test_each_key_stands_on_its_line(path: Path, line: int) -> None:
    assert lines_of(DOCUMENT)[path] == line


def test_depth_counts_keys_and_list_entries() -> None:
    deep = "x = " + "[" * 15 + "1" + "]" * 15
    assert len(max(lines_of(deep), key=len)) == 16
    with pytest.raises(TooDeepError) as raised:
        lines_of(f"\n\nx = [{'[' * 15}1{']' * 15}]")
    assert raised.value.line == 3


bare = st.text("abcXYZ019-_", min_size=1, max_size=4)
keys = st.one_of(bare, st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=4))
scalars = st.one_of(
    st.integers(-(2**40), 2**40),
    st.booleans(),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=8
)
tables = st.dictionaries(keys, values, max_size=4)
documents = st.dictionaries(keys, st.one_of(values, tables, st.lists(tables, min_size=1, max_size=3)), max_size=4)


def spelled(value: Any, style: int) -> str:
    """A value in TOML, strings in one of the four ways where they can be."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        if style == 1 and "'" not in value and all(char >= " " and char != "\x7f" for char in value):
            return f"'{value}'"
        if (
            style == 2
            and "'''" not in value
            and not value.endswith("'")
            and all(" " <= char != "\x7f" for char in value)
        ):
            return f"'''\n{value}'''"
        escaped = "".join(char if char >= " " and char not in '"\\\x7f' else f"\\u{ord(char):04x}" for char in value)
        return f'"""\n{escaped}"""' if style == 3 else f'"{escaped}"'
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{quoted(key)} = {spelled(inner, style)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return "[\n" + "".join(f"  {spelled(inner, style)}, # entry\n" for inner in value) + "]"
    return repr(value)


def quoted(key: str) -> str:
    return key if key and all(char.isascii() and (char.isalnum() or char in "-_") for char in key) else spelled(key, 0)


@settings(deadline=None)
@given(documents, st.integers(0, 3))
def test_the_scan_and_the_reader_agree(tree: dict[str, Any], style: int) -> None:
    text = "".join(f"{quoted(key)} = {spelled(value, style)}\n" for key, value in tree.items())
    assert tomllib.loads(text) == tree
    lines = lines_of(text)
    assert set(lines) == paths(tree)
    starts = text.split("\n")
    for key in tree:
        assert starts[lines[(key,)] - 1].startswith(f"{quoted(key)} = ")


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.lists(st.sampled_from("xyz"), unique=True)), max_size=6))
def test_rows_are_counted_as_the_reader_counts_them(rows: list[tuple[str, list[str]]]) -> None:
    text = "".join(f"[[{name}]]\n" + "".join(f"{key} = 1\n" for key in keys_of) for name, keys_of in rows)
    assert set(lines_of(text)) == paths(tomllib.loads(text))


@settings(deadline=None)
@given(st.text(st.sampled_from("ab.=[]{}\"'#\\\n, 1-"), max_size=60))
def test_any_text_is_scanned_to_an_end(text: str) -> None:
    lines = lines_of(text)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())
    try:
        tree = tomllib.loads(text)
    except ValueError:
        return
    assert set(lines) == paths(tree)
