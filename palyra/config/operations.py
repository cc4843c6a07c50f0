"""Tables about what Palyra does by itself and how it shows: jobs, tasks, healing, notices, memory, console, logs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field

from palyra.config.amounts import DAY, GIB, HOUR, KIB, MIB, SECOND
from palyra.config.choices import KeySource, LogFormat, LogLevel
from palyra.config.cron import Cron
from palyra.config.kinds import Choice, Duration, Flag, Listing, Size, Text, Whole
from palyra.config.names import ID, LABEL, MODEL_CHOICE, MODEL_ID, PERSON, TAG, VAULT_REF, FilePath, Moment, Zone
from palyra.config.section import Section
from palyra.config.urls import Url
from palyra.core.conditions import Severity


class Misfire(StrEnum):
    SKIP = "skip"
    CATCH_UP = "catch_up"


class Concurrency(StrEnum):
    FORBID = "forbid"
    QUEUE = "queue"
    REPLACE = "replace"


class JobAction(StrEnum):
    PROMPT = "prompt"
    TASK = "task"
    MAINTENANCE = "maintenance"


class TaskKind(StrEnum):
    BACKGROUND_PROMPT = "background_prompt"
    DELEGATION_PROMPT = "delegation_prompt"
    SUMMARY = "summary"
    RECALL_SEARCH = "recall_search"
    CLASSIFICATION = "classification"
    EXTRACTION = "extraction"
    VISION = "vision"


class Maintenance(StrEnum):
    MEMORY_MAINTENANCE = "memory_maintenance"
    JOURNAL_CHECKPOINT = "journal_checkpoint"
    JOURNAL_VACUUM = "journal_vacuum"
    HEALTH_CHECK = "health_check"
    MODEL_DISCOVERY = "model_discovery"
    APPROVALS_SWEEP = "approvals_sweep"
    ROLLUP_CHECK = "rollup_check"


class HealingMode(StrEnum):
    DISABLED = "disabled"
    OBSERVE_ONLY = "observe_only"
    AUTO = "auto"


class Switch(StrEnum):
    AUTO = "auto"
    ON = "on"
    OFF = "off"


class NoticeEvent(StrEnum):
    OPENED = "opened"
    REOPENED = "reopened"
    ESCALATED = "escalated"
    FLAPPING = "flapping"
    STABLE = "stable"
    RESOLVED = "resolved"
    REMINDER = "reminder"
    ALERT = "alert"
    APPROVAL_REQUESTED = "approval_requested"


class WebhookFormat(StrEnum):
    """How a webhook wants to be told: Palyra's own JSON, a Slack message, an event of PagerDuty (Events v2)."""

    JSON = "json"
    SLACK = "slack"
    PAGERDUTY = "pagerduty"


class ProbeKind(StrEnum):
    HTTP = "http"
    TCP = "tcp"
    UNIX = "unix"


class ProbeComponent(StrEnum):
    CONNECTOR = "connector"
    BROWSER = "browser"
    OTHER = "other"


class SchedulerConfig(Section):
    """Once loaded, `timezone` is filled from `[governance]` where it is left out."""

    enabled: Annotated[bool, Flag()] = True
    timezone: Annotated[str, Zone()] = "UTC"
    max_concurrent: Annotated[int, Whole(1, 256)] = 8
    pause_after_failures: Annotated[int, Whole(0, 100)] = 0


class JobConfig(Section):
    """One job of the file: exactly one of `cron`, `every` (ms) and `at` (UTC unix ms) is set.

    Once loaded, `timezone` is filled from `[scheduler]` and `session` with `job:<name>` where they are left out.
    """

    name: Annotated[str, Text(high=128, in_bytes=True)]
    enabled: Annotated[bool, Flag()] = True
    cron: Annotated[str | None, Cron()] = None
    every: Annotated[int | None, Duration(SECOND, 366 * DAY)] = None
    at: Annotated[int | None, Moment(exact=True)] = None
    timezone: Annotated[str, Zone()] = "UTC"
    jitter_ms: Annotated[int, Whole(0, 60_000)] = 0
    misfire: Annotated[Misfire, Choice(Misfire)] = Misfire.SKIP
    max_lateness: Annotated[int | None, Duration(SECOND)] = None
    concurrency: Annotated[Concurrency, Choice(Concurrency)] = Concurrency.FORBID
    max_attempts: Annotated[int, Whole(1, 16)] = 1
    backoff_ms: Annotated[int, Whole(1, 60_000)] = 1000
    max_duration: Annotated[int, Duration(SECOND, DAY)] = HOUR
    max_runs: Annotated[int | None, Whole(1)] = None
    action: Annotated[JobAction, Choice(JobAction)]
    prompt: Annotated[str | None, Text(high=16 * KIB, in_bytes=True)] = None
    model: Annotated[str, MODEL_CHOICE] = "auto"
    max_tokens: Annotated[int | None, Whole(1, 10_000_000)] = None
    json_mode: Annotated[bool, Flag()] = Field(default=False, validation_alias="json")
    task: Annotated[TaskKind | None, Choice(TaskKind)] = None
    input: Annotated[str | None, Text(high=16 * KIB, in_bytes=True)] = None
    maintenance: Annotated[Maintenance | None, Choice(Maintenance)] = None
    owner: Annotated[str, PERSON] = "local"
    session: Annotated[str, Text(high=132, in_bytes=True)] = ""
    channel: Annotated[str | None, LABEL] = None
    agent: Annotated[str | None, LABEL] = None
    tags: Annotated[tuple[str, ...], Listing(TAG, most=16)] = ()
    remember: Annotated[bool, Flag()] = False
    recall: Annotated[int, Whole(0, 8)] = 0


class TasksConfig(Section):
    concurrency: Annotated[int, Whole(1, 256)] = 4
    retention_days: Annotated[int, Whole(1, 3650)] = 30


class HealingFeatures(Section):
    """The mode of each feature; once loaded, those left out hold `healing.mode`."""

    runs: Annotated[HealingMode, Choice(HealingMode)] = HealingMode.AUTO
    tasks: Annotated[HealingMode, Choice(HealingMode)] = HealingMode.AUTO
    jobs: Annotated[HealingMode, Choice(HealingMode)] = HealingMode.AUTO
    approvals: Annotated[HealingMode, Choice(HealingMode)] = HealingMode.AUTO
    providers: Annotated[HealingMode, Choice(HealingMode)] = HealingMode.AUTO
    external: Annotated[HealingMode, Choice(HealingMode)] = HealingMode.AUTO
    storage: Annotated[HealingMode, Choice(HealingMode)] = HealingMode.AUTO
    notifications: Annotated[HealingMode, Choice(HealingMode)] = HealingMode.AUTO


class SilentAfter(Section):
    """Milliseconds without a heartbeat until work counts as silent."""

    run: Annotated[int, Duration(SECOND, DAY)] = 120 * SECOND
    background_task: Annotated[int, Duration(SECOND, DAY)] = 120 * SECOND
    cron_job: Annotated[int, Duration(SECOND, DAY)] = 120 * SECOND
    approval: Annotated[int, Duration(SECOND, DAY)] = 600 * SECOND
    external: Annotated[int, Duration(SECOND, DAY)] = 120 * SECOND


class StalledAfter(Section):
    """Milliseconds without progress until work counts as stalled."""

    run: Annotated[int, Duration(SECOND, DAY)] = 300 * SECOND
    background_task: Annotated[int, Duration(SECOND, DAY)] = 600 * SECOND


class HealingConfig(Section):
    mode: Annotated[HealingMode, Choice(HealingMode)] = HealingMode.AUTO
    features: HealingFeatures = HealingFeatures()
    silent_after: SilentAfter = SilentAfter()
    stalled_after: StalledAfter = StalledAfter()


class WebhookConfig(Section):
    """One address that is told about events.

    What `secret_ref` names signs the bodies of `json`, ends the address of `slack`, and is the routing key of
    `pagerduty`.
    """

    name: Annotated[str, ID]
    url: Annotated[str, Url()]
    format: Annotated[WebhookFormat, Choice(WebhookFormat)] = WebhookFormat.JSON
    events: Annotated[tuple[NoticeEvent, ...], Listing(Choice(NoticeEvent))] = tuple(NoticeEvent)
    min_severity: Annotated[Severity, Choice(Severity)] = Severity.MEDIUM
    secret_ref: Annotated[str | None, VAULT_REF] = None
    allow_private: Annotated[bool, Flag()] = False


class NotificationsConfig(Section):
    bell: Annotated[Switch, Choice(Switch)] = Switch.AUTO
    osc9: Annotated[Switch, Choice(Switch)] = Switch.AUTO
    webhook: tuple[WebhookConfig, ...] = ()


class ProbeConfig(Section):
    """One thing outside that is looked at; `target` is a URL, `host:port` or socket path by `kind`."""

    id: Annotated[str, ID]
    target: Annotated[str, Text(high=2048)]
    kind: Annotated[ProbeKind, Choice(ProbeKind)] = ProbeKind.HTTP
    component: Annotated[ProbeComponent, Choice(ProbeComponent)] = ProbeComponent.CONNECTOR
    enabled: Annotated[bool, Flag()] = True
    interval: Annotated[int, Duration(5 * SECOND, DAY)] = 60 * SECOND
    timeout: Annotated[int, Duration(100, 30 * SECOND)] = 5 * SECOND
    expect_status: Annotated[tuple[int, ...], Listing(Whole(100, 599))] = (200,)
    fail_after: Annotated[int, Whole(1, 100)] = 3
    recover_after: Annotated[int, Whole(1, 100)] = 1
    critical: Annotated[bool, Flag()] = False
    secret_ref: Annotated[str | None, VAULT_REF] = None


class MemoryConfig(Section):
    """Limits of the notes; 0 means none. `embeddings_model` None takes the deterministic vectors."""

    enabled: Annotated[bool, Flag()] = True
    embeddings_model: Annotated[str | None, MODEL_ID] = None
    max_entries: Annotated[int, Whole(0)] = 10_000
    max_bytes: Annotated[int, Size()] = 64 * MIB
    ttl_days: Annotated[int, Whole(0, 36_500)] = 90
    vacuum_cron: Annotated[str, Cron()] = "0 0 * * 0"


class ConsoleConfig(Section):
    """`timezone` may be `local`. `keys` remaps: binding id to key names."""

    theme: Annotated[str, ID] = "palyra-dark"
    refresh_hz: Annotated[int, Whole(1, 4)] = 4
    show_prompts: Annotated[bool, Flag()] = False
    keys: dict[Annotated[str, ID], Annotated[str, Text(high=64)]] = Field(default_factory=dict)
    mouse: Annotated[bool, Flag()] = True
    ascii: Annotated[bool, Flag()] = False
    timezone: Annotated[str, Zone(local=True)] = "local"


class VaultConfig(Section):
    key_source: Annotated[KeySource, Choice(KeySource)] = KeySource.AUTO
    key_file: Annotated[Path, FilePath()] = Path("vault/vault.key")


class LoggingConfig(Section):
    level: Annotated[LogLevel, Choice(LogLevel)] = LogLevel.INFO
    format: Annotated[LogFormat, Choice(LogFormat)] = LogFormat.TEXT
    file: Annotated[Path, FilePath()] = Path("logs/palyra.log")
    max_size: Annotated[int, Size(64 * KIB, GIB)] = 10 * MIB
    keep: Annotated[int, Whole(1, 100)] = 5
