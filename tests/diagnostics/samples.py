"""Data of sections in which nothing is wrong, and a whole snapshot of them."""

from dataclasses import replace
from typing import Any

from palyra.diagnostics.house import (
    ConfigData,
    EventLoopData,
    GatewayData,
    GovernanceData,
    NotificationsData,
    RecoveryData,
    ReferenceCounts,
    VaultData,
    judge_config,
    judge_event_loop,
    judge_gateway,
    judge_governance,
    judge_notifications,
    judge_recovery,
    judge_vault,
)
from palyra.diagnostics.outside import ObservabilityData, ProbeData, WebhookSum, judge_observability
from palyra.diagnostics.reasons import Judged
from palyra.diagnostics.section import CollectorState, Section, Sections
from palyra.diagnostics.serving import (
    AuthProfilesData,
    BreakerData,
    CacheData,
    DiscoveryData,
    ModelProviderData,
    ProfileData,
    ProviderData,
    auth_profiles_data,
    judge_auth_profiles,
    judge_model_provider,
)
from palyra.diagnostics.snapshot import Diagnosis, EngineData, diagnosis
from palyra.diagnostics.storing import (
    AuditData,
    CheckpointData,
    DiskData,
    FilesystemData,
    JournalData,
    MaintenanceData,
    MemoryData,
    RetentionData,
    RollupData,
    VacuumData,
    WriterData,
    judge_disk,
    judge_journal,
    judge_memory,
)
from palyra.diagnostics.work import (
    FireCounts,
    IncidentCounts,
    JobCounts,
    SchedulerData,
    SelfHealingData,
    TasksData,
    judge_scheduler,
    judge_self_healing,
    judge_tasks,
)

T0 = 1_795_348_800_000
GIB = 1 << 30
MIB = 1 << 20

PROVIDER = ProviderData(
    id="openai",
    kind="openai_compatible",
    enabled=True,
    base_url="https://api.openai.com/v1",
    health="ok",
    credential_source="env",
    success_ewma=1.0,
    first_byte_p50_ms=300,
    first_byte_p95_ms=900,
    requests_total=10,
    errors_total={},
    retries_total=0,
    failovers_total=0,
    last_success_at=T0,
    last_error=None,
    breaker=BreakerData("closed", 0, 3, 30_000, 30_000, None, None, False, 0),
    leases=None,
    probe=None,
    discovery=DiscoveryData("fresh", T0, 3),
)
SERVING = ModelProviderData("openai/gpt-4o-mini", None, True, 1, 3, CacheData(False, 0, 0, 0), (PROVIDER,))
PROFILE = ProfileData(
    "first", "openai", "api_key", "static", True, None, None, "no_expiry", None, None, "global/one", "0a1b2c3d4e5f"
)
MEMORY = MemoryData(
    enabled=True,
    notes=1_204,
    bytes=MIB,
    vectors_indexed=1_204,
    vectors_pending=0,
    embeddings_model="deterministic",
    dimensions=256,
    degraded_reason=None,
    retention=RetentionData(10_000, 64 * MIB, 90, 0),
    maintenance=MaintenanceData(T0, 12, 0, 0, MIB, MIB, None, T0 + 300_000),
    vacuum=VacuumData("0 0 * * 0", None, T0 + 86_400_000, False),
)
PROBE = ProbeData(
    "browser", "browser", "http", "http://127.0.0.1:3000/", "up", False, 0, T0, 4, None, 1.0
)  # fmt: skip
LOOKED = ObservabilityData((PROBE,), {}, (), {}, WebhookSum(0, 0, None))
HEALING = SelfHealingData(
    mode="auto",
    features={},
    circuits_open=(),
    heartbeats={},
    oldest_beat_ms=None,
    incidents=IncidentCounts({}, 0, 0, 0, 0),
    recent_incidents=(),
    recent_attempts=(),
    last_cycle_at=T0,
    last_cycle_ms=1,
    verdicts_suspended_until=None,
    cycle_age_ms=15_000,
)
SCHEDULER = SchedulerData(
    enabled=True,
    running=True,
    jobs=JobCounts(7, 0, 0, 0),
    fires=FireCounts(0, 0, 0, 0),
    waiting_for_slot=0,
    next_release_at=T0,
    lateness_p50_ms=5,
    lateness_p99_ms=10,
    last_tick_at=T0,
    clock_jumps_total=0,
    zone_data_version="2026.6",
    faulted=(),
    recent=(),
    tick_age_ms=900,
)
TASKS = TasksData({}, 0, None, {}, 0, 4, 0, 0, 0, 0)
JOURNAL = JournalData(
    path="/var/lib/palyra/journal.db",
    schema_version=18,
    sqlite_version="3.45.0",
    bytes=412 * MIB,
    wal_bytes=4 * MIB,
    free_pages_ratio=0.01,
    writer=WriterData(0, 0, 100, 1, 2, 4, T0, None),
    checkpoint=CheckpointData(T0, 0),
    audit=AuditData(12, "ab" * 32, None, True),
    rollup_check=RollupData(T0, True, 0),
)
GOVERNANCE = GovernanceData(
    "enforced", 3, 12, 1, 5_000_000_000, 900, 0, 0, 0, None, 0, 0, {"allow": 3}, (), (), True
)  # fmt: skip
GATEWAY = GatewayData(
    listening=True,
    address="http://127.0.0.1:7142",
    tls=False,
    connections=3,
    active_runs=1,
    streams=1,
    parked=0,
    waiting_lease=0,
    requests_5m=20,
    status_5m={"2xx": 20, "4xx": 0, "402": 0, "5xx": 0},
    overhead_p50_ms=0.5,
    overhead_p99_ms=2.0,
    first_byte_p50_ms=300.0,
    refused_hosts_total=0,
    draining=False,
)
LOOP = EventLoopData(600, 0.1, 2.0, 8.0, None, 0, 40)
DISK = DiskData(
    (
        FilesystemData("state", "/var/lib/palyra", 100 * GIB, 50 * GIB, 1_000, False),
        FilesystemData("temp", "/tmp", 4 * GIB, 2 * GIB, None, False),
    ),
    None,
    None,
    GIB,
    64 * MIB,
)
VAULT = VaultData("ok", "file", "0a1b2c3d", 2, ReferenceCounts(2, 0, 0, 0))
CONFIG = ConfigData(1, 0, 0, (), None)
TOLD = NotificationsData("auto", "auto", ())
RECOVERY = RecoveryData(1, (), None)

GOOD: dict[str, Any] = {
    "model_provider": SERVING,
    "auth_profiles": auth_profiles_data((PROFILE,), {"openai": (PROFILE.id,)}),
    "memory": MEMORY,
    "observability": LOOKED,
    "self_healing": HEALING,
    "scheduler": SCHEDULER,
    "tasks": TASKS,
    "journal": JOURNAL,
    "governance": GOVERNANCE,
    "gateway": GATEWAY,
    "event_loop": LOOP,
    "disk": DISK,
    "vault": VAULT,
    "config": CONFIG,
    "notifications": TOLD,
    "recovery": RECOVERY,
}
JUDGES: dict[str, Any] = {
    "model_provider": judge_model_provider,
    "auth_profiles": judge_auth_profiles,
    "memory": judge_memory,
    "observability": judge_observability,
    "self_healing": judge_self_healing,
    "scheduler": judge_scheduler,
    "tasks": judge_tasks,
    "journal": judge_journal,
    "governance": judge_governance,
    "gateway": judge_gateway,
    "event_loop": judge_event_loop,
    "disk": judge_disk,
    "vault": judge_vault,
    "config": judge_config,
    "notifications": judge_notifications,
    "recovery": judge_recovery,
}
ENGINE = EngineData("0.1.0", "01BOOT", 4_711, T0, 60_000, "ready", None)


def profiles(*given: ProfileData, needing: tuple[str, ...] = ("openai",)) -> AuthProfilesData:
    return auth_profiles_data(given, {one: [profile.id for profile in given] for one in needing})


def section(name: str, data: object, **fields: Any) -> Section[Any]:
    """As a collector would have made it."""
    judged: Judged = JUDGES[name](data)
    made = Section(judged.state, judged.reasons, CollectorState.OK, T0, 0, False, data)
    return replace(made, **fields)


def snapshot(**other: Any) -> Diagnosis:
    """A house in which all is well but for these sections, given as data or as sections."""
    found = {
        name: given if isinstance(given, Section) else section(name, given)
        for name, given in ({**GOOD, **other}).items()
    }
    return diagnosis(ENGINE, Sections(**found), T0, 1)
