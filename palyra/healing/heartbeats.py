"""Heartbeats: how work proves that it lives. In memory alone; whoever does the work beats, and nobody for it.

Ages are taken on the monotonic clock, so neither a suspended machine nor a wall clock that was set makes work older.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from palyra.config.operations import HealingConfig
from palyra.core.clock import Clock
from palyra.core.pulse import WorkHeartbeatKind
from palyra.core.safe_text import SafeText, safe
from palyra.core.values import value

__all__ = ["Heartbeats", "Limits", "WorkHeartbeat", "WorkHeartbeatKind", "limits_of", "record_self_healing_heartbeat"]

LONGEST_SUMMARY = 200
PARKED = "park"
"""The phase in which a run waits for a person: it is not judged."""


@value
class Limits:
    """How old the last beat and the last progress may be, in ms. `stalled_ms` None: progress is not judged."""

    silent_ms: int
    stalled_ms: int | None = None


def limits_of(config: HealingConfig) -> dict[WorkHeartbeatKind, Limits]:
    """What is configured for each kind."""
    silent, stalled = config.silent_after, config.stalled_after
    return {
        WorkHeartbeatKind.RUN: Limits(silent.run, stalled.run),
        WorkHeartbeatKind.BACKGROUND_TASK: Limits(silent.background_task, stalled.background_task),
        WorkHeartbeatKind.CRON_JOB: Limits(silent.cron_job),
        WorkHeartbeatKind.APPROVAL: Limits(silent.approval),
        WorkHeartbeatKind.EXTERNAL: Limits(silent.external),
    }


@value
class WorkHeartbeat:
    """Where a piece of work stands. Instants are monotonic ms of this boot; `progress` is a counter that only grows.

    `limits` are its own where it has some. `failing`: it said itself that it does not get on.
    """

    kind: WorkHeartbeatKind
    object_id: str
    summary: SafeText
    phase: str
    progress: int | None
    first_seen: int
    last_beat: int
    last_progress: int
    boot_id: str
    limits: Limits | None = None
    failing: bool = False

    @property
    def judged(self) -> bool:
        """Whether silence counts: what waits for a person may be silent."""
        return self.phase != PARKED


@dataclass(slots=True)
class _Beat:
    """A heartbeat as it is kept: beating must not make a new value each time."""

    summary: str
    phase: str
    progress: int | None
    first_seen: int
    last_beat: int
    last_progress: int
    limits: Limits | None
    failing: bool = False


Key = tuple[WorkHeartbeatKind, str]


class Heartbeats:
    """Every piece of work that beats. All calls are synchronous and take no time that grows with their number."""

    def __init__(self, clock: Clock, boot_id: str, limits: Mapping[WorkHeartbeatKind, Limits]) -> None:
        self._clock = clock
        self._boot_id = boot_id
        self.limits = limits
        """By kind, for work without limits of its own."""
        self._beats: dict[Key, _Beat] = {}
        self._on_change: Callable[[Key], None] | None = None

    def __len__(self) -> int:
        return len(self._beats)

    def __iter__(self) -> Iterator[WorkHeartbeat]:
        return iter([self._value(key, beat) for key, beat in self._beats.items()])

    def now(self) -> int:
        """The instant that beats are measured by: monotonic ms."""
        return round(self._clock.monotonic() * 1000)

    def get(self, kind: WorkHeartbeatKind, object_id: str) -> WorkHeartbeat | None:
        """The newest heartbeat of something that is at work; None once it has ended."""
        key = kind, object_id
        beat = self._beats.get(key)
        return None if beat is None else self._value(key, beat)

    def instants(self, kind: WorkHeartbeatKind, object_id: str) -> tuple[int, int] | None:
        """When it last beat and when it last got on. As `get`, without making a value."""
        beat = self._beats.get((kind, object_id))
        return None if beat is None else (beat.last_beat, beat.last_progress)

    def due(self, key: Key) -> int | None:
        """The first instant at which work that does not beat again is no longer healthy; None where it is not judged or
        has ended. As `verdicts.due_at`, without making a value."""
        beat = self._beats.get(key)
        if beat is None:
            return None
        if beat.failing:
            return beat.first_seen
        if beat.phase == PARKED:
            return None
        limits = beat.limits or self.limits[key[0]]
        silent = beat.last_beat + limits.silent_ms
        if limits.stalled_ms is None:
            return silent + 1
        return min(silent, beat.last_progress + limits.stalled_ms) + 1

    def limits_for(self, heartbeat: WorkHeartbeat) -> Limits:
        """How long it may be silent or without progress: its own limits, else those of its kind."""
        return heartbeat.limits or self.limits[heartbeat.kind]

    def record(
        self,
        kind: WorkHeartbeatKind,
        object_id: str,
        summary: str,
        phase: str | None = None,
        progress: int | None = None,
    ) -> None:
        """A beat. `phase` and `progress` None leave what was told before; a new phase is progress too."""
        now = self.now()
        key = kind, object_id
        beat = self._beats.get(key)
        if beat is None:
            self._beats[key] = _Beat(summary[:LONGEST_SUMMARY], phase or "", progress, now, now, now, None)
            self._changed(key)
            return
        beat.last_beat = now
        beat.summary = summary[:LONGEST_SUMMARY]
        if progress is not None and (beat.progress is None or progress > beat.progress):
            beat.progress = progress
            beat.last_progress = now
        if phase is not None and phase != beat.phase:
            left_park, beat.phase = beat.phase == PARKED, phase
            beat.last_progress = now
            if left_park:
                self._changed(key)

    def declare(
        self, kind: WorkHeartbeatKind, object_id: str, *, limits: Limits | None = None, failing: bool = False
    ) -> None:
        """What is known of work beside its beats: limits of its own, and whether it says that it fails. Work that never
        beat has none."""
        beat = self._beats.get((kind, object_id))
        if beat is not None and (beat.limits != limits or beat.failing != failing):
            beat.limits, beat.failing = limits, failing
            self._changed((kind, object_id))

    def allow_silence(self, kind: WorkHeartbeatKind, object_id: str, milliseconds: int) -> None:
        """The work may go without progress for that long, if its kind may not for longer."""
        usual = self.limits[kind]
        if usual.stalled_ms is not None:
            limits = Limits(usual.silent_ms, milliseconds) if milliseconds > usual.stalled_ms else None
            self.declare(kind, object_id, limits=limits)

    def clear(self, kind: WorkHeartbeatKind, object_id: str) -> None:
        """The work has ended; nothing when it never beat."""
        if self._beats.pop((kind, object_id), None) is not None:
            self._changed((kind, object_id))

    def on_change(self, heard: Callable[[Key], None]) -> None:
        """Calls back whenever work appears, ends, is judged again or is declared anew; not for mere beats."""
        self._on_change = heard

    def _changed(self, key: Key) -> None:
        if self._on_change is not None:
            self._on_change(key)

    def _value(self, key: Key, beat: _Beat) -> WorkHeartbeat:
        return WorkHeartbeat(
            kind=key[0],
            object_id=key[1],
            summary=safe(beat.summary),
            phase=beat.phase,
            progress=beat.progress,
            first_seen=beat.first_seen,
            last_beat=beat.last_beat,
            last_progress=beat.last_progress,
            boot_id=self._boot_id,
            limits=beat.limits,
            failing=beat.failing,
        )


def record_self_healing_heartbeat(
    heartbeats: Heartbeats,
    kind: WorkHeartbeatKind,
    object_id: str,
    summary: str,
    phase: str | None = None,
    progress: int | None = None,
) -> None:
    """Tells the self-healing loop that a piece of work lives. Only whoever does the work may call it, at any rate.

    `progress` is a counter that grows as the work advances; `summary` says in at most 200 characters what it is.
    """
    heartbeats.record(kind, object_id, summary, phase, progress)
