"""Providers and models as consoles see them: frozen values. Times UTC unix ms, tokens whole numbers."""

from palyra.core.values import value


@value
class LeaseView:
    """Attempts under way, how many there may be at once, and how many requests wait for a place."""

    in_use: int
    limit: int
    waiting: int = 0


@value
class CredentialView:
    """A provider's credential, never its value. `credential_id` says where it comes from.

    `state`: eligible, cooling_down (until `cooling_until`), or why it cannot be used: disabled, unreadable, missing,
    rejected, expired. `expiring`: it ends within minutes, at `expires_at`. `expiry` is the class of its end: expired,
    le_5m, le_15m, le_60m, le_24h, gt_24h, no_expiry, unavailable.
    """

    credential_id: str
    state: str
    cooling_until: int | None = None
    expires_at: int | None = None
    expiring: bool = False
    expiry: str = "no_expiry"
    last_used: int | None = None
    last_error: str = ""
    last_error_at: int | None = None
    detail: str = ""
    leases: LeaseView = LeaseView(0, 0)

    @property
    def usable(self) -> bool:
        """Whether calls may go out with it, now or soon."""
        return self.state in ("eligible", "cooling_down")


@value
class BreakerView:
    """`state`: closed, open, half_open. `failures` within its window; `retry_at` while it is open."""

    state: str = "closed"
    failures: int = 0
    retry_at: int | None = None


@value
class DiscoveryView:
    """The provider's own list of models. `enabled` is false where nobody asks for it.

    `at` is when it was last read, None before; `stale`: it could not be read since, and `detail` says why.
    """

    enabled: bool = False
    count: int = 0
    stale: bool = False
    at: int | None = None
    detail: str = ""


@value
class ProviderView:
    """`health`: ok, degraded, down, unknown, missing_auth, disabled; `detail` says why, where something is wrong.

    `models`: how many are declared. `success_percent` is the observed part of attempts that did not fail; `p50_ms` the
    median time to the first byte, None before anybody knows; `latency`: low, standard, high, unknown. `leases` is None
    where a provider takes any number. `last_error` is the class of the last error.
    """

    provider_id: str
    kind: str
    health: str
    models: int
    base_url: str = ""
    detail: str = ""
    breaker: BreakerView = BreakerView()
    leases: LeaseView | None = None
    credentials: tuple[CredentialView, ...] = ()
    success_percent: float = 100.0
    p50_ms: int | None = None
    latency: str = "unknown"
    last_error: str = ""
    last_error_at: int | None = None
    discovery: DiscoveryView = DiscoveryView()

    @property
    def serves(self) -> bool:
        """Whether requests are sent there; a provider nobody has asked yet counts as well."""
        return self.health in ("ok", "degraded", "unknown")

    @property
    def unwell(self) -> bool:
        """Whether a person should look at it."""
        return self.health in ("down", "degraded", "missing_auth")


@value
class ModelView:
    """A model callers can name. `model_id` is its public name, `upstream` the one sent to `provider_id`.

    `source`: config, built_in, discovery, stale (it was discovered; nobody knows whether it is still there).
    `routed`: `auto` may choose it. `is_default`: `auto` begins with it, or embeddings do. `tier`: low, standard,
    premium; `latency`: low, standard, high, unknown. `input_usd` and `output_usd` are dollars for a million tokens as
    exact decimals, empty where it is not `priced`; `price` is the tier's label for people. Tokens: `max_context`,
    `max_output` (None: nobody told).
    """

    model_id: str
    provider_id: str
    upstream: str
    role: str
    source: str
    aliases: tuple[str, ...] = ()
    failover: tuple[str, ...] = ()
    streaming: bool = True
    tools: bool = False
    json: bool = False
    vision: bool = False
    reasoning: bool = False
    responses: bool = False
    max_context: int = 0
    max_output: int | None = None
    tier: str = ""
    price: str = ""
    priced: bool = False
    free: bool = False
    input_usd: str = ""
    output_usd: str = ""
    latency: str = "unknown"
    p50_ms: int | None = None
    enabled: bool = True
    routed: bool = True
    is_default: bool = False

    @property
    def capabilities(self) -> tuple[str, ...]:
        """The names of what it can do; of one that is no chat model none of them is asked."""
        if self.role != "chat":
            return ()
        able = {"streaming": self.streaming, "tools": self.tools, "json": self.json, "vision": self.vision}
        able |= {"reasoning": self.reasoning, "responses": self.responses}
        return tuple(name for name, can in able.items() if can)
