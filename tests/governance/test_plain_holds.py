"""Holds that fit without a second look do what weighed ones do, and look like them."""

from hypothesis import given
from hypothesis import strategies as st

from palyra.governance.evaluate import Demand
from palyra.governance.ledger import Ledger
from palyra.governance.policy_set import PolicySet
from palyra.journal.changes import HoldTaken
from palyra.journal.moves import PlainMoves
from palyra.journal.rows import CounterMove
from palyra.journal.tables import dumps, moves_text
from tests.governance.policies import CENT, policy, scope
from tests.governance.store import Store, refused, request, taken
from tests.governance.test_ledger import DAY, NOON, sums

SEVERAL = PolicySet(
    [
        policy("day"),
        policy("minute", hard=500, interval_kind="rolling_24h", metric_kind="total_tokens"),
        policy("times", hard=90, scope_kind="user", interval_kind="hourly", metric_kind="requests"),
    ]
)


def test_a_second_hold_records_what_a_first_one_does() -> None:
    ledger = Ledger(SEVERAL)
    first = taken(ledger.hold(request("h1", NOON, CENT, 7)))
    second = taken(ledger.hold(request("h2", NOON, CENT, 7)))
    assert isinstance(second.moves, PlainMoves)
    assert second.moves == first.moves
    assert tuple(second.moves) == tuple(first.moves)
    assert second.moves[1] == CounterMove("minute", "*", NOON, "total_tokens", 7, None, True, (), 500, "rolling_24h")
    assert (len(second.moves), hash(second.moves), repr(second.moves)) == (3, hash(first.moves), repr(first.moves))
    assert second.moves != first.moves[:2]
    ends = [ledger.settle(name, at=NOON, usd=3, tokens=2).change.moves for name in ("h1", "h2")]
    assert ends[0] == ends[1]
    assert moves_text(ends[1]) == moves_text(tuple(ends[0])) == dumps([m[: 10 if m.rolling else 9] for m in ends[0]])


@given(
    steps=st.lists(
        st.tuples(st.integers(0, 40 * CENT), st.integers(0, 120), st.sampled_from([0, 1_000, 60_000, 3_600_000, DAY])),
        min_size=1,
        max_size=25,
    )
)
def test_counters_are_those_of_a_ledger_that_looks_twice_every_time(steps: list[tuple[int, int, int]]) -> None:
    plain, twice = Ledger(SEVERAL), Ledger(SEVERAL)
    at = NOON
    for number, (usd, tokens, pause) in enumerate(steps):
        at += pause
        asked = request(f"h{number}", at, usd, tokens)
        twice.apply(twice.begin(SEVERAL, at), at)
        assert plain.hold(asked) == twice.hold(asked)
        assert plain.counters(at) == twice.counters(at)
        if number % 2 and plain.open_hold(asked.hold_id):
            ends = [one.settle(asked.hold_id, at=at, usd=usd // 2, tokens=tokens).change for one in (plain, twice)]
            assert ends[0] == ends[1]
    assert plain.counters(at) == twice.counters(at)


def test_a_look_into_the_future_does_not_move_a_rolling_budget() -> None:
    ledger = Ledger(PolicySet([policy("minute", hard=100, interval_kind="rolling_24h", metric_kind="requests")]))
    for number in range(100):
        taken(ledger.hold(request(f"h{number}", NOON, 0)))
        (ahead,) = ledger.evaluate(scope(), "openai", "openai/gpt", Demand(0, 0), at=NOON + 2 * DAY)
        assert (ahead.held, ahead.refused) == (0, False)
    refused(ledger.hold(request("one too many", NOON, 0)))


def test_a_hold_remembers_the_limit_it_was_admitted_under() -> None:
    ledger = Ledger(PolicySet([policy(hard="1.00")]))
    rows = [taken(ledger.hold(request(name, NOON, CENT))) for name in ("h1", "h2")]
    ledger.apply(ledger.begin(PolicySet([policy(hard="0.50")]), NOON), NOON)
    after = taken(ledger.hold(request("h3", NOON, CENT)))
    assert [move.limit for row in (*rows, after) for move in row.moves] == [100 * CENT, 100 * CENT, 50 * CENT]
    assert ledger.settle("h2", at=NOON, usd=CENT, tokens=1).change.moves[0].limit == 100 * CENT


def test_a_plain_hold_settles_in_what_is_left_of_its_policies() -> None:
    store, ledger = Store(), Ledger(SEVERAL)
    for name in ("h1", "h2", "h3"):
        store.submit(HoldTaken(taken(ledger.hold(request(name, NOON, CENT, 7)))))
    left = PolicySet([policy("day"), policy("minute", hard=500, interval_kind="daily", metric_kind="total_tokens")])
    store.change(ledger, left, NOON)
    store.submit(ledger.settle("h2", at=NOON, usd=2 * CENT, tokens=5).change)
    store.submit(ledger.settle("h3", at=NOON, usd=None, tokens=5).change)
    assert sums(ledger) == {("day", "*"): (3 * CENT, CENT), ("minute", "*"): (10, 7)}
    assert ledger.counters(NOON) == store.restore(left, NOON).counters(NOON)
