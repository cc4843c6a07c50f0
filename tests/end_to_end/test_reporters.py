"""Work elsewhere reports over HTTP: silence becomes an incident that people are told of, and a beat ends it."""

import asyncio
from typing import Any

import httpx

from palyra.healing.record import IncidentRecord
from palyra.vault.records import Role
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import Premises
from tests.end_to_end.tools import Tool, error_of, issue, tools
from tests.healing.webhooks.receiver import receiving

HOOK = """
[[notifications.webhook]]
name = "ops"
url = "{url}"
"""


def incidents(here: Premises) -> dict[str, IncidentRecord]:
    return {record.key: record for record in here.engine.healing.book.live()}


async def say(tool: Tool, **fields: Any) -> httpx.Response:
    return await tool("POST", "heartbeats", {"id": "etl", **fields})


async def test_silence_is_an_incident_that_people_are_told_of_and_a_beat_ends_it(opened: Opener) -> None:
    async with receiving() as receiver:
        here = await opened(HOOK.format(url=receiver.url))
        async with tools(here, key=here.key, viewer=issue(here, "ana", Role.VIEWER)) as tool:
            said = await say(tool["key"], interval_seconds=300, grace_seconds=60, summary="nightly load")
            due = here.clock.now_ms() + 360_000
            assert said.json() == {"id": "etl", "status": "ok", "next_due_unix_ms": due}
            await here.advance(360)
            assert incidents(here) == {}
            await here.advance(1)
            (record,) = incidents(here).values()
            assert (record.key, record.severity) == ("heartbeat:external:local/etl", "high")
            (beat,) = (await tool["viewer"].data("heartbeats"))["heartbeats"]
            assert (beat["kind"], beat["id"], beat["principal"], beat["age_ms"], beat["state"]) == (
                "external",
                "etl",
                "local",
                361_000,
                "silent",
            )
            await here.advance(5)
            await receiver.until(1)
            assert (receiver.got[0].json["event"], receiver.got[0].json["severity"]) == ("opened", "high")
            assert await here.engine.journal.readers.remedy_attempts(0) == ()
            assert (await say(tool["key"])).status_code == 200
            await here.advance(15)
            await receiver.until(2)
            assert incidents(here) == {}
            assert [got.json["event"] for got in receiver.got] == ["opened", "resolved"]
            assert (await tool["viewer"].data("heartbeats?state=silent"))["heartbeats"] == []


async def test_failing_counts_at_once_and_done_ends_it(here: Premises) -> None:
    async with tools(here, key=here.key) as tool:
        assert (await say(tool["key"], status="failing")).status_code == 200
        await here.advance(0)
        assert incidents(here)["heartbeat:external:local/etl"].severity == "high"
        again = await say(tool["key"], status="done")
        assert (again.status_code, error_of(again)["code"], again.headers["retry-after"]) == (429, "too_often", "1")
        await here.advance(1)
        done = await say(tool["key"], status="done")
        assert done.json()["next_due_unix_ms"] is None
        await here.advance(15)
        assert incidents(here) == {}


async def test_an_id_that_is_forgotten_ends_its_incident_and_belongs_to_its_principal(here: Premises) -> None:
    bea = here.new_key("bea", "bea")
    async with tools(here, own=here.key, bea=bea, viewer=issue(here, "ana", Role.VIEWER)) as tool:
        await say(tool["own"], status="failing")
        await say(tool["bea"])
        found = await tool["viewer"].data("heartbeats?kind=external&limit=1")
        assert [beat["principal"] for beat in found["heartbeats"]] == ["bea"]
        rest = await tool["viewer"].data(f"heartbeats?limit=1&cursor={found['next_cursor']}")
        assert ([beat["principal"] for beat in rest["heartbeats"]], rest["next_cursor"]) == (["local"], None)
        assert (await tool["bea"]("DELETE", "heartbeats/other")).status_code == 404
        assert (await tool["bea"]("DELETE", "heartbeats/etl")).status_code == 200
        await here.advance(0)
        assert "heartbeat:external:local/etl" in incidents(here)
        assert (await tool["own"]("DELETE", "heartbeats/etl")).json() == {"id": "etl", "forgotten": True}
        await here.advance(15)
        assert incidents(here) == {}
        assert (await tool["own"]("DELETE", "heartbeats/etl")).status_code == 404


async def test_a_restart_gives_a_whole_interval_and_keeps_what_was_declared(opened: Opener) -> None:
    here = await opened()
    async with tools(here, key=here.key) as tool:
        await say(tool["key"], interval_seconds=300, grace_seconds=60)
        await here.advance(359)
    clock = here.clock
    await here.close()
    here = await opened(clock=clock)
    await here.advance(360)
    assert incidents(here) == {}
    await here.advance(1)
    assert list(incidents(here)) == ["heartbeat:external:local/etl"]


async def test_only_keys_report_and_only_operators_look(here: Premises) -> None:
    async with tools(here, key=here.key, admin=issue(here, "ana", Role.ADMIN)) as tool:
        posted, deleted = await asyncio.gather(
            tool["admin"]("POST", "heartbeats", {"id": "etl"}), tool["admin"]("DELETE", "heartbeats/etl")
        )
        looked = await tool["key"]("GET", "heartbeats")
        assert [(one.status_code, error_of(one)["code"]) for one in (posted, deleted, looked)] == [
            (403, "role_missing")
        ] * 3
        here.engine.access.set_flag("external_heartbeats", False)
        off = await say(tool["key"])
        assert (off.status_code, error_of(off)["code"]) == (403, "feature_off")
        assert len(here.engine.healing.heartbeats) == 0
