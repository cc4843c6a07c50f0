"""Acting on runs."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from palyra.control.commands import CancelRun
from palyra.control.snapshots import RunView
from palyra.core.plural import plural
from palyra.tui.commands.action import HIDDEN, READY, Action, Confirm, Offer, Right, dimmed
from palyra.tui.dialogs.confirm import ConfirmDialog, Consequence

if TYPE_CHECKING:
    from palyra.tui.screens.listing import ListScreen


class Cancel(Action["ListScreen"]):
    id = "run.cancel"
    keys = ("c",)
    title = "Cancel the run…"
    help = "its client gets an error; what was metered is charged"
    footer = "cancel…"
    confirm = Confirm.DIALOG
    right = Right.DECIDE

    def offer(self, screen: "ListScreen") -> Offer:
        subject = screen.subject
        if not isinstance(subject, RunView):
            return HIDDEN
        return READY if subject.live else dimmed(f"it is over ({subject.state})", told=False)

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        subject = screen.subject
        return self._ask(screen, subject) if isinstance(subject, RunView) else None

    async def _ask(self, screen: "ListScreen", run: RunView) -> None:
        consequence = Consequence(
            title=f"Cancel the run of {run.principal}?",
            text=f"{run.model} in session {run.session}, {plural(run.output_tokens, 'token')} answered so far. "
            "Its client gets an error; what was metered is charged, the rest of its hold is released.",
            keep="Let it run",
            act="Cancel the run",
        )
        if await screen.palyra.ask(ConfirmDialog(consequence)):
            await screen.send(CancelRun(run.run_id))


CANCEL = Cancel()
