"""Operators' tools decide over HTTP: what they write, what they are told, and who stands in the books for it."""

import asyncio
from collections import Counter
from typing import Any

from palyra.control.commands import RequestOverride
from palyra.vault.records import Role
from tests.end_to_end.asking import ask, asking, closed
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import Premises
from tests.end_to_end.tools import NOBODY, WHY, error_of, issue, pending_approval, tools, write_on

DECIDERS = 50


async def test_a_tool_lets_a_parked_request_through_and_the_audit_names_its_operator(here: Premises) -> None:
    await closed(here)
    waiting = asking(here)
    approval = await here.parked()
    async with tools(here) as tool:
        listed = await tool["viewer"].data("approvals?status=pending")
        (shown,) = listed["approvals"]
        assert (shown["approval_id"], shown["waiting"], listed["next_cursor"]) == (approval.approval_id, 1, None)
        answer = await tool["approver"]("POST", f"approvals/{approval.approval_id}/decision", {"decision": "allow"})
        told = answer.json()
        assert (answer.status_code, told["approval"]["decision"], told["approval"]["decided_by"]) == (
            200,
            "allow",
            "approver",
        )
        (grant,) = told["grants"]
        assert (grant["kind"], grant["metric_kind"]) == ("once", "estimated_cost_usd")
        assert isinstance(grant["cap_usd"], str)
        assert isinstance(grant["cap_nano_usd"], int)
    assert (await waiting).status == 200
    audit = await here.engine.journal.readers.audit(500)
    (row,) = [one for one in audit if one.kind == "approval" and one.payload["state"] == "allow"]
    assert (row.actor, row.payload["attestation"]) == ("approver", "token")


async def test_an_amount_is_read_in_the_unit_of_its_budget(here: Premises) -> None:
    await here.add_budget("desk", "1", metric_kind="requests", action="approval_required")
    assert (await ask(here)).status == 200
    await ask(here, park="0")
    view = await here.pending()
    async with tools(here) as tool:
        where = f"approvals/{view.approval_id}/decision"
        wrong = await tool["approver"]("POST", where, {"decision": "allow", "scope": "amount", "amount": "1.5"})
        assert (wrong.status_code, error_of(wrong)["param"]) == (400, "amount")
        right = await tool["approver"]("POST", where, {"decision": "allow", "scope": "amount", "amount": "2"})
    (grant,) = right.json()["grants"]
    assert (right.status_code, grant["cap"], grant["kind"]) == (200, 2, "amount")
    assert [(await ask(here)).status for _ in range(2)] == [200, 200]


FAULTS: list[tuple[Any, list[str]]] = [
    (b"", ["decision"]),
    ({}, ["decision"]),
    ({"decision": "maybe"}, ["decision"]),
    ({"decision": None}, ["decision"]),
    ({"decision": ["allow"]}, ["decision"]),
    ({"decision": "allow", "scope": "forever"}, ["scope"]),
    ({"decision": "allow", "scope": 1}, ["scope"]),
    ({"decision": "deny", "scope": "once"}, ["scope"]),
    ({"decision": "deny", "amount": "1", "duration_seconds": 5}, ["duration_seconds", "amount"]),
    ({"decision": "allow", "scope": "timeboxed"}, ["duration_seconds"]),
    ({"decision": "allow", "scope": "timeboxed", "duration_seconds": 0}, ["duration_seconds"]),
    ({"decision": "allow", "scope": "timeboxed", "duration_seconds": 2_592_001}, ["duration_seconds"]),
    ({"decision": "allow", "scope": "timeboxed", "duration_seconds": "60"}, ["duration_seconds"]),
    ({"decision": "allow", "scope": "timeboxed", "duration_seconds": 1.5}, ["duration_seconds"]),
    ({"decision": "allow", "scope": "timeboxed", "duration_seconds": True}, ["duration_seconds"]),
    ({"decision": "allow", "duration_seconds": 60}, ["duration_seconds"]),
    ({"decision": "allow", "scope": "amount"}, ["amount"]),
    ({"decision": "allow", "scope": "amount", "amount": 5}, ["amount"]),
    ({"decision": "allow", "scope": "amount", "amount": "lots"}, ["amount"]),
    ({"decision": "allow", "scope": "amount", "amount": "0"}, ["amount"]),
    ({"decision": "allow", "scope": "amount", "amount": "-1"}, ["amount"]),
    ({"decision": "allow", "scope": "amount", "amount": "1e400"}, ["amount"]),
    ({"decision": "allow", "scope": "amount", "amount": "0.0000000001"}, ["amount"]),
    ({"decision": "allow", "scope": "amount", "amount": "5.01"}, ["amount"]),
    ({"decision": "allow", "amount": "5"}, ["amount"]),
    ({"decision": "deny", "reason": "x" * 501}, ["reason"]),
    ({"decision": "deny", "reason": 7}, ["reason"]),
    (b'{"decision": "deny", "reason": "\\ud800"}', ["reason"]),
    ({"decision": "deny", "version": 0}, ["version"]),
    ({"decision": "deny", "raeson": "no"}, ["raeson"]),
    ({"decision": "perhaps", "scope": "ever", "raeson": "no"}, ["raeson", "decision", "scope"]),
]


async def test_every_field_at_fault_is_named_and_nothing_is_decided(opened: Opener) -> None:
    here = await opened('[approvals]\nmax_grant_usd = "5"\n')
    approval_id = await pending_approval(here)
    async with tools(here) as tool:
        for body, fields in FAULTS:
            answer = await tool["approver"]("POST", f"approvals/{approval_id}/decision", body)
            error = error_of(answer)
            assert (body, answer.status_code, error["type"]) == (body, 400, "invalid_request_error")
            assert (body, error["code"], error["param"]) == (body, "invalid_field", fields[0])
            told = error.get("palyra", {}).get("faults", [{"field": fields[0]}])
            assert (body, [fault["field"] for fault in told]) == (body, fields)
    assert (await here.pending()).version == 1


UNSOUND: list[tuple[bytes, str]] = [
    (b"{", "invalid_json"),
    (b"[]", "invalid_json"),
    (b"\xff", "invalid_json"),
    (b'{"decision": NaN}', "invalid_json"),
    (b'{"decision": "allow", "decision": "deny"}', "duplicate_member"),
    (b'{"decision": {"a": {"b": {"c": {"d": 1}}}}}', "invalid_json"),
]


async def test_what_is_no_sound_object_decides_nothing(here: Premises) -> None:
    approval_id = await pending_approval(here)
    where = f"approvals/{approval_id}/decision"
    async with tools(here) as tool:
        for body, code in UNSOUND:
            answer = await tool["approver"]("POST", where, body)
            assert (body, answer.status_code, error_of(answer)["code"]) == (body, 400, code)
        other = await tool["approver"]("POST", where, b'{"decision": "allow"}', {"Content-Type": "text/plain"})
        large = await tool["approver"]("POST", where, b" " * 300_000)
    assert (other.status_code, large.status_code) == (415, 413)
    assert (await here.pending()).version == 1


async def test_who_decides_too_late_is_told_the_record_as_it_stands(here: Premises) -> None:
    approval_id = await pending_approval(here)
    async with tools(here) as tool:
        where = f"approvals/{approval_id}/decision"
        stale = await tool["approver"]("POST", where, {"decision": "deny", "version": 9})
        assert (stale.status_code, error_of(stale)["code"]) == (409, "stale_version")
        assert error_of(stale)["palyra"]["record"]["approval"]["status"] == "pending"
        assert (await tool["admin"]("POST", where, {"decision": "deny", "reason": "use less"})).status_code == 200
        late = await tool["approver"]("POST", where, {"decision": "allow"})
        nobody = await tool["approver"]("POST", f"approvals/{NOBODY}/decision", {"decision": "allow"})
    error = error_of(late)
    assert (late.status_code, error["type"], error["code"]) == (409, "conflict_error", "already_decided")
    record = error["palyra"]["record"]["approval"]
    assert (record["status"], record["decision"], record["decided_by"], record["reason"]) == (
        "resolved",
        "deny",
        "admin",
        "use less",
    )
    assert (nobody.status_code, error_of(nobody)["type"]) == (404, "not_found_error")


async def test_of_fifty_who_decide_at_once_over_http_one_wins(here: Premises) -> None:
    write_on(here)
    approval_id = await pending_approval(here)
    tokens = {f"op-{number}": issue(here, f"op-{number}", Role.APPROVER) for number in range(DECIDERS)}
    async with tools(here, **tokens) as tool:
        answers = await asyncio.gather(
            *(
                tool[name]("POST", f"approvals/{approval_id}/decision", {"decision": "deny" if number % 2 else "allow"})
                for number, name in enumerate(tokens)
            )
        )
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: DECIDERS - 1}
    (winner,) = [(name, answer) for name, answer in zip(tokens, answers, strict=True) if answer.status_code == 200]
    won = winner[1].json()["approval"]
    assert won["decided_by"] == winner[0]
    told = {
        (record["decision"], record["decided_by"], record["version"])
        for answer in answers
        if answer.status_code == 409
        for record in [error_of(answer)["palyra"]["record"]["approval"]]
    }
    assert told == {(won["decision"], winner[0], won["version"])}
    audit = await here.engine.journal.readers.audit(500)
    decided = [one for one in audit if one.kind == "approval" and one.payload["state"] in ("allow", "deny")]
    assert [(one.actor, one.payload["attestation"]) for one in decided] == [(winner[0], "token")]


async def test_four_eyes_know_a_person_by_token_and_by_account(opened: Opener) -> None:
    here = await opened("[approvals]\nfour_eyes = true\n")
    await here.add_budget("desk", "1", metric_kind="requests")
    async with tools(here) as tool:
        body = {"policy_ids": ["desk"], "amount": "2", "reason": WHY}
        asked = await tool["approver"]("POST", "usage/overrides", body)
        approval_id = asked.json()["approval_id"]
        (applicant,) = (await here.pending()).applicants
        assert (asked.status_code, applicant.name, applicant.attestation) == (201, "approver", "token")
        where = f"approvals/{approval_id}/decision"
        own = await tool["approver"]("POST", where, {"decision": "allow"})
        assert (own.status_code, error_of(own)["type"], error_of(own)["code"]) == (403, "permission_error", "four_eyes")
        at_the_keyboard = await here.operator("approver", Role.ADMIN).send(RequestOverride(("desk",), reason=WHY))
        assert at_the_keyboard.data["approval_id"] == approval_id
        assert (await tool["admin"]("POST", where, {"decision": "allow"})).status_code == 200


async def test_an_operator_asks_for_room_for_anybody(here: Premises) -> None:
    await here.add_budget("beas", "1", scope_kind="user", scope_id="bea")
    async with tools(here) as tool:
        body = {"policy_ids": ["beas"], "principal": "bea", "amount": "2.50", "reason": WHY}
        first = await tool["approver"]("POST", "usage/overrides", body)
        again = await tool["admin"]("POST", "usage/overrides", body)
        wrong = await tool["approver"]("POST", "usage/overrides", {"policy_ids": ["bees"], "amount": "x"})
        assert (first.status_code, first.json()["amount"], first.json()["principal"]) == (201, "2.50", "bea")
        assert (again.status_code, again.json()["approval_id"]) == (200, first.json()["approval_id"])
        faults = [fault["field"] for fault in error_of(wrong)["palyra"]["faults"]]
        assert (wrong.status_code, faults) == (400, ["reason", "policy_ids[0]", "amount"])
        await here.deny(first.json()["approval_id"])
        soon = await tool["approver"]("POST", "usage/overrides", body)
    assert (soon.status_code, error_of(soon)["code"], soon.headers["retry-after"]) == (429, "too_often", "60")


async def test_a_grant_is_revoked_once(here: Premises) -> None:
    approval_id = await pending_approval(here)
    grant_id = (await here.allow(approval_id, scope="session")).data["grant_ids"]
    async with tools(here) as tool:
        assert [grant["grant_id"] for grant in (await tool["viewer"].data("grants?status=active"))["grants"]] == [
            grant_id
        ]
        done = await tool["approver"]("POST", f"grants/{grant_id}/revoke")
        assert (done.status_code, done.json()["grant"]["state"]) == (200, "revoked")
        late = await tool["approver"]("POST", f"grants/{grant_id}/revoke", {})
        assert (late.status_code, error_of(late)["code"]) == (409, "already_decided")
        assert error_of(late)["palyra"]["record"]["grant"]["state"] == "revoked"
        assert (await tool["approver"]("POST", f"grants/{NOBODY}/revoke")).status_code == 404
        odd = await tool["approver"]("POST", f"grants/{grant_id}/revoke", {"reason": "no"})
        assert (odd.status_code, error_of(odd)["param"]) == (400, "reason")
        assert (await tool["viewer"].data("grants?status=active"))["grants"] == []
    audit = await here.engine.journal.readers.audit(500)
    (row,) = [one for one in audit if one.kind == "grant" and one.payload.get("state") == "revoked"]
    assert (row.actor, row.payload["attestation"]) == ("approver", "token")
