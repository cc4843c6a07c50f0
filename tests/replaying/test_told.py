"""Short histories that a replay once told otherwise, each by itself."""

from tests.governance.policies import CENT, policy
from tests.governance.routed import NOON, usd
from tests.replaying.told import Told

HOUR = 3_600_000


def test_a_stream_cut_where_it_was_is_charged_what_it_was() -> None:
    """A provider may report more than what was held, also of a stream that a budget has ended."""
    told = Told(policy(hard=usd(3 * CENT)))
    assert told.ask(1, NOON, max_tokens=4000) == "ok"
    assert not told.grow(1, NOON + 1, 3000)
    told.end(1, NOON + 2, usd=5 * CENT, tokens=5000)
    assert told.ask(2, NOON + 3, max_tokens=10) == "blocked"
    tally = told.replayed()
    assert (tally.requests, tally.differences, tally.cut_before, tally.cut_after) == (2, 0, 1, 1)
    assert tally.cost_before == tally.cost_after == 5 * CENT


def test_a_clock_set_back_by_a_day_finds_the_hours_it_had() -> None:
    told = Told(policy(hard=usd(3 * CENT), interval_kind="hourly"))
    for hour in range(24):
        assert told.ask(hour, NOON + hour * HOUR) == "ok"
        told.end(hour, NOON + hour * HOUR, usd=3 * CENT, tokens=1)
    assert told.ask(24, NOON) == "blocked"
    assert told.replayed().differences == 0


def test_a_clock_that_was_days_ahead_for_a_moment_finds_the_hours_it_had() -> None:
    told = Told(policy(hard=usd(3 * CENT), interval_kind="hourly"))
    for number, hour in enumerate((0, 1, 2, 3, 4, 5, 6, 80)):
        told.ask(number, NOON + hour * HOUR)
        told.end(number, NOON + hour * HOUR, usd=3 * CENT, tokens=1)
    told.count_again(NOON + 6 * HOUR)
    assert [told.ask(10 + hour, NOON + hour * HOUR) for hour in (6, 1)] == ["blocked", "blocked"]
    assert told.replayed().differences == 0
