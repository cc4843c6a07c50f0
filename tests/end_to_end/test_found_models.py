"""Models that a provider lists by itself: callers see and may name them; `auto` takes them where that is wanted."""

import json

from palyra.control.replays import ReplayQuery, replay
from palyra.core.clock import SystemClock
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import DAY_MS, MINI, Premises, chat
from tests.support.upstream import Upstream

FOUND = """
[providers.extra]
kind = "openai_compatible"
base_url = "{base}/v1"
discover_route = true
"""


async def listed(here: Premises) -> list[str]:
    caller = await here.caller()
    caller.request("GET", "/v1/models", {"Authorization": f"Bearer {here.key}"})
    answer = await caller.answer()
    return [model["id"] for model in json.loads(answer.body)["data"]]


async def asked_all(here: Premises) -> None:
    """Waits until every provider on the network has been asked for its models."""
    await here.advance(1)
    providers = [one for one in here.engine.registry.providers.values() if one.on_network]
    discovery = here.engine.care.discovery
    await here.until(lambda: all(discovery.of(one.id).at for one in providers))


async def test_found_models_are_listed_and_answer_by_name(opened: Opener, upstream: Upstream) -> None:
    upstream.models = ["gpt-4o-mini", "llama-9"]
    here = await opened()
    assert "own/llama-9" not in await listed(here)
    await asked_all(here)
    assert {"own/llama-9", "openai/llama-9", "own/gpt-4o-mini", MINI} <= set(await listed(here))
    assert (await listed(here)).count(MINI) == 1
    answer = await here.ask(chat(model="own/llama-9"))
    assert (answer.status, answer.headers["x-palyra-model"]) == (200, "own/llama-9")
    assert upstream.seen[0].json["model"] == "llama-9"
    twice = await here.ask(chat(model="llama-9"))
    assert (twice.status, twice.error["code"]) == (404, "model_not_found")
    assert "Several providers" in twice.error["message"]


async def test_only_where_it_is_wanted_found_models_are_chosen(opened: Opener, upstream: Upstream) -> None:
    upstream.models = ["llama-9"]
    here = await opened(FOUND.format(base=upstream.base_url))
    await asked_all(here)
    registry = here.engine.registry
    assert [model.id for model in registry.routed if model.upstream == "llama-9"] == ["extra/llama-9"]


async def test_of_very_many_that_are_found_as_many_are_looked_at_as_a_plan_can_tell_of(
    opened: Opener, upstream: Upstream
) -> None:
    upstream.models = [*(f"llama-{number}" for number in range(1_030)), "gpt-4.1-nano"]
    priced = 'discover_route = true\npricing_provider = "openai"\n'
    here = await opened(FOUND.format(base=upstream.base_url).replace("discover_route = true\n", priced))
    await asked_all(here)
    answer = await here.ask(chat(model="auto", max_tokens=10))
    assert (answer.status, answer.headers["x-palyra-model"] == "extra/gpt-4.1-nano") == (200, False)
    await here.rest()
    query = ReplayQuery("01KMANYMODELS", since=here.clock.now_ms() - DAY_MS)
    told = await replay(here.control, query, SystemClock())
    assert (told.requests, told.differences) == (1, 0)


async def test_a_provider_without_such_a_list_serves_all_the_same(opened: Opener, upstream: Upstream) -> None:
    here = await opened()
    await here.advance(1)
    await here.until(lambda: here.engine.care.discovery.of("openai").stale)
    health = {view.provider_id: view for view in (await here.control.snapshot([])).providers}
    assert (health["openai"].health, health["openai"].discovery.stale) == ("ok", True)
    assert (await here.ask(chat())).status == 200


async def test_what_is_observed_is_seen_on_the_screen(opened: Opener, upstream: Upstream) -> None:
    here = await opened()
    for _ in range(5):
        await here.ask(chat())
    await here.rest()
    view = next(one for one in (await here.control.snapshot([])).providers if one.provider_id == "openai")
    assert (view.health, view.latency, view.p50_ms) == ("ok", "low", 0)
    assert view.leases is not None
    assert (view.leases.in_use, view.leases.waiting) == (0, 0)
