import json
from typing import Any

import pytest

from palyra.gateway.errors import without_amounts
from palyra.runs.request import Answer, Client, Outcome, Refusal, RunRequest
from tests.gateway.stand_in import CHAT, MESSAGES, RUN_ID, StandInHouse, plain, report, serving

PATH = "/v1/chat/completions"
PALYRA: dict[str, Any] = {
    "run_id": RUN_ID,
    "decision_id": "01KDECISION",
    "approval_id": None,
    "outcome": "blocked",
    "evaluations": [
        {
            "policy_id": "team-day",
            "status": "blocked",
            "settled": "0.95",
            "held": "0",
            "bound": "0.10",
            "hard": "1.00",
            "window_end": "2026-11-23T00:00:00Z",
        }
    ],
    "counterfactual": [
        {"kind": "model", "value": "openai/gpt-4o-mini"},
        {"kind": "grant", "policy_id": "team-day", "amount": "0.05"},
    ],
}
BLOCKED = Refusal(402, "budget_exceeded", "budget_blocked", "Budget team-day would reach $1.05 of $1.00.", PALYRA)


def answering(outcome: Outcome, **gateway: Any) -> StandInHouse:
    house = StandInHouse(**gateway)

    async def script(request: RunRequest, client: Client) -> Outcome:
        return outcome

    house.runner.script = script
    return house


def refusing(refusal: Refusal, **gateway: Any) -> StandInHouse:
    return answering(Outcome(report(), "refused", "budget_exceeded", refusal=refusal), **gateway)


async def test_both_dialects_carry_the_same_explanation() -> None:
    async with serving(refusing(BLOCKED)) as door:
        openai = await door.ask("POST", PATH, None, CHAT)
        anthropic = await door.ask("POST", "/v1/messages", None, MESSAGES)
    assert (openai.status, anthropic.status) == (402, 402)
    assert openai.json == {
        "error": {
            "type": "budget_exceeded",
            "code": "budget_blocked",
            "param": None,
            "message": BLOCKED.message,
            "palyra": PALYRA,
        }
    }
    assert (anthropic.json["type"], anthropic.json["request_id"]) == ("error", RUN_ID)
    assert anthropic.error["type"] == "budget_exceeded"
    assert anthropic.error["palyra"] == PALYRA
    assert openai.headers["x-request-id"] == anthropic.headers["request-id"] == RUN_ID
    assert "retry-after" not in openai.headers


async def test_without_amounts_nothing_tells_how_much_is_left() -> None:
    async with serving(refusing(BLOCKED, expose_amounts=False)) as door:
        answer = await door.ask("POST", PATH, None, CHAT)
    palyra = answer.error["palyra"]
    assert palyra["evaluations"] == [
        {"policy_id": "team-day", "status": "blocked", "window_end": "2026-11-23T00:00:00Z"}
    ]
    assert palyra["counterfactual"] == [
        {"kind": "model", "value": "openai/gpt-4o-mini"},
        {"kind": "grant", "policy_id": "team-day"},
    ]
    assert not [amount for amount in ("0.95", "1.05", "1.00", "0.05", "0.10") if amount in answer.body.decode()]


async def test_without_amounts_the_headers_tell_none() -> None:
    house = answering(plain(bound_usd=100_000_000, cost_usd=450_000), expose_amounts=False)
    async with serving(house) as door:
        answer = await door.ask("POST", PATH, None, CHAT)
    assert not [name for name in answer.headers if name.endswith("usd")]


def test_taking_amounts_out_leaves_the_original_alone() -> None:
    before = json.dumps(PALYRA)
    without_amounts(PALYRA)
    assert json.dumps(PALYRA) == before


@pytest.mark.parametrize(("seconds", "header"), [(5.0, "5"), (0.2, "1"), (0.0, "0"), (89.01, "90")])
async def test_retry_after_is_whole_seconds_rounded_up(seconds: float, header: str) -> None:
    refusal = Refusal(429, "rate_limit_error", "upstream_rate_limited", "Wait.", retry_after=seconds)
    async with serving(refusing(refusal)) as door:
        answer = await door.ask("POST", PATH, None, CHAT)
    assert (answer.status, answer.headers["retry-after"]) == (429, header)


async def test_a_cancelled_run_is_not_to_be_retried() -> None:
    refusal = Refusal(410, "run_cancelled", "run_cancelled", "Cancelled by ops.")
    async with serving(refusing(refusal)) as door:
        answer = await door.ask("POST", PATH, None, CHAT)
    assert (answer.status, answer.headers["x-should-retry"]) == (410, "false")


async def test_a_providers_own_answer_passes_as_it_was() -> None:
    body = b'{"error":  {"message": "no such parameter", "type": "invalid_request_error"}}'
    refusal = Refusal(422, "api_error", "upstream_error", "The provider refused.", upstream_body=body)
    async with serving(refusing(refusal)) as door:
        answer = await door.ask("POST", PATH, None, CHAT)
    assert (answer.status, answer.body) == (422, body)
    assert answer.headers["x-palyra-run"] == RUN_ID


async def test_an_answer_tells_its_run_in_headers_and_keeps_its_bytes() -> None:
    outcome = plain(
        b'{ "id":"x" }\n',
        model="openai/gpt-4o",
        attempts=2,
        outcome="soft_limit",
        reason_codes=("budget_soft_limit", "retry_attempt"),
        would_block=("team-day",),
        output_clamped=300,
        bound_usd=100_000_000,
        cost_usd=450_000,
        usage_source="reported",
    )
    async with serving(answering(outcome)) as door:
        answer = await door.ask("POST", PATH, None, CHAT)
    assert answer.body == b'{ "id":"x" }\n'
    told = {name: value for name, value in answer.headers.items() if name.startswith("x-palyra-")}
    assert told == {
        "x-palyra-run": RUN_ID,
        "x-palyra-decision": "01KDECISION",
        "x-palyra-model": "openai/gpt-4o",
        "x-palyra-outcome": "soft_limit",
        "x-palyra-usage-source": "reported",
        "x-palyra-attempts": "2",
        "x-palyra-reason": "budget_soft_limit, retry_attempt",
        "x-palyra-would-block": "team-day",
        "x-palyra-output-clamped": "300",
        "x-palyra-bound-usd": "0.10",
        "x-palyra-cost-usd": "0.00045",
    }


async def test_a_providers_words_cannot_become_headers_of_ours() -> None:
    hostile = "m\r\nSet-Cookie: a=b\r\n\r\n<html>\x1b[31m\u202e"
    answer_of_provider = Answer(200, {"Content-Type": hostile, "Set-Cookie": "a=b"}, b"{}")
    outcome = Outcome(report(model=hostile), "completed", "stop", answer=answer_of_provider)
    async with serving(answering(outcome)) as door:
        answer = await door.ask("POST", PATH, None, CHAT)
    assert answer.status == 200
    assert "set-cookie" not in answer.headers
    assert answer.headers["x-palyra-model"] == r"m\x0d\x0aSet-Cookie: a=b\x0d\x0a\x0d\x0a<html>\x1b[31m\u202e"
    assert answer.body == b"{}"


async def test_a_fault_of_ours_is_logged_and_told_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    async def script(request: RunRequest, client: Client) -> Outcome:
        raise RuntimeError("secret detail")

    house = StandInHouse()
    house.runner.script = script
    async with serving(house) as door:
        answer = await door.ask("POST", "/v1/messages", None, MESSAGES)
    assert (answer.status, answer.error["type"], answer.error["code"]) == (500, "api_error", "internal_error")
    assert "secret detail" not in answer.body.decode()
    assert "secret detail" in caplog.text


async def test_a_message_with_broken_characters_can_still_be_told() -> None:
    refusal = Refusal(404, "not_found_error", "model_not_found", "No model \ud800.")
    async with serving(refusing(refusal)) as door:
        answer = await door.ask("POST", PATH, None, CHAT)
    assert answer.status == 404
