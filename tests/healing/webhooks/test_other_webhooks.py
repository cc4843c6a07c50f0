"""Webhooks that come, go and change while the engine runs."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from palyra.core.errors import NotFoundError
from palyra.journal.delivery_rows import DeliveryState
from tests.healing.webhooks.receiver import Answer, receiving
from tests.healing.webhooks.samples import a_notice, hook
from tests.healing.webhooks.test_delivering import post_office


async def test_a_new_one_is_told_and_one_that_is_gone_is_not(tmp_path: Path) -> None:
    async with receiving() as receiver, receiving() as other, post_office(tmp_path, hook(receiver.url)) as post:
        post.courier.configure({"new": replace(hook(other.url), name="new")})
        assert post.courier.post(a_notice()) == ("new",)
        await other.until(1)
        assert not receiver.got
        assert [state.row.name for state in post.courier.states()] == ["new"]
        with pytest.raises(NotFoundError, match="known: new"):
            post.courier.state("ops")


async def test_what_waits_for_one_that_is_gone_becomes_a_dead_letter(tmp_path: Path) -> None:
    async with receiving() as receiver, post_office(tmp_path, hook(receiver.url)) as post:
        receiver.usual = Answer(status=503)
        post.courier.post(a_notice())
        await receiver.until(1)
        await post.until_version(2)
        assert len(post.courier.pending()) == 1
        post.courier.configure({})
        assert post.courier.pending() == []
        (dead,) = post.courier.dead()
        assert (dead.state, dead.error) == (DeliveryState.DEAD, "no webhook of this name is configured any more")
        assert post.cleared[-1:] == ["webhook:ops"]
        await post.until_written()
        assert await post.journal.readers.deliveries() == (dead,)
        # It is there again: its dead letter is told of, and can be sent again.
        receiver.usual = Answer()
        post.courier.configure({"ops": hook(receiver.url)})
        assert "webhook:ops" in post.told
        post.courier.retry([dead.delivery_id], "ada")
        await receiver.until(2)


async def test_one_that_is_being_sent_lands_first(tmp_path: Path) -> None:
    async with receiving() as receiver, post_office(tmp_path, hook(receiver.url)) as post:
        gate = asyncio.Event()
        receiver.usual = Answer(status=503, gate=gate)
        post.courier.post(a_notice())
        await receiver.until(1)
        post.courier.configure({})
        before = post.courier.version
        gate.set()
        await post.until_version(before + 1)
        assert post.courier.pending() == []
        assert len(post.courier.dead()) == 1
        assert len(receiver.got) == 1


async def test_another_address_gets_what_still_waits(tmp_path: Path) -> None:
    async with receiving() as receiver, receiving() as other, post_office(tmp_path, hook(receiver.url)) as post:
        receiver.usual = Answer(status=503)
        post.courier.post(a_notice())
        await receiver.until(1)
        await post.until_version(2)
        post.courier.configure({"ops": hook(other.url)})
        post.clock.tick(2)
        await other.until(1)
        assert other.got[0].headers["x-palyra-delivery"] == receiver.got[0].headers["x-palyra-delivery"]


async def test_what_one_did_is_known_when_it_comes_back(tmp_path: Path) -> None:
    async with receiving() as receiver, post_office(tmp_path, hook(receiver.url)) as post:
        for number in (1, 2):
            post.courier.configure({})
            post.courier.configure({"ops": hook(receiver.url)})
            before = post.courier.version
            post.courier.post(a_notice())
            await receiver.until(number)
            await post.until_version(before + 2)
            assert post.courier.state("ops").row.delivered == number
    async with post_office(tmp_path) as post:
        post.courier.configure({"ops": hook("http://127.0.0.1:9")})
        assert post.courier.state("ops").row.delivered == 2
