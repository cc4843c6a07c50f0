"""Woken at night: 500 incidents and 200 requests wait, and the most urgent of either is answered in three keys."""

import asyncio
import re
from pathlib import Path

import aiohttp

from palyra.core.clock import SystemClock
from palyra.core.conditions import Domain, Severity
from palyra.journal.incident_rows import INCIDENTS as INCIDENT_ROWS
from palyra.journal.incident_rows import IncidentRecord
from palyra.journal.journal import Journal
from palyra.vault.access import AccessRegistry
from tests.toughness.programs import Installation
from tests.toughness.terminal import Terminal, terminal

CALLERS = 4
APPROVALS, INCIDENTS = 200, 500
AT_ONCE = 25
AGE = re.compile(r"\d+:\d\d(?= *$)")
BUDGET = """
[[budgets]]
policy_id = "desk"
metric_kind = "requests"
hard_limit = 0
action = "approval_required"
"""


async def test_the_most_urgent_is_answered_within_three_keys(installation: Installation) -> None:
    assert installation.config is not None
    installation.config.write_text(installation.config.read_text() + BUDGET)
    keys = keys_of(installation.state_dir)
    await trouble(installation.state_dir)
    engine = installation.serve().ready()
    async with aiohttp.ClientSession(engine.gateway_url) as session:
        await storm(session, keys)
        waiting = asyncio.create_task(ask(session, engine.key, "urgent", park="60"))
        # Who waits came last, and is seen first.
        async with terminal(installation) as term:
            await term.shows(f"A {APPROVALS + 1}", f"I {INCIDENTS}", "need you", "1 waiting")
            await stood_still(term)
            term.type("a")
            await term.shows("Allowed local (once)")
            assert await waiting == 200
            term.type("q")
            assert await term.ended() == 0
    assert engine.stop() == 0
    async with terminal(installation) as term:
        await term.shows(f"A {APPROVALS}", f"I {INCIDENTS}", "need you")
        term.type("3")
        await term.shows(" Incidents", "healing auto")
        await stood_still(term)
        term.type("a")
        await term.shows("cknowledged")
        term.type("q")
        assert await term.ended() == 0


def keys_of(state_dir: Path) -> list[str]:
    """Of several callers: no more than 50 of one may wait."""
    registry = AccessRegistry.open(state_dir, SystemClock())
    return [registry.add_key(f"key-{number}", f"caller-{number}") for number in range(CALLERS)]


async def trouble(state_dir: Path) -> None:
    """Incidents that came and went too often to end by themselves within the hour; more are on their own than would
    open at once, since of those all hang below one."""
    clock = SystemClock()
    now = clock.now_ms()
    journal = await Journal.open(state_dir, clock)
    await journal.submit([INCIDENT_ROWS.saved(incident(number, now)) for number in range(INCIDENTS)])
    await journal.close()


def incident(number: int, now: int) -> IncidentRecord:
    opened = now - 120_000 - number * 1_000
    return IncidentRecord(
        incident_id=f"01M8{number:022}",
        domain=Domain.CONNECTOR,
        key=f"probe:{number}",
        family="probe",
        feature="connectors",
        severity=Severity.HIGH,
        summary=f"Probe {number} goes up and down",
        condition_since=opened,
        opened_at=opened,
        updated_at=opened,
        boot_id="earlier",
        holds=False,
        gone_since=now,
        flapping=True,
        revision=1,
    )


async def storm(session: aiohttp.ClientSession, keys: list[str]) -> None:
    """Requests that nobody waits for."""
    doors = asyncio.Semaphore(AT_ONCE)

    async def in_turn(number: int) -> int:
        async with doors:
            return await ask(session, keys[number % CALLERS], f"s{number}")

    assert set(await asyncio.gather(*map(in_turn, range(APPROVALS)))) == {402}


async def ask(session: aiohttp.ClientSession, key: str, name: str, park: str = "0") -> int:
    headers = {"x-api-key": key, "x-palyra-park": park, "x-palyra-session": name}
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 16}
    async with session.post("/v1/chat/completions", json=body, headers=headers) as answer:
        return answer.status


async def stood_still(term: Terminal) -> None:
    """Waits until the selected row has been the same for more than a second, as its running clock tells."""
    seen: list[tuple[str, str]] = []

    def moved() -> bool:
        row = next((row for row in term.screen.display if row.startswith("▌")), "")
        found = AGE.search(row)
        if found is not None and (not seen or seen[-1][1] != found.group()):
            what = row[: found.start()].rstrip()
            if seen and seen[-1][0] != what:
                seen.clear()
            seen.append((what, found.group()))
        return len(seen) > 2

    await term.until(moved)
