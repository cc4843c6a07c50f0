"""Dialogs about an approval that may change while they are open."""

from typing import TypeVar

from palyra.control.snapshots import ApprovalView, Snapshot
from palyra.tui import glyphs
from palyra.tui.details.words import approval_mark
from palyra.tui.dialogs.base import Dialog
from palyra.tui.themes import Tone
from palyra.tui.widgets.lines import Line, line, part

R = TypeVar("R")


class ApprovalDialog(Dialog[R]):
    """Keeps the approval as the operator saw it, and says when it is no longer so."""

    def __init__(self, title: str, approval: ApprovalView) -> None:
        super().__init__(title)
        self.approval = approval
        self.changed = ""

    def take(self, snapshot: Snapshot) -> None:
        for item in snapshot.approvals:
            if item.approval_id == self.approval.approval_id:
                if item.version == self.approval.version:
                    return
                _, word, _ = approval_mark(item)
                by = f" by {item.decided_by}" if item.decided_by else ""
                self.changed = f"{word}{by}"
                self.explain()
                return

    def explain(self) -> None:
        """Shows the consequence anew."""
        raise NotImplementedError

    def warning(self) -> list[Line]:
        if not self.changed:
            return []
        text = f"{glyphs.ATTENTION} It changed meanwhile ({self.changed}). Close this and look again."
        return [line(part(text, Tone.WARN))]
