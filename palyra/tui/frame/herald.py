"""Tells the terminal what changed while nobody looks: bell, notification (OSC 9) and title with counts."""

from collections.abc import Callable

from palyra.control.snapshots import Snapshot
from palyra.core.safe_text import safe_title
from palyra.tui import format as show

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

    def open(self) -> None:
        """Keeps the terminal's title for later."""
        self._write(KEEP_TITLE)

    def close(self) -> None:
        self._write(GIVE_TITLE_BACK)

    def see(self, snapshot: Snapshot, monotonic: float) -> None:
        """Sets the title to the present counts; rings when there is more to decide than before."""
        counts = (snapshot.approvals_pending, snapshot.incidents_open)
        before, self._counts = self._counts, counts
        if counts == before:
            return
        title = safe_title(f"Palyra A {counts[0]} I {counts[1]}")
        self._write(f"\x1b]2;{title}\x07")
        grown = before is not None and (counts[0] > before[0] or counts[1] > before[1])
        if grown and (self._rung is None or monotonic - self._rung >= QUIET_SECONDS):
            self._rung = monotonic
            words = f"{show.plural(counts[0], 'approval')} and {show.plural(counts[1], 'incident')} wait for a person"
            self._write(f"\x07\x1b]9;{safe_title(f'Palyra: {words}')}\x07")
