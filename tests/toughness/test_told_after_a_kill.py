"""What people are told survives a kill, under one id; and a console's terminal gets the bytes that ring."""

import re
from pathlib import Path

import httpx
import pytest

from tests.healing.webhooks.receiver import Answer, receiving
from tests.toughness.programs import Engine, Installation
from tests.toughness.terminal import terminal

BUDGET = """
[[budgets]]
policy_id = "desk"
metric_kind = "requests"
hard_limit = 0
action = "approval_required"
"""
HOOK = """
[[notifications.webhook]]
name = "ops"
url = "{url}"
events = ["approval_requested"]
"""


def add(installation: Installation, text: str) -> None:
    assert installation.config is not None
    installation.config.write_text(installation.config.read_text() + text)


async def refused(url: str, key: str) -> None:
    """A request that nobody waits for; a person is asked."""
    headers = {"x-api-key": key, "x-palyra-park": "0"}
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 16}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60, trust_env=False) as client:
        assert (await client.post("/v1/chat/completions", json=body)).status_code == 402


async def ask(engine: Engine) -> None:
    await refused(engine.gateway_url, engine.key)


async def test_a_notification_that_did_not_arrive_before_a_kill_arrives_after_it_under_its_id(
    installation: Installation,
) -> None:
    async with receiving() as receiver:
        add(installation, BUDGET + HOOK.format(url=receiver.url))
        receiver.usual = Answer(503, "busy")
        engine = installation.serve().ready()
        await ask(engine)
        await receiver.until(1)
        engine.kill()
        before = len(receiver.got)
        receiver.usual = Answer(200)
        again = installation.serve().ready()
        await receiver.until(before + 1)
        assert len({got.headers["x-palyra-delivery"] for got in receiver.got}) == 1
        assert {got.json["event"] for got in receiver.got} == {"approval_requested"}
        told = (await installation.command("notifications", "list", "--json")).data["webhooks"]
        while told[0]["delivered"] == 0:
            told = (await installation.command("notifications", "list", "--json")).data["webhooks"]
        assert again.stop() == 0
        # A third engine has nothing left to tell.
        third = installation.serve().ready()
        assert third.stop() == 0
        assert len(receiver.got) == before + 1
    assert (await installation.command("audit", "verify")).code == 0


@pytest.mark.parametrize(
    ("keys", "expected"), [("", rb"\x07\x1b\]9;Palyra: local [ -~]{1,66}\x07"), ('osc9 = "off"', rb"\x07")]
)
async def test_the_terminal_rings_for_a_request_for_a_persons_word(
    installation: Installation, keys: str, expected: bytes
) -> None:
    add(installation, f"{BUDGET}\n[notifications]\n{keys}\n")
    async with terminal(installation) as term:
        url = await term.ready()
        key = Path(installation.state_dir / "gateway-key.txt").read_text().strip()
        assert rings(term.seen) == []
        await refused(url, key)
        await term.until(lambda: rings(term.seen) != [])
        (ring,) = rings(term.seen)
        assert re.fullmatch(expected, ring), ring


OURS = re.compile(rb"\x1b\](?:2;|22;)[ -~]*\x07")
RING = re.compile(rb"\x07?\x1b\]9;[^\x07]*\x07|\x07")


def rings(seen: bytearray) -> list[bytes]:
    """Every bell and notification among the bytes, titles and pointer shapes aside."""
    return RING.findall(OURS.sub(b"", bytes(seen)))
