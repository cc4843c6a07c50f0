"""Which wires a model is served on: each role its own, and that of responses at home or where it is said."""

from pathlib import Path

import pytest

from palyra.config.choices import ProviderModelRole
from palyra.providers.entries import ModelSource
from palyra.providers.registry import ModelNotFoundError, WrongRoleError
from palyra.providers.wires import Wire
from tests.providers.test_registry import ONLY_PROVIDER, registry

ELSEWHERE = '[providers.local]\nkind = "openai_compatible"\nbase_url = "http://127.0.0.1:11434/v1"\n'
EMBEDDINGS = ProviderModelRole.EMBEDDINGS
CHAT_AND_RESPONSES = {Wire.CHAT, Wire.RESPONSES}


def row(provider: str, upstream: str, extra: str = "") -> str:
    return f'[[models]]\nprovider = "{provider}"\nupstream = "{upstream}"\n{extra}\n'


@pytest.mark.parametrize(
    ("text", "name", "wires"),
    [
        (ONLY_PROVIDER, "openai/m", CHAT_AND_RESPONSES),
        (ONLY_PROVIDER + 'base_url = "https://api.openai.com/v1"\n' + row("openai", "m"), "m", CHAT_AND_RESPONSES),
        (ONLY_PROVIDER + row("openai", "m", "responses = false"), "m", {Wire.CHAT}),
        (ONLY_PROVIDER + row("openai", "m", 'role = "audio_transcription"'), "", set()),
        (ELSEWHERE, "local/m", {Wire.CHAT}),
        (ELSEWHERE + row("local", "m"), "m", {Wire.CHAT}),
        (ELSEWHERE + row("local", "m", "responses = true"), "m", CHAT_AND_RESPONSES),
        ('[providers.claude]\nkind = "anthropic"\napi_key = "sk-ant-k"\n', "claude/m", {Wire.MESSAGES}),
    ],
)
def test_the_responses_wire_is_spoken_at_home_or_where_it_is_said(
    tmp_path: Path, text: str, name: str, wires: set[Wire]
) -> None:
    found = registry(tmp_path, text)
    model = found.resolve(name) if name else found.models[0]
    assert model.wires == wires


def test_a_provider_alone_serves_any_name_in_the_role_of_the_wire(tmp_path: Path) -> None:
    found = registry(tmp_path, ONLY_PROVIDER)
    embedder = found.resolve("text-embedding-3-small", Wire.EMBEDDINGS, EMBEDDINGS)
    assert (embedder.role, embedder.source) == (EMBEDDINGS, ModelSource.NAMED)
    assert embedder.wires == {Wire.EMBEDDINGS}
    assert found.resolve("openai/other", Wire.EMBEDDINGS, EMBEDDINGS).wires == {Wire.EMBEDDINGS}
    assert found.resolve("gpt-5-mini", Wire.RESPONSES).wires == CHAT_AND_RESPONSES
    with pytest.raises(ModelNotFoundError, match="No model for embeddings"):
        found.resolve("auto", Wire.EMBEDDINGS, EMBEDDINGS)


def test_auto_begins_with_the_default_of_its_role(tmp_path: Path) -> None:
    two = ONLY_PROVIDER + row("openai", "a", 'role = "embeddings"') + row("openai", "b", 'role = "embeddings"')
    assert registry(tmp_path, two).resolve("auto", Wire.EMBEDDINGS, EMBEDDINGS).upstream == "a"
    named = '[defaults]\nembeddings = "openai/b"\n' + two
    assert registry(tmp_path, named).resolve("auto", Wire.EMBEDDINGS, EMBEDDINGS).upstream == "b"


def test_a_declared_model_keeps_its_role(tmp_path: Path) -> None:
    found = registry(tmp_path, ONLY_PROVIDER + row("openai", "a", 'role = "embeddings"') + row("openai", "gpt-5-mini"))
    with pytest.raises(WrongRoleError, match="for chat, not for embeddings") as refused:
        found.resolve("gpt-5-mini", Wire.EMBEDDINGS, EMBEDDINGS)
    assert (refused.value.role, refused.value.near) == (EMBEDDINGS, ("openai/a",))


def test_a_name_of_several_providers_is_told_as_such_where_none_speaks_the_wire(tmp_path: Path) -> None:
    other = ELSEWHERE.replace("local", "other").replace("11434", "11435")
    found = registry(tmp_path, ELSEWHERE + other + row("local", "m") + row("other", "m"))
    with pytest.raises(ModelNotFoundError, match="Several providers"):
        found.resolve("m", Wire.RESPONSES)
