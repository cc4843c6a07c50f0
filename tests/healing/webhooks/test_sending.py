"""One try over real HTTP: what is sent, where it may go, and what an answer means."""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from palyra.config.operations import WebhookFormat
from palyra.core.clock import ManualClock
from palyra.core.resolving import Address
from palyra.healing.webhooks.rules import Outcome
from palyra.healing.webhooks.sender import TIMEOUT_S, Sender
from tests.gateway.certificates import make
from tests.healing.webhooks.receiver import Answer, receiving
from tests.healing.webhooks.samples import SECRET, Vault, a_delivery, hook


def leading_to(*addresses: str) -> "Lookup":
    return Lookup(addresses)


class Lookup:
    """Every name is at these addresses."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = addresses
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        self.asked.append((host, port))
        return [ipaddress.ip_address(address) for address in self.addresses]


async def test_a_delivery_arrives_signed() -> None:
    sender = Sender(Vault(), ManualClock())
    async with receiving() as receiver:
        outcome = await sender.send(hook(f"{receiver.url}/in", secret_ref="global/hook"), a_delivery())
        (got,) = receiver.got
    await sender.close()
    assert outcome == Outcome(200)
    assert (got.path, got.json["delivery_id"], got.headers["x-palyra-delivery"]) == ("/in", "d1", "d1")
    assert got.headers["content-type"] == "application/json"
    assert got.headers["x-palyra-signature"].startswith("t=")
    assert got.headers["host"] == receiver.url.removeprefix("http://")


async def test_what_the_vault_cannot_give_is_not_sent_unsigned() -> None:
    sender = Sender(Vault(), ManualClock())
    async with receiving() as receiver:
        outcome = await sender.send(hook(receiver.url, secret_ref="global/none"), a_delivery())
        assert receiver.got == []
    await sender.close()
    assert (outcome.error, outcome.final) == ("the vault has no global/none: locked", False)


async def test_a_redirect_is_not_followed() -> None:
    sender = Sender(Vault(), ManualClock())
    async with receiving() as other, receiving() as receiver:
        receiver.usual = Answer(307, "there", {"Location": f"{other.url}/stolen"})
        outcome = await sender.send(hook(receiver.url), a_delivery())
        assert other.got == []
    await sender.close()
    assert (outcome.status, outcome.final) == (307, True)


async def test_an_answers_words_are_cut_made_safe_and_rid_of_secrets() -> None:
    sender = Sender(Vault(), ManualClock())
    async with receiving() as receiver:
        receiver.usual = Answer(400, f"bad key {SECRET} \x1b]0;x\x07" + "y" * 10_000)
        outcome = await sender.send(hook(receiver.url, secret_ref="global/hook"), a_delivery())
    await sender.close()
    assert SECRET not in outcome.error
    assert "\x1b" not in outcome.error
    assert outcome.error.startswith("answered 400: bad key [redacted]")
    assert len(outcome.error) < 250


async def test_a_webhook_says_how_long_to_wait() -> None:
    sender = Sender(Vault(), ManualClock())
    async with receiving() as receiver:
        receiver.usual = Answer(429, "slowly", {"Retry-After": "30"})
        outcome = await sender.send(hook(receiver.url), a_delivery())
    await sender.close()
    assert (outcome.status, outcome.retry_after_s, outcome.final) == (429, 30.0, False)


async def test_one_that_does_not_answer_is_given_five_seconds() -> None:
    clock = ManualClock()
    sender = Sender(Vault(), clock)
    async with receiving() as receiver:
        gate = asyncio.Event()
        receiver.usual = Answer(gate=gate)
        trying = asyncio.create_task(sender.send(hook(receiver.url), a_delivery()))
        await receiver.until(1)
        clock.tick(TIMEOUT_S - 0.001)
        assert not trying.done()
        clock.tick(0.001)
        outcome = await trying
        gate.set()
    await sender.close()
    assert outcome == Outcome(error="did not answer within 5 s")


async def test_nobody_there_may_pass() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        sender = Sender(Vault(), ManualClock())
        outcome = await sender.send(hook(f"http://127.0.0.1:{port}"), a_delivery())
        await sender.close()
    assert outcome.error
    assert (outcome.status, outcome.final) == (None, False)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("10.0.0.7", "a private address needs allow_private"),
        ("169.254.169.254", "a private address needs allow_private"),
        ("fd00::1", "a private address needs allow_private"),
        ("::ffff:192.168.1.1", "a private address needs allow_private"),
        ("0.0.0.0", "a private address needs allow_private"),
    ],
)
async def test_a_name_that_leads_inside_is_refused_when_it_resolves(address: str, told: str) -> None:
    sender = Sender(Vault(), ManualClock(), addresses=leading_to(address))
    outcome = await sender.send(hook("https://hooks.example.com/in"), a_delivery())
    await sender.close()
    assert f"hooks.example.com resolves to {ipaddress.ip_address(address)}" in outcome.error
    assert told in outcome.error
    assert outcome.final


async def test_the_address_that_was_judged_is_the_one_that_is_called() -> None:
    """A name that resolves to something else a moment later leads nowhere else."""
    async with receiving() as receiver:
        port = int(receiver.url.rpartition(":")[2])
        lookup = leading_to("127.0.0.1")
        sender = Sender(Vault(), ManualClock(), addresses=lookup)
        outcome = await sender.send(hook(f"http://inside.example:{port}/in", allow_private=True), a_delivery())
        await sender.close()
        assert lookup.asked == [("inside.example", port)]
        assert receiver.got[0].headers["host"] == f"inside.example:{port}"
    assert outcome == Outcome(200)


async def test_the_next_address_is_tried_where_nobody_is_at_the_first() -> None:
    async with receiving() as receiver:
        port = int(receiver.url.rpartition(":")[2])
        sender = Sender(Vault(), ManualClock(), addresses=leading_to("127.0.0.2", "127.0.0.1"))
        outcome = await sender.send(hook(f"http://localhost:{port}/in"), a_delivery())
        await sender.close()
    assert outcome == Outcome(200)


async def test_slack_and_pagerduty_are_told_in_their_ways() -> None:
    sender = Sender(Vault(), ManualClock())
    async with receiving() as receiver:
        slack = hook(f"{receiver.url}/services", format=WebhookFormat.SLACK, secret_ref="global/hook")
        pager = hook(f"{receiver.url}/v2/enqueue", format=WebhookFormat.PAGERDUTY, secret_ref="global/hook")
        receiver.answers = [Answer(200), Answer(202)]
        assert await sender.send(slack, a_delivery()) == Outcome(200)
        assert await sender.send(pager, a_delivery()) == Outcome(202)
        assert receiver.got[0].path == f"/services/{SECRET}"
        assert (receiver.got[1].path, receiver.got[1].json["routing_key"]) == ("/v2/enqueue", SECRET)
    await sender.close()


async def test_certificates_are_of_the_host_that_is_named(tmp_path: Path) -> None:
    """Not of the address that is called: the certificate is good for that one too."""
    certificate, key = make(tmp_path, "own")
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate, key)
    trusted = ssl.create_default_context(cafile=str(certificate))
    async with receiving(served) as receiver:
        port = int(receiver.url.rpartition(":")[2])
        sender = Sender(Vault(), ManualClock(), addresses=leading_to("127.0.0.1"), trust=trusted)
        assert await sender.send(hook(f"https://localhost:{port}"), a_delivery()) == Outcome(200)
        other = await sender.send(hook(f"https://other.localhost:{port}"), a_delivery())
        await sender.close()
        assert len(receiver.got) == 1
    assert "certificate" in other.error.lower()
    assert not other.final
