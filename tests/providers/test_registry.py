"""Names resolve to models; providers come with their address and credential, or with why they cannot be used."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from palyra.config.choices import ModelProviderKind, ProviderModelRole
from palyra.config.load import load_config
from palyra.core.redact import Secret
from palyra.providers.credentials import Credential
from palyra.providers.entries import ModelSource
from palyra.providers.registry import ModelNotFoundError, Registry
from palyra.providers.wires import Wire


def registry(tmp_path: Path, toml: str) -> Registry:
    path = tmp_path / "palyra.toml"
    path.write_text("version = 1\n" + toml, encoding="utf-8")
    result = load_config(path, {}, {})
    assert result.config is not None, result.problems
    return Registry.from_config(result.config)


TWO = """
[providers.openai]
kind = "openai_compatible"
api_key_env = "OPENAI_KEY"
[providers.claude]
kind = "anthropic"
api_key = "sk-ant-inline-key"
[[models]]
provider = "openai"
upstream = "gpt-4o-mini"
aliases = ["fast", "mini"]
max_output = 16384
tools = false
[[models]]
provider = "claude"
upstream = "claude-haiku-4-5"
id = "haiku"
reasoning = true
max_context = 100000
[[models]]
provider = "openai"
upstream = "text-embedding-3-small"
role = "embeddings"
"""


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("openai/gpt-4o-mini", "openai/gpt-4o-mini"),
        ("fast", "openai/gpt-4o-mini"),
        ("mini", "openai/gpt-4o-mini"),
        ("gpt-4o-mini", "openai/gpt-4o-mini"),
        ("haiku", "haiku"),
        ("claude-haiku-4-5", "haiku"),
        ("auto", "openai/gpt-4o-mini"),
        ("claude/claude-opus-4-5", "claude/claude-opus-4-5"),
        ("openai/org/model", "openai/org/model"),
    ],
)
def test_names_resolve_in_order(tmp_path: Path, name: str, found: str) -> None:
    assert registry(tmp_path, TWO).resolve(name).id == found


def test_a_public_id_wins_over_an_upstream_name(tmp_path: Path) -> None:
    found = registry(
        tmp_path,
        TWO + '[[models]]\nprovider = "openai"\nupstream = "other"\nid = "claude-haiku-4-5"\n',
    ).resolve("claude-haiku-4-5")
    assert (found.provider, found.upstream) == ("openai", "other")


def test_a_misspelt_name_is_refused_with_near_ones(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError) as refusal:
        registry(tmp_path, TWO).resolve("gpt-4o-mni", Wire.CHAT)
    assert refusal.value.code == "model_not_found"
    assert refusal.value.near == ("openai/gpt-4o-mini",)
    assert 'Did you mean "openai/gpt-4o-mini"?' in str(refusal.value)


def test_at_most_three_near_names_are_told(tmp_path: Path) -> None:
    rows = "".join(f'[[models]]\nprovider = "openai"\nupstream = "model-{i}"\n' for i in range(5))
    with pytest.raises(ModelNotFoundError) as refusal:
        registry(tmp_path, TWO + rows).resolve("model-9")
    assert len(refusal.value.near) == 3


SHARED = """
[providers.a]
kind = "openai_compatible"
base_url = "http://127.0.0.1:8001/v1"
[providers.b]
kind = "openai_compatible"
base_url = "http://127.0.0.1:8002/v1"
[providers.c]
kind = "anthropic"
base_url = "http://127.0.0.1:8003"
[[models]]
provider = "a"
upstream = "llama"
[[models]]
provider = "b"
upstream = "llama"
[[models]]
provider = "c"
upstream = "llama"
"""


def test_a_name_several_providers_have_is_refused_unless_one_speaks_the_wire(tmp_path: Path) -> None:
    found = registry(tmp_path, SHARED)
    assert found.resolve("llama", Wire.MESSAGES).id == "c/llama"
    with pytest.raises(ModelNotFoundError, match="Several providers") as refusal:
        found.resolve("llama", Wire.CHAT)
    assert refusal.value.near == ("a/llama", "b/llama")


ONLY_PROVIDER = """
[providers.openai]
kind = "openai_compatible"
api_key_env = "OPENAI_KEY"
"""


def test_a_provider_entry_alone_is_enough_to_point_a_client_here(tmp_path: Path) -> None:
    found = registry(tmp_path, ONLY_PROVIDER).resolve("gpt-5-mini", Wire.CHAT)
    assert (found.id, found.upstream, found.source) == ("openai/gpt-5-mini", "gpt-5-mini", ModelSource.NAMED)
    assert (found.tools, found.json, found.vision, found.max_context) == (True, True, True, 128_000)


@pytest.mark.parametrize("wire", [Wire.MESSAGES, None])
def test_but_not_on_a_wire_it_does_not_speak(tmp_path: Path, wire: Wire | None) -> None:
    with pytest.raises(ModelNotFoundError):
        registry(tmp_path, ONLY_PROVIDER).resolve("gpt-5-mini", wire)


def test_unknown_names_are_not_guessed_between_two_providers(tmp_path: Path) -> None:
    second = '[providers.local]\nkind = "openai_compatible"\nbase_url = "http://127.0.0.1:11434/v1"\n'
    with pytest.raises(ModelNotFoundError):
        registry(tmp_path, ONLY_PROVIDER + second).resolve("gpt-5-mini", Wire.CHAT)


def test_nothing_to_choose_from_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="No model for chat is declared"):
        registry(tmp_path, ONLY_PROVIDER).resolve("auto", Wire.CHAT)


def test_without_configuration_there_is_the_echo(tmp_path: Path) -> None:
    found = registry(tmp_path, "")
    echo, embed = found.models
    assert (echo.id, echo.upstream, echo.kind) == ("deterministic/echo", "echo", ModelProviderKind.DETERMINISTIC)
    assert (echo.tools, echo.json, echo.vision, echo.max_context, echo.free) == (False, True, False, 8_192, True)
    assert found.resolve("auto") is echo is found.resolve("echo") is found.default_chat
    assert echo.wires == frozenset(Wire) - {Wire.EMBEDDINGS}
    assert (embed.id, embed.role, embed.free) == ("deterministic/embed", ProviderModelRole.EMBEDDINGS, True)
    assert embed.wires == {Wire.EMBEDDINGS}
    assert found.resolve("auto", Wire.EMBEDDINGS, ProviderModelRole.EMBEDDINGS) is embed is found.default_embeddings
    assert not found.provider_of(echo).on_network


def test_the_echo_steps_back_once_a_provider_is_enabled(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError):
        registry(tmp_path, ONLY_PROVIDER).resolve("deterministic/echo")
    switched_off = ONLY_PROVIDER + "enabled = false\n"
    assert registry(tmp_path, switched_off).resolve("auto").id == "deterministic/echo"


def test_a_declared_deterministic_provider_has_its_echo(tmp_path: Path) -> None:
    found = registry(tmp_path, '[providers.fake]\nkind = "deterministic"\nscript = [{ status = 503 }]\n')
    assert found.resolve("fake/echo").provider == "fake"
    assert found.providers["fake"].script[0].status == 503
    with pytest.raises(ModelNotFoundError):
        found.resolve("fake/other")


def test_what_is_switched_off_cannot_be_named(tmp_path: Path) -> None:
    off = TWO.replace('upstream = "gpt-4o-mini"', 'upstream = "gpt-4o-mini"\nenabled = false')
    found = registry(tmp_path, off)
    assert [model.id for model in found.models] == ["haiku", "openai/text-embedding-3-small"]
    with pytest.raises(ModelNotFoundError):
        found.resolve("fast")


def test_a_model_of_another_role_is_refused_by_name(tmp_path: Path) -> None:
    found = registry(tmp_path, TWO)
    with pytest.raises(ModelNotFoundError, match="is for embeddings, not for chat"):
        found.resolve("text-embedding-3-small")
    assert (
        found.resolve("text-embedding-3-small", role=ProviderModelRole.EMBEDDINGS).upstream == "text-embedding-3-small"
    )


def test_the_default_is_the_one_named_else_the_first(tmp_path: Path) -> None:
    assert registry(tmp_path, TWO).resolve("auto").id == "openai/gpt-4o-mini"
    assert registry(tmp_path, TWO + '[defaults]\nchat = "haiku"\n').resolve("auto").id == "haiku"


def test_capabilities_come_from_the_row_then_from_the_kind(tmp_path: Path) -> None:
    found = registry(tmp_path, TWO)
    mini, haiku = found.resolve("mini"), found.resolve("haiku")
    assert (mini.tools, mini.vision, mini.max_output, mini.max_context, mini.reasoning) == (
        False,
        True,
        16_384,
        128_000,
        False,
    )
    assert (haiku.reasoning, haiku.max_context, haiku.max_output) == (True, 100_000, None)
    assert mini.wires == {Wire.CHAT, Wire.RESPONSES}
    assert haiku.wires == {Wire.MESSAGES}


@pytest.mark.parametrize(
    ("name", "unseen"),
    [
        ("o3", True),
        ("o4-mini-2025-04-16", True),
        ("gpt-5-mini", True),
        ("openai/gpt-5.1", True),
        ("google/gemini-2.5-pro", True),
        ("x-ai/grok-4-fast", True),
        ("grok-4-fast-non-reasoning", False),
        ("gpt-5-chat-latest", False),
        ("gpt-4o-mini", False),
        ("gemini-2.0-flash", False),
        ("omni-moderation-latest", False),
        ("my-o3", False),
        ("deepseek-reasoner", False),
    ],
)
def test_families_that_reason_unseen_are_known_by_name(tmp_path: Path, name: str, unseen: bool) -> None:
    found = registry(tmp_path, ONLY_PROVIDER)
    assert found.resolve(name, Wire.CHAT).reasoning is unseen


def test_a_row_says_otherwise_than_the_name(tmp_path: Path) -> None:
    row = '[[models]]\nprovider = "openai"\nupstream = "o3"\nreasoning = false\n'
    assert not registry(tmp_path, ONLY_PROVIDER + row).resolve("o3").reasoning


# Providers


@pytest.mark.parametrize(
    ("provider", "header"),
    [("openai", {"authorization": "Bearer sk-test-1234567890"}), ("claude", {"x-api-key": "sk-test-1234567890"})],
)
def test_each_kind_takes_the_credential_in_its_own_header(
    tmp_path: Path, provider: str, header: dict[str, str]
) -> None:
    entry = registry(tmp_path, TWO).providers[provider]
    assert entry.auth_headers(Credential(provider, "k", Secret("sk-test-1234567890"), "f")) == header
    assert entry.auth_headers(None) == {}


@pytest.mark.parametrize(
    ("kind", "base_url", "wire", "url"),
    [
        ("openai_compatible", "", Wire.CHAT, "https://api.openai.com/v1/chat/completions"),
        (
            "openai_compatible",
            "https://llm.example.com/api/v1/",
            Wire.CHAT,
            "https://llm.example.com/api/v1/chat/completions",
        ),
        ("anthropic", "", Wire.MESSAGES, "https://api.anthropic.com/v1/messages"),
        ("anthropic", "https://llm.example.com/v1", Wire.MESSAGES, "https://llm.example.com/v1/messages"),
    ],
)
def test_where_requests_go(tmp_path: Path, kind: str, base_url: str, wire: Wire, url: str) -> None:
    row = f'[providers.x]\nkind = "{kind}"\napi_key = "k-1234567"\n' + (
        f'base_url = "{base_url}"\n' if base_url else ""
    )
    assert registry(tmp_path, row).providers["x"].url(wire) == url


@pytest.mark.parametrize(
    ("base_url", "field"),
    [("", "max_completion_tokens"), ("http://127.0.0.1:1/v1", "max_tokens")],
)
def test_where_a_ceiling_goes(tmp_path: Path, base_url: str, field: str) -> None:
    row = '[providers.x]\nkind = "openai_compatible"\n' + (f'base_url = "{base_url}"\n' if base_url else "")
    assert registry(tmp_path, row).providers["x"].max_tokens_field == field


def test_timeouts_are_seconds(tmp_path: Path) -> None:
    row = '[providers.x]\nkind = "anthropic"\nconnect_timeout = "250ms"\nidle_timeout = "2m"\n'
    timeouts = registry(tmp_path, row).providers["x"].timeouts
    assert (timeouts.connect, timeouts.first_byte, timeouts.idle, timeouts.total) == (0.25, 120, 120, 600)


INSIDE = """
[providers.out]
kind = "openai_compatible"
base_url = "https://llm.example.com/v1"
[providers.in]
kind = "openai_compatible"
base_url = "http://llm.internal:8080/v1"
allow_private = true
"""


@pytest.mark.parametrize(
    ("host", "port", "address", "allowed"),
    [
        ("llm.example.com", 443, "203.0.114.9", True),
        ("llm.example.com", 443, "127.0.0.1", True),
        ("llm.example.com", 443, "10.0.0.1", False),
        ("llm.example.com", 443, "169.254.169.254", False),
        ("llm.example.com", 443, "fd00::1", False),
        ("llm.example.com", 80, "203.0.114.9", False),
        ("llm.internal", 8080, "10.0.0.1", True),
        ("llm.internal", 8080, "203.0.114.9", False),
        ("elsewhere.example.com", 443, "203.0.114.9", False),
    ],
)
def test_where_names_may_lead(tmp_path: Path, host: str, port: int, address: str, allowed: bool) -> None:
    assert (registry(tmp_path, INSIDE).refuses_address(host, port, ip_address(address)) == "") is allowed
