"""Many incidents that are one: below their provider's, or in a storm."""

from palyra.core.conditions import Domain, Severity
from palyra.healing.acts import Acts
from palyra.healing.book import IncidentBook
from palyra.healing.record import IncidentRecord, IncidentState
from tests.healing.stage import T0, condition
from tests.healing.test_book import a_book, see, told


def run(book: IncidentBook, name: str, at: int = T0, *, severity: Severity = Severity.HIGH, provider: str = "") -> str:
    related = {"provider": provider} if provider else {}
    key = f"heartbeat:run:{name}"
    return see(book, condition(key, severity, Domain.WATCHDOG, T0, related), at).incident_id


def end(book: IncidentBook, name: str, at: int) -> None:
    book.gone(Domain.WATCHDOG, f"heartbeat:run:{name}", at)


def storm(book: IncidentBook) -> IncidentRecord:
    found = book.of(Domain.WATCHDOG, "storm:heartbeat:run")
    assert found is not None
    return found


def test_the_fifth_of_one_kind_within_a_minute_makes_a_storm_that_takes_all_and_later_ones() -> None:
    book = a_book()
    ids = [run(book, f"r{number}", T0 + number * 15_000) for number in range(4)]
    assert book.of(Domain.WATCHDOG, "storm:heartbeat:run") is None
    ids.append(run(book, "r4", T0 + 60_000))
    assert storm(book).children == 5
    ids.append(run(book, "r5", T0 + 3_600_000))
    assert {child.incident_id for child in book.children(storm(book).incident_id)} == set(ids)
    assert all(book.get(one).parent_id == storm(book).incident_id for one in ids)


def test_five_that_took_longer_than_a_minute_are_no_storm() -> None:
    book = a_book()
    for number in range(5):
        run(book, f"r{number}", T0 + number * 15_001)
    assert len(book.live()) == 5


def test_one_that_opens_again_and_again_is_no_storm() -> None:
    book = a_book()
    for number in range(5):
        run(book, "r", T0 + number * 2)
        end(book, "r", T0 + number * 2 + 1)
    assert book.of(Domain.WATCHDOG, "storm:heartbeat:run") is None


def test_five_of_different_kinds_are_no_storm() -> None:
    book = a_book()
    for kind in ("faulted", "overdue", "review", "failing", "replace"):
        see(book, condition(f"job:j1:{kind}"))
    assert len(book.live()) == 5


def test_a_storm_weighs_as_its_heaviest_child_and_ends_with_the_last() -> None:
    book = a_book()
    for number in range(5):
        run(book, f"r{number}")
    assert storm(book).severity is Severity.HIGH
    run(book, "r5", severity=Severity.CRITICAL)
    assert storm(book).severity is Severity.CRITICAL
    for number in range(6):
        assert storm(book).live
        end(book, f"r{number}", T0 + number)
    assert (storm(book).state, storm(book).reason) == (IncidentState.RESOLVED, "children_resolved")


def test_a_storm_that_comes_back_starts_with_the_children_of_its_own_episode() -> None:
    book = a_book()
    for number in range(5):
        run(book, f"r{number}")
    for number in range(5):
        end(book, f"r{number}", T0 + 1)
    for number in range(5):
        run(book, f"s{number}", T0 + 100)
    assert (storm(book).episode, storm(book).children) == (2, 5)
    assert {child.key for child in book.children(storm(book).incident_id)} == {
        f"heartbeat:run:s{number}" for number in range(5)
    }


def test_work_hangs_below_its_provider_whichever_opened_first() -> None:
    book = a_book()
    before = run(book, "before", provider="openai")
    other = run(book, "other", provider="claude")
    cause = see(book, condition("provider:openai", domain=Domain.PROVIDER))
    after = run(book, "after", provider="openai")
    assert [book.get(one).parent_id for one in (before, after, other)] == [cause.incident_id, cause.incident_id, ""]
    assert book.get(cause.incident_id).children == 2


def test_a_provider_takes_its_work_out_of_a_storm_and_the_empty_storm_ends() -> None:
    book = a_book()
    for number in range(5):
        run(book, f"r{number}", provider="openai")
    cause = see(book, condition("provider:openai", domain=Domain.PROVIDER))
    assert {child.parent_id for child in book.live() if child.key.startswith("heartbeat")} == {cause.incident_id}
    assert (storm(book).state, storm(book).children) == (IncidentState.RESOLVED, 0)


def test_a_parent_stays_open_until_its_children_have_ended() -> None:
    book = a_book()
    cause = see(book, condition("provider:openai", domain=Domain.PROVIDER))
    run(book, "r", provider="openai")
    book.gone(Domain.PROVIDER, "provider:openai", T0 + 1)
    assert book.get(cause.incident_id).live
    end(book, "r", T0 + 2)
    assert not book.get(cause.incident_id).live
    assert told(book) == ["opened", "opened", "resolved", "resolved"]


def test_a_child_that_comes_back_after_its_parent_ended_stands_alone() -> None:
    book = a_book()
    see(book, condition("provider:openai", domain=Domain.PROVIDER))
    child = run(book, "r", provider="openai")
    end(book, "r", T0 + 1)
    book.gone(Domain.PROVIDER, "provider:openai", T0 + 2)
    run(book, "r", T0 + 3, provider="openai")
    assert book.get(child).parent_id == ""


def test_a_child_is_quiet_and_its_parent_is_not() -> None:
    book = a_book()
    cause = see(book, condition("provider:openai", domain=Domain.PROVIDER))
    child = run(book, "r", provider="openai")
    assert book.get(child).quiet(T0)
    assert not book.get(cause.incident_id).quiet(T0)


def test_what_people_do_with_a_parent_they_do_with_its_children() -> None:
    book = a_book()
    for number in range(5):
        run(book, f"r{number}")
    acts, parent = Acts(book), storm(book).incident_id
    run(book, "r5")
    acts.acknowledge(f"{book.children(parent)[0].incident_id}", "bob", T0 + 1)
    acts.acknowledge(parent, "ada", T0 + 2)
    assert [child.acknowledged_by for child in book.children(parent)] == ["bob"] + ["ada"] * 5
    acts.assign(parent, "cid", "ada", T0 + 3)
    acts.snooze(parent, 60_000, "known", "ada", T0 + 4)
    assert {(child.assignee, child.snoozed_until) for child in book.live()} == {("cid", T0 + 60_004)}
    acts.snooze(parent, 0, "", "ada", T0 + 5)
    assert {child.snoozed_until for child in book.live()} == {None}
    ended = acts.resolve(parent, "ada", T0 + 6, force=True)
    assert (ended.resolved_by, book.live()) == ("ada", [])
    assert [child.muted for child in book.children(parent)] == [True] * 6


def test_children_hang_below_their_parents_again_after_a_start() -> None:
    book = a_book()
    for number in range(6):
        run(book, f"r{number}")
    end(book, "r0", T0 + 1)
    later = a_book()
    later.restore([*book.live(), *book.resolved()], [])
    parent = storm(later)
    assert {child.key for child in later.children(parent.incident_id)} == {
        f"heartbeat:run:r{number}" for number in range(6)
    }
    assert len(later.below(parent.incident_id)) == 5


def test_what_people_said_of_a_parent_goes_for_those_that_come_later() -> None:
    book = a_book()
    acts = Acts(book)
    for number in range(5):
        run(book, f"r{number}")
    parent = storm(book).incident_id
    acts.acknowledge(parent, "ada", T0 + 10)
    acts.assign(parent, "bob", "ada", T0 + 11)
    acts.snooze(parent, 3_600_000, "known", "ada", T0 + 12)
    late = book.get(run(book, "late", T0 + 20))
    assert (late.acknowledged_by, late.acknowledged_at, late.assignee) == ("ada", T0 + 20, "bob")
    assert (late.snoozed_until, late.snooze_reason) == (T0 + 12 + 3_600_000, "known")
    book.changes(T0 + 20)
    worse = book.get(run(book, "worse", T0 + 30, severity=Severity.CRITICAL))
    assert (worse.acknowledged_by, worse.snoozed_until) == ("ada", None)
    assert storm(book).snoozed_until is None
    woken = book.get(run(book, "woken", T0 + 40))
    assert (woken.acknowledged_by, woken.snoozed_until) == ("ada", None)
