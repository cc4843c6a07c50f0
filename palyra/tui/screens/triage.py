"""Home: what needs a person now. Requests with people waiting first, then others, then incidents, then alerts."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from palyra.control.incidents_queries import IncidentView
from palyra.control.queries import ApprovalDetail, ApprovalQuery
from palyra.control.snapshots import AlertView, ApprovalView, Snapshot, Topic
from palyra.control.text_queries import RunTexts, RunTextsQuery
from palyra.core.errors import PalyraError
from palyra.core.safe_text import safe
from palyra.core.values import value
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.commands.action import bindings
from palyra.tui.commands.alerts import ALERTS
from palyra.tui.commands.decide import ANSWERS
from palyra.tui.commands.explain import Explain
from palyra.tui.commands.general import EVERYWHERE
from palyra.tui.commands.incidents import INCIDENTS
from palyra.tui.commands.lists import LISTS, OPENING
from palyra.tui.details.alert import alert_lines, alert_preview
from palyra.tui.details.approval import approval_lines, approval_preview, waiting_words
from palyra.tui.details.days import days_of_requester, days_of_serving
from palyra.tui.details.incident import (
    incident_lines,
    incident_mark,
    incident_preview,
    mark_words,
    needs_a_person,
    state_words,
    summary_words,
)
from palyra.tui.details.teach import point_a_client_here
from palyra.tui.details.texts import text_lines
from palyra.tui.details.words import alert_mark, approval_mark, model_words, over_words
from palyra.tui.inquiry import Inquiry
from palyra.tui.screens.days import DaysBefore
from palyra.tui.screens.listing import ListScreen, Order
from palyra.tui.screens.story import IncidentStory
from palyra.tui.subjects import Subject
from palyra.tui.themes import Tone
from palyra.tui.widgets.columns import Column
from palyra.tui.widgets.lines import Line, muted, part
from palyra.tui.widgets.rows import CellValue, cell

COLUMNS = (
    Column("sign", safe(""), 1),
    Column("kind", safe("what"), 8, priority=1),
    Column("state", safe("state"), 10),
    Column("who", safe("who"), 10, flex=1, most=30),
    Column("model", safe("model"), 13, flex=1, most=34),
    Column("over", safe("over"), 9, align="right"),
    Column("budget", safe("budget"), 13, flex=1, most=30),
    Column("age", safe("age"), 6, align="right"),
)
FRESH_SECONDS = 5.0
"""How long what the journal said of a pending approval is good for."""
HERE = (*ANSWERS, *INCIDENTS, *ALERTS, Explain(), *OPENING)


def urgency(approval: ApprovalView) -> tuple[int, int]:
    """Requests with the most people waiting first, then the oldest."""
    return (-approval.waiting, approval.requested_at)


@value
class Known:
    """What the journal knows of an approval. `words` are those of its newest run; None where prompts are not shown."""

    detail: ApprovalDetail
    words: RunTexts | None = None


class RequesterHistory:
    """What the journal knows of the requester of one approval at a time."""

    def __init__(self, screen: ListScreen) -> None:
        self._screen = screen
        self._for: tuple[str, int] | None = None
        self._asked_at = 0.0
        self._answer: Known | None = None
        self._inquiry: Inquiry[Known] | None = None

    def look_up(self, approval: ApprovalView) -> None:
        """Asks once for each version of an approval, and of a pending one again now and then: budgets move on."""
        wanted = (approval.approval_id, approval.version)
        palyra = self._screen.palyra
        monotonic = palyra.clock.monotonic()
        fresh = approval.status != "pending" or monotonic - self._asked_at < FRESH_SECONDS
        if wanted == self._for and fresh:
            return
        self._for, self._asked_at = wanted, monotonic
        if self._inquiry is None:
            self._inquiry = Inquiry(palyra.spawn, self._apply, self._fail)
        self._inquiry.ask(lambda: self._read(approval))

    async def _read(self, approval: ApprovalView) -> Known:
        palyra = self._screen.palyra
        detail = await palyra.control.ask(ApprovalQuery(approval.approval_id))
        if not palyra.habits.show_prompts or not approval.run_ids:
            return Known(detail)
        return Known(detail, await palyra.control.ask(RunTextsQuery(approval.run_ids[-1])))

    def lines(self, approval: ApprovalView, width: int) -> list[Line]:
        """The approval with what is known of it."""
        screen, words = self._screen, None if self._answer is None else self._answer.words
        detail = self.of(approval)
        lines = approval_lines(approval, detail, screen.zone, screen.now, width)
        return lines if detail is None or words is None else [*lines, *text_lines(words, "prompt", width)]

    def of(self, approval: ApprovalView) -> ApprovalDetail | None:
        """The answer, if it is about this approval."""
        detail = None if self._answer is None else self._answer.detail
        return detail if detail is not None and detail.approval.approval_id == approval.approval_id else None

    def _apply(self, answer: Known) -> None:
        self._answer = answer
        self._screen.draw_detail()

    def _fail(self, error: PalyraError) -> None:
        self._for = None
        self._screen.flash(f"The requester's history could not be read: {error}", Tone.WARN)


class TriageScreen(ListScreen):
    """One list of all that waits for a person."""

    NAME = "triage"
    LABEL = "Triage"
    TOPICS: ClassVar[tuple[Topic, ...]] = (Topic.APPROVALS,)
    COLUMNS = COLUMNS
    FIELDS = ("what", "state", "who", "model", "budget", "session", "risk", "id", "kind", "text", "severity")
    ESSENTIAL = frozenset({"who", "model", "over", "budget"})
    ORDERS = (
        Order("urgency"),
        Order("age", "age", lambda item: _since(item)),
        Order("who", "who", lambda item: item.principal if isinstance(item, ApprovalView) else "~"),
    )
    ACTIONS = (*HERE, *LISTS, *EVERYWHERE)
    BINDINGS = bindings(ACTIONS)

    def __init__(self) -> None:
        super().__init__()
        self._history = RequesterHistory(self)
        self._story = IncidentStory(self)
        self._days = DaysBefore(self)
        self._needing = 0
        self._untold = 0
        """How many more there are than a snapshot carries."""

    def items(self, snapshot: Snapshot) -> Sequence[Subject]:
        asking = sorted((item for item in snapshot.approvals if item.status == "pending"), key=urgency)
        open_ones = sum(needs_a_person(incident, snapshot.at) for incident in snapshot.incidents)
        unlisted = max(0, snapshot.incidents_open - len(snapshot.incidents))
        waiting = max(len(asking), snapshot.approvals_pending)
        self._untold = waiting - len(asking) + unlisted
        self._needing = waiting + open_ones + unlisted + sum(alert.needs_a_person for alert in snapshot.alerts)
        return [*asking, *snapshot.incidents, *snapshot.alerts]

    def fields(self, subject: Subject) -> Mapping[str, str]:
        if isinstance(subject, ApprovalView):
            return {
                "what": "approval",
                "state": approval_mark(subject)[1],
                "who": subject.principal,
                "model": subject.model,
                "budget": " ".join(subject.policy_ids),
                "session": subject.session,
                "risk": subject.risk,
                "id": subject.approval_id,
            }
        if isinstance(subject, IncidentView):
            return {
                "what": "incident",
                "state": f"{subject.state} {state_words(subject, self.now)[0]}",
                "who": subject.assignee,
                "kind": subject.domain,
                "text": f"{subject.summary} {subject.cause}",
                "severity": subject.severity,
                "id": subject.incident_id,
            }
        assert isinstance(subject, AlertView)
        state = subject.severity if subject.needs_a_person else subject.state
        return {"what": "alert", "state": state, "kind": subject.kind, "text": subject.summary, "id": subject.alert_id}

    def cells_of(self, subject: Subject) -> tuple[CellValue, ...]:
        if isinstance(subject, ApprovalView):
            return approval_cells(subject, "approval", self.now)
        if isinstance(subject, IncidentView):
            return incident_cells(subject, self.now)
        assert isinstance(subject, AlertView)
        glyph, word, tone = alert_mark(subject)
        return (
            part(glyph, tone),
            part("alert", Tone.PLAIN if subject.needs_a_person else Tone.MUTED),
            part(word, tone),
            cell(part(subject.summary, Tone.PLAIN if subject.needs_a_person else Tone.MUTED), span=4),
            safe(""),
            safe(""),
            safe(""),
            muted(show.age(self.now - subject.first_seen)),
        )

    def detail(self, subject: Subject, width: int) -> list[Line]:
        if isinstance(subject, ApprovalView):
            return self._history.lines(subject, width)
        if isinstance(subject, IncidentView):
            return incident_lines(subject, self._story.of(subject), self.zone, self.now, width)
        assert isinstance(subject, AlertView)
        return alert_lines(subject, self.zone, self.now, width)

    def preview(self, subject: Subject, width: int) -> list[Line]:
        if isinstance(subject, ApprovalView):
            return approval_preview(subject, self._history.of(subject), self.now, width)
        if isinstance(subject, IncidentView):
            return incident_preview(subject, self._story.of(subject), self.zone, self.now, width)
        assert isinstance(subject, AlertView)
        return alert_preview(subject, self.zone, self.now, width)

    def beneath(self, subject: Subject, width: int, rows: int) -> list[Line]:
        """What the requester used in the days before, or what was asked of whom trouble is about."""
        if isinstance(subject, ApprovalView):
            days = days_of_requester(subject, self.house_zone)
        else:
            assert isinstance(subject, IncidentView | AlertView)
            days = days_of_serving(subject, self.house_zone)
        return self._days.lines(days, width, rows)

    def look_up(self, subject: Subject) -> None:
        if isinstance(subject, ApprovalView):
            self._history.look_up(subject)
        elif isinstance(subject, IncidentView):
            self._story.look_up(subject)

    def teach(self, snapshot: Snapshot) -> list[Line]:
        return point_a_client_here(snapshot.engine, self.size.width)

    def trail(self, subject: Subject) -> str:
        if isinstance(subject, AlertView):
            return subject.kind.replace("_", " ")
        if isinstance(subject, IncidentView):
            return f"incident {show.short_id(subject.incident_id)}"
        return show.short_id(subject.approval_id) if isinstance(subject, ApprovalView) else ""

    def found(self) -> str:
        return super().found() + (f", {self._untold:,} not looked through" if self._untold else "")

    def beyond(self) -> int:
        return super().beyond() + (0 if self.filter else self._untold)

    def summary(self) -> Line:
        if self.opened:
            subject = self.subject
            return waiting_words(subject, self.now) if isinstance(subject, ApprovalView) else ()
        need = f"{self._needing} {'needs' if self._needing == 1 else 'need'} you"
        return (muted(f"{need if self._needing else 'nothing needs you'} {glyphs.SEPARATOR} / filter"),)


def _since(subject: Subject) -> int:
    if isinstance(subject, ApprovalView):
        return subject.requested_at
    if isinstance(subject, IncidentView):
        return subject.opened_at
    return subject.first_seen if isinstance(subject, AlertView) else 0


def incident_cells(incident: IncidentView, now: int) -> tuple[CellValue, ...]:
    """An incident as a row of Triage: what is wrong over three columns, then what is done about it."""
    glyph, word, tone = incident_mark(incident, now)
    plain = Tone.PLAIN if needs_a_person(incident, now) else Tone.MUTED
    state, state_tone = state_words(incident, now)
    doing = " ".join(text for text in (incident.assignee, mark_words(incident)) if text)
    known = part(state, state_tone) if state != "open" else part(doing, Tone.MUTED)
    untouched = state == "open" and not doing
    return (
        part(glyph, tone),
        part("incident", plain),
        part(word, tone),
        cell(part(summary_words(incident), plain), span=4 if untouched else 3),
        safe(""),
        safe(""),
        known,
        muted(show.age(now - incident.opened_at)),
    )


def approval_cells(approval: ApprovalView, kind: str, now: int) -> tuple[CellValue, ...]:
    """An approval as a row: sign, kind, state, who, model, over, budget, age."""
    glyph, word, tone = approval_mark(approval)
    more = len(approval.policy_ids) - 1
    budget = approval.policy_ids[0] if approval.policy_ids else show.NONE
    end = approval.resolved_at if approval.resolved_at is not None else now
    return (
        part(glyph, tone),
        part(kind),
        part(word, tone if approval.waiting or approval.status != "pending" else Tone.MUTED),
        part(approval.principal),
        part(model_words(approval)),
        part(over_words(approval)),
        cell(part(budget), muted(f" +{more}")) if more > 0 else part(budget),
        muted(show.age(end - approval.requested_at)),
    )
