"""Short histories that a replay once told otherwise, each by itself."""

import pytest

from palyra.governance.replay_trial import Trial
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


@pytest.mark.parametrize("interval", ["hourly", "monthly", "rolling_24h", "rolling_30d", "lifetime"])
@pytest.mark.parametrize(("corrected", "then"), [(CENT, "ok"), (3 * CENT, "blocked")])
def test_requests_after_a_correction_are_decided_by_it(interval: str, corrected: int, then: str) -> None:
    told = Told(policy(hard=usd(3 * CENT), soft_limit="100%", interval_kind=interval))
    assert told.ask(1, NOON) == "ok"
    told.end(1, NOON + 1, usd=2 * CENT, tokens=9)
    assert told.ask(2, NOON + 2, max_tokens=1000) == "ok"
    told.end(2, NOON + 3, usd=CENT, tokens=9)
    told.correct(1, NOON + 4, usd=corrected, tokens=7)
    assert told.ask(3, NOON + 5, max_tokens=1000) == then
    tally = told.replayed()
    assert (tally.requests, tally.differences) == (3, 0)
    assert tally.cost_before == tally.cost_after == corrected + CENT


def test_a_correction_of_long_ago_moves_no_window_of_today() -> None:
    told = Told(policy(hard=usd(3 * CENT), soft_limit="100%"))
    assert told.ask(1, NOON) == "ok"
    told.end(1, NOON + 1, usd=CENT, tokens=9)
    told.correct(1, NOON + 24 * HOUR, usd=3 * CENT, tokens=9)
    assert told.ask(2, NOON + 24 * HOUR, max_tokens=3000) == "ok"
    assert told.replayed().differences == 0


def test_what_was_never_charged_is_not_corrected() -> None:
    told = Told(policy(hard=usd(3 * CENT)))
    assert told.ask(1, NOON) == "ok"
    told.end(1, NOON + 1, usd=CENT, tokens=9)
    told.correct(1, NOON + 2, usd=2 * CENT, tokens=9)
    tally = told.replayed(Trial((policy("none", hard="0"),)))
    assert (tally.denied_after, tally.cost_before, tally.cost_after) == (1, 2 * CENT, 0)
