import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palyra.config.choices import OrphanHolds, RoutingMode
from palyra.governance.counters import KEPT_MS
from palyra.governance.grants import GrantBook
from palyra.governance.holds import ClockBehindError, Ending, UnknownHoldError
from palyra.governance.ledger import Ledger
from palyra.governance.policy_set import PolicySet
from palyra.journal.changes import HoldTaken
from palyra.journal.rows import GrantRow
from tests.core.test_windows import at as instant
from tests.governance.policies import CENT, DOLLAR, policy, scope
from tests.governance.store import Store, refused, request, statuses, taken

NOON = instant("2026-11-22T12:00")
DAY = 86_400_000


def sums(ledger: Ledger, at: int = NOON) -> dict[tuple[str, str], tuple[int, int]]:
    """(settled, held) per policy and scope value."""
    return {(state.policy_id, state.scope_value): (state.settled, state.held) for state in ledger.counters(at)}


def grant(grant_id: str = "g", cap: int = DOLLAR, **fields: Any) -> GrantRow:
    given: dict[str, Any] = {
        "version": 1,
        "approval_id": "a",
        "kind": "session",
        "policy_id": "day",
        "scope_value": "*",
        "principal": "ann",
        "session": "main",
        "metric": "estimated_cost_usd",
        "created_at": NOON - 1000,
        "expires_at": NOON + 1000 * 60,
        "window_start": None,
        "state": "active",
        **fields,
    }
    return GrantRow(grant_id=grant_id, cap=cap, **given)


def test_a_hold_reserves_and_a_settlement_charges_what_was_used() -> None:
    ledger = Ledger(PolicySet([policy()]))
    row = taken(ledger.hold(request("h1", NOON, 40 * CENT)))
    assert sums(ledger) == {("day", "*"): (0, 40 * CENT)}
    assert [(move.policy_id, move.held, move.actual, move.enforced, move.limit) for move in row.moves] == [
        ("day", 40 * CENT, None, True, DOLLAR)
    ]
    ending = ledger.settle("h1", at=NOON + 5, usd=13 * CENT, tokens=90)
    assert sums(ledger) == {("day", "*"): (13 * CENT, 0)}
    assert ending.first
    assert (ending.change.state, ending.change.actual_usd, ending.change.actual_tokens) == ("settled", 13 * CENT, 90)
    assert ending.change.moves[0].actual == 13 * CENT


def test_equality_with_the_limit_passes_and_one_nano_dollar_more_does_not() -> None:
    ledger = Ledger(PolicySet([policy()]))
    taken(ledger.hold(request("h1", NOON, 90 * CENT)))
    assert statuses(refused(ledger.hold(request("h2", NOON, 10 * CENT + 1)))) == {"day": "blocked"}
    taken(ledger.hold(request("h3", NOON, 10 * CENT)))


def test_all_counters_move_or_none() -> None:
    ledger = Ledger(PolicySet([policy("a"), policy("b", hard="0.10"), policy("c", hard=5, metric_kind="requests")]))
    before = ledger.version
    assert statuses(refused(ledger.hold(request("h1", NOON, 20 * CENT)))) == {"a": "ok", "b": "blocked", "c": "ok"}
    assert sums(ledger) == {}
    assert ledger.open_holds() == ()
    assert ledger.version == before
    taken(ledger.hold(request("h2", NOON, 10 * CENT, 50)))
    assert sums(ledger) == {("a", "*"): (0, 10 * CENT), ("b", "*"): (0, 10 * CENT), ("c", "*"): (0, 1)}


def test_each_metric_is_charged_in_its_own_unit() -> None:
    ledger = Ledger(
        PolicySet(
            [
                policy("usd"),
                policy("tokens", hard=1000, metric_kind="total_tokens"),
                policy("requests", hard=2, metric_kind="requests"),
            ]
        )
    )
    taken(ledger.hold(request("h1", NOON, 5 * CENT, 300)))
    ledger.settle("h1", at=NOON, usd=4 * CENT, tokens=250)
    assert sums(ledger) == {("usd", "*"): (4 * CENT, 0), ("tokens", "*"): (250, 0), ("requests", "*"): (1, 0)}


@pytest.mark.parametrize("again", ["settle", "release", "expire", "recover"])
def test_a_second_end_changes_nothing_and_tells_the_first(again: str) -> None:
    ledger = Ledger(PolicySet([policy()]))
    taken(ledger.hold(request("h1", NOON, 40 * CENT)))
    first = ledger.settle("h1", at=NOON, usd=10 * CENT, tokens=5)
    before, version = sums(ledger), ledger.version
    ends = {
        "settle": lambda: ledger.settle("h1", at=NOON + 9, usd=DOLLAR, tokens=500),
        "release": lambda: ledger.release("h1", at=NOON + 9),
        "expire": lambda: ledger.expire("h1", at=NOON + 9),
        "recover": lambda: ledger.recover("h1", at=NOON + 9),
    }
    assert ends[again]() == Ending(first.change, False)
    assert (sums(ledger), ledger.version) == (before, version)


def test_a_released_hold_leaves_no_trace_in_any_counter() -> None:
    ledger = Ledger(PolicySet([policy(), policy("r", hard=3, metric_kind="requests")]))
    taken(ledger.hold(request("h1", NOON, 40 * CENT, 10)))
    change = ledger.release("h1", at=NOON).change
    assert sums(ledger) == {}
    assert (change.state, change.actual_usd, change.requests) == ("released", 0, 0)


def test_an_unknown_hold_cannot_be_ended_or_grown() -> None:
    ledger = Ledger()
    with pytest.raises(UnknownHoldError):
        ledger.settle("nobody", at=NOON, usd=0, tokens=0)
    with pytest.raises(UnknownHoldError):
        ledger.grow("nobody", 1, 1, NOON)


def test_a_hold_belongs_for_life_to_the_window_it_was_taken_in() -> None:
    ledger = Ledger(PolicySet([policy(timezone="Europe/Prague")]))
    last = instant("2026-11-22T22:59:59.999")
    taken(ledger.hold(request("h1", last, 40 * CENT)))
    next_day = last + 3_001
    taken(ledger.hold(request("h2", next_day, DOLLAR)))
    assert ledger.grow("h1", 10 * CENT, 5, next_day).change is not None
    ledger.settle("h1", at=next_day, usd=45 * CENT, tokens=1)
    starts = {state.window_start: (state.settled, state.held) for state in ledger.counters(next_day)}
    assert starts == {instant("2026-11-22T23:00"): (0, DOLLAR)}
    (yesterday,) = ledger.counters(last)[:1]
    assert (yesterday.window_start, yesterday.settled) == (instant("2026-11-21T23:00"), 45 * CENT)


def test_another_sessions_spending_moves_nothing_here() -> None:
    ledger = Ledger(PolicySet([policy("b", scope_kind="session", scope_id="b"), policy("each", scope_kind="session")]))
    taken(ledger.hold(request("h1", NOON, 40 * CENT, scope=scope(session="a"))))
    assert sums(ledger) == {("each", "a"): (0, 40 * CENT)}


def test_a_stream_grows_slice_by_slice_until_nothing_is_left() -> None:
    ledger = Ledger(PolicySet([policy(), policy("tokens", hard=100, metric_kind="total_tokens")]))
    taken(ledger.hold(request("h1", NOON, 40 * CENT, 40)))
    grown = ledger.grow("h1", 40 * CENT, 40, NOON)
    assert grown.change is not None
    assert (grown.change.bound_usd, grown.change.bound_tokens) == (80 * CENT, 80)
    assert {move.policy_id: move.held for move in grown.change.moves} == {"day": 80 * CENT, "tokens": 80}
    none_left = ledger.grow("h1", 20 * CENT, 40, NOON)
    assert none_left.change is None
    assert [(item.policy_id, item.status.value) for item in none_left.against] == [("tokens", "blocked")]
    assert sums(ledger) == {("day", "*"): (0, 80 * CENT), ("tokens", "*"): (0, 80)}


def test_a_loose_mode_lets_a_stream_grow_and_tells_who_would_not() -> None:
    ledger = Ledger(PolicySet([policy()]), default_mode=RoutingMode.DRY_RUN)
    taken(ledger.hold(request("h1", NOON, 90 * CENT)))
    grown = ledger.grow("h1", 20 * CENT, 10, NOON)
    assert grown.change is not None
    assert [item.would_refuse for item in grown.against] == [True]
    assert grown.change.moves[0].enforced is False


def test_a_request_that_asked_for_enforcement_keeps_it_while_it_grows() -> None:
    ledger = Ledger(PolicySet([policy()]), default_mode=RoutingMode.SUGGEST)
    taken(ledger.hold(request("h1", NOON, 90 * CENT, requested_mode=RoutingMode.ENFORCED)))
    assert ledger.grow("h1", 20 * CENT, 10, NOON).change is None


def test_holds_count_but_are_not_refused_by_an_advising_budget() -> None:
    ledger = Ledger(PolicySet([policy(action="advise")]))
    for number in range(3):
        row = taken(ledger.hold(request(f"h{number}", NOON, DOLLAR)))
    assert row.moves[0].enforced is False
    assert sums(ledger) == {("day", "*"): (0, 3 * DOLLAR)}


def test_more_used_than_held_is_charged_and_told() -> None:
    ledger = Ledger(PolicySet([policy()]))
    taken(ledger.hold(request("h1", NOON, 40 * CENT)))
    assert ledger.settle("h1", at=NOON, usd=140 * CENT, tokens=1).change.overrun == DOLLAR
    assert sums(ledger) == {("day", "*"): (140 * CENT, 0)}
    refused(ledger.hold(request("h2", NOON, 0, 1)))


@pytest.mark.parametrize(
    ("rule", "held", "settled"), [("flat:0.25", 25 * CENT, 25 * CENT), ("allow", 0, 0), ("flat:0", 0, 0)]
)
def test_an_unknown_price_holds_and_charges_what_the_budget_says(rule: str, held: int, settled: int) -> None:
    ledger = Ledger(PolicySet([policy(on_unknown_price=rule), policy("t", hard=999, metric_kind="total_tokens")]))
    row = taken(ledger.hold(request("h1", NOON, None, 70)))
    assert row.price_state == ("unknown_flat" if rule.startswith("flat") else "unknown")
    assert {move.policy_id: move.held for move in row.moves} == {"day": held, "t": 70}
    assert ledger.grow("h1", None, 30, NOON).change is not None
    ending = ledger.settle("h1", at=NOON, usd=None, tokens=60)
    assert {move.policy_id: move.actual for move in ending.change.moves} == {"day": settled, "t": 60}
    assert ending.change.actual_usd is None
    assert ending.flat == (settled or None)


def test_a_blocking_rule_refuses_an_unknown_price_where_it_is_enforced() -> None:
    blocks = PolicySet([policy(on_unknown_price="block")])
    assert statuses(refused(Ledger(blocks).hold(request("h1", NOON, None)))) == {"day": "blocked"}
    taken(Ledger(blocks, default_mode=RoutingMode.SUGGEST).hold(request("h1", NOON, None)))


def test_a_cost_that_turns_out_unknown_is_charged_at_its_bound_and_never_as_nothing() -> None:
    ledger = Ledger(PolicySet([policy()]))
    taken(ledger.hold(request("h1", NOON, 30 * CENT)))
    ledger.settle("h1", at=NOON, usd=None, tokens=9)
    assert sums(ledger) == {("day", "*"): (30 * CENT, 0)}


def test_a_grant_is_drawn_in_the_holds_own_step_and_returned_when_less_was_used() -> None:
    grants = GrantBook([grant(cap=30 * CENT)])
    ledger = Ledger(PolicySet([policy()]), grants=grants)
    taken(ledger.hold(request("h1", NOON, 90 * CENT)))
    row = taken(ledger.hold(request("h2", NOON, 30 * CENT)))
    assert row.moves[0].drawn == (("g", 20 * CENT),)
    refused(ledger.hold(request("h3", NOON, 11 * CENT)))
    ending = ledger.settle("h2", at=NOON, usd=15 * CENT, tokens=1)
    assert ending.change.moves[0].drawn == (("g", 5 * CENT),)
    held = grants.get("g")
    assert held is not None
    assert held.remaining == 25 * CENT
    taken(ledger.hold(request("h4", NOON, 25 * CENT)))


def test_a_slice_draws_from_a_grant_too() -> None:
    ledger = Ledger(PolicySet([policy()]), grants=GrantBook([grant(cap=30 * CENT)]))
    taken(ledger.hold(request("h1", NOON, 90 * CENT)))
    for _ in range(2):
        grown = ledger.grow("h1", 20 * CENT, 1, NOON)
    assert grown.change is not None
    assert grown.change.moves[0].drawn == (("g", 30 * CENT),)
    assert ledger.grow("h1", 1, 1, NOON).change is None


def test_older_grants_are_drawn_first_and_given_back_last() -> None:
    grants = GrantBook([grant("new", 20 * CENT, created_at=NOON), grant("old", 20 * CENT)])
    ledger = Ledger(PolicySet([policy(hard="0")]), grants=grants)
    row = taken(ledger.hold(request("h1", NOON, 30 * CENT)))
    assert row.moves[0].drawn == (("old", 20 * CENT), ("new", 10 * CENT))
    ending = ledger.settle("h1", at=NOON, usd=15 * CENT, tokens=1)
    assert ending.change.moves[0].drawn == (("old", 15 * CENT), ("new", 0))


@pytest.mark.parametrize(
    ("fields", "asks", "serves"),
    [
        ({"kind": "session"}, {}, True),
        ({"kind": "session"}, {"scope": scope(session="other")}, False),
        ({"kind": "session"}, {"scope": scope(principal="bob")}, False),
        ({"kind": "once"}, {}, True),
        ({"kind": "once"}, {"scope": scope(principal="bob")}, False),
        ({"kind": "amount"}, {"scope": scope(principal="bob", session="x")}, True),
        ({"kind": "amount", "window_start": instant("2026-11-22T00:00")}, {}, True),
        ({"kind": "amount", "window_start": instant("2026-11-21T00:00")}, {}, False),
        ({"kind": "session", "state": "revoked"}, {}, False),
        ({"kind": "session", "policy_id": "other"}, {}, False),
        ({"kind": "session", "scope_value": "elsewhere"}, {}, False),
        ({"kind": "timeboxed", "expires_at": NOON + 1}, {}, True),
        ({"kind": "timeboxed", "expires_at": NOON}, {}, False),
    ],
)
def test_a_grant_serves_those_it_was_made_for(fields: dict[str, Any], asks: dict[str, Any], serves: bool) -> None:
    ledger = Ledger(PolicySet([policy(hard="0")]), grants=GrantBook([grant(**fields)]))
    outcome = ledger.hold(request("h1", NOON, CENT, **asks))
    (taken if serves else refused)(outcome)


def test_a_once_grant_serves_one_run_with_its_retries_and_revives_when_nothing_was_drawn() -> None:
    ledger = Ledger(PolicySet([policy(hard="0")]), grants=GrantBook([grant(kind="once", cap=50 * CENT)]))
    taken(ledger.hold(request("h1", NOON, 20 * CENT, run_id="r1")))
    refused(ledger.hold(request("h2", NOON, 20 * CENT, run_id="r2")))
    ledger.release("h1", at=NOON)
    taken(ledger.hold(request("h3", NOON, 20 * CENT, run_id="r1")))
    ledger.release("h3", at=NOON)
    taken(ledger.hold(request("h4", NOON, 20 * CENT, run_id="r2")))
    ledger.settle("h4", at=NOON, usd=CENT, tokens=1)
    refused(ledger.hold(request("h5", NOON, CENT, run_id="r3")))


def test_a_hold_draws_no_more_than_its_own_even_where_the_budget_was_over_before() -> None:
    grants = GrantBook([grant(cap=DOLLAR)])
    ledger = Ledger(PolicySet([policy()]), grants=grants)
    taken(ledger.hold(request("h1", NOON, 90 * CENT)))
    ledger.settle("h1", at=NOON, usd=140 * CENT, tokens=1)
    row = taken(ledger.hold(request("h2", NOON, 10 * CENT)))
    assert row.moves[0].drawn == (("g", 10 * CENT),)
    assert ledger.release("h2", at=NOON).change.moves[0].drawn == ()
    assert [one.drawn for one in grants] == [0]


def test_a_stream_that_outlives_its_rolling_window_does_not_grow_for_ever() -> None:
    ledger = Ledger(PolicySet([policy(interval_kind="rolling_24h")]))
    taken(ledger.hold(request("h1", NOON, 60 * CENT)))
    later = NOON + 2 * DAY
    assert ledger.grow("h1", 40 * CENT, 1, later).change is not None
    assert ledger.grow("h1", 1, 1, later).change is None


def test_a_rolling_budget_lets_a_charge_go_a_bucket_late() -> None:
    ledger = Ledger(PolicySet([policy(interval_kind="rolling_24h")]))
    charged = instant("2026-11-21T10:00:30")
    taken(ledger.hold(request("h1", charged, 60 * CENT)))
    ledger.settle("h1", at=charged + 5_000, usd=60 * CENT, tokens=1)
    refused(ledger.hold(request("h2", instant("2026-11-22T10:00:59.999"), 60 * CENT)))
    taken(ledger.hold(request("h3", instant("2026-11-22T10:01:00"), 60 * CENT)))


def test_a_clock_set_back_finds_what_was_spent() -> None:
    for interval in ("hourly", "rolling_24h"):
        ledger = Ledger(PolicySet([policy(interval_kind=interval)]))
        taken(ledger.hold(request("h1", NOON, 60 * CENT)))
        taken(ledger.hold(request("h2", NOON + 26 * 3_600_000, 60 * CENT)))
        refused(ledger.hold(request("h3", NOON + 1000, 60 * CENT)))


def test_a_clock_set_back_beyond_memory_holds_nothing() -> None:
    ledger = Ledger(PolicySet([policy(interval_kind="hourly")]))
    taken(ledger.hold(request("h1", NOON, 60 * CENT)))
    ledger.settle("h1", at=NOON, usd=60 * CENT, tokens=1)
    taken(ledger.hold(request("h2", NOON + KEPT_MS + DAY, 60 * CENT)))
    with pytest.raises(ClockBehindError, match="Set the clock right"):
        ledger.hold(request("h3", NOON, 60 * CENT))


def test_counting_again_after_a_clock_was_set_right_finds_what_memory_forgot() -> None:
    policies = PolicySet([policy(interval_kind="hourly")])
    ledger, store = Ledger(policies), Store()
    store.submit(HoldTaken(taken(ledger.hold(request("h1", NOON, 60 * CENT)))))
    store.submit(ledger.settle("h1", at=NOON, usd=60 * CENT, tokens=1).change)
    ahead = NOON + KEPT_MS + DAY
    store.submit(HoldTaken(taken(ledger.hold(request("h2", ahead, 60 * CENT)))))
    assert (ledger.books.behind(ahead), ledger.books.behind(NOON + 1)) == (False, True)
    recount = ledger.begin(policies, NOON + 1, anew=True)
    for row in store.rows.values():
        recount.add(row)
    ledger.apply(recount, NOON + 1)
    assert not ledger.books.behind(NOON + 1)
    refused(ledger.hold(request("h3", NOON + 1, 60 * CENT)))
    taken(ledger.hold(request("h4", NOON + 1, 40 * CENT)))
    ledger.settle("h2", at=ahead, usd=CENT, tokens=1)
    assert [(state.settled, state.held) for state in ledger.counters(ahead)] == [(0, 40 * CENT), (CENT, 0)]


def test_counting_again_does_not_bring_back_a_hold_whose_end_is_still_to_be_written() -> None:
    """The journal was away when it ended: its row there is open yet, and nobody would ever end it again."""
    ledger, store = Ledger(PolicySet([policy()])), Store()
    for hold_id in ("charged", "given back", "alive"):
        store.submit(HoldTaken(taken(ledger.hold(request(hold_id, NOON, 30 * CENT)))))
    late = [ledger.settle("charged", at=NOON, usd=13 * CENT, tokens=1), ledger.release("given back", at=NOON)]
    wanted = PolicySet([policy(interval_kind="weekly")])
    store.change(ledger, wanted, NOON + 1)
    assert sums(ledger) == {("day", "*"): (13 * CENT, 30 * CENT)}
    assert [row.hold_id for row in ledger.open_holds()] == ["alive"]
    store.submit(*(ending.change for ending in late))
    assert sums(store.restore(wanted, NOON + 2)) == sums(ledger)


def test_a_window_with_an_open_hold_is_not_forgotten() -> None:
    ledger = Ledger(PolicySet([policy(interval_kind="hourly")]))
    taken(ledger.hold(request("h1", NOON, 60 * CENT)))
    later = NOON + KEPT_MS + DAY
    taken(ledger.hold(request("h2", later, 60 * CENT)))
    assert sorted(state.held for state in ledger.counters(later)) == [60 * CENT, 60 * CENT]
    ledger.settle("h1", at=later, usd=CENT, tokens=1)
    assert [state.held for state in ledger.counters(later)] == [60 * CENT]


@pytest.mark.parametrize(
    ("metered", "orphans", "charged", "state"),
    [
        (13 * CENT, OrphanHolds.CHARGE, 13 * CENT, "settled"),
        (None, OrphanHolds.CHARGE, 40 * CENT, "settled"),
        (13 * CENT, OrphanHolds.RELEASE, 0, "released"),
    ],
)
def test_a_dead_engines_hold_is_charged_as_metered_else_at_its_bound(
    metered: int | None, orphans: OrphanHolds, charged: int, state: str
) -> None:
    policies, store = PolicySet([policy()]), Store()
    ledger = Ledger(policies)
    store.submit(HoldTaken(taken(ledger.hold(request("h1", NOON, 40 * CENT, 100)))))
    if metered is not None:
        store.submit(ledger.meter("h1", 20, 640, metered))
    restored = store.restore(policies, NOON + 1000)
    change = restored.recover("h1", at=NOON + 1000, orphans=orphans).change
    assert (change.state, change.actual_usd, change.recovered) == (state, charged, True)
    assert restored.open_holds() == ()
    assert sum(state.settled for state in restored.counters(NOON + 1000)) == charged


def test_a_new_limit_leaves_what_was_settled() -> None:
    ledger = Ledger(PolicySet([policy(hard="10")]))
    taken(ledger.hold(request("h1", NOON, 7 * DOLLAR)))
    ledger.settle("h1", at=NOON, usd=7 * DOLLAR, tokens=1)
    recount = ledger.begin(PolicySet([policy(hard="12")]), NOON)
    assert not recount.needs_rows
    assert ledger.apply(recount, NOON) == ()
    assert sums(ledger) == {("day", "*"): (7 * DOLLAR, 0)}
    taken(ledger.hold(request("h2", NOON, 5 * DOLLAR)))
    refused(ledger.hold(request("h3", NOON, 1)))


@pytest.mark.parametrize(
    ("edited", "expected"),
    [
        (policy(interval_kind="monthly", hard="9"), {("day", "*"): (60 * CENT, 25 * CENT)}),
        (policy(scope_kind="user", hard="9"), {("day", "ann"): (30 * CENT, 0), ("day", "bob"): (0, 25 * CENT)}),
        (policy(hard=9, metric_kind="requests"), {("day", "*"): (1, 1)}),
        (policy(timezone="Asia/Tokyo", hard="9"), {("day", "*"): (0, 25 * CENT)}),
    ],
)
def test_another_window_or_scope_is_counted_again_from_history(
    edited: Any, expected: dict[tuple[str, str], tuple[int, int]]
) -> None:
    store, ledger = Store(), Ledger(PolicySet([policy(hard="9")]))
    evening = instant("2026-11-22T16:00")
    for hold_id, at, name in (("h0", NOON - DAY, "ann"), ("h1", NOON, "ann"), ("h2", evening, "bob")):
        held = ledger.hold(request(hold_id, at, 25 * CENT, scope=scope(principal=name)))
        store.submit(HoldTaken(taken(held)))
    for hold_id in ("h0", "h1"):
        store.submit(ledger.settle(hold_id, at=NOON, usd=30 * CENT, tokens=1).change)
    store.change(ledger, PolicySet([edited]), evening)
    assert sums(ledger, evening) == expected
    store.submit(ledger.settle("h2", at=evening, usd=5 * CENT, tokens=1).change)
    assert ledger.counters(evening) == store.restore(PolicySet([edited]), evening).counters(evening)


@pytest.mark.parametrize("interval", ["hourly", "daily", "rolling_24h", "rolling_30d", "lifetime"])
@given(ages=st.lists(st.integers(0, 40 * 24), max_size=12), order=st.randoms(use_true_random=False))
def test_rows_may_be_counted_in_any_order(interval: str, ages: list[int], order: random.Random) -> None:
    policies, store = PolicySet([policy(hard="none", soft_limit="1", interval_kind=interval)]), Store()
    ledger = Ledger(policies)
    for number, age in enumerate(sorted(ages, reverse=True)):
        at = NOON - age * 3_600_000
        store.submit(HoldTaken(taken(ledger.hold(request(f"h{number}", at, 1 + number)))))
        if number % 3:
            store.submit(ledger.settle(f"h{number}", at=at, usd=1 + number, tokens=1).change)
    rows = list(store.rows.values())
    order.shuffle(rows)
    store.rows = {row.hold_id: row for row in rows}
    restored = store.restore(policies, NOON)
    assert restored.counters(NOON) == ledger.counters(NOON)
    (here,) = restored.views(scope(), "openai", "openai/gpt", at=NOON)
    (there,) = ledger.views(scope(), "openai", "openai/gpt", at=NOON)
    assert here == there


def test_holds_that_begin_and_end_during_a_recount_are_counted_once() -> None:
    store, ledger = Store(), Ledger(PolicySet([policy(hard="9")]))
    for hold_id in ("before", "ends early", "ends late", "stays"):
        store.submit(HoldTaken(taken(ledger.hold(request(hold_id, NOON, 10 * CENT)))))
    store.submit(ledger.settle("before", at=NOON, usd=CENT, tokens=1).change)
    both = PolicySet([policy(hard="9"), policy("new", hard="5", scope_kind="user")])
    recount = ledger.begin(both, NOON)
    store.submit(ledger.settle("ends early", at=NOON, usd=2 * CENT, tokens=1).change)
    rows = list(store.rows.values())
    store.submit(ledger.settle("ends late", at=NOON, usd=3 * CENT, tokens=1).change)
    store.submit(HoldTaken(taken(ledger.hold(request("began", NOON, 20 * CENT)))))
    for row in rows:
        recount.add(row)
    joined = ledger.apply(recount, NOON)
    assert sorted(change.hold_id for change in joined) == ["began", "stays"]
    assert sums(ledger) == {("day", "*"): (6 * CENT, 30 * CENT), ("new", "ann"): (6 * CENT, 30 * CENT)}
    store.submit(*joined)
    assert ledger.counters(NOON) == store.restore(both, NOON).counters(NOON)


def test_a_recount_that_was_overtaken_is_refused() -> None:
    ledger = Ledger()
    early = ledger.begin(PolicySet([policy("a")]), NOON)
    ledger.begin(PolicySet([policy("b")]), NOON)
    with pytest.raises(ValueError, match="overtaken"):
        ledger.apply(early, NOON)
