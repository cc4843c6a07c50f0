"""The part of the audit chain that a list holds: it slides to older entries and back, and never leaves a gap."""

from collections.abc import Sequence

from palyra.control.audit_queries import AuditEntry, AuditLogPage, AuditLogQuery

PAGE = 100


class AuditWindow:
    """At most `most` entries. `older` is what the next older page comes before, None at the beginning of the chain;
    `slid`: there are newer ones that were let go."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.deeds = True
        """Without the decisions about requests."""
        self.age = 0
        """Counts beginnings anew: an answer to a question from before one is of no use."""
        self.older: int | None = None
        self.slid = False
        self._entries: dict[int, AuditEntry] = {}
        self._head = 0
        self._reach = 0
        """Up to which number nothing newer than what is held was found."""

    def begin_anew(self) -> None:
        self.age += 1
        self._entries, self.older, self.slid = {}, None, False

    @property
    def entries(self) -> list[AuditEntry]:
        """Newest first."""
        return [self._entries[seq] for seq in sorted(self._entries, reverse=True)]

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def newest(self) -> int:
        return max(self._entries, default=0)

    # What is asked.

    def ask_newest(self) -> AuditLogQuery:
        return AuditLogQuery(deeds=self.deeds, limit=PAGE)

    def ask_older(self) -> AuditLogQuery:
        return AuditLogQuery(deeds=self.deeds, before=self.older, limit=PAGE)

    def ask_newer(self) -> AuditLogQuery:
        """Numbers have no gaps, so that a page holds all there are in as many numbers."""
        return AuditLogQuery(deeds=self.deeds, before=max(self._reach, self.newest) + PAGE + 1, limit=PAGE)

    # What came.

    def add_newest(self, page: AuditLogPage) -> None:
        """The newest page there is; only noted while the window lies further down."""
        self._head = max(self._head, *(entry.seq for entry in page.entries), 0)
        if self.slid:
            return
        oldest = min((entry.seq for entry in page.entries), default=0)
        if not self._entries or (oldest > self.newest and page.next_before is not None):
            # Nothing is known yet, or so much came that what is known lies behind a gap.
            self._entries, self.older = {}, page.next_before
        self._take(page.entries)
        self._let_go_of_oldest()

    def add_older(self, page: AuditLogPage) -> None:
        self._head = max(self._head, self.newest)
        self._take(page.entries)
        self.older = page.next_before
        for seq in sorted(self._entries, reverse=True)[: max(0, len(self) - self._most)]:
            del self._entries[seq]
            self.slid, self._reach = True, 0

    def add_newer(self, page: AuditLogPage) -> bool:
        """Whether there is anything left to ask for: there may be nothing of its kind in many numbers."""
        reached = max(self._reach, self.newest) + PAGE
        fresh = [entry for entry in page.entries if entry.seq > self.newest]
        self._take(fresh)
        self._let_go_of_oldest()
        self._reach = 0 if fresh else reached
        if max(self.newest, self._reach) >= self._head:
            self.slid = False
            return False
        return not fresh

    def _take(self, entries: Sequence[AuditEntry]) -> None:
        self._entries.update((entry.seq, entry) for entry in entries)

    def _let_go_of_oldest(self) -> None:
        for seq in sorted(self._entries)[: max(0, len(self) - self._most)]:
            del self._entries[seq]
            self.older = min(self._entries)
