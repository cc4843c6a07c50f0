"""Operators' tools act over HTTP on runs, alerts and budgets; nobody's edit is lost and nothing half done."""

import asyncio
from typing import Any

from palyra.control.queries import BudgetQuery
from tests.end_to_end.asking import ask, asking, closed
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import Premises
from tests.end_to_end.test_alerts import the_one
from tests.end_to_end.tools import NOBODY, error_of, tools

# Runs


async def test_a_run_is_stopped_by_an_operator_and_once_ended_its_state_is_told(here: Premises) -> None:
    await closed(here)
    waiting = asking(here)
    run_id = (await here.parked()).run_ids[0]
    async with tools(here) as tool:
        done = await tool["approver"]("POST", f"runs/{run_id}/cancel")
        assert (done.status_code, done.json()["run_id"]) == (202, run_id)
        assert (await waiting).status == 410
        await here.rest()
        late = await tool["approver"]("POST", f"runs/{run_id}/cancel", {})
        nobody = await tool["approver"]("POST", f"runs/{NOBODY}/cancel")
    error = error_of(late)
    assert (late.status_code, error["code"], error["palyra"]["record"]["run"]["state"]) == (
        409,
        "wrong_state",
        "cancelled",
    )
    assert nobody.status_code == 404
    assert (await here.run(run_id)).run.reason == "by_operator"


async def test_a_key_stops_its_own_run_and_nobody_elses(here: Premises) -> None:
    await closed(here)
    bea = here.new_key("bea", "bea")
    waiting = asking(here)
    run_id = (await here.parked()).run_ids[0]
    async with tools(here, own=here.key, bea=bea) as tool:
        assert (await tool["bea"]("POST", f"runs/{run_id}/cancel")).status_code == 404
        odd = await tool["own"]("POST", f"runs/{run_id}/cancel", {"force": True})
        assert (odd.status_code, error_of(odd)["param"]) == (400, "force")
        assert (await tool["own"]("POST", f"runs/{run_id}/cancel")).status_code == 202
        assert (await waiting).status == 410
        await here.rest()
        late = await tool["own"]("POST", f"runs/{run_id}/cancel")
    assert (late.status_code, error_of(late)["palyra"]["record"]["run"]["run_id"]) == (409, run_id)
    assert (await here.run(run_id)).run.reason == "by_client"


# Alerts


async def test_alerts_are_acknowledged_and_put_away(here: Premises) -> None:
    await here.add_budget("desk", "1", metric_kind="requests", action="advise")
    for _ in range(2):
        assert (await ask(here)).status == 200
    alert_id = (await the_one(here, "budget_alert")).alert_id
    async with tools(here) as tool:
        (listed,) = [one for one in (await tool["viewer"].data("alerts"))["alerts"] if one["alert_id"] == alert_id]
        stale = await tool["approver"]("POST", f"alerts/{alert_id}/acknowledge", {"version": listed["version"] + 5})
        assert (stale.status_code, error_of(stale)["code"]) == (409, "stale_version")
        assert error_of(stale)["palyra"]["record"]["alert"]["alert_id"] == alert_id
        done = await tool["approver"]("POST", f"alerts/{alert_id}/acknowledge", {"version": listed["version"]})
        assert (done.status_code, done.json()["alert"]["state"], done.json()["alert"]["acted_by"]) == (
            200,
            "acknowledged",
            "approver",
        )
        again = await tool["approver"]("POST", f"alerts/{alert_id}/acknowledge")
        assert (again.status_code, error_of(again)["code"]) == (409, "wrong_state")
        for body in ({}, {"duration_seconds": 0}, {"duration_seconds": "1h"}, {"duration_seconds": 2_592_001}):
            wrong = await tool["approver"]("POST", f"alerts/{alert_id}/snooze", body)
            assert (wrong.status_code, error_of(wrong)["param"]) == (400, "duration_seconds")
        away = await tool["admin"]("POST", f"alerts/{alert_id}/snooze", {"duration_seconds": 3600})
        assert (away.status_code, away.json()["alert"]["state"]) == (200, "snoozed")
        (found,) = (await tool["viewer"].data("alerts?status=snoozed"))["alerts"]
        assert (found["alert_id"], found["snoozed_until"]) == (alert_id, here.clock.now_ms() + 3_600_000)
        assert (await tool["approver"]("POST", f"alerts/{NOBODY}/acknowledge")).status_code == 404


# Budgets

BUDGET = {
    "policy_id": "team",
    "hard_limit": "5.00",
    "soft_limit": "80%",
    "scope_kind": "user",
    "interval_kind": "daily",
}


async def test_a_budget_is_made_changed_and_removed(here: Premises) -> None:
    async with tools(here) as tool:
        made = await tool["admin"]("POST", "policies", BUDGET)
        assert (made.status_code, made.headers["etag"], made.json()["revision"]) == (201, '"1"', 1)
        fields = made.json()["fields"]
        assert {name: fields[name] for name in BUDGET} == BUDGET
        twice = await tool["admin"]("POST", "policies", BUDGET)
        assert (twice.status_code, error_of(twice)["code"]) == (409, "wrong_state")
        assert error_of(twice)["palyra"]["record"]["fields"] == fields

        new = {"hard_limit": "7.5", "scope_kind": "user", "enabled": False}
        blind = await tool["admin"]("PUT", "policies/team", new)
        assert (blind.status_code, error_of(blind)["code"]) == (428, "revision_required")
        stale = await tool["admin"]("PUT", "policies/team", new, {"If-Match": "2"})
        assert (stale.status_code, error_of(stale)["code"], error_of(stale)["palyra"]["record"]["revision"]) == (
            412,
            "stale_revision",
            1,
        )
        done = await tool["admin"]("PUT", "policies/team", new, {"If-Match": '"1"'})
        assert (done.status_code, done.headers["etag"]) == (200, '"2"')
        now = done.json()["fields"]
        assert (now["hard_limit"], now["enabled"], now["interval_kind"]) == ("7.50", "false", "monthly")
        assert (await here.control.ask(BudgetQuery("team"))).revisions[0].by == "admin"

        late = await tool["admin"]("DELETE", "policies/team", headers={"If-Match": "1"})
        assert late.status_code == 412
        gone = await tool["admin"]("DELETE", "policies/team", headers={"If-Match": "2"})
        assert (gone.status_code, gone.json()["policy_id"]) == (200, "team")
        assert (await tool["admin"]("DELETE", "policies/team")).status_code == 404
        assert (await tool["admin"]("PUT", "policies/team", new, {"If-Match": "3"})).status_code == 404
        again = await tool["admin"]("POST", "policies", {**BUDGET, "policy_id": " team "})
        assert (again.status_code, again.json()["policy_id"], again.headers["etag"]) == (201, "team", '"4"')


async def test_of_many_edits_of_one_revision_one_is_made(here: Premises) -> None:
    async with tools(here) as tool:
        await tool["admin"]("POST", "policies", BUDGET)
        answers = await asyncio.gather(
            *(
                tool["admin"]("PUT", "policies/team", {**BUDGET, "hard_limit": str(number)}, {"If-Match": "1"})
                for number in range(1, 21)
            )
        )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 19
    (won,) = [answer.json()["fields"]["hard_limit"] for answer in answers if answer.status_code == 200]
    assert (await here.control.ask(BudgetQuery("team"))).fields["hard_limit"] == won


async def test_a_budget_of_the_configuration_file_is_read_only(opened: Opener) -> None:
    here = await opened('[[budgets]]\npolicy_id = "house"\nhard_limit = 100\n')
    async with tools(here) as tool:
        put = await tool["admin"]("PUT", "policies/house", {"hard_limit": "1"}, {"If-Match": "1"})
        gone = await tool["admin"]("DELETE", "policies/house")
    for answer in (put, gone):
        assert (answer.status_code, error_of(answer)["code"]) == (409, "read_only")
        assert error_of(answer)["palyra"]["record"]["fields"]["hard_limit"] == "100.00"


FAULTS: list[tuple[Any, list[str]]] = [
    ({}, ["policy_id", "hard_limit"]),
    ({"policy_id": "team"}, ["hard_limit"]),
    ({"policy_id": "Team One", "hard_limit": "1"}, ["policy_id"]),
    ({"policy_id": "team", "hard_limit": 1.5}, ["hard_limit"]),
    ({"policy_id": "team", "hard_limit": "-1"}, ["hard_limit"]),
    ({"policy_id": "team", "hard_limit": 10**30}, ["hard_limit"]),
    ({"policy_id": "team", "hard_limit": ["1"]}, ["hard_limit"]),
    ({"policy_id": "team", "hard_limit": "1", "soft_limit": "2"}, ["soft_limit"]),
    ({"policy_id": "team", "hard_limit": "1", "hard_limt": "2"}, ["hard_limt"]),
    ({"policy_id": "team", "hard_limit": "1", "revision": 3}, ["revision"]),
    ({"policy_id": "team", "hard_limit": "1", "timezone": "Prague", "action": "scold"}, ["timezone", "action"]),
    (b'{"policy_id": "team", "hard_limit": "1", "name": "\\udfff"}', ["name"]),
]


async def test_a_budget_at_fault_is_refused_whole(here: Premises) -> None:
    async with tools(here) as tool:
        for body, fields in FAULTS:
            answer = await tool["admin"]("POST", "policies", body)
            error = error_of(answer)
            assert (body, answer.status_code, error["code"]) == (body, 400, "invalid_field")
            assert (body, [fault["field"] for fault in error["palyra"]["faults"]]) == (body, fields)
            assert error["param"] == fields[0]
        assert (await tool["viewer"].data("policies"))["policies"] == []


NO_REVISIONS: list[str] = ["*", "one", "0", "-1", '"1', 'W/"1"', "1, 2", "9" * 40, ""]


async def test_a_revision_that_is_none_is_refused(here: Premises) -> None:
    await here.add_budget("team", "5")
    async with tools(here) as tool:
        for sent in NO_REVISIONS:
            answer = await tool["admin"]("PUT", "policies/team", {"hard_limit": "1"}, {"If-Match": sent})
            assert (sent, answer.status_code, error_of(answer)["code"]) == (sent, 400, "invalid_header")
        other = await tool["admin"]("PUT", "policies/team", {"policy_id": "x", "hard_limit": "1"}, {"If-Match": "1"})
    assert (other.status_code, error_of(other)["param"]) == (400, "policy_id")
    assert (await here.control.ask(BudgetQuery("team"))).fields["hard_limit"] == "5.00"
