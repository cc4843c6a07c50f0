"""Operators' tools and incidents over HTTP."""

from tests.end_to_end.premises import Premises
from tests.end_to_end.test_incidents_acting import told
from tests.end_to_end.tools import NOBODY, error_of, tools


async def test_incidents_are_looked_at_and_acted_on(here: Premises) -> None:
    told(here)
    await here.advance(0)
    async with tools(here) as tool:
        (listed,) = (await tool["viewer"].data("incidents"))["incidents"]
        incident_id, version = listed["incident_id"], listed["version"]
        assert (listed["severity"], listed["state"], listed["summary"]) == (
            "medium",
            "open",
            "The job nightly does not do well",
        )
        path = f"incidents/{incident_id}"
        act = tool["approver"]
        stale = await act("POST", f"{path}/acknowledge", {"version": version + 5})
        assert (stale.status_code, error_of(stale)["code"]) == (409, "stale_version")
        assert error_of(stale)["palyra"]["record"]["incident"]["incident_id"] == incident_id
        acked = await act("POST", f"{path}/acknowledge", {"version": version})
        assert acked.json()["incident"]["acknowledged_by"] == "approver"
        assert (await act("POST", f"{path}/assign", {"assignee": "bob"})).json()["incident"]["assignee"] == "bob"
        for body in ({}, {"duration_seconds": -1}, {"duration_seconds": 60, "why": "x"}):
            assert (await act("POST", f"{path}/snooze", body)).status_code == 400
        unsaid = await act("POST", f"{path}/snooze", {"duration_seconds": 60})
        assert (unsaid.status_code, "needs a reason" in error_of(unsaid)["message"]) == (400, True)
        away = await act("POST", f"{path}/snooze", {"duration_seconds": 60, "reason": "known"})
        assert away.json()["incident"]["snoozed_until"] == here.clock.now_ms() + 60_000
        noted = await act("POST", f"{path}/note", {"text": "the disk"})
        assert noted.json()["timeline"][-1]["data"] == {"text": "the disk"}
        asked = await act("POST", f"{path}/remedy", {})
        assert asked.json()["approval_id"] == (await here.approvals())[0].approval_id
        present = await act("POST", f"{path}/resolve")
        assert (present.status_code, "still present" in error_of(present)["message"]) == (409, True)
        assert (await act("POST", f"{path}/resolve", {"force": "yes"})).status_code == 400
        ended = await act("POST", f"{path}/resolve", {"force": True})
        assert (ended.json()["incident"]["state"], ended.json()["incident"]["muted"]) == ("resolved", True)
        assert (await tool["viewer"].data("incidents"))["incidents"] == []
        (kept,) = (await tool["viewer"].data("incidents?status=all&text=NIGHTLY"))["incidents"]
        assert kept["incident_id"] == incident_id
        assert (await tool["viewer"].data(path))["incident"]["reason"] == "forced"
        stats = await tool["viewer"].data("incidents/stats?window=24h")
        assert stats["measures"][0]["episodes"] == 1
        assert (await act("POST", f"incidents/{NOBODY}/acknowledge")).status_code == 404
        assert (await tool["viewer"]("GET", "incidents?status=odd")).status_code == 400
