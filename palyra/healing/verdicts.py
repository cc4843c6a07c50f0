"""Whether work lives: a pure function of its heartbeat, its limits and an instant, and who is late by now.

Older means strictly older: work exactly at its limit is healthy. All instants are monotonic ms.
"""

import heapq
from enum import StrEnum

from palyra.healing.heartbeats import Heartbeats, Key, Limits, WorkHeartbeat


class Verdict(StrEnum):
    """How work does, judged by its heartbeats."""

    HEALTHY = "healthy"
    SILENT = "silent"
    STALLED = "stalled"
    FAILING = "failing"


def verdict(heartbeat: WorkHeartbeat, limits: Limits, now: int) -> Verdict:
    """`silent`: no beat for too long; `stalled`: it beats and gets nowhere; `failing`: it says so itself."""
    if heartbeat.failing:
        return Verdict.FAILING
    if not heartbeat.judged:
        return Verdict.HEALTHY
    if now - heartbeat.last_beat > limits.silent_ms:
        return Verdict.SILENT
    if limits.stalled_ms is not None and now - heartbeat.last_progress > limits.stalled_ms:
        return Verdict.STALLED
    return Verdict.HEALTHY


def due_at(heartbeat: WorkHeartbeat, limits: Limits) -> int | None:
    """The first instant at which work that does not beat again is no longer healthy; None where it is not judged."""
    if heartbeat.failing:
        return heartbeat.first_seen
    if not heartbeat.judged:
        return None
    silent = heartbeat.last_beat + limits.silent_ms
    stalled = silent if limits.stalled_ms is None else heartbeat.last_progress + limits.stalled_ms
    return min(silent, stalled) + 1


def passed_at(heartbeat: WorkHeartbeat, limits: Limits, found: Verdict) -> int:
    """When work that is not healthy passed its limit."""
    if found is Verdict.STALLED and limits.stalled_ms is not None:
        return heartbeat.last_progress + limits.stalled_ms
    return heartbeat.last_beat if found is Verdict.FAILING else heartbeat.last_beat + limits.silent_ms


class Watchdog:
    """Knows who is late without looking at everybody: each piece of work is looked at when it was last thought due."""

    def __init__(self, heartbeats: Heartbeats) -> None:
        self._heartbeats = heartbeats
        self._queue: list[tuple[int, Key]] = []
        self._queued: dict[Key, int] = {}
        self._late: dict[Key, None] = {}
        for heartbeat in heartbeats:
            self.expect((heartbeat.kind, heartbeat.object_id))

    def expect(self, key: Key) -> int | None:
        """Work that is new or to be judged otherwise than before. Returns when it is due; None: not judged."""
        due = self._heartbeats.due(key)
        if due is not None and due < self._queued.get(key, due + 1):
            self._queued[key] = due
            heapq.heappush(self._queue, (due, key))
        return due

    def late(self, now: int) -> list[tuple[WorkHeartbeat, Verdict]]:
        """All work that is not healthy now."""
        while self._queue and self._queue[0][0] <= now:
            due, key = heapq.heappop(self._queue)
            if self._queued.get(key) == due:
                del self._queued[key]
                self._late[key] = None
        found: list[tuple[WorkHeartbeat, Verdict]] = []
        for key in tuple(self._late):
            present = self._heartbeats.due(key)
            if present is None or present > now:
                del self._late[key]
                self.expect(key)
            elif (heartbeat := self._heartbeats.get(*key)) is not None:
                found.append((heartbeat, verdict(heartbeat, self._heartbeats.limits_for(heartbeat), now)))
        return found

    def next_due(self) -> int | None:
        """When work would be late next if nobody beat from now on; None where no work is judged.

        Work that beat since it was queued is queued anew, each piece once for each of its limits' spans.
        """
        while self._queue:
            due, key = self._queue[0]
            present = self._heartbeats.due(key)
            if self._queued.get(key) == due and present is not None and present <= due:
                return due
            heapq.heappop(self._queue)
            if self._queued.get(key) == due:
                del self._queued[key]
                self.expect(key)
        return None
