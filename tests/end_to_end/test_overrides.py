"""A refused caller asks for room with its own key and waits for the answer; an operator asks ahead of need."""

from typing import Any

import pytest

from palyra.control.commands import DecideApproval, EditPolicy, RequestOverride
from palyra.control.queries import ApprovalQuery, BudgetQuery
from palyra.vault.records import Role
from tests.end_to_end.asking import ask, asking
from tests.end_to_end.conftest import Opener
from tests.end_to_end.premises import Premises
from tests.gateway.stand_in import RawAnswer

REQUESTS = "/console/v1/usage/overrides"
WHY = "the release waits for it"


async def post(here: Premises, body: dict[str, Any], key: str = "", **headers: str) -> RawAnswer:
    caller = await here.caller()
    named = {f"X-Palyra-{name.title()}": value for name, value in headers.items()}
    caller.request("POST", REQUESTS, {"Authorization": f"Bearer {key or here.key}", **named}, body)
    return await caller.answer()


async def look(here: Premises, approval_id: str, key: str = "") -> RawAnswer:
    caller = await here.caller()
    caller.request("GET", f"/console/v1/approvals/{approval_id}", {"Authorization": f"Bearer {key or here.key}"})
    return await caller.answer()


async def full(here: Premises, policy_id: str = "desk", **fields: str) -> None:
    """A budget of one request that is used up."""
    await here.add_budget(policy_id, "1", metric_kind="requests", **fields)
    assert (await ask(here)).status == 200


async def test_a_blocked_caller_asks_waits_and_passes(here: Premises) -> None:
    await full(here)
    assert (await ask(here)).error["code"] == "budget_blocked"
    asked = await post(here, {"policy_ids": ["desk"], "amount": "2", "reason": WHY})
    assert asked.status == 201
    record = asked.json
    approval_id = record["approval_id"]
    assert (record["status"], record["principal"], record["session"]) == ("pending", "local", None)
    assert (record["amount"], record["run_ids"], record["grants"]) == ("2", [], [])
    assert record["budgets"][0] | {"window_end": ""} == {
        "policy_id": "desk",
        "scope": "*",
        "settled": "1",
        "held": "0",
        "bound": "0",
        "hard": "1",
        "excess": "2",
        "window_end": "",
    }
    view = await here.pending()
    assert [(one.name, one.attestation, one.reason) for one in view.applicants] == [("key:default", "key", WHY)]
    assert (view.wanted, view.excess, view.excess_metric, view.model, view.refused) == (2, 2, "requests", "", False)

    assert (await look(here, approval_id)).json["decision"] is None
    await here.allow(approval_id, scope="amount", amount=2)
    answered = (await look(here, approval_id)).json
    assert (answered["status"], answered["decision"]) == ("resolved", "allow")
    assert [(grant["kind"], grant["cap"], grant["drawn"]) for grant in answered["grants"]] == [("amount", "2", "0")]
    assert [(await ask(here)).status for _ in range(3)] == [200, 200, 402]
    assert (await look(here, approval_id)).json["grants"][0]["drawn"] == "2"
    detail = await here.control.ask(ApprovalQuery(approval_id))
    assert detail.approval.decided_by == "ada"


async def test_an_equal_pending_one_is_told_instead_of_another(here: Premises) -> None:
    await full(here)
    first = await post(here, {"policy_ids": ["desk"], "reason": WHY})
    again = await post(here, {"policy_ids": ["desk"], "reason": "more haste"})
    assert (first.status, again.status) == (201, 200)
    assert first.json["approval_id"] == again.json["approval_id"]


async def test_an_amount_that_does_not_stand_is_told(here: Premises) -> None:
    await full(here)
    first = await post(here, {"policy_ids": ["desk"], "reason": WHY})
    assert first.json["amount"] is None
    named = await post(here, {"policy_ids": ["desk"], "amount": "2", "reason": WHY})
    assert (named.json["amount"], "amount_not_taken" in named.json) == ("2", False)
    other = await post(here, {"policy_ids": ["desk"], "amount": "3", "reason": WHY})
    assert (other.status, other.json["amount"], other.json["amount_not_taken"]) == (200, "2", "3")
    told = await here.control.send(RequestOverride(("desk",), amount="1", reason=WHY))
    assert (told.status, told.data["amount"], told.data["amount_not_taken"]) == ("conflict", "2 requests", "1 request")
    assert "is pending already: 2 requests in desk for local. It stands with that amount; 1 request was" in told.message
    assert (await here.pending()).wanted == 2


async def test_words_join_the_record_of_the_refused_request_that_waits(here: Premises) -> None:
    await full(here, action="approval_required")
    waiting = asking(here)
    view = await here.parked()
    joined = await post(here, {"policy_ids": ["desk"], "reason": WHY, "session": view.session})
    assert (joined.status, joined.json["approval_id"], joined.json["run_ids"]) == (
        200,
        view.approval_id,
        list(view.run_ids),
    )
    now = await here.pending()
    assert (now.version, now.waiting, [one.reason for one in now.applicants]) == (view.version + 1, 1, [WHY])
    await here.allow(view.approval_id, version=now.version)
    assert (await waiting).status == 200


async def test_a_key_asks_and_looks_for_itself_alone(here: Premises) -> None:
    await full(here)
    await here.add_budget("beas", "1", scope_kind="user", scope_id="bea")
    bea = here.new_key("bea", "bea")
    team = here.new_key("team", "lead", may_act_for=["be*"])
    mine = (await post(here, {"policy_ids": ["desk"], "reason": WHY})).json["approval_id"]
    hidden = await look(here, mine, bea)
    assert hidden.status == 404
    assert hidden.error == (await look(here, "01NOTHING", bea)).error
    for body in ({"policy_ids": ["desk"], "principal": "local"}, {"policy_ids": ["beas"], "principal": "zoe"}):
        other = await post(here, {**body, "reason": WHY}, bea)
        assert (other.status, other.error["code"]) == (403, "principal_not_allowed")
    unknown = await post(here, {"policy_ids": ["beas"], "reason": WHY})
    assert (unknown.status, unknown.error["param"]) == (400, "policy_ids[0]")
    own: dict[str, str] = {}
    for key, named in ((bea, own), (team, {"principal": "bea"})):
        assert (await post(here, {"policy_ids": ["beas"], "reason": WHY, **named}, key)).json["principal"] == "bea"
    theirs = (await post(here, {"policy_ids": ["beas"], "reason": WHY}, bea)).json["approval_id"]
    assert [(await look(here, theirs, key)).status for key in (bea, team, here.key)] == [200, 200, 404]


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"policy_ids": ["desk"]}, "reason", "a person has to know why"),
        ({"policy_ids": [], "reason": WHY}, "policy_ids", "no budget is named"),
        ({"policy_ids": ["dexk"], "reason": WHY}, "policy_ids[0]", 'Did you mean "desk"?'),
        ({"policy_ids": "desk", "reason": WHY}, "policy_ids", "must be a list"),
        ({"policy_ids": ["desk"], "reason": WHY, "amount": 5}, "amount", "decimal strings"),
        ({"policy_ids": ["desk"], "reason": WHY, "amount": "1.5"}, "amount", "no whole number"),
        ({"policy_ids": ["desk"], "reason": "half \ud800"}, "reason", "must be text"),
        ({"policy_ids": ["desk"], "reason": WHY, "sesion": "x"}, "sesion", "did you mean session?"),
        ({"policy_ids": ["desk"], "reason": WHY, "session": "a b"}, "session", "no name of a session"),
    ],
)
async def test_a_field_at_fault_is_named(here: Premises, body: dict[str, Any], field: str, says: str) -> None:
    await full(here)
    answer = await post(here, body)
    assert (answer.status, answer.error["code"], answer.error["param"]) == (400, "invalid_field", field)
    assert says in answer.error["message"]
    assert await here.approvals() == ()


async def test_every_fault_is_told_at_once(here: Premises) -> None:
    await full(here)
    answer = await post(here, {"policy_ids": ["desk", "nope"], "amount": "x", "session": "a b"})
    faults = answer.error["palyra"]["faults"]
    assert [fault["field"] for fault in faults] == ["session", "reason", "policy_ids[1]", "amount"]
    endless = await post(here, {"policy_ids": ["desk"], "reason": "x" * 64 * 1024})
    assert (endless.status, endless.error["code"]) == (413, "body_too_large")


async def test_after_a_denial_asking_again_has_to_wait(here: Premises) -> None:
    await full(here)
    body = {"policy_ids": ["desk"], "reason": WHY}
    record = (await post(here, body)).json
    await here.deny(record["approval_id"], "use less")
    told = (await look(here, record["approval_id"])).json
    assert (told["decision"], told["reason"]) == ("deny", "use less")
    assert "ada" not in str(told)
    again = await post(here, body)
    assert (again.status, again.error["code"], again.headers["retry-after"]) == (429, "too_often", "60")
    await here.advance(60)
    assert (await post(here, body)).status == 201


async def test_nobody_answers_and_it_ends(here: Premises) -> None:
    await full(here)
    record = (await post(here, {"policy_ids": ["desk"], "reason": WHY})).json
    here.set_wall(here.clock.now_ms() + 900_000)
    told = (await look(here, record["approval_id"])).json
    assert (told["status"], told["decision"], told["resolved_at"]) == ("resolved", "timeout", record["expires_at"])


async def test_amounts_are_kept_where_they_are_not_to_be_told(opened: Opener) -> None:
    here = await opened("[gateway]\nexpose_amounts = false\n")
    await full(here)
    told = (await post(here, {"policy_ids": ["desk"], "amount": "2", "reason": WHY})).json
    assert "amount" not in told
    assert set(told["budgets"][0]) == {"policy_id", "scope", "window_end"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", REQUESTS, 405), ("POST", "/console/v1/approvals/01X", 405), ("GET", "/console/v1/approvals/", 404)],
)
async def test_other_methods_and_addresses(here: Premises, method: str, path: str, status: int) -> None:
    caller = await here.caller()
    caller.request(method, path, {"Authorization": f"Bearer {here.key}"})
    assert (await caller.answer()).status == status
    stranger = await here.caller()
    stranger.request("POST", REQUESTS, {"Authorization": "Bearer plk_x"}, {"policy_ids": ["desk"], "reason": WHY})
    assert (await stranger.answer()).status == 401


# Operators


async def test_an_operator_asks_ahead_and_another_allows(here: Premises) -> None:
    await full(here)
    asked = await here.send(RequestOverride(("desk",), session="default:default", amount="3", reason=WHY))
    assert asked.message == f"Approval {asked.data['approval_id']} is open: 3 requests in desk for local."
    assert (asked.data["fresh"], asked.data["status"]) == ("true", "pending")
    again = await here.send(RequestOverride(("desk",), session="default:default", amount="3", reason=WHY))
    assert (again.data["fresh"], again.data["approval_id"]) == ("false", asked.data["approval_id"])
    budget = await here.control.ask(BudgetQuery("desk"))
    assert [view.approval_id for view in budget.approvals] == [asked.data["approval_id"]]
    await here.allow(asked.data["approval_id"], scope="session")
    budget = await here.control.ask(BudgetQuery("desk"))
    assert [(grant.kind, grant.cap, grant.drawn) for grant in budget.grants] == [("session", 4, 0)]
    assert (await ask(here)).status == 200
    assert (await here.control.ask(BudgetQuery("desk"))).grants[0].drawn == 1


async def test_viewers_may_not_ask_and_faults_are_told(here: Premises) -> None:
    await full(here)
    viewer = here.operator("vic", Role.VIEWER)
    assert (await viewer.send(RequestOverride(("desk",), reason=WHY))).status == "denied"
    wrong = await here.control.send(RequestOverride(("dexk",), amount="x"))
    assert wrong.status == "invalid"
    assert "policy_ids[0]" in wrong.message
    assert "reason" in wrong.message


async def test_four_eyes_bar_the_operator_who_asked(opened: Opener) -> None:
    here = await opened("[approvals]\nfour_eyes = true\n")
    await full(here)
    asked = await here.send(RequestOverride(("desk",), reason=WHY))
    own = await here.control.send(DecideApproval(asked.data["approval_id"], "allow"))
    assert own.status == "denied"
    assert (await here.operator("bob", Role.APPROVER).send(DecideApproval(asked.data["approval_id"], "allow"))).ok


async def test_what_was_asked_for_survives_a_restart_and_so_does_its_denial(opened: Opener) -> None:
    here = await opened()
    clock = here.clock
    await full(here)
    kept = (await post(here, {"policy_ids": ["desk"], "amount": "2", "reason": WHY})).json["approval_id"]
    gone = (await post(here, {"policy_ids": ["desk"], "reason": WHY, "session": "s"})).json["approval_id"]
    await here.deny(gone)
    await here.close()
    here = await opened(clock=clock)
    view = await here.pending()
    assert (view.approval_id, view.wanted, [one.reason for one in view.applicants]) == (kept, 2, [WHY])
    assert (await post(here, {"policy_ids": ["desk"], "reason": WHY, "session": "s"})).status == 429
    await here.allow(kept)
    assert (await ask(here)).status == 200


async def test_an_edit_of_the_budget_ends_what_was_asked_for(here: Premises) -> None:
    await full(here)
    record = (await post(here, {"policy_ids": ["desk"], "reason": WHY})).json
    await here.send(EditPolicy("desk", {"hard_limit": "5"}))
    told = (await look(here, record["approval_id"])).json
    assert (told["decision"], told["reason"]) == ("error", "policy_edited")
    detail = await here.control.ask(BudgetQuery("desk"))
    first, *_ = detail.revisions
    assert (first.revision, first.by, first.changes) == (2, "ada", {"hard_limit": ("1", "5")})


async def test_a_budget_tells_whom_it_refused(here: Premises) -> None:
    await full(here)
    await here.add_budget("other", "1000", metric_kind="requests")
    refused = await ask(here)
    detail = await here.control.ask(BudgetQuery("desk"))
    assert [run.run_id for run in detail.refusals] == [refused.headers["x-palyra-run"]]
    assert (await here.control.ask(BudgetQuery("other"))).refusals == ()
    assert detail.fields["soft_limit"] == "80%"
    assert [view.scope_value for view in detail.counters] == ["*"]
