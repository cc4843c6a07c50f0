"""The Incidents screen beside one incident: all of them at once, heartbeats, dead letters, modes."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from palyra.control.commands import DiscardDeadLetters, RetryDeadLetters
from palyra.control.incidents_commands import AckIncidents
from palyra.control.incidents_queries import IncidentsPage, IncidentsQuery
from palyra.control.notice_queries import DeliveryView
from palyra.core.errors import PalyraError
from palyra.core.plural import plural
from palyra.tui.commands.action import HIDDEN, READY, Action, Confirm, Offer, Right, dimmed
from palyra.tui.dialogs.confirm import ConfirmDialog, Consequence
from palyra.tui.dialogs.incident import HealingModeDialog, ref
from palyra.tui.dialogs.measures import MeasuresDialog
from palyra.tui.themes import Tone

if TYPE_CHECKING:
    from palyra.tui.screens.incidents import IncidentsScreen


class AcknowledgeAll(Action["IncidentsScreen"]):
    id = "incident.acknowledge_all"
    keys = ("A",)
    title = "Acknowledge all…"
    help = "every incident that the filter lets through and nobody knows of"
    footer = "ack all…"
    on_selection = False
    confirm = Confirm.DIALOG
    right = Right.DECIDE

    def offer(self, screen: "IncidentsScreen") -> Offer:
        return READY if len(screen.unknown()) > 1 else HIDDEN

    def perform(self, screen: "IncidentsScreen") -> Coroutine[Any, Any, None]:
        return self._ask(screen)

    async def _ask(self, screen: "IncidentsScreen") -> None:
        listed = screen.unknown()
        below = sum(incident.children for incident in listed)
        also = f", with the {below:,} below them" if below else ""
        words = f" that match {screen.filter.text}" if screen.filter else ""
        consequence = Consequence(
            title=f"Acknowledge {plural(len(listed), 'incident')}?",
            text=f"All that are listed{words} and nobody knows of{also}. Nobody is reminded of them any more; they "
            "stay open. What changes meanwhile is left alone.",
            keep="Leave them",
            act="Acknowledge them",
        )
        if await screen.palyra.ask(ConfirmDialog(consequence)):
            await screen.send(AckIncidents(tuple(ref(incident) for incident in listed)))


class ShowHeartbeats(Action["IncidentsScreen"]):
    id = "incident.heartbeats"
    keys = ("h",)
    title = "Heartbeats"
    help = "all work that gives signs of life, how long ago; again: back"
    footer = "heartbeats"
    on_selection = False

    def offer(self, screen: "IncidentsScreen") -> Offer:
        return HIDDEN if screen.opened else READY

    def footer_of(self, screen: "IncidentsScreen") -> str:
        return "incidents" if screen.view == "heartbeats" else self.footer

    def perform(self, screen: "IncidentsScreen") -> None:
        screen.show_view("incidents" if screen.view == "heartbeats" else "heartbeats")


class ShowDeadLetters(Action["IncidentsScreen"]):
    id = "incident.dead_letters"
    keys = ("D",)
    title = "Dead letters"
    help = "notifications that a webhook did not take; again: back"
    footer = "dead letters"
    on_selection = False

    def offer(self, screen: "IncidentsScreen") -> Offer:
        return HIDDEN if screen.opened else READY

    def footer_of(self, screen: "IncidentsScreen") -> str:
        return "incidents" if screen.view == "letters" else self.footer

    def perform(self, screen: "IncidentsScreen") -> None:
        screen.show_view("incidents" if screen.view == "letters" else "letters")


class RetryLetter(Action["IncidentsScreen"]):
    id = "letter.retry"
    keys = ("r",)
    title = "Send it again"
    help = "a dead letter goes out once more, under its id"
    footer = "send again"
    right = Right.DECIDE

    def offer(self, screen: "IncidentsScreen") -> Offer:
        return READY if isinstance(screen.subject, DeliveryView) else HIDDEN

    def perform(self, screen: "IncidentsScreen") -> Coroutine[Any, Any, None] | None:
        subject = screen.subject
        if not isinstance(subject, DeliveryView):
            return None
        return screen.send(RetryDeadLetters((subject.delivery_id,)))


class DiscardLetter(Action["IncidentsScreen"]):
    id = "letter.discard"
    keys = ("delete",)
    title = "Discard it…"
    help = "a dead letter is dropped; nobody gets it any more"
    footer = "discard…"
    confirm = Confirm.DIALOG
    right = Right.DECIDE

    def offer(self, screen: "IncidentsScreen") -> Offer:
        return READY if isinstance(screen.subject, DeliveryView) else HIDDEN

    def perform(self, screen: "IncidentsScreen") -> Coroutine[Any, Any, None] | None:
        subject = screen.subject
        return self._ask(screen, subject) if isinstance(subject, DeliveryView) else None

    async def _ask(self, screen: "IncidentsScreen", letter: DeliveryView) -> None:
        consequence = Consequence(
            title=f"Discard this dead letter for {letter.webhook}?",
            text=f"{letter.summary}. It is dropped for good: the webhook never hears of it.",
            keep="Keep it",
            act="Discard it",
        )
        if await screen.palyra.ask(ConfirmDialog(consequence)):
            await screen.send(DiscardDeadLetters((letter.delivery_id,)))


class ShowMeasures(Action["IncidentsScreen"]):
    id = "incident.measures"
    keys = ("t",)
    title = "How soon it ends…"
    help = "by severity, over a day, a week and a month: MTTD, MTTA, MTTR"
    footer = "times…"
    on_selection = False

    def perform(self, screen: "IncidentsScreen") -> Coroutine[Any, Any, None]:
        return self._read(screen)

    async def _read(self, screen: "IncidentsScreen") -> None:
        palyra = screen.palyra
        text = await palyra.ask(MeasuresDialog(palyra.control, palyra.spawn))
        if text:
            palyra.copy(text)


class SetMode(Action["IncidentsScreen"]):
    id = "healing.mode"
    keys = ("M",)
    title = "Self-healing mode…"
    help = "act, only watch, or nothing, for each kind of trouble"
    footer = "mode…"
    on_selection = False
    confirm = Confirm.DIALOG
    right = Right.ADMINISTER

    def offer(self, screen: "IncidentsScreen") -> Offer:
        return READY if screen.healing is not None else dimmed("no engine heals now", told=False)

    def perform(self, screen: "IncidentsScreen") -> Coroutine[Any, Any, None]:
        return self._ask(screen)

    async def _ask(self, screen: "IncidentsScreen") -> None:
        palyra = screen.palyra
        try:
            page: IncidentsPage = await palyra.control.ask(IncidentsQuery(limit=1))
        except PalyraError as error:
            screen.flash(f"The modes could not be read: {error}", Tone.WARN)
            return
        if page.healing is None:
            return
        command = await palyra.ask(HealingModeDialog(page.healing.modes, page.healing.said))
        if command is not None:
            await screen.send(command)


HEALING: tuple[Action["IncidentsScreen"], ...] = (
    RetryLetter(),
    DiscardLetter(),
    AcknowledgeAll(),
    ShowHeartbeats(),
    ShowDeadLetters(),
    SetMode(),
    ShowMeasures(),
)
