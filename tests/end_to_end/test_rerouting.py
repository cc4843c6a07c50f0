"""Budgets that ask for another model, asked by clients which name theirs, as nearly all do."""

import asyncio
from typing import Any

import pytest

from palyra.control.commands import AddPolicy, EditPolicy
from palyra.control.queries import DecisionQuery
from palyra.control.replay_worker import ALONE, GUESSED
from palyra.control.replays import ReplayAnswer, ReplayQuery, replay
from palyra.core.clock import ManualClock, SystemClock
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import MINI, chat
from tests.support.upstream import Reply, Upstream

DEARER = "openai/gpt-4.1"
MODELS = """
[[models]]
provider = "openai"
upstream = "gpt-4.1"
"""
ASKED = {**chat(max_tokens=100), "model": DEARER}


@pytest.mark.parametrize(("override", "code"), [("degrade", "policy_degrade"), (f"model:{MINI}", "policy_model")])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_named_model_gives_way_to_a_budget_over_its_soft_limit(
    opened: Opener, upstream: Upstream, override: str, code: str, stream: bool
) -> None:
    here = await opened(MODELS)
    await here.add_budget("day", "1.00", soft_limit="0.50", routing_override=override)
    body: dict[str, Any] = {**ASKED, "stream": stream}
    assert (await here.ask(body)).headers["x-palyra-model"] == DEARER
    await here.send(EditPolicy("day", {"soft_limit": "0"}))
    answer = await here.ask(body)
    assert (answer.status, answer.headers["x-palyra-model"]) == (200, MINI)
    assert upstream.seen[-1].json["model"] == "gpt-4o-mini"
    decision = (await here.control.ask(DecisionQuery(answer.headers["x-palyra-decision"]))).body
    assert (decision["requested_model"], decision["actual_model"], decision["action"]) == (DEARER, MINI, "degrade")
    assert {code, "explicit_model"} <= set(decision["reason_codes"])


async def test_a_budget_that_would_reroute_to_nothing_is_refused(opened: Opener) -> None:
    """Only of a provider that may have further models, a name is taken on trust, and that is said."""
    here = await opened(MODELS + '[[models]]\nprovider = "own"\nupstream = "e5"\nrole = "embeddings"\n')
    fields = {"policy_id": "day", "hard_limit": "1"}
    for name, says in (("gpt-4.1", f'Did you mean "model:{DEARER}"?'), ("own/e5", "is for embeddings, not for chat")):
        refused = await here.control.send(AddPolicy({**fields, "routing_override": f"model:{name}"}))
        assert refused.status == "invalid"
        assert says in refused.message
    await here.add_budget("day", "1.00")
    refused = await here.control.send(EditPolicy("day", {"routing_override": "model:nosuch"}))
    assert (refused.status, 'there is no model "nosuch"' in refused.message) == ("invalid", True)
    trusted = await here.send(EditPolicy("day", {"routing_override": "model:openai/gpt-4.2"}))
    assert 'But there is no model "openai/gpt-4.2" yet.' in trusted.message
    assert "But" not in (await here.send(EditPolicy("day", {"soft_limit": "0.5"}))).message


async def test_a_key_is_sent_to_no_model_that_it_may_not_use(opened: Opener) -> None:
    here = await opened(MODELS)
    await here.add_budget("day", "1.00", soft_limit="0", routing_override="degrade")
    key = here.new_key("dear", "dear", allowed_models=(DEARER,))
    assert (await here.ask(ASKED, key=key)).headers["x-palyra-model"] == DEARER
    other = await here.ask({**ASKED, "model": MINI}, key=key)
    assert (other.status, other.json["error"]["code"]) == (403, "model_not_allowed")


async def test_a_budget_of_others_brings_no_other_models_into_the_decision(opened: Opener) -> None:
    here = await opened(MODELS)
    await here.add_budget(
        "eve", "1.00", soft_limit="0", routing_override="degrade", scope_kind="session", scope_id="eve"
    )
    answer = await here.ask(ASKED)
    decision = (await here.control.ask(DecisionQuery(answer.headers["x-palyra-decision"]))).body
    assert [one["model"] for one in decision["candidates"]] == [DEARER]


async def test_work_that_only_classifies_goes_to_the_model_that_was_fastest(opened: Opener, upstream: Upstream) -> None:
    cheaper = "openai/gpt-4.1-nano"
    here = await opened(
        MODELS.replace("gpt-4.1", "gpt-4.1-nano") + f'[defaults]\nchat = "{MINI}"\n', clock=ManualClock()
    )
    classify = {"X-Palyra-Task-Class": "auxiliary_classification"}
    auto = {**chat(max_tokens=100), "model": "auto"}
    assert (await here.ask(auto, classify)).headers["x-palyra-model"] == cheaper
    for model, seconds in ((MINI, 1), (cheaper, 2)):
        for _ in range(20):
            gate = asyncio.Event()
            upstream.default = Reply(gate=gate)
            before = len(upstream.seen)
            caller = await here.call({**chat(max_tokens=100), "model": model})
            await upstream.wait_for_requests(before + 1)
            await here.advance(seconds)
            gate.set()
            assert (await caller.answer()).status == 200
    upstream.default = Reply()
    answer = await here.ask(auto, classify)
    assert answer.headers["x-palyra-model"] == MINI
    assert "fastest_capable" in answer.headers["x-palyra-reason"]


async def test_a_trial_of_rerouting_reaches_named_models_by_what_the_log_knows_of_others(opened: Opener) -> None:
    here = await opened(MODELS)
    now = here.clock.now_ms()
    trying = {"policy_id": "try", "hard_limit": "1.00", "soft_limit": "0", "routing_override": "degrade"}

    async def tried(replay_id: str) -> ReplayAnswer:
        await here.rest()
        query = ReplayQuery(replay_id, (trying,), since=now - 1_000, until=here.clock.now_ms() + 1)
        return await replay(here.control, query, SystemClock())

    assert (await here.ask(ASKED)).status == 200
    alone = await tried("01KALONE")
    assert (alone.rerouted, alone.saved_nano_usd, ALONE in alone.notes, GUESSED in alone.notes) == (0, 0, True, False)
    assert (await here.ask({**ASKED, "model": MINI})).status == 200
    guessed = await tried("01KGUESSED")
    assert (guessed.rerouted, ALONE in guessed.notes, GUESSED in guessed.notes) == (1, False, True)
    # Both used as much, so that what the cheaper one cost is what the other would have.
    both, cheap = guessed.cost_before_nano_usd, guessed.cost_after_nano_usd
    assert (cheap % 2, both - cheap // 2) == (0, alone.cost_before_nano_usd)
    await here.add_budget("day", "1.00", soft_limit="0.50", routing_override="degrade")
    assert (await here.ask(ASKED)).headers["x-palyra-model"] == DEARER
    assert (await tried("01KWEIGHED")).rerouted == 2
