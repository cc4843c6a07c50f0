"""The doctor's command: what its flags mean, what it does, and how it ends."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from palyra.core.clock import Clock
from palyra.core.errors import BadInputError, ConflictError, PalyraError, StateError
from palyra.core.values import value
from palyra.doctor.advice import Advice
from palyra.doctor.checks.catalogue import CHECKS, ONLINE
from palyra.doctor.checks.check import Check
from palyra.doctor.examining import Examination, examine
from palyra.doctor.installation import Installation
from palyra.doctor.reading import Means, Where, read_installation
from palyra.doctor.report import Mode, Report
from palyra.doctor.selection import Selection, select

if TYPE_CHECKING:
    from palyra.doctor.applying import RunResult, Tools
    from palyra.doctor.plan import Plan
    from palyra.doctor.runs import Who

DONE, REFUSED, BAD_USAGE, UNKNOWN_RUN, CONFLICT = range(5)

Tell = Callable[[Report], None]
"""Is given what is known so far, so that a doctor that fails midway still says it."""


@value
class Asked:
    """The flags, as given."""

    repair: bool = False
    dry_run: bool = False
    rollback: str = ""
    runs: bool = False
    strict: bool = False
    force: bool = False
    plan: str = ""
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    online: bool = False
    deep: bool = False

    @property
    def mode(self) -> Mode:
        """What the doctor is to do."""
        if self.rollback:
            return Mode.ROLLBACK
        if self.repair:
            return Mode.PREVIEW if self.dry_run else Mode.APPLY
        return Mode.DIAGNOSTICS


class EngineHands(Protocol):
    """An engine that runs does the work on its own files."""

    async def apply(self, asked: Asked, digest: str) -> "RunResult":
        """Raises PalyraError where it refuses, EngineGoneError where it does not answer."""
        ...

    async def roll_back(self, asked: Asked) -> "RunResult":
        """The same for taking a run back."""
        ...


@value
class Hands:
    """What the doctor works with. `identify` says who repairs, `tell` is given what is known so far; `engine` does the
    work where one runs."""

    clock: Clock
    identify: "Callable[[Installation], Who]"
    checks: Sequence[Check] = CHECKS
    tell: Tell = lambda report: None
    engine: EngineHands | None = None


def refuse(asked: Asked) -> None:
    """Raises BadInputError for flags that do not go together."""
    rollback, writes = bool(asked.rollback), asked.repair or bool(asked.rollback)
    refusals = (
        (asked.repair and rollback, "--repair does not go with --rollback.", "Give one of them."),
        (asked.dry_run and not writes, "--dry-run alone does nothing.", "Give --repair or --rollback too."),
        (asked.force and not writes, "--force alone does nothing.", "Give --repair or --rollback too."),
        (rollback and bool(asked.only), "--only does not go with --rollback.", "A run is taken back as a whole."),
        (rollback and bool(asked.skip), "--skip does not go with --rollback.", "A run is taken back as a whole."),
        (bool(asked.plan) and not asked.repair, "--plan is of a repair.", "Give --repair too."),
        (asked.runs and writes, "--runs only lists.", "Leave out --repair and --rollback."),
    )
    for wrong, what, fix in refusals:
        if wrong:
            raise BadInputError(what, fix=fix, code="usage")


async def run_doctor(asked: Asked, where: Where, means: Means, hands: Hands) -> tuple[Report, int]:
    """Does what was asked for. Raises PalyraError; what was known by then has been told."""
    refuse(asked)
    selection = select(asked.only, asked.skip)
    advice = Advice.of(where.config, where.state_dir, asked.only, asked.skip, asked.rollback, deep=asked.deep)
    report = Report(asked.mode, hands.clock.now_ms(), strict=asked.strict, advice=advice)
    hands.tell(report)
    found = await read_installation(where, means)
    report = _about(report, found)
    hands.tell(report)
    if asked.runs:
        return _with_runs(report, found), DONE
    look = _Look(selection, where, means, hands, deep=asked.deep)
    report = replace(report, found=await look.examine(found))
    hands.tell(report)
    if asked.mode is Mode.DIAGNOSTICS:
        return report, _strictly(report, DONE)
    if asked.mode is Mode.ROLLBACK:
        return await _roll_back(asked, report, found, look)
    return await _repair(asked, report, found, look)


def exit_code_of(error: Exception) -> int:
    """How an error ends the doctor."""
    if isinstance(error, PalyraError) and error.code == "unknown_run":
        return UNKNOWN_RUN
    match error:
        case BadInputError():
            return BAD_USAGE
        case ConflictError():
            return CONFLICT
        case _:
            return REFUSED


@value
class _Look:
    """How an installation is looked at, once and again."""

    selection: Selection
    where: Where
    means: Means
    hands: Hands
    deep: bool

    async def examine(self, found: Installation) -> Examination:
        return await examine(found, self.hands.clock, self.hands.checks, wants=self._wants, deep=self.deep)

    def _wants(self, check: str) -> bool:
        """What asks the network is made where that was asked for, or the check itself was."""
        silent = check in ONLINE and self.means.ask_network is None and self.selection.checks is None
        return self.selection.wants(check) and not silent

    async def again(self) -> Examination:
        return await self.examine(await read_installation(self.where, self.means))


def _about(report: Report, found: Installation) -> Report:
    files, engine = found.config_files.found, found.engine.found
    chosen = None if files is None else files.chosen
    return replace(
        report,
        config_path="" if chosen is None else str(chosen.input.path),
        state_dir=str(found.state_dir),
        engine_running=engine is not None and engine.running,
        engine_pid=None if engine is None else engine.pid,
    )


def _strictly(report: Report, code: int) -> int:
    return REFUSED if code == DONE and report.strict and report.last.blocked else code


def _with_runs(report: Report, found: Installation) -> Report:
    from palyra.doctor.runs import load_runs

    return replace(report, runs=tuple(load_runs(found.state_dir)))


def _check_engine(found: Installation) -> bool:
    """Whether an engine runs. Raises ConflictError for one that holds its lock and does not answer."""
    engine = found.engine.found
    if engine is None:
        raise StateError(f"Whether an engine runs cannot be told: {found.engine.problem}.", fix="Stop it, if one does.")
    if engine.running and engine.responds is False:
        raise ConflictError(
            f"The engine (pid {engine.pid}) holds the state directory and does not answer.",
            fix="Wait until it does, or stop it.",
            code="engine_silent",
        )
    return engine.running


def make_plan_for(found: Installation, examined: Examination, selection: Selection) -> "Plan":
    """The plan of what was chosen among the findings."""
    from palyra.doctor.planning import plan_repairs

    return plan_repairs(found, examined.findings, skip=selection.unwanted_repairs)


async def _repair(asked: Asked, report: Report, found: Installation, look: _Look) -> tuple[Report, int]:
    plan = make_plan_for(found, report.found, look.selection)
    report = replace(report, plan=plan)
    look.hands.tell(report)
    if asked.plan and asked.plan != plan.digest:
        raise ConflictError(
            f"The plan is not {asked.plan} any more but {plan.digest}; nothing was written.",
            fix="Look at it again with --repair --dry-run.",
            code="plan_changed",
        )
    if asked.dry_run:
        return report, _strictly(report, DONE)
    live = _check_engine(found)
    if live and look.hands.engine is not None:
        result = await look.hands.engine.apply(asked, plan.digest)
    else:
        result = await _in_full(lambda: _apply(plan, asked, found, look, live=live), report, look.hands.tell)
    report = replace(report, result=result)
    look.hands.tell(report)
    report = replace(report, after=await look.again())
    return report, _strictly(report, _code_of(result))


async def _roll_back(asked: Asked, report: Report, found: Installation, look: _Look) -> tuple[Report, int]:
    from palyra.doctor.plan import make_plan
    from palyra.doctor.rolling_back import check_possible, plan_undoing, roll_back, site_of
    from palyra.doctor.runs import load_run

    run = load_run(found.state_dir, asked.rollback)
    site = site_of(found.config_files.get(), found.state_dir)
    undoing = plan_undoing(run, site, force=asked.force)
    report = replace(report, plan=make_plan([undoing.step], site.config_file, site.state_dir))
    look.hands.tell(report)
    check_possible(undoing, force=asked.force)
    if asked.dry_run:
        return report, _strictly(report, DONE)
    live = _check_engine(found)
    if live and look.hands.engine is not None:
        result = await look.hands.engine.roll_back(asked)
    else:
        who, tools = look.hands.identify(found), _tools(look)
        result = await _in_full(
            lambda: roll_back(asked.rollback, site, who, tools, force=asked.force, live=live), report, look.hands.tell
        )
    report = replace(report, result=result)
    look.hands.tell(report)
    report = replace(report, after=await look.again())
    return report, _strictly(report, _code_of(result))


async def _in_full(work: "Callable[[], RunResult]", report: Report, tell: Tell) -> "RunResult":
    """Work that is brought to its end and told, also when nobody wants to wait for it any more."""
    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        tell(replace(report, result=await working))
        raise


def _apply(plan: "Plan", asked: Asked, found: Installation, look: _Look, *, live: bool) -> "RunResult":
    from palyra.doctor.applying import Terms
    from palyra.doctor.carrying_out import carry_out
    from palyra.doctor.rolling_back import site_of

    site = site_of(found.config_files.get(), found.state_dir)
    terms = Terms(force=asked.force, live=live)
    return carry_out(plan, terms, site, look.hands.identify(found), _tools(look), digest=asked.plan)


def _tools(look: _Look) -> "Tools":
    from palyra.doctor.applying import Tools
    from palyra.doctor.carrying_out import journal_works

    return Tools(look.hands.clock, journal_works(look.hands.clock))


def _code_of(result: "RunResult") -> int:
    if result.conflict:
        return CONFLICT
    return DONE if result.complete and not result.trouble else REFUSED
