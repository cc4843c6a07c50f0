"""When an incident is told of, and when it is not."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.config.operations import NoticeEvent
from palyra.core.conditions import Severity
from palyra.healing.notices.quieting import Told, Word, after_telling, kept_until, word_of
from palyra.healing.record import IncidentRecord
from tests.healing.notices.incidents import HOUR, MINUTE, T0, back, ended, incident

OPENED, REOPENED, RESOLVED = NoticeEvent.OPENED, NoticeEvent.REOPENED, NoticeEvent.RESOLVED
TOLD = Told(T0 + 5_000, True, Severity.HIGH, event="opened")


def test_an_incident_waits_five_seconds_for_a_parent() -> None:
    assert word_of(incident(), None, T0) == Word(look_at=T0 + 5_000)
    assert word_of(incident(), None, T0 + 4_999) == Word(look_at=T0 + 5_000)
    assert word_of(incident(), None, T0 + 5_000) == Word(OPENED)


def test_a_critical_one_waits_for_nobody() -> None:
    assert word_of(incident(severity=Severity.CRITICAL), None, T0) == Word(OPENED)


def test_a_child_is_never_told_of_but_its_end_to_whom_its_beginning_was() -> None:
    child = incident(parent_id="storm")
    over = ended(child, T0 + 9)
    for record in (child, over, replace(child, severity=Severity.CRITICAL)):
        assert word_of(record, None, T0 + HOUR) == Word()
        assert word_of(record, replace(TOLD, open=False), T0 + HOUR) == Word()
        assert kept_until(record, replace(TOLD, open=False), T0 + HOUR) == T0 + HOUR
    assert word_of(child, TOLD, T0 + HOUR) == Word()
    assert kept_until(child, TOLD, T0 + HOUR) is None
    assert word_of(over, TOLD, T0 + HOUR) == Word(RESOLVED)
    told = after_telling(over, TOLD, RESOLVED, T0 + HOUR)
    assert (word_of(over, told, T0 + HOUR), kept_until(over, told, T0 + HOUR)) == (Word(), T0 + HOUR)
    assert word_of(over, replace(TOLD, flapping=True), T0 + HOUR) == Word(NoticeEvent.STABLE)


def test_how_strong_it_was_when_it_was_told_counts_until_it_is_over() -> None:
    worse = after_telling(incident(severity=Severity.CRITICAL), TOLD, NoticeEvent.ESCALATED, T0)
    milder = after_telling(incident(severity=Severity.MEDIUM), worse, NoticeEvent.REMINDER, T0 + 1)
    assert milder.severity is Severity.CRITICAL
    assert after_telling(incident(severity=Severity.MEDIUM), milder, REOPENED, T0 + 2).severity is Severity.MEDIUM


def test_what_was_put_away_is_silent_until_it_comes_back() -> None:
    snoozed = incident(snoozed_until=T0 + HOUR)
    assert word_of(snoozed, None, T0 + 5_000) == Word(look_at=T0 + HOUR)
    assert word_of(snoozed, TOLD, T0 + HOUR - 1) == Word(look_at=T0 + HOUR)
    assert word_of(snoozed, None, T0 + HOUR) == Word(OPENED)
    # Who put it away hears in the end that it is over.
    assert word_of(ended(snoozed, T0 + MINUTE), TOLD, T0 + 2 * MINUTE) == Word(look_at=T0 + HOUR)
    assert word_of(ended(snoozed, T0 + MINUTE), TOLD, T0 + HOUR) == Word(RESOLVED)


def test_what_was_over_before_it_was_told_is_not_told() -> None:
    assert word_of(ended(incident(), T0 + 4_000), None, T0 + 5_000) == Word()


def test_the_end_is_told_at_once_to_whom_the_beginning_was() -> None:
    assert word_of(ended(incident(), T0 + MINUTE), TOLD, T0 + MINUTE) == Word(RESOLVED)


def test_one_coming_back_and_one_end_are_told_in_an_hour_and_the_rest_later_if_it_is_true_then() -> None:
    once = replace(TOLD, open=False, resolved_at=T0 + MINUTE)
    again = back(ended(incident(), T0 + MINUTE), T0 + 2 * MINUTE)
    assert word_of(again, once, T0 + 2 * MINUTE) == Word(look_at=T0 + 2 * MINUTE + 5_000)
    assert word_of(again, once, T0 + 2 * MINUTE + 5_000) == Word(REOPENED)
    told = after_telling(again, once, REOPENED, T0 + 3 * MINUTE)
    assert (told.open, told.reopened_at, told.resolved_at) == (True, T0 + 3 * MINUTE, T0 + MINUTE)
    over = ended(again, T0 + 4 * MINUTE)
    assert word_of(over, told, T0 + 4 * MINUTE) == Word(look_at=T0 + MINUTE + HOUR)
    assert word_of(over, told, T0 + MINUTE + HOUR) == Word(RESOLVED)
    third = back(over, T0 + 5 * MINUTE)
    # People still think that it lasts, and it does.
    assert word_of(third, told, T0 + MINUTE + HOUR).event is not RESOLVED


@pytest.mark.parametrize(
    ("severity", "acknowledged", "reminded"),
    [
        (Severity.MEDIUM, None, False),
        (Severity.HIGH, None, True),
        (Severity.CRITICAL, None, True),
        (Severity.HIGH, T0 + MINUTE, False),
    ],
)
def test_grave_ones_nobody_acknowledged_are_told_again_every_four_hours(
    severity: Severity, acknowledged: int | None, reminded: bool
) -> None:
    record = incident(severity=severity, acknowledged_at=acknowledged)
    told = after_telling(record, None, OPENED, T0)
    due = T0 + 4 * HOUR
    assert word_of(record, told, due - 1) == (Word(look_at=due) if reminded else Word())
    assert word_of(record, told, due) == (Word(NoticeEvent.REMINDER) if reminded else Word())
    if reminded:
        later = after_telling(record, told, NoticeEvent.REMINDER, due)
        assert word_of(record, later, due + 1) == Word(look_at=due + 4 * HOUR)


def test_getting_worse_is_told_at_once_and_getting_better_is_not() -> None:
    worse = incident(severity=Severity.CRITICAL)
    assert word_of(worse, TOLD, T0 + MINUTE) == Word(NoticeEvent.ESCALATED)
    told = after_telling(worse, TOLD, NoticeEvent.ESCALATED, T0 + MINUTE)
    assert word_of(incident(), told, T0 + 2 * MINUTE).event is None
    assert word_of(worse, told, T0 + 3 * MINUTE).event is None


def test_flapping_is_told_once_and_so_is_its_end() -> None:
    flapping = incident(flapping=True)
    assert word_of(flapping, TOLD, T0 + MINUTE) == Word(NoticeEvent.FLAPPING)
    told = after_telling(flapping, TOLD, NoticeEvent.FLAPPING, T0 + MINUTE)
    for record in (flapping, ended(flapping, T0 + 9), replace(flapping, severity=Severity.CRITICAL)):
        assert word_of(record, told, T0 + 9 * HOUR) == Word()
    stable = ended(replace(flapping, flapping=False), T0 + HOUR)
    assert word_of(stable, told, T0 + HOUR) == Word(NoticeEvent.STABLE)
    after = after_telling(stable, told, NoticeEvent.STABLE, T0 + HOUR)
    assert word_of(stable, after, T0 + HOUR) == Word()


def test_a_clock_that_was_set_back_silences_nothing() -> None:
    later = T0 + 1000 * HOUR
    told = Told(later, False, Severity.HIGH, reopened_at=later, resolved_at=later)
    assert word_of(incident(opened_at=later), None, T0) == Word(OPENED)
    assert word_of(back(incident(), T0 - 5_000), told, T0) == Word(REOPENED)
    assert word_of(ended(incident(), T0), replace(told, open=True), T0) == Word(RESOLVED)


def test_it_is_forgotten_once_nothing_depends_on_it() -> None:
    over = ended(incident(), T0 + MINUTE)
    told = after_telling(over, TOLD, RESOLVED, T0 + MINUTE)
    assert kept_until(incident(), TOLD, T0) is None
    assert kept_until(over, TOLD, T0) is None
    assert kept_until(over, told, T0 + MINUTE) == T0 + MINUTE + HOUR


def notices(changes: list[tuple[int, IncidentRecord]], until: int) -> list[tuple[int, NoticeEvent]]:
    """What is told when an incident goes through these changes, at every instant that the rules ask for."""
    told: Told | None = None
    heard: list[tuple[int, NoticeEvent]] = []
    at, record = changes[0]
    upcoming = changes[1:]
    while at <= until:
        while (word := word_of(record, told, at)).event is not None:
            heard.append((at, word.event))
            told = after_telling(record, told, word.event, at)
        ahead = [one for one in (word.look_at, upcoming[0][0] if upcoming else None) if one is not None]
        if not ahead:
            break
        assert min(ahead) > at
        at = min(ahead)
        if upcoming and upcoming[0][0] == at:
            record = upcoming.pop(0)[1]
    return heard


gaps = st.lists(st.integers(1, 3 * HOUR), min_size=1, max_size=40)


@given(gaps, st.sampled_from(list(Severity)))
def test_whatever_comes_and_goes_people_hear_little_and_in_the_end_the_truth(
    gaps: list[int], severity: Severity
) -> None:
    at, record = T0, incident(severity=severity)
    changes = [(at, record)]
    for gap in gaps:
        at += gap
        record = ended(record, at) if record.live else back(record, at)
        changes.append((at, record))
    heard = notices(changes, at + 100 * HOUR)
    events = [event for _, event in heard]
    for kind in (REOPENED, RESOLVED):
        times = [when for when, event in heard if event is kind]
        assert all(later - earlier >= HOUR for earlier, later in pairwise(times))
    turns = [event for event in events if event is not NoticeEvent.REMINDER]
    # Beginnings and ends take turns, so nobody is left with a wrong picture.
    assert all((event is RESOLVED) is (place % 2 == 1) for place, event in enumerate(turns))
    assert (len(turns) % 2 == 1) is record.live or not turns


@given(st.integers(0, 10 * HOUR), st.integers(0, 10 * HOUR))
def test_what_is_due_does_not_depend_on_how_often_one_looks(first: int, second: int) -> None:
    """A notice that is due stays due until it is told: looking late loses none."""
    record, at = incident(), T0 + min(first, second)
    word = word_of(record, None, at)
    if word.event is not None:
        assert word_of(record, None, T0 + max(first, second)) == word
