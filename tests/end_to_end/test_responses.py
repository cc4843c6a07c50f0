"""The responses wire, from the official client to the ledger: byte for byte, priced by what it used."""

import json
from typing import Any

import openai
import pytest

from palyra.control.queries import AttemptView, BudgetQuery
from palyra.control.replays import ReplayQuery, replay
from palyra.core.clock import SystemClock
from palyra.tui.dialogs.what_if import tried
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import DAY_MS, HELLO, Premises, events_of, usd
from tests.gateway.stand_in import RawAnswer
from tests.providers.recordings import OUTPUT, RESPONSE, RESPONSES, response_end, response_event, responses_usage
from tests.support.responses import event, events, response
from tests.support.upstream import Reply, Upstream

PATH = "/v1/responses"
MODEL = "openai/gpt-4.1-mini"
MODELS = """
[[models]]
provider = "openai"
upstream = "gpt-4.1-mini"
responses = true

[[models]]
provider = "openai"
upstream = "gpt-5-mini"
responses = true
"""
RECORDED = tuple(raw for raw, _ in RESPONSES)


@pytest.fixture
async def here(opened: Opener) -> Premises:
    return await opened(MODELS)


async def ask(here: Premises, **body: Any) -> RawAnswer:
    return await here.ask({"model": MODEL, "input": "hello", **body}, path=PATH)


def uses_of(attempt: AttemptView) -> dict[str, int]:
    return {part.unit: part.count for part in attempt.parts if not part.unit.endswith("tokens")}


async def charged(here: Premises) -> tuple[int, int, int]:
    """Input, output and charge of the only run."""
    numbers = (await here.usage()).total
    return numbers.input_tokens, numbers.output_tokens, numbers.cost_nano_usd


async def test_a_plain_answer_is_the_provider_s(here: Premises, upstream: Upstream) -> None:
    upstream.default = Reply(pieces=("Hel", "lo."), input_tokens=5_000, cached_tokens=4_000, output_tokens=250)
    raw = await here.openai().responses.with_raw_response.create(
        model="gpt-4.1-mini", input="hello", instructions="Be brief.", max_output_tokens=400, store=False
    )
    assert raw.content == upstream.seen[0].sent[0]
    answer = raw.parse()
    assert answer.output_text == "Hello."
    assert upstream.seen[0].path == PATH
    assert upstream.seen[0].json == {
        "model": "gpt-4.1-mini",
        "input": "hello",
        "instructions": "Be brief.",
        "max_output_tokens": 400,
        "store": False,
    }
    # The same counts on another wire cost the same: 1,000 at 0.40, 4,000 at 0.10, 250 at 1.60 a million.
    assert await charged(here) == (5_000, 250, 1_200_000)
    assert usd(raw.headers["x-palyra-cost-usd"]) == 1_200_000
    detail = await here.run()
    assert (detail.run.state, detail.run.reason, detail.run.wire) == ("completed", "stop", "responses")
    assert answer._request_id == detail.run.run_id


async def test_a_stream_passes_byte_for_byte_and_is_charged_by_its_last_event(
    here: Premises, upstream: Upstream
) -> None:
    upstream.default = Reply(frames=RECORDED)
    answer = await ask(here, stream=True)
    assert answer.headers["content-type"] == "text/event-stream"
    assert answer.body == b"".join(RECORDED)
    given, output, cost = await charged(here)
    assert (given, output) == (12, 40)
    # The search of the web and the use of files cost a fee besides the tokens.
    assert cost > 10_000_000
    detail = await here.run()
    assert (detail.run.reason, detail.attempts[0].usage_source) == ("tool_calls", "provider")
    assert uses_of(detail.attempts[0]) == {"web_searches": 1, "storage_searches": 1}


async def test_the_official_client_reads_a_stream(here: Premises, upstream: Upstream) -> None:
    stream = await here.openai().responses.create(model=MODEL, input=HELLO, stream=True)
    kinds = [part.type async for part in stream]
    assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
    async with here.openai().responses.stream(model=MODEL, input="hello") as accumulating:
        final = await accumulating.get_final_response()
    assert final.output_text == "Hello world."
    assert final.usage is not None
    assert final.usage.output_tokens == 4


async def test_a_plain_answer_with_tools_the_provider_ran_is_charged_for_them(
    here: Premises, upstream: Upstream
) -> None:
    whole = {**RESPONSE, "status": "completed", "output": OUTPUT, "usage": responses_usage(40)}
    upstream.default = Reply(raw=json.dumps(whole).encode())
    await ask(here, tools=[{"type": "web_search"}, {"type": "file_search", "vector_store_ids": ["vs_1"]}])
    plain = (await here.run()).attempts[0]
    assert uses_of(plain) == {"web_searches": 1, "storage_searches": 1}
    assert plain.actual_nano_usd is not None
    assert plain.bound_nano_usd is not None
    assert 10_000_000 < plain.actual_nano_usd <= plain.bound_nano_usd


async def test_a_stream_that_outruns_its_budget_ends_as_incomplete(here: Premises, upstream: Upstream) -> None:
    upstream.default = Reply(pieces=("abcdefgh",) * 400, input_tokens=20, output_tokens=800)
    await here.add_budget("day", "500", metric_kind="total_tokens")
    client = here.openai()
    stream = await client.responses.create(model=MODEL, input="hello", stream=True)
    *passed, last = [part async for part in stream]
    assert last.type == "response.incomplete"
    assert last.response.incomplete_details is not None
    assert last.response.incomplete_details.reason == "max_output_tokens"
    texts = "".join(part.delta for part in passed if part.type == "response.output_text.delta")
    assert last.response.output_text == texts
    assert 0 < len(texts) < 3_200
    assert last.response.usage is not None
    assert last.response.usage.output_tokens == -(-len(texts) // 4)
    assert last.sequence_number == passed[-1].sequence_number + 1
    assert (await here.run()).run.reason == "stream_cut_budget"
    assert (await here.budget("day")).settled <= 500


async def test_less_budget_tells_a_plain_answer_its_ceiling(here: Premises, upstream: Upstream) -> None:
    await here.add_budget("day", "400", metric_kind="total_tokens")
    answer = await ask(here, max_output_tokens=1_000)
    sent = upstream.seen[0].json["max_output_tokens"]
    assert sent == int(answer.headers["x-palyra-output-clamped"]) < 400
    assert "max_tokens" not in upstream.seen[0].json


async def test_what_reasons_unseen_is_held_whole_and_told_its_ceiling(here: Premises, upstream: Upstream) -> None:
    await ask(here, model="openai/gpt-5-mini", stream=True)
    assert upstream.seen[0].json["max_output_tokens"] == 4_096
    await ask(here, stream=True, reasoning={"effort": "low"})
    assert upstream.seen[1].json["max_output_tokens"] == 4_096
    await ask(here, stream=True)
    assert "max_output_tokens" not in upstream.seen[2].json


async def test_a_response_that_failed_says_so_itself(here: Premises, upstream: Upstream) -> None:
    failed = response_end("failed", error={"code": "server_error", "message": "gone wrong"})
    upstream.default = Reply(frames=(RECORDED[0], failed))
    answer = await ask(here, stream=True)
    assert answer.body == RECORDED[0] + failed
    detail = await here.run()
    assert (detail.run.state, detail.run.reason) == ("failed", "transient_upstream")
    assert (detail.attempts[0].state, (await charged(here))[:2]) == ("settled", (12, 40))


async def test_a_plain_response_that_failed_is_an_error_and_charged(opened: Opener, upstream: Upstream) -> None:
    here = await opened("[retries]\nmax = 0\n" + MODELS)
    failed = response(
        "gpt-4.1-mini", "failed", error={"code": "server_error", "message": "gone"}, usage=responses_usage(9)
    )
    upstream.default = Reply(raw=json.dumps(failed).encode())
    with pytest.raises(openai.InternalServerError, match="gone"):
        await here.openai(max_retries=0).responses.create(model=MODEL, input="hello")
    assert (await charged(here))[:2] == (12, 9)


async def test_a_broken_stream_ends_in_an_error_event(here: Premises, upstream: Upstream) -> None:
    frames = tuple(events("gpt-4.1-mini", ("Hel", "lo"), None))
    upstream.default = Reply(frames=(*frames[:6], response_event("error", code="server_error", message="gone wrong")))
    answer = await ask(here, stream=True)
    assert answer.body.startswith(b"".join(frames[:6]))
    last = events_of(answer.body)[-1]
    assert (last["type"], last["code"]) == ("error", "malformed_response")
    assert last["error"]["palyra"]["run_id"] == answer.headers["x-palyra-run"]
    with pytest.raises(openai.APIError, match="gone wrong"):
        _ = [part async for part in await here.openai().responses.create(model=MODEL, input="x", stream=True)]
    upstream.default = Reply(frames=frames[:6])
    assert events_of((await ask(here, stream=True)).body)[-1]["type"] == "error"


async def test_going_on_from_an_answer_holds_what_it_used(here: Premises, upstream: Upstream) -> None:
    upstream.default = Reply(input_tokens=20, output_tokens=730)
    await ask(here)
    first = (await here.run()).attempts[0]
    await ask(here, previous_response_id="resp_1", max_output_tokens=100)
    await ask(here, previous_response_id="resp_unknown", max_output_tokens=100)
    unknown, known, _ = [(await here.run(run.run_id)).attempts[0] for run in await here.runs()]
    assert first.bound_nano_usd is not None
    assert known.bound_nano_usd is not None
    assert unknown.bound_nano_usd is not None
    # Input costs 0.40 a million: 34 of its own, 750 of before; or all that the model can read.
    assert known.bound_nano_usd == (34 + 750) * 400 + 100 * 1_600
    assert unknown.bound_nano_usd > 1_000_000 * 400
    assert upstream.seen[1].json["previous_response_id"] == "resp_1"


async def test_what_was_used_before_is_known_to_the_next_engine(opened: Opener, upstream: Upstream) -> None:
    first = await opened(MODELS)
    upstream.default = Reply(input_tokens=20, output_tokens=730)
    await ask(first, stream=True)
    await first.close()
    here = await opened(MODELS)
    await ask(here, previous_response_id="resp_1", max_output_tokens=100)
    going_on = (await here.run((await here.runs())[0].run_id)).attempts[0]
    assert going_on.bound_nano_usd == (34 + 750) * 400 + 100 * 1_600


async def test_background_is_refused_by_name(here: Premises, upstream: Upstream) -> None:
    answer = await ask(here, background=True)
    assert (answer.status, answer.error["code"], answer.error["param"]) == (400, "invalid_field", "background")
    assert upstream.seen == []


async def test_a_parked_stream_begins_with_comments(here: Premises, upstream: Upstream) -> None:
    await here.add_budget("desk", "0", action="approval_required")
    caller = await here.call({"model": MODEL, "input": "hello", "stream": True}, path=PATH)
    approval = await here.parked()
    await here.advance(10)
    await here.allow(approval.approval_id)
    answer = await caller.answer()
    comment = f": palyra parked approval={approval.approval_id}\n\n".encode()
    assert answer.body == comment + b"".join(upstream.seen[0].sent)


async def test_the_built_in_model_speaks_it(opened: Opener) -> None:
    here = await opened('[providers.local]\nkind = "deterministic"\n')
    client = here.openai()
    plain = await client.responses.create(model="local/echo", input="say this", instructions="Be brief.")
    assert (plain.output_text, plain.status) == ("say this", "completed")
    cut = await client.responses.create(model="local/echo", input="say this", max_output_tokens=1)
    assert (cut.output_text, cut.status) == ("say ", "incomplete")
    async with client.responses.stream(model="local/echo", input="say this") as stream:
        final = await stream.get_final_response()
    assert final.output_text == "say this"
    assert final.usage is not None
    assert (final.usage.input_tokens, final.usage.output_tokens) == (2, 2)
    given = json.dumps({"type": "json_object"})
    asked = await client.responses.create(model="local/echo", input="x", text={"format": json.loads(given)})
    assert asked.output_text == '{"ack":"ok"}'


def test_the_recorded_stream_is_what_the_mock_speaks() -> None:
    """The mock's events are among those recorded by kind, so that neither drifts away from the other."""
    kinds = {json.loads(raw.split(b"data: ")[1])["type"] for raw in RECORDED}
    spoken = {json.loads(raw.split(b"data: ")[1])["type"] for raw in events("m", ("a",), None)}
    assert spoken <= kinds
    assert event("response.x", a=1) == response_event("response.x", a=1)


async def test_a_what_if_counts_every_wire(opened: Opener) -> None:
    embedder = '[[models]]\nprovider = "openai"\nupstream = "text-embedding-3-small"\nrole = "embeddings"\n'
    here = await opened(MODELS + embedder)
    await here.add_budget("desk", "9", metric_kind="requests")
    for _ in range(2):
        assert (await ask(here)).status == 200
        assert (await ask(here, stream=True)).status == 200
        body = {"model": "openai/text-embedding-3-small", "input": "hello"}
        assert (await here.ask(body, path="/v1/embeddings")).status == 200
    await here.rest()
    now = here.clock.now_ms()
    for limit, denied in (("9", 0), ("3", 3)):
        fields = tried((await here.control.ask(BudgetQuery("desk"))).fields, limit)
        query = ReplayQuery(f"01KWHATIF{limit}", (fields,), since=now - DAY_MS, until=now + 1)
        answer = await replay(here.control, query, SystemClock())
        assert (answer.requests, answer.denied_before, answer.denied_after) == (6, 0, denied)
