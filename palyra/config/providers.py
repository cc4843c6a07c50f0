"""Tables about who answers: providers and models, and how Palyra retries, fails over, leases and caches."""

from typing import Annotated

from pydantic import Field

from palyra.config.amounts import DAY, HOUR, MINUTE, SECOND
from palyra.config.choices import (
    AuthScheme,
    CostTier,
    MaxTokensField,
    ModelProviderKind,
    ProviderModelRole,
    UsageDialect,
)
from palyra.config.kinds import AnyTable, Choice, Duration, Flag, Listing, Ratio, SecretText, Text, Whole
from palyra.config.names import MODEL_ID, PROFILE_ID, PROVIDER_ID, VARIABLE, VAULT_REF
from palyra.config.section import Section
from palyra.config.urls import Url
from palyra.core.redact import Secret

CREDENTIALS = ("auth_profiles", "api_key_vault_ref", "api_key_env", "api_key")
"""The ways to give a provider's credential; one layer may use one of them."""

DEFAULT_BASE_URLS = {
    ModelProviderKind.OPENAI_COMPATIBLE: "https://api.openai.com/v1",
    ModelProviderKind.ANTHROPIC: "https://api.anthropic.com",
}


class ScriptStep(Section):
    """One scripted reply of a deterministic provider."""

    delay_ms: Annotated[int, Whole(0, 3_600_000)] = 0
    """Milliseconds before it answers."""
    status: Annotated[int | None, Whole(100, 599)] = None
    """An error instead of an answer."""
    retry_after: Annotated[int | None, Whole(0, 86_400)] = None
    """Seconds it asks to wait, with an error."""
    drop_after_chunks: Annotated[int | None, Whole(0)] = None
    """It breaks off after so many pieces."""
    usage: Annotated[dict[str, object] | None, AnyTable()] = None
    """The usage it reports."""
    text: Annotated[str | None, Text(low=0, high=1_048_576)] = None
    """What it answers."""
    malformed: Annotated[bool, Flag()] = False
    """It answers with something that nobody can read."""


class ProviderConfig(Section):
    """One `[providers.<id>]`. At most one of the credential keys is set.

    Once loaded, `base_url` (None for kind deterministic), `auth_scheme` and `max_tokens_field` are filled by kind and
    address. `base_url` never ends in a slash.
    """

    kind: Annotated[ModelProviderKind, Choice(ModelProviderKind)]
    """What it speaks."""
    enabled: Annotated[bool, Flag()] = True
    """One that is off is never asked."""
    probe: Annotated[bool, Flag()] = True
    """Look after its health."""
    discover: Annotated[bool, Flag()] = True
    """Ask it for its models."""
    discover_route: Annotated[bool, Flag()] = False
    """Use what it lists for `auto` too."""
    allow_private: Annotated[bool, Flag()] = False
    """It is inside your network."""
    base_url: Annotated[str | None, Url()] = None
    """Its address with the /v1. https; http reaches only this machine, or a private address with allow_private. Left
    out: the vendor's own."""
    auth_profiles: Annotated[tuple[str, ...], Listing(PROFILE_ID)] = ()
    """The credential, in one of four ways: profiles of the registry, which take turns;"""
    api_key_vault_ref: Annotated[str | None, VAULT_REF] = None
    """or a secret of the vault;"""
    api_key_env: Annotated[str | None, VARIABLE] = None
    """or the variable that holds the key;"""
    api_key: Annotated[Secret | None, SecretText()] = None
    """or the key itself, which anybody who reads this file then has."""
    auth_scheme: Annotated[AuthScheme, Choice(AuthScheme)] = AuthScheme.BEARER
    """How it is sent. Left out: by kind."""
    connect_timeout: Annotated[int, Duration(100, HOUR)] = 5 * SECOND
    """How long connecting may take."""
    first_byte_timeout: Annotated[int, Duration(100, HOUR)] = 120 * SECOND
    """How long it may think before it answers."""
    idle_timeout: Annotated[int, Duration(100, HOUR)] = 60 * SECOND
    """How long a stream may pause."""
    total_timeout: Annotated[int, Duration(100, HOUR)] = 600 * SECOND
    """How long an answer may take in all."""
    discovery_ttl: Annotated[int, Duration(MINUTE, DAY)] = 5 * MINUTE
    """How long its list of models holds."""
    max_tokens_field: Annotated[MaxTokensField, Choice(MaxTokensField)] = MaxTokensField.MAX_TOKENS
    """What it calls the limit of an answer. Left out: by address."""
    pricing_provider: Annotated[str | None, Text(high=128)] = None
    """Whose price list applies. Left out: by address."""
    usage_dialect: Annotated[UsageDialect, Choice(UsageDialect)] = UsageDialect.AUTO
    """Whether cached tokens are part of its input or beside it."""
    trust_reported_cost: Annotated[bool, Flag()] = False
    """Charge what it says an answer cost."""
    script: tuple[ScriptStep, ...] = ()
    """Its answers in turn, of the deterministic kind alone."""


class ModelConfig(Section):
    """One `[[models]]`. Capabilities and limits left at None come from discovery, price data or the kind.

    Once loaded, `id` is filled with `provider/upstream` where the row leaves it out.
    """

    provider: Annotated[str, PROVIDER_ID]
    """Who has it: the id of a [providers.<id>]."""
    upstream: Annotated[str, Text(high=256)]
    """What its provider calls it."""
    id: Annotated[str, MODEL_ID] = ""
    """What callers call it. Left out: provider/upstream."""
    role: Annotated[ProviderModelRole, Choice(ProviderModelRole)] = ProviderModelRole.CHAT
    """What it is for."""
    enabled: Annotated[bool, Flag()] = True
    """One that is off is never chosen."""
    aliases: Annotated[tuple[str, ...], Listing(MODEL_ID)] = ()
    """Further names."""
    failover: Annotated[tuple[str, ...], Listing(MODEL_ID)] = ()
    """Who answers in its place, in this order."""
    max_context: Annotated[int | None, Whole(1, 10_000_000)] = None
    """Tokens it takes. Left out, as the following: what its provider, the price list or the kind says."""
    max_output: Annotated[int | None, Whole(1, 10_000_000)] = None
    """Tokens it answers at most."""
    streaming: Annotated[bool | None, Flag()] = None
    """It can answer piece by piece."""
    tools: Annotated[bool | None, Flag()] = None
    """It can use tools."""
    json_mode: Annotated[bool | None, Flag()] = Field(default=None, validation_alias="json")
    """It can be held to JSON."""
    vision: Annotated[bool | None, Flag()] = None
    """It sees images."""
    reasoning: Annotated[bool | None, Flag()] = None
    """It thinks in tokens that are not shown."""
    responses: Annotated[bool | None, Flag()] = None
    """It speaks the Responses API."""
    tier: Annotated[CostTier | None, Choice(CostTier)] = None
    """How dear it counts as. Left out: by price."""
    free: Annotated[bool, Flag()] = False
    """It costs nothing, for certain."""
    image_tokens_bound: Annotated[int, Whole(1, 1_000_000)] = 5000
    """Tokens held for an image."""


class BreakerConfig(Section):
    """`[breaker]`: when a provider is left alone."""

    failures: Annotated[int, Whole(1, 100)] = 3
    """Failures within the window that open it,"""
    ratio: Annotated[float, Ratio(0, 1)] = 0.5
    """if they are at least this part of all."""
    window: Annotated[int, Duration(SECOND, 10 * MINUTE)] = 30 * SECOND
    """How long a failure counts."""
    cooldown: Annotated[int, Duration(SECOND, 10 * MINUTE)] = 30 * SECOND
    """How long it is left alone then; twice as long each time it fails again."""
    cooldown_cap: Annotated[int, Duration(SECOND, HOUR)] = 300 * SECOND
    """But not longer than this, nor shorter than cooldown."""


class RetriesConfig(Section):
    """`[retries]`: when a failed attempt is tried again."""

    max: Annotated[int, Whole(0, 10)] = 2
    """How often a model is asked again."""
    base_ms: Annotated[int, Whole(10, 10_000)] = 150
    """Milliseconds to wait at most before the first time; doubled each time."""


class FailoverConfig(Section):
    """`[failover]`: whether another model may answer."""

    enabled: Annotated[bool, Flag()] = True
    """Whether another model may answer."""
    max_candidates: Annotated[int, Whole(1, 10)] = 3
    """How many are tried in all."""


class LeasesConfig(Section):
    """`[leases]`: how many calls may be under way at once."""

    provider_start: Annotated[int, Whole(1, 1000)] = 4
    """Requests at a time for a provider at first, up to provider_max; as many again as it takes well."""
    provider_max: Annotated[int, Whole(1, 1000)] = 64
    """At most."""
    credential_start: Annotated[int, Whole(1, 1000)] = 2
    """The same for one credential."""
    credential_max: Annotated[int, Whole(1, 1000)] = 32
    """At most."""


class CacheConfig(Section):
    """`[cache]`: whether equal questions are answered from memory."""

    enabled: Annotated[bool, Flag()] = False
    """Whether answers are kept at all."""
    ttl: Annotated[int, Duration(SECOND, HOUR)] = 30 * SECOND
    """For how long."""
    entries: Annotated[int, Whole(1, 10_000)] = 128
    """How many."""
