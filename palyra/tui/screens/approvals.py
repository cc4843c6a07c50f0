"""Approvals: who waits for a word, the grants in force, and what was decided."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import ClassVar

from palyra.control.queries import ApprovalsPage, ApprovalsQuery
from palyra.control.snapshots import ApprovalView, GrantView, Snapshot, Topic
from palyra.core.errors import PalyraError
from palyra.core.plural import plural
from palyra.core.safe_text import safe
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.commands.action import bindings
from palyra.tui.commands.decide import DECISIONS
from palyra.tui.commands.explain import Explain
from palyra.tui.commands.general import EVERYWHERE
from palyra.tui.commands.lists import LISTS, OPENING
from palyra.tui.details.approval import approval_preview, waiting_words
from palyra.tui.details.grant import grant_lines
from palyra.tui.details.teach import point_a_client_here
from palyra.tui.details.words import approval_mark, grant_mark, model_words, over_words, place_words, risk_tone
from palyra.tui.screens.listing import Order
from palyra.tui.screens.paging import PAGE, PagedScreen
from palyra.tui.screens.triage import RequesterHistory, urgency
from palyra.tui.subjects import Subject
from palyra.tui.themes import Tone
from palyra.tui.widgets.columns import Column
from palyra.tui.widgets.lines import Line, muted, part
from palyra.tui.widgets.rows import CellValue, cell
from palyra.tui.window import Page, Turn

COLUMNS = (
    Column("sign", safe(""), 1),
    Column("state", safe("state"), 10),
    Column("who", safe("who"), 10, flex=1, most=30),
    Column("session", safe("session"), 10, flex=1, most=24, priority=3),
    Column("model", safe("model"), 12, flex=1, most=34),
    Column("over", safe("over"), 9, align="right"),
    Column("risk", safe("risk"), 8, priority=2),
    Column("budget", safe("budget"), 12, flex=2, most=30),
    Column("left", safe("left"), 6, align="right"),
)


class ApprovalsScreen(PagedScreen[ApprovalView]):
    """Pending requests first, then grants in force, then what was decided, the newest request first; older ones come as
    the cursor nears the end."""

    NAME = "approvals"
    LABEL = "Approvals"
    WHAT = "Decided approvals"
    TOPICS: ClassVar[tuple[Topic, ...]] = (Topic.APPROVALS,)
    COLUMNS = COLUMNS
    FIELDS = ("state", "who", "session", "model", "risk", "budget", "id")
    ESSENTIAL = frozenset({"who", "model", "over", "budget"})
    ORDERS = (
        Order("urgency"),
        Order("who", "who", lambda item: item.principal),
        Order("over", "over", lambda item: item.excess if isinstance(item, ApprovalView) else 0, descending=True),
    )
    ACTIONS = (*DECISIONS, Explain(), *OPENING, *LISTS, *EVERYWHERE)
    BINDINGS = bindings(ACTIONS)

    def __init__(self) -> None:
        super().__init__()
        self._history = RequesterHistory(self)
        self._lately: dict[str, ApprovalView] = {}
        """Decided while this was in front: pages may be from before that."""
        self._stale = True
        """Whether more may have been decided than is known."""

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        self._stale = True

    def take(self, snapshot: Snapshot) -> None:
        self._lately.update((item.approval_id, item) for item in snapshot.approvals if item.status != "pending")
        super().take(snapshot)
        if (self._stale or len(self._lately) > PAGE) and not self.window.slid and not self.asking:
            self._stale = False
            self.begin()

    def begun(self) -> None:
        held = {item.approval_id for item in self.window}
        self._lately = {key: item for key, item in self._lately.items() if key not in held}

    def _unread(self, error: PalyraError) -> None:
        super()._unread(error)
        self._stale = True

    def fetcher(self, turn: Turn) -> Callable[[], Awaitable[Page[ApprovalView]]]:
        ask, query = self.palyra.control.ask, ApprovalsQuery("resolved", PAGE, turn.cursor, turn.upward)

        async def fetched() -> Page[ApprovalView]:
            page: ApprovalsPage = await ask(query)
            return Page(page.approvals, page.next_cursor, page.newer_cursor)

        return fetched

    def beside(self) -> int:
        snapshot = self.snapshot
        return 0 if snapshot is None else len(snapshot.approvals) + len(snapshot.grants)

    def items(self, snapshot: Snapshot) -> Sequence[Subject]:
        if self.window.slid:
            return list(self.window)
        known = {item.approval_id: item for item in self.window} | self._lately
        known.update((item.approval_id, item) for item in snapshot.approvals)
        asking = sorted((item for item in known.values() if item.status == "pending"), key=urgency)
        # As the journal pages them: by when they were asked for.
        decided = sorted((item for item in known.values() if item.status != "pending"), key=_newest_first)
        return [*asking, *(grant for grant in snapshot.grants if grant.state == "active"), *decided]

    def fields(self, subject: Subject) -> Mapping[str, str]:
        if isinstance(subject, GrantView):
            return {
                "state": "grant",
                "who": subject.principal,
                "session": subject.session,
                "budget": subject.policy_id,
                "id": subject.grant_id,
            }
        assert isinstance(subject, ApprovalView)
        return {
            "state": approval_mark(subject)[1],
            "who": subject.principal,
            "session": subject.session,
            "model": subject.model,
            "risk": subject.risk,
            "budget": " ".join(subject.policy_ids),
            "id": subject.approval_id,
        }

    def cells_of(self, subject: Subject) -> tuple[CellValue, ...]:
        if isinstance(subject, GrantView):
            return self._grant_cells(subject)
        assert isinstance(subject, ApprovalView)
        glyph, word, tone = approval_mark(subject)
        pending = subject.status == "pending"
        more = len(subject.policy_ids) - 1
        budget = subject.policy_ids[0] if subject.policy_ids else show.NONE
        plain = Tone.PLAIN if pending else Tone.MUTED
        left = show.stopwatch(subject.expires_at - self.now) if pending else self._when(subject)
        return (
            part(glyph, tone),
            part(word, tone),
            part(subject.principal, plain),
            part(place_words(subject), Tone.MUTED),
            part(model_words(subject), plain),
            part(over_words(subject), plain),
            part(subject.risk, risk_tone(subject.risk) if pending else Tone.MUTED),
            cell(part(budget, plain), muted(f" +{more}")) if more > 0 else part(budget, plain),
            muted(left),
        )

    def _when(self, approval: ApprovalView) -> str:
        return "" if approval.resolved_at is None else f"-{show.span(self.now - approval.resolved_at)}"

    def _grant_cells(self, grant: GrantView) -> tuple[CellValue, ...]:
        glyph, word, tone = grant_mark(grant)
        used = f"{show.quantity(grant.metric_kind, grant.drawn)} of {show.quantity(grant.metric_kind, grant.cap)}"
        left = "" if grant.expires_at is None else show.span(grant.expires_at - self.now)
        return (
            part(glyph, tone),
            part(word, tone),
            part(grant.principal),
            part(grant.session or "any", Tone.MUTED),
            cell(part(grant.kind), muted(f"  {used}"), span=3),
            safe(""),
            safe(""),
            part(grant.policy_id),
            muted(left),
        )

    def detail(self, subject: Subject, width: int) -> list[Line]:
        if isinstance(subject, GrantView):
            return grant_lines(subject, self.zone, self.now, width)
        assert isinstance(subject, ApprovalView)
        return self._history.lines(subject, width)

    def preview(self, subject: Subject, width: int) -> list[Line]:
        if isinstance(subject, ApprovalView) and subject.status == "pending":
            return approval_preview(subject, self._history.of(subject), self.now, width)
        return []

    def look_up(self, subject: Subject) -> None:
        if isinstance(subject, ApprovalView) and (self.opened or self.wide or subject.status == "pending"):
            self._history.look_up(subject)

    def teach(self, snapshot: Snapshot) -> list[Line]:
        return point_a_client_here(snapshot.engine, self.size.width)

    def trail(self, subject: Subject) -> str:
        if isinstance(subject, GrantView):
            return f"grant {show.short_id(subject.grant_id)}"
        return show.short_id(subject.approval_id) if isinstance(subject, ApprovalView) else ""

    def summary(self) -> Line:
        subject = self.subject
        if self.opened and isinstance(subject, ApprovalView):
            return waiting_words(subject, self.now)
        snapshot = self.snapshot
        if snapshot is None:
            return ()
        grants = sum(grant.state == "active" for grant in snapshot.grants)
        text = f"{snapshot.approvals_pending} pending {glyphs.SEPARATOR} {plural(grants, 'grant')} in force"
        older = f"{glyphs.SEPARATOR} older ones {self.position}".rstrip() if self.window.slid else ""
        return (muted(f"{text} {older}".rstrip()),)


def _newest_first(approval: ApprovalView) -> tuple[int, str]:
    return -approval.requested_at, approval.approval_id
