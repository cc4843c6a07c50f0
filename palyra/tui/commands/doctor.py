"""The doctor at the keyboard: running it, a repair as a diff, ticking steps, applying them, and the way back."""

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from palyra.control.doctor_queries import RunOfRepairs, StepView
from palyra.control.snapshots import RunView, Topic
from palyra.core.errors import PalyraError
from palyra.tui.commands.action import HIDDEN, READY, Action, Confirm, Offer, Right, dimmed
from palyra.tui.details.finding import FindingRow
from palyra.tui.dialogs.confirm import ConfirmDialog
from palyra.tui.dialogs.repairs import RepairDialog, stopping
from palyra.tui.doctoring import Page, can_be_undone
from palyra.tui.subjects import key_of
from palyra.tui.themes import Tone

if TYPE_CHECKING:
    from palyra.tui.screens.diagnostics import DiagnosticsScreen

UNDER_WAY = dimmed("a run is under way", told=False)
NO_REPAIR = "nothing repairs this by itself; what to do stands with it"


class ShowRepair(Action["DiagnosticsScreen"]):
    id = "doctor.preview"
    keys = ("p",)
    title = "Repair as a diff"
    help = "what would be changed for the selected finding, byte by byte; again: the next repair"
    footer = "repair"

    def offer(self, screen: "DiagnosticsScreen") -> Offer:
        doctor = screen.doctor
        if screen.view == "runs" or doctor.page is Page.UNDO:
            return HIDDEN
        if doctor.work is not None:
            return UNDER_WAY
        if doctor.page is not Page.REPAIR and isinstance(screen.subject, FindingRow) and not screen.subject.gone:
            return READY if screen.subject.repairs else dimmed(NO_REPAIR, told=False)
        return READY if doctor.plan is not None and doctor.plan.steps else HIDDEN

    def footer_of(self, screen: "DiagnosticsScreen") -> str:
        return "next" if screen.doctor.page is Page.REPAIR else self.footer

    def perform(self, screen: "DiagnosticsScreen") -> None:
        if screen.doctor.page is Page.REPAIR:
            following = screen.pages.following(screen.subject)
            if following is not None:
                show_step(screen, following)
        else:
            begin(screen)


def begin(screen: "DiagnosticsScreen") -> None:
    """Shows the repair of what is selected, and has the newest plan made."""
    doctor = screen.doctor
    screen.show_page(Page.REPAIR)
    if doctor.plan is None:
        doctor.plan_anew(lambda: _show_own(screen))
    else:
        _show_own(screen)
        doctor.plan_anew(lambda: None)
    screen.redraw()


def _show_own(screen: "DiagnosticsScreen") -> None:
    """Brings the repair of what is selected into view, ticked unless it loses something."""
    doctor = screen.doctor
    if doctor.page is not Page.REPAIR:
        return
    screen.pages.begin(screen.subject)
    step = screen.pages.step(screen.subject)
    if step is not None and not step.force and not doctor.bar(step) and step not in doctor.ticked:
        doctor.tick(step)


def show_step(screen: "DiagnosticsScreen", step: StepView) -> None:
    """Brings a step into view, and the finding that it answers under the cursor."""
    screen.note_read()
    rows = [one for one in screen.doctor.rows if step.repair_id in one.repairs and not one.gone]
    subject = screen.subject
    if rows and subject not in rows and screen.is_listed(rows[0]):
        screen.pages.bring(step, key_of(rows[0]))
        screen.bring(key_of(rows[0]))
    else:
        screen.pages.bring(step, "" if subject is None else key_of(subject))
    screen.redraw()


class TickStep(Action["DiagnosticsScreen"]):
    id = "doctor.tick"
    keys = ("space",)
    title = "Tick this step"
    help = "only what is ticked is applied; what loses something is never ticked by itself"
    footer = "tick"

    def offer(self, screen: "DiagnosticsScreen") -> Offer:
        doctor, step = screen.doctor, screen.pages.step(screen.subject)
        if step is None or (doctor.page is Page.UNDO and not step.force):
            return HIDDEN
        return dimmed("it cannot be done from here", told=False) if doctor.bar(step) else READY

    def footer_of(self, screen: "DiagnosticsScreen") -> str:
        return "untick" if screen.pages.step(screen.subject) in screen.doctor.ticked else self.footer

    def perform(self, screen: "DiagnosticsScreen") -> None:
        step = screen.pages.step(screen.subject)
        if step is not None:
            screen.note_read()
            screen.doctor.tick(step)
            screen.redraw()


class Apply(Action["DiagnosticsScreen"]):
    id = "doctor.apply"
    keys = ("f",)
    title = "Apply what is ticked"
    help = "carries out the ticked steps one after another, or takes back the run in view, and looks again"
    footer = "apply"
    confirm = Confirm.DIALOG
    right = Right.REPAIR

    def offer(self, screen: "DiagnosticsScreen") -> Offer:
        doctor, subject = screen.doctor, screen.subject
        if doctor.work is not None:
            return UNDER_WAY
        if doctor.page in (Page.REPAIR, Page.UNDO):
            return self._of_page(screen)
        if screen.view == "runs" or not isinstance(subject, FindingRow) or subject.gone:
            return HIDDEN
        return READY if subject.repairs else dimmed(NO_REPAIR, told=False)

    def _of_page(self, screen: "DiagnosticsScreen") -> Offer:
        doctor, step = screen.doctor, screen.pages.step(screen.subject)
        if not doctor.steps:
            return dimmed("there is nothing to apply", told=False)
        if step is not None and doctor.bar(step):
            return dimmed("it cannot be done from here", told=False)
        if doctor.page is Page.UNDO and step is not None and not step.changes:
            return dimmed("there is nothing left to take back", told=False)
        return READY if doctor.chosen else dimmed("no step is ticked (space)", told=False)

    def footer_of(self, screen: "DiagnosticsScreen") -> str:
        return "take back" if screen.doctor.page is Page.UNDO else self.footer

    def perform(self, screen: "DiagnosticsScreen") -> Coroutine[Any, Any, None] | None:
        doctor = screen.doctor
        if doctor.page not in (Page.REPAIR, Page.UNDO):
            begin(screen)
            screen.flash("This is what it would do. The same key again applies it.")
            return None
        screen.note_read()
        unread, shown = doctor.unread, screen.pages.step(screen.subject)
        if unread is None:
            return self._ask(screen)
        if unread != shown:
            show_step(screen, unread)
            screen.flash("This one is ticked too: look at it, then press the key again.", Tone.WARN)
        else:
            screen.flash("Read it to its end first (PgDn, End), then press the key again.", Tone.WARN)
        return None

    async def _ask(self, screen: "DiagnosticsScreen") -> None:
        doctor, palyra = screen.doctor, screen.palyra
        page, chosen, must_stop = doctor.page, doctor.chosen, doctor.must_stop
        sure = await palyra.ask(RepairDialog(chosen, taken_back=page is Page.UNDO, live=doctor.live))
        if sure and must_stop:
            runs = await _live_runs(screen)
            consequence = stopping(chosen, runs, palyra.drain_seconds, palyra.clock.now_ms())
            sure = await palyra.ask(ConfirmDialog(consequence))
        if not sure:
            return
        if (page, chosen) != (doctor.page, doctor.chosen):
            screen.flash("The plan changed meanwhile: nothing was done. Look at it again.", Tone.WARN)
            return
        await doctor.carry_out(stop_engine=must_stop)


async def _live_runs(screen: "DiagnosticsScreen") -> tuple[RunView, ...] | None:
    """What an end of the engine would cut; None where nobody can tell."""
    try:
        snapshot = await screen.palyra.control.snapshot([Topic.RUNS])
    except PalyraError:
        return None
    return tuple(one for one in snapshot.runs if one.live)


class Undo(Action["DiagnosticsScreen"]):
    id = "doctor.undo"
    keys = ("u",)
    title = "Take a run back"
    help = "shows first what would be changed back: of the newest run, or the selected one of the list of runs"
    footer = "undo"
    confirm = Confirm.DIALOG
    right = Right.REPAIR

    def offer(self, screen: "DiagnosticsScreen") -> Offer:
        if screen.doctor.work is not None:
            return UNDER_WAY
        if screen.doctor.page is Page.UNDO:
            return HIDDEN
        if screen.view == "runs" and isinstance(screen.subject, RunOfRepairs):
            known = can_be_undone(screen.subject)
            return READY if known else dimmed("it is taken back already, or cannot be read", told=False)
        return HIDDEN if self._run(screen) is None else READY

    @staticmethod
    def _run(screen: "DiagnosticsScreen") -> RunOfRepairs | None:
        if screen.view == "runs":
            return screen.subject if isinstance(screen.subject, RunOfRepairs) else None
        return screen.doctor.undoable()

    def perform(self, screen: "DiagnosticsScreen") -> Coroutine[Any, Any, None] | None:
        run = self._run(screen)
        return None if run is None else screen.doctor.plan_undo(run)


class RunDoctor(Action["DiagnosticsScreen"]):
    id = "doctor.run"
    keys = ("D",)
    title = "Run the doctor"
    help = "looks at the whole installation again and writes nothing; r asks the parts of the engine"
    footer = "doctor"
    on_selection = False

    def offer(self, screen: "DiagnosticsScreen") -> Offer:
        if screen.doctor.work is not None:
            return UNDER_WAY
        return dimmed("it looks already", told=False) if screen.doctor.looking_since is not None else READY

    def perform(self, screen: "DiagnosticsScreen") -> None:
        if screen.paging:
            screen.show_page(Page.NONE)
        if screen.view == "runs":
            screen.show_view("house")
        screen.doctor.look()


class ListRuns(Action["DiagnosticsScreen"]):
    id = "doctor.runs"
    keys = ("U",)
    title = "Runs of the doctor"
    help = "what was repaired and taken back before, any of which can be undone; again: back to the findings"
    footer = "runs"
    on_selection = False

    def footer_of(self, screen: "DiagnosticsScreen") -> str:
        return "findings" if screen.view == "runs" else self.footer

    def perform(self, screen: "DiagnosticsScreen") -> None:
        if screen.doctor.page in (Page.REPAIR, Page.UNDO, Page.RESULT):
            screen.show_page(Page.NONE)
        screen.show_view("house" if screen.view == "runs" else "runs")


DOCTOR: tuple[Action["DiagnosticsScreen"], ...] = (
    ShowRepair(),
    Apply(),
    TickStep(),
    Undo(),
    RunDoctor(),
    ListRuns(),
)
