"""A section of a snapshot: how a part is, who looked and when, and what was seen."""

from enum import StrEnum
from typing import Generic, TypeVar

from palyra.core.values import value
from palyra.diagnostics.declared import Text
from palyra.diagnostics.house import (
    ConfigData,
    EventLoopData,
    GatewayData,
    GovernanceData,
    NotificationsData,
    RecoveryData,
    VaultData,
)
from palyra.diagnostics.outside import ObservabilityData
from palyra.diagnostics.reasons import Reason, State
from palyra.diagnostics.serving import AuthProfilesData, ModelProviderData
from palyra.diagnostics.storing import DiskData, JournalData, MemoryData
from palyra.diagnostics.work import SchedulerData, SelfHealingData, TasksData

Data = TypeVar("Data")


class CollectorState(StrEnum):
    """How the collecting of a section went."""

    OK = "ok"
    ERROR = "error"
    TIMEOUT = "timeout"
    STILL_RUNNING = "still_running"
    """An earlier call has not come back, so it was not called again."""


@value
class Section(Generic[Data]):
    """`data` is of `observed_at` (unix ms), None where it was never seen; `stale`: it is older than the snapshot, since
    the collector failed for the reason in `error`. `took_ms` is how long collecting took."""

    state: State
    reasons: tuple[Reason, ...]
    collector: CollectorState
    observed_at: int | None
    took_ms: int
    stale: bool
    data: Data | None
    error: Text | None = None


@value
class Sections:
    """Every section by its name; None where it was not asked for."""

    model_provider: Section[ModelProviderData] | None = None
    auth_profiles: Section[AuthProfilesData] | None = None
    memory: Section[MemoryData] | None = None
    observability: Section[ObservabilityData] | None = None
    self_healing: Section[SelfHealingData] | None = None
    scheduler: Section[SchedulerData] | None = None
    tasks: Section[TasksData] | None = None
    journal: Section[JournalData] | None = None
    governance: Section[GovernanceData] | None = None
    gateway: Section[GatewayData] | None = None
    event_loop: Section[EventLoopData] | None = None
    disk: Section[DiskData] | None = None
    vault: Section[VaultData] | None = None
    config: Section[ConfigData] | None = None
    notifications: Section[NotificationsData] | None = None
    recovery: Section[RecoveryData] | None = None

    def each(self) -> dict[str, Section[object]]:
        """Those that are there, by name."""
        found = {name: getattr(self, name) for name in NAMES}
        return {name: section for name, section in found.items() if section is not None}


NAMES: tuple[str, ...] = tuple(Sections.__dataclass_fields__)
"""Every section's name, in the order in which they are shown."""
