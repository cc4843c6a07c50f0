"""Deliveries from before the first try until they arrived or were given up, over real HTTP and a real journal."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from palyra.config.operations import NoticeEvent
from palyra.core.clock import ManualClock
from palyra.core.conditions import Condition, Severity, nobody_cleared, nobody_told
from palyra.core.errors import ConflictError, JournalUnavailableError, NotFoundError
from palyra.core.ids import IdSource
from palyra.healing.webhooks import courier as courier_module
from palyra.healing.webhooks.courier import Courier
from palyra.healing.webhooks.sender import Sender
from palyra.healing.webhooks.target import Webhook
from palyra.journal.changes import Change
from palyra.journal.delivery_rows import DELIVERIES, DeliveryRow, DeliveryState
from palyra.journal.journal import Journal
from palyra.runs.durable import Durable
from tests.healing.webhooks.receiver import Answer, Receiver, receiving
from tests.healing.webhooks.samples import Vault, a_delivery, a_notice, hook

MOST_TURNS = 1_000_000
"""Only for failing instead of hanging."""


@dataclass
class Post:
    """A courier at work, and all that it told."""

    courier: Courier
    journal: Journal
    clock: ManualClock
    told: dict[str, Condition] = field(default_factory=dict)
    cleared: list[str] = field(default_factory=list)
    died: list[DeliveryRow] = field(default_factory=list)

    async def until_written(self) -> None:
        await self.journal.submit(())

    async def until_version(self, version: int) -> None:
        """Waits until so many things happened to deliveries."""
        for _ in range(MOST_TURNS):
            if self.courier.version >= version:
                return
            await asyncio.sleep(0)
        raise AssertionError(f"only {self.courier.version} of {version} things happened")


@asynccontextmanager
async def post_office(state_dir: Path, *hooks: Webhook, clock: ManualClock | None = None) -> AsyncIterator[Post]:
    clock = clock or ManualClock()
    journal = await Journal.open(state_dir, clock)
    sender = Sender(Vault(), clock)
    told: dict[str, Condition] = {}
    cleared: list[str] = []
    died: list[DeliveryRow] = []
    courier = Courier(
        {one.name: one for one in hooks},
        sender,
        Durable(journal),
        clock,
        IdSource(clock).new,
        tell=lambda condition: told.update({condition.key: condition}),
        clear=cleared.append,
        died=died.append,
        uniform=lambda low, high: (low + high) / 2,
    )
    courier.restore(await journal.readers.deliveries(), await journal.readers.webhooks())
    running = asyncio.create_task(courier.run())
    try:
        yield Post(courier, journal, clock, told, cleared, died)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await courier.close()
        await journal.close()


async def tried(post: Post, receiver: Receiver, times: int, wait_s: float) -> None:
    """Lets a pause pass, and the try after it."""
    before = post.courier.version
    post.clock.tick(wait_s)
    await receiver.until(times)
    await post.until_version(before + 1)


async def test_it_is_in_the_journal_before_it_is_sent_and_forgotten_once_it_arrived(tmp_path: Path) -> None:
    async with receiving() as receiver, post_office(tmp_path, hook(receiver.url)) as post:
        receiver.usual = Answer(gate=asyncio.Event())
        assert post.courier.post(a_notice()) == ("ops",)
        await receiver.until(1)
        (row,) = await post.journal.readers.deliveries()
        assert (row.delivery_id, row.state) == (receiver.got[0].headers["x-palyra-delivery"], DeliveryState.PENDING)
        assert receiver.usual.gate is not None
        receiver.usual.gate.set()
        await post.until_version(2)
        await post.until_written()
        assert await post.journal.readers.deliveries() == ()
        (state,) = post.courier.states()
        assert (state.row.delivered, state.pending, state.dead) == (1, 0, 0)
        assert await post.journal.readers.webhooks() == (state.row,)


async def test_a_webhook_that_is_always_busy_is_given_up_after_six_tries(tmp_path: Path) -> None:
    async with receiving() as receiver, post_office(tmp_path, hook(receiver.url)) as post:
        receiver.usual = Answer(503, "busy")
        post.courier.post(a_notice())
        await tried(post, receiver, 1, 0)
        for number, wait in enumerate((1, 4, 16, 64, 256), start=2):
            post.clock.tick(wait - 0.001)
            assert len(receiver.got) == number - 1
            await tried(post, receiver, number, 0.001)
        post.clock.tick(10_000)
        await post.until_written()
        assert len(receiver.got) == 6
        assert len({got.headers["x-palyra-delivery"] for got in receiver.got}) == 1
        (dead,) = post.courier.dead()
        assert (dead.tries, dead.status, dead.error) == (6, 503, "answered 503: busy")
        assert await post.journal.readers.deliveries() == (dead,)
        condition = post.told["webhook:ops"]
        assert (condition.severity, condition.domain, condition.subject) == (Severity.MEDIUM, "notification", "ops")
        assert condition.cause == "answered 503: busy"
        assert [row.delivery_id for row in post.died] == [dead.delivery_id]


async def test_what_the_webhook_refuses_is_dead_at_once(tmp_path: Path) -> None:
    async with receiving() as receiver, post_office(tmp_path, hook(receiver.url)) as post:
        receiver.usual = Answer(400, "no")
        post.courier.post(a_notice())
        await tried(post, receiver, 1, 0)
        (dead,) = post.courier.dead()
        assert (dead.tries, dead.status) == (1, 400)
        assert "webhook:ops" in post.told


async def test_the_incident_about_a_webhook_goes_elsewhere(tmp_path: Path) -> None:
    async with receiving() as receiver, receiving() as other:
        hooks = [hook(receiver.url), hook(other.url, "second"), hook(other.url, "third")]
        async with post_office(tmp_path, *hooks) as post:
            receiver.usual = Answer(400, "no")
            post.courier.post(a_notice())
            await post.until_version(4)
            about = a_notice(incident_id="i2", webhook="ops", of_webhooks=True)
            assert post.courier.post(about) == ("second", "third")
            # Of another webhook it is not told where something is dead either, or two would bury each other's news.
            assert post.courier.post(a_notice(incident_id="i3", webhook="third", of_webhooks=True)) == ("second",)
            assert post.courier.post(a_notice(incident_id="i4")) == ("ops", "second", "third")
            await other.until(6)


async def test_one_that_arrives_ends_the_condition(tmp_path: Path) -> None:
    async with receiving() as receiver, post_office(tmp_path, hook(receiver.url)) as post:
        receiver.answers = [Answer(400, "no")]
        post.courier.post(a_notice())
        await tried(post, receiver, 1, 0)
        assert post.courier.state("ops").failing
        post.clock.tick(1)
        post.courier.post(a_notice(incident_id="i2"))
        await post.until_version(4)
        assert post.cleared == ["webhook:ops"]
        assert not post.courier.state("ops").failing
        assert len(post.courier.dead()) == 1


async def test_a_dead_letter_is_sent_again_under_its_id(tmp_path: Path) -> None:
    async with receiving() as receiver, post_office(tmp_path, hook(receiver.url)) as post:
        receiver.answers = [Answer(404, "gone"), Answer(503, "busy")]
        post.courier.post(a_notice())
        await tried(post, receiver, 1, 0)
        (dead,) = post.courier.dead()
        post.courier.retry([dead.delivery_id], "operator:anna")
        await receiver.until(2)
        await post.until_version(4)
        assert (post.courier.dead(), post.courier.pending()[0].tries) == ([], 1)
        await tried(post, receiver, 3, 1)
        assert len({got.headers["x-palyra-delivery"] for got in receiver.got}) == 1
        await post.until_written()
        assert await post.journal.readers.deliveries() == ()
        assert await audited(post, dead) == [("retried", "operator:anna")]


async def audited(post: Post, row: DeliveryRow) -> list[tuple[str, str]]:
    page = await post.journal.readers.audit()
    return [(entry.payload["verb"], entry.actor) for entry in page if entry.subject == row.delivery_id]


async def test_a_dead_letter_can_be_discarded(tmp_path: Path) -> None:
    async with receiving() as receiver, post_office(tmp_path, hook(receiver.url)) as post:
        receiver.usual = Answer(404, "gone")
        post.courier.post(a_notice())
        await tried(post, receiver, 1, 0)
        (dead,) = post.courier.dead()
        with pytest.raises(NotFoundError):
            post.courier.discard([dead.delivery_id, "unknown"], "anna")
        assert post.courier.dead() == [dead]
        post.courier.discard([dead.delivery_id], "anna")
        await post.until_written()
        assert await post.journal.readers.deliveries() == ()
        assert post.cleared == ["webhook:ops"]
        with pytest.raises(NotFoundError):
            post.courier.retry([dead.delivery_id], "anna")


async def test_the_oldest_dead_letters_are_dropped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier_module, "DEAD_AT_MOST", 2)
    async with receiving() as receiver, post_office(tmp_path, hook(receiver.url)) as post:
        receiver.usual = Answer(404, "gone")
        for number in range(4):
            post.courier.post(a_notice(incident_id=f"i{number}"))
            await post.until_version(2 * number + 2)
        assert [row.subject for row in post.courier.dead()] == ["incident:i3", "incident:i2"]
        state = post.courier.state("ops")
        assert (state.row.died, state.row.dropped, state.dead) == (4, 2, 2)
        await post.until_written()
        assert len(await post.journal.readers.deliveries()) == 2


async def test_what_finds_no_place_among_those_that_wait_is_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courier_module, "WAITING_AT_MOST", 2)
    async with receiving() as receiver, post_office(tmp_path, hook(receiver.url)) as post:
        receiver.usual = Answer(gate=asyncio.Event())
        for number in range(3):
            post.courier.post(a_notice(incident_id=f"i{number}"))
        assert [row.subject for row in post.courier.dead()] == ["incident:i2"]
        assert len(post.courier.pending()) == 2


async def test_the_end_never_overtakes_the_beginning(tmp_path: Path) -> None:
    async with receiving() as receiver, post_office(tmp_path, hook(receiver.url)) as post:
        receiver.answers = [Answer(503, "busy")]
        post.courier.post(a_notice())
        post.courier.post(a_notice(NoticeEvent.RESOLVED))
        await post.until_version(3)
        post.courier.post(a_notice(incident_id="i2"))
        await receiver.until(2)
        assert [got.json["event"] for got in receiver.got] == ["opened", "opened"]
        await tried(post, receiver, 3, 1)
        await receiver.until(4)
        assert [(got.json["incident"]["incident_id"], got.json["event"]) for got in receiver.got] == [
            ("i1", "opened"),
            ("i2", "opened"),
            ("i1", "opened"),
            ("i1", "resolved"),
        ]


async def test_at_most_eight_are_under_way_at_a_webhook(tmp_path: Path) -> None:
    async with receiving() as receiver, post_office(tmp_path, hook(receiver.url)) as post:
        gate = asyncio.Event()
        receiver.usual = Answer(gate=gate)
        for number in range(20):
            post.courier.post(a_notice(incident_id=f"i{number}"))
        await receiver.until(8)
        await post.until_written()
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(receiver.got) == 8
        gate.set()
        await receiver.until(20)
        await post.until_version(40)
        assert post.courier.pending() == []


async def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    clock = ManualClock()
    async with receiving() as receiver:
        receiver.usual = Answer(503, "busy")
        async with post_office(tmp_path, hook(receiver.url), clock=clock) as post:
            post.courier.post(a_notice())
            await tried(post, receiver, 1, 0)
            await tried(post, receiver, 2, 1)
        receiver.usual = Answer(200)
        clock.tick(1)
        async with post_office(tmp_path, hook(receiver.url), clock=clock) as post:
            (row,) = post.courier.pending()
            assert row.tries == 2
            clock.tick(2.9)
            assert len(receiver.got) == 2
            await tried(post, receiver, 3, 0.1)
        assert len({got.headers["x-palyra-delivery"] for got in receiver.got}) == 1


async def test_a_clock_that_was_set_back_does_not_postpone_it_for_ever(tmp_path: Path) -> None:
    late = ManualClock()
    journal = await Journal.open(tmp_path, late)
    await journal.submit([DELIVERIES.saved(a_delivery(next_at=late.now_ms() + 10**10, tries=1))])
    await journal.close()
    async with receiving() as receiver, post_office(tmp_path, hook(receiver.url), clock=late) as post:
        await tried(post, receiver, 1, 3600)


async def test_what_is_dead_is_a_condition_after_a_restart_too(tmp_path: Path) -> None:
    clock = ManualClock()
    async with receiving() as receiver:
        receiver.usual = Answer(404, "gone")
        async with post_office(tmp_path, hook(receiver.url), clock=clock) as post:
            post.courier.post(a_notice())
            await tried(post, receiver, 1, 0)
        async with post_office(tmp_path, hook(receiver.url), clock=clock) as post:
            assert "webhook:ops" in post.told
            assert len(post.courier.dead()) == 1


async def test_what_was_for_a_webhook_that_is_gone_is_dead_and_can_only_be_discarded(tmp_path: Path) -> None:
    clock = ManualClock()
    journal = await Journal.open(tmp_path, clock)
    await journal.submit([DELIVERIES.saved(replace(a_delivery(), webhook="former"))])
    await journal.close()
    async with post_office(tmp_path, clock=clock) as post:
        (dead,) = post.courier.dead()
        with pytest.raises(ConflictError, match="former"):
            post.courier.retry([dead.delivery_id], "anna")
        post.courier.discard([dead.delivery_id], "anna")
        assert post.courier.dead() == []


async def test_a_test_is_sent_once_and_leaves_nothing(tmp_path: Path) -> None:
    async with receiving() as receiver, post_office(tmp_path, hook(receiver.url)) as post:
        receiver.usual = Answer(503, "busy")
        outcome = await post.courier.test("ops")
        assert (outcome.status, outcome.error) == (503, "answered 503: busy")
        assert (receiver.got[0].json["event"], post.courier.pending(), post.courier.dead()) == ("test", [], [])
        with pytest.raises(NotFoundError, match="ops"):
            await post.courier.test("opps")


class Shut:
    """A journal that cannot be written."""

    behind = 1

    def submit(
        self, unit: Sequence[Change], *, patient: bool = False, refused: Callable[[Exception], None] | None = None
    ) -> "asyncio.Future[None]":
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.set_exception(JournalUnavailableError("The journal cannot be written."))
        return future


async def test_people_are_told_all_the_more_when_the_journal_cannot_be_written() -> None:
    clock = ManualClock()
    async with receiving() as receiver:
        hooks = {"ops": hook(receiver.url)}
        durable, sender = Durable(Shut()), Sender(Vault(), clock)
        new_id = IdSource(clock).new
        courier = Courier(
            hooks, sender, durable, clock, new_id, tell=nobody_told, clear=nobody_cleared, died=lambda row: None
        )
        running = asyncio.create_task(courier.run())
        courier.post(a_notice(severity=Severity.CRITICAL))
        await receiver.until(1)
        running.cancel()
        await courier.close()
    assert receiver.got[0].json["event"] == "opened"
