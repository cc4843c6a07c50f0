"""Thousands of budgets on the screen do not hold up requests."""

import asyncio

from palyra.control.snapshots import Topic
from palyra.core.clock import ManualClock
from tests.end_to_end.conftest import Opener

BUDGETS = 400


class WorkingClock(ManualClock):
    """Whoever asks for the time has worked a millisecond since."""

    working = False

    def monotonic(self) -> float:
        if self.working:
            self.tick(0.001)
        return super().monotonic()


async def test_views_of_many_budgets_are_made_in_slices(opened: Opener) -> None:
    clock = WorkingClock()
    here = await opened(
        "".join(f'[[budgets]]\npolicy_id = "b{n:03}"\nhard_limit = 10\n' for n in range(BUDGETS)), clock=clock
    )
    turns = 0

    async def another() -> None:
        nonlocal turns
        while clock.working:
            turns += 1
            await asyncio.sleep(0)

    clock.working = True
    others = asyncio.create_task(another())
    shot = await here.control.snapshot([Topic.BUDGETS])
    clock.working = False
    await others
    assert len(shot.budgets) == BUDGETS
    assert [view.policy_id for view in shot.budgets] == sorted(view.policy_id for view in shot.budgets)
    assert turns > BUDGETS / 10


async def test_consoles_that_look_at_once_share_what_was_made(opened: Opener) -> None:
    here = await opened('[[budgets]]\npolicy_id = "one"\nhard_limit = 10\n')
    first, second = await asyncio.gather(*(here.control.snapshot([Topic.BUDGETS]) for _ in range(2)))
    assert first.budgets is second.budgets
