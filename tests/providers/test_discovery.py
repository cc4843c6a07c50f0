"""Model lists of providers: read over HTTP in pages, kept when they cannot be read again."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from palyra.config.choices import ModelProviderKind, ProviderModelRole
from palyra.core.clock import ManualClock, settle_loop
from palyra.core.redact import Secret
from palyra.providers.carrier import ProviderCarrier
from palyra.providers.credentials import Credentials, Offer, Pool
from palyra.providers.discovery import MOST_PAGES, Discovery
from palyra.providers.entries import ProviderEntry
from palyra.providers.errors import ErrorClass, ProviderError
from palyra.providers.found import FoundModel, Page, query_for, read_page
from palyra.providers.registry import Registry
from palyra.providers.transport import Transport
from tests.support.model_lists import ModelLists

OPENAI, ANTHROPIC = ModelProviderKind.OPENAI_COMPATIBLE, ModelProviderKind.ANTHROPIC


class Asking:
    """Discovery through the real transport, of one provider with a key."""

    def __init__(self, discovery: Discovery, entry: ProviderEntry, clock: ManualClock, changed: list[str]) -> None:
        self.discovery = discovery
        self.entry = entry
        self.clock = clock
        self.changed = changed

    async def refresh(self) -> ProviderError | None:
        return await self.discovery.refresh(self.entry)

    @property
    def names(self) -> list[str]:
        return [model.upstream for model in self.discovery.of("acme").models]


@asynccontextmanager
async def asking(base_url: str, kind: ModelProviderKind = OPENAI) -> AsyncIterator[Asking]:
    clock = ManualClock()
    base = base_url + ("/v1" if kind is OPENAI else "")
    entry = ProviderEntry("acme", kind, enabled=True, base_url=base)
    registry = Registry({"acme": entry}, ())
    credentials = Credentials(clock, lambda changes: None, lambda secret: "f")
    credentials.configure({"acme": Pool((Offer("k", Secret("the key of acme")),))})
    transport = Transport(clock, registry.refuses_address)
    changed: list[str] = []
    discovery = Discovery(clock, ProviderCarrier(registry, transport, clock, credentials).list_models, changed.append)
    try:
        yield Asking(discovery, entry, clock, changed)
    finally:
        await transport.close()


@pytest.mark.parametrize("kind", [OPENAI, ANTHROPIC])
async def test_every_page_is_followed(kind: ModelProviderKind) -> None:
    async with (
        ModelLists([f"m-{number}" for number in range(7)], page=3).serving() as server,
        asking(server.base_url, kind) as desk,
    ):
        assert await desk.refresh() is None
        assert desk.names == [f"m-{number}" for number in range(7)]
        listing = desk.discovery.of("acme")
        assert (listing.at, listing.stale, listing.error) == (desk.clock.now_ms(), False, "")
    if kind is ANTHROPIC:
        assert server.asked == [
            {"limit": "1000"},
            {"limit": "1000", "after_id": "m-2"},
            {"limit": "1000", "after_id": "m-5"},
        ]
        assert server.headers[0]["authorization"] == "Bearer the key of acme"
        assert server.headers[0]["anthropic-version"] == "2023-06-01"
    else:
        assert server.asked == [{}, {"after": "m-2"}, {"after": "m-5"}]
        assert server.headers[0]["authorization"] == "Bearer the key of acme"


async def test_at_most_two_thousand_are_kept() -> None:
    async with (
        ModelLists([f"m-{number}" for number in range(2500)], page=300).serving() as server,
        asking(server.base_url) as desk,
    ):
        await desk.refresh()
        assert (len(desk.names), desk.names[-1]) == (2000, "m-1999")
        assert len(server.asked) == 7


async def test_a_server_that_sends_its_first_page_again_is_asked_no_further() -> None:
    page = json.dumps({"data": [{"id": "a"}, {"id": "b"}], "has_more": True}).encode()
    async with ModelLists().serving() as server, asking(server.base_url) as desk:
        server.raw = page
        await desk.refresh()
        assert desk.names == ["a", "b"]
        assert server.asked == [{}, {"after": "b"}]


async def test_pages_that_never_end_are_left_after_some() -> None:
    asked: list[Mapping[str, str]] = []

    async def fetch(provider: ProviderEntry, query: Mapping[str, str]) -> bytes:
        asked.append(query)
        return json.dumps({"data": [{"id": f"m-{len(asked)}"}], "has_more": True}).encode()

    discovery = Discovery(ManualClock(), fetch)
    assert await discovery.refresh(ProviderEntry("acme", OPENAI, enabled=True)) is None
    assert len(asked) == MOST_PAGES == len(discovery.of("acme").models)


@pytest.mark.parametrize("last", ["\ud800", "a" * 257, " ", "a\n", 7, None])
async def test_a_last_name_that_is_none_leaves_the_last_model_to_go_on_from(last: object) -> None:
    asked: list[Mapping[str, str]] = []

    async def fetch(provider: ProviderEntry, query: Mapping[str, str]) -> bytes:
        asked.append(query)
        return json.dumps({"data": [{"id": f"m-{len(asked)}"}], "has_more": len(asked) == 1, "last_id": last}).encode()

    discovery = Discovery(ManualClock(), fetch)
    assert await discovery.refresh(ProviderEntry("acme", OPENAI, enabled=True)) is None
    assert asked == [{}, {"after": "m-1"}]


async def test_pages_without_anything_new_end_it() -> None:
    asked: list[Mapping[str, str]] = []

    async def fetch(provider: ProviderEntry, query: Mapping[str, str]) -> bytes:
        asked.append(query)
        return json.dumps({"data": [{"id": "a"}], "has_more": True, "last_id": f"x-{len(asked)}"}).encode()

    discovery = Discovery(ManualClock(), fetch)
    await discovery.refresh(ProviderEntry("acme", OPENAI, enabled=True))
    assert asked == [{}, {"after": "x-1"}]


@pytest.mark.parametrize(
    ("status", "raw", "error_class", "told"),
    [
        (401, None, ErrorClass.AUTH_INVALID, "acme answered 401: upstream says no"),
        (404, None, ErrorClass.PERMANENT_UPSTREAM, "acme answered 404"),
        (503, None, ErrorClass.TRANSIENT_UPSTREAM, "acme answered 503"),
        (200, b"<html>", ErrorClass.MALFORMED_RESPONSE, "no list of models"),
        (200, b'{"models": []}', ErrorClass.MALFORMED_RESPONSE, "it has no list of models"),
        (200, b"[" * 100_000, ErrorClass.MALFORMED_RESPONSE, "it nests too deep"),
    ],
)
async def test_a_failure_keeps_the_old_list_marked_stale(
    status: int, raw: bytes | None, error_class: ErrorClass, told: str
) -> None:
    async with ModelLists(["a"]).serving() as server, asking(server.base_url) as desk:
        await desk.refresh()
        read_at = desk.clock.now_ms()
        await desk.clock.advance(300)
        server.status, server.raw = status, raw
        error = await desk.refresh()
        assert error is not None
        assert error.error_class is error_class
        listing = desk.discovery.of("acme")
        assert (desk.names, listing.at, listing.stale) == (["a"], read_at, True)
        assert told in listing.error
        server.status, server.raw, server.models = 200, None, ["b"]
        assert await desk.refresh() is None
        assert (desk.names, desk.discovery.of("acme").stale) == (["b"], False)
        assert desk.changed == ["acme"] * 3


async def test_nobody_there_is_told() -> None:
    async with ModelLists().serving() as server:
        await server.stop()
        async with asking(server.base_url) as desk:
            error = await desk.refresh()
    assert error is not None
    assert error.error_class is ErrorClass.NETWORK_UNAVAILABLE
    assert (desk.names, desk.discovery.of("acme").at) == ([], None)


async def test_who_asks_while_it_is_read_gets_the_same_answer() -> None:
    async with ModelLists(["a"]).serving() as server, asking(server.base_url) as desk:
        server.gate = asyncio.Event()
        first, second = (asyncio.create_task(desk.refresh()) for _ in range(2))
        await server.arrived.wait()
        server.gate.set()
        assert (await first, await second, len(server.asked)) == (None, None, 1)


async def test_who_stops_asking_leaves_nobody_waiting() -> None:
    async with ModelLists(["a"]).serving() as server, asking(server.base_url) as desk:
        server.gate = asyncio.Event()
        first, second = (asyncio.create_task(desk.refresh()) for _ in range(2))
        await server.arrived.wait()
        first.cancel()
        await settle_loop()
        joined = await second
        assert joined is not None
        assert "interrupted" in joined.message
        server.gate = None
        assert await desk.refresh() is None


ROUTER = {
    "id": "meta/llama",
    "context_length": 131_072,
    "top_provider": {"max_completion_tokens": 8192},
    "supported_parameters": ["tools", "response_format"],
    "architecture": {"input_modalities": ["text", "image"]},
}


@pytest.mark.parametrize(
    ("entry", "found"),
    [
        ({"id": "gpt-4o", "object": "model"}, FoundModel("gpt-4o")),
        (
            ROUTER,
            FoundModel("meta/llama", None, 131_072, 8192, tools=True, json=True, vision=True, reasoning=False),
        ),
        ({"id": "local", "max_model_len": 4096}, FoundModel("local", max_context=4096)),
        ({"id": "g", "context_window": 8192, "max_completion_tokens": 99}, FoundModel("g", None, 8192, 99)),
        (
            {
                "id": "claude-x",
                "type": "model",
                "max_input_tokens": 200_000,
                "max_tokens": 64_000,
                "capabilities": {"image_input": {"supported": True}, "thinking": {"supported": False}},
            },
            FoundModel("claude-x", None, 200_000, 64_000, vision=True, reasoning=False),
        ),
        (
            {"id": "m", "capabilities": {"function_calling": False, "vision": True}, "max_context_length": 32},
            FoundModel("m", max_context=32, tools=False, vision=True),
        ),
        ({"id": "text-embedding-3-small"}, FoundModel("text-embedding-3-small", ProviderModelRole.EMBEDDINGS)),
        ({"id": "bge", "type": "embedding"}, FoundModel("bge", ProviderModelRole.EMBEDDINGS)),
        ({"id": "whisper-1"}, FoundModel("whisper-1", ProviderModelRole.AUDIO_TRANSCRIPTION)),
        ({"id": "embed-chat", "type": "chat"}, FoundModel("embed-chat", ProviderModelRole.CHAT)),
        ({"id": "m", "context_length": -1, "max_tokens": True, "capabilities": [], "type": 7}, FoundModel("m")),
    ],
)
def test_what_an_entry_tells_of_its_model(entry: dict[str, Any], found: FoundModel) -> None:
    assert read_page(json.dumps({"data": [entry]}).encode()) == Page((found,))


@pytest.mark.parametrize("name", ["", " a", "a\x1b[31m", "x" * 257, 7, None, ["a"]])
def test_what_is_no_name_is_left_out(name: object) -> None:
    assert read_page(json.dumps({"data": [{"id": name}, {"id": "b"}, "c"]}).encode()).models == (FoundModel("b"),)


def test_a_bare_list_is_a_page_too() -> None:
    assert read_page(b'[{"id": "a"}]') == Page((FoundModel("a"),))
    assert query_for(OPENAI, "") == {}
