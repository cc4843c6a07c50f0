"""Clocks that jump: wall time that went further than time did, or back."""

from palyra.core.clock import Clock
from palyra.journal.changes import Change
from palyra.journal.job_rows import FireState, JobState
from palyra.scheduler.lane import Lane
from palyra.scheduler.roster import Roster
from palyra.scheduler.schedule import ScheduleKind

JUMP_MS = 1_000


class Jumps:
    """Compares how far wall and monotonic time have come since the last look."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wall, self._monotonic = clock.now_ms(), clock.monotonic()
        self.made_at = self._wall
        """UTC unix ms."""
        self.looks = 0
        self.total = 0
        """How often wall time has jumped."""

    def look(self) -> int | None:
        """By how many ms wall time jumped since the last look, negative for back; None where it did not."""
        by = self.unseen_ms
        self._wall, self._monotonic = self._clock.now_ms(), self._clock.monotonic()
        self.looks += 1
        if abs(by) <= JUMP_MS:
            return None
        self.total += 1
        return by

    @property
    def unseen_ms(self) -> int:
        """By how many ms wall time went further than time did since the last look."""
        return (self._clock.now_ms() - self._wall) - round((self._clock.monotonic() - self._monotonic) * 1000)

    @property
    def looked_at(self) -> tuple[int, float] | None:
        """When it looked last, in unix ms and in monotonic seconds; None before the first time."""
        return (self._wall, self._monotonic) if self.looks else None


def turned_back(roster: Roster, lane: Lane, by_ms: int, now: int) -> list[Change]:
    """The wall clock went back by `-by_ms`: intervals count from now on, waits are as long as they were. Slots that
    were fired never fire again: cron and at wait for the next slot they know. One that is due still is not lost."""
    unit: list[Change] = []
    for fire in list(lane.fires):
        if fire.state is FireState.BACKOFF and fire.retry_at is not None:
            unit.append(roster.put(lane, fire, retry_at=fire.retry_at + by_ms)[1])
    job = lane.job
    still_due = job.next_slot is not None and job.next_slot <= now
    if job.schedule == ScheduleKind.EVERY and job.state is JobState.ACTIVE and not still_due:
        unit.append(roster.plan_from(lane, now, anchor=now))
    return unit
