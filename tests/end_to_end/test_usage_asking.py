"""Providers that cannot be asked what a stream used: asked once a day, metered otherwise."""

import json

import pytest

from tests.end_to_end.premises import MINI, Premises, chat, message
from tests.support.upstream import Reply, Upstream

NEVER_HEARD = Reply(status=400, error_body=json.dumps({"error": {"message": "unknown field stream_options"}}).encode())


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_a_provider_that_cannot_be_asked_is_not_asked_again(
    here: Premises, upstream: Upstream, path: str
) -> None:
    body = message(stream=True) | {"model": MINI}
    upstream.replies = [NEVER_HEARD]
    first = await here.ask(body, path=path)
    assert first.status == 200
    assert b"Hel" in first.body
    sent = [dict(seen.json) for seen in upstream.seen]
    assert sent[0].pop("stream_options") == {"include_usage": True}
    assert sent == [sent[0]] * 2
    (run,) = await here.runs()
    assert (run.state, run.reason) == ("completed", "stop")
    assert "usage_missing" in run.flags

    await here.ask(body, path=path)
    assert "stream_options" not in upstream.seen[2].json
    assert len(upstream.seen) == 3


async def test_who_asks_for_the_usage_hears_that_it_cannot_be_asked(here: Premises, upstream: Upstream) -> None:
    upstream.replies = [NEVER_HEARD]
    answer = await here.ask(chat(stream=True, stream_options={"include_usage": True}))
    assert answer.status == 400
    assert answer.body == NEVER_HEARD.error_body
    assert len(upstream.seen) == 1


async def test_another_fault_is_no_reason_to_send_it_twice(here: Premises, upstream: Upstream) -> None:
    upstream.replies = [Reply(status=400, error_body=b'{"error": {"message": "temperature is too high"}}')]
    assert (await here.ask(chat(stream=True))).status == 400
    assert (await here.ask(chat())).status == 200
    assert ["stream_options" in seen.json for seen in upstream.seen] == [True, False]
