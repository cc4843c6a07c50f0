from pathlib import Path

import pytest

from palyra.core.clock import SystemClock
from palyra.gateway.ports import Access
from palyra.vault.access import KEY_FILE, AccessRegistry
from tests.gateway.stand_in import AUTHORISED, CHAT, MESSAGES, TOKEN, StandInHouse, StandInKey, serving

OPENAI, ANTHROPIC = ("/v1/chat/completions", CHAT), ("/v1/messages", MESSAGES)
OTHER = "plk_other_" + "B" * 43


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer plk_default_wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer"},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"x-api-key": ""},
        {"Authorization": f"Bearer {TOKEN}", "x-api-key": OTHER},
        {"Authorization": f"Basic {TOKEN}", "x-api-key": TOKEN},
    ],
)
async def test_every_way_of_having_no_valid_key_gets_one_answer(headers: dict[str, str]) -> None:
    house = StandInHouse()
    house.access.keys[OTHER] = StandInKey("other")
    async with serving(house) as door:
        path, body = OPENAI
        answer = await door.ask("POST", path, headers, body)
        nothing = await door.ask("POST", path, {}, body)
    assert answer.status == 401
    assert answer.body == nothing.body
    assert answer.error["code"] == "invalid_api_key"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert door.runner.asked == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {TOKEN}"},
        {"authorization": f"bearer {TOKEN}"},
        {"x-api-key": TOKEN},
        {"Authorization": f"Bearer {TOKEN}", "x-api-key": TOKEN},
    ],
)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        OPENAI,
        ANTHROPIC,
        ("/v1/messages/count_tokens", MESSAGES),
        ("/v1/responses", {"model": "stub/one", "input": "hello"}),
        ("/v1/embeddings", {"model": "stub/one", "input": "hello"}),
    ],
)
async def test_a_key_is_taken_from_either_header(headers: dict[str, str], path: str, body: dict[str, object]) -> None:
    async with serving() as door:
        answer = await door.ask("POST", path, headers, body)
    assert answer.status == 200


async def test_each_wire_is_refused_in_its_own_shape() -> None:
    async with serving() as door:
        openai = await door.ask("POST", OPENAI[0], {}, OPENAI[1])
        anthropic = await door.ask("POST", ANTHROPIC[0], {}, ANTHROPIC[1])
    assert openai.json == {
        "error": {
            "type": "authentication_error",
            "code": "invalid_api_key",
            "param": None,
            "message": openai.error["message"],
        }
    }
    assert anthropic.json["type"] == "error"
    assert anthropic.error["type"] == "authentication_error"


async def test_while_the_registry_cannot_be_read_nobody_is_let_in() -> None:
    house = StandInHouse()
    house.access.unavailable = "it is no JSON"
    async with serving(house) as door:
        answer = await door.ask("POST", OPENAI[0], None, OPENAI[1])
        health = await door.ask("GET", "/healthz", {})
    assert (answer.status, answer.error["code"], health.status) == (503, "access_unavailable", 200)
    assert "retry-after" in answer.headers
    assert door.runner.asked == []


async def test_the_key_a_first_start_makes_opens_the_door(tmp_path: Path) -> None:
    house = StandInHouse()
    registry: Access = AccessRegistry.open(tmp_path / "state", SystemClock())
    house.access = registry
    token = (tmp_path / "state" / KEY_FILE).read_text().strip()
    async with serving(house) as door:
        answer = await door.ask("POST", OPENAI[0], {"Authorization": f"Bearer {token}"}, OPENAI[1])
        wrong = await door.ask("POST", OPENAI[0], {"Authorization": f"Bearer {token[:-1]}"}, OPENAI[1])
    assert (answer.status, wrong.status) == (200, 401)
    assert door.runner.asked[0].scope.principal == "local"


@pytest.mark.parametrize(
    "query",
    [
        f"key={TOKEN}",
        "api_key=x",
        "beta=true&access_token=x",
        f"q={TOKEN}",
        "q=plo_admin_x",
        "q=%70lk_default_x",
        "x-api-key=",
    ],
)
async def test_a_key_in_the_address_is_refused_even_beside_a_good_one(query: str) -> None:
    async with serving() as door:
        answer = await door.ask("POST", f"/v1/chat/completions?{query}", None, CHAT)
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert TOKEN not in answer.body.decode()
    assert door.runner.asked == []


async def test_other_queries_pass() -> None:
    async with serving() as door:
        answer = await door.ask("POST", "/v1/messages?beta=true", None, MESSAGES)
    assert answer.status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 403),
        ("evil.example:7142", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("localhost@evil.example", 403),
        ("", 403),
        ("127.0.0.1:x", 403),
        ("[::1", 403),
        ("127.0.0.2", 403),
        ("127.0.0.1", 200),
        ("LOCALHOST:1", 200),
        ("localhost.", 200),
        ("[::1]:7142", 200),
        ("[::1]", 200),
        ("Palyra.internal:8443", 200),
    ],
)
async def test_only_names_of_this_gateway_are_answered(host: str, status: int) -> None:
    async with serving(StandInHouse(allowed_hosts=("palyra.internal",))) as door:
        answer = await door.ask("POST", "/v1/chat/completions", None, CHAT, host=host)
    assert answer.status == status
    if status == 403:
        assert answer.error["code"] == "host_not_allowed"
        assert door.runner.asked == []


@pytest.mark.parametrize("bind", ["0.0.0.0:0", "[::]:0"])
async def test_a_gateway_on_every_address_knows_the_one_it_was_reached_by(bind: str) -> None:
    async with serving(StandInHouse(bind=bind, allow_remote=True)) as door:
        door.host = "127.0.0.2"
        reached = await door.ask("POST", "/v1/chat/completions", None, CHAT, host="127.0.0.2:1")
        elsewhere = await door.ask("POST", "/v1/chat/completions", None, CHAT, host="127.0.0.3:1")
    assert (reached.status, elsewhere.status) == (200, 403)


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://evil.example", 403), ("null", 403), ("https://console.example", 200), ("https://Console.example/", 200)],
)
async def test_web_pages_may_not_call_unless_their_origin_is_allowed(origin: str, status: int) -> None:
    async with serving(StandInHouse(allowed_origins=("https://console.example",))) as door:
        answer = await door.ask("POST", "/v1/chat/completions", {**AUTHORISED, "Origin": origin}, CHAT)
    assert answer.status == status
    assert not [name for name in answer.headers if name.startswith("access-control")]
    if status == 403:
        assert answer.error["code"] == "origin_not_allowed"
