"""Who can answer and what each can do: one entry per provider and per model."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from functools import cache
from urllib.parse import urlsplit

from palyra.config.choices import AuthScheme, CostTier, ModelProviderKind, ProviderModelRole, UsageDialect
from palyra.config.providers import DEFAULT_BASE_URLS, ModelConfig, ProviderConfig, ScriptStep
from palyra.config.urls import reach_of, refusal
from palyra.core.values import value
from palyra.providers.credentials import Credential
from palyra.providers.found import FoundModel
from palyra.providers.upstream import Timeouts
from palyra.providers.wires import COUNTING_PATH, UPSTREAM_PATHS, Wire, role_of

WIRES: Mapping[ModelProviderKind, frozenset[Wire]] = {
    ModelProviderKind.DETERMINISTIC: frozenset(Wire),
    ModelProviderKind.OPENAI_COMPATIBLE: frozenset({Wire.CHAT, Wire.RESPONSES, Wire.EMBEDDINGS}),
    ModelProviderKind.ANTHROPIC: frozenset({Wire.MESSAGES}),
}
"""The wires each kind speaks itself."""


@cache
def _wires(kind: ModelProviderKind, role: ProviderModelRole, responses: bool) -> frozenset[Wire]:
    spoken = WIRES[kind] if responses else WIRES[kind] - {Wire.RESPONSES}
    return frozenset(wire for wire in spoken if role_of(wire) is role)


@value
class ProviderEntry:
    """One provider. `probe` and `discover` are whether it is asked for its models, to see that it lives and to know
    them; `discover_route` lets `auto` choose what was found. `discovery_ttl_s` is how long a list holds."""

    id: str
    kind: ModelProviderKind
    enabled: bool
    base_url: str = ""
    auth_scheme: AuthScheme = AuthScheme.BEARER
    allow_private: bool = False
    timeouts: Timeouts = field(default_factory=Timeouts)
    max_tokens_field: str = "max_tokens"
    pricing_provider: str | None = None
    usage_dialect: UsageDialect = UsageDialect.AUTO
    trust_reported_cost: bool = False
    script: tuple[ScriptStep, ...] = field(default=(), repr=False)
    probe: bool = True
    discover: bool = True
    discover_route: bool = False
    discovery_ttl_s: float = 300.0

    @property
    def wires(self) -> frozenset[Wire]:
        """The dialects it speaks."""
        return WIRES[self.kind]

    @property
    def on_network(self) -> bool:
        return self.kind is not ModelProviderKind.DETERMINISTIC

    def url(self, wire: Wire) -> str:
        """Where a request of this wire goes; empty for a provider that is not on the network."""
        return self.base_url + UPSTREAM_PATHS[wire] if self.on_network else ""

    @property
    def at_vendor(self) -> bool:
        """Whether it is reached at its vendor's own address."""
        return self.on_network and urlsplit(self.base_url).hostname == urlsplit(DEFAULT_BASE_URLS[self.kind]).hostname

    @property
    def counting_url(self) -> str:
        """Where prompts are counted; empty for a provider that does not count."""
        return self.base_url + COUNTING_PATH if self.kind is ModelProviderKind.ANTHROPIC else ""

    @property
    def models_url(self) -> str:
        """Where its models are listed; empty for a provider that is not on the network."""
        return self.base_url + MODELS_PATHS[self.kind] if self.on_network else ""

    def auth_headers(self, credential: Credential | None) -> dict[str, str]:
        """The header that carries a credential; none without one."""
        if credential is None:
            return {}
        key = credential.secret.reveal()
        if self.auth_scheme is AuthScheme.X_API_KEY:
            return {"x-api-key": key}
        return {"authorization": f"Bearer {key}"}

    def refuses_address(self, host: str, port: int, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
        """Why this provider may not be reached at the address its host name resolved to; empty where it may."""
        parts = urlsplit(self.base_url)
        if (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)) != (host, port):
            return f"{self.id} is not at {host}"
        return refusal(parts.scheme, reach_of(address), allow_private=self.allow_private)


MODELS_PATHS: Mapping[ModelProviderKind, str] = {
    ModelProviderKind.OPENAI_COMPATIBLE: "/models",
    ModelProviderKind.ANTHROPIC: "/v1/models",
}
"""What is appended to a provider's base address for the list of its models."""


def provider_entry(provider_id: str, config: ProviderConfig) -> ProviderEntry:
    """A configured provider."""
    base_url = config.base_url or DEFAULT_BASE_URLS.get(config.kind, "")
    if config.kind is ModelProviderKind.ANTHROPIC:
        base_url = base_url.removesuffix("/v1")
    return ProviderEntry(
        id=provider_id,
        kind=config.kind,
        enabled=config.enabled,
        base_url=base_url,
        auth_scheme=config.auth_scheme,
        allow_private=config.allow_private,
        timeouts=Timeouts(
            connect=config.connect_timeout / 1000,
            first_byte=config.first_byte_timeout / 1000,
            idle=config.idle_timeout / 1000,
            total=config.total_timeout / 1000,
        ),
        max_tokens_field=config.max_tokens_field.value,
        pricing_provider=config.pricing_provider,
        usage_dialect=config.usage_dialect,
        trust_reported_cost=config.trust_reported_cost,
        script=config.script,
        probe=config.probe,
        discover=config.discover,
        discover_route=config.discover_route,
        discovery_ttl_s=config.discovery_ttl / 1000,
    )


class ModelSource(StrEnum):
    """Why a model is known."""

    CONFIG = "config"
    BUILT_IN = "built_in"
    DISCOVERY = "discovery"
    NAMED = "named"


@value
class ModelEntry:
    """One model. `id` is its public name, `provider` the provider's id, `upstream` the name sent there.

    `max_context` and `max_output` are tokens, `max_output` None when nobody told it. `tier` None leaves the label to
    its price. `image_tokens_bound` None takes the general bound.
    """

    id: str
    provider: str
    kind: ModelProviderKind
    upstream: str
    source: ModelSource = ModelSource.CONFIG
    role: ProviderModelRole = ProviderModelRole.CHAT
    aliases: tuple[str, ...] = ()
    failover: tuple[str, ...] = ()
    streaming: bool = True
    tools: bool = True
    json: bool = True
    vision: bool = True
    reasoning: bool = False
    responses: bool = False
    max_context: int = 128_000
    max_output: int | None = None
    tier: CostTier | None = None
    free: bool = False
    image_tokens_bound: int | None = None

    @property
    def wires(self) -> frozenset[Wire]:
        """The wires on which its provider serves it itself."""
        return _wires(self.kind, self.role, self.responses)


_MAX_CONTEXT: Mapping[ModelProviderKind, int] = {
    ModelProviderKind.DETERMINISTIC: 8_192,
    ModelProviderKind.OPENAI_COMPATIBLE: 128_000,
    ModelProviderKind.ANTHROPIC: 200_000,
}


_UNSEEN = re.compile(r"(?:.*/)?(?:o[1-9]|gpt-[5-9](?!.*chat)|gemini-(?:2\.5|[3-9])|grok-4(?!.*non-reasoning))")
"""Families that reason in tokens which their streams do not show, by how their names begin."""


UNTOLD = FoundModel("")
"""What is told of a model nobody has told anything of."""


def plain_model(
    provider: ProviderEntry,
    upstream: str,
    source: ModelSource,
    role: ProviderModelRole = ProviderModelRole.CHAT,
    told: FoundModel = UNTOLD,
    packaged_context: int | None = None,
) -> ModelEntry:
    """A model no operator has described: what it can do goes by what its provider has `told` of it, then by the price
    package (its context, in tokens), then by the kind of its provider."""
    capable = provider.kind is not ModelProviderKind.DETERMINISTIC
    return ModelEntry(
        id=f"{provider.id}/{upstream}",
        provider=provider.id,
        kind=provider.kind,
        upstream=upstream,
        source=source,
        role=role,
        tools=first(told.tools, capable),
        json=first(told.json, True),
        vision=first(told.vision, capable),
        reasoning=first(
            told.reasoning,
            provider.kind is ModelProviderKind.OPENAI_COMPATIBLE and _UNSEEN.match(upstream) is not None,
        ),
        responses=not capable or provider.at_vendor,
        max_context=told.max_context or packaged_context or _MAX_CONTEXT[provider.kind],
        max_output=told.max_output,
        free=not capable,
    )


def first(said: bool | None, otherwise: bool) -> bool:
    """What was said, else the usual."""
    return otherwise if said is None else said


def configured_model(
    provider: ProviderEntry, row: ModelConfig, told: FoundModel = UNTOLD, packaged_context: int | None = None
) -> ModelEntry:
    """A `[[models]]` row; what it leaves out goes as of a plain model."""
    plain = plain_model(provider, row.upstream, ModelSource.CONFIG, row.role, told, packaged_context)
    return ModelEntry(
        id=row.id or plain.id,
        provider=provider.id,
        kind=provider.kind,
        upstream=row.upstream,
        role=row.role,
        aliases=row.aliases,
        failover=row.failover,
        streaming=first(row.streaming, plain.streaming),
        tools=first(row.tools, plain.tools),
        json=first(row.json_mode, plain.json),
        vision=first(row.vision, plain.vision),
        reasoning=first(row.reasoning, plain.reasoning),
        responses=first(row.responses, plain.responses),
        max_context=row.max_context or plain.max_context,
        max_output=row.max_output or plain.max_output,
        tier=row.tier,
        free=row.free or plain.free,
        image_tokens_bound=row.image_tokens_bound,
    )
