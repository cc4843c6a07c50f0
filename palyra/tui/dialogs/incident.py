"""Dialogs about an incident that may change while they are open: snoozing, noting, running a remedy, resolving."""

from typing import TypeVar

from textual.app import ComposeResult

from palyra.control.incidents_commands import (
    AssignIncidents,
    IncidentRef,
    NoteIncident,
    ResolveIncidents,
    RunRemedy,
    SetHealingMode,
    SnoozeIncidents,
)
from palyra.control.incidents_queries import IncidentDetail, IncidentView, RemedyView
from palyra.control.snapshots import Snapshot
from palyra.core.durations import parse_duration_ms
from palyra.core.plural import plural
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.details.incident import auto_words, summary_words
from palyra.tui.dialogs.base import TEXT_WIDTH, Dialog, sentences
from palyra.tui.themes import Tone
from palyra.tui.widgets.form import Cycle, Field, Labelled, Push
from palyra.tui.widgets.lines import BLANK, Line, column, line, muted, part, wrap

R = TypeVar("R")

LONGEST_MS = 30 * show.DAY
MOST_REASON = 500
MOST_NOTE = 1_000
MOST_NAME = 128
MODES = ("auto", "observe_only", "disabled")
_MODE_WORDS = {
    "auto": "What is found becomes an incident, and remedies that may begin by themselves do.",
    "observe_only": "What is found becomes an incident; no remedy begins by itself.",
    "disabled": "Nothing is looked for: what hangs goes on hanging, and nobody is told.",
}

_MODE_TONES = {"auto": Tone.PLAIN}


def ref(incident: IncidentView) -> IncidentRef:
    """The incident and the version of it that is shown, for a command."""
    return IncidentRef(incident.incident_id, incident.version)


class IncidentDialog(Dialog[R]):
    """Keeps the incident as the operator saw it, and says when it is no longer so."""

    def __init__(self, title: str, incident: IncidentView) -> None:
        super().__init__(title)
        self.incident = incident
        self._changed = ""

    def take(self, snapshot: Snapshot) -> None:
        seen = self.incident
        now = next((one for one in snapshot.incidents if one.incident_id == seen.incident_id), None)
        if now is None and seen.parent_id:
            return
        changed = "resolved" if now is None else f"{now.state}, {now.severity}"
        if (now is None or now.version != seen.version) and changed != self._changed:
            self._changed = changed
            self.explain()

    def explain(self) -> None:
        """Shows the consequence anew."""
        raise NotImplementedError

    def warning(self) -> list[Line]:
        """What changed since the dialog was opened."""
        if not self._changed:
            return []
        text = f"{glyphs.ATTENTION} It changed meanwhile ({self._changed}). Close this and look again."
        return wrap(text, TEXT_WIDTH, tone=Tone.WARN)

    def below(self) -> str:
        """Whom else the act is for."""
        return f" So are the {self.incident.children:,} below it." if self.incident.children else ""


class SnoozeIncidentDialog(IncidentDialog[SnoozeIncidents]):
    """Says until when it would be quiet while the time is typed; why is asked for."""

    AUTO_FOCUS = "#for"

    def __init__(self, incident: IncidentView, zone: str, now: int) -> None:
        super().__init__("Snooze this incident?", incident)
        self._zone = zone
        self._now = now

    def compose_content(self) -> ComposeResult:
        yield Labelled("for", Field("1h", id="for", placeholder="30m, 8h, 3d"))
        yield Labelled("because", Field(id="reason", placeholder="why it can wait", most=MOST_REASON))
        yield from super().compose_content()

    def compose_buttons(self) -> ComposeResult:
        yield Push("Keep it here", id="keep")
        yield Push("Snooze it", id="act")

    def on_mount(self) -> None:
        super().on_mount()
        self.explain()

    def on_input_changed(self) -> None:
        self.explain()

    def on_input_submitted(self) -> None:
        self.focus_next()

    def explain(self) -> None:
        try:
            until = show.instant(self._now + self._duration_ms(), self._zone, self._now)
        except ValueError as error:
            self.say([BLANK, line(part(f"{glyphs.BAD} {error}", Tone.BAD)), *self.warning()])
            return
        text = f"It is quiet and last in the list until {until}; back sooner if it gets worse.{self.below()}"
        missing = [] if self._reason else [BLANK, line(muted("Say why it can wait first: it stays in the timeline."))]
        told = sentences(f"{summary_words(self.incident)}. {text}")
        self.say([BLANK, *told, *missing, *self.warning()])

    def act(self) -> None:
        try:
            seconds = self._duration_ms() // 1_000
        except ValueError:
            self.query_one("#for", Field).focus()
            return
        if self._reason:
            self.dismiss(SnoozeIncidents((ref(self.incident),), seconds, self._reason))
        else:
            self.query_one("#reason", Field).focus()

    @property
    def _reason(self) -> str:
        return self.query_one("#reason", Field).value.strip()

    def _duration_ms(self) -> int:
        lasting = parse_duration_ms(self.query_one("#for", Field).value)
        if not show.MINUTE <= lasting <= LONGEST_MS:
            raise ValueError("an incident is snoozed for 1 min to 30 days")
        return lasting


class NoteDialog(IncidentDialog[NoteIncident]):
    """A note stays in the timeline for good."""

    AUTO_FOCUS = "#note"

    def __init__(self, incident: IncidentView) -> None:
        super().__init__("Note on this incident", incident)

    def compose_content(self) -> ComposeResult:
        yield Labelled("note", Field(id="note", placeholder="what you know or did", most=MOST_NOTE))
        yield from super().compose_content()

    def compose_buttons(self) -> ComposeResult:
        yield Push("Leave it", id="keep")
        yield Push("Add the note", id="act")

    def on_mount(self) -> None:
        super().on_mount()
        self.explain()

    def on_input_submitted(self) -> None:
        self.query_one("#act", Push).focus()

    def explain(self) -> None:
        text = f"{summary_words(self.incident)}. A note cannot be taken back; it stays in the timeline."
        self.say([BLANK, *sentences(text), *self.warning()])

    def act(self) -> None:
        text = self.query_one("#note", Field).value.strip()
        if text:
            # A note adds to whatever the incident is by now.
            self.dismiss(NoteIncident(IncidentRef(self.incident.incident_id), text))
        else:
            self.query_one("#note", Field).focus()


class AssignDialog(IncidentDialog[AssignIncidents]):
    """Everybody sees whose it is; an empty name takes it away."""

    AUTO_FOCUS = "#name"

    def __init__(self, incident: IncidentView) -> None:
        super().__init__("Whose is this incident?", incident)

    def compose_content(self) -> ComposeResult:
        yield Labelled("name", Field(self.incident.assignee, id="name", placeholder="an operator", most=MOST_NAME))
        yield from super().compose_content()

    def compose_buttons(self) -> ComposeResult:
        yield Push("Leave it", id="keep")
        yield Push("Assign it", id="act")

    def on_mount(self) -> None:
        super().on_mount()
        self.explain()

    def on_input_changed(self) -> None:
        self.explain()

    def on_input_submitted(self) -> None:
        self.query_one("#act", Push).focus()

    @property
    def _whose(self) -> str:
        return self.query_one("#name", Field).value.strip()

    def explain(self) -> None:
        text = f"{summary_words(self.incident)}. It is {self._whose or 'nobody'}'s then.{self.below()}"
        self.say([BLANK, *sentences(text), *self.warning()])

    def act(self) -> None:
        self.dismiss(AssignIncidents((ref(self.incident),), self._whose))


class RemedyDialog(IncidentDialog[RunRemedy]):
    """Shows what a remedy would do before it is begun; the safe button has the focus."""

    def __init__(self, detail: IncidentDetail) -> None:
        super().__init__("Run a remedy?", detail.incident)
        self._detail = detail

    def compose_content(self) -> ComposeResult:
        if len(self._detail.remedies) > 1:
            yield Labelled("remedy", Cycle([one.name for one in self._detail.remedies], id="remedy"))
        yield from super().compose_content()

    def compose_buttons(self) -> ComposeResult:
        yield Push("Leave it", id="keep")
        yield Push("Run it", id="act")

    def on_mount(self) -> None:
        super().on_mount()
        self.explain()

    def on_cycle_changed(self) -> None:
        self.explain()

    @property
    def remedy(self) -> RemedyView:
        """The remedy that is chosen."""
        if len(self._detail.remedies) == 1:
            return self._detail.remedies[0]
        chosen = self.query_one("#remedy", Cycle).value
        return next(one for one in self._detail.remedies if one.name == chosen)

    def explain(self) -> None:
        remedy = self.remedy
        asks = remedy.auto == "approval"
        self.query_one("#act", Push).relabel("Ask for it" if asks else "Run it")
        facts = f"{remedy.name}: {remedy.risk} risk, reaches the {remedy.blast}, {auto_words(remedy)}"
        tried = [one for one in self._detail.attempts if one.remedy == remedy.name]
        before = f"Tried {plural(len(tried), 'time')} before, last {tried[-1].status}." if tried else ""
        after = "Somebody has to allow it first." if asks else "Its outcome is verified and shows in the detail."
        rows = [row for text in remedy.preview for row in sentences(text)]
        what = wrap(f"{summary_words(self.incident)}.", TEXT_WIDTH)
        self.say(
            [*what, BLANK, *wrap(facts, TEXT_WIDTH, tone=Tone.ACCENT), BLANK, *rows, BLANK, *self._foot(before, after)]
        )

    def _foot(self, *texts: str) -> list[Line]:
        told = [row for text in texts if text for row in wrap(text, TEXT_WIDTH, tone=Tone.MUTED)]
        return [*told, *self.warning()]

    def act(self) -> None:
        self.dismiss(RunRemedy(ref(self.incident), self.remedy.name))


class ResolveDialog(IncidentDialog[ResolveIncidents]):
    """What is still present is muted by that, and the dialog says so."""

    def __init__(self, incident: IncidentView) -> None:
        super().__init__("Resolve this incident?", incident)

    @property
    def force(self) -> bool:
        """Whether a plain word would not do."""
        return self.incident.holds or self.incident.state == "remediating"

    def compose_buttons(self) -> ComposeResult:
        yield Push("Leave it open", id="keep")
        yield Push("Resolve it all the same" if self.force else "Resolve it", id="act")

    def on_mount(self) -> None:
        super().on_mount()
        self.explain()

    def explain(self) -> None:
        what = summary_words(self.incident)
        if self.incident.state == "remediating":
            text = f"{what}. A remedy is running; it is given up."
        elif self.incident.holds:
            text = f"{what}. It is still present: resolved, it is mute until it has gone and comes back."
        else:
            text = f"{what}. It does not hold any more; if it comes back, the incident opens again."
        self.say([*sentences(f"{text}{self.below()}"), *self.warning()])

    def act(self) -> None:
        self.dismiss(ResolveIncidents((ref(self.incident),), force=self.force))


class HealingModeDialog(Dialog[SetHealingMode]):
    """What is done about each kind of trouble, until the engine stops."""

    def __init__(self, modes: dict[str, str], said: tuple[str, ...]) -> None:
        """`modes` by feature as they are, `said` those that an operator set already."""
        super().__init__("Self-healing")
        self._modes = modes
        self._said = said

    def compose_content(self) -> ComposeResult:
        features = [*self._modes, "all"]
        yield Labelled("feature", Cycle(features, id="feature"))
        yield Labelled("mode", Cycle(MODES, self._modes.get(features[0], MODES[0]), id="mode"))
        yield from super().compose_content()

    def compose_buttons(self) -> ComposeResult:
        yield Push("Leave it", id="keep")
        yield Push("Set it", id="act")

    def on_mount(self) -> None:
        super().on_mount()
        self.explain()

    def on_cycle_changed(self) -> None:
        self.explain()

    def explain(self) -> None:
        """Says what the chosen mode would do."""
        chosen = self.query_one("#mode", Cycle).value
        text = f"{_MODE_WORDS[chosen]} It lasts until the engine stops; palyra.toml says what holds then."
        self.say([BLANK, *sentences(text), BLANK, *_mode_lines(self._modes, self._said)])

    def act(self) -> None:
        feature, mode = (self.query_one(f"#{name}", Cycle).value for name in ("feature", "mode"))
        self.dismiss(SetHealingMode(feature, mode))


def _mode_lines(modes: dict[str, str], said: tuple[str, ...]) -> list[Line]:
    """Two features a line; a star marks what an operator set."""
    pieces = [
        (
            muted(f"{name:<14}"),
            column(f"{mode.replace('_', ' ')}{' *' if name in said else ''}", 17, _MODE_TONES.get(mode, Tone.WARN)),
        )
        for name, mode in modes.items()
    ]
    rows = [tuple(piece for pair in pieces[at : at + 2] for piece in pair) for at in range(0, len(pieces), 2)]
    return [*rows, *([line(muted("* set by an operator"))] if said else [])]
