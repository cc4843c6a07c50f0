"""Pages go on behind the last thing shown, whatever happened to it and to the others meanwhile."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.control.paging import page
from palyra.core.errors import BadInputError

Item = tuple[int, str]


def place(item: Item) -> tuple[tuple[int, ...], str]:
    return (-item[0],), item[1]


items = st.lists(st.tuples(st.integers(-5, 5), st.text("ABC", min_size=1, max_size=3)), unique=True)


@given(items, st.integers(1, 4))
def test_all_pages_together_show_each_thing_once_in_order(found: list[Item], limit: int) -> None:
    shown: list[Item] = []
    cursor = ""
    while True:
        part, cursor, total = page(found, place, cursor, limit)
        assert total == len(found)
        assert len(part) <= limit
        shown += part
        if not cursor:
            break
    assert shown == sorted(found, key=place)


def test_what_the_last_page_ended_with_may_be_gone() -> None:
    found = [(3, "A"), (2, "B"), (1, "C")]
    first, cursor, _ = page(found, place, "", 2)
    assert first == found[:2]
    rest, following, total = page([(3, "A"), (1, "C")], place, cursor, 2)
    assert (rest, following, total) == ([(1, "C")], "", 2)


@pytest.mark.parametrize("cursor", ["x", "1", "1.", "a.B", "1.2.B", "."])
def test_what_no_page_gave_is_no_cursor(cursor: str) -> None:
    with pytest.raises(BadInputError, match="no cursor"):
        page([(1, "A")], place, cursor, 2)
