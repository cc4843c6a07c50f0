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
    status: Annotated[int | None, Whole(100, 599)] = None
    retry_after: Annotated[int | None, Whole(0, 86_400)] = None
    drop_after_chunks: Annotated[int | None, Whole(0)] = None
    usage: Annotated[dict[str, object] | None, AnyTable()] = None
    text: Annotated[str | None, Text(low=0, high=1_048_576)] = None
    malformed: Annotated[bool, Flag()] = False


class ProviderConfig(Section):
    """One `[providers.<id>]`. At most one of the credential keys is set.

    Once loaded, `base_url` (None for kind deterministic), `auth_scheme` and `max_tokens_field` are filled by kind and
    address. `base_url` never ends in a slash.
    """

    kind: Annotated[ModelProviderKind, Choice(ModelProviderKind)]
    enabled: Annotated[bool, Flag()] = True
    probe: Annotated[bool, Flag()] = True
    discover: Annotated[bool, Flag()] = True
    discover_route: Annotated[bool, Flag()] = False
    allow_private: Annotated[bool, Flag()] = False
    base_url: Annotated[str | None, Url()] = None
    auth_profiles: Annotated[tuple[str, ...], Listing(PROFILE_ID)] = ()
    api_key_vault_ref: Annotated[str | None, VAULT_REF] = None
    api_key_env: Annotated[str | None, VARIABLE] = None
    api_key: Annotated[Secret | None, SecretText()] = None
    auth_scheme: Annotated[AuthScheme, Choice(AuthScheme)] = AuthScheme.BEARER
    connect_timeout: Annotated[int, Duration(100, HOUR)] = 5 * SECOND
    first_byte_timeout: Annotated[int, Duration(100, HOUR)] = 120 * SECOND
    idle_timeout: Annotated[int, Duration(100, HOUR)] = 60 * SECOND
    total_timeout: Annotated[int, Duration(100, HOUR)] = 600 * SECOND
    discovery_ttl: Annotated[int, Duration(MINUTE, DAY)] = 5 * MINUTE
    max_tokens_field: Annotated[MaxTokensField, Choice(MaxTokensField)] = MaxTokensField.MAX_TOKENS
    pricing_provider: Annotated[str | None, Text(high=128)] = None
    usage_dialect: Annotated[UsageDialect, Choice(UsageDialect)] = UsageDialect.AUTO
    trust_reported_cost: Annotated[bool, Flag()] = False
    script: tuple[ScriptStep, ...] = ()


class ModelConfig(Section):
    """One `[[models]]`. Capabilities and limits left at None come from discovery, price data or the kind.

    Once loaded, `id` is filled with `provider/upstream` where the row leaves it out.
    """

    provider: Annotated[str, PROVIDER_ID]
    upstream: Annotated[str, Text(high=256)]
    id: Annotated[str, MODEL_ID] = ""
    role: Annotated[ProviderModelRole, Choice(ProviderModelRole)] = ProviderModelRole.CHAT
    enabled: Annotated[bool, Flag()] = True
    aliases: Annotated[tuple[str, ...], Listing(MODEL_ID)] = ()
    failover: Annotated[tuple[str, ...], Listing(MODEL_ID)] = ()
    max_context: Annotated[int | None, Whole(1, 10_000_000)] = None
    max_output: Annotated[int | None, Whole(1, 10_000_000)] = None
    streaming: Annotated[bool | None, Flag()] = None
    tools: Annotated[bool | None, Flag()] = None
    json_mode: Annotated[bool | None, Flag()] = Field(default=None, validation_alias="json")
    vision: Annotated[bool | None, Flag()] = None
    reasoning: Annotated[bool | None, Flag()] = None
    responses: Annotated[bool | None, Flag()] = None
    tier: Annotated[CostTier | None, Choice(CostTier)] = None
    free: Annotated[bool, Flag()] = False
    image_tokens_bound: Annotated[int, Whole(1, 1_000_000)] = 5000


class BreakerConfig(Section):
    failures: Annotated[int, Whole(1, 100)] = 3
    ratio: Annotated[float, Ratio(0, 1)] = 0.5
    window: Annotated[int, Duration(SECOND, 10 * MINUTE)] = 30 * SECOND
    cooldown: Annotated[int, Duration(SECOND, 10 * MINUTE)] = 30 * SECOND
    cooldown_cap: Annotated[int, Duration(SECOND, HOUR)] = 300 * SECOND


class RetriesConfig(Section):
    max: Annotated[int, Whole(0, 10)] = 2
    base_ms: Annotated[int, Whole(10, 10_000)] = 150


class FailoverConfig(Section):
    enabled: Annotated[bool, Flag()] = True
    max_candidates: Annotated[int, Whole(1, 10)] = 3


class LeasesConfig(Section):
    provider_start: Annotated[int, Whole(1, 1000)] = 4
    provider_max: Annotated[int, Whole(1, 1000)] = 64
    credential_start: Annotated[int, Whole(1, 1000)] = 2
    credential_max: Annotated[int, Whole(1, 1000)] = 32


class CacheConfig(Section):
    enabled: Annotated[bool, Flag()] = False
    ttl: Annotated[int, Duration(SECOND, HOUR)] = 30 * SECOND
    entries: Annotated[int, Whole(1, 10_000)] = 128
