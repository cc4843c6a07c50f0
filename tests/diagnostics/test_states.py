"""How each section is follows from its data: every reason, what it makes of the section, and that it goes by itself."""

from dataclasses import replace
from typing import Any

from palyra.diagnostics.house import ReferenceCounts, ReloadData, WebhookData
from palyra.diagnostics.outside import WebhookSum
from palyra.diagnostics.reasons import SENTENCES, ReasonCode, State
from palyra.diagnostics.serving import auth_profiles_data
from palyra.diagnostics.storing import days_until_full
from palyra.diagnostics.work import FaultedJob
from tests.diagnostics.samples import (
    CONFIG,
    DISK,
    GATEWAY,
    GIB,
    GOOD,
    GOVERNANCE,
    HEALING,
    JOURNAL,
    JUDGES,
    LOOKED,
    LOOP,
    MEMORY,
    MIB,
    PROBE,
    PROFILE,
    PROVIDER,
    RECOVERY,
    SCHEDULER,
    SERVING,
    T0,
    TASKS,
    TOLD,
    VAULT,
    profiles,
)

OK, DEGRADED, FAILED, DISABLED = State.OK, State.DEGRADED, State.FAILED, State.DISABLED
C = ReasonCode


def serving(*healths: str) -> Any:
    return replace(
        SERVING, providers=tuple(replace(PROVIDER, id=f"p{place}", health=one) for place, one in enumerate(healths))
    )


def disk(place: int, **fields: Any) -> Any:
    systems = list(DISK.filesystems)
    systems[place] = replace(systems[place], **fields)
    return replace(DISK, filesystems=tuple(systems))


def a_profile(**fields: Any) -> Any:
    return replace(PROFILE, **fields)


TABLE: list[tuple[str, Any, State, list[ReasonCode]]] = [
    ("model_provider", serving("ok", "unknown"), OK, []),
    ("model_provider", serving("ok", "down"), DEGRADED, [C.PROVIDER_DOWN]),
    ("model_provider", serving("ok", "degraded"), DEGRADED, [C.PROVIDER_DEGRADED]),
    ("model_provider", serving("ok", "missing_auth"), DEGRADED, [C.MISSING_AUTH]),
    ("model_provider", serving("ok", "disabled"), OK, []),
    ("model_provider", serving("down", "missing_auth"), FAILED, [C.NO_CHAT_PROVIDER, C.PROVIDER_DOWN, C.MISSING_AUTH]),
    ("model_provider", serving("disabled"), FAILED, [C.NO_CHAT_PROVIDER]),
    (
        "model_provider",
        replace(SERVING, providers=(replace(PROVIDER, chat=False),)),
        FAILED,
        [C.NO_CHAT_PROVIDER],
    ),
    ("auth_profiles", profiles(needing=()), DISABLED, []),
    ("auth_profiles", profiles(), FAILED, [C.NONE_ELIGIBLE]),
    ("auth_profiles", auth_profiles_data((PROFILE,), {PROFILE.provider: ("no-such",)}), FAILED, [C.NONE_ELIGIBLE]),
    ("auth_profiles", profiles(a_profile(health="expiring")), DEGRADED, [C.EXPIRING]),
    ("auth_profiles", profiles(a_profile(), a_profile(health="expired", eligible=False)), DEGRADED, [C.EXPIRED]),
    ("auth_profiles", profiles(a_profile(), a_profile(health="rejected", eligible=False)), DEGRADED, [C.REJECTED]),
    ("auth_profiles", profiles(a_profile(), a_profile(health="missing", eligible=False)), DEGRADED, [C.MISSING]),
    ("auth_profiles", profiles(a_profile(), a_profile(health="unreadable", eligible=False)), DEGRADED, [C.UNREADABLE]),
    ("auth_profiles", profiles(a_profile(eligible=False, cooling_until=T0 + 9)), DEGRADED, [C.ALL_COOLING]),
    ("auth_profiles", profiles(a_profile(health="rejected", eligible=False)), FAILED, [C.NONE_ELIGIBLE, C.REJECTED]),
    ("auth_profiles", profiles(a_profile(health="disabled", eligible=False), needing=()), OK, []),
    ("memory", replace(MEMORY, codes=("maintenance_failed",)), DEGRADED, [C.MAINTENANCE_FAILED]),
    ("memory", replace(MEMORY, codes=("maintenance_late",)), DEGRADED, [C.MAINTENANCE_LATE]),
    ("memory", replace(MEMORY, codes=("vacuum_overdue",)), DEGRADED, [C.VACUUM_OVERDUE]),
    ("memory", replace(MEMORY, codes=("vectors_pending",)), DEGRADED, [C.VECTORS_PENDING]),
    ("memory", replace(MEMORY, enabled=False, codes=("vacuum_overdue",)), DISABLED, [C.SWITCHED_OFF]),
    ("observability", replace(LOOKED, probes=(replace(PROBE, state="down"),)), DEGRADED, [C.PROBE_DOWN]),
    ("observability", replace(LOOKED, probes=(replace(PROBE, state="unknown"),)), OK, []),
    (
        "observability",
        replace(LOOKED, probes=(replace(PROBE, state="down", critical=True),)),
        FAILED,
        [C.CRITICAL_PROBE_DOWN],
    ),
    ("observability", replace(LOOKED, webhooks=WebhookSum(0, 1, "busy")), DEGRADED, [C.DEAD_LETTERS]),
    ("self_healing", replace(HEALING, cycle_age_ms=45_000), OK, []),
    ("self_healing", replace(HEALING, cycle_age_ms=45_001), FAILED, [C.LOOP_SILENT]),
    ("self_healing", replace(HEALING, cycle_age_ms=None), OK, []),
    ("self_healing", replace(HEALING, grave=("i1",)), DEGRADED, [C.INCIDENT_OPEN]),
    ("self_healing", replace(HEALING, circuits_open=("runs",)), DEGRADED, [C.CIRCUIT_OPEN]),
    ("self_healing", replace(HEALING, mode="disabled"), DISABLED, [C.SWITCHED_OFF]),
    ("scheduler", replace(SCHEDULER, tick_age_ms=5_000), OK, []),
    ("scheduler", replace(SCHEDULER, tick_age_ms=5_001), FAILED, [C.NO_TICK]),
    ("scheduler", replace(SCHEDULER, faulted=(FaultedJob("nightly", "no"),)), DEGRADED, [C.JOB_FAULTED]),
    (
        "scheduler",
        replace(SCHEDULER, fires=replace(SCHEDULER.fires, review=1)),
        DEGRADED,
        [C.REVIEW_WAITING],
    ),
    ("scheduler", replace(SCHEDULER, enabled=False, tick_age_ms=60_000), DISABLED, [C.SWITCHED_OFF]),
    ("tasks", replace(TASKS, oldest_ready_ms=300_000), OK, []),
    ("tasks", replace(TASKS, oldest_ready_ms=300_001), DEGRADED, [C.QUEUE_STUCK]),
    ("tasks", replace(TASKS, oldest_ready_ms=300_001, workers_busy=4), OK, []),
    ("tasks", replace(TASKS, poisoned=1), DEGRADED, [C.POISONED]),
    ("journal", replace(JOURNAL, writing=False), FAILED, [C.WRITE_FAILED]),
    ("journal", replace(JOURNAL, audit=replace(JOURNAL.audit, ok=False)), FAILED, [C.AUDIT_BROKEN]),
    ("journal", replace(JOURNAL, slow_ms=59_999), OK, []),
    ("journal", replace(JOURNAL, slow_ms=60_000), DEGRADED, [C.COMMIT_SLOW]),
    ("journal", replace(JOURNAL, wal_bytes=256 * MIB), OK, []),
    ("journal", replace(JOURNAL, wal_bytes=256 * MIB + 1), DEGRADED, [C.WAL_LARGE]),
    (
        "journal",
        replace(JOURNAL, rollup_check=replace(JOURNAL.rollup_check, ok=False, differences=1)),
        DEGRADED,
        [C.ROLLUP_DIFFERS],
    ),
    ("journal", replace(JOURNAL, rollup_check=replace(JOURNAL.rollup_check, at=None, ok=None)), OK, []),
    ("governance", replace(GOVERNANCE, agrees=None), OK, []),
    ("governance", replace(GOVERNANCE, agrees=False), FAILED, [C.LEDGER_DIFFERS]),
    ("governance", replace(GOVERNANCE, overdue=("h1",)), DEGRADED, [C.HOLD_OVERDUE]),
    ("gateway", replace(GATEWAY, listening=False), FAILED, [C.NOT_LISTENING]),
    ("gateway", replace(GATEWAY, listening=False, wanted=False), OK, []),
    ("gateway", replace(GATEWAY, own_5xx_5m=1), OK, []),
    ("gateway", replace(GATEWAY, own_5xx_5m=2), DEGRADED, [C.ERRORS_HIGH]),
    ("gateway", replace(GATEWAY, requests_5m=19, own_5xx_5m=19), OK, []),
    ("event_loop", replace(LOOP, lag_p99_ms=100.0), OK, []),
    ("event_loop", replace(LOOP, lag_p99_ms=100.1), DEGRADED, [C.LAG_HIGH]),
    ("event_loop", replace(LOOP, stalled_60s=True), FAILED, [C.STALLED]),
    ("event_loop", replace(LOOP, lag_max_ms=1_000.0), FAILED, [C.STALLED]),
    ("event_loop", replace(LOOP, lag_p50_ms=None, lag_p99_ms=None, lag_max_ms=None), OK, []),
    ("disk", disk(0, free_bytes=1 << 30), OK, []),
    ("disk", disk(0, free_bytes=(1 << 30) - 1), DEGRADED, [C.SPACE_LOW]),
    ("disk", disk(0, free_bytes=64 * MIB), DEGRADED, [C.SPACE_LOW]),
    ("disk", disk(0, free_bytes=64 * MIB - 1), FAILED, [C.SPACE_OUT]),
    ("disk", disk(0, read_only=True), FAILED, [C.READ_ONLY]),
    ("disk", disk(0, free_inodes=0), FAILED, [C.SPACE_OUT]),
    ("disk", disk(1, free_bytes=4 * GIB // 10), OK, []),
    ("disk", disk(1, free_bytes=4 * GIB // 10 - 1), DEGRADED, [C.SPACE_LOW]),
    ("disk", disk(1, free_bytes=64 * MIB), DEGRADED, [C.SPACE_LOW]),
    ("disk", disk(1, free_bytes=64 * MIB - 1), DEGRADED, [C.SPACE_OUT]),
    ("disk", disk(1, free_inodes=0), DEGRADED, [C.SPACE_OUT]),
    ("disk", disk(1, total_bytes=64 * MIB, free_bytes=32 * MIB), OK, []),
    ("disk", disk(1, total_bytes=64 * MIB, free_bytes=0), DEGRADED, [C.SPACE_OUT]),
    ("disk", disk(1, read_only=True, free_bytes=0), OK, []),
    ("disk", disk(1, read_only=True, turned_read_only=True), DEGRADED, [C.READ_ONLY]),
    ("vault", replace(VAULT, state="absent", references=ReferenceCounts(0, 0, 0, 0)), DISABLED, []),
    ("vault", replace(VAULT, state="locked"), FAILED, [C.VAULT_LOCKED]),
    ("vault", replace(VAULT, state="wrong_key"), FAILED, [C.VAULT_WRONG_KEY]),
    ("vault", replace(VAULT, state="damaged"), FAILED, [C.VAULT_DAMAGED]),
    ("vault", replace(VAULT, state="newer"), FAILED, [C.VAULT_NEWER]),
    ("vault", replace(VAULT, state="locked", references=ReferenceCounts(0, 0, 0, 0)), DEGRADED, [C.VAULT_LOCKED]),
    ("vault", replace(VAULT, references=ReferenceCounts(1, 1, 0, 0), missing=("g/x",)), DEGRADED, [C.SECRET_MISSING]),
    ("vault", replace(VAULT, references=ReferenceCounts(1, 0, 1, 0)), DEGRADED, [C.SECRET_MISSING]),
    ("config", replace(CONFIG, problems=2), DEGRADED, [C.RELOAD_INVALID]),
    ("config", replace(CONFIG, last_reload=ReloadData(T0, False)), DEGRADED, [C.RELOAD_INVALID]),
    ("config", replace(CONFIG, last_reload=ReloadData(T0, True)), OK, []),
    ("config", replace(CONFIG, pending_restart=("gateway",)), DEGRADED, [C.RESTART_PENDING]),
    ("notifications", replace(TOLD, webhooks=(WebhookData("ops", True, 3, 0),)), OK, []),
    ("notifications", replace(TOLD, webhooks=(WebhookData("ops", False, 0, 1),)), DEGRADED, [C.WEBHOOK_FAILING]),
    ("recovery", replace(RECOVERY, runs=0), DISABLED, []),
    ("recovery", replace(RECOVERY, unfinished=("r1",)), FAILED, [C.RUN_UNFINISHED]),
]


def test_every_reason_makes_of_its_section_what_it_should() -> None:
    for name, data, state, codes in TABLE:
        judged = JUDGES[name](data)
        found = (judged.state, [one.code for one in judged.reasons])
        assert found == (state, codes), (name, data)


def test_a_section_in_which_nothing_is_wrong_is_ok() -> None:
    for name, data in GOOD.items():
        assert JUDGES[name](data).state is OK, name


def test_every_code_has_a_row_and_a_sentence_with_a_next_step() -> None:
    of_no_data = {C.COLLECTOR_ERROR, C.COLLECTOR_TIMEOUT, C.ENGINE_STOPPED}
    assert {code for *_, codes in TABLE for code in codes} | of_no_data == set(ReasonCode)
    assert set(SENTENCES) == set(ReasonCode)
    for code, (sentence, step) in SENTENCES.items():
        assert sentence.endswith("."), code
        assert step.endswith(".") or code is C.SWITCHED_OFF, code


def test_reasons_name_what_they_are_about() -> None:
    (reason,) = JUDGES["model_provider"](serving("ok", "down", "down")).reasons
    assert reason.subjects == ("p1", "p2")


def test_both_maps_of_profiles_sum_to_their_number() -> None:
    told = profiles(a_profile(), a_profile(health="expired", expiry="expired"), a_profile(health="expiring"))
    assert sum(told.by_health.values()) == sum(told.by_expiry.values()) == told.total == 3


def test_a_disk_is_full_when_the_journal_goes_on_growing_as_it_did() -> None:
    assert days_until_full(1_000, 100) == 10
    assert days_until_full(0, 100) == 0
    for growth in (None, 0, -5):
        assert days_until_full(1_000, growth) is None
