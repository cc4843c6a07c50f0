"""Tables about what Palyra does by itself and how it shows: jobs, tasks, healing, notices, memory, console, logs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field

from palyra.config.amounts import DAY, GIB, HOUR, KIB, MIB, SECOND
from palyra.config.choices import KeySource, LogFormat, LogLevel, ThemeName
from palyra.config.cron import Cron
from palyra.config.kinds import Choice, Duration, Flag, Listing, Size, Text, Whole
from palyra.config.names import ID, LABEL, MODEL_CHOICE, MODEL_ID, PERSON, TAG, VAULT_REF, FilePath, Moment, Zone
from palyra.config.section import Section
from palyra.config.urls import Target, Url
from palyra.core.conditions import Severity


class Misfire(StrEnum):
    """What becomes of slots that passed while nothing could fire."""

    SKIP = "skip"
    CATCH_UP = "catch_up"


class Concurrency(StrEnum):
    """What becomes of a slot whose job still runs."""

    FORBID = "forbid"
    QUEUE = "queue"
    REPLACE = "replace"


class JobAction(StrEnum):
    """What a job does; each has its own keys."""

    PROMPT = "prompt"
    TASK = "task"
    MAINTENANCE = "maintenance"


class TaskKind(StrEnum):
    """What a background task is asked to do."""

    BACKGROUND_PROMPT = "background_prompt"
    DELEGATION_PROMPT = "delegation_prompt"
    SUMMARY = "summary"
    RECALL_SEARCH = "recall_search"
    CLASSIFICATION = "classification"
    EXTRACTION = "extraction"
    VISION = "vision"


class Maintenance(StrEnum):
    """Upkeep that a job can do."""

    MEMORY_MAINTENANCE = "memory_maintenance"
    JOURNAL_CHECKPOINT = "journal_checkpoint"
    JOURNAL_VACUUM = "journal_vacuum"
    HEALTH_CHECK = "health_check"
    MODEL_DISCOVERY = "model_discovery"
    APPROVALS_SWEEP = "approvals_sweep"
    ROLLUP_CHECK = "rollup_check"


class HealingMode(StrEnum):
    """Whether incidents of a feature are looked for, and whether remedies are tried."""

    DISABLED = "disabled"
    OBSERVE_ONLY = "observe_only"
    AUTO = "auto"


class Switch(StrEnum):
    """On, off, or as the surroundings suggest."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class NoticeEvent(StrEnum):
    """What of an incident, an alert or an approval a webhook is told."""

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
    """How a service beside Palyra is asked whether it is there."""

    HTTP = "http"
    TCP = "tcp"
    UNIX = "unix"


class ProbeComponent(StrEnum):
    """What a probed service is for."""

    CONNECTOR = "connector"
    BROWSER = "browser"
    OTHER = "other"


class SchedulerConfig(Section):
    """Once loaded, `timezone` is filled from `[governance]` where it is left out."""

    enabled: Annotated[bool, Flag()] = True
    """Whether jobs run at all, Palyra's own too."""
    timezone: Annotated[str, Zone()] = "UTC"
    """Whose clock cron goes by, where a job does not say. Left out: that of [governance]."""
    max_concurrent: Annotated[int, Whole(1, 256)] = 8
    """Jobs at a time."""
    pause_after_failures: Annotated[int, Whole(0, 100)] = 0
    """A job that failed so often in a row is paused; 0 never pauses one."""


class JobConfig(Section):
    """One job of the file: exactly one of `cron`, `every` (ms) and `at` (UTC unix ms) is set.

    Once loaded, `timezone` is filled from `[scheduler]` and `session` with `job:<name>` where they are left out.
    """

    name: Annotated[str, Text(high=128, in_bytes=True)]
    """Unique; names beginning with system. are Palyra's own."""
    enabled: Annotated[bool, Flag()] = True
    """One that is off is paused."""
    cron: Annotated[str | None, Cron()] = None
    """When it runs, exactly one of three: by a cron expression (minute hour day month weekday);"""
    every: Annotated[int | None, Duration(SECOND, 366 * DAY)] = None
    """again and again;"""
    at: Annotated[int | None, Moment(exact=True)] = None
    """or once."""
    timezone: Annotated[str, Zone()] = "UTC"
    """Whose clock cron goes by. Left out: that of [scheduler]."""
    jitter_ms: Annotated[int, Whole(0, 60_000)] = 0
    """Begin up to so many milliseconds later, always the same for a slot."""
    misfire: Annotated[Misfire, Choice(Misfire)] = Misfire.SKIP
    """What becomes of a time that was missed."""
    max_lateness: Annotated[int | None, Duration(SECOND)] = None
    """A time missed by more than this is not made up for."""
    concurrency: Annotated[Concurrency, Choice(Concurrency)] = Concurrency.FORBID
    """What happens when it is due while it still runs."""
    max_attempts: Annotated[int, Whole(1, 16)] = 1
    """How often it is tried."""
    backoff_ms: Annotated[int, Whole(1, 60_000)] = 1000
    """Milliseconds before the second try; doubled each time."""
    max_duration: Annotated[int, Duration(SECOND, DAY)] = HOUR
    """A run that takes longer is ended."""
    max_runs: Annotated[int | None, Whole(1)] = None
    """How often it runs in all."""
    action: Annotated[JobAction, Choice(JobAction)]
    """What it does."""
    prompt: Annotated[str | None, Text(high=16 * KIB, in_bytes=True)] = None
    """What it asks, for action prompt."""
    model: Annotated[str, MODEL_CHOICE] = "auto"
    """Which model."""
    max_tokens: Annotated[int | None, Whole(1, 10_000_000)] = None
    """How long the answer may be."""
    json_mode: Annotated[bool, Flag()] = Field(default=False, validation_alias="json")
    """Ask for JSON."""
    task: Annotated[TaskKind | None, Choice(TaskKind)] = None
    """The kind of its task, for action task."""
    input: Annotated[str | None, Text(high=16 * KIB, in_bytes=True)] = None
    """What the task is about."""
    maintenance: Annotated[Maintenance | None, Choice(Maintenance)] = None
    """Palyra's own work, for action maintenance."""
    owner: Annotated[str, PERSON] = "local"
    """Whose budgets it counts in."""
    session: Annotated[str, Text(high=132, in_bytes=True)] = ""
    """Which session. Left out: job:<name>."""
    channel: Annotated[str | None, LABEL] = None
    """Which channel."""
    agent: Annotated[str | None, LABEL] = None
    """Which agent."""
    tags: Annotated[tuple[str, ...], Listing(TAG, most=16)] = ()
    """Tags for budgets."""
    remember: Annotated[bool, Flag()] = False
    """Keep its answer as a note."""
    recall: Annotated[int, Whole(0, 8)] = 0
    """Put so many of the nearest notes before the prompt."""


class TasksConfig(Section):
    """`[tasks]`: the background queue."""

    concurrency: Annotated[int, Whole(1, 256)] = 4
    """Tasks at a time."""
    retention_days: Annotated[int, Whole(1, 3650)] = 30
    """For how many days ended ones are kept."""


class HealingFeatures(Section):
    """The mode of each feature; once loaded, those left out hold `healing.mode`."""

    runs: Annotated[HealingMode, Choice(HealingMode)] = HealingMode.AUTO
    """Left out, each does as mode says. Runs that stand still."""
    tasks: Annotated[HealingMode, Choice(HealingMode)] = HealingMode.AUTO
    """Tasks of the queue."""
    jobs: Annotated[HealingMode, Choice(HealingMode)] = HealingMode.AUTO
    """Jobs of the scheduler."""
    approvals: Annotated[HealingMode, Choice(HealingMode)] = HealingMode.AUTO
    """Approvals that nobody decides."""
    providers: Annotated[HealingMode, Choice(HealingMode)] = HealingMode.AUTO
    """Providers that do not answer."""
    external: Annotated[HealingMode, Choice(HealingMode)] = HealingMode.AUTO
    """Work outside that reports here."""
    storage: Annotated[HealingMode, Choice(HealingMode)] = HealingMode.AUTO
    """Journal and disk."""
    notifications: Annotated[HealingMode, Choice(HealingMode)] = HealingMode.AUTO
    """Webhooks that do not take what they are told."""


class SilentAfter(Section):
    """Milliseconds without a heartbeat until work counts as silent."""

    run: Annotated[int, Duration(SECOND, DAY)] = 120 * SECOND
    """A run."""
    background_task: Annotated[int, Duration(SECOND, DAY)] = 120 * SECOND
    """A task."""
    cron_job: Annotated[int, Duration(SECOND, DAY)] = 120 * SECOND
    """A job."""
    approval: Annotated[int, Duration(SECOND, DAY)] = 600 * SECOND
    """An approval, without a decision."""
    external: Annotated[int, Duration(SECOND, DAY)] = 120 * SECOND
    """Work outside."""


class StalledAfter(Section):
    """Milliseconds without progress until work counts as stalled."""

    run: Annotated[int, Duration(SECOND, DAY)] = 300 * SECOND
    """A run."""
    background_task: Annotated[int, Duration(SECOND, DAY)] = 600 * SECOND
    """A task."""


class HealingConfig(Section):
    """`[healing]`: what is done by itself about what is wrong."""

    mode: Annotated[HealingMode, Choice(HealingMode)] = HealingMode.AUTO
    """What is done about it: nothing, looking on, or what is safe."""
    features: HealingFeatures = HealingFeatures()
    silent_after: SilentAfter = SilentAfter()
    stalled_after: StalledAfter = StalledAfter()


class WebhookConfig(Section):
    """One address that is told about events.

    What `secret_ref` names signs the bodies of `json`, ends the address of `slack`, and is the routing key of
    `pagerduty`.
    """

    name: Annotated[str, ID]
    """Its name."""
    url: Annotated[str, Url()]
    """Where it is: https, or an address inside your network with allow_private."""
    format: Annotated[WebhookFormat, Choice(WebhookFormat)] = WebhookFormat.JSON
    """How it wants to be told: JSON of Palyra's own, a Slack message, an event of PagerDuty."""
    events: Annotated[tuple[NoticeEvent, ...], Listing(Choice(NoticeEvent))] = tuple(NoticeEvent)
    """What it is told of. Left out: all."""
    min_severity: Annotated[Severity, Choice(Severity)] = Severity.MEDIUM
    """From which severity on; approvals are told of whatever this says."""
    secret_ref: Annotated[str | None, VAULT_REF] = None
    """A secret of the vault: signs JSON, ends the address of slack, is the routing key of pagerduty."""
    allow_private: Annotated[bool, Flag()] = False
    """It is inside your network."""


class NotificationsConfig(Section):
    """`[notifications]`: how operators are told."""

    bell: Annotated[Switch, Choice(Switch)] = Switch.AUTO
    """The terminal's bell."""
    osc9: Annotated[Switch, Choice(Switch)] = Switch.AUTO
    """The terminal's notification."""
    webhook: tuple[WebhookConfig, ...] = ()


class ProbeConfig(Section):
    """One thing outside that is looked at; `target` is a URL, `host:port` or socket path by `kind`."""

    id: Annotated[str, ID]
    """Its name."""
    target: Annotated[str, Target()]
    """A URL, HOST:PORT or the path of a socket, by kind."""
    kind: Annotated[ProbeKind, Choice(ProbeKind)] = ProbeKind.HTTP
    """How it is asked."""
    component: Annotated[ProbeComponent, Choice(ProbeComponent)] = ProbeComponent.CONNECTOR
    """What it is."""
    enabled: Annotated[bool, Flag()] = True
    """One that is off is not asked."""
    interval: Annotated[int, Duration(5 * SECOND, DAY)] = 60 * SECOND
    """How often."""
    timeout: Annotated[int, Duration(100, 30 * SECOND)] = 5 * SECOND
    """How long it may take; below interval."""
    expect_status: Annotated[tuple[int, ...], Listing(Whole(100, 599))] = (200,)
    """Answers that count as well."""
    fail_after: Annotated[int, Whole(1, 100)] = 3
    """So many failures in a row and it is down."""
    recover_after: Annotated[int, Whole(1, 100)] = 1
    """So many good answers and it is up."""
    critical: Annotated[bool, Flag()] = False
    """Nothing goes without it."""
    secret_ref: Annotated[str | None, VAULT_REF] = None
    """A secret of the vault that is shown to it; by https or to this machine alone."""


class MemoryConfig(Section):
    """Limits of the notes; 0 means none. `embeddings_model` None takes the deterministic vectors."""

    enabled: Annotated[bool, Flag()] = True
    """Whether notes are kept at all."""
    embeddings_model: Annotated[str | None, MODEL_ID] = None
    """Which model makes their vectors. Left out: the built-in one."""
    max_entries: Annotated[int, Whole(0)] = 10_000
    """How many notes; 0 has no limit."""
    max_bytes: Annotated[int, Size()] = 64 * MIB
    """How large all of them; 0 has no limit."""
    ttl_days: Annotated[int, Whole(0, 36_500)] = 90
    """For how many days; 0 for ever."""
    vacuum_cron: Annotated[str, Cron()] = "0 0 * * 0"
    """When space is given back, in UTC."""


class ConsoleConfig(Section):
    """`timezone` may be `local`. `keys` remaps: binding id to key names."""

    theme: Annotated[ThemeName, Choice(ThemeName)] = ThemeName.PALYRA_DARK
    """How it looks."""
    refresh_hz: Annotated[int, Whole(1, 4)] = 4
    """How often a second it looks while you act; else once."""
    show_prompts: Annotated[bool, Flag()] = False
    """Whether prompts that were kept are shown."""
    keys: dict[Annotated[str, ID], Annotated[str, Text(high=64)]] = Field(default_factory=dict)
    """Keys of your own, by what they do."""
    mouse: Annotated[bool, Flag()] = True
    """Whether it hears the mouse."""
    ascii: Annotated[bool | None, Flag()] = None
    """Draw with ASCII only. Left out: where the locale says that there is no more."""
    timezone: Annotated[str, Zone(local=True)] = "local"
    """Whose clock it shows; local is this machine's."""


class VaultConfig(Section):
    """`[vault]`: where the key of the vault is kept."""

    key_source: Annotated[KeySource, Choice(KeySource)] = KeySource.AUTO
    """Where its key is; auto takes the first that has one."""
    key_file: Annotated[Path, FilePath()] = Path("vault/vault.key")
    """The file of it, for file."""


class LoggingConfig(Section):
    """`[logging]`: what the log holds, and how much of it is kept."""

    level: Annotated[LogLevel, Choice(LogLevel)] = LogLevel.INFO
    """From which level on."""
    format: Annotated[LogFormat, Choice(LogFormat)] = LogFormat.TEXT
    """How lines are written."""
    file: Annotated[Path, FilePath()] = Path("logs/palyra.log")
    """Where to."""
    max_size: Annotated[int, Size(64 * KIB, GIB)] = 10 * MIB
    """When a new file is begun."""
    keep: Annotated[int, Whole(1, 100)] = 5
    """How many earlier ones stay."""
