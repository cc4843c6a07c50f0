"""Tells the terminal what changed while nobody looks: bell, notification (OSC 9) and title with counts."""

from collections.abc import Callable, Sequence

from palyra.control.snapshots import AlertView, Snapshot
from palyra.core.plural import plural
from palyra.core.safe_text import safe_title

QUIET_SECONDS = 10.0
"""At most one bell in so long."""

KEEP_TITLE = "\x1b[22;2t"
GIVE_TITLE_BACK = "\x1b[23;2t"


class Herald:
    """Writes to the terminal through `write`; every text of it is printable ASCII."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._counts: tuple[int, int] | None = None
        self._rung: float | None = None
        self._alerted: int | None = None

    def open(self) -> None:
        """Keeps the terminal's title for later."""
        self._write(KEEP_TITLE)

    def close(self) -> None:
        self._write(GIVE_TITLE_BACK)

    def see(self, snapshot: Snapshot, monotonic: float) -> None:
        """Sets the title to the present counts; rings when there is more to decide than before."""
        counts = (snapshot.approvals_pending, snapshot.incidents_open)
        before, self._counts = self._counts, counts
        if counts != before:
            title = safe_title(f"Palyra A {counts[0]} I {counts[1]}")
            self._write(f"\x1b]2;{title}\x07")
            if before is not None and (counts[0] > before[0] or counts[1] > before[1]):
                waiting = f"{plural(counts[0], 'approval')} and {plural(counts[1], 'incident')}"
                self._ring(f"{waiting} wait for a person", monotonic)
        self._see_alerts(snapshot.alerts, monotonic)

    def _see_alerts(self, alerts: Sequence[AlertView], monotonic: float) -> None:
        """Rings for a grave alert that people are told of anew."""
        grave = [alert for alert in alerts if alert.severity == "danger" and alert.needs_a_person]
        newest = max(grave, key=lambda alert: alert.notified_at or 0, default=None)
        told_at = 0 if newest is None else newest.notified_at or 0
        before, self._alerted = self._alerted, max(told_at, self._alerted or 0)
        if newest is not None and before is not None and told_at > before:
            self._ring(newest.summary, monotonic)

    def _ring(self, words: str, monotonic: float) -> None:
        if self._rung is None or monotonic - self._rung >= QUIET_SECONDS:
            self._rung = monotonic
            self._write(f"\x07\x1b]9;{safe_title(f'Palyra: {words}')}\x07")
