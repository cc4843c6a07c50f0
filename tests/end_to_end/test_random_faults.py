"""Many requests at once at providers that fail at random: whatever happens, every hold, place and permit comes back."""

import asyncio
import random

import pytest

from palyra.providers.breaker import BreakerState
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import MINI, Premises, chat
from tests.gateway.stand_in import RawAnswer
from tests.support.faults import (
    DROPS,
    ERROR_EVENT,
    FIRST,
    GOOD,
    HALF,
    MALFORMED,
    OVERLOADED,
    SECOND,
    says,
    status,
    two_providers,
)
from tests.support.upstream import Reply, Seen, Upstream

REQUESTS = 40
SETTINGS = """
[retries]
max = 2
[failover]
enabled = true
[leases]
provider_start = 2
provider_max = 4
credential_start = 1
credential_max = 3
"""
FAULTS = (
    OVERLOADED,
    status(500),
    status(429, retry_after="1"),
    status(429, retry_after="60"),
    status(529),
    status(404),
    status(503, says("no", "x"), retry_after="3"),
    DROPS,
    HALF,
    MALFORMED,
    ERROR_EVENT,
)
ENDS = {200, 400, 402, 404, 429, 502, 503, 504}


async def spent(here: Premises, tasks: list["asyncio.Task[RawAnswer]"]) -> list[RawAnswer]:
    """Lets time pass until all have their answers."""
    while not all(task.done() for task in tasks):
        await here.advance(0.25)
        await asyncio.sleep(0)
    return [task.result() for task in tasks]


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_hold_place_and_permit_comes_back(opened: Opener, upstream: Upstream, seed: int) -> None:
    dice = random.Random(seed)
    here = await opened(SETTINGS + two_providers(upstream.base_url))
    await here.add_budget("day", "0.02", interval_kind="daily")

    def choose(seen: Seen) -> Reply:
        return dice.choice(FAULTS) if dice.random() < 0.45 else GOOD

    upstream.choose = choose
    tasks: list[asyncio.Task[RawAnswer]] = []
    for number in range(REQUESTS):
        body = chat(model=dice.choice((FIRST, SECOND, MINI, "auto")), max_tokens=50, stream=dice.random() < 0.5)
        headers = {"X-Palyra-Failover": "off"} if dice.random() < 0.2 else {}
        if dice.random() < 0.2:
            headers["X-Palyra-Task-Class"] = "background_automation"
        tasks.append(asyncio.create_task(here.ask(body, headers)))
        if number % 7 == 6:
            await here.advance(dice.choice((0.1, 1, 5)))
    answers = await spent(here, tasks)
    assert {answer.status for answer in answers} <= ENDS
    runs = {run.run_id: run for run in await here.runs()}
    assert len(runs) == REQUESTS
    engine = here.engine
    assert engine.ledger.open_holds() == ()
    for provider in ("front", "backup", "openai", "anthropic", "own"):
        assert (engine.leases.of_provider(provider).in_use, engine.leases.waiting(provider)) == (0, 0)
        for standing in engine.credentials.standings(provider, here.clock.now_ms()):
            assert engine.leases.of_credential(provider, standing.id).in_use == 0
    settled, held = here.counted("day", "*")
    assert (held, sum(run.cost_nano_usd or 0 for run in runs.values())) == (0, settled)
    again = 0
    for run in runs.values():
        detail = await here.run(run.run_id)
        again += sum(bool(one.course) for one in detail.attempts)
        assert [one.number for one in detail.attempts] == list(range(1, len(detail.attempts) + 1))
        assert all(one.state in ("settled", "released") for one in detail.attempts)
        assert sum(one.actual_nano_usd or 0 for one in detail.attempts) == run.cost_nano_usd
        assert all(one.error_class for one in detail.attempts[:-1])
        assert len({one.model for one in detail.attempts}) <= 3
    assert again > 0
    # Whoever was cut off comes back: no probe is left hanging.
    upstream.choose = None
    await here.advance(3600)
    for model in (FIRST, SECOND, MINI):
        assert (await here.ask(chat(model=model, max_tokens=5), {"X-Palyra-Failover": "off"})).status == 200
    assert engine.breakers.of("front").state is BreakerState.CLOSED
