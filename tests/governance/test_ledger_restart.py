"""What a start reads of history: grants learn of every hold that drew from them, however old it is."""

from typing import Any

from palyra.governance.grants import GrantBook
from palyra.governance.ledger import Ledger
from palyra.governance.policy_set import PolicySet
from palyra.journal.changes import HoldTaken
from tests.governance.policies import CENT, policy
from tests.governance.store import Store, refused, request, taken
from tests.governance.test_ledger import DAY, NOON, grant

HOUR = 3_600_000
POLICIES = PolicySet([policy(interval_kind="hourly")])
LASTS: dict[str, Any] = {"kind": "timeboxed", "cap": 30 * CENT, "expires_at": NOON + 7 * DAY}


def drawn(ledger: Ledger) -> list[int]:
    return [one.drawn for one in ledger.grants]


def test_a_stream_that_grew_into_a_younger_grant_has_drawn_from_it_after_a_restart_too() -> None:
    store, ledger = Store(), Ledger(POLICIES)
    store.submit(HoldTaken(taken(ledger.hold(request("h1", NOON, 100 * CENT)))))
    given = grant(created_at=NOON + HOUR, **LASTS)
    ledger.grants.add(given)
    grown = ledger.grow("h1", 25 * CENT, 1, NOON + 2 * HOUR).change
    assert grown is not None
    store.submit(grown, ledger.settle("h1", at=NOON + 2 * HOUR, usd=125 * CENT, tokens=1).change)
    later = NOON + 4 * DAY
    restored = store.restore(POLICIES, later, [given])
    assert drawn(restored) == drawn(ledger) == [25 * CENT]
    taken(restored.hold(request("h2", later, 105 * CENT)))
    refused(restored.hold(request("h3", later, 1)))


def test_a_hold_taken_after_the_clock_was_set_back_has_drawn_from_a_grant_of_the_future() -> None:
    given = grant(created_at=NOON, **LASTS)
    store, ledger = Store(), Ledger(POLICIES, grants=GrantBook([given]))
    before = NOON - 30 * HOUR
    store.submit(HoldTaken(taken(ledger.hold(request("h1", before, 110 * CENT)))))
    store.submit(ledger.settle("h1", at=before, usd=110 * CENT, tokens=1).change)
    assert drawn(store.restore(POLICIES, NOON + 4 * DAY, [given])) == drawn(ledger) == [10 * CENT]


def test_a_cell_that_no_longer_counts_tells_the_same_whenever_it_was_counted_again() -> None:
    store, ledger = Store(), Ledger(POLICIES)
    for name in ("ends", "stays"):
        store.submit(HoldTaken(taken(ledger.hold(request(name, NOON, CENT)))))
    store.submit(ledger.settle("ends", at=NOON, usd=CENT, tokens=1).change)
    month = PolicySet([policy(interval_kind="rolling_30d")])
    store.change(ledger, month, NOON + 772 * HOUR)
    set_back = NOON + 752 * HOUR
    assert [(state.settled, state.held) for state in ledger.counters(set_back)] == [(0, CENT)]
    assert store.restore(month, set_back).counters(set_back) == ledger.counters(set_back)
