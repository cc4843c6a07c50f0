"""Instants as options name them: ahead for what is to come, back for what has been."""

import pytest

from palyra.cli.moments import moment_ahead, moment_at, moment_back, moment_since
from palyra.core.clock import SystemClock
from palyra.core.errors import BadInputError
from palyra.core.instants import LATEST_MS

TOLD = 1_795_348_800_000
DAY_MS = 86_400_000


def test_an_instant_is_the_same_whichever_way_is_looked() -> None:
    told = "2026-11-22T12:00:00Z"
    assert (moment_at(told), moment_ahead("--expires", told), moment_since(told)) == (TOLD, TOLD, TOLD)
    assert moment_back("--until", told, 0) == TOLD
    assert (moment_at(None), moment_ahead("--expires", None), moment_since(None)) == (None, None, None)


def test_a_length_of_time_is_added_ahead_and_taken_away_back() -> None:
    now = SystemClock().now_ms()
    ahead, since = moment_ahead("--expires", "30d"), moment_since("30d")
    assert ahead is not None
    assert ahead >= now + 30 * DAY_MS
    assert since is not None
    assert since < now - 29 * DAY_MS
    assert moment_back("--until", "1d", TOLD) == TOLD - DAY_MS
    assert moment_back("--until", "9999999d", TOLD) == 0


def test_what_no_calendar_has_is_refused() -> None:
    beyond = f"{LATEST_MS}ms"
    with pytest.raises(BadInputError, match=r"--expires: .* is after the year 9999"):
        moment_ahead("--expires", beyond)
    for wrong in ("soon", "2026-13-01", ""):
        with pytest.raises(BadInputError, match=r"^--expires: "):
            moment_ahead("--expires", wrong)
        with pytest.raises(BadInputError, match=r"^--since: "):
            moment_since(wrong)
        with pytest.raises(BadInputError, match=r"^--at: "):
            moment_at(wrong)
