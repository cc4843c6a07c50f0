"""What people may do with incidents, what is refused and in which words."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from palyra.core.errors import BadInputError, ConflictError, NotFoundError, PalyraError
from palyra.healing.acts import Acts
from palyra.healing.book import IncidentBook
from palyra.healing.record import IncidentRecord, IncidentState
from palyra.journal.entity import EntitySaved
from tests.healing.stage import T0, condition
from tests.healing.test_book import KEY, a_book, see

Act = Callable[[Acts, str], IncidentRecord]


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (lambda acts, one: acts.acknowledge("nobody", "ada", T0), NotFoundError, "No incident 'nobody' is known"),
        (lambda acts, one: acts.acknowledge(one, "ada", T0, version=7), ConflictError, "it is open, high"),
        (lambda acts, one: acts.assign(one, "x" * 129, "ada", T0), BadInputError, "at most 128"),
        (lambda acts, one: acts.assign(one, "a\x1bb", "ada", T0), BadInputError, "printable"),
        (lambda acts, one: acts.snooze(one, 59_999, "why", "ada", T0), BadInputError, "1 min to 30 days"),
        (lambda acts, one: acts.snooze(one, 30 * 86_400_000 + 1, "why", "ada", T0), BadInputError, "1 min to 30 days"),
        (lambda acts, one: acts.snooze(one, 60_000, " ", "ada", T0), BadInputError, "needs a reason"),
        (lambda acts, one: acts.snooze(one, 60_000, "y" * 501, "ada", T0), BadInputError, "too long"),
        (lambda acts, one: acts.snooze(one, 0, "", "ada", T0), ConflictError, "not snoozed"),
        (lambda acts, one: acts.note(one, "  ", "ada", T0), BadInputError, "empty"),
        (lambda acts, one: acts.note(one, "é" * 2049, "ada", T0), BadInputError, "too long"),
        (lambda acts, one: acts.resolve(one, "ada", T0), ConflictError, "still present"),
    ],
)
def test_an_act_that_cannot_be_is_refused_in_words_and_changes_nothing(
    act: Act, error: type[PalyraError], words: str
) -> None:
    book = a_book()
    record = see(book, condition())
    book.changes(T0)
    with pytest.raises(error, match=words):
        act(Acts(book), record.incident_id)
    assert book.get(record.incident_id) == record
    assert book.changes(T0) == []


def test_the_first_acknowledgement_counts_and_a_new_episode_clears_it() -> None:
    book = a_book()
    record = see(book, condition())
    acts = Acts(book)
    known = acts.acknowledge(record.incident_id, "ada", T0 + 1, version=record.version)
    assert (known.acknowledged_by, known.acknowledged_at, known.version) == ("ada", T0 + 1, record.version + 1)
    with pytest.raises(ConflictError, match="ada has acknowledged"):
        acts.acknowledge(record.incident_id, "bob", T0 + 2)
    book.gone(*KEY, T0 + 3)
    again = see(book, condition(), T0 + 4)
    assert (again.acknowledged_by, again.acknowledged_at) == ("", None)


def test_notes_stay_also_on_what_is_resolved() -> None:
    book = a_book()
    record = see(book, condition())
    book.gone(*KEY, T0 + 1)
    book.changes(T0)
    noted = Acts(book).note(record.incident_id, "It was the cable.", "ada", T0 + 2)
    assert noted.state is IncidentState.RESOLVED
    assert [one.table for one in book.changes(T0) if isinstance(one, EntitySaved)] == ["incidents", "incident_timeline"]


@pytest.mark.parametrize(
    "act",
    [
        lambda acts, one: acts.acknowledge(one, "ada", T0),
        lambda acts, one: acts.assign(one, "bob", "ada", T0),
        lambda acts, one: acts.snooze(one, 60_000, "why", "ada", T0),
        lambda acts, one: acts.resolve(one, "ada", T0, force=True),
    ],
)
def test_what_is_resolved_is_left_alone(act: Act) -> None:
    book = a_book()
    record = see(book, condition())
    book.gone(*KEY, T0 + 1)
    with pytest.raises(ConflictError, match="resolved already"):
        act(Acts(book), record.incident_id)


def test_force_mutes_until_the_condition_has_gone() -> None:
    book = a_book()
    record = see(book, condition())
    ended = Acts(book).resolve(record.incident_id, "ada", T0 + 1, force=True)
    assert (ended.state, ended.muted, ended.reason) == (IncidentState.RESOLVED, True, "forced")
    assert see(book, condition(), T0 + 2).state is IncidentState.RESOLVED
    book.gone(*KEY, T0 + 3)
    back = see(book, condition(), T0 + 4)
    assert (back.state, back.episode) == (IncidentState.OPEN, 2)


def test_what_is_being_treated_is_resolved_by_force_alone() -> None:
    book = a_book()
    record = busy(book)
    book.gone(*KEY, T0 + 1)
    with pytest.raises(ConflictError, match="is running"):
        Acts(book).resolve(record.incident_id, "ada", T0 + 2)
    assert Acts(book).resolve(record.incident_id, "ada", T0 + 2, force=True).reason == "by_operator"


def busy(book: IncidentBook) -> IncidentRecord:
    return book.put(replace(see(book, condition()), state=IncidentState.REMEDIATING))
