"""Answering alerts, and going to what they are about."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from palyra.control.commands import AckAlert
from palyra.control.snapshots import AlertView
from palyra.tui.commands.action import HIDDEN, READY, Action, Confirm, Offer, Right, dimmed
from palyra.tui.dialogs.snooze import SnoozeDialog
from palyra.tui.subjects import budget_key

if TYPE_CHECKING:
    from palyra.tui.screens.listing import ListScreen


def selected_alert(screen: "ListScreen") -> AlertView | None:
    """The alert that is selected, if one is."""
    subject = screen.subject
    return subject if isinstance(subject, AlertView) else None


class Acknowledge(Action["ListScreen"]):
    id = "alert.acknowledge"
    keys = ("a",)
    title = "Acknowledge alert"
    help = "it stays quiet for as long as it holds, unless it gets worse"
    footer = "acknowledge"
    right = Right.DECIDE

    def offer(self, screen: "ListScreen") -> Offer:
        alert = selected_alert(screen)
        if alert is None:
            return HIDDEN
        if alert.state == "acknowledged":
            return dimmed(f"acknowledged by {alert.acted_by}", told=False)
        return READY

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        alert = selected_alert(screen)
        return None if alert is None else screen.send(AckAlert(alert.alert_id, alert.version))


class Snooze(Action["ListScreen"]):
    id = "alert.snooze"
    keys = ("s",)
    title = "Snooze alert…"
    help = "quiet and away for a while; back if it still holds then, or gets worse"
    footer = "snooze…"
    confirm = Confirm.DIALOG
    right = Right.DECIDE

    def offer(self, screen: "ListScreen") -> Offer:
        return HIDDEN if selected_alert(screen) is None else READY

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        alert = selected_alert(screen)
        return None if alert is None else self._ask(screen, alert)

    async def _ask(self, screen: "ListScreen", alert: AlertView) -> None:
        command = await screen.palyra.ask(SnoozeDialog(alert, screen.zone, screen.now))
        if command is not None:
            await screen.send(command)


class Jump(Action["ListScreen"]):
    id = "alert.jump"
    keys = ("J",)
    title = "Jump to the subject"
    help = "the budget of an alert, or the runs of its model"
    footer = "jump"

    def offer(self, screen: "ListScreen") -> Offer:
        alert = selected_alert(screen)
        return READY if alert is not None and alert.subject_kind in ("budget", "model") else HIDDEN

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        alert = selected_alert(screen)
        if alert is None:
            return None
        if alert.subject_kind == "budget":
            key = budget_key(alert.subject, str(alert.payload.get("scope_value", "")))
            return screen.palyra.show_object("budgets", key)
        return screen.palyra.show_filtered("runs", f"model:{alert.subject}")


ALERTS: tuple[Action["ListScreen"], ...] = (Acknowledge(), Snooze(), Jump())
