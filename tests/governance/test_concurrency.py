"""However requests come in between one another, exactly as many are admitted as fit."""

import asyncio
import random

from hypothesis import given
from hypothesis import strategies as st

from palyra.governance.holds import HoldRequest
from palyra.governance.ledger import Ledger
from palyra.governance.policy_set import PolicySet
from palyra.journal.rows import HoldRow
from tests.core.test_windows import at as instant
from tests.governance.plans import DEFAULT, NANO_PER_TOKEN, plan
from tests.governance.policies import policy, scope
from tests.governance.store import request

NOON = instant("2026-11-22T12:00")
BOUND = 1000 * NANO_PER_TOKEN


def limit(fitting: int) -> PolicySet:
    """Room for so many requests of 1,000 tokens, and a nano-dollar less than one more."""
    nano = (fitting + 1) * BOUND - 1
    return PolicySet([policy(hard=f"{nano // 10**9}.{nano % 10**9:09d}"), policy("wide", hard="1000")])


@given(
    fitting=st.integers(0, 12),
    wanted=st.integers(1, 30),
    order=st.randoms(use_true_random=False),
    ends=st.lists(st.sampled_from(["release", "settle", "cheaper"]), max_size=20),
)
def test_as_many_are_held_as_fit_in_any_order(fitting: int, wanted: int, order: random.Random, ends: list[str]) -> None:
    ledger = Ledger(limit(fitting))
    waiting, opened, gone = [f"h{number}" for number in range(wanted)], list[str](), 0
    left = list(ends)
    room = (fitting + 1) * BOUND - 1
    while waiting or (left and opened):
        if waiting and (not opened or not left or order.random() < 0.5):
            hold_id = waiting.pop(order.randrange(len(waiting)))
            admitted = isinstance(ledger.hold(request(hold_id, NOON, BOUND)), HoldRow)
            assert admitted is (gone + (len(opened) + 1) * BOUND <= room)
            if admitted:
                opened.append(hold_id)
        else:
            hold_id = opened.pop(order.randrange(len(opened)))
            end = left.pop()
            used = {"release": 0, "settle": BOUND, "cheaper": BOUND // 3}[end]
            if end == "release":
                ledger.release(hold_id, at=NOON)
            else:
                ledger.settle(hold_id, at=NOON, usd=used, tokens=1)
            gone += used
        assert gone + len(opened) * BOUND <= room


async def test_tasks_that_plan_and_hold_in_one_step_admit_exactly_as_many_as_fit() -> None:
    for seed in range(20):
        rng = random.Random(seed)
        fitting = rng.randrange(0, 15)
        ledger = Ledger(limit(fitting))

        async def one(number: int, turns: int, ledger: Ledger = ledger) -> bool:
            for _ in range(turns):
                await asyncio.sleep(0)
            made = plan(ledger, NOON, candidates=(DEFAULT,), run_id=f"r{number}")
            if not made.proceeds or made.clamped is not None:
                return False
            assert made.estimate is not None
            held = ledger.hold(
                HoldRequest(
                    hold_id=f"h{number}",
                    run_id=f"r{number}",
                    attempt=1,
                    boot_id="b",
                    scope=scope(),
                    provider="b",
                    model="b/default",
                    at=NOON,
                    bound_usd=made.estimate.bound_usd,
                    bound_tokens=made.estimate.bound_output,
                    expected_input=1,
                    expected_usd=1,
                    price_state="known",
                )
            )
            return isinstance(held, HoldRow)

        results = await asyncio.gather(*(one(number, rng.randrange(0, 9)) for number in range(40)))
        assert sum(results) == fitting
        assert len(ledger.open_holds()) == fitting
