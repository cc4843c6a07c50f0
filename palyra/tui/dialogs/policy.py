"""Making or changing a budget: checked as it is typed, checked again by the engine, whose word is shown here."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from textual.app import ComposeResult

from palyra.control.commands import AddPolicy, Command, EditPolicy
from palyra.control.snapshots import BudgetView, CommandResult
from palyra.core.money import decimal_usd
from palyra.tui import glyphs
from palyra.tui.dialogs.base import Dialog, sentences
from palyra.tui.inquiry import Spawn
from palyra.tui.policy_fields import ACTIONS, INTERVALS, METRICS, SCOPES, faults_of
from palyra.tui.themes import Tone
from palyra.tui.widgets.form import Cycle, Field, Labelled, Push
from palyra.tui.widgets.lines import BLANK, Line, line, muted, part

Send = Callable[[Command], Awaitable[CommandResult | None]]


@dataclass(frozen=True, slots=True)
class Input:
    """One field of the form: a policy's field, its label, what it starts with, and the choices if there are few."""

    field: str
    label: str
    value: str
    choices: tuple[str, ...] = ()
    hint: str = ""


class PolicyDialog(Dialog[bool]):
    """True once the engine took it. With a budget, changes it; without, makes a new one."""

    def __init__(self, send: Send, spawn: Spawn, budget: BudgetView | None) -> None:
        super().__init__("New budget" if budget is None else f"Edit budget {budget.policy_id}")
        self._send = send
        self._spawn = spawn
        self._budget = budget
        self._inputs = _new_inputs() if budget is None else _edit_inputs(budget)
        self._answer: CommandResult | None = None
        self._busy = False

    def compose_content(self) -> ComposeResult:
        for item in self._inputs:
            if item.choices:
                yield Labelled(item.label, Cycle(item.choices, item.value, id=item.field))
            else:
                yield Labelled(item.label, Field(item.value, id=item.field, placeholder=item.hint))
        yield from super().compose_content()

    def compose_buttons(self) -> ComposeResult:
        yield Push("Cancel", id="keep")
        yield Push("Save", id="act")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(f"#{self._inputs[0].field}").focus()
        self.explain()

    def on_input_changed(self) -> None:
        self._answer = None
        self.explain()

    def on_cycle_changed(self) -> None:
        self._answer = None
        self.explain()

    def on_input_submitted(self) -> None:
        self.focus_next()

    def values(self) -> dict[str, str]:
        """What stands in the form."""
        found: dict[str, str] = {}
        for item in self._inputs:
            box = self.query_one(f"#{item.field}")
            found[item.field] = str(box.value if isinstance(box, Field | Cycle) else "").strip()
        return found

    def explain(self) -> None:
        values = self.values()
        faults = self._faults(values)
        self.say([BLANK, *self._words(values, faults)])

    def _words(self, values: dict[str, str], faults: dict[str, str]) -> list[Line]:
        if self._answer is not None and not self._answer.ok:
            return [
                (part(f"{glyphs.BAD} ", Tone.BAD), *first) if number == 0 else first
                for number, first in enumerate(sentences(f"{self._answer.message} {self._answer.fix}".strip()))
            ]
        if faults:
            first = self._first(faults)
            words = sentences(f"{glyphs.ATTENTION} {first.label}: {faults[first.field]}")
            return [tuple(replace(piece, tone=Tone.WARN) for piece in row) for row in words]
        if self._budget is None:
            return sentences(summary(values))
        changed = self._changes(values)
        if not changed:
            return [line(muted("nothing is changed yet"))]
        return sentences(f"Changes {', '.join(changed)}. Its grants and pending approvals become void.")

    def _faults(self, values: dict[str, str]) -> dict[str, str]:
        metric = {} if self._budget is None else {"metric_kind": self._budget.metric_kind}
        return faults_of({**metric, **values})

    def _first(self, faults: dict[str, str]) -> Input:
        return next(item for item in self._inputs if item.field in faults)

    def _changes(self, values: dict[str, str]) -> dict[str, str]:
        return {item.field: values[item.field] for item in self._inputs if values[item.field] != item.value}

    def act(self) -> None:
        values = self.values()
        faults = self._faults(values)
        if faults:
            self.query_one(f"#{self._first(faults).field}").focus()
            return
        if self._busy:
            return
        if self._budget is None:
            self._spawn(self._save(AddPolicy({name: value for name, value in values.items() if value})))
        elif changes := self._changes(values):
            self._spawn(self._save(EditPolicy(self._budget.policy_id, changes, self._budget.revision)))

    async def _save(self, command: Command) -> None:
        self._busy = True
        try:
            answer = await self._send(command)
        finally:
            self._busy = False
        if answer is not None and answer.ok:
            self.dismiss(True)
        elif self.is_mounted:
            self._answer = answer
            self.explain()


def summary(values: dict[str, str]) -> str:
    """A new policy in a sentence."""
    whom = "everything" if values["scope_kind"] == "global" else f"{values['scope_kind']} {values['scope_id'] or '*'}"
    unit = {"estimated_cost_usd": "US dollars", "total_tokens": "tokens"}.get(values["metric_kind"], "requests")
    full = {"block": "refuses", "approval_required": "asks a person", "advise": "only warns"}[values["action"]]
    return f"At most {values['hard_limit']} {unit} {values['interval_kind']} for {whom}; when full it {full}."


def _new_inputs() -> list[Input]:
    return [
        Input("policy_id", "id", "", hint="team-day"),
        Input("scope_kind", "covers", "global", SCOPES),
        Input("scope_id", "which", "*", hint="* counts each one apart"),
        Input("metric_kind", "counts", "estimated_cost_usd", METRICS),
        Input("interval_kind", "renews", "daily", INTERVALS),
        Input("timezone", "zone", "UTC", hint="Europe/Prague"),
        Input("hard_limit", "limit", "", hint="45.00"),
        Input("soft_limit", "warns at", "80%", hint="80% or an amount"),
        Input("action", "when full", "block", ACTIONS),
    ]


def _edit_inputs(budget: BudgetView) -> list[Input]:
    return [
        Input("hard_limit", "limit", _amount(budget.metric_kind, budget.hard_limit)),
        Input("soft_limit", "warns at", _amount(budget.metric_kind, budget.soft_limit), hint="80% or an amount"),
        Input("action", "when full", budget.action, ACTIONS),
        Input("interval_kind", "renews", budget.interval_kind, INTERVALS),
        Input("timezone", "zone", budget.timezone),
        Input("name", "name", budget.name),
        Input("enabled", "enabled", "true" if budget.enabled else "false", ("true", "false")),
    ]


def _amount(metric: str, amount: int | None) -> str:
    if amount is None:
        return ""
    return decimal_usd(amount) if metric == "estimated_cost_usd" else str(amount)
