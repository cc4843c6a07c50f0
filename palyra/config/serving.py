"""Tables about serving: the gateway, the journal, runs, governance's defaults, routing and approvals."""

from pathlib import Path
from typing import Annotated

from palyra.config.amounts import DAY, GIB, HOUR, KIB, MIB, MINUTE, SECOND
from palyra.config.budgets import UnknownPriceKind
from palyra.config.choices import BoundEstimator, OrphanHolds, RoutingMode, StoreContent, UnknownPrice
from palyra.config.kinds import Amount, Choice, Duration, Flag, Listing, Ratio, Size, Whole
from palyra.config.names import HOST, MODEL_ID, ORIGIN, FilePath, Zone
from palyra.config.section import Section
from palyra.config.urls import HostPort
from palyra.core.money import Usd


class GatewayConfig(Section):
    """Where the gateway listens, whom it answers, and its limits."""

    bind: Annotated[str, HostPort()] = "127.0.0.1:7142"
    """Where it listens. Beyond this machine it needs tls_cert and tls_key, or allow_remote; port 0 picks a free one."""
    allow_remote: Annotated[bool, Flag()] = False
    """Listen beyond this machine without encryption, where something else protects the way."""
    expose_amounts: Annotated[bool, Flag()] = True
    """Whether refusals tell callers the amounts of the budgets they hit."""
    tls_cert: Annotated[Path | None, FilePath()] = None
    """Serve https: the certificate chain, together with tls_key."""
    tls_key: Annotated[Path | None, FilePath()] = None
    """The private key of tls_cert."""
    allowed_hosts: Annotated[tuple[str, ...], Listing(HOST)] = ()
    """Further names by which clients may reach it."""
    allowed_origins: Annotated[tuple[str, ...], Listing(ORIGIN)] = ()
    """Web pages whose scripts may call it."""
    max_body: Annotated[int, Size(KIB, 32 * MIB)] = 32 * MIB
    """The largest request."""
    max_headers: Annotated[int, Size(KIB, 32 * MIB)] = 16 * KIB
    """The largest head of a request."""
    max_url: Annotated[int, Size(KIB, 32 * MIB)] = 4 * KIB
    """The longest address."""
    max_json_depth: Annotated[int, Whole(8, 512)] = 128
    """How deep a request may nest."""
    header_timeout: Annotated[int, Duration(SECOND, 10 * MINUTE)] = 10 * SECOND
    """How long the head of a request may take to arrive."""
    body_timeout: Annotated[int, Duration(SECOND, 10 * MINUTE)] = 60 * SECOND
    """How long its body may take."""
    idle_timeout: Annotated[int, Duration(SECOND, 10 * MINUTE)] = 75 * SECOND
    """How long a connection may stay open between requests."""
    stall_timeout: Annotated[int, Duration(SECOND, 10 * MINUTE)] = 60 * SECOND
    """A client that reads nothing of its stream for this long is gone."""
    stream_buffer: Annotated[int, Size(64 * KIB, 16 * MIB)] = 256 * KIB
    """How much of a stream may wait for a slow client."""
    max_connections: Annotated[int, Whole(1, 100_000)] = 1024
    """Connections at a time."""
    max_runs: Annotated[int, Whole(1, 100_000)] = 256
    """Requests that are served at a time."""
    max_waiting: Annotated[int, Whole(1, 100_000)] = 256
    """Requests that wait for a place at a provider."""
    max_parked: Annotated[int, Whole(1, 10_000)] = 64
    """Requests that wait for an operator's word, in all."""
    max_parked_per_key: Annotated[int, Whole(1, 10_000)] = 16
    """And for one gateway key."""
    keepalive_seconds: Annotated[int, Whole(1, 60)] = 10
    """A stream that waits is kept alive this often, in seconds."""
    drain_seconds: Annotated[int, Whole(0, 300)] = 10
    """How long runs may finish when Palyra stops, in seconds."""


class JournalConfig(Section):
    """How the journal commits, keeps backups and reacts to a filling disk."""

    commit_window_ms: Annotated[int, Whole(0, 50)] = 0
    """Milliseconds to wait for more before a commit."""
    checkpoint_pages: Annotated[int, Whole(100, 100_000)] = 1000
    """Pages after which the write-ahead log is moved into the database."""
    backup_keep: Annotated[int, Whole(1, 50)] = 3
    """How many backups from before a change of the schema are kept."""
    disk_low: Annotated[int, Size()] = GIB
    """Warn when less is free; above disk_stop."""
    disk_stop: Annotated[int, Size()] = 64 * MIB
    """Take no new requests when less is free."""


class GovernanceConfig(Section):
    """Defaults of budgets and of the bounds held for a request."""

    timezone: Annotated[str, Zone()] = "UTC"
    """Whose days, weeks and months count, where a budget or job does not say."""
    on_unknown_price: Annotated[UnknownPrice, UnknownPriceKind()] = UnknownPrice()
    """A request nobody can price: block it, charge it flat, or allow it uncounted."""
    bound_estimator: Annotated[BoundEstimator, Choice(BoundEstimator)] = BoundEstimator.CALIBRATED
    """How much input is held: calibrated by what was seen, or proven (more, and never exceeded by text)."""
    clamp_output: Annotated[bool, Flag()] = True
    """Shorten an answer rather than refuse a request that would not fit."""
    min_output_tokens: Annotated[int, Whole(1, 8192)] = 64
    """But not below this many tokens."""
    orphan_holds: Annotated[OrphanHolds, Choice(OrphanHolds)] = OrphanHolds.CHARGE
    """What becomes of holds that an engine left behind when it died."""
    spike_usd: Annotated[Usd, Amount()] = Usd(500_000_000)
    """Spending that more than doubles within the look-back is told above this amount."""
    alert_lookback: Annotated[int, Duration(HOUR, 30 * DAY)] = 24 * HOUR
    """How far alerts look back."""
    alert_cooldown: Annotated[int, Duration(0, 7 * DAY)] = 15 * MINUTE
    """People are told of the same thing at most this often."""
    model_mix_percent: Annotated[int, Whole(51, 100)] = 75
    """One model that serves more than this share of the runs is told."""
    model_mix_min_runs: Annotated[int, Whole(1, 100_000)] = 20
    """Of at least so many runs."""


class RunsConfig(Section):
    """A run's defaults and what is kept of it."""

    default_output_tokens: Annotated[int, Whole(1, 1_000_000)] = 1024
    """Output that is held for a stream before anything is known of its caller."""
    slice_tokens: Annotated[int, Whole(16, 8192)] = 512
    """The slices a stream is paid in."""
    max_duration: Annotated[int, Duration(SECOND, DAY)] = HOUR
    """A run that takes longer is ended."""
    store_content: Annotated[StoreContent, Choice(StoreContent)] = StoreContent.NONE
    """Whether prompts and answers are kept."""
    retention_days: Annotated[int, Whole(31, 3650)] = 400
    """For how many days runs are kept."""


class SmartRoutingRuntimeConfig(Section):
    """How models are chosen by complexity, and how strictly plans apply where no budget says otherwise."""

    default_mode: Annotated[RoutingMode, Choice(RoutingMode)] = RoutingMode.ENFORCED
    """How strictly plans apply: suggest and dry_run only record what would be."""
    enabled: Annotated[bool, Flag()] = True
    """Whether `auto` chooses by what a request demands."""
    auxiliary_routing_enabled: Annotated[bool, Flag()] = True
    """Whether work in the background goes to the cheapest model that can do it."""
    explicit_models: Annotated[bool, Flag()] = False
    """Whether a model that the caller named may be exchanged too."""
    complexity_low: Annotated[float, Ratio(0, 1)] = 0.35
    """Requests up to this go to the cheapest model; below complexity_high."""
    complexity_high: Annotated[float, Ratio(0, 1)] = 0.75
    """Requests from this on go to a premium model, where budgets are well."""


class ApprovalsConfig(Section):
    """How long a parked request waits and an approval stays open."""

    park_seconds: Annotated[int, Whole(0, 600)] = 60
    """How many seconds a request waits for an operator's word; not longer than ttl."""
    ttl: Annotated[int, Duration(MINUTE, DAY)] = 15 * MINUTE
    """How long it may still be decided."""
    four_eyes: Annotated[bool, Flag()] = False
    """Whoever asked may not decide."""
    max_grant_usd: Annotated[Usd | None, Amount()] = None
    """The most an operator may grant as an amount."""


class DefaultsConfig(Section):
    """The models `auto` begins with; None means the first enabled one of that role."""

    chat: Annotated[str | None, MODEL_ID] = None
    """The model `auto` begins with. Left out: the first enabled one."""
    embeddings: Annotated[str | None, MODEL_ID] = None
    """The model that embeds for `auto`. Left out: the first enabled one."""
