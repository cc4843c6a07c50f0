"""What a console has the doctor do: a look, a plan whose steps are ticked, carrying it out, and the way back.

Nothing here draws; `changed` is called when there is something else to show.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum

from palyra.control.codec import decode
from palyra.control.commands import Command
from palyra.control.doctor_commands import ApplyRepairs, DoctorCommand, RollBack
from palyra.control.doctor_queries import (
    DoctorPreview,
    DoctorPreviewQuery,
    DoctorReport,
    DoctorReportQuery,
    DoctorRunsQuery,
    RepairsDone,
    RunOfRepairs,
    StepOutcomeView,
    StepView,
)
from palyra.control.doctor_views import OUTCOME
from palyra.control.protocol import Control
from palyra.control.snapshots import CommandResult
from palyra.core.clock import Clock
from palyra.core.errors import PalyraError
from palyra.core.values import value
from palyra.tui.details.finding import FindingRow, finding_rows
from palyra.tui.inquiry import Spawn

PROGRESS_S = 0.25
"""Between two looks at how far a run has come."""

Send = Callable[[Command], Awaitable[CommandResult | None]]


class Page(StrEnum):
    """What stands below the list, or beside it."""

    NONE = "none"
    REPAIR = "repair"
    UNDO = "undo"
    WORK = "work"
    RESULT = "result"


@value
class Work:
    """What is being carried out since `began` (monotonic seconds): `done` of `total` steps (0 of 0 before the first)
    and the step under way. `stops`: the engine of this console is stopped for it."""

    title: str
    began: float
    stops: bool = False
    done: int = 0
    total: int = 0
    step: str = ""


@value
class Undoing:
    """A run that is to be taken back, and what that would do."""

    run: RunOfRepairs
    plan: DoctorPreview

    @property
    def step(self) -> StepView:
        """The one step of taking a run back."""
        return self.plan.steps[0]


@value
class Came:
    """What came of a run. `rows` are the findings before and after; `before` the severity of each of those by its id;
    `taken_back` the run that was undone."""

    said: str
    done: RepairsDone
    at: int
    before: Mapping[str, str]
    rows: tuple[FindingRow, ...]
    taken_back: str = ""


class Doctoring:
    """One screen's work with the doctor. Everything that asks runs beside the screen."""

    def __init__(
        self,
        control: Control,
        send: Send,
        spawn: Spawn,
        clock: Clock,
        changed: Callable[[], None],
        fail: Callable[[str], None],
    ) -> None:
        """`fail` is told what a person has to know of a question that came to nothing."""
        self._control, self._send, self._spawn, self._clock = control, send, spawn, clock
        self._changed, self._fail = changed, fail
        self.page = Page.NONE
        self.report: DoctorReport | None = None
        self.rows: tuple[FindingRow, ...] = ()
        self.fault = ""
        """Why the last look told nothing."""
        self.looking_since: float | None = None
        """Monotonic seconds."""
        self._look_task: asyncio.Task[None] | None = None
        self._stopped = False
        """Whether the operator ended the look, and not the end of the console."""
        self.plan: DoctorPreview | None = None
        self.ticked: frozenset[StepView] = frozenset()
        self._read: frozenset[StepView] = frozenset()
        self.undoing: Undoing | None = None
        self.runs: tuple[RunOfRepairs, ...] = ()
        self.work: Work | None = None
        self.came: Came | None = None

    # Looking.

    def look(self) -> None:
        """Runs the doctor; one look at a time, and none while something is being carried out."""
        if self.looking_since is None and self.work is None:
            self.looking_since = self._clock.monotonic()
            self._spawn(self._look())
            self._changed()

    def stop_looking(self) -> None:
        """Gives a look up. It writes nothing, so nothing is left of it."""
        if self._look_task is not None:
            self._stopped = True
            self._look_task.cancel()

    async def _look(self) -> None:
        self._look_task = asyncio.current_task()
        try:
            report = await self._control.ask(DoctorReportQuery())
            self.report, self.rows, self.fault = report, tuple(finding_rows(report)), ""
            self._changed()
            await self._plan_and_runs()
        except PalyraError as error:
            self.fault = f"{error.message} {error.fix}".strip()
        except asyncio.CancelledError:
            if not self._stopped:
                raise
        finally:
            self.looking_since, self._look_task, self._stopped = None, None, False
        self._changed()

    async def _plan_and_runs(self) -> None:
        self.runs = (await self._control.ask(DoctorRunsQuery())).runs
        self._take_plan(await self._control.ask(DoctorPreviewQuery()))

    # Planning.

    @property
    def steps(self) -> tuple[StepView, ...]:
        """Those of the plan in view."""
        if self.page is Page.UNDO:
            return () if self.undoing is None else (self.undoing.step,)
        return () if self.plan is None else self.plan.steps

    @property
    def chosen(self) -> tuple[StepView, ...]:
        """What would be carried out. Taking back takes no tick of its own where nothing was changed since."""
        taken_back = self.page is Page.UNDO
        return tuple(one for one in self.steps if one in self.ticked or (taken_back and not one.force))

    def plan_anew(self, then: Callable[[], None]) -> None:
        """Has the newest plan made, then calls `then`; the plan there is stays in view until it comes."""
        self._spawn(self._plan_anew(then))

    async def _plan_anew(self, then: Callable[[], None]) -> None:
        try:
            plan = await self._control.ask(DoctorPreviewQuery())
        except PalyraError as error:
            self._fail(f"{error.message} {error.fix}".strip())
            return
        self._take_plan(plan)
        then()
        self._changed()

    def _take_plan(self, plan: DoctorPreview) -> None:
        """Ticks stay on steps that are the same; what loses something has to be ticked again when it is not."""
        names = {one.repair_id for one in self.ticked}
        self.plan = plan
        self.ticked = frozenset(
            one for one in plan.steps if one in self.ticked or (one.repair_id in names and not one.force)
        )

    @property
    def live(self) -> bool:
        """Whether an engine runs, by the plan in view."""
        plan = self.undoing.plan if self.page is Page.UNDO and self.undoing is not None else self.plan
        return plan is not None and plan.live

    def bar(self, step: StepView) -> str:
        """Why a step cannot be carried out from here; empty where it can."""
        if not (step.needs_stop and self.live and self._control.attached):
            return ""
        run = "" if self.undoing is None else self.undoing.run.run_id
        how = f"--rollback {run}" if self.page is Page.UNDO else f"--repair --only {step.repair_id}"
        return (
            "it needs the engine stopped, and this console is attached to one that another process runs: stop it "
            f"there, then run: palyra doctor {how}{' --force' if step.force else ''}"
        )

    def tick(self, step: StepView) -> None:
        """Chooses a step, or leaves it out again."""
        self.ticked ^= {step}

    def untick_all(self) -> None:
        """Leaves every step out."""
        self.ticked = frozenset()

    def note_read(self, step: StepView) -> None:
        """A step was on the screen to its end."""
        self._read |= {step}

    @property
    def unread(self) -> StepView | None:
        """The first of what would be carried out that nobody has seen to its end."""
        return next((one for one in self.chosen if one not in self._read), None)

    @property
    def must_stop(self) -> bool:
        """Whether what is chosen has to wait for the engine to be stopped."""
        return self.live and any(one.needs_stop for one in self.chosen)

    def undoable(self) -> RunOfRepairs | None:
        """The newest run that can be taken back."""
        return next((one for one in self.runs if can_be_undone(one)), None)

    async def plan_undo(self, run: RunOfRepairs) -> None:
        """Shows what taking a run back would do, over what was changed since too."""
        try:
            plan = await self._control.ask(DoctorPreviewQuery(run.run_id))
            if plan.conflicts:
                plan = await self._control.ask(DoctorPreviewQuery(run.run_id, force=True))
        except PalyraError as error:
            self._fail(f"{error.message} {error.fix}".strip())
            return
        self.undoing, self.page = Undoing(run, plan), Page.UNDO
        self._changed()

    # Carrying out.

    async def carry_out(self, *, stop_engine: bool = False) -> None:
        """Applies what is ticked, or takes back the run in view, and looks again."""
        force = any(one.force for one in self.chosen)
        if self.page is Page.UNDO:
            assert self.undoing is not None, "nothing else is in view"
            run_id = self.undoing.run.run_id
            await self._do(RollBack(run_id, force, stop_engine), "Taking back", run_id)
        else:
            assert self.plan is not None, "what is chosen was chosen of it"
            names = tuple(one.repair_id for one in self.chosen)
            command = ApplyRepairs(self.plan.digest, names, force, stop_engine=stop_engine)
            await self._do(command, "Repairing")

    async def _do(self, command: DoctorCommand, title: str, taken_back: str = "") -> None:
        if self.work is not None:
            return
        page = self.page
        self.came, self.page = None, Page.WORK
        self.work = Work(title, self._clock.monotonic(), command.stop_engine)
        self._spawn(self._watch(self.work.began))
        self._changed()
        try:
            result = await self._send(command)
        finally:
            self.work = None
            if self.page is Page.WORK:
                self.page = page
        self._changed()
        if result is None:
            self._fail("No answer came. The list of runs tells whether it was done all the same.")
        else:
            await self._take(result, taken_back)

    async def _take(self, result: CommandResult, taken_back: str) -> None:
        """What came of it; where nothing was done since a file was changed, the new plan."""
        try:
            if OUTCOME in result.data:
                self._tell(result, decode(RepairsDone, result.data[OUTCOME]), taken_back)
                self._changed()
                await self._plan_and_runs()
            elif result.code == "changed_since" and self.undoing is not None:
                await self._undo_over_changes(self.undoing.run, result.message)
            elif result.code == "plan_changed":
                report = await self._control.ask(DoctorReportQuery())
                self.report, self.rows = report, tuple(finding_rows(report))
                await self._plan_and_runs()
                self.page = Page.REPAIR
        except PalyraError as error:
            self._fail(f"{error.message} {error.fix}".strip())
        self._changed()

    async def _undo_over_changes(self, run: RunOfRepairs, why: str) -> None:
        """What was changed only when the engine stopped is told, and takes a tick of its own from then on."""
        plan = await self._control.ask(DoctorPreviewQuery(run.run_id, force=True))
        step = replace(plan.steps[0], force=True, notes=(*plan.steps[0].notes, why))
        self.undoing, self.page = Undoing(run, replace(plan, steps=(step,))), Page.UNDO

    def _tell(self, result: CommandResult, done: RepairsDone, taken_back: str) -> None:
        before = {one.id: one.severity for one in self.rows if not one.gone}
        if self.report is not None:
            self.report = replace(self.report, findings=done.findings)
            self.rows = merged(self.rows, finding_rows(self.report), () if taken_back else done.steps)
        now = self._clock.now_ms()
        self.came = Came(result.message, done, now, before, self.rows, taken_back)
        if done.run_id:
            # It can be taken back at once; the list of runs is asked for presently.
            kind = "rollback" if taken_back else "repair"
            run = RunOfRepairs(done.run_id, kind, done.state, now, now, "", taken_back, done.steps)
            self.runs = (run, *(one for one in self.runs if one.run_id not in (done.run_id, taken_back)))
        self.page, self.plan = Page.RESULT, None
        self.untick_all()

    async def _watch(self, began: float) -> None:
        while self.work is not None and self.work.began == began:
            try:
                told = await self._control.ask(DoctorRunsQuery())
            except PalyraError:
                # An engine that is being stopped for it answers nobody; the run goes on.
                told = None
            if told is not None and self.work is not None and told.total:
                self.work = replace(self.work, done=told.done, total=told.total, step=told.step)
            self._changed()
            await self._clock.sleep(PROGRESS_S)


def can_be_undone(run: RunOfRepairs) -> bool:
    """Whether a run of the doctor can be taken back."""
    return bool(run.run_id) and run.state != "rolled_back"


def merged(
    before: Sequence[FindingRow], after: Sequence[FindingRow], outcomes: Sequence[StepOutcomeView]
) -> tuple[FindingRow, ...]:
    """The findings after a run in the places they had: what is gone is told as such, what stands says why."""
    left = {one.id: one for one in after}
    came = {one.repair_id: one for one in outcomes}
    rows: list[FindingRow] = []
    for one in before:
        now = left.pop(one.id, None)
        rows.append(replace(one, gone=True, why="") if now is None else replace(now, why=_why(now, came)))
    return (*rows, *left.values())


_WHY = {
    "applied": "its repair was applied, and it is found all the same",
    "blocked": "its repair loses something and was not ticked",
    "needs_stop": "its repair needs the engine stopped",
    "not_run": "its repair was not begun: one before it failed",
    "conflict": "its repair was not done: a file was changed meanwhile",
}


def _why(one: FindingRow, came: Mapping[str, StepOutcomeView]) -> str:
    if not came:
        return ""
    told = [came[name] for name in one.repairs if name in came]
    if not told:
        return "its repair was not ticked" if one.repairs else "nothing repairs it by itself"
    last = told[-1]
    words = _WHY.get(last.outcome, f"its repair {last.outcome.replace('_', ' ')}")
    return f"{words}: {last.error}" if last.error else words
