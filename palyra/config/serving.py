"""Tables about serving: the gateway, the journal, runs, governance's defaults, routing and approvals."""

from pathlib import Path
from typing import Annotated

from palyra.config.amounts import DAY, GIB, HOUR, KIB, MIB, MINUTE, SECOND
from palyra.config.budgets import UnknownPriceKind
from palyra.config.choices import BoundEstimator, OrphanHolds, RoutingMode, StoreContent, UnknownPrice
from palyra.config.kinds import Amount, Choice, Duration, Flag, Listing, Ratio, Size, Text, Whole
from palyra.config.names import HOST, MODEL_ID, FilePath, Zone
from palyra.config.section import Section
from palyra.config.urls import HostPort
from palyra.core.money import Usd


class GatewayConfig(Section):
    """Where the gateway listens, whom it answers, and its limits."""

    bind: Annotated[str, HostPort()] = "127.0.0.1:7142"
    allow_remote: Annotated[bool, Flag()] = False
    expose_amounts: Annotated[bool, Flag()] = True
    tls_cert: Annotated[Path | None, FilePath()] = None
    tls_key: Annotated[Path | None, FilePath()] = None
    allowed_hosts: Annotated[tuple[str, ...], Listing(HOST)] = ()
    allowed_origins: Annotated[tuple[str, ...], Listing(Text())] = ()
    max_body: Annotated[int, Size(KIB, 32 * MIB)] = 32 * MIB
    max_headers: Annotated[int, Size(KIB, 32 * MIB)] = 16 * KIB
    max_url: Annotated[int, Size(KIB, 32 * MIB)] = 4 * KIB
    max_json_depth: Annotated[int, Whole(8, 512)] = 128
    header_timeout: Annotated[int, Duration(SECOND, 10 * MINUTE)] = 10 * SECOND
    body_timeout: Annotated[int, Duration(SECOND, 10 * MINUTE)] = 60 * SECOND
    idle_timeout: Annotated[int, Duration(SECOND, 10 * MINUTE)] = 75 * SECOND
    stall_timeout: Annotated[int, Duration(SECOND, 10 * MINUTE)] = 60 * SECOND
    stream_buffer: Annotated[int, Size(64 * KIB, 16 * MIB)] = 256 * KIB
    max_connections: Annotated[int, Whole(1, 100_000)] = 1024
    max_runs: Annotated[int, Whole(1, 100_000)] = 256
    max_waiting: Annotated[int, Whole(1, 100_000)] = 256
    max_parked: Annotated[int, Whole(1, 10_000)] = 64
    max_parked_per_key: Annotated[int, Whole(1, 10_000)] = 16
    keepalive_seconds: Annotated[int, Whole(1, 60)] = 10
    drain_seconds: Annotated[int, Whole(0, 300)] = 10


class JournalConfig(Section):
    """How the journal commits, keeps backups and reacts to a filling disk."""

    commit_window_ms: Annotated[int, Whole(0, 50)] = 0
    checkpoint_pages: Annotated[int, Whole(100, 100_000)] = 1000
    backup_keep: Annotated[int, Whole(1, 50)] = 3
    disk_low: Annotated[int, Size()] = GIB
    disk_stop: Annotated[int, Size()] = 64 * MIB


class GovernanceConfig(Section):
    """Defaults of budgets and of the bounds held for a request."""

    timezone: Annotated[str, Zone()] = "UTC"
    on_unknown_price: Annotated[UnknownPrice, UnknownPriceKind()] = UnknownPrice()
    bound_estimator: Annotated[BoundEstimator, Choice(BoundEstimator)] = BoundEstimator.CALIBRATED
    clamp_output: Annotated[bool, Flag()] = True
    min_output_tokens: Annotated[int, Whole(1, 8192)] = 64
    orphan_holds: Annotated[OrphanHolds, Choice(OrphanHolds)] = OrphanHolds.CHARGE
    spike_usd: Annotated[Usd, Amount()] = Usd(500_000_000)
    alert_lookback: Annotated[int, Duration(HOUR, 30 * DAY)] = 24 * HOUR
    alert_cooldown: Annotated[int, Duration(0, 7 * DAY)] = 15 * MINUTE
    model_mix_percent: Annotated[int, Whole(51, 100)] = 75
    model_mix_min_runs: Annotated[int, Whole(1, 100_000)] = 20


class RunsConfig(Section):
    """A run's defaults and what is kept of it."""

    default_output_tokens: Annotated[int, Whole(1, 1_000_000)] = 1024
    slice_tokens: Annotated[int, Whole(16, 8192)] = 512
    max_duration: Annotated[int, Duration(SECOND, DAY)] = HOUR
    store_content: Annotated[StoreContent, Choice(StoreContent)] = StoreContent.NONE
    retention_days: Annotated[int, Whole(31, 3650)] = 400


class SmartRoutingRuntimeConfig(Section):
    """How models are chosen by complexity, and how strictly plans apply where no budget says otherwise."""

    default_mode: Annotated[RoutingMode, Choice(RoutingMode)] = RoutingMode.ENFORCED
    enabled: Annotated[bool, Flag()] = True
    auxiliary_routing_enabled: Annotated[bool, Flag()] = True
    explicit_models: Annotated[bool, Flag()] = False
    complexity_low: Annotated[float, Ratio(0, 1)] = 0.35
    complexity_high: Annotated[float, Ratio(0, 1)] = 0.75


class ApprovalsConfig(Section):
    """How long a parked request waits and an approval stays open."""

    park_seconds: Annotated[int, Whole(0, 600)] = 60
    ttl: Annotated[int, Duration(MINUTE, DAY)] = 15 * MINUTE
    four_eyes: Annotated[bool, Flag()] = False
    max_grant_usd: Annotated[Usd | None, Amount()] = None


class DefaultsConfig(Section):
    """The models `auto` begins with; None means the first enabled one of that role."""

    chat: Annotated[str | None, MODEL_ID] = None
    embeddings: Annotated[str | None, MODEL_ID] = None
