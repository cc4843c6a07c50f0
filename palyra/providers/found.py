"""What providers say of their models: pages of a model list as values, whoever's dialect they are in."""

import json
import re
from collections.abc import Mapping
from typing import Any, TypeGuard

from palyra.config.choices import ModelProviderKind, ProviderModelRole
from palyra.core.values import value

LONGEST_NAME = 256
MOST_TOKENS = 10_000_000
ANTHROPIC_PAGE = 1_000


@value
class FoundModel:
    """A model as its provider lists it. None is what the provider does not tell. Limits are tokens."""

    upstream: str
    role: ProviderModelRole | None = None
    max_context: int | None = None
    max_output: int | None = None
    tools: bool | None = None
    json: bool | None = None
    vision: bool | None = None
    reasoning: bool | None = None


@value
class Page:
    """One page of a list. `after` names the last model where there are more pages, else empty."""

    models: tuple[FoundModel, ...]
    after: str = ""


def query_for(kind: ModelProviderKind, after: str) -> Mapping[str, str]:
    """The parameters that ask for the page after a model, or for the first one."""
    if kind is ModelProviderKind.ANTHROPIC:
        return {"limit": str(ANTHROPIC_PAGE)} | ({"after_id": after} if after else {})
    return {"after": after} if after else {}


def read_page(body: bytes) -> Page:
    """A page of a model list. Raises ValueError where it is none; entries that name no model are left out."""
    try:
        data = json.loads(body)
    except RecursionError:
        raise ValueError("it nests too deep") from None
    # Some servers answer with the bare list.
    listed = data if isinstance(data, list) else data.get("data") if isinstance(data, dict) else None
    if not isinstance(listed, list):
        raise ValueError("it has no list of models")
    models = tuple(found for one in listed if (found := _model(one)) is not None)
    if not isinstance(data, dict) or data.get("has_more") is not True:
        return Page(models)
    last = data.get("last_id")
    if not _is_name(last):
        last = models[-1].upstream if models else ""
    return Page(models, last)


def _model(entry: object) -> FoundModel | None:
    if not isinstance(entry, dict):
        return None
    name = entry.get("id")
    if not _is_name(name):
        return None
    able = _abilities(entry)
    return FoundModel(
        upstream=name,
        role=_role(name, entry),
        max_context=_limit(entry, "context_length", "max_model_len", "context_window", "max_context_length")
        or _limit(entry, "max_input_tokens"),
        max_output=_limit(entry, "max_completion_tokens", "max_output_tokens", "max_tokens")
        or _limit(_table(entry, "top_provider"), "max_completion_tokens"),
        tools=able.get("tools"),
        json=able.get("json"),
        vision=able.get("vision"),
        reasoning=able.get("reasoning"),
    )


def _is_name(said: object) -> TypeGuard[str]:
    """Whether a provider's word can be the name of a model, which is shown and asked for again."""
    return isinstance(said, str) and 0 < len(said) <= LONGEST_NAME and said.isprintable() and said == said.strip()


_EMBEDS = re.compile(r"embed", re.IGNORECASE)
_HEARS = re.compile(r"whisper|transcribe", re.IGNORECASE)
_TYPES: Mapping[str, ProviderModelRole] = {
    "chat": ProviderModelRole.CHAT,
    "llm": ProviderModelRole.CHAT,
    "vlm": ProviderModelRole.CHAT,
    "language": ProviderModelRole.CHAT,
    "embedding": ProviderModelRole.EMBEDDINGS,
    "embeddings": ProviderModelRole.EMBEDDINGS,
    "transcribe": ProviderModelRole.AUDIO_TRANSCRIPTION,
    "transcription": ProviderModelRole.AUDIO_TRANSCRIPTION,
}


def _role(name: str, entry: Mapping[str, Any]) -> ProviderModelRole | None:
    """What a model is for: as its entry says, else as its name does."""
    said = entry.get("type")
    if isinstance(said, str) and said in _TYPES:
        return _TYPES[said]
    if _EMBEDS.search(name):
        return ProviderModelRole.EMBEDDINGS
    return ProviderModelRole.AUDIO_TRANSCRIPTION if _HEARS.search(name) else None


def _abilities(entry: Mapping[str, Any]) -> dict[str, bool]:
    """What an entry says its model can do and cannot do, by our names."""
    able: dict[str, bool] = {}
    if parameters := _listed(entry, "supported_parameters"):
        able["tools"] = "tools" in parameters
        able["json"] = "response_format" in parameters or "structured_outputs" in parameters
        able["reasoning"] = "reasoning" in parameters
    if modalities := _listed(_table(entry, "architecture"), "input_modalities"):
        able["vision"] = "image" in modalities
    told = _table(entry, "capabilities")
    names = {
        "tools": ("function_calling", "tools", "tool_use"),
        "json": ("structured_outputs", "json_mode"),
        "vision": ("vision", "image_input"),
        "reasoning": ("reasoning", "thinking"),
    }
    for ours, theirs in names.items():
        for name in theirs:
            if (said := _supported(told.get(name))) is not None:
                able[ours] = said
    return able


def _supported(said: object) -> bool | None:
    if isinstance(said, dict):
        said = said.get("supported")
    return said if isinstance(said, bool) else None


def _table(entry: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = entry.get(name)
    return found if isinstance(found, dict) else {}


def _listed(entry: Mapping[str, Any], name: str) -> list[Any]:
    found = entry.get(name)
    return found if isinstance(found, list) else []


def _limit(entry: Mapping[str, Any], *names: str) -> int | None:
    """The first of these members that is a number of tokens."""
    for name in names:
        number = entry.get(name)
        if type(number) is int and 0 < number <= MOST_TOKENS:
            return number
    return None
