"""The doctor: what is wrong, what would be repaired step by step as a diff, what came of it, and the way back."""

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from palyra.control.codec import decode
from palyra.control.commands import Command
from palyra.control.doctor_commands import ApplyRepairs, RollBack
from palyra.control.doctor_queries import (
    DoctorPreview,
    DoctorPreviewQuery,
    DoctorReport,
    DoctorReportQuery,
    DoctorRunsQuery,
    FindingView,
    RepairsDone,
    StepView,
)
from palyra.control.doctor_views import OUTCOME
from palyra.control.snapshots import CommandResult
from palyra.core.errors import PalyraError
from palyra.core.plural import plural
from palyra.tui import glyphs
from palyra.tui.dialogs.base import TEXT_WIDTH, Dialog
from palyra.tui.inquiry import Spawn
from palyra.tui.themes import Tone
from palyra.tui.widgets.form import Push
from palyra.tui.widgets.lines import BLANK, Line, Lines, line, muted, part, strong, wrap

_TONES = {"blocking": Tone.BAD, "warning": Tone.WARN, "info": Tone.MUTED}
_DIFF = {"+": Tone.GOOD, "-": Tone.BAD, "@": Tone.MUTED}
_WELL = ("applied", "undone")

Ask = Callable[[Any], Awaitable[Any]]
Send = Callable[[Command], Awaitable[CommandResult | None]]


class DoctorDialog(Dialog[None]):
    """The safe button has the focus, and the other one does nothing before the end of the text was on the screen.

    Numbers tick steps; one that loses something is not ticked by itself.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(number), f"tick({number})", f"Step {number}", show=False) for number in range(1, 10)),
        Binding("u", "undo", "Undo the newest run", show=False),
        Binding("r", "look", "Look again", show=False),
    ]

    def __init__(self, ask: Ask, send: Send, spawn: Spawn) -> None:
        super().__init__("Doctor")
        self._ask, self._send, self._spawn = ask, send, spawn
        self._report: DoctorReport | None = None
        self._plan: DoctorPreview | None = None
        self._undoing = ""
        """The run that the plan takes back; empty where it repairs."""
        self._ticked: set[str] = set()
        self._done: RepairsDone | None = None
        self._before = 0
        self._busy = "Looking at the installation …"
        self._trouble = ""

    def compose_buttons(self) -> ComposeResult:
        yield Push("Cancel", id="keep")
        yield Push("Apply", id="act")

    def on_mount(self) -> None:
        super().on_mount()
        self.action_look()

    # Asking.

    def action_look(self) -> None:
        self._undoing, self._done = "", None
        self._begin("Looking at the installation …", self._look)

    def action_undo(self) -> None:
        self._begin("Looking what taking the newest run back would do …", self._look_back)

    def action_tick(self, number: int) -> None:
        steps = () if self._plan is None or self._undoing else self._plan.steps
        if number <= len(steps):
            self._ticked ^= {steps[number - 1].repair_id}
            self.explain()

    def act(self) -> None:
        ready = self._plan is not None and not self._busy and self._done is None
        if not ready or not self.query_one("#consequence", Lines).end_seen:
            return
        if self._undoing:
            self._begin("Taking it back …", self._roll_back)
        elif self._ticked:
            self._begin(f"Applying {plural(len(self._ticked), 'step')} …", self._apply)

    def _begin(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            try:
                await work()
            except PalyraError as error:
                self._trouble = str(error)
            finally:
                self._busy = ""
                self._show_anew()

        self._busy, self._trouble = what, ""
        self.explain()
        self._spawn(run())

    async def _look(self) -> None:
        self._report = await self._ask(DoctorReportQuery())
        self._plan = await self._ask(DoctorPreviewQuery())
        self._ticked = {step.repair_id for step in self._plan.steps if not step.force and not self._kept(step)}

    async def _look_back(self) -> None:
        runs = (await self._ask(DoctorRunsQuery())).runs
        newest = next((run for run in runs if run.run_id and run.state != "rolled_back"), None)
        if newest is None:
            self._trouble = "There is no run to take back."
            return
        self._plan = await self._ask(DoctorPreviewQuery(newest.run_id))
        self._undoing, self._done = newest.run_id, None

    async def _apply(self) -> None:
        assert self._plan is not None
        steps = [step for step in self._plan.steps if step.repair_id in self._ticked]
        force = any(step.force for step in steps)
        names = tuple(step.repair_id for step in steps)
        await self._take(await self._send(ApplyRepairs(self._plan.digest, names, force)))

    async def _roll_back(self) -> None:
        await self._take(await self._send(RollBack(self._undoing)))

    async def _take(self, result: CommandResult | None) -> None:
        """What came of it; where nothing was done since a file was changed, the new plan."""
        if result is None:
            return
        self._before = 0 if self._report is None else len(self._report.findings)
        if OUTCOME in result.data:
            self._done = decode(RepairsDone, result.data[OUTCOME])
            return
        self._trouble = f"{result.message} {result.fix}".strip()
        if result.code == "plan_changed":
            await self._look()

    def _kept(self, step: StepView) -> bool:
        """Whether a step has to wait until the engine is stopped."""
        return step.needs_stop and self._plan is not None and self._plan.live

    # Showing.

    def _show_anew(self) -> None:
        if self.is_mounted:
            self.query_one("#consequence", Lines).start_over()
            self.explain()

    def explain(self) -> None:
        if self.is_mounted:
            self.say(list(self._lines()))

    def _lines(self) -> list[Line]:
        if self._busy:
            return [BLANK, line(muted(self._busy))]
        told = [BLANK, *_wrapped(f"{glyphs.BAD} {self._trouble}", Tone.BAD)] if self._trouble else []
        if self._done is not None:
            return [*told, *_outcome(self._done, self._before)]
        if not self._undoing and self._report is not None:
            told += _findings(self._report.findings)
        if self._plan is not None:
            told += self._steps(self._plan)
        return told

    def _steps(self, plan: DoctorPreview) -> list[Line]:
        if not plan.steps:
            return [BLANK, *_wrapped("There is nothing that can be repaired by itself.", Tone.MUTED)]
        lines: list[Line] = []
        for number, step in enumerate(plan.steps, start=1):
            on = bool(self._undoing) or step.repair_id in self._ticked
            box = "" if self._undoing else f"{number} [{'x' if on else ' '}] "
            lines += [BLANK, line(part(box, Tone.ACCENT, bold=True), strong(step.title)), *_marks(step)]
            lines += _wrapped(step.impact, Tone.MUTED)
            lines += [row for note in step.notes for row in _wrapped(note, Tone.WARN)]
            for change in step.changes:
                lines.append(line(muted(f"{change.action} {change.target}")))
                lines += [row for text in change.diff.splitlines() for row in _diff_line(text)]
        keys = "the button takes it back" if self._undoing else "numbers tick steps  u takes the newest run back"
        return [*lines, BLANK, line(muted(f"{keys}  PgDn reads on"))]


def _wrapped(text: str, tone: Tone) -> list[Line]:
    return wrap(text, TEXT_WIDTH, tone=tone)


def _diff_line(text: str) -> list[Line]:
    """A line of a diff as it is, on as many rows as it takes: what is applied can be read in full."""
    tone, room = _DIFF.get(text[:1], Tone.PLAIN), TEXT_WIDTH - 2
    return [line(part(f"  {text[start : start + room]}", tone)) for start in range(0, max(1, len(text)), room)]


def _marks(step: StepView) -> list[Line]:
    marks = [
        word
        for word, holds in (
            ("loses something: tick it yourself", step.force),
            ("only while the engine is stopped", step.needs_stop),
            ("changes who may do what", step.security),
        )
        if holds
    ]
    return [row for word in marks for row in _wrapped(f"{glyphs.ATTENTION} {word}", Tone.WARN)]


def _findings(findings: tuple[FindingView, ...]) -> list[Line]:
    if not findings:
        return [BLANK, line(part("Nothing is wrong.", Tone.GOOD))]
    lines: list[Line] = []
    for one in findings:
        lines += [BLANK, *_wrapped(f"{one.severity} {one.check}: {one.message}", _TONES.get(one.severity, Tone.PLAIN))]
        lines += [row for text in (*one.evidence, one.manual) if text for row in _wrapped(text, Tone.MUTED)]
    return lines


def _outcome(done: RepairsDone, before: int) -> list[Line]:
    lines: list[Line] = [BLANK]
    for step in done.steps:
        well = step.outcome in _WELL
        words = f"{glyphs.OK if well else glyphs.BAD} {step.repair_id} {step.outcome} {step.error}".rstrip()
        lines += _wrapped(words, Tone.GOOD if well else Tone.BAD)
        lines += [row for note in step.notes for row in _wrapped(note, Tone.WARN)]
    if done.trouble:
        lines += _wrapped(done.trouble, Tone.WARN)
    lines += [BLANK, line(muted(f"findings {before} → {len(done.findings)}  u takes it back  r looks again"))]
    return [*lines, *_findings(done.findings)]
