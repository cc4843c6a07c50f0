"""Operators' tools and incidents over HTTP."""

from palyra.control.incidents_views import PAGE_MOST
from palyra.core.conditions import Condition, Domain, Severity
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


async def test_incidents_and_timelines_are_read_page_by_page(here: Premises) -> None:
    for number in range(3):
        here.engine.healing.tell(
            Condition(Domain.STORAGE, f"storage:x{number}", Severity.LOW, f"Disk {number} is odd", family=f"x{number}")
        )
    await here.advance(0)
    book, acts = here.engine.healing.book, here.engine.healing.acts
    names = [one.incident_id for one in book.live()]
    for number in range(PAGE_MOST + 3):
        acts.note(names[0], f"note {number}", "ada", here.clock.now_ms())
    here.engine.healing.settle()
    async with tools(here) as tool:
        first = await tool["viewer"].data("incidents?limit=2")
        acts.resolve(names[1], "ada", here.clock.now_ms(), force=True)
        rest = await tool["viewer"].data(f"incidents?limit=2&cursor={first['next_cursor']}")
        shown = [one["incident_id"] for one in (*first["incidents"], *rest["incidents"])]
        assert (shown, rest["next_cursor"]) == (names, None)
        wrong = await tool["viewer"]("GET", "incidents?cursor=nowhere")
        assert (wrong.status_code, "no cursor" in error_of(wrong)["message"]) == (400, True)
        newest = await tool["viewer"].data(f"incidents/{names[0]}")
        assert len(newest["timeline"]) == PAGE_MOST
        before = await tool["viewer"].data(f"incidents/{names[0]}?before={newest['timeline_before']}")
        told = [line["data"].get("text", line["kind"]) for line in (*before["timeline"], *newest["timeline"])]
        assert told == ["opened", *(f"note {number}" for number in range(PAGE_MOST + 3))]
        assert before["timeline_before"] is None
        assert (await tool["viewer"].data(f"incidents/{names[0]}?before=nothing"))["timeline"] == []
