"""The check of heartbeats: work that is late, told as conditions, unless time itself cannot be trusted now."""

from collections.abc import Callable, Iterable, Mapping

from palyra.core.conditions import Condition, Domain, Severity
from palyra.core.durations import format_duration
from palyra.core.lag import LoopLag
from palyra.core.pulse import WorkHeartbeatKind
from palyra.healing.heartbeats import Heartbeats, Key, Limits, WorkHeartbeat
from palyra.healing.suspension import DEFERRED_MOST_MS, Suspension
from palyra.healing.verdicts import Verdict, Watchdog, passed_at

Relate = Callable[[WorkHeartbeat], Mapping[str, str]]
"""What else a piece of work is about, by kind (`provider`, `session`, …), for grouping and for looking further."""

NOUNS = {
    WorkHeartbeatKind.RUN: "Run",
    WorkHeartbeatKind.BACKGROUND_TASK: "Task",
    WorkHeartbeatKind.CRON_JOB: "Job",
    WorkHeartbeatKind.APPROVAL: "Approval",
    WorkHeartbeatKind.EXTERNAL: "External work",
}
_STATES = {Verdict.SILENT: "is silent", Verdict.STALLED: "gets nowhere", Verdict.FAILING: "says that it fails"}


class HeartbeatCheck:
    """Conditions of heartbeats. Work that was found late once stays so until it beats, whatever time does meanwhile."""

    def __init__(self, heartbeats: Heartbeats, lag: LoopLag, wall: Callable[[], int], relate: Relate) -> None:
        self._heartbeats = heartbeats
        self._lag = lag
        self._wall = wall
        self._relate = relate
        self._watchdog = Watchdog(heartbeats)
        self._suspension = Suspension()
        self._heard = lag.disturbed_at
        self._lost_s = lag.lost_s
        self._found: dict[Key, tuple[Verdict, Condition]] = {}
        self._deferred: set[Key] = set()

    def expect(self, key: Key) -> int | None:
        """Work is new, or is to be judged otherwise. Returns when it is due (monotonic ms)."""
        return self._watchdog.expect(key)

    def expect_all(self) -> None:
        """Limits changed."""
        for heartbeat in self._heartbeats:
            self._watchdog.expect((heartbeat.kind, heartbeat.object_id))

    @property
    def suspended_until(self) -> int | None:
        """Until when nobody is judged (unix ms); None where everybody is."""
        left = self._suspension.until - self._heartbeats.now()
        return self._wall() + left if left > 0 else None

    def look(self, now: int) -> Iterable[Condition]:
        """Every piece of work that is late."""
        at = self._heartbeats.now()
        self._hear(at)
        late = self._watchdog.late(at)
        found: dict[Key, tuple[Verdict, Condition]] = {}
        deferred: set[Key] = set()
        for heartbeat, verdict in late:
            key = heartbeat.kind, heartbeat.object_id
            known = self._found.get(key)
            if known is None and verdict is not Verdict.FAILING and self._suspension.defers(key, at):
                deferred.add(key)
            elif known is not None and known[0] is verdict:
                found[key] = known
            else:
                found[key] = verdict, self._condition(heartbeat, verdict, at, now)
        self._suspension.keep(deferred, at)
        self._found, self._deferred = found, deferred
        return [condition for _, condition in found.values()]

    def next_due(self, now: int) -> int | None:
        """When the next piece of work will be late unless it beats (unix ms)."""
        at = self._heartbeats.now()
        dues = [due for due in (self._watchdog.next_due(),) if due is not None]
        if self._deferred:
            dues.append(min(self._suspension.until, at + DEFERRED_MOST_MS))
        return now + max(0, min(dues) - at) if dues else None

    def state(self, heartbeat: WorkHeartbeat) -> Verdict:
        """What was found of it when it was last looked at."""
        known = self._found.get((heartbeat.kind, heartbeat.object_id))
        return Verdict.HEALTHY if known is None else known[0]

    def _hear(self, at: int) -> None:
        self._lag.notice()
        if self._lag.disturbed_at != self._heard:
            lost = self._lag.lost_s - self._lost_s
            self._heard, self._lost_s = self._lag.disturbed_at, self._lag.lost_s
            self._suspension.disturbed(at, round(lost * 1000))

    def _condition(self, heartbeat: WorkHeartbeat, verdict: Verdict, at: int, now: int) -> Condition:
        limits = self._heartbeats.limits_for(heartbeat)
        kind, name = heartbeat.kind, heartbeat.object_id
        about = f": {heartbeat.summary}" if heartbeat.summary else ""
        return Condition(
            domain=Domain.WATCHDOG,
            key=f"heartbeat:{kind}:{name}",
            severity=Severity.HIGH,
            summary=f"{NOUNS[kind]} {name} {_STATES[verdict]}{about}",
            cause=_cause(heartbeat, verdict, limits),
            subject=name,
            since=now - (at - passed_at(heartbeat, limits, verdict)),
            family=f"heartbeat:{kind}",
            related=self._relate(heartbeat),
        )


def _cause(heartbeat: WorkHeartbeat, verdict: Verdict, limits: Limits) -> str:
    where = f" in the phase {heartbeat.phase}" if heartbeat.phase else ""
    if verdict is Verdict.FAILING:
        return "It told so itself."
    if verdict is Verdict.STALLED and limits.stalled_ms is not None:
        reached = "" if heartbeat.progress is None else f" beyond {heartbeat.progress:,}"
        return f"It beats, but has not advanced{reached} for {format_duration(limits.stalled_ms)}{where}."
    return f"No heartbeat for {format_duration(limits.silent_ms)}{where}."
