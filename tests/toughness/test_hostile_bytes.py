"""Every byte that reaches the terminal while models, providers and clients say hostile things."""

import asyncio
import json
import re
import signal

import httpx
import pytest

from tests.support.hostile import obeyed
from tests.support.upstream import Reply, Upstream
from tests.toughness.programs import Installation
from tests.toughness.terminal import Terminal, terminal

PAYLOADS = {
    "escape": "\x1b[2J\x1b[31mMARK",
    "clipboard": "\x1b]52;c;TUFSSw==\x07MARK",
    "title": "\x1b]0;MARKED\x1b\\MARK",
    "c1": "\x9b31mMARK\x9d0;MARK\x9c",
    "bidi": "\u202eMARK\u2066\u200f",
    "bell": "\x07\x08\x08MARK\r\n\x00",
    "markup": "[bold red]MARK[/] [@click=app.exit]MARK[/]",
}

CONTROLS = re.compile(rb"[\x00-\x1f\x7f]")
C1_AND_BIDI = re.compile("[\x80-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
SEQUENCE = re.compile(
    rb"\x1b\[[\x20-\x3f]*[\x40-\x7e]"  # colours, places, modes
    rb"|\x1b\](?:2;Palyra A \d I \d|22;default|9;[ -~]*)\x07"  # our title, the pointer's shape, a notice
    rb"|\x1b[>=78]"
    rb"|\x18\x1b\\\\"  # ends what may have been cut
)
BELL = b"\x07"


def assert_harmless(term: Terminal, *, bells: int = 0) -> None:
    """Nothing but text, the sequences a screen is painted with, and the bells that announce an approval."""
    text = SEQUENCE.sub(b"", bytes(term.seen))
    assert text.count(BELL) == bells
    found = CONTROLS.search(text.replace(BELL, b""))
    assert found is None, text[max(0, found.start() - 60) : found.end() + 60]
    assert C1_AND_BIDI.search(text.decode()) is None


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(" ".join(PAYLOADS.values()), id="all"),
        *(pytest.param(payload, marks=pytest.mark.soak, id=name) for name, payload in PAYLOADS.items()),
    ],
)
async def test_what_a_provider_says_is_shown_harmlessly(
    installation: Installation, upstream: Upstream, payload: str
) -> None:
    said = json.dumps({"error": {"message": f"BEGIN {payload} END", "type": "x"}}).encode()
    upstream.default = Reply(status=400, error_body=said)
    async with terminal(installation) as term:
        url = await term.ready()
        await ask(installation, url, "gpt-4o-mini")
        term.type("5")
        await term.shows("Runs", "permanent_upstream", "1 of 1")
        term.type("\r")
        await term.shows("Runs ›", "BEGIN", "MARK", "END")
        term.type("q")
        assert await term.ended() == 0
        assert_harmless(term)


MEGABYTE = 1_000_000
MOST_PAINTED = 400_000
"""Bytes of a walk over a few screens; a single text of a megabyte that came through would be more."""


async def test_a_megabyte_of_it_is_shown_in_part_and_harmlessly(installation: Installation, upstream: Upstream) -> None:
    """A prompt, an answer, a refusal and a model's name of a real megabyte, on screens and told by commands."""
    everything = " ".join(PAYLOADS.values())
    flood = "BEGIN " + everything * (MEGABYTE // len(everything)) + " END"
    assert installation.config is not None
    model = 'upstream = "gpt-4o-mini"\n'
    text = installation.config.read_text().replace(model, f"{model}max_context = 4000000\n")
    installation.config.write_text(text + '\n[console]\nshow_prompts = true\n[runs]\nstore_content = "full"\n')
    said = json.dumps({"error": {"message": flood[: MEGABYTE // 10], "type": "x", "code": flood[:9_999]}}).encode()
    upstream.replies = [Reply(pieces=(flood,), finish=flood), Reply(status=400, error_body=said)]
    async with terminal(installation) as term:
        url = await term.ready()
        asked = [await ask(installation, url, "gpt-4o-mini", content=flood, user=flood) for _ in range(2)]
        assert [*asked, await ask(installation, url, flood), await ask(installation, url, f"gpt{flood[:200]}")] == [
            200,
            400,
            400,
            404,
        ]
        term.type("5")
        await term.shows("Runs", "permanent_upstream", "completed")
        for _ in range(2):
            term.type("\r")
            await term.shows("Runs ›", "took")
            await leafed(term, "MARK")
            term.type("\x1b")
            await term.shows("permanent_upstream", "completed")
            term.type("j")
        failed, completed = (await installation.command("runs", "list", "--json")).data["runs"]
        for words in (("runs", "show", completed["run_id"], "--content"), ("explain", failed["run_id"])):
            told = await installation.command(*words)
            assert told.code == 0, told
            assert len(told.output) < MEGABYTE, words
            assert obeyed(told.output) is None
        term.send(signal.SIGTERM)
        assert await term.ended() == 0
        assert_harmless(term)
    assert len(term.seen) < MOST_PAINTED
    log = (installation.state_dir / "logs" / "palyra.log").read_text()
    assert len(log) < MEGABYTE // 4
    assert obeyed(log) is None


async def test_what_operators_and_clients_write_is_shown_harmlessly(
    installation: Installation, upstream: Upstream
) -> None:
    everything = " ".join(PAYLOADS.values())
    async with terminal(installation) as term:
        url = await term.ready()
        waiting = asyncio.create_task(ask(installation, url, "gpt-4o", max_tokens=16_000))
        await term.shows("approval 1 waiting")
        for model in PAYLOADS.values():
            await ask(installation, url, model)
        page = await installation.command("approvals", "list", "--json")
        approval = page.data["approvals"][0]["approval_id"]
        denied = await installation.command("approvals", "deny", approval, f"--reason={everything.replace(chr(0), '')}")
        assert denied.code == 0
        await waiting
        name = everything.replace(chr(0), "")[:120]
        made = await installation.command("budgets", "add", "hostile", f"--name={name}", "--hard-limit=5")
        assert made.code == 0, made
        term.type("2")
        await term.shows("Approvals", "denied")
        term.type("\r")
        await term.shows("Approvals ›", "MARK")
        term.type("7")
        await term.shows("Budgets", "2 counters", "[2J")
        term.type("\r")
        await term.shows("Budgets ›", "operator, revision 1", "␛[2J")
        term.send(signal.SIGTERM)
        assert await term.ended() == 0
        assert_harmless(term, bells=1)


async def leafed(term: Terminal, text: str) -> None:
    """Pages on until this is shown."""
    while text not in term.text:
        painted = len(term.seen)
        term.type("\x1b[6~")
        await term.until(lambda painted=painted: len(term.seen) > painted)  # type: ignore[misc]


async def ask(installation: Installation, url: str, model: str, *, content: str = "hello", **more: object) -> int:
    key = (installation.state_dir / "gateway-key.txt").read_text().strip()
    body = {"model": model, "messages": [{"role": "user", "content": content}], **more}
    async with httpx.AsyncClient(base_url=url, headers={"x-api-key": key}, timeout=60, trust_env=False) as client:
        return (await client.post("/v1/chat/completions", json=body)).status_code
