"""How often things happened in the last minutes, by what they were: counts in slots of ten seconds."""

from collections import Counter, deque

from palyra.core.clock import Clock

SLOT_S = 10.0


class Rolling:
    """Counts of the last `seconds`, up to a slot more."""

    __slots__ = ("_clock", "_seconds", "_slots")

    def __init__(self, clock: Clock, seconds: float = 300.0) -> None:
        self._clock = clock
        self._seconds = seconds
        self._slots: deque[tuple[float, Counter[str]]] = deque()

    def add(self, what: str) -> None:
        """Counts something that happened now."""
        now = self._clock.monotonic()
        if not self._slots or now - self._slots[-1][0] >= SLOT_S:
            self._slots.append((now, Counter()))
            self._forget(now)
        self._slots[-1][1][what] += 1

    def counts(self) -> Counter[str]:
        """By what it was; nothing of which there was none."""
        self._forget(self._clock.monotonic())
        total: Counter[str] = Counter()
        for _, counted in self._slots:
            total += counted
        return total

    def _forget(self, now: float) -> None:
        while self._slots and now - self._slots[0][0] > self._seconds:
            self._slots.popleft()
