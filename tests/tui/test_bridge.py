"""Snapshots are pulled when due, one at a time; trouble is a state of the link and never an end."""

import asyncio
from collections.abc import AsyncIterator, Collection

import pytest

from palyra.control.snapshots import Snapshot, Topic
from palyra.core.clock import ManualClock
from palyra.core.errors import EngineGoneError, JournalUnavailableError
from palyra.tui.bridge import TURNS, Bridge, Link
from tests.tui.fake_control import FakeControl
from tests.tui.fake_views import NOW
from tests.tui.fake_worlds import normal


class Watched:
    """A running bridge and what it told."""

    def __init__(self) -> None:
        self.clock = ManualClock(NOW)
        self.control = FakeControl(normal(), self.clock)
        self.seen: list[Snapshot] = []
        self.links: list[Link] = []
        self.bridge = Bridge(
            self.control,
            self.clock,
            refresh_hz=4.0,
            on_snapshot=self.seen.append,
            on_link=lambda: self.links.append(self.bridge.link),
        )


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    made = Watched()
    task = asyncio.create_task(made.bridge.run())
    await made.clock.advance(0)
    yield made
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_calm_screen_pulls_once_a_second(watched: Watched) -> None:
    assert len(watched.seen) == 1
    await watched.clock.advance(0.9)
    assert len(watched.seen) == 1
    await watched.clock.advance(9.1)
    assert len(watched.seen) == 11


async def test_an_acting_operator_gets_four_a_second_for_five_seconds(watched: Watched) -> None:
    watched.bridge.touch()
    await watched.clock.advance(5.0)
    while_acting = len(watched.seen) - 1
    assert 19 <= while_acting <= 20
    await watched.clock.advance(10.0)
    assert 9 <= len(watched.seen) - 1 - while_acting <= 11


async def test_the_first_key_after_calm_does_not_wait_for_the_calm_pull(watched: Watched) -> None:
    await watched.clock.advance(0.5)
    watched.bridge.touch()
    await watched.clock.advance(0.01)
    assert len(watched.seen) == 2


async def test_another_screen_is_pulled_at_once_and_only_its_topics(watched: Watched) -> None:
    watched.bridge.watch([Topic.RUNS])
    await watched.clock.advance(0)
    assert watched.control.pulls[-1] == {Topic.RUNS}
    assert watched.seen[-1].runs
    assert not watched.seen[-1].approvals


@pytest.mark.parametrize(
    ("error", "link", "trouble"),
    [
        (EngineGoneError("the engine closed its socket"), Link.GONE, "the engine closed its socket"),
        (JournalUnavailableError("disk full"), Link.TROUBLED, "disk full"),
        (RuntimeError("a bug"), Link.TROUBLED, "the engine's state could not be read; the log says why"),
    ],
)
async def test_trouble_is_a_state_and_passes(watched: Watched, error: Exception, link: Link, trouble: str) -> None:
    watched.control.trouble = error
    await watched.clock.advance(1.0)
    assert (watched.bridge.link, watched.bridge.trouble) == (link, trouble)
    since = watched.bridge.since_ms
    await watched.clock.advance(5.0)
    assert watched.bridge.since_ms == since
    assert watched.bridge.latest is watched.seen[-1]
    watched.control.trouble = None
    await watched.clock.advance(1.0)
    assert watched.bridge.link is Link.LIVE
    assert watched.links[-1] is Link.LIVE


async def test_an_engine_that_hangs_is_said_not_to_answer_and_asked_again() -> None:
    clock = ManualClock(NOW)
    control = HangingControl(clock)
    bridge = Bridge(control, clock, refresh_hz=4.0, on_snapshot=lambda _: None, on_link=lambda: None)
    task = asyncio.create_task(bridge.run())
    await clock.advance(30.0)
    assert bridge.trouble == "the engine does not answer"
    assert control.most_at_once == 1
    assert control.calls >= 4
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class HangingControl(FakeControl):
    """Never answers."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(normal(), clock)
        self.calls = self.at_once = self.most_at_once = 0

    async def snapshot(self, topics: Collection[Topic]) -> Snapshot:
        self.calls += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.Event().wait()
            raise AssertionError("unreachable")
        finally:
            self.at_once -= 1


async def test_pausing_is_a_state_too(watched: Watched) -> None:
    for paused, link in ((True, Link.PAUSED), (False, Link.LIVE)):
        watched.bridge.pause(paused)
        await watched.clock.advance(0)
        assert watched.bridge.link is link


async def test_an_answer_for_the_screen_before_is_not_shown_on_the_new_one(watched: Watched) -> None:
    watched.bridge.watch([Topic.RUNS])
    await watched.clock.advance(0)
    seen = len(watched.seen)
    watched.control.snapshot_gate = asyncio.Event()
    await watched.clock.advance(1.0)
    watched.bridge.watch([Topic.BUDGETS])
    watched.control.snapshot_gate.set()
    await watched.clock.advance(0)
    assert len(watched.seen) == seen + 1
    assert watched.seen[-1].budgets


async def test_an_engine_in_this_process_goes_on_before_a_snapshot_is_drawn(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = asyncio.Event()
    snapshot = watched.control.snapshot

    async def noted(topics: Collection[Topic]) -> Snapshot:
        shot = await snapshot(topics)
        taken.set()
        return shot

    monkeypatch.setattr(watched.control, "snapshot", noted)
    before = len(watched.seen)
    watched.bridge.hurry()
    await taken.wait()
    turns = 0
    while len(watched.seen) == before:
        await asyncio.sleep(0)
        turns += 1
    assert TURNS - 1 <= turns <= TURNS
