"""Denying: what it does to those who wait, and why it is done."""

from textual.app import ComposeResult

from palyra.control.commands import DecideApproval
from palyra.control.snapshots import ApprovalView
from palyra.core.plural import plural
from palyra.tui.details.words import remedy_words
from palyra.tui.dialogs.base import sentences
from palyra.tui.dialogs.watched import ApprovalDialog
from palyra.tui.widgets.form import Field, Labelled, Push
from palyra.tui.widgets.lines import BLANK

MOST_REASON = 200


class DenyDialog(ApprovalDialog[DecideApproval]):
    """The focus is on the button that keeps things as they are."""

    def __init__(self, approval: ApprovalView) -> None:
        what = approval.model or "more room"
        asked = f"the remedy {remedy_words(approval)}" if approval.subject else f"{approval.principal} {what}"
        super().__init__(f"Deny {asked}?", approval)

    def compose_content(self) -> ComposeResult:
        yield from super().compose_content()
        told = "told in its timeline" if self.approval.subject else "told to the client"
        yield Labelled("reason", Field(id="reason", placeholder=told, most=MOST_REASON), id="why")

    def compose_buttons(self) -> ComposeResult:
        yield Push("Keep it waiting", id="keep")
        yield Push("Deny", id="act")

    def on_mount(self) -> None:
        super().on_mount()
        self.explain()

    def explain(self) -> None:
        self.say([*sentences(self._consequence()), *self.warning(), BLANK])

    def _consequence(self) -> str:
        if self.approval.subject:
            return "It is not begun; the incident stays open and nothing more is tried by itself in this episode."
        approval, waiting = self.approval, self.approval.waiting
        clients = f"{plural(waiting, 'waiting client')} get" if waiting != 1 else "1 waiting client gets"
        where = f"session {approval.session}" if approval.session else "every session"
        budgets = ", ".join(approval.policy_ids)
        return (
            f"{clients if waiting else 'The next attempt gets'} a refusal with your reason; what {approval.principal} "
            f"asks over {budgets} in {where} is refused for 60 s. This cannot be taken back."
        )

    def on_input_submitted(self) -> None:
        self.query_one("#act", Push).focus()

    def act(self) -> None:
        reason = self.query_one("#reason", Field).value.strip()
        self.dismiss(DecideApproval(self.approval.approval_id, "deny", self.approval.version, reason=reason))
