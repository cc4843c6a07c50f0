"""Asking before the doctor changes anything: what exactly, what that loses, and whom a stop of the engine hits."""

from collections.abc import Sequence

from textual.app import ComposeResult

from palyra.control.doctor_queries import StepView
from palyra.control.snapshots import RunView
from palyra.core.plural import plural
from palyra.tui import format as show
from palyra.tui import glyphs
from palyra.tui.details.repair import target_name
from palyra.tui.dialogs.base import TEXT_WIDTH, Dialog
from palyra.tui.dialogs.confirm import Consequence
from palyra.tui.themes import Tone
from palyra.tui.widgets.form import Push
from palyra.tui.widgets.lines import BLANK, Line, Lines, line, muted, strong, wrap

MOST_RUNS = 6
"""More live runs than these are counted."""


class RepairDialog(Dialog[bool]):
    """True when the operator chose to act; the button does nothing before the end of the text was on the screen."""

    def __init__(self, steps: Sequence[StepView], *, taken_back: bool, live: bool) -> None:
        super().__init__("Take this run back?" if taken_back else f"Apply {plural(len(steps), 'repair')}?")
        self._steps = steps
        self._taken_back = taken_back
        self._live = live

    def compose_buttons(self) -> ComposeResult:
        yield Push("Leave it", id="keep")
        yield Push("Take it back" if self._taken_back else "Apply", id="act")

    def on_mount(self) -> None:
        super().on_mount()
        self.say([row for step in self._steps for row in self._told(step)] + self._foot())

    def _told(self, step: StepView) -> list[Line]:
        title, *more = wrap(step.title, TEXT_WIDTH - 2)
        lines = [line("", *(strong(piece.text) for piece in row)) for row in (title, *more)]
        files = plural(len(step.changes), "change")
        loses = "What was changed since is replaced." if self._taken_back else "It loses something, as its page says."
        for holds, words in (
            (step.force, loses),
            (step.security, "It changes who may read or do what."),
            (step.needs_stop and self._live, "The engine is stopped for it."),
        ):
            if holds:
                lines += wrap(f"{glyphs.ATTENTION} {words}", TEXT_WIDTH, indent="  ", hang="    ", tone=Tone.WARN)
        return [*lines, line(muted(f"  {files}: {', '.join(target_name(one) for one in step.changes[:2])}")), BLANK]

    def _foot(self) -> list[Line]:
        words = "What is there now is kept first, so that this can be taken back too."
        return wrap(words, TEXT_WIDTH, tone=Tone.MUTED)

    def act(self) -> None:
        if self.query_one("#consequence", Lines).end_seen:
            self.dismiss(True)


def stopping(steps: Sequence[StepView], runs: Sequence[RunView] | None, drain_seconds: float, now: int) -> Consequence:
    """What it means to stop the engine for these steps; `runs` are those in flight, None where nobody can tell."""
    names = ", ".join(one.repair_id for one in steps if one.needs_stop)
    told = [f"For {names} the engine of this console is stopped and started again; the gateway is closed meanwhile."]
    if runs is None:
        told.append("Which runs are in flight cannot be told now.")
    elif runs:
        held = f"{plural(len(runs), 'run')} in flight: up to {drain_seconds:.0f} s to end, then cut."
        told += ["", held, *(f"  {_run(one, now)}" for one in runs[:MOST_RUNS])]
        if len(runs) > MOST_RUNS:
            told.append(f"  and {len(runs) - MOST_RUNS:,} more")
    else:
        told.append("No run is in flight.")
    return Consequence("Stop the engine for it?", "\n".join(told), "Leave it running", "Stop, repair, start")


def _run(run: RunView, now: int) -> str:
    return f"{run.principal}  {show.short_model(run.model)}  {run.state}  {show.age(now - run.accepted_at)}"
