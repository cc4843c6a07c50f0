"""Services outside, recent failures and webhooks: what is told of them, and how they are. Times UTC unix ms."""

from palyra.core.values import value
from palyra.diagnostics.declared import Address, Public, Text
from palyra.diagnostics.failure import FailureClass, Source
from palyra.diagnostics.reasons import Judged, ReasonCode, judged, those, when


@value
class ProbeData:
    """`state`: up, down, unknown, disabled. `uptime_24h` is the part of the checks done that succeeded, None where none
    was."""

    id: Public
    component: Public
    kind: Public
    target: Address
    state: Public
    critical: bool
    consecutive_failures: int
    last_at: int | None
    latency_ms: int | None
    last_error: Text | None
    uptime_24h: float | None


@value
class ComponentData:
    """The probes of one component, by state, and their failures in 15 minutes."""

    total: int
    up: int
    down: int
    unknown: int
    failures_15m: int


@value
class FailureData:
    """Equal failures within a minute, as one: `at` is the first, `last_at` the newest of `count`."""

    at: int
    last_at: int
    source: Source
    subject: Public
    class_: Public
    failure_class: FailureClass
    message: Text
    correlation: dict[Public, Public]
    count: int


@value
class FailureCounts:
    """Failures in the last 15 minutes and the last 24 hours."""

    last_15m: int
    last_24h: int


@value
class WebhookSum:
    """Notices of all webhooks: those that wait, those given up, the newest error."""

    pending: int
    dead_letters: int
    last_error: Text | None


@value
class ObservabilityData:
    """What Palyra sees of services beside it."""

    probes: tuple[ProbeData, ...]
    components: dict[Public, ComponentData]
    recent_failures: tuple[FailureData, ...]
    failure_classes: dict[Public, FailureCounts]
    webhooks: WebhookSum


def judge_observability(data: ObservabilityData) -> Judged:
    """Failed by a critical probe that is down, degraded by others and by notices given up."""
    down = [one for one in data.probes if one.state == "down"]
    return judged(
        those(ReasonCode.CRITICAL_PROBE_DOWN, [one.id for one in down if one.critical]),
        (
            *those(ReasonCode.PROBE_DOWN, [one.id for one in down if not one.critical]),
            *when(ReasonCode.DEAD_LETTERS, data.webhooks.dead_letters > 0),
        ),
    )
