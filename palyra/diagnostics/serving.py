"""Providers and credentials: what is told of them, and how they are. Times UTC unix ms, durations ms."""

from collections.abc import Collection, Mapping

from palyra.core.values import value
from palyra.diagnostics.declared import Address, Public, Text
from palyra.diagnostics.reasons import UNUSED, Judged, ReasonCode, judged, those, when

EXPIRY_BUCKETS = ("expired", "le_5m", "le_15m", "le_60m", "le_24h", "gt_24h", "no_expiry", "unavailable")
HEALTHS = ("disabled", "unreadable", "missing", "rejected", "expired", "expiring", "ok", "static")


@value
class CacheData:
    """The cache of answers; hits and misses since the start."""

    enabled: bool
    entries: int
    hits_total: int
    misses_total: int


@value
class LastError:
    """A provider's newest error; `at` in UTC unix ms."""

    class_: Public
    message: Text
    at: int


@value
class BreakerData:
    """`threshold` failures within `window_ms` open it; `retry_at` is set while it is open."""

    state: Public
    failures_in_window: int
    threshold: int
    window_ms: int
    cooldown_ms: int
    opened_at: int | None
    retry_at: int | None
    probe_in_flight: bool
    opened_total: int


@value
class LeaseData:
    """Attempts under way; None as the whole where a provider takes any number."""

    in_use: int
    limit: int
    ceiling: int
    waiting_foreground: int
    waiting_background: int


@value
class ProbeSeen:
    """What came of asking a provider for its models last."""

    at: int
    ok: bool
    latency_ms: int
    class_: Public | None = None


@value
class DiscoveryData:
    """`state`: fresh, stale, off."""

    state: Public
    at: int | None
    models: int


@value
class ProviderData:
    """`health`: ok, degraded, down, unknown, missing_auth, disabled. `credential_source`: none_needed, profile, vault,
    env, inline, none. `success_ewma` None: nobody has asked it yet. `chat`: a model of it can answer chats."""

    id: Public
    kind: Public
    enabled: bool
    base_url: Address
    health: Public
    credential_source: Public
    success_ewma: float | None
    first_byte_p50_ms: int | None
    first_byte_p95_ms: int | None
    requests_total: int
    errors_total: dict[Public, int]
    retries_total: int
    failovers_total: int
    last_success_at: int | None
    last_error: LastError | None
    breaker: BreakerData
    leases: LeaseData | None
    probe: ProbeSeen | None
    discovery: DiscoveryData
    chat: bool = True

    @property
    def in_vault(self) -> bool:
        """Whether its credential lies in the vault."""
        return self.credential_source in ("vault", "profile")


@value
class ModelProviderData:
    """Models and providers as routing sees them."""

    default_chat: Public | None
    default_embeddings: Public | None
    failover_enabled: bool
    models_enabled: int
    models_discovered: int
    cache: CacheData
    providers: tuple[ProviderData, ...]


SERVING = frozenset({"ok", "degraded", "unknown"})


def judge_model_provider(data: ModelProviderData) -> Judged:
    """Failed when no enabled provider can serve chat, degraded when any enabled one is not well."""
    enabled = [one for one in data.providers if one.enabled and one.health != "disabled"]

    def with_health(health: str) -> list[str]:
        return [one.id for one in enabled if one.health == health]

    served = any(one.chat and one.health in SERVING for one in enabled)
    return judged(
        when(ReasonCode.NO_CHAT_PROVIDER, not served),
        (
            *those(ReasonCode.PROVIDER_DOWN, with_health("down")),
            *those(ReasonCode.PROVIDER_DEGRADED, with_health("degraded")),
            *those(ReasonCode.MISSING_AUTH, with_health("missing_auth")),
        ),
    )


@value
class ProfileData:
    """A record of the auth profiles. `vault_ref` is a name, not a secret; `fingerprint` None: it was never read."""

    id: Public
    provider: Public
    type: Public
    health: Public
    eligible: bool
    cooling_until: int | None
    expires_at: int | None
    expiry: Public
    last_used_at: int | None
    last_error_class: Public | None
    vault_ref: Public
    fingerprint: Public | None


@value
class AuthProfilesData:
    """Both maps have every name and sum to `total`. `starved`: enabled providers that need a profile and have none that
    is eligible or cooling, even where no file has one; `cooling`: those with none but cooling ones."""

    total: int
    by_health: dict[Public, int]
    by_expiry: dict[Public, int]
    profiles: tuple[ProfileData, ...]
    starved: tuple[Public, ...] = ()
    cooling: tuple[Public, ...] = ()


def auth_profiles_data(profiles: tuple[ProfileData, ...], needing: Mapping[str, Collection[str]]) -> AuthProfilesData:
    """`needing` are the enabled providers that have no credential but profiles, with the ids of those they use."""
    starved: list[str] = []
    cooling: list[str] = []
    for provider, used in sorted(needing.items()):
        own = [one for one in profiles if one.provider == provider and one.id in used]
        if any(one.eligible for one in own):
            continue
        (cooling if any(one.cooling_until is not None for one in own) else starved).append(provider)
    return AuthProfilesData(
        total=len(profiles),
        by_health={name: sum(one.health == name for one in profiles) for name in HEALTHS},
        by_expiry={name: sum(one.expiry == name for one in profiles) for name in EXPIRY_BUCKETS},
        profiles=profiles,
        starved=tuple(starved),
        cooling=tuple(cooling),
    )


def judge_auth_profiles(data: AuthProfilesData) -> Judged:
    """Failed when a provider that needs a profile has none left; degraded on what will or did end. None: disabled."""
    if not data.total and not data.starved:
        return UNUSED

    def with_health(health: str) -> list[str]:
        return [one.id for one in data.profiles if one.health == health]

    return judged(
        those(ReasonCode.NONE_ELIGIBLE, list(data.starved)),
        (
            *those(ReasonCode.ALL_COOLING, list(data.cooling)),
            *those(ReasonCode.EXPIRING, with_health("expiring")),
            *those(ReasonCode.EXPIRED, with_health("expired")),
            *those(ReasonCode.REJECTED, with_health("rejected")),
            *those(ReasonCode.MISSING, with_health("missing")),
            *those(ReasonCode.UNREADABLE, with_health("unreadable")),
        ),
    )
