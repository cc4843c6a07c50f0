"""Dialects of usage: where a provider puts each count in its answer, and what lies inside what.

A dialect joins two tables: that of the wire, and what the price package knows about this provider's answers
(its extractors), which wins where both name a place.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from genai_prices.types import Provider, UsageExtractor

from palyra.config.choices import UsageDialect
from palyra.core.values import value
from palyra.pricing.rates import (
    AUDIO_INPUT,
    AUDIO_OUTPUT,
    CACHE_READ,
    CACHE_WRITE,
    CACHE_WRITE_1H,
    CACHE_WRITE_5M,
    CITATION,
    CODE_EXECUTIONS,
    FILE_SEARCHES,
    IMAGE_INPUT,
    INPUT,
    OUTPUT,
    REASONING,
    WEB_FETCHES,
    WEB_SEARCHES,
)

Path = tuple[str, ...]
Places = tuple[Path, ...]


class Flavour(StrEnum):
    """The kind of body a usage object came in."""

    CHAT = "chat"
    RESPONSES = "responses"
    EMBEDDINGS = "embeddings"
    MESSAGES = "messages"


@value
class Dialect:
    """Where each count is. `places` lists alternatives per unit, the first present one counts.

    `input` and `output` are the paths of the wholes below `root` (`output` None: there is none). `cache_outside`:
    cached tokens are reported beside the input, not inside. `additive`: reasoning is reported beside the output
    when no total says otherwise. `container`: the member a stream's last event wraps the answer in.
    """

    flavour: Flavour
    root: Path
    container: str | None
    input: Path
    output: Path | None
    places: Mapping[str, Places]
    cache_outside: bool
    additive: bool
    has_total: bool
    trust_reported_cost: bool = False


_OPENAI_INPUT: Mapping[str, str] = {
    CACHE_READ: "cached_tokens",
    CACHE_WRITE: "cache_write_tokens",
    AUDIO_INPUT: "audio_tokens",
    IMAGE_INPUT: "image_tokens",
}
_OPENAI_OUTPUT: Mapping[str, str] = {REASONING: "reasoning_tokens", AUDIO_OUTPUT: "audio_tokens"}


def _openai_places(input_details: str, output_details: str) -> Mapping[str, Places]:
    return {unit: ((input_details, name),) for unit, name in _OPENAI_INPUT.items()} | {
        unit: ((output_details, name),) for unit, name in _OPENAI_OUTPUT.items()
    }


_WIRES: Mapping[Flavour, Dialect] = {
    Flavour.CHAT: Dialect(
        flavour=Flavour.CHAT,
        root=("usage",),
        container=None,
        input=("prompt_tokens",),
        output=("completion_tokens",),
        places=_openai_places("prompt_tokens_details", "completion_tokens_details"),
        cache_outside=False,
        additive=False,
        has_total=True,
    ),
    Flavour.RESPONSES: Dialect(
        flavour=Flavour.RESPONSES,
        root=("usage",),
        container="response",
        input=("input_tokens",),
        output=("output_tokens",),
        places=_openai_places("input_tokens_details", "output_tokens_details"),
        cache_outside=False,
        additive=False,
        has_total=True,
    ),
    Flavour.EMBEDDINGS: Dialect(
        flavour=Flavour.EMBEDDINGS,
        root=("usage",),
        container=None,
        input=("prompt_tokens",),
        output=None,
        places={},
        cache_outside=False,
        additive=False,
        has_total=True,
    ),
    Flavour.MESSAGES: Dialect(
        flavour=Flavour.MESSAGES,
        root=("usage",),
        container="message",
        input=("input_tokens",),
        output=("output_tokens",),
        places={
            CACHE_READ: (("cache_read_input_tokens",),),
            CACHE_WRITE: (("cache_creation_input_tokens",),),
            CACHE_WRITE_5M: (("cache_creation", "ephemeral_5m_input_tokens"),),
            CACHE_WRITE_1H: (("cache_creation", "ephemeral_1h_input_tokens"),),
            REASONING: (("output_tokens_details", "thinking_tokens"),),
            WEB_SEARCHES: (("server_tool_use", "web_search_requests"),),
            CODE_EXECUTIONS: (("server_tool_use", "code_execution_requests"),),
            WEB_FETCHES: (("server_tool_use", "web_fetch_requests"),),
        },
        cache_outside=True,
        additive=False,
        has_total=False,
    ),
}

_FLAVOURS_IN_PACKAGE: Mapping[Flavour, tuple[str, ...]] = {
    Flavour.CHAT: ("chat", "default"),
    Flavour.RESPONSES: ("responses",),
    Flavour.EMBEDDINGS: ("embeddings",),
    Flavour.MESSAGES: ("anthropic", "default"),
}

RESPONSE_ITEMS: Mapping[str, str] = MappingProxyType(
    {
        "web_search_call": WEB_SEARCHES,
        "file_search_call": FILE_SEARCHES,
        "code_interpreter_call": CODE_EXECUTIONS,
    }
)
"""Output items of the responses wire that are uses of a tool the provider ran."""

_KEPT = frozenset(
    {
        CACHE_READ,
        CACHE_WRITE,
        CACHE_WRITE_5M,
        CACHE_WRITE_1H,
        REASONING,
        CITATION,
        AUDIO_INPUT,
        AUDIO_OUTPUT,
        WEB_SEARCHES,
    }
)


def dialect_of(
    flavour: Flavour,
    provider: Provider | None,
    usage_dialect: UsageDialect = UsageDialect.AUTO,
    *,
    trust_reported_cost: bool = False,
) -> Dialect:
    """The dialect of a provider (the package's, or None) on a wire of this flavour."""
    wire = _WIRES[flavour]
    extractor = _extractor(provider, flavour, wire)
    root, whole_in, whole_out = wire.root, wire.input, wire.output
    places = dict(wire.places)
    outside, additive = wire.cache_outside, wire.additive
    if extractor is not None:
        root = _path(extractor.root) or root
        known = _destinations(extractor)
        inputs, outputs = known.get(INPUT, ()), known.get(OUTPUT, ())
        whole_in = inputs[0] if inputs else whole_in
        outside = len(inputs) > 1
        if wire.output is not None and outputs:
            whole_out = outputs[0]
            additive = len(outputs) > 1
        for unit in _KEPT & known.keys():
            places[unit] = known[unit] + tuple(place for place in places.get(unit, ()) if place not in known[unit])
    if usage_dialect is not UsageDialect.AUTO:
        additive = usage_dialect is UsageDialect.ADDITIVE
    return Dialect(
        flavour=flavour,
        root=root,
        container=wire.container,
        input=whole_in,
        output=whole_out,
        places=MappingProxyType(places),
        cache_outside=outside,
        additive=additive,
        has_total=wire.has_total,
        trust_reported_cost=trust_reported_cost,
    )


def _extractor(provider: Provider | None, flavour: Flavour, wire: Dialect) -> UsageExtractor | None:
    """The package's extractor for this wire, if it reads the wire's own input count and agrees on where cached tokens
    are: under the name `default` some providers have a third dialect of their own."""
    known = {extractor.api_flavor: extractor for extractor in (provider.extractors if provider else None) or ()}
    for name in _FLAVOURS_IN_PACKAGE[flavour]:
        inputs = _destinations(known[name]).get(INPUT, ()) if name in known else ()
        if wire.input in inputs and (name != "default" or wire.cache_outside == (len(inputs) > 1)):
            return known[name]
    return None


def _destinations(extractor: UsageExtractor) -> dict[str, Places]:
    """Per unit the places its counts come from; the required one, the whole itself, first."""
    found: dict[str, Places] = {}
    for mapping in sorted(extractor.mappings, key=lambda mapping: not mapping.required):
        path = _path(mapping.path)
        if path is not None:
            found[mapping.dest] = (*found.get(mapping.dest, ()), path)
    return found


def _path(path: str | Sequence[Any]) -> Path | None:
    """A path of plain member names; None where the package searches a list."""
    if isinstance(path, str):
        return (path,)
    return tuple(path) if all(isinstance(step, str) for step in path) else None
