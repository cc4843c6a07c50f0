"""Files that nobody should write as `palyra.toml`: every problem has a line, a key and a way out, and nothing is told
that is secret."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palyra.config.example import example_file
from palyra.config.load import LoadResult, interpret
from palyra.core.redact import redact
from tests.attacks.corpus import AFTER_VERSION, ODD_BUT_SOUND, SECRET, WHOLE
from tests.attacks.depth import attacks
from tests.config.loading import FILE

LONGEST_TOLD = 2_000
"""Characters of a problem as it is told: a screen full."""
FILES = {
    **{
        f"{number} {text[:30]!r}": (f"version = 1\n{text}".encode(), line)
        for number, (text, line) in enumerate(AFTER_VERSION)
    },
    **WHOLE,
}


def told_well(result: LoadResult, data: bytes) -> None:
    """A configuration or problems, and each problem with where, what, and what to do."""
    assert (result.config is None) == bool(result.problems)
    lines = data.count(b"\n") + 1
    for problem in result.problems:
        text = str(problem)
        assert problem.message
        assert problem.fix or problem.suggestions, text
        assert 0 <= problem.origin.line <= lines, text
        assert len(text) <= LONGEST_TOLD, len(text)
        assert SECRET not in redact(text), text


def test_there_are_many() -> None:
    assert len(FILES) >= 150


@pytest.mark.parametrize("name", FILES)
def test_what_is_wrong_is_told_on_its_line(name: str) -> None:
    data, line = FILES[name]
    result = interpret(data, FILE, {}, {})
    told_well(result, data)
    assert result.problems, name
    assert result.problems[0].origin.line == line, result.problems[0]


@pytest.mark.parametrize("data", ODD_BUT_SOUND)
def test_what_is_only_odd_is_taken(data: bytes) -> None:
    result = interpret(data, FILE, {}, {})
    assert result.problems == ()


EXAMPLE = example_file().encode()
NOISE = st.sampled_from(
    (b"\n", b"'", b'"', b"[", b"]", b"=", b"#", b".", b"{", b",", b"\\", b"\0", b"\xff", b"9", b"-", b"e")
)


@attacks(30)
def test_the_example_with_anything_done_to_it_is_read_or_refused_with_reasons(depth: settings) -> None:
    @depth
    @given(st.lists(st.tuples(st.integers(0, len(EXAMPLE)), st.integers(0, 40), NOISE), min_size=1, max_size=4))
    def play(edits: list[tuple[int, int, bytes]]) -> None:
        data = EXAMPLE
        for at, gone, noise in edits:
            data = data[:at] + noise + data[at + gone :]
        told_well(interpret(data, FILE, {}, {}), data)

    play()
