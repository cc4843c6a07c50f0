"""What holds at every address, whatever it serves: hosts, origins, keys in the address, and how large a head may be."""

import hashlib
import hmac
import logging
from pathlib import Path
from typing import Any

import pytest

from palyra.core.clock import SystemClock
from palyra.providers.wires import COUNTING_PATH, GATEWAY_PATHS
from palyra.vault.access import AccessRegistry
from tests.gateway.stand_in import AUTHORISED, CHAT, MESSAGES, StandInHouse, serving

POSTED = [*GATEWAY_PATHS.values(), COUNTING_PATH, "/console/v1/usage/overrides"]
READ = [
    "/v1/models",
    "/v1/models/local",
    "/healthz",
    "/readyz",
    "/metrics",
    "/console/v1/approvals/01K",
    "/console/v1/diagnostics",
    "/console/v1/usage/summary",
    "/console/v1/policies",
    "/nowhere",
]
EVERYWHERE = [("POST", path) for path in POSTED] + [("GET", path) for path in READ]
TRICKED = [
    ({}, "evil.example", "host_not_allowed"),
    ({}, "", "host_not_allowed"),
    ({"Origin": "https://evil.example"}, None, "origin_not_allowed"),
    ({"Origin": "null"}, None, "origin_not_allowed"),
    ({"Origin": "http://127.0.0.1:7142"}, None, "origin_not_allowed"),
]


@pytest.mark.parametrize(("method", "path"), EVERYWHERE)
async def test_no_address_speaks_to_a_web_page_that_was_tricked(method: str, path: str) -> None:
    async with serving() as door:
        for headers, host, code in TRICKED:
            answer = await door.ask(method, path, {**AUTHORISED, **headers}, host=host)
            assert (answer.status, answer.error["code"]) == (403, code)
            assert not [name for name in answer.headers if name.startswith(("access-control", "set-cookie"))]


@pytest.mark.parametrize(("method", "path"), EVERYWHERE)
async def test_no_address_takes_a_key_from_its_query(method: str, path: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with serving() as door:
            for query in ("api_key=plk_default_canary", "x=plo_canary", "token="):
                answer = await door.ask(method, f"{path}?{query}")
                assert (answer.status, answer.error["code"]) == (400, "invalid_field")
                assert b"canary" not in answer.body
    assert "canary" not in caplog.text


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "PATCH"])
@pytest.mark.parametrize("path", [*POSTED, "/v1/models", "/healthz", "/readyz"])
async def test_no_address_takes_methods_nobody_needs(method: str, path: str) -> None:
    async with serving() as door:
        caller = await door.caller()
        caller.request(method, path, AUTHORISED)
        answer = await (caller.head() if method == "HEAD" else caller.answer())
        caller.request("GET", "/healthz")
        after = await caller.answer()
    assert answer.status == 405
    assert answer.headers["allow"] in ("GET", "POST")
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert (after.status, after.json) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", POSTED)
@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "x-gzip", "identity, gzip"])
async def test_no_address_unpacks_a_body(path: str, encoding: str) -> None:
    async with serving() as door:
        answer = await door.ask("POST", path, {**AUTHORISED, "Content-Encoding": encoding}, b"\x1f\x8b\x08\x00")
    assert (answer.status, answer.error["code"]) == (415, "unsupported_media_type")


async def test_a_wrong_key_costs_what_a_right_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: one digest and one comparison that takes as long for any two texts."""
    house = StandInHouse()
    registry = AccessRegistry.open(tmp_path / "state", SystemClock())
    house.access = registry
    right = registry.key_file.read_text().strip()
    keys = [right, right[:-1], "plk_default_" + "A" * 43, "plk_nobody_" + "A" * 43, "plo_admin_x", "x", "x" * 8_000]
    counted: list[str] = []
    digest, compare = hashlib.sha256, hmac.compare_digest

    def digesting(data: bytes = b"") -> Any:
        counted.append("digest")
        return digest(data)

    def comparing(first: Any, second: Any) -> bool:
        counted.append("compare")
        return compare(first, second)

    monkeypatch.setattr(hashlib, "sha256", digesting)
    monkeypatch.setattr(hmac, "compare_digest", comparing)
    costs = []
    async with serving(house) as door:
        for key in keys:
            counted.clear()
            answer = await door.ask("GET", "/v1/models", {"x-api-key": key})
            costs.append((answer.status, sorted(counted)))
    assert costs[0] == (200, ["compare", "digest"])
    assert costs[1:] == [(401, ["compare", "digest"])] * (len(keys) - 1)


async def test_logs_tell_who_and_what_and_never_what_was_said(caplog: pytest.LogCaptureFixture) -> None:
    """Canaries in the body, in headers, in the address and in the key are in no log line at any level."""
    with caplog.at_level(logging.DEBUG), caplog.at_level(logging.DEBUG, logger="palyra"):
        async with serving() as door:
            body = {**CHAT, "messages": [{"role": "user", "content": "canary-1"}], "user": "canary-2"}
            headers = {**AUTHORISED, "X-Palyra-Session": "canary-3", "X-Other": "canary-4"}
            assert (await door.ask("POST", "/v1/chat/completions?q=canary-5", headers, body)).status == 200
            assert (await door.ask("POST", "/v1/messages", {"x-api-key": "plk_canary-6"}, MESSAGES)).status == 401
            assert (await door.ask("POST", "/v1/chat/completions", None, b'{"canary-7": ')).status == 400
            assert (await door.ask("GET", "/canary-8", {"Cookie": "canary-9"})).status == 404
            assert (await door.ask("GET", "/v1/models/canary-10")).status == 404
    lines = [record.getMessage() for record in caplog.records if record.name == "palyra.gateway.access"]
    assert [line.split(" ms=")[0].partition(" ")[2] for line in lines] == [
        "endpoint=/v1/chat/completions status=200",
        "endpoint=/v1/messages status=401",
        "endpoint=/v1/chat/completions status=400",
        "endpoint=other status=404",
        "endpoint=other status=404",
    ]
    assert [line.rpartition("key=")[2] for line in lines] == ["default", "-", "default", "-", "default"]
    assert "canary" not in caplog.text
    assert "plk_" not in caplog.text
