"""Made-up clients that use the demo's gateway as real ones would: over HTTP, each with a key of its own."""

import asyncio
import contextlib
import random
from collections.abc import Mapping, Sequence

import httpx

from palyra.core.clock import Clock
from palyra.demo.scene import PEOPLE, Persona, prompt
from palyra.house import House

PAUSE_S = 0.9
"""Seconds between two requests, on average."""

ALSO = 0.4
"""How often one of the other models is asked for."""
AT_ONCE = 12
PATIENCE_S = 120.0


def make_keys(house: House) -> dict[str, str]:
    """A key for everybody in the scene, by key id."""
    access = house.engine.access
    return {
        person.key_id: access.add_key(person.key_id, person.principal, tags={"team": person.team}) for person in PEOPLE
    }


async def keep_asking(
    url: str, keys: Mapping[str, str], clock: Clock, dice: random.Random, also: Sequence[str] = ()
) -> None:
    """Sends requests until it is cancelled, at first one of everybody; now and then for one of the models in `also`.

    Refusals and failures belong to the picture.
    """
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_S, trust_env=False) as client:
        await _report(client, keys["nightly"])
        under_way: set[asyncio.Task[None]] = set()
        first = list(PEOPLE)
        try:
            while True:
                if len(under_way) < AT_ONCE:
                    person = first.pop() if first else dice.choices(PEOPLE, [one.pace for one in PEOPLE])[0]
                    models = also if also and not first and dice.random() < ALSO else person.models
                    task = asyncio.create_task(_ask(client, keys[person.key_id], person, models, dice))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
                await clock.sleep(0.2 if first else dice.expovariate(1 / PAUSE_S))
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)


async def _report(client: httpx.AsyncClient, key: str) -> None:
    """A worker outside says that it is in trouble, so that there is an incident to look at."""
    body = {
        "id": "warehouse-import",
        "summary": "the import of last night stopped at table orders",
        "status": "failing",
    }
    with contextlib.suppress(httpx.HTTPError):
        await client.post("/console/v1/heartbeats", json=body, headers={"authorization": f"Bearer {key}"})


async def _ask(
    client: httpx.AsyncClient, key: str, person: Persona, models: Sequence[str], dice: random.Random
) -> None:
    stream = dice.random() < 0.5
    body = {
        "model": dice.choice(models),
        "stream": stream,
        "max_tokens": dice.choice((400, 1200)),
        "messages": [{"role": "user", "content": prompt(dice)}],
    }
    headers = {"authorization": f"Bearer {key}", "x-palyra-session": dice.choice(person.sessions)}
    with contextlib.suppress(httpx.HTTPError):
        async with client.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
            async for _ in answer.aiter_bytes():
                pass
