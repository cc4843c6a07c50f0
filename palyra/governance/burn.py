"""How counters rose over their current windows: a few samples each, enough to tell the burn of any newest part.

Samples are taken when somebody looks, soon after a charge; what was charged before this engine started, or before a
policy was made, is filled in from the rows its counters are counted again from.
"""

from bisect import bisect_right
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from palyra.core.windows import Window

SAMPLES_AT_MOST = 256
"""Beyond, every other sample is forgotten; what is told is then at most two gaps of samples off in time."""

CounterKey = tuple[str, str]
"""Policy id and scope value."""


class Rise:
    """One counter's settled amount over its window, rising from nothing at the window's start."""

    __slots__ = ("_amounts", "_gap_ms", "_times", "window_start")

    def __init__(self, window: Window) -> None:
        self.window_start = window.start
        self._gap_ms = 0
        self._times = [window.start]
        self._amounts = [0]

    def note(self, at: int, settled: int) -> None:
        """The counter stands at `settled` from `at` on. A clock set back tells nothing new about the past."""
        times, amounts = self._times, self._amounts
        at = max(at, times[-1])
        if len(times) > 1 and at - times[-2] < self._gap_ms:
            times[-1], amounts[-1] = at, settled
            return
        if settled == amounts[-1]:
            return
        times.append(at)
        amounts.append(settled)
        if len(times) > SAMPLES_AT_MOST:
            self._thin()

    def since(self, at: int, settled: int) -> int:
        """How much of `settled`, where the counter stands now, was charged after `at`."""
        place = bisect_right(self._times, at) - 1
        return max(0, settled - self._amounts[max(0, place)])

    def _thin(self) -> None:
        """Keeps the first and the last of what is told, and every other sample between."""
        times, amounts = self._times, self._amounts
        self._gap_ms = max(1, 2 * (times[-1] - times[0]) // SAMPLES_AT_MOST)
        self._times = [times[0], *times[2:-1:2], times[-1]]
        self._amounts = [amounts[0], *amounts[2:-1:2], amounts[-1]]


@dataclass(slots=True)
class Tally:
    """What recounted rows charged to the counters of one policy in its window at `at`, by when they were charged."""

    window: Window
    at: int
    _slots: dict[str, dict[int, int]] = field(default_factory=dict)

    def add(self, scope_value: str, counted_from: int, charged_at: int, amount: int) -> None:
        """`counted_from` is where its cell begins; what lies in another window says nothing here."""
        if counted_from != self.window.start or not amount:
            return
        elapsed = max(1, self.at - self.window.start)
        slot = min(SAMPLES_AT_MOST // 2, max(0, charged_at - self.window.start) * (SAMPLES_AT_MOST // 2) // elapsed)
        slots = self._slots.setdefault(scope_value, {})
        slots[slot] = slots.get(slot, 0) + amount

    def rises(self) -> dict[str, Rise]:
        """A rise for each scope value. What was charged within a slot counts from the slot's start."""
        elapsed = max(1, self.at - self.window.start)
        found: dict[str, Rise] = {}
        for value, slots in self._slots.items():
            rise = found[value] = Rise(self.window)
            settled = 0
            for slot in sorted(slots):
                settled += slots[slot]
                rise.note(self.window.start + slot * elapsed // (SAMPLES_AT_MOST // 2), settled)
        return found


class BurnBook:
    """The rise of every counter that was charged in its current window."""

    def __init__(self) -> None:
        self._rises: dict[str, dict[str, Rise]] = {}

    def note(self, key: CounterKey, window: Window, at: int, settled: int) -> None:
        """A counter of a calendar window, looked at after a charge."""
        policy_id, value = key
        rises = self._rises.setdefault(policy_id, {})
        rise = rises.get(value)
        if rise is None or rise.window_start != window.start:
            rise = rises[value] = Rise(window)
        rise.note(at, settled)

    def since(self, key: CounterKey, window: Window, at: int, settled: int) -> int:
        """How much of `settled` was charged after `at`: all of it where nothing is known of this window."""
        rise = self._rises.get(key[0], {}).get(key[1])
        if rise is None or rise.window_start != window.start:
            return settled
        return rise.since(at, settled)

    def restart(self, tallies: Mapping[str, Tally], policies: Collection[str]) -> None:
        """After counters were counted again: theirs are told by the tallies, those of other policies are dropped."""
        for policy_id in tuple(self._rises):
            if policy_id in tallies or policy_id not in policies:
                del self._rises[policy_id]
        for policy_id, tally in tallies.items():
            if rises := tally.rises():
                self._rises[policy_id] = rises

    def forget(self, key: CounterKey, before: int) -> None:
        """Lets go of a counter's rise over a window that began before that instant."""
        rises = self._rises.get(key[0])
        rise = rises.get(key[1]) if rises else None
        if rises is not None and rise is not None and rise.window_start < before:
            del rises[key[1]]
            if not rises:
                del self._rises[key[0]]

    def __len__(self) -> int:
        return sum(len(rises) for rises in self._rises.values())
