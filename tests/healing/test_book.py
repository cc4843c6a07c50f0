"""What becomes of incidents: counting, episodes, severities, flapping, room, and what is written of all that."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.core.clock import ManualClock
from palyra.core.conditions import Condition, Domain, Severity
from palyra.core.ids import IdSource
from palyra.core.redact import remember
from palyra.healing import book as book_module
from palyra.healing.acts import Acts
from palyra.healing.book import IncidentBook
from palyra.healing.record import IncidentEventKind, IncidentRecord, IncidentState
from palyra.healing.transitions import SUMMARY_MOST, is_flapping, is_storm
from palyra.journal.entity import EntityForgotten, EntitySaved
from tests.healing.stage import T0, condition

MINUTE = 60_000
KEY = (Domain.SCHEDULER, "job:j1:faulted")


def a_book() -> IncidentBook:
    return IncidentBook(IdSource(ManualClock(T0)).new, "boot-1")


def see(book: IncidentBook, told: Condition, at: int = T0) -> IncidentRecord:
    record = book.see(told, at)
    assert record is not None
    return book.get(record.incident_id)


def told(book: IncidentBook) -> list[str]:
    return [event.kind.value for event in book.events()]


def tables(book: IncidentBook, at: int = T0) -> list[str]:
    return [one.table for one in book.changes(at) if isinstance(one, EntitySaved | EntityForgotten)]


def test_one_key_has_one_incident_for_good() -> None:
    book = a_book()
    first = see(book, condition())
    assert see(book, condition(), T0 + 1).incident_id == first.incident_id
    book.gone(*KEY, T0 + 2)
    again = see(book, condition(), T0 + 3)
    assert (again.incident_id, again.episode, again.opened_at) == (first.incident_id, 2, T0 + 3)
    assert told(book) == ["opened", "resolved", "reopened"]


def test_the_same_key_of_another_domain_is_another_incident() -> None:
    book = a_book()
    assert see(book, condition()).incident_id != see(book, condition(domain=Domain.QUEUE)).incident_id


def test_counting_writes_nothing_for_a_minute_and_loses_nothing() -> None:
    book = a_book()
    record = see(book, condition())
    assert tables(book) == ["incidents", "incident_episodes", "incident_timeline"]
    for cycle in range(1, 5):
        book.see(condition(), T0 + cycle * 15_000, counted=True)
    assert book.get(record.incident_id).occurrence_count == 5
    assert tables(book, T0 + MINUTE) == []
    assert tables(book, T0 + 75_000) == ["incidents"]
    assert tables(book, T0 + 80_000) == []
    Acts(book).acknowledge(record.incident_id, "ada", T0 + 80_000)
    assert book.get(record.incident_id).occurrence_count == 5


def test_a_count_is_written_when_the_engine_stops() -> None:
    book = a_book()
    see(book, condition())
    book.changes(T0)
    book.see(condition(), T0 + 1, counted=True)
    assert len(book.remaining(T0 + 2)) == 1


def test_what_is_told_otherwise_is_taken_over_and_a_new_severity_noted() -> None:
    book = a_book()
    record = see(book, condition(severity=Severity.MEDIUM))
    book.changes(T0)
    worse = replace(condition(severity=Severity.CRITICAL), summary="Worse", since=T0 + 5)
    now = see(book, worse, T0 + 10)
    assert (now.severity, now.summary, now.version) == (Severity.CRITICAL, "Worse", record.version + 1)
    assert now.condition_since == T0
    assert tables(book, T0 + 10) == ["incidents", "incident_episodes", "incident_timeline"]


def test_nothing_is_written_when_the_same_is_told_again() -> None:
    book = a_book()
    record = see(book, condition())
    book.changes(T0)
    version = book.version
    assert see(book, condition(), T0 + 10).revision == record.revision
    assert (book.version, tables(book)) == (version, [])


def test_what_was_put_away_stays_away_on_the_next_flap_and_comes_back_when_it_gets_worse() -> None:
    book = a_book()
    record = see(book, condition(severity=Severity.MEDIUM))
    Acts(book).snooze(record.incident_id, 3_600_000, "known", "ada", T0)
    book.gone(*KEY, T0 + 1)
    back = see(book, condition(severity=Severity.MEDIUM), T0 + 2)
    assert back.snoozed_until == T0 + 3_600_000
    worse = see(book, condition(severity=Severity.HIGH), T0 + 3)
    assert worse.snoozed_until is None
    book.gone(*KEY, T0 + 4)
    assert see(book, condition(severity=Severity.HIGH), T0 + 5).snoozed_until is None


def test_what_was_put_away_wakes_when_its_time_is_up() -> None:
    book = a_book()
    record = see(book, condition())
    Acts(book).snooze(record.incident_id, MINUTE, "known", "ada", T0)
    book.sweep(T0 + MINUTE - 1)
    assert book.get(record.incident_id).snoozed_until is not None
    book.sweep(T0 + MINUTE)
    assert book.get(record.incident_id).snoozed_until is None


@pytest.mark.parametrize(
    ("turns", "at", "found"),
    [
        ([0, 10, 20], 30, False),
        ([0, 10, 20, 30], 30, True),
        ([0, 1, 2, 3], 30, True),
        ([-1, 10, 20, 30], 30, False),
        ([], 30, False),
    ],
)
def test_four_turns_within_half_an_hour_are_flapping(turns: list[int], at: int, found: bool) -> None:
    assert is_flapping([turn * MINUTE for turn in turns], at * MINUTE) is found


def test_the_fourth_turn_makes_it_flap_and_then_only_an_hour_without_the_condition_ends_it() -> None:
    book = a_book()
    at = T0
    for _ in range(2):
        see(book, condition(), at)
        book.gone(*KEY, at + 1)
        at += 2
    record = book.of(*KEY)
    assert record is not None
    assert (record.flapping, record.state, record.episode) == (True, IncidentState.OPEN, 2)
    assert told(book) == ["opened", "resolved", "reopened", "flapping"]
    see(book, condition(), at)
    book.gone(*KEY, at + 1)
    assert told(book) == []
    book.sweep(at + 1 + 3_600_000 - 1)
    assert told(book) == []
    book.sweep(at + 1 + 3_600_000)
    assert told(book) == ["stable"]
    ended = book.get(record.incident_id)
    assert (ended.state, ended.flapping, ended.reason) == (IncidentState.RESOLVED, False, "stable")


def test_a_flapping_incident_can_be_closed_by_people() -> None:
    book = a_book()
    for at in (T0, T0 + 2):
        see(book, condition(), at)
        book.gone(*KEY, at + 1)
    record = book.of(*KEY)
    assert record is not None
    assert Acts(book).resolve(record.incident_id, "ada", T0 + 9).state is IncidentState.RESOLVED


def test_resolved_ones_make_room_oldest_first_and_live_ones_never(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_module, "AT_MOST", 3)
    book = a_book()
    keys = [f"job:{name}:faulted" for name in "abc"]
    for key in keys:
        see(book, condition(key))
    for at, key in enumerate(["job:b:faulted", "job:a:faulted"]):
        book.gone(Domain.SCHEDULER, key, T0 + at)
    book.changes(T0)
    see(book, condition("job:d:faulted"), T0 + 9)
    assert book.of(Domain.SCHEDULER, "job:b:faulted") is None
    assert book.of(Domain.SCHEDULER, "job:a:faulted") is not None
    assert tables(book)[0] == "incidents"
    see(book, condition("job:e:faulted"), T0 + 99_000)
    assert book.see(condition("job:f:faulted"), T0 + 99_000) is None
    assert len(book) == 3


def test_what_was_resolved_ninety_days_ago_is_forgotten() -> None:
    book = a_book()
    see(book, condition())
    book.gone(*KEY, T0)
    book.changes(T0)
    book.sweep(T0 + 90 * 86_400_000 - 1)
    assert len(book) == 1
    book.sweep(T0 + 90 * 86_400_000)
    assert len(book) == 0
    (gone,) = book.changes(T0)
    assert isinstance(gone, EntityForgotten)


def test_what_happens_while_it_is_forgotten_leaves_nothing_to_write_of_it() -> None:
    book = a_book()
    see(book, condition())
    book.gone(*KEY, T0)
    book.sweep(T0 + 91 * 86_400_000)
    assert [type(one) for one in book.changes(T0)] == [EntityForgotten]


@given(st.lists(st.integers(0, 200_000), max_size=12))
def test_a_storm_is_five_openings_within_a_minute(openings: list[int]) -> None:
    at = max(openings, default=0)
    assert is_storm(openings, at) is (len([one for one in openings if at - one <= 60_000]) >= 5)


def test_events_tell_the_incident_as_it_stands_when_they_are_taken() -> None:
    book = a_book()
    record = see(book, condition())
    Acts(book).acknowledge(record.incident_id, "ada", T0)
    (event,) = book.events()
    assert (event.kind, event.record.acknowledged_by) == (IncidentEventKind.OPENED, "ada")


def test_a_secret_in_what_is_told_or_said_of_an_incident_is_neither_kept_nor_shown() -> None:
    remember("tell-nobody-of-this")
    book = a_book()
    spread = "x" * (SUMMARY_MOST - 10) + "tell-nobody-of-this"
    told = replace(condition(), summary=spread, cause="tell-nobody-of-this", detail="Bearer abcdefghijkl")
    record = see(book, told)
    Acts(book).note(record.incident_id, "the key is tell-nobody-of-this", "ada", T0 + 1)
    Acts(book).snooze(record.incident_id, 3_600_000, "tell-nobody-of-this", "ada", T0 + 2)
    see(book, replace(told, detail="tell-nobody-of-this once more"), T0 + 3)
    kept = f"{book.get(record.incident_id)} {book.changes(T0 + 4)}"
    assert "tell-nobody" not in kept
    assert "abcdefghijkl" not in kept
    assert kept.count("[redacted]") >= 5
