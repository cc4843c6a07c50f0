"""The whole configuration as one frozen, typed value."""

from typing import Annotated, Any

from pydantic import Field

from palyra.config.budgets import BudgetConfig
from palyra.config.kinds import Whole
from palyra.config.names import PROVIDER_ID
from palyra.config.operations import (
    ConsoleConfig,
    HealingConfig,
    JobConfig,
    LoggingConfig,
    MemoryConfig,
    NotificationsConfig,
    ProbeConfig,
    SchedulerConfig,
    TasksConfig,
    VaultConfig,
)
from palyra.config.pricing_rows import UsagePricingRecord
from palyra.config.providers import (
    BreakerConfig,
    CacheConfig,
    FailoverConfig,
    LeasesConfig,
    ModelConfig,
    ProviderConfig,
    RetriesConfig,
)
from palyra.config.section import Section
from palyra.config.serving import (
    ApprovalsConfig,
    DefaultsConfig,
    GatewayConfig,
    GovernanceConfig,
    JournalConfig,
    RunsConfig,
    SmartRoutingRuntimeConfig,
)
from palyra.config.versions import CURRENT

RELOADABLE = frozenset(
    {
        "governance",
        "runs",
        "smart_routing",
        "budgets",
        "pricing",
        "approvals",
        "defaults",
        "breaker",
        "retries",
        "failover",
        "leases",
        "jobs",
        "healing",
        "notifications",
        "probes",
        "console",
        "logging",
    }
)
"""Sections a reload applies; the others wait for a restart."""


class LoadedConfig(Section):
    """Every section, defaults filled in. `LoadedConfig()` is what runs without a file."""

    version: Annotated[int, Whole(CURRENT, CURRENT)] = CURRENT
    gateway: GatewayConfig = GatewayConfig()
    journal: JournalConfig = JournalConfig()
    governance: GovernanceConfig = GovernanceConfig()
    runs: RunsConfig = RunsConfig()
    smart_routing: SmartRoutingRuntimeConfig = SmartRoutingRuntimeConfig()
    budgets: tuple[BudgetConfig, ...] = ()
    pricing: tuple[UsagePricingRecord, ...] = ()
    approvals: ApprovalsConfig = ApprovalsConfig()
    defaults: DefaultsConfig = DefaultsConfig()
    breaker: BreakerConfig = BreakerConfig()
    retries: RetriesConfig = RetriesConfig()
    failover: FailoverConfig = FailoverConfig()
    leases: LeasesConfig = LeasesConfig()
    cache: CacheConfig = CacheConfig()
    providers: dict[Annotated[str, PROVIDER_ID], ProviderConfig] = Field(default_factory=dict)
    models: tuple[ModelConfig, ...] = ()
    scheduler: SchedulerConfig = SchedulerConfig()
    jobs: tuple[JobConfig, ...] = ()
    tasks: TasksConfig = TasksConfig()
    healing: HealingConfig = HealingConfig()
    notifications: NotificationsConfig = NotificationsConfig()
    probes: tuple[ProbeConfig, ...] = ()
    memory: MemoryConfig = MemoryConfig()
    console: ConsoleConfig = ConsoleConfig()
    vault: VaultConfig = VaultConfig()
    logging: LoggingConfig = LoggingConfig()


def apply_reload(running: LoadedConfig, fresh: LoadedConfig) -> tuple[LoadedConfig, tuple[str, ...]]:
    """What a reload makes of a freshly loaded configuration, and the sections that wait for a restart.

    Reloadable sections come from `fresh`, all others stay as they run.
    """
    update: dict[str, Any] = {section: getattr(fresh, section) for section in RELOADABLE}
    waiting = tuple(
        section
        for section in LoadedConfig.model_fields
        if section not in RELOADABLE and getattr(fresh, section) != getattr(running, section)
    )
    return running.model_copy(update=update), waiting
