"""How long a run may take that nobody waits for on a connection."""

from palyra.core.clock import Clock, Timer
from palyra.runs.live import LiveRun

SHORTEST_WAIT_S = 1.0
"""How often at most one that waits for a person is looked at."""


class OwnLimit:
    """Ends one run with `run_timeout` after its own time, of which waiting for a person takes nothing."""

    def __init__(self, run: LiveRun, seconds: float, clock: Clock) -> None:
        self._run = run
        self._seconds = seconds
        self._clock = clock
        self._begun = clock.monotonic()
        self._timer: Timer = clock.call_later(seconds, self._over)

    def cancel(self) -> None:
        """The limit no longer matters."""
        self._timer.cancel()

    def _over(self) -> None:
        now = self._clock.monotonic()
        left = self._seconds - (now - self._begun - self._run.parked_for(now))
        # Sums of floats may miss an instant by less than a clock tells.
        if left <= 1e-6 and self._run.parked_since is None:
            self._run.stop("run_timeout")
        else:
            self._timer = self._clock.call_later(max(left, SHORTEST_WAIT_S), self._over)
