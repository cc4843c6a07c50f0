"""Whatever happens at a provider in whatever order: no place is given twice, and none is lost."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from palyra.core.clock import ManualClock, settle_loop
from palyra.core.redact import Secret
from palyra.providers.credentials import Credential, Room, Unavailable, Why
from palyra.providers.leases import FOREGROUND, Granted, Lease, Leases, LeaseSettings, Outcome

CREDENTIALS = [Credential("p", name, Secret(f"a key of {name}"), name) for name in ("a", "b")]
MOST_WAITING = 5


class Asked:
    def __init__(self, task: asyncio.Task[Granted], *, background: bool) -> None:
        self.task = task
        self.background = background
        self.seen = False


class LeaseMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        self.asked: list[Asked] = []
        self.held: list[Lease] = []
        self.usable = True
        self.leases: Leases

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(work)

    def choose(self, room: Room) -> Credential | Unavailable:
        if not self.usable:
            return Unavailable(Why.COOLING_DOWN, 1)
        return next((one for one in CREDENTIALS if room(one.id)), Unavailable(Why.NO_ROOM))

    @initialize(limits=st.lists(st.integers(1, 5), min_size=4, max_size=4))
    def open(self, limits: list[int]) -> None:
        (start, most), (first, last) = sorted(limits[:2]), sorted(limits[2:])
        self.leases = Leases(self.clock, LeaseSettings(start, most, first, last, MOST_WAITING))

    @rule(background=st.booleans())
    def ask(self, background: bool) -> None:
        async def begin() -> None:
            task_class = "background_automation" if background else FOREGROUND
            task = asyncio.create_task(self.leases.acquire("p", task_class, self.choose))
            self.asked.append(Asked(task, background=background))
            await settle_loop()

        self.run(begin())
        self.collect()

    @rule(position=st.integers(0, 20), outcome=st.sampled_from(Outcome))
    def release(self, position: int, outcome: Outcome) -> None:
        async def end() -> None:
            self.held.pop(position % len(self.held)).release(outcome)
            await settle_loop()

        if self.held:
            self.run(end())
            self.collect()

    @rule(positions=st.lists(st.integers(0, 20), max_size=3), freed=st.booleans())
    def leave(self, positions: list[int], freed: bool) -> None:
        """Some stop waiting, perhaps in the moment in which a place is freed for them."""

        async def go() -> None:
            if freed and self.held:
                self.held.pop().release()
            waiting = [one for one in self.asked if not one.task.done()]
            for position in positions:
                if waiting:
                    waiting[position % len(waiting)].task.cancel()
            await settle_loop()

        self.run(go())
        self.collect()

    @rule(seconds=st.sampled_from([0.05, 0.2, 29.0]))
    def wait(self, seconds: float) -> None:
        self.run(self.clock.advance(seconds))
        self.collect()

    @rule(usable=st.booleans())
    def credentials_change(self, usable: bool) -> None:
        async def change() -> None:
            self.usable = usable
            self.leases.serve("p")
            await settle_loop()

        self.run(change())
        self.collect()

    def collect(self) -> None:
        """Takes what was granted, in the order of asking, and looks whether it could be."""
        served = [one for one in self.asked if one.task.done() and not one.seen]
        for one in served:
            one.seen = True
            if one.task.cancelled():
                continue
            granted = one.task.result()
            if isinstance(granted, Lease):
                self.held.append(granted)
                earlier = self.asked[: self.asked.index(one)]
                assert not any(not before.task.done() and before.background <= one.background for before in earlier)
        self.asked = [one for one in self.asked if not one.seen]

    @invariant()
    def every_place_is_accounted_for(self) -> None:
        if not hasattr(self, "leases"):
            return
        assert self.leases.of_provider("p").in_use == len(self.held)
        for credential in CREDENTIALS:
            held = sum(one.credential is credential for one in self.held)
            assert self.leases.of_credential("p", credential.id).in_use == held
        waiting = [one for one in self.asked if not one.task.done()]
        assert self.leases.waiting() == len(waiting) <= MOST_WAITING
        assert len({one.background for one in waiting}) <= 1, "background waits beside the foreground"

    @invariant()
    def nobody_waits_for_a_place_that_is_free(self) -> None:
        if not hasattr(self, "leases"):
            return
        if any(not one.background for one in self.asked):
            provider = self.leases.of_provider("p")
            counts = [self.leases.of_credential("p", one.id) for one in CREDENTIALS]
            assert self.usable
            assert provider.in_use >= provider.limit or all(one.in_use >= one.limit for one in counts)

    def teardown(self) -> None:
        async def end() -> None:
            for one in self.asked:
                one.task.cancel()
            await settle_loop()

        self.run(end())
        for one in self.held:
            one.release()
        if hasattr(self, "leases"):
            assert self.leases.of_provider("p").in_use == 0
        assert self.clock.waiting == 0
        self.loop.close()


LeaseMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
test_places = LeaseMachine.TestCase
