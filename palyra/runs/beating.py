"""How a run's worker proves that it lives: at each phase and chunk, and every 15 s for as long as it is there."""

import asyncio

from palyra.core.clock import Clock, Timer
from palyra.core.pulse import BEAT_EVERY_S
from palyra.providers.upstream import Timeouts
from palyra.runs.live import LiveRun

GRACE_MS = 30_000
"""How much longer than its provider may be silent a run may go without progress."""


class WorkerPulse:
    """Beats for a run while the task that works on it, which makes this, has not ended."""

    def __init__(self, run: LiveRun, clock: Clock) -> None:
        self._run = run
        self._clock = clock
        self._worker = asyncio.current_task()
        self._timer: Timer = clock.call_later(BEAT_EVERY_S, self._beat)

    def _beat(self) -> None:
        if self._worker is None or self._worker.done() or self._run.state.terminal:
            return
        self._run.beat()
        self._timer = self._clock.call_later(BEAT_EVERY_S, self._beat)

    def cancel(self) -> None:
        """Beats no more."""
        self._timer.cancel()


def longest_silence_ms(timeouts: Timeouts, *, streaming: bool, most_s: float) -> int:
    """How long an attempt may rightly go without any progress, and a little more; `most_s` where nothing limits it."""
    total = most_s if timeouts.total is None else timeouts.total
    waits = [timeouts.first_byte, timeouts.idle] if streaming else []
    limits = [total if wait is None else min(wait, total) for wait in waits]
    connect = timeouts.connect or 0.0
    return round((connect + max(limits, default=total)) * 1000) + GRACE_MS
