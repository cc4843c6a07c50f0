"""Asking why."""

from typing import TYPE_CHECKING

from palyra.control.snapshots import ApprovalView, RunView
from palyra.tui.commands.action import HIDDEN, READY, Action, Offer

if TYPE_CHECKING:
    from palyra.tui.screens.listing import ListScreen


def decision_of(screen: "ListScreen") -> str:
    """The id of the decision behind what is selected, or nothing."""
    subject = screen.subject
    return subject.decision_id if isinstance(subject, ApprovalView | RunView) else ""


class Explain(Action["ListScreen"]):
    id = "decision.explain"
    keys = ("x",)
    title = "Explain"
    help = "why it was decided so, in sentences"
    footer = "explain"

    def offer(self, screen: "ListScreen") -> Offer:
        return READY if decision_of(screen) else HIDDEN

    def perform(self, screen: "ListScreen") -> None:
        if decision := decision_of(screen):
            screen.palyra.open_decision(decision)
