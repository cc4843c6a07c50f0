"""How late the event loop runs, and whether time itself leapt: what was measured across such a gap is not trusted.

A stall is a second or more in which the loop served nobody. When wall and monotonic time part by more than a second the
machine was suspended, or somebody set its clock.
"""

from collections import deque

from palyra.core.clock import Clock
from palyra.core.values import value

INTERVAL_S = 0.1
STALL_S = 1.0
LEAP_S = 1.0
REMEMBERED = 32
SAMPLES = 600
"""Readings of a minute."""
HOUR_S = 3_600.0


@value
class Stall:
    """`ms` in which the loop served nobody, up to `at` (unix ms)."""

    ms: int
    at: int


class LoopLag:
    """Measures the loop's lateness ten times a second while `run` is awaited.

    `latest_ms` is the newest reading, `worst_ms` the largest since the last call of `take_worst`. `disturbed_at` is
    when a stall or a leap was last noticed, in monotonic seconds, and `lost_s` how long they lasted in all.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.latest_ms = 0.0
        self._worst_ms = 0.0
        self._seen: tuple[float, int] | None = None
        self.disturbed_at: float | None = None
        self.lost_s = 0.0
        self.stalls: deque[float] = deque(maxlen=REMEMBERED)
        """When the last stalls ended, in monotonic seconds."""
        self.samples: deque[tuple[float, float]] = deque(maxlen=SAMPLES)
        """The newest readings: when, in monotonic seconds, and how late, in ms."""
        self.stalls_total = 0
        self.suspended_ms = 0
        """How long the machine slept in all: no lateness of the loop."""
        self._long: deque[tuple[float, Stall]] = deque(maxlen=REMEMBERED)
        self.set_back: tuple[float, float] | None = None
        """When the wall clock was last found to have leapt back, in monotonic seconds, and by how many."""

    def take_worst(self) -> float:
        """The longest lateness since it was last asked, in seconds."""
        worst, self._worst_ms = max(self._worst_ms, self.latest_ms), 0.0
        return worst

    def notice(self) -> None:
        """Looks whether there was a stall or a leap since the last look.

        Whoever judges by the age of things calls this first: after a stall its turn may come before the measurement's.
        """
        now, wall = self._clock.monotonic(), self._clock.now_ms()
        seen, self._seen = self._seen, (now, wall)
        if seen is None:
            return
        passed = now - seen[0]
        leap = (wall - seen[1]) / 1000 - passed
        if passed >= STALL_S:
            self.stalls.append(now)
            self.stalls_total += 1
            self._long.append((now, Stall(round(passed * 1000), wall)))
        if leap > LEAP_S:
            self.suspended_ms += round(leap * 1000)
        if leap < -LEAP_S:
            self.set_back = now, -leap
        if passed >= STALL_S or abs(leap) > LEAP_S:
            self.disturbed_at = now
            self.lost_s += passed

    def within(self, seconds: float) -> list[float]:
        """How late the loop was in the last so many seconds, each reading in ms, smallest first."""
        since = self._clock.monotonic() - seconds
        return sorted(late for at, late in self.samples if at > since)

    def longest_stall(self, seconds: float = HOUR_S) -> Stall | None:
        """The longest of the stalls that ended in the last so many seconds."""
        since = self._clock.monotonic() - seconds
        return max((stall for at, stall in self._long if at > since), key=lambda one: one.ms, default=None)

    async def run(self) -> None:
        """Measures until it is cancelled."""
        self.notice()
        while True:
            due = self._clock.monotonic() + INTERVAL_S
            await self._clock.sleep(INTERVAL_S)
            self.latest_ms = max(0.0, (self._clock.monotonic() - due) * 1000)
            self._worst_ms = max(self._worst_ms, self.latest_ms)
            self.samples.append((self._clock.monotonic(), self.latest_ms))
            self.notice()
