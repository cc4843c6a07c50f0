"""Whatever a document looks like, setting one key of it leaves every comment and every other line as it was."""

import tomllib
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from palyra.config.amounts import toml_float
from palyra.config.migrating import migrated
from palyra.config.rewrite import same_data, with_value
from tests.config.test_lines import quoted

NAMES = st.sampled_from(["chat", "x", "a.b", "ü", "key with spaces", "defaults", "embeddings"])
COMMENTS = st.sampled_from(["", "  # why", "\t# ünïcode", " #", "# = [x]"])
VALUES = st.one_of(
    st.integers(-5, 10**20).map(str),
    st.sampled_from(
        [
            "1.50",
            "1e999999999999999999999",
            "nan",
            "0xFF",
            "1_000",
            "true",
            "2026-11-22T23:00:00.123456789+01:00",
            "07:32:00",
            "'lit\"eral'",
            '"""\nmany\n  # no comment\nlines"""',
            "'''\nraw \\ ]\n'''",
            "[1, 2, # inside\n  3,\n]",
            "[]",
            "[{a = 1}, {a = [ ]}]",
            '{ b.c = 1, d = "}" }',
            "{}",
        ]
    ),
    st.text(max_size=5).map(quoted),
)
PAIRS = st.tuples(NAMES, VALUES, COMMENTS).map(lambda one: f"{quoted(one[0])} = {one[1]}{one[2]}")
NOTES = st.sampled_from(["", "# a note", "   ", "\t# [defaults]", "#"])
BODY = st.lists(PAIRS | NOTES, max_size=4)
HEADS = st.sampled_from(
    [
        "[defaults]",
        "[ defaults ]",
        "['defaults']",
        "[x]",
        "[x.y]",
        "[[rows]]",
        "[[rows.inner]]",
        "[rows.z]",
        "[defaults.below]",
    ]
)
TABLES = st.tuples(HEADS, COMMENTS, BODY).map(lambda one: [f"{one[0]}{one[1]}", *one[2]])
DOCUMENTS = st.tuples(
    BODY, st.lists(TABLES, max_size=4), st.sampled_from(["\n", "\r\n"]), st.sampled_from(["", "end"])
).map(lambda one: one[2].join([*one[0], *(row for table in one[1] for row in table)]) + (one[2] if one[3] else ""))


def sound(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text, parse_float=toml_float)
    except (ValueError, RecursionError):
        return None


def lost(before: list[str], after: list[str]) -> list[str]:
    """The lines of `before` that are not in `after`, in their order."""
    found, at = [], 0
    for row in before:
        try:
            at = after.index(row, at) + 1
        except ValueError:
            found.append(row)
    return found


@settings(deadline=None, max_examples=80)
@given(DOCUMENTS)
@example('[defaults]\n"chat" = 1 # why')
@example("[x]\n[defaults.below]  # why\n[[rows]]\n")
@example("[[rows]]\n[defaults]\n[[rows]]\n[x]")
@example("defaults.x = 1 # why\r\nb = 2\r\n[[rows]]\r\n")
@example("defaults = {} # why")
def test_one_key_is_set_and_every_other_line_stays(text: str) -> None:
    expected = sound(text)
    if expected is None or not isinstance(expected.setdefault("defaults", {}), dict):
        return
    old = expected["defaults"].get("chat")
    expected["defaults"]["chat"] = "own/model"
    after = with_value(text.encode(), "defaults", "chat", "own/model").decode()
    assert same_data(sound(after), expected)
    if isinstance(old, list | dict) or (isinstance(old, str) and "\n" in old):
        # What took several lines takes one now.
        return
    gone = lost(text.splitlines(), after.splitlines())
    assert len(gone) <= 1
    # Written in one line, the table's line is that of the key.
    assert all("chat" in row or row.startswith(("defaults", '"defaults"')) for row in gone), after
    assert all(after.count(note) == text.count(note) for note in ("# why", "# ünïcode", "# a note", "# [defaults]"))


@settings(deadline=None, max_examples=80)
@given(DOCUMENTS)
def test_a_file_without_version_keeps_every_byte_when_it_gets_one(text: str) -> None:
    before = sound(text)
    if before is None:
        return
    after = migrated(text.encode()).data.decode()
    assert after.endswith(text)
    assert same_data(sound(after), {"version": 1, **before})
