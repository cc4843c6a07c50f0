"""How the gateway did in the last five minutes, for diagnostics. Times in seconds."""

from collections import Counter, deque

from palyra.core.clock import Clock
from palyra.core.rolling import Rolling

WITHIN_S = 300.0
REMEMBERED = 1_024
_MEANT = frozenset({"engine_draining", "engine_starting"})
INTERNAL = 500
"""The status of errors that are Palyra's own."""


class Lately:
    """Told of every request that was answered."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._statuses = Rolling(clock, WITHIN_S)
        self._overheads: deque[tuple[float, float]] = deque(maxlen=REMEMBERED)
        self._first_bytes: deque[tuple[float, float]] = deque(maxlen=REMEMBERED)
        self._turned_away = Rolling(clock, WITHIN_S)
        self.refused_hosts = 0

    def served(self, status: int, seconds: float, first_byte: float | None, away: float | None) -> None:
        """As `Tallies.served`."""
        self._statuses.add(str(status))
        now = self._clock.monotonic()
        if away is not None:
            self._overheads.append((now, max(0.0, seconds - away)))
        if first_byte is not None:
            self._first_bytes.append((now, first_byte))

    def refused(self, status: int, code: str) -> None:
        """A request was not let in. That somebody stops the house is no error; that nobody can be let in is."""
        self.refused_hosts += code == "host_not_allowed"
        if status >= INTERNAL and code not in _MEANT:
            self._turned_away.add(code)

    def own_errors(self) -> int:
        """How many requests ended in an error of Palyra's own and of no provider."""
        return self._statuses.counts()[str(INTERNAL)] + self._turned_away.counts().total()

    def statuses(self) -> Counter[str]:
        """How many there were of each status."""
        return self._statuses.counts()

    def overhead(self, part: float) -> float | None:
        """The seconds that this part (0 to 1) of the newest requests spent here at most, nobody being waited for; None
        without any."""
        return self._part(self._overheads, part)

    def first_byte(self, part: float) -> float | None:
        """The seconds within which that part (0 to 1) of the newest streams began; None without any."""
        return self._part(self._first_bytes, part)

    def _part(self, newest: deque[tuple[float, float]], part: float) -> float | None:
        since = self._clock.monotonic() - WITHIN_S
        found = sorted(seconds for at, seconds in newest if at > since)
        return found[min(len(found) - 1, int(len(found) * part))] if found else None


def by_class(statuses: Counter[str]) -> dict[str, int]:
    """402 by itself, all others by their first digit; every class is there."""
    found = {"2xx": 0, "4xx": 0, "402": 0, "5xx": 0}
    for status, count in statuses.items():
        name = status if status == "402" else f"{status[0]}xx"
        found[name] = found.get(name, 0) + count
    return found
