"""Making, changing, switching and removing budgets, and asking for room in them."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from palyra.control.commands import EditPolicy, RemovePolicy
from palyra.control.queries import BudgetDetail, BudgetQuery
from palyra.control.snapshots import BudgetView
from palyra.core.errors import PalyraError
from palyra.tui.commands.action import HIDDEN, READY, Action, Confirm, Offer, Right, dimmed
from palyra.tui.details.voids import void_words
from palyra.tui.dialogs.confirm import ConfirmDialog, Consequence
from palyra.tui.dialogs.policy import PolicyDialog
from palyra.tui.dialogs.request import RequestDialog
from palyra.tui.dialogs.trial import Trying
from palyra.tui.themes import Tone

if TYPE_CHECKING:
    from palyra.tui.screens.listing import ListScreen


def _editable(screen: "ListScreen") -> Offer:
    subject = screen.subject
    if not isinstance(subject, BudgetView):
        return HIDDEN
    return dimmed("declared in palyra.toml, change it there") if subject.source == "config" else READY


def _trying(screen: "ListScreen") -> Trying:
    palyra = screen.palyra
    return Trying(palyra.control, palyra.clock, palyra.spawn)


async def _in_full(screen: "ListScreen", budget: BudgetView) -> BudgetDetail | None:
    """All that hangs on a budget; None, and a word about it, where that cannot be read."""
    try:
        return await screen.palyra.control.ask(BudgetQuery(budget.policy_id))
    except PalyraError as error:
        screen.flash(f"The budget could not be read: {error}", Tone.WARN)
        return None


class NewBudget(Action["ListScreen"]):
    id = "budget.new"
    keys = ("n",)
    title = "New budget…"
    help = "a policy kept in the journal; tried on the last 7 days before it is saved"
    footer = "new…"
    on_selection = False
    confirm = Confirm.DIALOG
    right = Right.ADMINISTER

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None]:
        return self._ask(screen)

    async def _ask(self, screen: "ListScreen") -> None:
        taken = () if screen.snapshot is None else {item.policy_id for item in screen.snapshot.budgets}
        palyra = screen.palyra
        await palyra.ask(PolicyDialog(palyra.send, _trying(screen), None, taken=taken, timezone=screen.house_zone))


class _OnBudget(Action["ListScreen"]):
    """Acts on a policy that operators made."""

    confirm = Confirm.DIALOG
    right = Right.ADMINISTER

    def offer(self, screen: "ListScreen") -> Offer:
        return _editable(screen)

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        subject = screen.subject
        return self._begin(screen, subject) if isinstance(subject, BudgetView) else None

    async def _begin(self, screen: "ListScreen", budget: BudgetView) -> None:
        detail = await _in_full(screen, budget)
        if detail is not None:
            await self._ask(screen, budget, detail)

    async def _ask(self, screen: "ListScreen", budget: BudgetView, detail: BudgetDetail) -> None:
        raise NotImplementedError


class EditBudget(_OnBudget):
    id = "budget.edit"
    keys = ("e",)
    title = "Edit the budget…"
    help = "voids its grants and pending approvals, never what was spent"
    footer = "edit…"

    async def _ask(self, screen: "ListScreen", budget: BudgetView, detail: BudgetDetail) -> None:
        await screen.palyra.ask(PolicyDialog(screen.palyra.send, _trying(screen), detail))


class SwitchBudget(_OnBudget):
    id = "budget.switch"
    keys = ("space",)
    title = "Switch it on or off…"
    help = "off, it limits nothing and goes on being listed"
    footer = "on/off…"

    async def _ask(self, screen: "ListScreen", budget: BudgetView, detail: BudgetDetail) -> None:
        off = budget.enabled
        stops = (
            "It stops limiting anything at once. " if off else "It limits at once, counting what was used meanwhile. "
        )
        consequence = Consequence(
            title=f"Switch the budget {budget.policy_id} {'off' if off else 'on'}?",
            text=stops + void_words(detail),
            keep="Leave it on" if off else "Leave it off",
            act="Switch it off" if off else "Switch it on",
        )
        if await screen.palyra.ask(ConfirmDialog(consequence)):
            change = {"enabled": "false" if off else "true"}
            await screen.send(EditPolicy(budget.policy_id, change, budget.revision))


class RemoveBudget(_OnBudget):
    id = "budget.remove"
    keys = ("delete",)
    title = "Remove the budget…"
    help = "it no longer limits anything; its history stays"
    footer = "remove…"

    async def _ask(self, screen: "ListScreen", budget: BudgetView, detail: BudgetDetail) -> None:
        consequence = Consequence(
            title=f"Remove the budget {budget.policy_id}?",
            text=f"It stops limiting anything at once. {void_words(detail)}",
            keep="Keep it",
            act="Remove it",
        )
        if await screen.palyra.ask(ConfirmDialog(consequence)):
            await screen.send(RemovePolicy(budget.policy_id, budget.revision))


class AskForRoom(Action["ListScreen"]):
    id = "budget.request"
    keys = ("o",)
    title = "Ask for room…"
    help = "opens an approval ahead of need; somebody decides"
    footer = "ask…"
    confirm = Confirm.DIALOG
    right = Right.DECIDE

    def offer(self, screen: "ListScreen") -> Offer:
        subject = screen.subject
        if not isinstance(subject, BudgetView):
            return HIDDEN
        if not subject.enabled:
            return dimmed("it is switched off", told=False)
        if subject.hard_limit is None or subject.action == "advise":
            return dimmed("it only warns", told=False)
        return READY

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        subject = screen.subject
        return self._ask(screen, subject) if isinstance(subject, BudgetView) else None

    async def _ask(self, screen: "ListScreen", budget: BudgetView) -> None:
        await screen.palyra.ask(RequestDialog(screen.palyra.send, screen.palyra.spawn, budget))


class ShowBudget(Action["ListScreen"]):
    id = "budget.detail"
    keys = ("x",)
    title = "Everything about it"
    help = "its counters, grants, revisions and the newest it refused"

    def offer(self, screen: "ListScreen") -> Offer:
        return READY if isinstance(screen.subject, BudgetView) and not screen.opened else HIDDEN

    def perform(self, screen: "ListScreen") -> None:
        screen.open_detail()


BUDGETS: tuple[Action["ListScreen"], ...] = (
    NewBudget(),
    EditBudget(),
    SwitchBudget(),
    AskForRoom(),
    RemoveBudget(),
    ShowBudget(),
)
