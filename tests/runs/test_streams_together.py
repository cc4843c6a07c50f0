"""Many streams on one budget, a journal that lags, limits that move: nothing passes before its slice is durable, nobody
is charged more than was held, and a kill at any moment finds the same in what was written."""

import asyncio
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from palyra.core.clock import settle_loop
from palyra.governance.holds import Refusal
from palyra.runs.meter import StreamMeter
from tests.governance.store import request
from tests.runs.stage import BOUND, EXPECTED, House, Stream, tokens_budget

LIMIT = 6_000
HUGE = 30_000


def still_covered(house: House, streams: list[Stream]) -> None:
    """What holds at every moment."""
    at = house.clock.now_ms()
    rows = house.journal.store.rows
    for stream in streams:
        meter, listener = stream.meter, stream.listener
        so_far = StreamMeter(meter.wire, EXPECTED, meter.q, meter.slice_q, ceiling=meter.ceiling)
        assert so_far.needed_for(listener.shown, None) <= house.journal.covered(stream.hold_id)
    for row in rows.values():
        if row.state == "held" and row.metered_output is not None:
            assert (row.metered_input or 0) + row.metered_output <= row.bound_tokens
            assert (row.metered_usd or 0) <= (row.bound_usd or 0)
    written = sum(row.bound_tokens if row.state == "held" else row.actual_tokens or 0 for row in rows.values())
    assert written <= LIMIT
    assert sum(state.held + state.settled for state in house.ledger.counters(at)) <= LIMIT


async def together(chance: random.Random) -> None:
    house = House(tokens_budget(LIMIT), instant=False)
    streams: list[Stream] = []
    running: dict[str, Stream] = {}
    for step in range(chance.randint(20, 60)):
        match chance.randrange(7):
            case 0 | 1 if len(streams) < 12:
                first = chance.choice([64, 256, 1_024])
                wanted = request("probe", house.clock.now_ms(), 0, BOUND + first)
                held = house.ledger.hold(wanted)
                if not isinstance(held, Refusal):
                    house.ledger.release("probe", at=house.clock.now_ms())
                    usual = chance.choice([None, 100, 400])
                    q = chance.choice([Fraction(1, 4), Fraction(3, 10)])
                    stream = house.stream(
                        first,
                        hold_id=f"h{step}",
                        usual=usual,
                        slice_tokens=chance.choice([16, 128, 512]),
                        ceiling=chance.choice([None, None, 2_000]),
                        q=q,
                    )
                    streams.append(stream)
                    running[stream.hold_id] = stream
            case 2 | 3 | 4 if running:
                stream = chance.choice(list(running.values()))
                most = chance.choice([4, 60, 400, HUGE if chance.random() < 0.1 else 900])
                await stream.says(*[chance.randint(1, most) for _ in range(chance.randint(1, 8))])
            case 5 if running:
                hold_id, stream = chance.choice(list(running.items()))
                stream.done.cancel()
                await asyncio.wait([stream.done])
                held_now = stream.held
                assert stream.settle() <= BOUND + held_now
                del running[hold_id]
            case _:
                house.journal.write(chance.randint(1, 3))
                await settle_loop(30)
        await settle_loop()
        still_covered(house, streams)
    for hold_id, stream in list(running.items()):
        if stream.done.done():
            assert (await stream.done).cut
            held_now = stream.held
            assert stream.settle() <= BOUND + held_now
            del running[hold_id]
    # The engine is killed here.
    restored = house.journal.store.restore(house.policies, house.clock.now_ms())
    for row in restored.open_holds():
        ending = restored.recover(row.hold_id, at=house.clock.now_ms())
        assert ending.change.actual_tokens is not None
        assert ending.change.actual_tokens <= row.bound_tokens
        assert ending.change.overrun == 0
    assert sum(state.settled for state in restored.counters(house.clock.now_ms())) <= LIMIT
    for stream in running.values():
        stream.done.cancel()
    await asyncio.gather(*(stream.done for stream in running.values()), return_exceptions=True)


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_streams_that_share_a_budget_never_outrun_it(seed: int) -> None:
    asyncio.run(together(random.Random(seed)))


@pytest.mark.soak
@settings(max_examples=3_000, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_streams_that_share_a_budget_never_outrun_it_for_long(seed: int) -> None:
    asyncio.run(together(random.Random(seed)))
