"""Deciding approvals and taking grants back."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from palyra.control.commands import DecideApproval, RevokeGrant
from palyra.control.snapshots import ApprovalView, GrantView
from palyra.tui.commands.action import HIDDEN, READY, Action, Confirm, Offer, Right, dimmed
from palyra.tui.dialogs.allow import AllowDialog
from palyra.tui.dialogs.deny import DenyDialog

if TYPE_CHECKING:
    from palyra.tui.screens.listing import ListScreen


def pending(screen: "ListScreen") -> ApprovalView | None:
    subject = screen.subject
    return subject if isinstance(subject, ApprovalView) and subject.status == "pending" else None


class _OnPending(Action["ListScreen"]):
    right = Right.DECIDE

    def offer(self, screen: "ListScreen") -> Offer:
        return HIDDEN if pending(screen) is None else READY


class AllowOnce(_OnPending):
    id = "approval.allow_once"
    keys = ("a",)
    title = "Allow once"
    help = "this request goes on, up to 110 % of what it is over"
    footer = "allow once"

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        approval = pending(screen)
        if approval is None or not screen.read_in_full():
            return None
        return screen.send(DecideApproval(approval.approval_id, "allow", approval.version))


class AllowMore(_OnPending):
    id = "approval.allow"
    keys = ("A",)
    title = "Allow more…"
    help = "a grant for a session, a time or an amount"
    footer = "allow…"
    confirm = Confirm.DIALOG

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        approval = pending(screen)
        if approval is None or not screen.read_in_full():
            return None
        return self._ask(screen, approval)

    async def _ask(self, screen: "ListScreen", approval: ApprovalView) -> None:
        command = await screen.palyra.ask(AllowDialog(approval, screen.zone, screen.now))
        if command is not None:
            await screen.send(command)


class Deny(_OnPending):
    id = "approval.deny"
    keys = ("d",)
    title = "Deny…"
    help = "the waiting clients get a refusal; says why"
    footer = "deny…"
    confirm = Confirm.DIALOG

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        approval = pending(screen)
        return None if approval is None else self._ask(screen, approval)

    async def _ask(self, screen: "ListScreen", approval: ApprovalView) -> None:
        command = await screen.palyra.ask(DenyDialog(approval))
        if command is not None:
            await screen.send(command)


class Revoke(Action["ListScreen"]):
    id = "grant.revoke"
    keys = ("u",)
    title = "Revoke the grant"
    help = "nothing more can be drawn from it; what was drawn stays"
    footer = "revoke"
    right = Right.DECIDE

    def offer(self, screen: "ListScreen") -> Offer:
        subject = screen.subject
        if not isinstance(subject, GrantView):
            return HIDDEN
        return READY if subject.state == "active" else dimmed(f"it is {subject.state}", told=False)

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        subject = screen.subject
        return screen.send(RevokeGrant(subject.grant_id)) if isinstance(subject, GrantView) else None


DECISIONS: tuple[Action["ListScreen"], ...] = (AllowOnce(), AllowMore(), Deny(), Revoke())
