"""Who may use which address of the console: every address with no token, a wrong one, a key and each role."""

import json
from pathlib import Path
from typing import Any

from palyra.gateway.console_routes import ROUTES
from palyra.vault.access import AccessRegistry
from palyra.vault.records import Role
from palyra.vault.registry_shape import FLAGS
from tests.end_to_end.asking import ASKED, ask
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import Premises
from tests.end_to_end.tools import NOBODY, OWNER, ROLES, ROOT, error_of, issue, pending_approval, tools, write_on

VIEWER, APPROVER, ADMIN, NO_OPERATOR = "viewer", "approver", "admin", "none"
TABLE = {
    "GET diagnostics": (VIEWER, False),
    "GET usage/summary": (VIEWER, False),
    "GET usage/timeline": (VIEWER, False),
    "GET usage/breakdown": (VIEWER, False),
    "GET usage/insights": (VIEWER, False),
    "GET usage/export": (VIEWER, False),
    "POST usage/overrides": (APPROVER, True),
    "GET runs": (VIEWER, False),
    "GET runs/*": (VIEWER, True),
    "POST runs/*/cancel": (APPROVER, True),
    "GET decisions/*": (VIEWER, True),
    "GET approvals": (VIEWER, False),
    "GET approvals/*": (VIEWER, True),
    "POST approvals/*/decision": (APPROVER, False),
    "GET grants": (VIEWER, False),
    "POST grants/*/revoke": (APPROVER, False),
    "GET alerts": (VIEWER, False),
    "POST alerts/*/acknowledge": (APPROVER, False),
    "POST alerts/*/snooze": (APPROVER, False),
    "GET policies": (VIEWER, False),
    "POST policies": (ADMIN, False),
    "GET policies/*": (VIEWER, False),
    "PUT policies/*": (ADMIN, False),
    "DELETE policies/*": (ADMIN, False),
    "GET models": (VIEWER, False),
    "GET providers": (VIEWER, False),
    "GET tasks": (VIEWER, False),
    "POST tasks": (APPROVER, False),
    "GET tasks/*": (VIEWER, False),
    "PATCH tasks/*": (APPROVER, False),
    "POST tasks/*/cancel": (APPROVER, False),
    "POST tasks/*/pause": (APPROVER, False),
    "POST tasks/*/resume": (APPROVER, False),
    "POST tasks/*/retry": (APPROVER, False),
    "POST tasks/*/priority": (APPROVER, False),
    "GET incidents": (VIEWER, False),
    "GET incidents/*": (VIEWER, False),
    "POST incidents/*/acknowledge": (APPROVER, False),
    "POST incidents/*/assign": (APPROVER, False),
    "POST incidents/*/snooze": (APPROVER, False),
    "POST incidents/*/resolve": (APPROVER, False),
    "POST incidents/*/note": (APPROVER, False),
    "POST incidents/*/remedy": (APPROVER, False),
    "POST config/reload": (ADMIN, False),
    "GET heartbeats": (VIEWER, False),
    "POST heartbeats": (NO_OPERATOR, True),
    "DELETE heartbeats/*": (NO_OPERATOR, True),
    "POST memory": (NO_OPERATOR, True),
}
"""The least role of an operator, and whether gateway keys are served too."""
SERVED = {200, 400, 404, 428}
"""What an address answers to who is let in, when nothing of the id exists and no body was sent."""


def test_every_address_is_in_the_table() -> None:
    told = {
        f"{route.method} {route.path}": (NO_OPERATOR if route.role is None else route.role.value, route.key is not None)
        for route in ROUTES
    }
    assert told == TABLE


async def test_each_address_lets_in_whom_it_should(here: Premises) -> None:
    write_on(here)
    ranks = [*ROLES, NO_OPERATOR]
    wrong = {
        "nobody": "",
        "wrong": "plo_admin_" + "A" * 43,
        "wrong key": "plk_default_" + "A" * 43,
        "unknown": "plo_zoe_" + "A" * 43,
        "empty": "plo_",
    }
    tokens = {name: issue(here, name, role) for name, role in ROLES.items()}
    told: set[bytes] = set()
    async with tools(here, **wrong, **tokens, key=here.key) as tool:
        for line, (least, keys) in TABLE.items():
            method, path = line.replace("*", NOBODY).split(" ")
            body: dict[str, str] | None = {} if method in ("POST", "PUT") else None
            for name in wrong:
                answer = await tool[name](method, path, body)
                assert (line, name, answer.status_code) == (line, name, 401)
                assert answer.headers["www-authenticate"] == "Bearer"
                told.add(answer.content)
            for name in ROLES:
                answer = await tool[name](method, path, body)
                if ranks.index(name) < ranks.index(least):
                    assert (line, name, answer.status_code) == (line, name, 403)
                    assert error_of(answer)["code"] == "role_missing"
                else:
                    assert answer.status_code in SERVED, (line, name, answer.text)
            answer = await tool["key"](method, path, body)
            if keys:
                assert answer.status_code in SERVED, (line, answer.text)
            else:
                assert (line, answer.status_code, error_of(answer)["code"]) == (line, 403, "role_missing")
    assert len(told) == 1, "nobody learns why"
    assert b"invalid_api_key" in told.pop()


async def test_what_is_switched_off_is_told_as_off(here: Premises) -> None:
    tokens = {name: issue(here, name, role) for name, role in ROLES.items()}
    assert not FLAGS["console_write"]
    async with tools(here, **tokens, key=here.key) as tool:
        assert (await tool["viewer"]("GET", "runs")).status_code == 200
        for method, path in (("POST", "policies"), ("DELETE", "policies/day"), ("POST", "usage/overrides")):
            answer = await tool["admin"](method, path, {} if method == "POST" else None)
            assert (answer.status_code, error_of(answer)["code"]) == (403, "feature_off")
            assert "console_write" in error_of(answer)["message"]
        assert error_of(await tool["viewer"]("POST", "policies", {}))["code"] == "role_missing"
        assert (await tool["key"]("POST", "usage/overrides", {})).status_code == 400, "keys are not gated"
        here.engine.access.set_flag("console_read", False)
        answer = await tool["admin"]("GET", "runs")
        assert (answer.status_code, error_of(answer)["code"]) == (403, "feature_off")
        assert (await tool["key"]("GET", f"runs/{NOBODY}")).status_code == 404


async def test_what_another_process_changes_holds_from_the_next_request(here: Premises) -> None:
    tokens = {name: issue(here, name, role) for name, role in ROLES.items()}
    path: Path = here.engine.access.path
    async with tools(here, **tokens) as tool:
        assert (await tool["viewer"]("GET", "runs")).status_code == 200
        document = json.loads(path.read_text())
        for operator in document["operators"]:
            operator["enabled"] = operator["id"] != "viewer"
        path.write_text(json.dumps(document))
        assert (await tool["viewer"]("GET", "runs")).status_code == 401
        assert (await tool["admin"]("GET", "runs")).status_code == 200
        path.write_text("[]")
        answer = await tool["admin"]("GET", "runs")
        assert (answer.status_code, error_of(answer)["code"]) == (503, "access_unavailable")
        assert (await ask(here)).status == 503, "nor may a key that was revoked by a slip of the hand go on"
        path.write_text(json.dumps(document))
        assert (await tool["admin"]("GET", "runs")).status_code == 200
    made = AccessRegistry.open(here.state_dir, here.clock).issue_token("ci", owner=OWNER)
    async with tools(here, ci=made) as tool:
        assert (await tool["ci"]("GET", "runs")).status_code == 200


async def test_a_token_is_taken_from_either_header_and_never_from_two(here: Premises) -> None:
    token, other = issue(here, "ana", Role.VIEWER), issue(here, "bob", Role.VIEWER)
    async with tools(here, nobody="", ana=token) as tool:
        assert (await tool["nobody"]("GET", "runs", headers={"x-api-key": token})).status_code == 200
        assert (await tool["ana"]("GET", "runs", headers={"x-api-key": token})).status_code == 200
        assert (await tool["ana"]("GET", "runs", headers={"x-api-key": other})).status_code == 401
        assert (await tool["ana"]("GET", f"runs?text={token}")).status_code == 400
        assert (await tool["ana"]("GET", "runs", headers={"Host": "evil.example"})).status_code == 403
        assert (await tool["ana"]("GET", "runs", headers={"Origin": "https://evil.example"})).status_code == 403


async def test_a_token_is_no_key(here: Premises) -> None:
    token = issue(here, "ana", Role.ADMIN)
    caller = await here.caller()
    caller.request("GET", "/v1/models", {"Authorization": f"Bearer {token}"})
    assert (await caller.answer()).status == 401


NO_ADDRESSES: list[str] = [
    "",
    "usage",
    "usage/",
    "usage/forecast",
    "runs/",
    "runs//cancel",
    "runs/*",
    "runs/%2A",
    "runs/..",
    "runs/../approvals",
    "runs/%2e%2e",
    "runs/a%2Fcancel",
    "runs/%00",
    "runs/%C3%A9",
    "runs/%ff",
    "runs/a%0d%0aX-Bad:%201",
    "runs/' OR 1=1 --".replace(" ", "%20"),
    "runs/" + "x" * 129,
    "runs/x/y",
    "runs/x/cancel/now",
    "approvals/x/y/z",
    "policies//",
    "incidents/",
    "jobs",
    "tasks/",
    "memory/",
    "heartbeats/",
    "snapshots",
    "commands",
    "query",
]


async def test_other_addresses_are_none(here: Premises) -> None:
    token = issue(here, "ana", Role.ADMIN)
    caller = await here.caller()
    for path in NO_ADDRESSES:
        caller.request("GET", ROOT + path, {"Authorization": f"Bearer {token}"})
        answer = await caller.answer()
        assert (path, answer.status, answer.error["code"]) == (path, 404, "unknown_path")
        assert token not in answer.body.decode()


async def test_other_methods_are_told_which_there_are(here: Premises) -> None:
    async with tools(here) as tool:
        for method, path, allow in (
            ("DELETE", "runs", "GET"),
            ("HEAD", "runs", "GET"),
            ("GET", "usage/overrides", "POST"),
            ("PATCH", "policies", "GET, POST"),
            ("POST", "policies/day", "GET, PUT, DELETE"),
            ("GET", "approvals/x/decision", "POST"),
        ):
            answer = await tool["admin"](method, path)
            assert (method, path, answer.status_code, answer.headers["allow"]) == (method, path, 405, allow)


async def test_a_key_looks_at_its_own_records_and_at_nobody_elses(here: Premises) -> None:
    bea = here.new_key("bea", "bea")
    lead = here.new_key("lead", "lead", may_act_for=["be*"])
    approval_id = await pending_approval(here)
    await here.allow(approval_id, scope="session", reason="for the release")
    answer = await ask(here)
    run_id, decision_id = answer.headers["x-palyra-run"], answer.headers["x-palyra-decision"]
    await here.rest()
    addresses = (f"runs/{run_id}", f"decisions/{decision_id}", f"decisions/{run_id}", f"approvals/{approval_id}")
    async with tools(here, own=here.key, bea=bea, lead=lead) as tool:
        for path in addresses:
            mine = await tool["own"]("GET", path)
            assert mine.status_code == 200
            assert "ada" not in mine.text, "who decided is not named"
            for name in ("bea", "lead"):
                hidden = await tool[name]("GET", path)
                nothing = await tool[name]("GET", path.split("/")[0] + "/" + NOBODY)
                assert (hidden.status_code, hidden.content) == (404, nothing.content)
        run = await tool["own"].data(f"runs/{run_id}")
        assert (run["run"]["run_id"], run["decision"]["decision_id"]) == (run_id, decision_id)
        assert not {"notes", "credential_id"} & set(_names(run))
        theirs = (await here.ask(ASKED, {"X-Palyra-Park": "0"}, key=bea)).headers["x-palyra-run"]
        await here.rest()
        seen = {name: (await tool[name]("GET", f"runs/{theirs}")).status_code for name in ("own", "bea", "lead")}
        assert seen == {"own": 404, "bea": 200, "lead": 200}


async def test_amounts_are_kept_from_keys_where_they_are_not_to_be_told(opened: Opener) -> None:
    here = await opened("[gateway]\nexpose_amounts = false\n")
    await here.add_budget("desk", "100")
    answer = await ask(here)
    await here.rest()
    run_id = answer.headers["x-palyra-run"]
    async with tools(here, own=here.key, ana=issue(here, "ana", Role.VIEWER)) as tool:
        mine, whole = await tool["own"].data(f"runs/{run_id}"), await tool["ana"].data(f"runs/{run_id}")
    assert "hard_usd" in _names(whole)
    assert not {"hard_usd", "hard_nano_usd", "settled_usd", "sentences", "message"} & set(_names(mine))
    assert mine["run"]["cost_nano_usd"] == whole["run"]["cost_nano_usd"] > 0


def _names(data: Any) -> list[str]:
    if isinstance(data, list):
        return [name for item in data for name in _names(item)]
    return [*data, *(name for item in data.values() for name in _names(item))] if isinstance(data, dict) else []
