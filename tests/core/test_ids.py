from hypothesis import given
from hypothesis import strategies as st

from palyra.core.clock import ManualClock
from palyra.core.ids import ALPHABET, IdSource, encode


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**80 - 1))
def test_an_id_is_26_letters_and_tells_its_time(milliseconds: int, entropy: int) -> None:
    ulid = encode(milliseconds, entropy)
    assert len(ulid) == 26
    assert set(ulid) <= set(ALPHABET)
    value = 0
    for letter in ulid:
        value = value * 32 + ALPHABET.index(letter)
    assert (value >> 80, value & (2**80 - 1)) == (milliseconds, entropy)


def test_the_published_example_has_its_published_time() -> None:
    assert encode(1_469_922_850_259, 0)[:10] == "01ARZ3NDEKTSV4RRFFQ69G5FAV"[:10]


def test_ids_grow_within_a_millisecond_and_when_the_clock_steps_back() -> None:
    clock = ManualClock()
    source = IdSource(clock)
    ids = [source.new() for _ in range(1000)]
    clock.set_wall(clock.now_ms() - 500_000)
    ids += [source.new() for _ in range(1000)]
    assert ids == sorted(set(ids))
