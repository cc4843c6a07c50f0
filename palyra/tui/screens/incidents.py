"""Incidents: what went wrong and what is done about it; beside it the heartbeats of all work, and dead letters."""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from palyra.control.commands import Command
from palyra.control.incidents_queries import (
    HealingView,
    IncidentsPage,
    IncidentsQuery,
    IncidentStats,
    IncidentStatsQuery,
    IncidentView,
)
from palyra.control.notice_queries import (
    DeadLettersPage,
    DeadLettersQuery,
    DeliveryView,
    HeartbeatsPage,
    HeartbeatsQuery,
    HeartbeatView,
)
from palyra.control.snapshots import Snapshot, Topic
from palyra.core.errors import PalyraError
from palyra.core.plural import plural
from palyra.core.safe_text import safe
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.commands.action import bindings
from palyra.tui.commands.general import EVERYWHERE
from palyra.tui.commands.healing import HEALING
from palyra.tui.commands.incidents import INCIDENTS
from palyra.tui.commands.lists import LISTS, OPENING
from palyra.tui.details.incident import (
    incident_lines,
    incident_mark,
    incident_preview,
    mark_words,
    needs_a_person,
    severity_part,
    state_words,
    summary_words,
)
from palyra.tui.details.measures import means_line
from palyra.tui.details.notices import beat_lines, beat_mark, letter_lines, work_words
from palyra.tui.inquiry import Inquiry
from palyra.tui.screens.listing import ListScreen, Order
from palyra.tui.screens.story import IncidentStory
from palyra.tui.subjects import Subject
from palyra.tui.themes import Tone
from palyra.tui.widgets.columns import Column
from palyra.tui.widgets.lines import BLANK, Line, Part, line, muted, part, strong
from palyra.tui.widgets.live_table import MAX_ROWS
from palyra.tui.widgets.rows import CellValue, cell

View = Literal["incidents", "heartbeats", "letters"]
COLUMNS = (
    Column("sign", safe(""), 1),
    Column("severity", safe("severity"), 8),
    Column("state", safe("state"), 8),
    Column("summary", safe("what"), 34, flex=6, most=120),
    Column("owner", safe("owner"), 8, flex=1, most=16, priority=1),
    Column("times", safe("times"), 6, align="right"),
    Column("age", safe("age"), 6, align="right"),
)
BEATS = (
    Column("sign", safe(""), 1),
    Column("state", safe("state"), 8),
    Column("work", safe("work"), 15),
    Column("name", safe("name"), 12, flex=2, most=40),
    Column("phase", safe("phase"), 8, flex=1, most=16, priority=1),
    Column("summary", safe("doing"), 10, flex=3, most=80, priority=2),
    Column("beat", safe("beat"), 6, align="right"),
    Column("advanced", safe("moved"), 6, align="right"),
)
LETTERS = (
    Column("sign", safe(""), 1),
    Column("severity", safe("severity"), 8),
    Column("webhook", safe("webhook"), 12, flex=1, most=24),
    Column("summary", safe("what"), 20, flex=3, most=120),
    Column("why", safe("why"), 10, flex=2, most=60, priority=1),
    Column("tries", safe("tries"), 5, align="right"),
    Column("age", safe("age"), 6, align="right"),
)
_LAYOUTS: dict[View, tuple[Column, ...]] = {"incidents": COLUMNS, "heartbeats": BEATS, "letters": LETTERS}
_LABELS: dict[View, str] = {"heartbeats": "heartbeats", "letters": "dead letters"}
_VIEWS: dict[str, View] = {"heartbeat": "heartbeats", "letter": "letters"}
"""In which list things of a kind stand; all others are incidents."""
_RANKS = {"critical": 0, "high": 1, "medium": 2, "low": 3}
_STATES = {"failing": 0, "silent": 0, "stalled": 1}
STATS_FRESH_MS = 60_000
FRESH_MS = 5_000
"""How old an answer about what a snapshot does not carry may be while nothing changes."""


class IncidentsScreen(ListScreen):
    """Critical and unacknowledged first, what was put away last, resolved ones after that."""

    NAME = "incidents"
    LABEL = "Incidents"
    TOPICS: ClassVar[tuple[Topic, ...]] = ()
    COLUMNS = COLUMNS
    FIELDS = ("state", "severity", "domain", "assignee", "text", "about", "id")
    ORDERS = (
        Order("urgency"),
        Order("age", "age", lambda item: -_since(item)),
        Order("severity", "severity", lambda item: _rank(item)),
        Order("times", "times", lambda item: -_times(item)),
    )
    ACTIONS = (*INCIDENTS, *HEALING, *OPENING, *LISTS, *EVERYWHERE)
    BINDINGS = bindings(ACTIONS)

    def __init__(self) -> None:
        super().__init__()
        self.view: View = "incidents"
        self._story = IncidentStory(self)
        self._page: IncidentsPage | None = None
        self._beats: HeartbeatsPage | None = None
        self._letters: DeadLettersPage | None = None
        self._asked_for: tuple[object, ...] | None = None
        self._inquiry: Inquiry[IncidentsPage | HeartbeatsPage | DeadLettersPage] | None = None
        self._stats: IncidentStats | None = None
        self._stats_at: int | None = None
        self._measuring: Inquiry[IncidentStats] | None = None

    # What the snapshot does not carry.

    @property
    def healing(self) -> HealingView | None:
        """How the loop stands; None while nobody has told."""
        return None if self._page is None else self._page.healing

    def take(self, snapshot: Snapshot) -> None:
        super().take(snapshot)
        self._look(snapshot)
        self._measure(snapshot)

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        self._asked_for = None

    async def send(self, command: Command) -> None:
        await super().send(command)
        self._asked_for = None

    def _look(self, snapshot: Snapshot) -> None:
        """Asks for the page in view: anew when an incident changed, else every few seconds; heartbeats go on all the
        time."""
        versions = tuple((one.incident_id, one.version) for one in snapshot.incidents)
        lasting = 1_000 if self.view == "heartbeats" else FRESH_MS
        wanted = (self.view, versions, snapshot.at // lasting)
        if wanted == self._asked_for:
            return
        self._asked_for = wanted
        if self._inquiry is None:
            self._inquiry = Inquiry(self.palyra.spawn, self._apply, self._fail)
        control = self.palyra.control
        match self.view:
            case "incidents":
                self._inquiry.ask(lambda: control.ask(IncidentsQuery(state="", limit=MAX_ROWS)))
            case "heartbeats":
                self._inquiry.ask(lambda: control.ask(HeartbeatsQuery(limit=MAX_ROWS)))
            case "letters":
                self._inquiry.ask(lambda: control.ask(DeadLettersQuery(limit=MAX_ROWS)))

    def _measure(self, snapshot: Snapshot) -> None:
        """Asks for the means of a week, where there is room for them, once a minute."""
        if not self.wide or self._stats_at == snapshot.at // STATS_FRESH_MS:
            return
        self._stats_at = snapshot.at // STATS_FRESH_MS
        if self._measuring is None:
            self._measuring = Inquiry(self.palyra.spawn, self._measured, self._fail)
        control = self.palyra.control
        self._measuring.ask(lambda: control.ask(IncidentStatsQuery()))

    def _measured(self, stats: IncidentStats) -> None:
        self._stats = stats
        self.redraw()

    def _apply(self, page: IncidentsPage | HeartbeatsPage | DeadLettersPage) -> None:
        match page:
            case IncidentsPage():
                self._page = page
            case HeartbeatsPage():
                self._beats = page
            case DeadLettersPage():
                self._letters = page
        self.redraw()

    def _fail(self, error: PalyraError) -> None:
        self._asked_for = None
        self.flash(f"It could not be read: {error}", Tone.WARN)

    def show_view(self, view: View) -> None:
        """Lists incidents, heartbeats or dead letters."""
        if self.opened:
            self.close_detail()
        self.view = view
        self.forget_rows()
        self.table.set_columns(_LAYOUTS[view], ())
        if self.snapshot is not None:
            self._look(self.snapshot)
        self.redraw()

    @property
    def can_go_back(self) -> bool:
        return super().can_go_back or self.view != "incidents"

    def go_back(self) -> None:
        if super().can_go_back:
            super().go_back()
        else:
            self.show_view("incidents")

    def find(self, key: str) -> None:
        """Selects a thing in the list that it belongs to."""
        wanted = _VIEWS.get(key.partition(":")[0], "incidents")
        if wanted != self.view:
            self.show_view(wanted)
        super().find(key)

    def unknown(self) -> list[IncidentView]:
        """Those listed that wait for somebody to take note."""
        listed = [one for one in self._subjects.values() if isinstance(one, IncidentView)]
        return [one for one in listed if needs_a_person(one, self.now)]

    # The list.

    def items(self, snapshot: Snapshot) -> Sequence[Subject]:
        if self.view == "heartbeats":
            beats = () if self._beats is None else self._beats.heartbeats
            return sorted(beats, key=lambda beat: _STATES.get(beat.state, 2))
        if self.view == "letters":
            return () if self._letters is None else self._letters.letters
        live = {one.incident_id: one for one in snapshot.incidents}
        more = () if self._page is None else self._page.incidents
        # A snapshot carries the most urgent ones; a page may be older than it.
        full = snapshot.incidents_open > len(live)
        rest = [one for one in more if one.incident_id not in live and (full or not one.live)]
        return [*live.values(), *rest]

    def fields(self, subject: Subject) -> Mapping[str, str]:
        if isinstance(subject, IncidentView):
            return {
                "state": f"{subject.state} {state_words(subject, self.now)[0]} {mark_words(subject)}",
                "severity": subject.severity,
                "domain": f"{subject.domain} {subject.feature}",
                "assignee": subject.assignee or "nobody",
                "text": f"{subject.summary} {subject.cause}",
                "about": " ".join((subject.key, *subject.related.values())),
                "id": subject.incident_id,
            }
        if isinstance(subject, HeartbeatView):
            return {
                "state": subject.state,
                "domain": work_words(subject),
                "assignee": subject.principal,
                "text": f"{subject.summary} {subject.phase}",
                "id": subject.object_id,
            }
        assert isinstance(subject, DeliveryView)
        return {
            "severity": subject.severity,
            "domain": subject.webhook,
            "text": f"{subject.summary} {subject.error}",
            "about": subject.subject,
            "id": subject.delivery_id,
        }

    def cells_of(self, subject: Subject) -> tuple[CellValue, ...]:
        if isinstance(subject, IncidentView):
            return self._incident_cells(subject)
        if isinstance(subject, HeartbeatView):
            return self._beat_cells(subject)
        assert isinstance(subject, DeliveryView)
        status = "no answer" if subject.status is None else f"HTTP {subject.status}"
        return (
            part(glyphs.BAD, Tone.BAD),
            part(subject.severity, Tone.MUTED),
            part(subject.webhook),
            part(subject.summary),
            part(f"{status} {subject.error}", Tone.WARN),
            part(f"{subject.tries}", Tone.MUTED),
            muted(show.age(self.now - (subject.ended_at or subject.at))),
        )

    def _incident_cells(self, incident: IncidentView) -> tuple[CellValue, ...]:
        glyph, word, tone = incident_mark(incident, self.now)
        state, state_tone = state_words(incident, self.now)
        plain = Tone.PLAIN if needs_a_person(incident, self.now) or incident.state == "remediating" else Tone.MUTED
        below = f"{incident.children:,} below" if incident.children else ""
        marks = " ".join(text for text in (below, mark_words(incident)) if text)
        end = incident.resolved_at if incident.resolved_at is not None else self.now
        age = end - incident.opened_at if incident.live else self.now - (incident.resolved_at or incident.updated_at)
        return (
            part(glyph, tone),
            part(word, tone),
            part(state, state_tone if incident.live else Tone.MUTED),
            cell(*([part(f"{marks} ", Tone.WARN)] if marks else []), part(summary_words(incident), plain)),
            part(incident.assignee or show.NONE, plain if incident.assignee else Tone.MUTED),
            part(f"×{incident.occurrences:,}", Tone.MUTED),
            muted(show.age(age)),
        )

    def _beat_cells(self, beat: HeartbeatView) -> tuple[CellValue, ...]:
        glyph, word, tone = beat_mark(beat)
        well = beat.state == "healthy"
        return (
            part(glyph, tone),
            part(word, tone),
            part(work_words(beat), Tone.MUTED if well else Tone.PLAIN),
            part(f"{beat.principal} {beat.object_id}".strip()),
            part(beat.phase or show.NONE, Tone.MUTED),
            part(beat.summary, Tone.MUTED),
            part(show.age(beat.age_ms), Tone.MUTED if well else tone),
            muted(show.age(beat.progress_age_ms)),
        )

    # One in full.

    def detail(self, subject: Subject, width: int) -> list[Line]:
        if isinstance(subject, IncidentView):
            return incident_lines(subject, self._story.of(subject), self.zone, self.now, width)
        if isinstance(subject, HeartbeatView):
            return beat_lines(subject, width)
        assert isinstance(subject, DeliveryView)
        return letter_lines(subject, self.zone, self.now, width)

    def preview(self, subject: Subject, width: int) -> list[Line]:
        if isinstance(subject, IncidentView):
            return incident_preview(subject, self._story.of(subject), self.zone, self.now, width)
        return []

    def look_up(self, subject: Subject) -> None:
        if isinstance(subject, IncidentView):
            self._story.look_up(subject)

    def teach(self, snapshot: Snapshot) -> list[Line]:
        if self.view == "heartbeats":
            return [
                line(
                    " ", strong("No work beats now. "), muted("Runs, tasks and jobs do by themselves while they live.")
                ),
                BLANK,
                line(" ", muted("A worker of your own is watched once it says that it lives:")),
                BLANK,
                line("   ", part("POST /console/v1/heartbeats", Tone.ACCENT)),
            ]
        if self.view == "letters":
            return [line(" ", strong("No dead letters. "), muted("Webhooks took all that they were told."))]
        return [
            line(" ", strong("No incidents. "), muted("What hangs, falls silent or fails again and again shows here.")),
            BLANK,
            line(" ", part("h", Tone.ACCENT, bold=True), muted("  shows the heartbeats of all work")),
            line(" ", part("D", Tone.ACCENT, bold=True), muted("  shows notifications that nobody took")),
            line(" ", part("M", Tone.ACCENT, bold=True), muted("  says what may be done about trouble by itself")),
            line(" ", part("t", Tone.ACCENT, bold=True), muted("  tells how soon it was found, taken up and ended")),
        ]

    def trail(self, subject: Subject) -> str:
        if isinstance(subject, IncidentView):
            return show.short_id(subject.incident_id)
        if isinstance(subject, HeartbeatView):
            return subject.object_id
        return show.short_id(subject.delivery_id) if isinstance(subject, DeliveryView) else ""

    def title_left(self) -> Line:
        parts = super().title_left()
        if self.view == "incidents" or self.opened:
            return parts
        return (*parts, muted(f" {glyphs.TRAIL} "), part(_LABELS[self.view]))

    def beyond(self) -> int:
        pages = {"incidents": self._page, "heartbeats": self._beats, "letters": self._letters}
        page = pages[self.view]
        return super().beyond() + (0 if page is None or self.filter else max(0, page.total - self._listed))

    def summary(self) -> Line:
        if self.view == "heartbeats":
            beats = () if self._beats is None else self._beats.heartbeats
            unwell = sum(beat.state != "healthy" for beat in beats)
            total = 0 if self._beats is None else self._beats.total
            return (muted(plural(total, "heartbeat")), *self._further(part(f"{unwell} unwell", Tone.WARN), unwell))
        if self.view == "letters":
            page = self._letters
            failing = () if page is None else tuple(hook.name for hook in page.webhooks if hook.failing)
            total = 0 if page is None else page.total
            words = part(f"failing: {', '.join(failing)}", Tone.WARN)
            return (muted(plural(total, "dead letter")), *self._further(words, len(failing)))
        return () if self.opened else self._counts()

    def _counts(self) -> Line:
        """How many are open by severity, the modes that differ, the circuits that are open."""
        page = self._page
        parts: list[Part] = []
        if page is None:
            return ()
        for severity in reversed(page.open):
            if page.open[severity]:
                parts += [*([muted(", ")] if parts else []), severity_part(severity, page.open[severity])]
        parts = parts or [muted("none open")]
        if page.healing is not None:
            parts += [muted(f" {glyphs.SEPARATOR} "), *_mode_words(page.healing)]
            circuits = [name for name, until in page.healing.circuits.items() if until > self.now]
            parts += self._further(part(f"circuit open: {', '.join(circuits)}", Tone.BAD), len(circuits))
            if page.healing.suspended_until is not None and page.healing.suspended_until > self.now:
                parts += self._further(part("judging suspended", Tone.WARN), 1)
        means = means_line(self._stats) if self._stats is not None and self.wide else ()
        return (*parts, *([muted(f" {glyphs.SEPARATOR} ")] if means else []), *means)

    @staticmethod
    def _further(piece: Part, count: int) -> Line:
        """A further part of a summary, if there is anything to tell."""
        return (muted(f" {glyphs.SEPARATOR} "), piece) if count else ()


def _mode_words(healing: HealingView) -> Line:
    """The mode that most features have, and those that have another one."""
    modes = list(healing.modes.values())
    usual = max(dict.fromkeys(modes), key=modes.count) if modes else ""
    others = [f"{name} {mode}" for name, mode in healing.modes.items() if mode != usual]
    words = f"healing {usual}".replace("_", " ")
    if not others:
        return (part(words, Tone.MUTED if usual == "auto" else Tone.WARN),)
    told = ", ".join(others) if len(others) < 3 else f"{len(others)} otherwise"
    return (muted(words), part(f", {told}".replace("_", " "), Tone.WARN))


def _since(subject: Subject) -> int:
    if isinstance(subject, IncidentView):
        return -subject.opened_at
    if isinstance(subject, HeartbeatView):
        return subject.age_ms
    return -subject.at if isinstance(subject, DeliveryView) else 0


def _rank(subject: Subject) -> tuple[bool, int]:
    if isinstance(subject, IncidentView):
        return not subject.live, _RANKS.get(subject.severity, 4)
    return False, _RANKS.get(subject.severity, 4) if isinstance(subject, DeliveryView) else 0


def _times(subject: Subject) -> int:
    if isinstance(subject, IncidentView):
        return subject.occurrences
    return subject.tries if isinstance(subject, DeliveryView) else 0
