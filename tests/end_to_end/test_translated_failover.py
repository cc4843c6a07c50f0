"""A model of the other vendor answers in the place of one that fails: each is sent the request in its own words."""

import itertools
import json
from typing import Any

import pytest

from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import HAIKU, HELLO, MINI, Premises, events_of
from tests.end_to_end.test_streams import INPUT, OUTPUT, delivered
from tests.support.upstream import Reply, Seen, Upstream

CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
ASKED: dict[str, dict[str, Any]] = {
    CHAT: {"messages": HELLO, "max_tokens": 200},
    MESSAGES: {"messages": HELLO, "max_tokens": 200},
    RESPONSES: {"input": "hello", "max_output_tokens": 200},
}
OTHER = {MINI: HAIKU, HAIKU: MINI}
ITS_OWN = {MINI: CHAT, HAIKU: MESSAGES}


@pytest.fixture
async def here(opened: Opener) -> Premises:
    return await opened("[retries]\nmax = 0\n[failover]\nenabled = true\n")


def down(path: str) -> Any:
    """Answers 503 at one address and as ever elsewhere."""

    def choose(seen: Seen) -> Reply:
        return Reply(status=503) if seen.path == path else Reply(input_tokens=12, output_tokens=4)

    return choose


@pytest.mark.parametrize("first", [MINI, HAIKU])
async def test_the_other_vendor_answers(here: Premises, upstream: Upstream, first: str) -> None:
    upstream.choose = down(ITS_OWN[first])
    second = OTHER[first]
    for path, streaming in itertools.product(ASKED, (False, True)):
        upstream.seen.clear()
        fields = {"stream": True} if streaming else {}
        answer = await here.ask({"model": first, **ASKED[path], **fields}, path=path)
        assert answer.status == 200
        assert [seen.path for seen in upstream.seen] == [ITS_OWN[first], ITS_OWN[second]]
        assert [seen.json["model"] for seen in upstream.seen] == [one.split("/")[1] for one in (first, second)]
        assert [seen.json["max_tokens"] for seen in upstream.seen] == [200, 200]
        assert said(path, answer.body, streaming=streaming) == "Hello world."
        run = (await here.run(answer.headers["x-palyra-run"])).run
        assert (run.state, run.model) == ("completed", second)
        assert run.cost_nano_usd == 12 * INPUT[second] + 4 * OUTPUT[second]
        # Its breaker forgets the failure.
        await here.advance(60)


def said(path: str, body: bytes, *, streaming: bool) -> str:
    """What an answer says in the end."""
    if streaming and path != RESPONSES:
        return delivered(body)
    data = events_of(body)[-1] if streaming else json.loads(body)
    if path == RESPONSES:
        return str(data.get("response", data)["output"][0]["content"][0]["text"])
    return str(data["content"][0]["text"] if path == MESSAGES else data["choices"][0]["message"]["content"])


async def test_who_can_be_told_less_is_no_way_out(here: Premises, upstream: Upstream) -> None:
    """What only chat can say goes to no other wire: the failure is told as it is."""
    upstream.choose = down(CHAT)
    answer = await here.ask({"model": MINI, **ASKED[CHAT], "logprobs": True}, path=CHAT)
    assert answer.status == 503
    assert {seen.path for seen in upstream.seen} == {CHAT}
