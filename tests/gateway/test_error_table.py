"""The errors callers rely on: nothing else is told, each one can come about, and both dialects say it alike."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from palyra.core.clock import ManualClock
from palyra.providers.errors import KEPT_STATUSES, RULES, ErrorClass, ProviderError
from palyra.runs.request import Client, Outcome, Refusal, RunRequest
from tests.gateway.error_table import CONSOLE_ONLY, RETRY_AFTER, ROWS, TABLE
from tests.gateway.stand_in import (
    AUTHORISED,
    CHAT,
    MESSAGES,
    RUN_ID,
    TOKEN,
    Door,
    RawAnswer,
    Script,
    StandInHouse,
    StandInKey,
    report,
    serving,
)

ROOT = Path(__file__).parents[2] / "palyra"
MAKERS = {
    "invalid": (400, "invalid_request_error"),
    "forbidden": (403, "permission_error"),
    "not_found": (404, "not_found_error"),
    "overloaded": (503, "overloaded_error"),
}
"""What makes refusals from a code alone."""
Told = tuple[int, str, str]


def texts(node: ast.expr | None, function: ast.AST) -> set[str]:
    """The texts an expression can have: its own, or those its name was given in this function."""
    if node is None:
        return set()
    if isinstance(node, ast.IfExp):
        return texts(node.body, function) | texts(node.orelse, function)
    if isinstance(node, ast.BoolOp):
        return {text for value in node.values for text in texts(value, function)}
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return {node.value}
    if isinstance(node, ast.Name):
        found: set[str] = set()
        for one in ast.walk(function):
            if isinstance(one, ast.Assign) and any(isinstance(t, ast.Name) and t.id == node.id for t in one.targets):
                found |= texts(one.value, function)
        return found
    return set()


def made(call: ast.Call, function: ast.AST) -> Iterator[Told]:
    """The refusals a call makes, where it says which."""
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    given = {word.arg: word.value for word in call.keywords}
    if name == "Refusal" and len(call.args) >= 3 and isinstance(call.args[0], ast.Constant):
        kinds = texts(call.args[1], function)
        status = call.args[0].value
        assert isinstance(status, int)
        yield from ((status, kind, code) for kind in kinds for code in texts(call.args[2], function))
    elif name in MAKERS and call.args:
        status, kind = MAKERS[name]
        chosen = given.get("status")
        if isinstance(chosen, ast.Constant) and isinstance(chosen.value, int):
            status = chosen.value
        yield from ((status, kind, code) for code in texts(call.args[0], function))


def told_by_the_sources() -> set[Told]:
    found: set[Told] = set()
    for path in [*(ROOT / "gateway").glob("*.py"), *(ROOT / "runs").glob("*.py")]:
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for node in ast.walk(function):
                    if isinstance(node, ast.Call):
                        found |= set(made(node, function))
    return found


def told_of_bodies() -> set[Told]:
    """What the strict reader of bodies raises."""
    found: set[Told] = set()
    for node in ast.walk(ast.parse((ROOT / "providers" / "strict_json.py").read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "RequestError":
            found |= {(400, "invalid_request_error", code) for code in texts(node.args[0], node)}
    return found


def told_of_providers() -> set[Told]:
    found: set[Told] = set()
    for error_class in ErrorClass:
        for status in (None, 503):
            error = ProviderError(error_class, "no", upstream_status=status)
            found.add((error.status, error.type, error.code))
    return found


def test_nothing_else_is_told_and_everything_can_come_about() -> None:
    found = told_by_the_sources() | told_of_bodies() | told_of_providers()
    assert found - set(ROWS) == set()
    codes = {code for _, _, code in found}
    assert {code for _, _, code in ROWS} - codes - CONSOLE_ONLY == set()
    assert set(ErrorClass) == set(RULES)


@pytest.mark.parametrize("status", KEPT_STATUSES)
def test_a_providers_own_status_passes_under_one_code(status: int) -> None:
    error = ProviderError(ErrorClass.PERMANENT_UPSTREAM, "no", upstream_status=status)
    assert (error.status, error.code) == (status, "upstream_error")
    assert error.type in {kind for known, kind in TABLE if known in (400, status)}


async def test_both_official_clients_are_told_each_error() -> None:
    """Over one pair of clients: making one costs more than asking with it."""
    said: Any = {"model": "one", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5}
    async with (
        serving() as door,
        openai.AsyncOpenAI(base_url=f"{door.gateway.url}/v1", api_key=TOKEN, max_retries=0) as one,
        anthropic.AsyncAnthropic(base_url=door.gateway.url, api_key=TOKEN, max_retries=0) as other,
    ):
        for status, kind, code in ROWS:
            door.runner.script = refusing(status, kind, code)
            with pytest.raises(openai.APIStatusError) as by_openai:
                await one.chat.completions.create(**said)
            with pytest.raises(anthropic.APIStatusError) as by_anthropic:
                await other.messages.create(**said)
            told, body = by_openai.value, by_anthropic.value.body
            assert (told.status_code, told.type, told.code) == (status, kind, code)
            assert isinstance(body, dict)
            assert (by_anthropic.value.status_code, body["type"], body["request_id"]) == (status, "error", RUN_ID)
            assert (body["error"]["type"], body["error"]["code"]) == (kind, code)
            answers = (told.response.headers, by_anthropic.value.response.headers)
            assert answers[0]["x-request-id"] == answers[1]["request-id"] == RUN_ID
            for headers in answers:
                assert ("retry-after" in headers) == (status in RETRY_AFTER)
                assert headers.get("x-should-retry") == ("false" if status == 410 else None)


def refusing(status: int, kind: str, code: str) -> Script:
    async def script(request: RunRequest, client: Client) -> Outcome:
        wait = 0.1 if status in RETRY_AFTER else None
        refusal = Refusal(status, kind, code, "No.", {"run_id": RUN_ID}, wait)
        return Outcome(report(), "refused", code, refusal=refusal)

    return script


LONG = "x" * 5_000
AT_THE_DOOR: dict[str, tuple[str, Mapping[str, str], bytes | None]] = {
    "invalid_json": ("", {}, b"{"),
    "duplicate_member": ("", {}, b'{"model": "m", "model": "n"}'),
    "invalid_field": ("", {}, b'{"model": 7}'),
    "invalid_header": ("", {"X-Palyra-Tag": "a=b"}, None),
    "invalid_api_key": ("", {"Authorization": "Bearer plk_wrong"}, None),
    "mode_not_allowed": ("", {"X-Palyra-Mode": "suggest"}, None),
    "principal_not_allowed": ("", {"X-Palyra-Principal": "root"}, None),
    "pinned_value": ("", {"X-Palyra-Channel": "other"}, None),
    "tag_locked": ("", {"X-Palyra-Tags": "team=blue"}, None),
    "host_not_allowed": ("", {"Host": "evil.example"}, None),
    "origin_not_allowed": ("", {"Origin": "https://evil.example"}, None),
    "body_too_large": ("", {}, b"x" * 2_000),
    "unsupported_media_type": ("", {"Content-Type": "text/plain"}, None),
    "headers_too_large": ("", {f"X-{number}": LONG for number in range(3)}, None),
    "unknown_path": ("/nowhere", {}, None),
    "method_not_allowed": ("", {}, None),
    "access_unavailable": ("", {}, None),
    "engine_draining": ("", {}, None),
}


def house_for(code: str) -> StandInHouse:
    house = StandInHouse(max_body=1_024, max_headers=12 * 1024)
    house.access.keys = {TOKEN: StandInKey(channel="own", tags={"team": "red"})}
    if code == "access_unavailable":
        house.access.unavailable = "it is no JSON"
    if code == "engine_draining":
        house.phase = "draining"
    return house


async def provoked(door: Door, code: str, path: str, usual: Mapping[str, Any]) -> RawAnswer:
    below, headers, body = AT_THE_DOOR[code]
    method = "PUT" if code == "method_not_allowed" else "POST"
    return await door.ask(method, path + below, {**AUTHORISED, **headers}, usual if body is None else body)


@pytest.mark.parametrize("code", AT_THE_DOOR)
async def test_what_the_door_itself_refuses_is_told_in_both_dialects(code: str) -> None:
    async with serving(house_for(code), ManualClock()) as door:
        by_openai = await provoked(door, code, "/v1/chat/completions", CHAT)
        by_anthropic = await provoked(door, code, "/v1/messages", MESSAGES)
    for answer in (by_openai, by_anthropic):
        assert (answer.status, answer.error["type"], answer.error["code"]) in ROWS
        assert answer.error["code"] == code
        assert answer.error["message"].endswith((".", "?"))
        assert ("retry-after" in answer.headers) == (answer.status in RETRY_AFTER)
    assert set(by_openai.json) == {"error"}
    assert by_anthropic.json["type"] == "error"
    assert door.runner.asked == []
