import pytest

from palyra.config.choices import RoutingMode
from palyra.governance.ledger import Ledger
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.governance.policy_set import PolicySet
from palyra.governance.verify import LedgerReport, verify
from palyra.journal.changes import HoldTaken
from tests.core.test_windows import at as instant
from tests.governance.policies import CENT, DOLLAR, policy
from tests.governance.store import Store, request, taken
from tests.governance.test_ledger import grant

NOON = instant("2026-11-22T12:00")


class Books:
    """A ledger and what the journal has of it."""

    def __init__(self, *policies: UsageBudgetPolicyRecord, mode: RoutingMode = RoutingMode.ENFORCED) -> None:
        self.policies = PolicySet(policies or [policy()])
        self.ledger = Ledger(self.policies, default_mode=mode)
        self.store = Store()

    def hold(self, hold_id: str, usd: int, at: int = NOON) -> None:
        self.store.submit(HoldTaken(taken(self.ledger.hold(request(hold_id, at, usd)))))

    def settle(self, hold_id: str, usd: int, at: int = NOON) -> None:
        self.store.submit(self.ledger.settle(hold_id, at=at, usd=usd, tokens=1).change)

    def verify(self, *, live: bool = True, at: int = NOON) -> LedgerReport:
        counters = self.ledger.counters(at) if live else None
        grants = [one.row for one in self.ledger.grants]
        return verify(self.store.rows.values(), self.policies, at, live=counters, grants=grants)


def used() -> Books:
    books = Books()
    books.hold("h1", 60 * CENT)
    books.settle("h1", 50 * CENT)
    books.hold("h2", 40 * CENT)
    return books


@pytest.mark.parametrize("live", [True, False])
def test_clean_books_are_found_clean(live: bool) -> None:
    report = used().verify(live=live)
    assert report.ok
    assert (report.holds, report.counters) == (2, 1)
    assert [row.hold_id for row in report.open_holds] == ["h2"]
    assert [(item.policy_id, item.amount) for item in report.overshoot] == [("day", 0)]


def test_a_hold_that_was_lost_shows_as_a_difference() -> None:
    books = used()
    del books.store.rows["h1"]
    (difference,) = books.verify().differences
    assert (difference.what, difference.live, difference.rebuilt) == ("settled", 50 * CENT, 0)


def test_an_end_that_was_lost_shows_in_both_sums() -> None:
    books = used()
    books.store.rows["h1"] = books.store.rows["h1"]._replace(
        state="held",
        moves=tuple(move._replace(actual=None) for move in books.store.rows["h1"].moves),
    )
    assert {(item.what, item.live, item.rebuilt) for item in books.verify().differences} == {
        ("settled", 50 * CENT, 0),
        ("held", 40 * CENT, DOLLAR),
    }


def test_a_row_that_contradicts_itself_is_found_without_live_counters() -> None:
    books = used()
    books.store.rows["h1"] = books.store.rows["h1"]._replace(actual_usd=49 * CENT)
    (difference,) = books.verify(live=False).differences
    assert (difference.what, difference.live, difference.rebuilt) == ("actual of hold h1", 50 * CENT, 49 * CENT)


def test_more_admitted_than_allowed_is_an_overshoot_to_the_nano_dollar() -> None:
    books = used()
    forged = books.store.rows["h2"]._replace(
        hold_id="h3",
        moves=tuple(move._replace(held=10 * CENT + 7) for move in books.store.rows["h2"].moves),
    )
    books.store.rows["h3"] = forged
    report = books.verify(live=False)
    assert [item.amount for item in report.overshoot] == [7]
    assert not report.ok


def test_a_lowered_limit_is_no_overshoot() -> None:
    books = used()
    books.policies = PolicySet([policy(hard="0.10")])
    books.store.change(books.ledger, books.policies, NOON)
    assert books.verify().ok


def test_what_ended_above_its_bound_is_no_overshoot() -> None:
    books = used()
    books.settle("h2", 3 * DOLLAR)
    assert books.verify().ok


def test_a_correction_upwards_is_no_overshoot_of_what_was_admitted_before_it() -> None:
    books = Books()
    books.hold("h1", 60 * CENT)
    books.settle("h1", 10 * CENT)
    books.hold("h2", 80 * CENT)
    books.settle("h2", 80 * CENT)
    books.store.rows["h1"] = books.ledger.correct(books.store.rows["h1"], 60 * CENT, 1, NOON)
    rows, live = list(books.store.rows.values()), books.ledger.counters(NOON)
    assert [item.amount for item in verify(rows, books.policies, NOON, live=live).overshoot] == [40 * CENT]
    assert verify(rows, books.policies, NOON, live=live, corrected={"h1"}).ok


def test_what_grants_paid_is_no_overshoot() -> None:
    books = used()
    books.ledger.grants.add(grant(cap=30 * CENT))
    books.hold("h3", 40 * CENT)
    assert books.verify().ok


def test_a_grant_drawn_beyond_its_cap_is_found() -> None:
    books = used()
    books.ledger.grants.add(grant(cap=30 * CENT))
    books.hold("h3", 40 * CENT)
    row = books.store.rows["h3"]
    books.store.rows["h3"] = row._replace(moves=tuple(move._replace(drawn=(("g", 31 * CENT),)) for move in row.moves))
    found = {item.what: (item.live, item.rebuilt) for item in books.verify().differences}
    assert found["grant"] == (31 * CENT, 30 * CENT)


@pytest.mark.parametrize(
    ("record", "mode"), [(policy(action="advise"), RoutingMode.ENFORCED), (policy(), RoutingMode.SUGGEST)]
)
def test_nobody_promised_a_limit_to_advising_budgets_and_loose_modes(
    record: UsageBudgetPolicyRecord, mode: RoutingMode
) -> None:
    books = Books(record, mode=mode)
    books.hold("h1", 9 * DOLLAR)
    assert books.verify().ok


@pytest.mark.parametrize(
    ("interval", "apart"), [("rolling_24h", 86_460_000), ("rolling_24h", 90_000_000), ("rolling_30d", 721 * 3_600_000)]
)
def test_a_rolling_budget_is_checked_in_its_newest_window(interval: str, apart: int) -> None:
    books = Books(policy(interval_kind=interval))
    for number in range(4):
        books.hold(f"h{number}", DOLLAR, NOON + number * apart)
    later = NOON + 3 * apart
    assert books.verify(at=later).ok
    books.store.rows["forged"] = books.store.rows["h3"]._replace(hold_id="forged")
    assert [item.amount for item in books.verify(at=later, live=False).overshoot] == [DOLLAR]


@pytest.mark.parametrize("interval", ["rolling_24h", "rolling_30d"])
def test_hours_that_an_edit_puts_into_one_rolling_window_are_no_overshoot(interval: str) -> None:
    """What was admitted to the first minute of an hour lies in a bucket of the same beginning."""
    books = Books(policy(interval_kind="hourly"))
    for hour in range(3):
        books.hold(f"h{hour}", DOLLAR, NOON + hour * 3_600_000)
    books.policies = PolicySet([policy(interval_kind=interval)])
    assert books.verify(at=NOON + 3 * 3_600_000, live=False).ok


def test_days_that_an_edit_puts_into_one_month_of_rolling_hours_are_no_overshoot() -> None:
    books = Books(policy(interval_kind="rolling_24h"))
    for number in range(3):
        books.hold(f"h{number}", DOLLAR, NOON + number * 90_000_000)
    books.policies = PolicySet([policy(interval_kind="rolling_30d")])
    assert books.verify(at=NOON + 3 * 90_000_000, live=False).ok


def test_what_a_stream_took_while_a_budget_counted_otherwise_is_no_overshoot() -> None:
    """An hour's limit lets a stream take more than is left of the thirty days that it began in."""
    month, hour = (PolicySet([policy(interval_kind=kind)]) for kind in ("rolling_30d", "hourly"))
    books = Books(policy(interval_kind="rolling_30d"))
    books.hold("h1", 90 * CENT)
    books.hold("h2", 10 * CENT, NOON + 3_600_000)
    for policies in (hour, month):
        books.policies = policies
        books.store.change(books.ledger, policies, NOON + 3_600_000)
        if policies is hour:
            grown = books.ledger.grow("h2", 80 * CENT, 1, NOON + 3_600_000).change
            assert grown is not None
            books.store.submit(grown)
    assert books.verify(at=NOON + 3_600_000).ok


def test_a_policy_without_limit_or_disabled_is_not_checked() -> None:
    books = Books(policy("warns", hard="none", soft_limit="1"), policy("off", enabled="no"))
    books.hold("h1", 9 * DOLLAR)
    assert books.verify().overshoot == ()


def test_a_limit_lowered_under_a_stream_that_a_grant_lets_go_on_is_no_overshoot() -> None:
    books = Books()
    books.hold("h1", 60 * CENT)
    books.policies = PolicySet([policy(hard="0.10")])
    books.store.change(books.ledger, books.policies, NOON)
    books.ledger.grants.add(grant(cap=DOLLAR))
    grown = books.ledger.grow("h1", 25 * CENT, 1, NOON).change
    assert grown is not None
    assert (grown.moves[0].limit, grown.moves[0].drawn) == (DOLLAR, (("g", 25 * CENT),))
    books.store.submit(grown)
    assert books.verify().ok


def test_what_a_stream_took_while_the_mode_was_loose_was_promised_to_nobody() -> None:
    books = Books(mode=RoutingMode.SUGGEST)
    books.hold("h1", 120 * CENT)
    books.ledger.judge.default_mode = RoutingMode.ENFORCED
    books.ledger.grants.add(grant(cap=DOLLAR))
    grown = books.ledger.grow("h1", 10 * CENT, 1, NOON).change
    assert grown is not None
    books.store.submit(grown)
    assert books.verify().ok
