"""Audit: what people and Palyra did, newest first, and whether the chain that vouches for it is whole."""

from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar

from palyra.control.audit_queries import AuditEntry, AuditLogPage, AuditLogQuery, told_data
from palyra.control.queries import AuditAnswer
from palyra.control.snapshots import Snapshot, Topic
from palyra.core.plural import plural
from palyra.core.safe_text import safe
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.audit_filter import ALSO_CALLED, FIELDS, narrowed
from palyra.tui.commands.action import bindings
from palyra.tui.commands.audit import AUDIT
from palyra.tui.commands.general import EVERYWHERE
from palyra.tui.commands.lists import LISTS, OPENING
from palyra.tui.details.audit import audit_lines
from palyra.tui.dialogs.export import AuditExport, ExportDialog
from palyra.tui.screens.listing import Order
from palyra.tui.screens.paging import PAGE, PagedScreen
from palyra.tui.subjects import Subject
from palyra.tui.themes import Tone
from palyra.tui.verifying import Verifying
from palyra.tui.widgets.columns import Column
from palyra.tui.widgets.lines import BLANK, Line, line, muted, part, wrap
from palyra.tui.widgets.rows import CellValue
from palyra.tui.window import Page, Turn

COLUMNS = (
    Column("at", safe("at"), 10),
    Column("who", safe("who"), 10, flex=1, most=26),
    Column("what", safe("what"), 20, flex=1, most=30),
    Column("subject", safe("to"), 11, flex=1, most=28),
    Column("told", safe("told"), 10, flex=3, priority=1),
    Column("seq", safe("entry"), 8, align="right", priority=2),
)
PREVIEW_LINES = 4


class AuditScreen(PagedScreen[AuditEntry]):
    """The newest entries come by themselves, older ones as the cursor nears the end. The journal filters them."""

    NAME = "audit"
    LABEL = "Audit"
    WHAT = "The audit"
    TOPICS: ClassVar[tuple[Topic, ...]] = ()
    COLUMNS = COLUMNS
    FIELDS = FIELDS
    ALSO_FIELDS = tuple(ALSO_CALLED)
    ORDERS = (
        Order("newest"),
        Order("who", "who", lambda entry: entry.actor),
        Order("what", "what", lambda entry: (entry.kind, entry.verb)),
    )
    ACTIONS = (*AUDIT, *OPENING, *LISTS, *EVERYWHERE)
    BINDINGS = bindings(ACTIONS)

    def __init__(self) -> None:
        super().__init__()
        self.deeds = True
        """Without the decisions about requests."""
        self.verdict: AuditAnswer | None = None
        self._verified_at = 0
        self._check: Verifying | None = None
        self._known_version = -1

    # Asking.

    def take(self, snapshot: Snapshot) -> None:
        super().take(snapshot)
        if snapshot.version != self._known_version and not self.asking:
            self._known_version = snapshot.version
            newest = next(iter(self.window), None)
            if newest is None:
                self.begin()
            else:
                self.look_for_newer(str(newest.seq))

    def show_decisions(self, shown: bool) -> None:
        """Lists decisions about requests too, or leaves them out."""
        self.deeds = not shown
        self.begin()

    def fetcher(self, turn: Turn) -> Callable[[], Awaitable[Page[AuditEntry]]]:
        ask, query = self.palyra.control.ask, self._query(turn)

        async def fetched() -> Page[AuditEntry]:
            page: AuditLogPage = await ask(query)
            entries = page.entries
            if turn.upward:
                older = str(entries[-1].seq) if entries and turn.cursor else ""
                return Page(entries, older, "" if page.next_after is None else str(page.next_after))
            newer = str(entries[0].seq) if entries and turn.cursor else ""
            return Page(entries, "" if page.next_before is None else str(page.next_before), newer)

        return fetched

    def _query(self, turn: Turn) -> AuditLogQuery:
        wanted = narrowed(self.filter.terms, self.now)
        border = int(turn.cursor) if turn.cursor else 0
        return AuditLogQuery(
            deeds=self.deeds,
            since=wanted.since,
            until=wanted.until,
            before=border or None if not turn.upward else None,
            after=border if turn.upward else None,
            terms=wanted.terms,
            limit=PAGE,
        )

    def passes(self, subject: Subject) -> bool:
        """What the window holds is what was asked for."""
        return True

    def leave_filter(self) -> None:
        super().leave_filter()
        fault = narrowed(self.filter.terms, self.now).fault
        if fault:
            self.flash(fault, Tone.WARN)

    def verify(self) -> None:
        """Follows the whole chain beside the screen; what it says stays in the title."""
        if self._check is None:
            palyra = self.palyra
            self._check = Verifying(
                palyra.control, palyra.spawn, palyra.clock, self._show_verdict, self._unread, self.refresh_frame
            )
        self._check.begin()
        self.flash("Following the chain from its first entry; you can go on working.")

    @property
    def verifying(self) -> bool:
        """Whether the chain is being followed."""
        return self._check is not None and self._check.under_way

    @property
    def can_go_back(self) -> bool:
        return super().can_go_back or self.verifying

    def go_back(self) -> None:
        """One step back: out of what is open, then out of a check that is under way."""
        if super().can_go_back or self._check is None:
            super().go_back()
        else:
            self._check.stop()
            self.flash("The check was stopped; it says nothing of the chain.")

    def _show_verdict(self, answer: AuditAnswer) -> None:
        self.verdict, self._verified_at = answer, self.now
        broken = "" if answer.first_bad is None else f"Broken at entry {answer.first_bad:,} of "
        said = f"{broken}{plural(answer.rows, 'entry', 'entries')}: {answer.message}."
        self.flash(said, Tone.GOOD if answer.ok else Tone.BAD)
        self.forget_rows()
        self.redraw()

    # Drawing.

    def items(self, snapshot: Snapshot) -> Sequence[Subject]:
        return list(self.window)

    def cells_of(self, subject: Subject) -> tuple[CellValue, ...]:
        assert isinstance(subject, AuditEntry)
        what = f"{subject.kind} {subject.verb}".strip().replace("_", " ")
        own, bad = subject.actor == "palyra", subject.seq == self._first_bad
        return (
            part(show.moment(subject.at, self.zone, self.now), Tone.MUTED),
            part(subject.actor, Tone.MUTED if own else Tone.ACCENT),
            part(f"{glyphs.BAD} {what}", Tone.BAD) if bad else part(what),
            part(show.short_id(subject.subject) if len(subject.subject) == 26 else subject.subject),
            part(told_data(subject), Tone.MUTED),
            part(f"{subject.seq:,}", Tone.BAD if bad else Tone.MUTED),
        )

    def detail(self, subject: Subject, width: int) -> list[Line]:
        assert isinstance(subject, AuditEntry)
        fault = self.verdict.message if self.verdict is not None and subject.seq == self._first_bad else ""
        return audit_lines(subject, fault, self.zone, width)

    @property
    def _first_bad(self) -> int | None:
        """The entry from which on the chain cannot be trusted."""
        return None if self.verdict is None else self.verdict.first_bad

    def preview(self, subject: Subject, width: int) -> list[Line]:
        assert isinstance(subject, AuditEntry)
        whole = f"{subject.actor}: {subject.kind} {subject.verb}".strip().replace("_", " ")
        told = wrap(told_data(subject), width - 1, indent=" ", tone=Tone.MUTED)
        return [line(" ", part(whole), muted(f"  {subject.subject}")), *told[:PREVIEW_LINES]]

    def teach(self, snapshot: Snapshot) -> list[Line]:
        return [
            BLANK,
            line(" ", part("Nothing is written down yet.")),
            line(" ", muted("What people decide, edit and repair comes here, each entry with a digest")),
            line(" ", muted("that vouches for it and for all before it.")),
        ]

    def trail(self, subject: Subject) -> str:
        return f"entry {subject.seq:,}" if isinstance(subject, AuditEntry) else ""

    def summary(self) -> Line:
        what = "" if self.deeds else f"with decisions {glyphs.SEPARATOR} "
        shown = muted(f"{what}{self.found()}")
        if self._check is not None and self._check.under_way:
            return self._check.line()
        if self.verdict is None:
            return (muted(f"not verified {glyphs.SEPARATOR} "), shown)
        word = f"chain {'whole' if self.verdict.ok else 'broken'} at {show.clock(self._verified_at, self.zone)}"
        return (part(word, Tone.GOOD if self.verdict.ok else Tone.BAD), muted(f" {glyphs.SEPARATOR} "), shown)

    # Exporting.

    def export_dialog(self) -> ExportDialog:
        """Asks how the audit is to be written out."""
        assert self.snapshot is not None, "offered only with entries at hand"
        palyra, window = self.palyra, self.window
        total = len(window) if window.complete and not window.slid else max(entry.seq for entry in window)
        work = AuditExport(palyra.control, self._query(Turn()), total, self.filter.text)
        return ExportDialog(work, palyra.spawn, palyra.clock, palyra.copy, state_dir=self.snapshot.engine.state_dir)
