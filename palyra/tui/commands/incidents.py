"""Acting on incidents, and going to what they are about. What is done to one is done to all that hang below it."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from palyra.control.incidents_commands import AckIncidents, AssignIncidents, SnoozeIncidents
from palyra.control.incidents_queries import IncidentDetail, IncidentQuery, IncidentView
from palyra.core.errors import PalyraError
from palyra.tui.commands.action import HIDDEN, READY, Action, Confirm, Offer, Right, dimmed
from palyra.tui.details.incident import away
from palyra.tui.dialogs.incident import AssignDialog, NoteDialog, RemedyDialog, ResolveDialog, SnoozeIncidentDialog, ref
from palyra.tui.themes import Tone

if TYPE_CHECKING:
    from palyra.tui.screens.listing import ListScreen

PLACES = {
    "run": ("runs", "run"),
    "task": ("jobs", "task"),
    "job": ("jobs", "job"),
    "approval": ("approvals", "approval"),
    "provider": ("models", "provider"),
    "model": ("models", "model"),
}
"""Which screen lists the things of a kind, and how its rows are called."""
_KINDS = {"background_task": "task", "cron_job": "job"}


def selected_incident(screen: "ListScreen") -> IncidentView | None:
    """The incident that is selected, if one is."""
    subject = screen.subject
    return subject if isinstance(subject, IncidentView) else None


def place_of(incident: IncidentView) -> tuple[str, str] | None:
    """The screen that lists what an incident is about, and the key of its row; None where nothing is."""
    family = incident.family.removeprefix("heartbeat:").partition(":")[0]
    kind = _KINDS.get(family, family)
    related = [(one, incident.related[one]) for one in (kind, *PLACES) if one in PLACES and incident.related.get(one)]
    if not related and kind in PLACES and incident.subject:
        related = [(kind, incident.subject)]
    if not related:
        return None
    found, name = related[0]
    screen, prefix = PLACES[found]
    return screen, f"{prefix}:{name}"


def _no_remedy(screen: "ListScreen", incident: IncidentView) -> str:
    """What there is to do instead."""
    jump = f", {screen.key_words_of(Jump.id)} jumps to its subject" if place_of(incident) is not None else ""
    resolve, snooze = (screen.key_words_of(one.id) for one in (Resolve, Snooze))
    return f"There is no remedy for it: {resolve} resolves, {snooze} snoozes{jump}."


class _OnLive(Action["ListScreen"]):
    """Of an incident that is not resolved."""

    right = Right.DECIDE

    def offer(self, screen: "ListScreen") -> Offer:
        incident = selected_incident(screen)
        if incident is None:
            return HIDDEN
        return READY if incident.live else dimmed("it is resolved", told=False)


class Acknowledge(_OnLive):
    id = "incident.acknowledge"
    keys = ("a",)
    title = "Acknowledge incident"
    help = "somebody knows: nobody is reminded any more; covers all below it"
    footer = "acknowledge"

    def offer(self, screen: "ListScreen") -> Offer:
        incident = selected_incident(screen)
        if incident is not None and incident.live and incident.acknowledged_at is not None:
            return dimmed(f"acknowledged by {incident.acknowledged_by}", told=False)
        return super().offer(screen)

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        incident = selected_incident(screen)
        return None if incident is None else screen.send(AckIncidents((ref(incident),)))


class Snooze(_OnLive):
    id = "incident.snooze"
    keys = ("s",)
    title = "Snooze, or wake it"
    help = "quiet and last for a while, for a reason; back sooner if it gets worse"
    footer = "snooze…"
    confirm = Confirm.DIALOG

    def footer_of(self, screen: "ListScreen") -> str:
        incident = selected_incident(screen)
        return "wake" if incident is not None and away(incident, screen.now) else self.footer

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        incident = selected_incident(screen)
        if incident is None:
            return None
        if away(incident, screen.now):
            return screen.send(SnoozeIncidents((ref(incident),), 0))
        return self._ask(screen, incident)

    async def _ask(self, screen: "ListScreen", incident: IncidentView) -> None:
        command = await screen.palyra.ask(SnoozeIncidentDialog(incident, screen.zone, screen.now))
        if command is not None:
            await screen.send(command)


class Own(_OnLive):
    id = "incident.own"
    keys = ("o",)
    title = "Own it, or let go"
    help = "everybody sees whose it is; pressed again it is nobody's"
    footer = "own"

    def _mine(self, screen: "ListScreen") -> bool:
        incident, latest = selected_incident(screen), screen.palyra.latest
        return incident is not None and latest is not None and incident.assignee == latest.operator.name

    def footer_of(self, screen: "ListScreen") -> str:
        return "let go" if self._mine(screen) else self.footer

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        incident, latest = selected_incident(screen), screen.palyra.latest
        if incident is None or latest is None:
            return None
        return screen.send(AssignIncidents((ref(incident),), "" if self._mine(screen) else latest.operator.name))


class Assign(_OnLive):
    id = "incident.assign"
    keys = ("O",)
    title = "Assign it…"
    help = "to another operator; everybody sees whose it is"
    confirm = Confirm.DIALOG

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        incident = selected_incident(screen)
        return None if incident is None else self._ask(screen, incident)

    async def _ask(self, screen: "ListScreen", incident: IncidentView) -> None:
        command = await screen.palyra.ask(AssignDialog(incident))
        if command is not None:
            await screen.send(command)


class Note(Action["ListScreen"]):
    id = "incident.note"
    keys = ("n",)
    title = "Note…"
    help = "a line in its timeline, for good"
    footer = "note…"
    confirm = Confirm.DIALOG
    right = Right.DECIDE

    def offer(self, screen: "ListScreen") -> Offer:
        return HIDDEN if selected_incident(screen) is None else READY

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        incident = selected_incident(screen)
        return None if incident is None else self._ask(screen, incident)

    async def _ask(self, screen: "ListScreen", incident: IncidentView) -> None:
        command = await screen.palyra.ask(NoteDialog(incident))
        if command is not None:
            await screen.send(command)


class Remedy(_OnLive):
    id = "incident.remedy"
    keys = ("m",)
    title = "Run a remedy…"
    help = "shows what a remedy would do first; its outcome is verified"
    footer = "remedy…"
    confirm = Confirm.DIALOG

    def offer(self, screen: "ListScreen") -> Offer:
        incident = selected_incident(screen)
        if incident is not None and incident.state == "remediating":
            return dimmed("a remedy is running", told=False)
        return super().offer(screen)

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        incident = selected_incident(screen)
        return None if incident is None else self._ask(screen, incident)

    async def _ask(self, screen: "ListScreen", incident: IncidentView) -> None:
        palyra = screen.palyra
        try:
            detail: IncidentDetail = await palyra.control.ask(IncidentQuery(incident.incident_id))
        except PalyraError as error:
            screen.flash(f"Its remedies could not be read: {error}", Tone.WARN)
            return
        if detail.incident.version != incident.version:
            screen.flash("It changed just now. Look again, then press again.", Tone.WARN)
            return
        if not detail.remedies:
            screen.flash(_no_remedy(screen, incident), Tone.WARN)
            return
        command = await palyra.ask(RemedyDialog(detail))
        if command is not None:
            await screen.send(command)
            if screen.subject is not None and selected_incident(screen) is not None:
                screen.open_detail()


class Resolve(_OnLive):
    id = "incident.resolve"
    keys = ("R",)
    title = "Resolve incident…"
    help = "what still holds is mute until it has gone; covers all below it"
    footer = "resolve…"
    confirm = Confirm.DIALOG

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        incident = selected_incident(screen)
        return None if incident is None else self._ask(screen, incident)

    async def _ask(self, screen: "ListScreen", incident: IncidentView) -> None:
        command = await screen.palyra.ask(ResolveDialog(incident))
        if command is not None:
            await screen.send(command)


class Jump(Action["ListScreen"]):
    id = "incident.jump"
    keys = ("J",)
    title = "Jump to its subject"
    help = "the run, task, job, approval or provider that it is about"
    footer = "jump"

    def offer(self, screen: "ListScreen") -> Offer:
        incident = selected_incident(screen)
        return HIDDEN if incident is None or place_of(incident) is None else READY

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        incident = selected_incident(screen)
        place = None if incident is None else place_of(incident)
        return None if place is None else screen.palyra.show_object(*place)


INCIDENTS: tuple[Action["ListScreen"], ...] = (
    Acknowledge(),
    Remedy(),
    Own(),
    Assign(),
    Snooze(),
    Note(),
    Resolve(),
    Jump(),
)
