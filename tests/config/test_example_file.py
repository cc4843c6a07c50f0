"""The example file: made from the model, sound as it is and with every setting switched on, true about defaults."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from palyra.config.example import LEFT_OUT, example_file, toml, words_of
from palyra.config.example_rows import BELOW, ROWS, SECTIONS, VALUES
from palyra.config.load import LoadResult, interpret
from palyra.config.model import LoadedConfig
from palyra.config.section import Section
from palyra.config.shape import Entry, Form, entries, key_names

EXAMPLE = Path(__file__).parents[2] / "palyra.toml.example"
SWITCH = re.compile(r"(?m)^#(?=[\[a-z\"])")
"""What switches a setting off: a line that begins with `#` and no blank."""


@pytest.fixture(scope="module")
def text() -> str:
    return EXAMPLE.read_text("utf-8")


@pytest.fixture(scope="module")
def switched_on(text: str) -> str:
    return SWITCH.sub("", text)


def loaded(text: str) -> LoadResult:
    return interpret(text.encode(), EXAMPLE, {}, {})


def test_it_is_what_the_model_makes(text: str) -> None:
    told = "make it again: python -m palyra.config.example > palyra.toml.example"
    assert text == example_file(), told


def test_the_command_prints_it(text: str) -> None:
    done = subprocess.run([sys.executable, "-m", "palyra.config.example"], capture_output=True, check=True)
    assert (done.stdout.decode(), done.stderr) == (text, b"")


def test_as_it_is_it_changes_nothing(text: str) -> None:
    result = loaded(text)
    assert (result.problems, result.warnings) == ((), ())
    assert result.config == LoadedConfig()


def test_with_every_setting_switched_on_it_is_sound(switched_on: str) -> None:
    result = loaded(switched_on)
    assert (result.problems, result.warnings) == ((), ())
    assert result.config is not None
    assert (len(result.config.budgets), len(result.config.providers), len(result.config.jobs)) == (3, 6, 3)


def documented(model: type[Section], tree: Any, prefix: str = "") -> Iterator[str]:
    """The dotted keys of a tree; rows and free names left out."""
    for entry in entries(model).values():
        if entry.name not in tree:
            continue
        below, key = tree[entry.name], f"{prefix}{entry.name}"
        if entry.table is None:
            yield key
            continue
        tables = below if entry.form is Form.ROWS else below.values() if entry.form is Form.NAMED_TABLES else [below]
        for table in tables:
            yield from documented(entry.table, table, f"{key}.")


def test_it_shows_every_key_there_is_and_no_other(switched_on: str) -> None:
    assert set(documented(LoadedConfig, tomllib.loads(switched_on))) == set(key_names(LoadedConfig))


def test_every_section_is_there_once() -> None:
    assert set(SECTIONS) == set(LoadedConfig.model_fields) - {"version"}
    rows = {f"{prefix}.{key}" for rows in ROWS.values() for prefix, _, keys in rows for key in keys}
    assert rows | set(VALUES) <= set(key_names(LoadedConfig))
    assert set(BELOW) == {"healing.features", "healing.silent_after", "healing.stalled_after", "notifications.webhook"}


def tables(model: type[Section], prefix: str = "") -> Iterator[tuple[str, type[Section], Entry]]:
    for entry in entries(model).values():
        key = f"{prefix}{entry.name}"
        if entry.table is not None:
            yield from tables(entry.table, f"{key}.")
        elif key != "version":
            yield key, model, entry


KEYS = list(tables(LoadedConfig))


def test_every_key_has_words_of_its_own_its_range_and_its_default(text: str) -> None:
    assert len(KEYS) > 200
    flat = re.sub(r"\n# ", " ", text)
    for key, model, entry in KEYS:
        words = words_of(model)[entry.attribute]
        assert re.fullmatch(r"[A-Za-z].*[.;,]", words), key
        assert entry.kind is not None
        facts = f"{words} ({entry.kind.accepts}"
        assert facts in flat, key
        told = flat.partition(facts)[2].partition("\n")[0]
        if entry.required:
            assert told == "; required)", key
        elif LEFT_OUT in words:
            assert told == ")", key
        elif entry.unset or entry.form is Form.NAMED_VALUES:
            assert told == "; unset by default)", key
        elif told != ")":
            default = model.model_fields[entry.attribute].default
            assert told == f"; default {toml(entry.kind.spell_in(default, {}))})", key


def test_what_it_calls_the_default_is_the_default(text: str) -> None:
    """Each setting of a plain table is switched on alone and changes nothing, unless it is unset by default."""
    section = ""
    checked: set[str] = set()
    for line in text.splitlines():
        if header := re.fullmatch(r"(#?)\[+([a-z_.]+)\]+", line):
            # A table that is itself switched off is an example.
            section = "" if header[1] else header[2]
        elif section and section != "console.keys" and SWITCH.match(line):
            key = f"{section}.{line[1:].partition(' ')[0]}"
            result = loaded(f"version = 1\n[{section}]\n{line[1:]}\n")
            assert key in VALUES or result.config == LoadedConfig(), key
            checked.add(key)
    plain = {key for key, model, _ in KEYS if not any(key.startswith(f"{rows}.") for rows in ROWS)}
    assert checked == plain - {"console.keys"}


def test_amounts_in_it_are_exact(switched_on: str) -> None:
    tree = tomllib.loads(switched_on, parse_float=Decimal)
    config = loaded(switched_on).config
    assert config is not None
    assert config.pricing[0].input == tree["pricing"][0]["input"] * 10**9


def test_every_prose_line_is_told_from_a_setting(text: str) -> None:
    for line in text.splitlines():
        assert len(line) <= 120
        assert not line.startswith("#") or line[1:2] in ("", " ", "[") or "=" in line, line
