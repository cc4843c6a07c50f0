"""Counters that are rebuilt from an opening balance are those that the holds themselves give."""

from collections.abc import Iterable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule

from palyra.governance.grants import GrantState
from palyra.governance.holds import ended_row
from palyra.governance.ledger import Ledger
from palyra.governance.policy import UsageBudgetPolicyRecord
from palyra.governance.policy_input import edit_policy
from palyra.governance.policy_set import PolicySet
from palyra.governance.verify import LedgerReport, verify
from palyra.journal.opening_balance import alike, opening, together
from palyra.journal.rows import CounterMove, HoldRow
from tests.core.test_windows import at as instant
from tests.governance.policies import policy
from tests.governance.store import Store, request, taken
from tests.governance.test_ledger_machine import LedgerMachine, run_machine

NOON = instant("2026-11-22T12:00")
LATER = [
    policy(
        f"later-{metric}-{kind}", hard=10, metric_kind=metric, interval_kind="lifetime", scope_kind=kind, scope_id=who
    )
    for metric in ("estimated_cost_usd", "total_tokens", "requests")
    for kind, who in (("global", "*"), ("user", "*"), ("session", "*"), ("tag", "team=*"))
]
"""Budgets that nobody had when the holds were taken."""


def folded(rows: Iterable[HoldRow], keep: set[str], pieces: int) -> list[HoldRow]:
    """The rows with all that has ended put together, by the way in as many balances, but for what drew from grants to
    be kept."""
    kept: list[HoldRow] = []
    balances: dict[tuple[int, str], HoldRow] = {}
    for number, row in enumerate(rows):
        if row.state == "held" or any(grant_id in keep for move in row.moves for grant_id, _ in move.drawn):
            kept.append(row)
            continue
        one = opening(row)
        place = number % pieces, repr(alike(one))
        before = balances.get(place)
        balances[place] = one if before is None else together(before, one)
    whole: dict[str, HoldRow] = {}
    for (_, like), one in balances.items():
        # What was put together once may be put together again.
        known = whole.get(like)
        whole[like] = one if known is None else together(known, opening(one))
    return [*(one._replace(hold_id=f"folded:{like}") for like, one in whole.items()), *kept]


def told(report: LedgerReport) -> tuple[object, ...]:
    return report.ok, report.holds, report.overshoot, report.differences, [row.hold_id for row in report.open_holds]


class FoldingMachine(LedgerMachine):
    """What ended is let go of at any moment; no budget's window has an end, and more may be used than was held."""

    proven = False
    taken = 0

    def put(self, record: UsageBudgetPolicyRecord) -> None:
        super().put(edit_policy(record, {"interval_kind": "lifetime"}))

    @rule(pieces=st.integers(1, 3), until=st.floats(0, 1))
    def rebuild(self, pieces: int, until: float) -> None:
        rows = sorted(self.store.rows.values(), key=lambda row: row.created_at)
        grants = list(self.grants)
        keep = {grant.grant_id for grant in grants if grant.state == GrantState.ACTIVE}
        cut = round(len(rows) * until)
        endless = [record for record in self.records.values() if record.interval_kind == "lifetime"]
        for policies in (PolicySet(endless), PolicySet(LATER)):
            before = verify(rows, policies, self.now, grants=grants)
            shorter = [*folded(rows[:cut], keep, pieces), *rows[cut:]]
            assert told(verify(shorter, policies, self.now, grants=grants)) == told(before)
            assert self.counted(shorter, policies) == self.counted(rows, policies)

    def counted(self, rows: list[HoldRow], policies: PolicySet) -> object:
        """Counters as a start makes them, with what is left of grants that are in force."""
        store = Store()
        store.rows = {row.hold_id: row for row in rows}
        ledger = store.restore(policies, self.now, self.grants, self.mode)
        active = [grant for grant in ledger.grants if grant.row.state == GrantState.ACTIVE]
        return ledger.counters(self.now), [(grant.row.grant_id, grant.drawn, grant.sent) for grant in active]


def test_an_opening_balance_counts_as_its_holds_do() -> None:
    run_machine(FoldingMachine, 5_000)


def test_a_price_that_nobody_knew_counts_for_each_hold() -> None:
    flat = policy("flat", interval_kind="lifetime", on_unknown_price="flat:0.05", hard="9.00")
    rows = []
    for number, usd in enumerate((None, 30, None, 5)):
        ledger = Ledger(PolicySet([]))
        row = taken(ledger.hold(request(f"h{number}", NOON, usd)))
        rows.append(ended_row(row, ledger.settle(row.hold_id, at=NOON, usd=usd, tokens=1).change))
    report = [counters(rows, flat), counters(folded(rows, set(), 1), flat)]
    assert report == [[2 * 50_000_000 + 35]] * 2
    assert len(folded(rows, set(), 1)) == 2


def counters(rows: list[HoldRow], record: UsageBudgetPolicyRecord) -> list[int]:
    store = Store()
    store.rows = {row.hold_id: row for row in rows}
    return [state.settled for state in store.restore(PolicySet([record]), NOON).counters(NOON)]


@pytest.mark.parametrize(
    ("moves", "above"),
    [
        ([(60, 50, 100, ()), (50, 70, 100, ())], 0),
        ([(60, 50, 100, ()), (50, 71, 100, ()), (1, 1, 100, ())], 1),
        ([(90, 90, 100, ()), (60, 60, 150, ())], 0),
        ([(90, 90, 150, ()), (60, 60, 100, ())], 0),
        ([(100, 100, 100, ()), (40, 40, 100, (("g1", 40),)), (10, 10, 100, (("g2", 10),))], 0),
        ([(100, 100, 100, ()), (40, 40, 100, (("g1", 30),)), (10, 10, 100, (("g1", 10),))], 10),
        ([(100, 100, 100, ()), (40, 40, None, ())], 0),
    ],
)
def test_what_was_lawful_stays_lawful(
    moves: list[tuple[int, int, int | None, tuple[tuple[str, int], ...]]], above: int
) -> None:
    """Each hold with what it held, charged, its limit in force, and what grants gave."""
    record = policy("house", interval_kind="lifetime")
    rows = []
    for number, (held, actual, limit, drawn) in enumerate(moves):
        row = taken(Ledger(PolicySet([])).hold(request(f"h{number}", NOON, held)))
        move = CounterMove("house", "*", 0, record.metric_kind.value, held, actual, True, drawn, limit)
        rows.append(row._replace(state="settled", terminal_at=NOON, actual_usd=actual, moves=(move,)))
    for some in (rows, folded(rows, set(), 1), folded(reversed(rows), set(), 2)):
        (worst,) = verify(some, PolicySet([record]), NOON).overshoot
        assert worst.amount == above
