"""Alerts with an engine and without one: told by the running one, and still there after it was killed."""

from typing import Any

import httpx

from tests.toughness.programs import Engine, Installation

BUDGET = """
[[budgets]]
policy_id = "shut"
scope_kind = "session"
scope_id = "sky"
metric_kind = "requests"
hard_limit = 0
"""


async def refuse(engine: Engine) -> None:
    headers = {"x-api-key": engine.key, "x-palyra-session": "sky"}
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 16}
    async with httpx.AsyncClient(base_url=engine.gateway_url, headers=headers, timeout=60, trust_env=False) as client:
        answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 402


async def listed(installation: Installation) -> list[dict[str, Any]]:
    done = await installation.command("alerts", "list", "--json")
    alerts: list[dict[str, Any]] = done.data["alerts"]
    return alerts


async def test_what_was_told_and_answered_is_there_after_a_kill(installation: Installation) -> None:
    assert installation.config is not None
    installation.config.write_text(installation.config.read_text() + BUDGET)
    engine = installation.serve().ready()
    await refuse(engine)
    told = await listed(installation)
    while not told:
        # It is judged within a second, and a command takes about as long.
        told = await listed(installation)
    (alert,) = told
    assert (alert["kind"], alert["severity"], alert["subject"]) == ("budget_alert", "danger", "shut")
    away = await installation.command("alerts", "snooze", alert["alert_id"], "--for", "8h", "--json")
    assert away.data["status"] == "accepted"
    engine.kill()

    (left,) = await listed(installation)
    assert (left["alert_id"], left["state"]) == (alert["alert_id"], "snoozed")
    again = installation.serve().ready()
    (found,) = await listed(installation)
    assert found == left
    known = await installation.command("alerts", "ack", alert["alert_id"], "--json")
    assert known.data["data"]["state"] == "acknowledged"
    assert again.stop() == 0
    assert (await installation.command("audit", "verify")).code == 0
