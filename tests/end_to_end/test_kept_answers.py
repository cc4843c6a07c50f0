"""The same question twice within a while: the second time nobody is asked, and it costs nothing but a request."""

from typing import Any

import pytest

from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import HAIKU, MINI, chat, message
from tests.support.upstream import Reply, Upstream

KEEPING = "[cache]\nenabled = true\n"


async def test_the_second_answer_is_the_first_one_and_free(opened: Opener, upstream: Upstream) -> None:
    here = await opened(KEEPING)
    await here.add_budget("calls", "9", metric_kind="requests")
    await here.add_budget("house", "100")
    first = await here.ask(chat(max_tokens=50))
    charged = here.counted("house", "*")
    again = await here.ask({"max_tokens": 50, **chat()})
    assert len(upstream.seen) == 1
    assert (first.headers["x-palyra-cache"], again.headers["x-palyra-cache"]) == ("miss", "hit")
    assert (again.status, again.body) == (200, first.body)
    assert (again.headers["x-palyra-cost-usd"], again.headers["x-palyra-model"]) == ("0.00", MINI)
    assert "cache_hit" in again.headers["x-palyra-reason"]
    assert again.headers["x-palyra-usage-source"] == "cache"
    newest, older = await here.runs()
    assert (newest.cost_nano_usd, newest.input_tokens, newest.output_tokens) == (0, 0, 0)
    assert (newest.state, newest.reason, newest.flags) == ("completed", "stop", ("cache_hit",))
    assert older.cost_nano_usd
    assert charged[0] == older.cost_nano_usd
    assert (here.counted("house", "*"), here.counted("calls", "*")) == (charged, (2, 0))
    detail = await here.run(newest.run_id)
    assert detail.decision is not None
    assert any("the same was asked" in told.lower() for told in detail.decision.sentences)
    assert "cache_hit" in detail.decision.reason_codes
    assert [(one.state, one.actual_nano_usd, one.flags) for one in detail.attempts] == [("settled", 0, ("cache_hit",))]


@pytest.mark.parametrize("body", [chat(max_tokens=50), message()], ids=["chat", "messages"])
async def test_each_wire_has_its_answers(opened: Opener, upstream: Upstream, body: dict[str, Any]) -> None:
    here = await opened(KEEPING)
    answers = [await here.ask(body) for _ in range(3)]
    assert [answer.headers["x-palyra-cache"] for answer in answers] == ["miss", "hit", "hit"]
    assert len({answer.body for answer in answers}) == len(upstream.seen) == 1


async def test_it_is_asked_again_once_the_time_is_over(opened: Opener, upstream: Upstream) -> None:
    here = await opened(KEEPING + 'ttl = "40s"\n')
    await here.ask(chat())
    await here.advance(39)
    await here.ask(chat())
    assert len(upstream.seen) == 1
    await here.advance(1)
    await here.ask(chat())
    assert len(upstream.seen) == 2


async def test_callers_models_and_the_word_off_keep_answers_apart(opened: Opener, upstream: Upstream) -> None:
    here = await opened(KEEPING)
    key = here.new_key("other", "other")
    await here.ask(chat())
    for answer in (
        await here.ask(chat(), key=key),
        await here.ask(chat(model="own/acme-7b")),
        await here.ask(chat(), {"X-Palyra-Cache": "off"}),
    ):
        assert answer.headers.get("x-palyra-cache", "none") in ("miss", "none")
    assert len(upstream.seen) == 4
    streamed = await here.ask(chat(stream=True))
    assert "x-palyra-cache" not in streamed.headers
    assert len(upstream.seen) == 5


CALLED = b'{"choices":[{"message":{"tool_calls":[{"id":"1"}]},"finish_reason":"stop"}],"usage":{}}'


@pytest.mark.parametrize(
    "reply",
    [
        Reply(finish="length"),
        Reply(finish="tool_calls"),
        Reply(finish="content_filter"),
        Reply(raw=CALLED),
        Reply(status=500),
        Reply(raw=b"<html>"),
    ],
    ids=["cut", "tools", "filtered", "forced_tool", "failed", "unreadable"],
)
async def test_answers_that_are_not_whole_texts_are_not_kept(opened: Opener, upstream: Upstream, reply: Reply) -> None:
    here = await opened(KEEPING)
    upstream.default = reply
    for _ in range(2):
        await here.ask(chat())
    assert len(upstream.seen) == 2


async def test_a_budget_that_refuses_refuses_kept_answers_too(opened: Opener, upstream: Upstream) -> None:
    here = await opened(KEEPING)
    await here.add_budget("calls", "2", metric_kind="requests")
    statuses = [(await here.ask(chat())).status for _ in range(3)]
    assert (statuses, len(upstream.seen)) == ([200, 200, 402], 1)


async def test_without_being_asked_for_nothing_is_kept(opened: Opener, upstream: Upstream) -> None:
    here = await opened()
    answers = [await here.ask(message(model=HAIKU)) for _ in range(2)]
    assert [answer.headers.get("x-palyra-cache") for answer in answers] == [None, None]
    assert len(upstream.seen) == 2
