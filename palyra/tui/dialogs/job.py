"""Making or changing a job: its schedule is read by the engine as it is typed, and its next fires show."""

from typing import Literal, get_args

from textual.app import ComposeResult

from palyra.control.commands import Command
from palyra.control.jobs_commands import AddJob, EditJob
from palyra.control.jobs_queries import JobDetail, ScheduleAnswer, ScheduleQuery
from palyra.control.protocol import Control
from palyra.core.clock import Clock
from palyra.core.errors import PalyraError
from palyra.core.safe_text import safe
from palyra.tui import glyphs
from palyra.tui.details.job import slot_lines
from palyra.tui.dialogs.base import TEXT_WIDTH
from palyra.tui.dialogs.form import FormDialog, Input, Send
from palyra.tui.inquiry import Inquiry, Spawn
from palyra.tui.themes import Tone
from palyra.tui.widgets.form import Field, Push
from palyra.tui.widgets.lines import BLANK, Line, line, muted, wrap

ScheduleKind = Literal["cron", "every", "at"]
SCHEDULES: tuple[ScheduleKind, ...] = get_args(ScheduleKind)
HINTS = {"cron": "0 9 * * mon-fri", "every": "15m", "at": "2027-01-31T18:00:00+01:00"}
SHOWN = 10
BREAK = str(safe("\n"))
"""How a break of lines stands in a field of one line."""
AROUND = 9
"""Rows of the dialog that are neither fields nor slots."""


class JobDialog(FormDialog):
    """True once the engine took it. With a job, changes it; without, makes a new one."""

    def __init__(
        self,
        control: Control,
        send: Send,
        spawn: Spawn,
        clock: Clock,
        job: JobDetail | None,
        *,
        zone: str = "UTC",
    ) -> None:
        """`zone`: the one a new job begins with."""
        title = "New job" if job is None else f"Edit job {job.job.name}"
        super().__init__(title, _new_inputs(zone) if job is None else _edit_inputs(job), send, spawn)
        self._control = control
        self._clock = clock
        self._job = job
        self._inquiry: Inquiry[ScheduleAnswer] = Inquiry(spawn, self._told, self._untold)
        self._schedule: ScheduleAnswer | None = None
        self._trouble = ""

    def compose_buttons(self) -> ComposeResult:
        yield Push("Cancel", id="keep")
        yield Push("Save", id="act")

    def on_mount(self) -> None:
        super().on_mount()
        self._typed()

    def on_input_changed(self) -> None:
        self._typed()

    def on_cycle_changed(self) -> None:
        self.query_one("#expression", Field).placeholder = HINTS[self._kind()]
        self._typed()

    def _kind(self) -> ScheduleKind:
        chosen = self.values()["schedule"]
        return next(one for one in SCHEDULES if one == chosen)

    def _typed(self) -> None:
        self._answer = None
        values = self.values()
        if values["expression"]:
            query = ScheduleQuery(values["expression"], self._kind(), values["timezone"], count=SHOWN)
            self._inquiry.ask(lambda: self._control.ask(query))
        else:
            self._schedule, self._trouble = None, ""
        self.explain()

    @property
    def _asks(self) -> bool:
        """Whether there still is an expression that an answer can be about."""
        return self.is_mounted and bool(self.values()["expression"])

    def _told(self, answer: ScheduleAnswer) -> None:
        if self._asks:
            self._schedule, self._trouble = answer, ""
            self.explain()

    def _untold(self, error: PalyraError) -> None:
        if self._asks:
            self._schedule, self._trouble = None, str(error)
            self.explain()

    def explain(self) -> None:
        """Says what is wrong with what was typed, or when the job would fire."""
        self.say([BLANK, *self._words()])

    def _words(self) -> list[Line]:
        answer, schedule = self._answer, self._schedule
        if answer is not None and not answer.ok:
            told = [f"{self._label(fault.field)}: {fault.message} {fault.fix}".strip() for fault in answer.faults]
            words = told or [f"{answer.message} {answer.fix}".strip()]
            return [row for one in words for row in wrap(f"{glyphs.BAD} {one}", TEXT_WIDTH, tone=Tone.BAD)]
        if self._trouble:
            return wrap(f"{glyphs.ATTENTION} {self._trouble}", TEXT_WIDTH, tone=Tone.WARN)
        if schedule is None:
            return [line(muted("its next fires show here"))]
        if schedule.problems:
            rows = [wrap(f"{glyphs.ATTENTION} {one}", TEXT_WIDTH, tone=Tone.WARN) for one in schedule.problems]
            return [row for one in rows for row in one]
        room = self.app.size.height - len(self._inputs) - AROUND
        most = max(1, min(SHOWN, room))
        return slot_lines(schedule.instants, self._clock.now_ms(), most=most, width=TEXT_WIDTH)

    def _label(self, field: str) -> str:
        if field in SCHEDULES or field == "schedule":
            return "when"
        return next((item.label for item in self._inputs if item.field == field), field)

    def act(self) -> None:
        self.submit(self._command())

    def _command(self) -> Command:
        values = self.values()
        fields = {name: text for name, text in values.items() if name not in ("schedule", "expression")}
        fields[values["schedule"]] = values["expression"]
        if self._job is None:
            return AddJob({name: text for name, text in fields.items() if text})
        changed = self.changed()
        kept = {name: text for name, text in changed.items() if name in fields}
        if "\n" in self._job.fields.get("prompt", "") and "prompt" in kept:
            kept["prompt"] = kept["prompt"].replace(BREAK, "\n")
        if not changed.keys().isdisjoint(("schedule", "expression", "timezone")):
            kept |= {values["schedule"]: values["expression"], "timezone": values["timezone"]}
        return EditJob(self._job.job.job_id, kept, self._job.job.version)


def _new_inputs(zone: str) -> list[Input]:
    return [
        Input("name", "name", "", hint="nightly-report"),
        Input("schedule", "fires", "cron", SCHEDULES),
        Input("expression", "when", "", hint=HINTS["cron"]),
        Input("timezone", "zone", zone, hint="Europe/Prague"),
        Input("prompt", "prompt", "", hint="what the model is asked each time", most=16_384),
        Input("model", "model", "auto"),
        Input("misfire", "when missed", "skip", ("skip", "catch_up")),
        Input("concurrency", "when busy", "forbid", ("forbid", "queue", "replace")),
        Input("max_attempts", "attempts", "1"),
    ]


def _edit_inputs(detail: JobDetail) -> list[Input]:
    job, fields = detail.job, detail.fields
    inputs = [
        Input("schedule", "fires", job.schedule, SCHEDULES),
        Input("expression", "when", job.expression),
        Input("timezone", "zone", job.timezone),
    ]
    if job.source == "system":
        return inputs
    if job.action == "prompt":
        inputs.append(Input("prompt", "prompt", fields.get("prompt", ""), most=16_384))
        inputs.append(Input("model", "model", fields.get("model", "auto")))
    return [
        *inputs,
        Input("misfire", "when missed", job.misfire, ("skip", "catch_up")),
        Input("concurrency", "when busy", job.concurrency, ("forbid", "queue", "replace")),
        Input("max_attempts", "attempts", str(detail.max_attempts)),
    ]
