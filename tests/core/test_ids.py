import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.core.clock import ManualClock
from palyra.core.ids import ALPHABET, IdSource, encode, time_of


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**80 - 1))
def test_an_id_is_26_letters_and_tells_its_time(milliseconds: int, entropy: int) -> None:
    ulid = encode(milliseconds, entropy)
    assert len(ulid) == 26
    assert set(ulid) <= set(ALPHABET)
    assert time_of(ulid) == milliseconds


def test_the_published_example_has_its_published_time() -> None:
    assert time_of("01ARZ3NDEKTSV4RRFFQ69G5FAV") == 1_469_922_850_259


def test_ids_grow_within_a_millisecond_and_when_the_clock_steps_back() -> None:
    clock = ManualClock()
    source = IdSource(clock)
    ids = [source.new() for _ in range(1000)]
    clock.set_wall(clock.now_ms() - 500_000)
    ids += [source.new() for _ in range(1000)]
    assert ids == sorted(set(ids))


def test_what_is_no_ulid_is_refused() -> None:
    with pytest.raises(ValueError, match="no ULID"):
        time_of("01ARZ3")
