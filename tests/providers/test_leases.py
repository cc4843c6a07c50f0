"""Places at providers: who gets one, who waits, who stands back, and how limits move."""

import asyncio
from collections.abc import Sequence

import pytest

from palyra.core.clock import ManualClock, settle_loop
from palyra.core.redact import Secret
from palyra.providers.credentials import Choice, Credential, Room, Unavailable, Why
from palyra.providers.leases import (
    FOREGROUND,
    LONGEST_WAIT_S,
    Granted,
    Lease,
    LeaseCount,
    Leases,
    LeaseSettings,
    Outcome,
)

BACKGROUND = "background_automation"


def anyone(room: Room) -> None:
    """Picks for a provider that takes no credential."""


def of(*names: str) -> Choice:
    """Picks the first of these credentials with room."""

    def choose(room: Room) -> Credential | Unavailable:
        for name in names:
            if room(name):
                return Credential("p", name, Secret(f"key of {name}"), name)
        return Unavailable(Why.NO_ROOM)

    return choose


class Queue:
    """Leases of one provider, asked for one after the other."""

    def __init__(self, **settings: int) -> None:
        self.clock = ManualClock()
        self.leases = Leases(self.clock, LeaseSettings(**settings))

    async def ask(self, task_class: str = FOREGROUND, choose: Choice = anyone) -> asyncio.Task[Granted]:
        task = asyncio.create_task(self.leases.acquire("p", task_class, choose))
        await settle_loop()
        return task

    async def place(self, task_class: str = FOREGROUND, choose: Choice = anyone) -> Lease:
        asked = await self.ask(task_class, choose)
        granted = asked.result()
        assert isinstance(granted, Lease)
        return granted

    @property
    def count(self) -> LeaseCount:
        return self.leases.of_provider("p")


def refused(task: asyncio.Task[Granted]) -> Why:
    told = task.result()
    assert isinstance(told, Unavailable)
    return told.why


def fixed(places: int) -> Queue:
    return Queue(provider_start=places, provider_max=places)


async def test_new_background_is_deferred_at_once_while_the_foreground_waits() -> None:
    queue = Queue(provider_start=2, provider_max=2, credential_start=2, credential_max=2)
    choose = of("a")
    await queue.place(FOREGROUND, choose)
    await queue.place(BACKGROUND, choose)
    waiting = await queue.ask(FOREGROUND, choose)
    assert not waiting.done()
    assert refused(await queue.ask(BACKGROUND, choose)) is Why.LEASE_DEFERRED
    assert queue.clock.waiting == 1
    waiting.cancel()


async def test_waiting_background_stands_back_as_soon_as_the_foreground_waits() -> None:
    queue = fixed(1)
    held = await queue.place()
    background = await queue.ask(BACKGROUND)
    assert not background.done()
    foreground = await queue.ask()
    assert refused(background) is Why.LEASE_DEFERRED
    held.release()
    await settle_loop()
    assert isinstance(foreground.result(), Lease)


async def test_background_leaves_one_place_free() -> None:
    queue = fixed(3)
    places = [await queue.place(BACKGROUND) for _ in range(2)]
    third = await queue.ask(BACKGROUND)
    assert not third.done()
    await queue.place()
    places[0].release()
    await settle_loop()
    assert isinstance(third.result(), Lease)
    assert queue.count == LeaseCount(3, 3)


async def test_background_may_have_the_only_place_while_nobody_else_wants_it() -> None:
    queue = fixed(1)
    held = await queue.place(BACKGROUND)
    foreground = await queue.ask()
    assert refused(await queue.ask(BACKGROUND)) is Why.LEASE_DEFERRED
    held.release()
    await settle_loop()
    assert isinstance(foreground.result(), Lease)


async def test_the_foreground_is_served_in_the_order_in_which_it_came() -> None:
    queue = fixed(1)
    held: Granted = await queue.place()
    asked = [await queue.ask() for _ in range(4)]
    for position, task in enumerate(asked):
        assert [one.done() for one in asked] == [True] * position + [False] * (4 - position)
        assert isinstance(held, Lease)
        held.release()
        await settle_loop()
        held = task.result()


@pytest.mark.parametrize("task_class", LONGEST_WAIT_S)
async def test_each_task_class_waits_its_time_and_no_longer(task_class: str) -> None:
    queue = fixed(1)
    await queue.place()
    waiting = await queue.ask(task_class)
    await queue.clock.advance(LONGEST_WAIT_S[task_class] - 0.001)
    assert not waiting.done()
    await queue.clock.advance(0.001)
    assert refused(waiting) is (Why.LEASE_TIMEOUT if task_class == FOREGROUND else Why.LEASE_DEFERRED)
    told = waiting.result()
    assert isinstance(told, Unavailable)
    assert told.until == queue.clock.now_ms() + 1000
    assert queue.leases.waiting("p") == 0


def test_the_longest_waits_are_as_agreed() -> None:
    assert {name: round(seconds * 1000) for name, seconds in LONGEST_WAIT_S.items()} == {
        "primary_interactive": 30_000,
        "background_automation": 200,
        "auxiliary_vision": 200,
        "auxiliary_summary": 150,
        "auxiliary_recall": 150,
        "auxiliary_extraction": 150,
        "auxiliary_classification": 100,
    }


async def test_too_many_waiting_are_refused_at_once_over_all_providers() -> None:
    queue = Queue(provider_start=1, provider_max=1, max_waiting=2)
    held = await queue.place()
    other = await queue.leases.acquire("q", FOREGROUND, anyone)
    asked = [await queue.ask(), asyncio.create_task(queue.leases.acquire("q", FOREGROUND, anyone))]
    await settle_loop()
    assert queue.leases.waiting() == 2
    assert refused(await queue.ask()) is Why.TOO_MANY_WAITING
    held.release()
    await settle_loop()
    assert isinstance(asked[0].result(), Lease)
    third = await queue.ask()
    assert not third.done()
    assert isinstance(other, Lease)
    third.cancel()
    asked[1].cancel()


@pytest.mark.parametrize(
    ("settings", "outcomes", "limits"),
    [
        ((4, 64), ["success"], [5]),
        ((4, 64), ["success", "success", "limited", "success"], [5, 6, 3, 4]),
        ((4, 5), ["success", "success"], [5, 5]),
        ((4, 64), ["limited", "limited", "limited", "limited"], [2, 1, 1, 1]),
        ((4, 64), ["other", "other"], [4, 4]),
        ((5, 64), ["limited"], [2]),
        ((4, 4), ["success", "limited"], [4, 4]),
    ],
)
async def test_limits_move_by_outcomes_while_somebody_waits(
    settings: tuple[int, int], outcomes: Sequence[str], limits: Sequence[int]
) -> None:
    start, most = settings
    queue = Queue(provider_start=start, provider_max=most, credential_start=start, credential_max=most)
    choose = of("a")
    held = [await queue.place(choose=choose) for _ in range(start)]
    waiting = [await queue.ask(choose=choose) for _ in range(20)]
    for outcome, limit in zip(outcomes, limits, strict=True):
        held.pop(0).release(Outcome(outcome))
        assert queue.count.limit == limit
        assert queue.leases.of_credential("p", "a").limit == limit
        await settle_loop()
        held += [one for task in waiting if task.done() and isinstance(one := task.result(), Lease) and one not in held]
        held = [one for one in held if not one.released]
    for task in waiting:
        task.cancel()


async def test_success_without_anybody_waiting_moves_nothing() -> None:
    queue = Queue()
    (await queue.place()).release(Outcome.SUCCESS)
    assert queue.count == LeaseCount(0, 4)


async def test_a_place_is_given_back_once() -> None:
    queue = fixed(2)
    first, _ = await queue.place(), await queue.place()
    first.release()
    first.release(Outcome.LIMITED)
    assert queue.count == LeaseCount(1, 2)


async def test_each_credential_has_its_own_limit() -> None:
    queue = Queue(provider_start=10, provider_max=10, credential_start=1, credential_max=1)
    first, second = await queue.place(choose=of("a", "b")), await queue.place(choose=of("a", "b"))
    assert [one.credential.id for one in (first, second) if one.credential is not None] == ["a", "b"]
    third = await queue.ask(choose=of("a", "b"))
    assert not third.done()
    second.release()
    await settle_loop()
    granted = third.result()
    assert isinstance(granted, Lease)
    assert granted.credential is not None
    assert granted.credential.id == "b"
    assert (queue.leases.of_credential("p", "a"), queue.leases.of_credential("p", "b")) == (LeaseCount(1, 1),) * 2
    assert queue.leases.of_credential("p", "c") == LeaseCount(0, 1)


async def test_who_cannot_be_helped_by_waiting_does_not_wait() -> None:
    queue = fixed(1)
    gone = Unavailable(Why.COOLING_DOWN, until=5)
    assert (await queue.ask(choose=lambda room: gone)).result() is gone
    await queue.place()
    assert (await queue.ask(choose=lambda room: gone)).result() is gone
    assert queue.count.in_use == 1


async def test_who_waits_is_told_when_its_credentials_fail_meanwhile() -> None:
    queue = fixed(1)
    held = await queue.place()
    gone: list[Unavailable] = []
    waiting = await queue.ask(choose=lambda room: gone[0] if gone else None)
    behind = await queue.ask()
    gone.append(Unavailable(Why.MISSING_AUTH))
    queue.leases.serve("p")
    await settle_loop()
    assert refused(waiting) is Why.MISSING_AUTH
    held.release()
    await settle_loop()
    assert isinstance(behind.result(), Lease)


async def test_what_became_usable_meanwhile_is_for_who_has_waited_longest() -> None:
    queue = fixed(4)
    rested: list[bool] = []

    def choose(room: Room) -> Unavailable | None:
        return None if rested else Unavailable(Why.NO_ROOM)

    waiting = await queue.ask(choose=choose)
    rested.append(True)
    granted = queue.leases.take("p", FOREGROUND, choose)
    assert granted is None, "others wait"
    behind = await queue.ask(choose=choose)
    assert (isinstance(waiting.result(), Lease), isinstance(behind.result(), Lease)) == (True, True)


async def test_who_stops_waiting_holds_nothing() -> None:
    queue = fixed(1)
    held = await queue.place()
    first, second = await queue.ask(), await queue.ask()
    first.cancel()
    await settle_loop()
    held.release()
    await settle_loop()
    assert first.cancelled()
    assert isinstance(second.result(), Lease)
    assert queue.count.in_use == 1


async def test_a_place_granted_to_who_is_cancelled_in_that_moment_is_given_back() -> None:
    queue = fixed(1)
    held = await queue.place()
    first, second = await queue.ask(), await queue.ask()
    held.release()
    first.cancel()
    await settle_loop()
    assert first.cancelled()
    assert isinstance(second.result(), Lease)
    assert queue.count.in_use == 1


async def test_new_settings_serve_who_waits() -> None:
    queue = fixed(1)
    await queue.place()
    waiting = await queue.ask()
    queue.leases.configure(LeaseSettings(provider_start=3, provider_max=3))
    await settle_loop()
    assert isinstance(waiting.result(), Lease)
    queue.leases.configure(LeaseSettings(provider_start=1, provider_max=1))
    assert queue.count == LeaseCount(2, 1)
