"""Counts of the last minutes, which go by themselves."""

from palyra.core.clock import ManualClock
from palyra.core.rolling import Rolling


def test_what_is_older_than_the_window_counts_no_more() -> None:
    clock = ManualClock()
    rolling = Rolling(clock, 300)
    assert rolling.counts() == {}
    for second in range(0, 600, 100):
        rolling.add("a" if second < 300 else "b")
        clock.tick(100)
    # 600 s have passed; what was counted at 300 s is just within them.
    assert rolling.counts() == {"b": 3}
    clock.tick(301)
    assert rolling.counts() == {}


def test_many_at_once_share_a_slot_and_are_all_counted() -> None:
    clock = ManualClock()
    rolling = Rolling(clock, 60)
    for _ in range(1_000):
        rolling.add("x")
        clock.tick(0.001)
    assert rolling.counts()["x"] == 1_000
