"""A governed body reaches the provider of its model with that provider's credential, and nobody else's."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from multidict import CIMultiDict

from palyra.config.load import load_config
from palyra.core.clock import ManualClock
from palyra.core.redact import Secret
from palyra.providers.carrier import ProviderCarrier
from palyra.providers.credential_sources import CredentialSources
from palyra.providers.credentials import Credential, Credentials
from palyra.providers.errors import ErrorClass, ProviderError, upstream_error
from palyra.providers.registry import Registry
from palyra.providers.request import parse_request
from palyra.providers.rewrite import upstream_body
from palyra.providers.transport import Transport
from palyra.providers.upstream import Progress
from palyra.providers.wires import Wire
from tests.providers.bodies import chat, messages
from tests.support.upstream import Reply, Upstream

CALLER = CIMultiDict({"Authorization": "Bearer plk_caller", "X-Api-Key": "plk_caller", "Accept": "text/event-stream"})


def config(base_url: str, kind: str = "openai_compatible", credential: str = "") -> str:
    return f"""
    [providers.acme]
    kind = "{kind}"
    base_url = "{base_url}"
    {credential}
    [[models]]
    provider = "acme"
    upstream = "m-1"
    """


@asynccontextmanager
async def carrying(tmp_path: Path, toml: str, **environ: str) -> AsyncIterator[tuple[ProviderCarrier, Registry]]:
    path = tmp_path / "palyra.toml"
    path.write_text("version = 1\n" + toml)
    loaded = load_config(path, {}, {}).config
    assert loaded is not None
    clock = ManualClock()
    registry = Registry.from_config(loaded)
    credentials = Credentials(clock, lambda changes: None, lambda secret: "fingerprint")
    credentials.configure(CredentialSources(environ).pools(loaded))
    network = Transport(clock, registry.refuses_address)
    try:
        yield ProviderCarrier(registry, network, clock, credentials), registry
    finally:
        await network.close()


@pytest.mark.parametrize(
    ("wire", "kind", "path", "header", "value"),
    [
        (Wire.CHAT, "openai_compatible", "/v1/chat/completions", "authorization", "Bearer provider-key-1"),
        (Wire.MESSAGES, "anthropic", "/v1/messages", "x-api-key", "provider-key-1"),
    ],
)
async def test_the_callers_key_stays_and_the_providers_goes(
    tmp_path: Path, wire: Wire, kind: str, path: str, header: str, value: str
) -> None:
    async with Upstream().serving() as upstream:
        base = upstream.base_url + ("/v1" if kind == "openai_compatible" else "")
        toml = config(base, kind, 'api_key_env = "KEY"')
        async with carrying(tmp_path, toml, KEY="provider-key-1") as (carry, registry):
            entry = registry.resolve("m-1")
            request = parse_request(wire, (chat if wire is Wire.CHAT else messages)(model="m-1"))
            body = upstream_body(request, model=entry.upstream)
            reply = await carry.send(entry, wire, body, CALLER, stream=False, progress=Progress())
            assert await reply.read() == upstream.seen[0].sent[0]
        (seen,) = upstream.seen
        assert (seen.path, seen.headers[header], seen.body) == (path, value, request.body)
        assert "plk_caller" not in str(seen.headers)
        assert seen.headers["accept"] == "text/event-stream"
        assert ("anthropic-version" in seen.headers) is (wire is Wire.MESSAGES)


async def test_without_a_credential_nothing_is_sent(tmp_path: Path) -> None:
    async with Upstream().serving() as upstream:
        toml = config(upstream.base_url + "/v1", credential='api_key_env = "KEY"')
        async with carrying(tmp_path, toml) as (carry, registry):
            progress = Progress()
            with pytest.raises(ProviderError, match="KEY is empty or not set") as failure:
                await carry.send(registry.resolve("m-1"), Wire.CHAT, chat(), {}, stream=False, progress=progress)
        assert failure.value.error_class is ErrorClass.AUTH_INVALID
        assert (failure.value.written, progress.written, upstream.seen) == (False, False, [])


async def test_the_credential_of_the_attempt_goes_and_no_other(tmp_path: Path) -> None:
    async with Upstream().serving() as upstream:
        toml = config(upstream.base_url + "/v1", credential='api_key_env = "KEY"')
        async with carrying(tmp_path, toml, KEY="provider-key-1") as (carry, registry):
            mine = Credential("acme", "mine", Secret("provider-key-2"), "f")
            entry = registry.resolve("m-1")
            reply = await carry.send(entry, Wire.CHAT, chat(), {}, stream=False, progress=Progress(), credential=mine)
            reply.close()
    assert upstream.seen[0].headers["authorization"] == "Bearer provider-key-2"


async def test_a_rejected_credential_is_ours_to_mend_and_never_shown(tmp_path: Path) -> None:
    body = json.dumps({"error": {"message": "bad key Bearer abc12345"}}).encode()
    async with (
        Upstream(Reply(status=401, error_body=body)).serving() as upstream,
        carrying(tmp_path, config(upstream.base_url + "/v1")) as (carry, registry),
    ):
        reply = await carry.send(registry.resolve("m-1"), Wire.CHAT, chat(), {}, stream=False, progress=Progress())
        error = upstream_error(reply.status, reply.headers, await reply.read(), 0, "acme")
        assert (error.status, error.error_class) == (502, ErrorClass.AUTH_INVALID)
        assert "abc12345" not in str(error)


async def test_the_built_in_provider_needs_no_network(tmp_path: Path) -> None:
    async with carrying(tmp_path, "") as (carry, registry):
        entry = registry.resolve("auto")
        body = upstream_body(parse_request(Wire.MESSAGES, messages(model="auto")), model=entry.upstream)
        reply = await carry.send(entry, Wire.MESSAGES, body, {}, stream=False, progress=Progress())
        data = json.loads(await reply.read())
        assert (data["model"], data["content"][0]["text"]) == ("echo", "hello")
