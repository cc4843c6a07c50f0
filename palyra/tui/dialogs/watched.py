"""Dialogs about an approval that may change while they are open."""

from typing import TypeVar

from palyra.control.snapshots import ApprovalView, Snapshot
from palyra.tui import glyphs
from palyra.tui.details.words import approval_mark
from palyra.tui.dialogs.base import TEXT_WIDTH, Dialog
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import Line, wrap

R = TypeVar("R")


class ApprovalDialog(Dialog[R]):
    """Keeps the approval as the operator saw it, and says when it is no longer so."""

    def __init__(self, title: str, approval: ApprovalView) -> None:
        super().__init__(title)
        self.approval = approval
        self.changed = ""

    def take(self, snapshot: Snapshot) -> None:
        seen = self.approval
        item = next((one for one in snapshot.approvals if one.approval_id == seen.approval_id), None)
        listed = sum(one.status == "pending" for one in snapshot.approvals)
        if item is None and listed < snapshot.approvals_pending:
            # It may be one of those that the snapshot has no room for.
            return
        changed = self._change(item)
        if item is not None and not changed and item.waiting != seen.waiting:
            self.approval = item
        elif changed == self.changed:
            return
        self.changed = changed
        self.explain()

    def _change(self, item: ApprovalView | None) -> str:
        """What it is by now that it was not when it was asked about."""
        if item is None:
            return "it is over"
        if item.version == self.approval.version:
            return ""
        by = f" by {item.decided_by}" if item.decided_by else ""
        return f"{approval_mark(item)[1]}{by}"

    def explain(self) -> None:
        """Shows the consequence anew."""
        raise NotImplementedError

    def warning(self) -> list[Line]:
        """What changed since the dialog was opened."""
        if not self.changed:
            return []
        text = f"{glyphs.ATTENTION} It changed meanwhile ({self.changed}). Close this and look again."
        return wrap(text, TEXT_WIDTH, tone=Tone.WARN)
