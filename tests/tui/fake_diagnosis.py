"""What a fake engine tells of its parts."""

from dataclasses import replace
from typing import Any

from palyra.diagnostics.failure import FailureClass, Source
from palyra.diagnostics.house import ReferenceCounts
from palyra.diagnostics.outside import FailureCounts, FailureData, ObservabilityData, WebhookSum
from palyra.diagnostics.reasons import ReasonCode, State, reason
from palyra.diagnostics.section import CollectorState
from palyra.diagnostics.serving import LastError
from palyra.diagnostics.snapshot import Diagnosis
from tests.diagnostics.samples import (
    DISK,
    GOOD,
    LOOKED,
    MIB,
    PROBE,
    PROVIDER,
    SERVING,
    VAULT,
    profiles,
    section,
    snapshot,
)
from tests.tui.fake_views import NOW

_FAILED = FailureData(
    NOW - 95_000,
    NOW - 40_000,
    Source.PROBE,
    "browser",
    "unreachable",
    FailureClass.NETWORK,
    "[Errno 111] Connection refused",
    {"probe": "browser"},
    3,
)


def _at_now(told: Diagnosis) -> Diagnosis:
    seen: dict[str, Any] = {
        name: replace(one, observed_at=NOW - (95_000 if one.stale else 400), took_ms=2)
        for name, one in told.sections.each().items()
    }
    return replace(told, generated_at=NOW, sections=replace(told.sections, **seen))


def all_well() -> Diagnosis:
    """A first start: most of it is not used yet."""
    return _at_now(
        snapshot(
            auth_profiles=profiles(needing=()),
            observability=ObservabilityData((), {}, (), {}, WebhookSum(0, 0, None)),
            vault=replace(VAULT, state="absent", entries=0, references=ReferenceCounts(0, 0, 0, 0)),
            recovery=replace(GOOD["recovery"], runs=0),
        )
    )


def some_trouble() -> Diagnosis:
    """A provider without credential, a probe that is down, notes that could not be looked at in time."""
    down = replace(PROBE, state="down", consecutive_failures=3, uptime_24h=0.9971, last_error="Connection refused")
    error = LastError("auth_invalid", "no such key", NOW - 60_000)
    return _at_now(
        snapshot(
            model_provider=replace(
                SERVING,
                providers=(
                    PROVIDER,
                    replace(
                        PROVIDER, id="anthropic", health="missing_auth", credential_source="vault", last_error=error
                    ),
                    replace(
                        PROVIDER, id="deterministic", kind="deterministic", base_url="", credential_source="none_needed"
                    ),
                ),
            ),
            observability=replace(
                LOOKED,
                probes=(down,),
                recent_failures=(_FAILED,),
                failure_classes={"network": FailureCounts(3, 7), "upstream": FailureCounts(0, 2)},
            ),
            memory=section(
                "memory",
                GOOD["memory"],
                state=State.UNKNOWN,
                reasons=(reason(ReasonCode.COLLECTOR_TIMEOUT),),
                collector=CollectorState.TIMEOUT,
                stale=True,
                error="it took longer than 1000 ms",
            ),
        )
    )


def disk_is_full() -> Diagnosis:
    """Everything fails through one disk."""
    full = replace(DISK.filesystems[0], free_bytes=12 * MIB)
    return _at_now(snapshot(disk=replace(DISK, filesystems=(full, *DISK.filesystems[1:]), days_until_full=0.1)))


def evil_diagnosis(text: str) -> Diagnosis:
    """Whatever others may name carries what a terminal would obey."""
    probe = replace(PROBE, id="p", target=f"http://{text}/", state="down", last_error=text)
    failed = replace(_FAILED, message=text, subject=text)
    error = LastError("transient_upstream", text, NOW)
    return _at_now(
        snapshot(
            model_provider=replace(SERVING, providers=(replace(PROVIDER, id=text, health="down", last_error=error),)),
            observability=replace(LOOKED, probes=(probe,), recent_failures=(failed,)),
        )
    )
