"""What a stream gives back of its hold: in every counter at once, in its own windows, and never what a grant paid."""

import pytest

from palyra.governance.grants import GrantBook
from palyra.governance.ledger import Ledger
from palyra.governance.policy_set import PolicySet
from palyra.journal.changes import HoldTaken
from tests.governance.policies import CENT, DOLLAR, policy
from tests.governance.store import Store, refused, request, taken
from tests.governance.test_ledger import DAY, NOON, grant, sums

POLICIES = PolicySet(
    [
        policy(),
        policy("tokens", 1_000, metric_kind="total_tokens"),
        policy("requests", 5, metric_kind="requests"),
        policy("rolling", "2.00", interval_kind="rolling_24h"),
    ]
)


def test_every_counter_gets_its_part_back_in_its_own_unit() -> None:
    ledger, store = Ledger(POLICIES), Store()
    store.submit(HoldTaken(taken(ledger.hold(request("h", NOON, 40 * CENT, 900)))))
    growth = ledger.grow("h", -30 * CENT, -600, NOON + 5)
    assert growth.against == ()
    assert growth.change is not None
    store.submit(growth.change)
    assert sums(ledger) == {
        ("day", "*"): (0, 10 * CENT),
        ("tokens", "*"): (0, 300),
        ("requests", "*"): (0, 1),
        ("rolling", "*"): (0, 10 * CENT),
    }
    assert (growth.change.bound_usd, growth.change.bound_tokens) == (10 * CENT, 300)
    assert store.restore(POLICIES, NOON + 5).counters(NOON + 5) == ledger.counters(NOON + 5)
    taken(ledger.hold(request("other", NOON + 6, 90 * CENT, 700)))
    assert ledger.grow("h", 1, 1, NOON + 7).change is None
    ledger.settle("h", at=NOON + 8, usd=10 * CENT, tokens=300)
    assert sums(ledger)["day", "*"] == (10 * CENT, 90 * CENT)


def test_it_goes_back_to_the_window_it_was_taken_from() -> None:
    ledger = Ledger(POLICIES)
    taken(ledger.hold(request("h", NOON, 40 * CENT, 900)))
    assert ledger.grow("h", -30 * CENT, -600, NOON + DAY).change is not None
    held = {(state.policy_id, state.window_start): state.held for state in ledger.counters(NOON + DAY)}
    assert [amount for (policy_id, _), amount in held.items() if policy_id == "day"] == [10 * CENT]


def test_a_hold_above_a_lowered_limit_may_always_give_back() -> None:
    store, ledger = Store(), Ledger(PolicySet([policy()]))
    store.submit(HoldTaken(taken(ledger.hold(request("h", NOON, 90 * CENT)))))
    store.change(ledger, PolicySet([policy(hard="0.50", revision=2)]), NOON + 1)
    refused(ledger.hold(request("other", NOON + 2, 1)))
    assert ledger.grow("h", -60 * CENT, -1, NOON + 3).change is not None
    taken(ledger.hold(request("third", NOON + 4, 20 * CENT)))


def test_an_unknown_price_keeps_what_stands_for_it() -> None:
    ledger = Ledger(PolicySet([policy(on_unknown_price="flat:0.25"), policy("t", 900, metric_kind="total_tokens")]))
    taken(ledger.hold(request("h", NOON, None, 900)))
    growth = ledger.grow("h", None, -500, NOON)
    assert growth.change is not None
    assert growth.change.bound_usd is None
    assert sums(ledger) == {("day", "*"): (0, 25 * CENT), ("t", "*"): (0, 400)}


@pytest.mark.parametrize("usd", [DOLLAR + 10 * CENT, DOLLAR + 50 * CENT])
def test_what_a_grant_paid_is_not_given_back(usd: int) -> None:
    ledger = Ledger(PolicySet([policy()]), grants=GrantBook([grant()]))
    taken(ledger.hold(request("h", NOON, usd, 10)))
    before = ledger.counters(NOON)
    assert ledger.grow("h", -CENT, -1, NOON).change is None
    assert ledger.counters(NOON) == before


def test_nobody_gives_back_more_than_was_held() -> None:
    ledger = Ledger(PolicySet([policy()]))
    taken(ledger.hold(request("h", NOON, 10 * CENT, 10)))
    before = ledger.counters(NOON)
    assert ledger.grow("h", -11 * CENT, -1, NOON).change is None
    assert ledger.counters(NOON) == before
