"""What the engine writes about itself reads back as it was, however it is encoded."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from palyra.journal.tables import dumps, own_json

TEXTS = st.text(st.characters(exclude_categories=[]))
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
DATA = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=20)


@given(DATA)
def test_it_says_the_same_in_ascii(data: Any) -> None:
    text = own_json(data)
    assert text.isascii()
    assert json.loads(text) == json.loads(dumps(data)) == data


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | TEXTS, lambda inner: st.lists(inner) | st.tuples(inner))
)
@example("\x7f")
def test_without_fractions_it_is_the_same_to_the_byte(data: Any) -> None:
    assert own_json(data) == dumps(data)


@pytest.mark.parametrize("data", [object(), {1, 2}, [b"x"]])
def test_what_is_no_json_is_refused(data: Any) -> None:
    with pytest.raises(TypeError):
        own_json(data)
