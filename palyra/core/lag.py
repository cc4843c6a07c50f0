"""How late the event loop runs: the time between when a timer was due and when it was served."""

from palyra.core.clock import Clock

INTERVAL_S = 0.25


class LoopLag:
    """Measures the loop's lateness four times a second while `run` is awaited.

    `latest_ms` is the newest reading, `worst_ms` the largest since the last call of `take_worst`.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.latest_ms = 0.0
        self._worst_ms = 0.0

    def take_worst(self) -> float:
        worst, self._worst_ms = max(self._worst_ms, self.latest_ms), 0.0
        return worst

    async def run(self) -> None:
        while True:
            due = self._clock.monotonic() + INTERVAL_S
            await self._clock.sleep(INTERVAL_S)
            self.latest_ms = max(0.0, (self._clock.monotonic() - due) * 1000)
            self._worst_ms = max(self._worst_ms, self.latest_ms)
