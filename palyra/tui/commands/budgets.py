"""Making, changing and removing budgets."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from palyra.control.commands import RemovePolicy
from palyra.control.snapshots import BudgetView
from palyra.tui.commands.action import HIDDEN, READY, Action, Confirm, Offer, Right, dimmed
from palyra.tui.dialogs.confirm import ConfirmDialog, Consequence
from palyra.tui.dialogs.policy import PolicyDialog

if TYPE_CHECKING:
    from palyra.tui.screens.listing import ListScreen


def _editable(screen: "ListScreen") -> Offer:
    subject = screen.subject
    if not isinstance(subject, BudgetView):
        return HIDDEN
    return dimmed("declared in palyra.toml, change it there") if subject.source == "config" else READY


class NewBudget(Action["ListScreen"]):
    id = "budget.new"
    keys = ("n",)
    title = "New budget…"
    help = "a policy kept in the journal"
    footer = "new…"
    on_selection = False
    confirm = Confirm.DIALOG
    right = Right.ADMINISTER

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None]:
        return self._ask(screen)

    async def _ask(self, screen: "ListScreen") -> None:
        await screen.palyra.ask(PolicyDialog(screen.palyra.send, screen.palyra.spawn, None))


class EditBudget(Action["ListScreen"]):
    id = "budget.edit"
    keys = ("e",)
    title = "Edit the budget…"
    help = "voids its grants and pending approvals, never what was spent"
    footer = "edit…"
    confirm = Confirm.DIALOG
    right = Right.ADMINISTER

    def offer(self, screen: "ListScreen") -> Offer:
        return _editable(screen)

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        subject = screen.subject
        return self._ask(screen, subject) if isinstance(subject, BudgetView) else None

    async def _ask(self, screen: "ListScreen", budget: BudgetView) -> None:
        await screen.palyra.ask(PolicyDialog(screen.palyra.send, screen.palyra.spawn, budget))


class RemoveBudget(Action["ListScreen"]):
    id = "budget.remove"
    keys = ("delete",)
    title = "Remove the budget…"
    help = "it no longer limits anything; its history stays"
    footer = "remove…"
    confirm = Confirm.DIALOG
    right = Right.ADMINISTER

    def offer(self, screen: "ListScreen") -> Offer:
        return _editable(screen)

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        subject = screen.subject
        return self._ask(screen, subject) if isinstance(subject, BudgetView) else None

    async def _ask(self, screen: "ListScreen", budget: BudgetView) -> None:
        consequence = Consequence(
            title=f"Remove the budget {budget.policy_id}?",
            text="It stops limiting anything at once. Its grants and pending approvals are void. "
            "What was spent stays recorded.",
            keep="Keep it",
            act="Remove it",
        )
        if await screen.palyra.ask(ConfirmDialog(consequence)):
            await screen.send(RemovePolicy(budget.policy_id, budget.revision))


BUDGETS: tuple[Action["ListScreen"], ...] = (NewBudget(), EditBudget(), RemoveBudget())
