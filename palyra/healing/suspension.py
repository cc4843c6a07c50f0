"""When ages prove nothing: after the loop or the machine stood still, work must first get a chance to beat again."""

from palyra.healing.heartbeats import Key

QUIET_MS = 30_000
"""How long nobody is judged after a disturbance."""
DEFERRED_MOST_MS = 60_000
"""How long one verdict is put off in all, however many disturbances follow; time that was lost in them not counted."""


class Suspension:
    """Puts verdicts off. Instants are monotonic ms."""

    def __init__(self) -> None:
        self.until = 0
        """Until when nobody is judged."""
        self._deferred: dict[Key, int] = {}

    def disturbed(self, now: int, lost_ms: int) -> None:
        """The loop stood still for `lost_ms`, or time leapt meanwhile."""
        self.until = now + QUIET_MS
        self._deferred = {key: since + lost_ms for key, since in self._deferred.items()}

    def defers(self, key: Key, now: int) -> bool:
        """Whether a verdict that is due now has to wait."""
        if now >= self.until:
            return False
        return now - self._deferred.setdefault(key, now) < DEFERRED_MOST_MS

    def keep(self, keys: set[Key], now: int) -> None:
        """Forgets what was put off for all but these, whose verdicts are still due."""
        if now >= self.until:
            self._deferred.clear()
        else:
            self._deferred = {key: since for key, since in self._deferred.items() if key in keys}
