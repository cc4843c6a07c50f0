"""Deciding approvals and taking grants back."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from palyra.control.commands import DecideApproval, RevokeGrant
from palyra.control.snapshots import ApprovalView, GrantView
from palyra.tui.commands.action import HIDDEN, READY, Action, Confirm, Offer, Right, dimmed
from palyra.tui.details.words import breached
from palyra.tui.dialogs.allow import AllowDialog
from palyra.tui.dialogs.confirm import ConfirmDialog, Consequence
from palyra.tui.dialogs.deny import DenyDialog
from palyra.tui.format import quantity

if TYPE_CHECKING:
    from palyra.tui.screens.listing import ListScreen


def pending(screen: "ListScreen") -> ApprovalView | None:
    """The approval that is selected, while somebody has to decide."""
    subject = screen.subject
    return subject if isinstance(subject, ApprovalView) and subject.status == "pending" else None


class _OnPending(Action["ListScreen"]):
    right = Right.DECIDE

    def offer(self, screen: "ListScreen") -> Offer:
        approval = pending(screen)
        if approval is None:
            return HIDDEN
        return dimmed(approval.barred.rstrip(".")) if approval.barred else READY


class AllowOnce(_OnPending):
    id = "approval.allow_once"
    keys = ("a",)
    title = "Allow once"
    help = "this request goes on, up to 110 % of what it is over"
    footer = "allow once"

    def footer_of(self, screen: "ListScreen") -> str:
        approval = pending(screen)
        if approval is not None and approval.subject:
            return "allow"
        if approval is None or not screen.opened:
            return self.footer
        most = ", ".join(dict.fromkeys(quantity(item.metric_kind, item.once_cap) for item in breached(approval)))
        return f"{self.footer} (≤ {most})" if most else self.footer

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

    def offer(self, screen: "ListScreen") -> Offer:
        """A remedy is allowed or not: nothing is granted with it."""
        approval = pending(screen)
        return HIDDEN if approval is None or approval.subject else super().offer(screen)

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
    """Of a grant, or of all that a decided approval came to."""

    id = "grant.revoke"
    keys = ("u",)
    title = "Revoke the grant…"
    help = "nothing more can be drawn from it; what was drawn stays"
    footer = "revoke…"
    confirm = Confirm.DIALOG
    right = Right.DECIDE

    def offer(self, screen: "ListScreen") -> Offer:
        subject = screen.subject
        if isinstance(subject, ApprovalView):
            return READY if grants_of(screen) else HIDDEN
        if not isinstance(subject, GrantView):
            return HIDDEN
        return READY if subject.state == "active" else dimmed(f"it is {subject.state}", told=False)

    def perform(self, screen: "ListScreen") -> Coroutine[Any, Any, None] | None:
        grants = grants_of(screen)
        return self._ask(screen, grants) if grants else None

    async def _ask(self, screen: "ListScreen", grants: tuple[GrantView, ...]) -> None:
        first = grants[0]
        drawn = ", ".join(
            f"{quantity(one.metric_kind, one.drawn)} of {quantity(one.metric_kind, one.cap)} on {one.policy_id}"
            for one in grants
        )
        consequence = Consequence(
            title=f"Revoke the grant of {first.principal} ({first.kind})?",
            text=f"{drawn} is drawn and stays spent; nothing more can be drawn. What already runs keeps what it holds. "
            "The next request that is over asks again.",
            keep="Keep it",
            act="Revoke it",
        )
        if await screen.palyra.ask(ConfirmDialog(consequence)):
            for grant in grants:
                await screen.send(RevokeGrant(grant.grant_id))


def grants_of(screen: "ListScreen") -> tuple[GrantView, ...]:
    """The live grants that are selected, or that the selected approval came to."""
    subject, snapshot = screen.subject, screen.snapshot
    if isinstance(subject, GrantView):
        return (subject,)
    if not isinstance(subject, ApprovalView) or subject.status == "pending" or snapshot is None:
        return ()
    return tuple(one for one in snapshot.grants if one.approval_id == subject.approval_id and one.state == "active")


ANSWERS: tuple[Action["ListScreen"], ...] = (AllowOnce(), AllowMore(), Deny())
"""To who waits."""
DECISIONS: tuple[Action["ListScreen"], ...] = (*ANSWERS, Revoke())
