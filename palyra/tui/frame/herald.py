"""Tells the terminal what changed while nobody looks: bell, notification (OSC 9) and title with counts."""

from collections.abc import Callable, Mapping

from palyra.config.operations import NoticeEvent, Switch
from palyra.control.notice_queries import NoticeView
from palyra.control.snapshots import Snapshot
from palyra.core.safe_text import MAX_TITLE, safe_title
from palyra.core.values import value

QUIET_SECONDS = 10.0
"""At most one bell in so long; what comes meanwhile is told together afterwards."""

KEEP_TITLE = "\x1b[22;2t"
GIVE_TITLE_BACK = "\x1b[23;2t"

_NO_NOTIFICATIONS = ("linux", "dumb", "vt")
"""What begins the names of terminals that would show a notification's text, or choke on it."""


@value
class Ringing:
    """Whether a console rings the bell, and whether it sends notifications."""

    bell: bool = True
    notification: bool = True


def ringing(bell: Switch, osc9: Switch, environ: Mapping[str, str]) -> Ringing:
    """As configured; by itself (`auto`) a terminal gets what it is not known to lack."""
    knows = not environ.get("TERM", "").startswith(_NO_NOTIFICATIONS)
    return Ringing(bell is not Switch.OFF, knows if osc9 is Switch.AUTO else osc9 is Switch.ON)


class Herald:
    """Writes to the terminal through `write`; every text of it is printable ASCII."""

    def __init__(self, write: Callable[[str], None], ringing: Ringing | None = None) -> None:
        self._write = write
        self._ringing = ringing or Ringing()
        self._counts: tuple[int, int] | None = None
        self._boot = ""
        self._heard: int | None = None
        """The number of the last notice that was seen; None before the first look."""
        self._owed: tuple[NoticeView, int] | None = None
        """The gravest notice that was not told yet, and how many there are."""
        self._rung: float | None = None

    def ring(self, ringing: Ringing) -> None:
        """From now on, this is what the terminal gets."""
        self._ringing = ringing

    def open(self) -> None:
        """Keeps the terminal's title for later."""
        self._write(KEEP_TITLE)

    def close(self) -> None:
        """Gives the terminal its title back."""
        self._write(GIVE_TITLE_BACK)

    def see(self, snapshot: Snapshot, monotonic: float) -> None:
        """Sets the title to the present counts; rings when people are told of something grave."""
        counts = (snapshot.approvals_pending, snapshot.incidents_open)
        before, self._counts = self._counts, counts
        if counts != before:
            title = safe_title(f"Palyra A {counts[0]} I {counts[1]}")
            self._write(f"\x1b]2;{title}\x07")
        self._listen(snapshot)
        self._ring(monotonic)

    def _listen(self, snapshot: Snapshot) -> None:
        """Takes up what is new; what was told before this console looked first is not."""
        first = self._heard is None
        if snapshot.engine.boot_id != self._boot:
            self._boot, self._heard = snapshot.engine.boot_id, 0
        heard = self._heard or 0
        self._heard = max((heard, *(notice.number for notice in snapshot.notices)))
        if first:
            return
        for notice in snapshot.notices:
            if notice.number > heard and notice.urgent:
                gravest, count = (notice, 0) if self._owed is None else self._owed
                self._owed = (max(gravest, notice, key=_weight), count + 1)

    def _ring(self, monotonic: float) -> None:
        if self._owed is None or (self._rung is not None and monotonic - self._rung < QUIET_SECONDS):
            return
        (notice, count), self._owed = self._owed, None
        self._rung = monotonic
        others = f" (+{count - 1})" if count > 1 else ""
        words = safe_title(f"Palyra: {notice.summary}")[: MAX_TITLE - len(others)] + others
        bell = "\x07" if self._ringing.bell else ""
        sent = f"\x1b]9;{words}\x07" if self._ringing.notification else ""
        if bell or sent:
            self._write(bell + sent)


_RANKS = {"low": 0, "medium": 1, "high": 2, "critical": 4}
_WAITED_FOR = 3
"""Somebody waits for a person: graver than all but the worst."""


def _weight(notice: NoticeView) -> tuple[int, int]:
    """The gravest one, of equal ones the newest."""
    asked = notice.event == NoticeEvent.APPROVAL_REQUESTED
    return (max(_RANKS.get(notice.severity, 0), _WAITED_FOR if asked else 0), notice.number)
