"""An engine that is killed while it cancels a run that hangs: what the next one makes of it."""

import asyncio
import signal
from typing import Any

import httpx
import pytest

from tests.support.upstream import Reply, Upstream
from tests.toughness.programs import Installation

SOON = """
[healing.silent_after]
run = "1s"
"""


async def asked(installation: Installation, *words: str) -> Any:
    return (await installation.command(*words, "--json")).data


async def test_a_remedy_it_died_in_was_interrupted_and_its_incident_is_over(
    installation: Installation, upstream: Upstream
) -> None:
    assert installation.config is not None
    installation.config.write_text(installation.config.read_text() + SOON)
    upstream.replies.append(Reply(gate=asyncio.Event()))
    engine = installation.serve(before="tests.toughness.sabotage:killed_while_it_cancels").ready()
    headers = {"authorization": f"Bearer {engine.key}"}
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
    async with httpx.AsyncClient(base_url=engine.gateway_url, headers=headers, timeout=60, trust_env=False) as client:
        with pytest.raises(httpx.HTTPError):
            await client.post("/v1/chat/completions", json=body)
    assert engine.child.wait() == -signal.SIGKILL

    (left,) = (await asked(installation, "incidents", "list"))["incidents"]
    assert (left["state"], left["family"]) == ("remediating", "heartbeat:run")
    (before,) = (await asked(installation, "incidents", "show", left["incident_id"]))["attempts"]
    assert (before["remedy"], before["status"]) == ("cancel_run", "running")

    again = installation.serve().ready()
    detail = await asked(installation, "incidents", "show", left["incident_id"])
    incident = detail["incident"]
    assert (incident["state"], incident["reason"], incident["episode"]) == ("resolved", "owner_restarted", 1)
    (attempt,) = detail["attempts"]
    assert (attempt["attempt_id"], attempt["status"], attempt["detail"]) == (
        before["attempt_id"],
        "failed",
        "interrupted",
    )
    run = (await asked(installation, "runs", "show", incident["subject"]))["run"]
    assert (run["state"], run["reason"]) == ("failed", "interrupted")
    assert (await asked(installation, "incidents", "heartbeats"))["heartbeats"] == []
    assert (await installation.command("ledger", "verify")).code == 0
    assert again.stop() == 0
