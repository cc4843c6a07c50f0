"""What was asked and answered is kept only where the configuration says so, and then as it was said."""

import asyncio
from typing import Any

import pytest

from palyra.control.text_queries import RunTexts, RunTextsQuery
from palyra.core.errors import NotFoundError
from palyra.core.redact import Secret
from palyra.vault.records import Role
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import MINI, Premises, chat, message
from tests.support.upstream import Reply, Upstream

KEPT = '[runs]\nstore_content = "{}"\n'
CANARY = "canary-5f1d0c2b9a8e7d6c5b4a"
SAID = "Hello world."
HELLO = "user: Say hello."


async def words(here: Premises, run_id: str) -> RunTexts:
    await here.rest()
    await here.written()
    return await here.control.ask(RunTextsQuery(run_id))


async def kept(here: Premises, body: dict[str, Any], path: str = "") -> dict[str, str]:
    """What is kept of a request that was answered, by part."""
    answer = await here.ask(body, path=path)
    assert answer.status == 200, answer.body
    told = await words(here, answer.headers["x-palyra-run"])
    return {one.part: one.text for one in told.texts}


async def test_words_are_kept_from_when_the_configuration_wants_it(opened: Opener, upstream: Upstream) -> None:
    here = await opened()
    hello = [{"role": "user", "content": "Say hello."}]
    assert await kept(here, chat(messages=hello)) == {}
    assert (await here.reload(KEPT.format("full"))).ok
    whole = {"prompt": HELLO, "answer": SAID}
    for stream in (False, True):
        assert await kept(here, chat(messages=hello, stream=stream)) == whole
        assert await kept(here, message(messages=hello, stream=stream)) == whole
        asked = {"model": MINI, "input": "Say hello.", "stream": stream}
        assert await kept(here, asked, "/v1/responses") == whole
    # An answer that breaks off is kept as far as it came.
    upstream.replies.append(Reply(break_at=2))
    cut = await here.ask(chat(messages=hello, stream=True))
    told = await words(here, cut.headers["x-palyra-run"])
    assert [one.text for one in told.texts] == [HELLO, "Hello "]
    # Who may only look sees everything, but for secrets.
    said = [{"role": "user", "content": "It is sk-live-0123456789abcdef0123."}]
    shown = (await here.ask(chat(messages=said))).headers["x-palyra-run"]
    for role, text in (
        (Role.APPROVER, "user: It is sk-live-0123456789abcdef0123."),
        (Role.VIEWER, "user: It is [redacted]."),
    ):
        await words(here, shown)
        told = await here.operator("bo", role).ask(RunTextsQuery(shown))
        assert told.texts[0].text == text
        assert told.texts[0].redacted == (role is Role.VIEWER)
    with pytest.raises(NotFoundError, match="No run"):
        await here.control.ask(RunTextsQuery("nobody"))
    assert (await here.reload("")).ok
    assert await kept(here, chat(messages=hello)) == {}


async def test_redacted_words_hold_no_secret_and_long_ones_are_cut(opened: Opener, upstream: Upstream) -> None:
    here = await opened(KEPT.format("redacted"))
    Secret(CANARY)
    upstream.default = Reply(
        pieces=(
            f"It is {CANARY[:9]}",
            f"{CANARY[9:]}.",
        )
    )
    said = f"My key is sk-live-0123456789abcdef0123 and {CANARY}"
    for stream in (False, True):
        found = await kept(here, chat(messages=[{"role": "user", "content": said}], stream=stream))
        assert set(found) == {"prompt", "answer"}
        for text in found.values():
            assert "redacted" in text
            assert "0123456789abcdef" not in text
            assert CANARY not in text
    long = "é" * 200_000
    answer = await here.ask(chat(messages=[{"role": "user", "content": long}]))
    prompt = (await words(here, answer.headers["x-palyra-run"])).of("prompt")
    assert prompt is not None
    assert (prompt.cut, prompt.size, prompt.redacted) == (True, 400_006, True)
    assert len(prompt.text.encode()) <= 256 * 1024
    assert set(prompt.text) <= set("user: é")


async def test_who_waits_for_a_person_can_be_read_before_it_is_decided(opened: Opener) -> None:
    tight = (
        '[governance]\nclamp_output = false\n[[budgets]]\npolicy_id = "all"\nhard_limit = 0.000001\n'
        'action = "approval_required"\n'
    )
    here = await opened(KEPT.format("full") + tight)
    waits = asyncio.create_task(here.ask(chat(messages=[{"role": "user", "content": "Is it worth it?"}], max_tokens=9)))
    pending = await here.parked()
    told = await here.control.ask(RunTextsQuery(pending.run_ids[-1]))
    assert [(one.part, one.text) for one in told.texts] == [("prompt", "user: Is it worth it?")]
    await here.deny(pending.approval_id)
    assert (await waits).status == 402
