"""The doctor at a console: it looks, plans, repairs and takes back, beside an engine or without one."""

import asyncio
from collections.abc import Sequence

from palyra.config.paths import state_dir
from palyra.control.doctor_commands import ApplyRepairs, DoctorCommand, RollBack
from palyra.control.doctor_queries import (
    DoctorAsked,
    DoctorPreview,
    DoctorPreviewQuery,
    DoctorReport,
    DoctorReportQuery,
    DoctorRuns,
    DoctorRunsQuery,
    DoctorTold,
    RepairsDone,
)
from palyra.control.doctor_views import check_view, finding_view, repairs_done, run_of_repairs, step_view
from palyra.core.clock import Clock
from palyra.doctor.applying import RunResult, Terms, Tools, chosen
from palyra.doctor.carrying_out import carry_out, check_digest, journal_works
from palyra.doctor.checks.catalogue import CHECKS, ONLINE
from palyra.doctor.command import make_plan_for
from palyra.doctor.examining import Examination, examine
from palyra.doctor.installation import Installation
from palyra.doctor.plan import Plan, make_plan
from palyra.doctor.reading import AskEngine, Means, Where, read_installation
from palyra.doctor.rolling_back import check_possible, plan_undoing, roll_back, site_of
from palyra.doctor.runs import Who, load_run, load_runs
from palyra.doctor.selection import Selection, select


class DoctorDesk:
    """`ask_engine` examines the journal of the engine that runs here; without one there is none that does."""

    def __init__(self, where: Where, clock: Clock, ask_engine: AskEngine | None = None) -> None:
        self._where = where
        self._clock = clock
        self._live = ask_engine is not None
        self._means = Means(clock, ask_engine=ask_engine)
        self._progress = (0, 0, "")

    async def answer(self, query: DoctorAsked) -> DoctorTold:
        """Raises NotFoundError, ConflictError."""
        match query:
            case DoctorReportQuery():
                return await self._report()
            case DoctorPreviewQuery():
                return await self._undoing(query) if query.run_id else await self._preview()
            case DoctorRunsQuery():
                # Asked several times a second while a run goes on: nothing else is looked at.
                here = state_dir(self._where.state_dir, self._where.environ)
                found = await asyncio.to_thread(load_runs, here)
                return DoctorRuns(tuple(map(run_of_repairs, found)), *self._progress)

    async def look(self) -> Installation:
        """Reads the installation anew."""
        return await read_installation(self._where, self._means)

    async def do(self, command: DoctorCommand, who: Who) -> RepairsDone:
        """Raises ConflictError, NotFoundError, BadInputError, StateError; nothing is written then."""
        match command:
            case ApplyRepairs():
                result = await self._apply(command, who)
            case RollBack():
                result = await self._roll_back(command, who)
        return repairs_done(result, await self._examine(await self.look()))

    async def needs_stop(self, command: DoctorCommand) -> bool:
        """Whether there is work in it that cannot be done beside an engine. Raises as `do`; nothing is written."""
        found = await self.look()
        if isinstance(command, RollBack):
            run = load_run(found.state_dir, command.run_id)
            site = site_of(found.config_files.get(), found.state_dir)
            undoing = await asyncio.to_thread(plan_undoing, run, site, force=command.force)
            check_possible(undoing, force=command.force)
            return undoing.step.needs_stop
        _, plan = await self._plan(command.only, command.skip)
        check_digest(plan, command.digest)
        return any(step.needs_stop and command.force >= step.force for step in chosen(plan, command.steps))

    async def _report(self) -> DoctorReport:
        found = await self.look()
        examined = await self._examine(found)
        files = found.config_files.found
        chosen = None if files is None else files.chosen
        return DoctorReport(
            found.now_ms,
            self._live,
            "" if chosen is None else str(chosen.input.path),
            str(found.state_dir),
            tuple(map(check_view, examined.checks)),
            tuple(map(finding_view, examined.findings)),
        )

    async def _preview(self) -> DoctorPreview:
        _, plan = await self._plan((), ())
        return DoctorPreview(plan.digest, self._live, tuple(map(step_view, plan.steps)))

    async def _undoing(self, query: DoctorPreviewQuery) -> DoctorPreview:
        found = await self.look()
        site = site_of(found.config_files.get(), found.state_dir)
        run = load_run(found.state_dir, query.run_id)
        undoing = await asyncio.to_thread(plan_undoing, run, site, force=query.force)
        plan = make_plan([undoing.step], site.config_file, site.state_dir)
        return DoctorPreview(plan.digest, self._live, (step_view(undoing.step),), undoing.conflicts)

    async def _plan(self, only: Sequence[str], skip: Sequence[str]) -> tuple[Installation, Plan]:
        selection = select(only, skip)
        found = await self.look()
        examined = await self._examine(found, selection)
        return found, make_plan_for(found, examined, selection)

    async def _examine(self, found: Installation, selection: Selection | None = None) -> Examination:
        wanted = selection or select((), ())
        return await examine(
            found, self._clock, CHECKS, wants=lambda check: check not in ONLINE and wanted.wants(check)
        )

    async def _apply(self, command: ApplyRepairs, who: Who) -> RunResult:
        found, plan = await self._plan(command.only, command.skip)
        site = site_of(found.config_files.get(), found.state_dir)
        terms = Terms(command.steps, command.force, self._live)
        # One that was looked at beside an engine which has been stopped since is still that plan.
        digest = plan.digest if command.stop_engine and command.digest == plan.beside_engine else command.digest
        try:
            return await asyncio.to_thread(carry_out, plan, terms, site, who, self._tools(), digest=digest)
        finally:
            self._progress = (0, 0, "")

    async def _roll_back(self, command: RollBack, who: Who) -> RunResult:
        found = await self.look()
        site = site_of(found.config_files.get(), found.state_dir)
        run = load_run(found.state_dir, command.run_id)
        check_possible(await asyncio.to_thread(plan_undoing, run, site), force=command.force)
        try:
            return await asyncio.to_thread(
                roll_back, command.run_id, site, who, self._tools(), force=command.force, live=self._live
            )
        finally:
            self._progress = (0, 0, "")

    def _tools(self) -> Tools:
        return Tools(self._clock, journal_works(self._clock), progress=self._begun)

    def _begun(self, done: int, total: int, step: str) -> None:
        """Called on the thread that repairs; one assignment, which is all that others see."""
        self._progress = (done, total, step)
