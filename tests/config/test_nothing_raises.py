"""Whatever is in the file and the environment: problems, never a traceback."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from palyra.config.environment import read_environment
from palyra.config.layers import Layer, merge
from palyra.config.load import LoadResult, interpret
from palyra.config.model import LoadedConfig
from palyra.config.problem import Origin
from palyra.config.shape import Form, entries, key_names
from palyra.config.validate import read_tree
from tests.config.key_table import TABLES
from tests.config.loading import FILE
from tests.config.test_lines import quoted, spelled


def judged(result: LoadResult) -> None:
    """Every result is a configuration or problems, and says so in words."""
    assert (result.config is None) == bool(result.problems)
    for problem in (*result.problems, *result.warnings):
        assert problem.message
        assert str(problem)
    for origin in result.origins.values():
        assert str(origin)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    judged(interpret(data, FILE, {}, {}))


@settings(deadline=None)
@given(st.text(st.sampled_from("version=1\n[]{}.,\"'#\\ gatewybindprovsu_0-"), max_size=120))
def test_any_text_like_toml(text: str) -> None:
    judged(interpret(text.encode(), FILE, {}, {}))


SECTIONS = {entry.name: entry for entry in entries(LoadedConfig).values()}
names = st.sampled_from(
    [*sorted({part for key in key_names(LoadedConfig) for part in key.split(".")}), "x", "p", "a.b"]
)
leaves = st.one_of(
    st.integers(-5, 10**6),
    st.booleans(),
    st.sampled_from([Decimal("0.5"), Decimal("NaN"), Decimal("-Infinity"), Decimal("1e-12"), Decimal("1e400")]),
    st.sampled_from(
        ["", "*", "auto", "80%", "5m", "p/u", "UTC", "chat", "flat:1.00", "https://x.example", "global/x", "tag"]
    ),
    st.text(max_size=8),
)
trees = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=5), max_leaves=12
)
shaped = st.fixed_dictionaries(
    {},
    optional={
        name: st.one_of(
            trees,
            st.lists(st.dictionaries(st.sampled_from(sorted(entries(entry.table))), leaves, max_size=6), max_size=3)
            if entry.form is Form.ROWS and entry.table is not None
            else st.dictionaries(names, trees, max_size=4),
        )
        for name, entry in SECTIONS.items()
    },
)


@settings(max_examples=60, deadline=None)
@given(shaped)
def test_any_tree(tree: dict[str, Any]) -> None:
    reading = read_tree(merge((Layer(tree, {}, Origin()),)))
    assert isinstance(reading.config, LoadedConfig)
    assert bool(reading.broken) == bool(reading.problems)


@settings(max_examples=40, deadline=None)
@given(shaped)
def test_any_file_of_known_keys(tree: dict[str, Any]) -> None:
    text = "version = 1\n" + "".join(
        f"{quoted(key)} = {spelled(value, 0)}\n" for key, value in tree.items() if key != "version"
    ).replace("Decimal('NaN')", "nan").replace("Decimal('-Infinity')", "-inf").replace("Decimal('", "").replace(
        "')", ""
    )
    judged(interpret(text.encode("utf-8", "replace"), FILE, {}, {}))


variables = st.sampled_from(
    [f"PALYRA_{key.upper().replace('.', '__')}" for key in key_names(LoadedConfig)]
    + ["PALYRA_PROVIDERS__P__KIND", "PALYRA_PROVIDERS__P_Q__BASE_URL", "PALYRA_X", "PALYRA_X__Y", "PALYRA_"]
)


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(
        variables, st.one_of(st.text(max_size=12), st.sampled_from(["", "1", "[", "a,b", "\udcff"])), max_size=6
    )
)
def test_any_environment(environ: dict[str, str]) -> None:
    judged(interpret(None, None, environ, {}))
    judged(interpret(b"version = 1\n[providers.p-q]\nkind = 'anthropic'\n", FILE, environ, {}))


@settings(deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_any_variable_and_any_flag(name: str, value: str) -> None:
    read_environment({f"PALYRA_{name}": value}, [name])
    judged(interpret(None, None, {f"PALYRA_{name}": value}, {name: value, "gateway.bind": value}))


def test_every_key_of_the_table_at_once() -> None:
    """Hundreds of refused values in one file are all told, none hides another."""
    lines = ["version = 1"]
    expected = 0
    for before, rows in TABLES:
        if before:
            continue
        for section, key, _, _, refused in rows:
            lines.append(f"{section}.{key} = {next(iter(refused.values()))[0]}")
            expected += 1
    result = interpret("\n".join(lines).encode(), Path("palyra.toml"), {}, {})
    assert len(result.problems) == expected
    assert [problem.origin.line for problem in result.problems] == list(range(2, expected + 2))
