"""Looking at the audit: verifying its chain, listing decisions too, writing it out, going to what an entry is about."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from palyra.control.audit_queries import AuditEntry
from palyra.tui.commands.action import HIDDEN, READY, Action, Confirm, Offer, dimmed

if TYPE_CHECKING:
    from palyra.tui.screens.audit import AuditScreen

_PLACES = {
    "approval": ("approvals", "approval"),
    "grant": ("approvals", "grant"),
    "incident": ("incidents", "incident"),
    "job": ("jobs", "job"),
    "task": ("jobs", "task"),
    "repair": ("diagnostics", "repair"),
}
"""Which screen lists what entries of a kind are about, and how its keys begin there."""


class Verify(Action["AuditScreen"]):
    id = "audit.verify"
    keys = ("V",)
    title = "Verify the chain"
    help = "follows it from the first entry to the head that is kept outside the database"
    footer = "verify"
    on_selection = False

    def offer(self, screen: "AuditScreen") -> Offer:
        return dimmed("it is being verified", told=False) if screen.verifying else READY

    def perform(self, screen: "AuditScreen") -> None:
        screen.verify()


class WithDecisions(Action["AuditScreen"]):
    id = "audit.decisions"
    keys = ("a",)
    title = "With decisions"
    help = "lists what was decided about each request among what people did, or leaves it out again"
    footer = "decisions"
    on_selection = False

    def perform(self, screen: "AuditScreen") -> None:
        screen.show_decisions(screen.deeds)


class ExportAudit(Action["AuditScreen"]):
    id = "audit.export"
    keys = ("e",)
    title = "Export…"
    help = "every entry with its digest, as CSV or JSON"
    footer = "export"
    confirm = Confirm.DIALOG
    on_selection = False

    def offer(self, screen: "AuditScreen") -> Offer:
        return HIDDEN if screen.subject is None else READY

    def perform(self, screen: "AuditScreen") -> Coroutine[Any, Any, None]:
        return self._ask(screen)

    async def _ask(self, screen: "AuditScreen") -> None:
        await screen.palyra.ask(screen.export_dialog())


class JumpFromAudit(Action["AuditScreen"]):
    id = "audit.jump"
    keys = ("J",)
    title = "Jump to its subject"
    help = "the approval, grant, incident, job, task, budget or run of the doctor that it is about"
    footer = "jump"

    def offer(self, screen: "AuditScreen") -> Offer:
        known = _place_of(screen.subject) is not None or _policy_of(screen.subject)
        return READY if known else HIDDEN

    def perform(self, screen: "AuditScreen") -> Coroutine[Any, Any, None] | None:
        if policy := _policy_of(screen.subject):
            return screen.palyra.show_filtered("budgets", f"budget:{policy}")
        place = _place_of(screen.subject)
        return None if place is None else screen.palyra.show_object(*place)


class ExplainDecision(Action["AuditScreen"]):
    id = "audit.explain"
    keys = ("x",)
    title = "Explain the decision"
    help = "why a request was let through, changed, held back or refused"
    footer = "explain"

    def offer(self, screen: "AuditScreen") -> Offer:
        subject = screen.subject
        return READY if isinstance(subject, AuditEntry) and subject.kind == "decision" else HIDDEN

    def perform(self, screen: "AuditScreen") -> None:
        if isinstance(screen.subject, AuditEntry):
            screen.palyra.open_decision(screen.subject.subject)


def _place_of(subject: object) -> tuple[str, str] | None:
    """The screen and the key of what an entry is about."""
    if not isinstance(subject, AuditEntry) or subject.kind not in _PLACES:
        return None
    screen, begin = _PLACES[subject.kind]
    return screen, f"{begin}:{subject.subject}"


def _policy_of(subject: object) -> str:
    """The budget that an entry is about; a budget may have several counters, so that they are filtered by it."""
    return subject.subject if isinstance(subject, AuditEntry) and subject.kind == "policy" else ""


AUDIT: tuple[Action["AuditScreen"], ...] = (
    JumpFromAudit(),
    ExplainDecision(),
    Verify(),
    WithDecisions(),
    ExportAudit(),
)
