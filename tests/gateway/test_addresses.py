import logging

import pytest

from tests.gateway.stand_in import AUTHORISED, CHAT, MESSAGES, RUN_ID, StandInHouse, StandInKey, serving

ANTHROPIC = {**AUTHORISED, "anthropic-version": "2023-06-01"}


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1/",
        "/v1/chat/completions/",
        "/V1/chat/completions",
        "/v1/chat%2Fcompletions",
        "/v1/chat/../chat/completions",
        "/v1/models/",
        "//v1/models",
        "/v1/responses/resp_1",
        "/console/v1/snapshot",
    ],
)
async def test_unknown_addresses_are_not_found(path: str) -> None:
    async with serving() as door:
        answer = await door.ask("POST", path, None, CHAT)
    assert (answer.status, answer.error["type"], answer.error["code"]) == (404, "not_found_error", "unknown_path")
    assert "console" in answer.error["message"] or "/v1 as their base" in answer.error["message"]
    assert door.runner.asked == []


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/chat/completions", "POST"),
        ("OPTIONS", "/v1/messages", "POST"),
        ("GET", "/v1/messages/count_tokens", "POST"),
        ("GET", "/v1/responses", "POST"),
        ("PUT", "/v1/embeddings", "POST"),
        ("DELETE", "/v1/models", "GET"),
        ("POST", "/v1/models/openai/gpt-4o-mini", "GET"),
        ("POST", "/healthz", "GET"),
        ("PUT", "/readyz", "GET"),
    ],
)
async def test_other_methods_are_told_the_right_one(method: str, path: str, allow: str) -> None:
    async with serving() as door:
        answer = await door.ask(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allow)
    assert answer.json.get("type", "error") == "error"
    assert answer.error["type"] == "not_found_error"


async def test_an_answer_to_head_has_no_body_and_the_next_request_is_understood() -> None:
    async with serving() as door:
        caller = await door.caller()
        caller.request("HEAD", "/healthz")
        head = await caller.head()
        caller.request("GET", "/healthz")
        answer = await caller.answer()
    assert (head.status, answer.status) == (405, 200)


async def test_errors_outside_the_wires_follow_the_version_header() -> None:
    async with serving() as door:
        openai = await door.ask("GET", "/nowhere")
        anthropic = await door.ask("GET", "/nowhere", ANTHROPIC)
        below_messages = await door.ask("GET", "/v1/messages/nowhere")
    assert "type" not in openai.json
    assert anthropic.json["type"] == below_messages.json["type"] == "error"


async def test_models_are_listed_in_either_shape_for_a_key_with_auto_first() -> None:
    async with serving() as door:
        openai = await door.ask("GET", "/v1/models")
        anthropic = await door.ask("GET", "/v1/models", ANTHROPIC)
    assert openai.json["object"] == "list"
    assert [(model["id"], model["owned_by"]) for model in openai.json["data"]] == [
        ("auto", "palyra"),
        ("openai/gpt-4o-mini", "openai"),
        ("local", "stub"),
    ]
    assert [(model["type"], model["id"]) for model in anthropic.json["data"]] == [
        ("model", "auto"),
        ("model", "openai/gpt-4o-mini"),
        ("model", "local"),
    ]
    assert anthropic.json["has_more"] is False


async def test_a_key_sees_only_its_models() -> None:
    house = StandInHouse()
    house.access.keys = {token: StandInKey(allowed_models=("local",)) for token in house.access.keys}
    async with serving(house) as door:
        listed = await door.ask("GET", "/v1/models")
        hidden = await door.ask("GET", "/v1/models/openai/gpt-4o-mini")
    assert [model["id"] for model in listed.json["data"]] == ["auto", "local"]
    assert (hidden.status, hidden.error["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("path", ["/v1/models/openai/gpt-4o-mini", "/v1/models/openai%2Fgpt-4o-mini"])
async def test_one_model_is_shown_by_an_id_with_a_slash(path: str) -> None:
    async with serving() as door:
        answer = await door.ask("GET", path)
    assert answer.json == {"id": "openai/gpt-4o-mini", "object": "model", "created": 0, "owned_by": "openai"}


async def test_models_need_a_key() -> None:
    async with serving() as door:
        listing = await door.ask("GET", "/v1/models", {})
        one = await door.ask("GET", "/v1/models/local", {})
    assert (listing.status, one.status) == (401, 401)


async def test_probes_need_no_key_and_readiness_gives_its_reasons() -> None:
    house = StandInHouse()
    async with serving(house) as door:
        health = await door.ask("GET", "/healthz", {})
        ready = await door.ask("GET", "/readyz", {})
        house.problems = ["journal_unavailable"]
        broken = await door.ask("GET", "/readyz", {})
        house.phase = "draining"
        draining = await door.ask("GET", "/readyz", {})
        still_alive = await door.ask("GET", "/healthz", {})
    assert (health.status, ready.status, still_alive.status) == (200, 200, 200)
    assert (broken.status, broken.json["reasons"]) == (503, ["journal_unavailable"])
    assert (draining.status, draining.json["reasons"]) == (503, ["draining", "journal_unavailable"])


async def test_the_access_log_tells_the_run_and_never_the_key(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "palyra.gateway.access"):
        async with serving() as door:
            await door.ask("POST", "/v1/messages?secret=1", None, MESSAGES)
            await door.ask("GET", "/wp-admin", {})
    lines = [record.getMessage() for record in caplog.records if record.name == "palyra.gateway.access"]
    assert lines[0].startswith(f"run={RUN_ID} endpoint=/v1/messages status=200 ms=")
    assert lines[0].endswith("key=default")
    assert lines[1].startswith("run=- endpoint=other status=404")
    assert "plk_" not in caplog.text
    assert "secret" not in caplog.text
