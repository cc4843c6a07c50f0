"""A wall clock that steps back a little does not bring yesterday's budget back; one set back far is believed."""

from palyra.core.clock import SystemClock
from tests.core.test_windows import at
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import chat

PLAIN = chat(max_tokens=100)
BUDGET = '[[budgets]]\npolicy_id = "day"\nhard_limit = 2\nmetric_kind = "requests"\ninterval_kind = "daily"\n'


async def test_a_step_back_over_midnight_by_up_to_a_minute_stays_in_the_new_day(opened: Opener) -> None:
    wall = at("2026-11-22T00:00:30")
    clock = SystemClock(lambda: wall * 1_000_000)
    here = await opened(BUDGET, clock=clock)
    today = wall
    assert (await here.ask(PLAIN)).status == 200
    wall -= 60_000
    assert here.clock.now_ms() == today
    assert (await here.ask(PLAIN)).status == 200
    assert here.counted("day", "*") == (2, 0)
    assert (await here.ask(PLAIN)).status == 402
    assert {run.accepted_at for run in await here.runs()} == {today}
    wall -= 1_000
    assert here.clock.now_ms() == wall
    assert (await here.ask(PLAIN)).status == 200
    assert here.counted("day", "*") == (1, 0)
