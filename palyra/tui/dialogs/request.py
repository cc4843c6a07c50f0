"""Asking for room in a budget: for whom, how much, and why."""

from textual.app import ComposeResult

from palyra.control.commands import RequestOverride
from palyra.control.snapshots import BudgetView
from palyra.core.money import parse_usd
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.dialogs.base import TEXT_WIDTH, sentences
from palyra.tui.dialogs.form import FormDialog, Input, Send
from palyra.tui.inquiry import Spawn
from palyra.tui.themes import Tone
from palyra.tui.widgets.form import Push
from palyra.tui.widgets.lines import BLANK, Line, wrap

MOST_REASON = 500
_KNOWN = ("global", "user", "session")
"""What a counter counts that the principal and the session already name."""


class RequestDialog(FormDialog):
    """True once the engine opened or joined the approval."""

    def __init__(self, send: Send, spawn: Spawn, budget: BudgetView) -> None:
        self._budget = budget
        super().__init__(f"Ask for room in {budget.policy_id}", self._fields(), send, spawn)

    def _fields(self) -> list[Input]:
        budget = self._budget
        own = {
            kind: "" if budget.scope_kind != kind or budget.scope_value == "*" else budget.scope_value
            for kind in ("user", "session")
        }
        unit = "dollars" if budget.metric_kind == "estimated_cost_usd" else budget.metric_kind.replace("total_", "")
        return [
            Input("principal", "for", own["user"], hint="local"),
            Input("session", "session", own["session"], hint="every one of theirs"),
            *([Input("which", budget.scope_kind, hint="the one that is meant")] if self._names_counter else []),
            Input("amount", "amount", hint=f"{unit} above the limit; may stay empty"),
            Input("reason", "reason", hint="read by who decides", most=MOST_REASON),
        ]

    def compose_buttons(self) -> ComposeResult:
        yield Push("Cancel", id="keep")
        yield Push("Ask", id="act")

    @property
    def _names_counter(self) -> bool:
        """Whether the operator has to say which of several counters is meant."""
        budget = self._budget
        return budget.scope_kind not in _KNOWN and budget.scope_value.endswith("*")

    def on_mount(self) -> None:
        super().on_mount()
        self.explain()

    def on_input_changed(self) -> None:
        self._answer = None
        self.explain()

    def _text(self, name: str) -> str:
        return self.values()[name]

    def _fault(self) -> tuple[str, str] | None:
        """The first field that cannot be right, and why."""
        try:
            amount = self._amount()
        except ValueError as error:
            return "amount", str(error)
        if amount == 0:
            return "amount", "an amount of nothing asks for nothing"
        if self._names_counter and not self._text("which"):
            return "which", f"name the {self._budget.scope_kind} that is meant"
        if not self._text("reason"):
            return "reason", "a person has to know why"
        return None

    def _amount(self) -> int | None:
        text = self._text("amount")
        if not text:
            return None
        if self._budget.metric_kind == "estimated_cost_usd":
            return int(parse_usd(text))
        digits = text.replace("_", "").replace(",", "")
        if not (digits.isascii() and digits.isdigit()):
            raise ValueError("write a whole number")
        return int(digits)

    def explain(self) -> None:
        """Says what is wrong with what was typed, or what would be asked for."""
        self.say([BLANK, *self._words()])

    def _words(self) -> list[Line]:
        if self._answer is not None and not self._answer.ok:
            words = f"{glyphs.BAD} {self._answer.message} {self._answer.fix}".strip()
            return wrap(words, TEXT_WIDTH, tone=Tone.BAD)
        fault = self._fault()
        if fault is not None:
            return wrap(f"{glyphs.ATTENTION} {fault[0]}: {fault[1]}", TEXT_WIDTH, tone=Tone.WARN)
        amount = self._amount()
        room = "room" if amount is None else f"{show.quantity(self._budget.metric_kind, amount)} more than its limit"
        where = f"session {self._text('session')}" if self._text("session") else "every session"
        return sentences(
            f"Opens an approval: {self._text('principal') or 'local'} asks for {room} in {self._policy()}, in {where}. "
            "It grants nothing until an approver allows it."
        )

    def _policy(self) -> str:
        """The budget, with the counter that is meant."""
        budget = self._budget
        value = self._text("which") if self._names_counter else budget.scope_value
        if budget.scope_kind in _KNOWN or not value or value.endswith("*"):
            return budget.policy_id
        return f"{budget.policy_id}={value}"

    def act(self) -> None:
        fault = self._fault()
        if fault is not None:
            self.query_one(f"#{fault[0]}").focus()
        else:
            asked = RequestOverride(
                (self._policy(),),
                self._text("principal"),
                self._text("session"),
                self._text("amount"),
                self._text("reason"),
            )
            self.submit(asked)
