"""Providers that say anything: callers get whole answers in their own dialect, and the books stay in order."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis.strategies import SearchStrategy

from palyra.control.queries import RunQuery
from palyra.providers.errors import KEPT_STATUSES
from palyra.providers.sse import SseSplitter, event_data
from palyra.providers.wires import GATEWAY_PATHS, Wire
from tests.attacks.answers import Scene, plain_answers, streams
from tests.attacks.conversation import Whole, asked, told_by_table
from tests.attacks.depth import attacks
from tests.attacks.provider import answered
from tests.attacks.target import Target
from tests.end_to_end.premises import HAIKU, MINI

SPEAKER = "own/acme-8b"
"""The one that speaks the responses wire itself."""
ASKED: dict[Wire, dict[str, Any]] = {
    Wire.CHAT: {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 500},
    Wire.MESSAGES: {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 500},
    Wire.RESPONSES: {"input": "hi", "max_output_tokens": 500},
    Wire.EMBEDDINGS: {"input": "hi"},
}
SAME = [(Wire.CHAT, MINI, Wire.CHAT), (Wire.MESSAGES, HAIKU, Wire.MESSAGES), (Wire.RESPONSES, SPEAKER, Wire.RESPONSES)]
TRANSLATED = [
    (Wire.CHAT, HAIKU, Wire.MESSAGES),
    (Wire.MESSAGES, MINI, Wire.CHAT),
    (Wire.RESPONSES, MINI, Wire.CHAT),
    (Wire.RESPONSES, HAIKU, Wire.MESSAGES),
]
EMBEDDED = (Wire.EMBEDDINGS, "own/vectors", Wire.EMBEDDINGS)
TERMINAL = {
    Wire.MESSAGES: {"message_stop", "error"},
    Wire.RESPONSES: {"response.completed", "response.incomplete", "response.failed", "error"},
}


def events_of(body: bytes) -> list[bytes]:
    """The raw events of a stream that ends where an event does."""
    splitter = SseSplitter()
    events = splitter.feed(body + b"\n" if body.endswith(b"\r") else body)
    assert splitter.rest() in (b"", b"\n"), body[-200:]
    return events


def ends_well(wire: Wire, raw: bytes) -> bool:
    """Whether the last event of a stream says that it is the last."""
    data, name = event_data(raw)
    if wire is Wire.CHAT:
        return data == b"[DONE]"
    kind = json.loads(data or b"{}").get("type")
    return kind in TERMINAL[wire] or name == b"error"


def ours(wire: Wire, rest: bytes) -> bool:
    """Whether this is what Palyra adds to a stream that broke: one error event, and the end mark of its wire."""
    events = [event_data(raw)[0] for raw in events_of(rest)]
    if wire is Wire.CHAT:
        return len(events) == 2 and events[1] == b"[DONE]" and "error" in json.loads(events[0] or b"")
    return len(events) == 1 and "error" in json.loads(events[0] or b"")["type"]


def unchanged(wire: Wire, got: bytes, said: bytes) -> bool:
    """Whether a caller got the provider's bytes up to the end of an event, and nothing else but an end of ours."""
    if said.startswith(got):
        return True
    at = 0
    for raw in events_of(got):
        if not said.startswith(raw, at):
            return ours(wire, got[at:])
        at += len(raw)
    return False


async def charged_soundly(target: Target, answer: Whole) -> None:
    """The run that an answer names was charged once, and by no less than nothing."""
    run_id = answer.headers.get("x-palyra-run")
    if run_id is None:
        return
    detail = await target.here.control.ask(RunQuery(run_id))
    run = detail.run
    assert run.state in ("completed", "failed", "refused"), run
    assert all(one.state in ("settled", "released") for one in detail.attempts)
    assert len(detail.attempts) <= 1
    assert sum(one.actual_nano_usd or 0 for one in detail.attempts) == (run.cost_nano_usd or 0) >= 0


def play(target: Target, wire: Wire, model: str, scene: Scene, *, same: bool, stream: bool) -> None:
    async def one() -> None:
        target.provider.heard.clear()
        target.provider.script = lambda heard: scene.said
        body = {"model": model, **ASKED[wire]}
        if stream:
            body["stream"] = True
            if wire is Wire.CHAT:
                body["stream_options"] = {"include_usage": True}
        try:
            answer = await asked(target, GATEWAY_PATHS[wire], json.dumps(body).encode())
        finally:
            target.provider.script = None
        assert answer is not None
        assert not answer.cut
        assert len(target.provider.heard) == 1
        event(f"{answer.status} {'broken' if b'malformed' in answer.body else ''}")
        if not 200 <= answer.status < 300:
            if answer.headers.get("x-palyra-outcome") or not same:
                well_refused(wire, answer, scene)
        elif stream and answer.headers["content-type"].startswith("text/event-stream"):
            told = events_of(answer.body)
            assert told
            assert ends_well(wire, told[-1]), answer.body[-300:]
            if same and scene.body is not None:
                assert unchanged(wire, answer.body, scene.body), (answer.body, scene.body)
            if not same:
                for raw in told:
                    data, _ = event_data(raw)
                    assert data == b"[DONE]" or data is None or type(json.loads(data)) is dict
        elif same and scene.body is not None:
            assert answer.body == scene.body
        else:
            assert type(answer.json) is dict
        await charged_soundly(target, answer)
        await target.unharmed()

    target.run(one())


def refusal_of(answer: Whole) -> dict[str, Any]:
    """The error in an answer that has one."""
    data = json.loads(answer.body) if answer.body.startswith(b"{") else {}
    error = data.get("error") if type(data) is dict else None
    return error if type(error) is dict else {}


def well_refused(wire: Wire, answer: Whole, scene: Scene) -> None:
    """In the shape of the dialect, or with the status that the provider itself refused with."""
    if answer.status in KEPT_STATUSES and (error := refusal_of(answer)).get("code") == "upstream_error":
        assert error["type"] == KEPT_STATUSES[answer.status]
        return
    passed_on = any(answer.body and answer.body in piece for piece in scene.said.pieces)
    if not (passed_on and answer.status in KEPT_STATUSES):
        told_by_table(wire, answer)


def cases(*which: list[tuple[Wire, str, Wire]]) -> pytest.MarkDecorator:
    rows = [row for rows in which for row in rows]
    return pytest.mark.parametrize(("wire", "model", "spoken"), rows, ids=[f"{a}-{b}" for a, _, b in rows])


def endure(
    attacked: Target,
    scenes: SearchStrategy[Scene],
    wire: Wire,
    model: str,
    *,
    same: bool,
    depth: settings,
    stream: bool,
) -> None:
    """Answers a caller of `wire` with one scene after another; `same`: its provider speaks that wire too."""

    @depth
    @given(scene=scenes)
    def attack(scene: Scene) -> None:
        play(attacked, wire, model, scene, same=same, stream=stream)

    attack()
    attacked.run(attacked.books())


@cases(SAME, TRANSLATED)
@attacks(12)
def test_a_stream_of_anything_is_a_whole_answer(
    attacked: Target, wire: Wire, model: str, spoken: Wire, depth: settings
) -> None:
    endure(attacked, streams(spoken), wire, model, same=wire is spoken, depth=depth, stream=True)


@cases(SAME, TRANSLATED, [EMBEDDED])
@attacks(10)
def test_a_plain_answer_of_anything_is_a_whole_answer(
    attacked: Target, wire: Wire, model: str, spoken: Wire, depth: settings
) -> None:
    endure(attacked, plain_answers(spoken), wire, model, same=wire is spoken, depth=depth, stream=False)


def test_no_claim_of_a_provider_exhausts_what_sums_can_hold(attacked: Target) -> None:
    """Two thousand million dollars an answer: what was held is charged for it, and the books go on."""
    usage = {"prompt_tokens": 1, "completion_tokens": 2 * 10**9, "total_tokens": 2 * 10**9 + 1}
    choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    claim = {"id": "c1", "object": "chat.completion", "model": "gold", "choices": [choice], "usage": usage}
    body = json.dumps({"model": "own/gold", **ASKED[Wire.CHAT]}).encode()

    async def claimed() -> None:
        attacked.provider.script = lambda heard: answered(json.dumps(claim).encode())
        for _ in range(8):
            answer = await asked(attacked, "/v1/chat/completions", body)
            assert answer is not None
            assert answer.status == 200
            assert Decimal(answer.headers["x-palyra-cost-usd"]) == Decimal(answer.headers["x-palyra-bound-usd"])
        attacked.provider.script = None
        await attacked.unharmed()

    attacked.run(claimed())
    attacked.run(attacked.books())
