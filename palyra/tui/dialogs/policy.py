"""Making or changing a budget: checked as it is typed, tried on the last days, then saved by the engine."""

from collections.abc import Collection

from textual.app import ComposeResult

from palyra.control.commands import AddPolicy, Command, EditPolicy
from palyra.control.policy_check import PolicyFault, decides_otherwise, policy_faults
from palyra.control.queries import BudgetDetail
from palyra.tui import glyphs
from palyra.tui.details.voids import void_words
from palyra.tui.dialogs.base import TEXT_WIDTH, sentences
from palyra.tui.dialogs.form import FormDialog, Input, Send
from palyra.tui.dialogs.trial import Trial, Trying
from palyra.tui.policy_fields import ACTIONS, INTERVALS, METRICS, SCOPES
from palyra.tui.themes import Tone
from palyra.tui.widgets.form import Push
from palyra.tui.widgets.lines import BLANK, Line, line, muted, wrap


class PolicyDialog(FormDialog):
    """True once the engine took it. With a budget, changes it; without, makes a new one.

    Saving first tries the budget on the last seven days; pressed again meanwhile, it does not wait.
    """

    def __init__(
        self,
        send: Send,
        trying: Trying,
        budget: BudgetDetail | None,
        *,
        taken: Collection[str] = (),
        timezone: str = "UTC",
    ) -> None:
        """`taken`: ids of other budgets; `timezone`: the one a new budget begins with."""
        title = "New budget" if budget is None else f"Edit budget {budget.policy_id}"
        inputs = _new_inputs(timezone) if budget is None else _edit_inputs(budget.fields)
        super().__init__(title, inputs, send, trying.spawn)
        self._trying = trying
        self._budget = budget
        self._taken = taken
        self._trial: Trial | None = None

    def compose_buttons(self) -> ComposeResult:
        yield Push("Cancel", id="keep")
        yield Push("Save…", id="act")

    def on_mount(self) -> None:
        super().on_mount()
        self.explain()

    def on_unmount(self) -> None:
        self._stop_trial()

    def on_input_changed(self) -> None:
        self._typed()

    def on_cycle_changed(self) -> None:
        self._typed()

    def _typed(self) -> None:
        self._answer = None
        self._stop_trial()
        self.explain()

    def fields(self) -> dict[str, str]:
        """The whole policy as it would be."""
        return self.values() if self._budget is None else {**self._budget.fields, **self.changed()}

    def explain(self) -> None:
        """Says what is wrong with what was typed, or what the budget would do."""
        faults = self._faults()
        self.query_one("#act", Push).relabel(self._verb(faults))
        self.say([BLANK, *self._words(faults)])

    def _verb(self, faults: tuple[PolicyFault, ...]) -> str:
        if self._trial is not None and self._trial.running:
            return "Save without waiting"
        return "Save" if faults or self._trial is not None or not self._tried_first() else "Save…"

    def _tried_first(self) -> bool:
        """Whether there is anything to try: a name decides nothing."""
        return self._budget is None or decides_otherwise(self._budget.fields, self.fields())

    def _words(self, faults: tuple[PolicyFault, ...]) -> list[Line]:
        if self._answer is not None and not self._answer.ok:
            words = f"{glyphs.BAD} {self._answer.message} {self._answer.fix}".strip()
            return wrap(words, TEXT_WIDTH, tone=Tone.BAD)
        if faults:
            return [row for fault in faults for row in wrap(self._told(fault), TEXT_WIDTH, tone=Tone.WARN)]
        trial = [] if self._trial is None else self._trial.lines()
        if self._budget is None:
            return [*sentences(summary(self.values())), *trial]
        changed = self.changed()
        if not changed:
            return [line(muted("nothing is changed yet"))]
        voids = void_words(self._budget) if self._tried_first() else "Nothing becomes void."
        labels = ", ".join(item.label for item in self._inputs if item.field in changed)
        return [*sentences(f"Changed: {labels}. {voids}"), *trial]

    def _told(self, fault: PolicyFault) -> str:
        label = next((item.label for item in self._inputs if item.field == fault.field), fault.field)
        return f"{glyphs.ATTENTION} {label}: {fault.message}. {fault.fix}".strip()

    def _faults(self) -> tuple[PolicyFault, ...]:
        """In the order of the form."""
        places = [item.field for item in self._inputs]
        found = policy_faults(self.fields(), taken=self._taken)
        return tuple(sorted(found, key=lambda one: places.index(one.field) if one.field in places else len(places)))

    def act(self) -> None:
        faults = self._faults()
        if faults:
            place = next((item.field for item in self._inputs if item.field == faults[0].field), self._inputs[0].field)
            self.query_one(f"#{place}").focus()
            return
        if self._busy or (self._budget is not None and not self.changed()):
            return
        if self._trial is None and self._tried_first():
            self._trial = Trial(self._trying, self.fields(), self._on_trial)
            self.explain()
            return
        self._stop_trial()
        self.submit(self._command())

    def _command(self) -> Command:
        if self._budget is None:
            return AddPolicy({name: value for name, value in self.values().items() if value})
        revision = self._budget.counters[0].revision
        return EditPolicy(self._budget.policy_id, self.changed(), revision)

    def _on_trial(self) -> None:
        if self.is_mounted:
            self.explain()

    def _stop_trial(self) -> None:
        if self._trial is not None:
            self._trial.stop()
            self._trial = None

    def action_leave(self) -> None:
        """Ends a trial under way first, then the dialog."""
        if self._trial is not None and self._trial.running:
            self._stop_trial()
            self.explain()
        else:
            super().action_leave()


def summary(values: dict[str, str]) -> str:
    """A new policy in a sentence."""
    whom = "everything" if values["scope_kind"] == "global" else f"{values['scope_kind']} {values['scope_id'] or '*'}"
    limit = values["hard_limit"]
    unit = {"estimated_cost_usd": "US dollar", "total_tokens": "token"}.get(values["metric_kind"], "request")
    many = "" if limit == "1" else "s"
    full = {"block": "refuses", "approval_required": "asks a person", "advise": "only warns"}[values["action"]]
    return f"At most {limit} {unit}{many} {values['interval_kind']} for {whom}; when full it {full}."


def _new_inputs(timezone: str) -> list[Input]:
    return [
        Input("policy_id", "id", "", hint="team-day"),
        Input("hard_limit", "limit", "", hint="45.00"),
        Input("scope_kind", "covers", "global", SCOPES),
        Input("scope_id", "which", "*", hint="* counts each one apart"),
        Input("metric_kind", "counts", "estimated_cost_usd", METRICS),
        Input("interval_kind", "renews", "daily", INTERVALS),
        Input("timezone", "zone", timezone, hint="Europe/Prague"),
        Input("soft_limit", "warns at", "80%", hint="80% or an amount"),
        Input("action", "when full", "block", ACTIONS),
    ]


def _edit_inputs(fields: dict[str, str]) -> list[Input]:
    return [
        Input("hard_limit", "limit", fields["hard_limit"]),
        Input("soft_limit", "warns at", fields["soft_limit"], hint="80% or an amount"),
        Input("action", "when full", fields["action"], ACTIONS),
        Input("interval_kind", "renews", fields["interval_kind"], INTERVALS),
        Input("timezone", "zone", fields["timezone"]),
        Input("routing_override", "over soft", fields["routing_override"], hint="none, degrade, model:…, mode:…"),
        Input("on_unknown_price", "no price", fields["on_unknown_price"], hint="block, allow, flat:1.00"),
        Input("name", "name", fields["name"]),
        Input("enabled", "enabled", fields["enabled"], ("true", "false")),
    ]
