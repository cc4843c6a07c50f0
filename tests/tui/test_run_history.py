"""A list pages through any number of runs and never holds more than it has room for."""

from hypothesis import given
from hypothesis import strategies as st

from palyra.control.queries import RunsPage
from palyra.control.snapshots import RunView
from palyra.tui.screens.run_history import PAGE, RunHistory, Wanted
from tests.tui.fake_views import run

ROOM = 500
RUNS = [run(number, "completed", "a", "m/m", 1) for number in range(1_234)]
ONE = RUNS[0]


def journal(runs: list[RunView], wanted: Wanted) -> RunsPage:
    start = int(wanted.cursor or 0)
    end = start + PAGE
    return RunsPage(tuple(runs[start:end]), str(end) if end < len(runs) else "")


@given(st.integers(0, 1_234), st.integers(0, 300), st.lists(st.booleans(), max_size=60))
def test_what_is_held_is_one_stretch_of_history(number: int, beside: int, downs: list[bool]) -> None:
    runs = RUNS[:number]
    history = RunHistory(ROOM)
    for down in (True, *downs):
        wanted = history.older if down else history.newer
        if wanted is None:
            assert history.complete if down else history.first == 0
            continue
        assert history.add(wanted, journal(runs, wanted), beside)
        start = history.first * PAGE
        assert list(history) == runs[start : start + len(history)]
        assert len(history) + (0 if history.first else beside) <= max(ROOM, PAGE + beside)
        assert history.complete == (history.first * PAGE + len(history) == number)


def test_a_hundred_thousand_runs_are_paged_through_down_and_up() -> None:
    runs = [ONE] * 100_000
    history = RunHistory(ROOM)
    seen = most = 0
    while (wanted := history.older) is not None:
        page = journal(runs, wanted)
        assert history.add(wanted, page, 250)
        seen += len(page.runs)
        most = max(most, len(history))
    assert (seen, most, history.complete) == (len(runs), ROOM, True)
    while (wanted := history.newer) is not None:
        assert history.add(wanted, journal(runs, wanted), 250)
    assert (history.first, len(history)) == (0, 200)


def test_a_page_that_is_not_wanted_any_more_is_dropped() -> None:
    runs = [ONE] * 300
    history = RunHistory(ROOM)
    first = history.older
    assert first is not None
    assert history.add(first, journal(runs, first), 0)
    assert not history.add(first, journal(runs, first), 0)
    assert len(history) == PAGE
