"""Applying a plan: one doctor at a time, each change written down before it is made, steps one after another."""

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import field
from pathlib import Path

from palyra import __version__
from palyra.core.clock import Clock
from palyra.core.errors import BadInputError, ConflictError, StateError
from palyra.core.ids import IdSource
from palyra.core.private_files import LOCK_FILE, make_dirs, private_lock
from palyra.core.reasons import reason_of
from palyra.core.values import value
from palyra.doctor.audit_pending import PendingRow, append_pending
from palyra.doctor.change import Action, Root
from palyra.doctor.comparing import same
from palyra.doctor.disk import Disk, Seam, no_seam
from palyra.doctor.execution import Execution, PlanChangedError, Work
from palyra.doctor.manifest import Manifest, Outcome, RunKind, RunState, StepOutcome
from palyra.doctor.plan import Plan, RepairStep
from palyra.doctor.repairs.files import RUN
from palyra.doctor.runs import DoctorLock, RunRecord, Who, forget_old_runs, runs_dir
from palyra.journal.lock import EngineLock
from palyra.vault.identity import account_of

Progress = Callable[[int, int, str], None]
"""Steps done, steps there are, and the one that begins."""


def no_progress(done: int, total: int, repair_id: str) -> None:
    """Nobody watches."""


@value
class Site:
    """Where repairs are done. `config_file` is the configuration or the place of one, links resolved; `config_path`
    what it is called."""

    state_dir: Path
    config_file: Path
    config_path: str

    @property
    def roots(self) -> Mapping[Root, Path]:
        """The directories that targets are relative to."""
        return {Root.CONFIG: self.config_file.parent, Root.STATE: Path(os.path.realpath(self.state_dir))}


@value
class Terms:
    """How a plan is applied: `steps` None is all of them; `live`: an engine runs, whose files are in use."""

    steps: tuple[str, ...] | None = None
    force: bool = False
    live: bool = False


@value
class RunResult:
    """What came of a run. `run_id` is empty where nothing had to be written down, since no step was carried out.

    `trouble` tells what went wrong beside the steps: a manifest that could not be finished.
    """

    run_id: str
    manifest: str
    state: RunState
    steps: tuple[StepOutcome, ...]
    trouble: str = ""

    @property
    def complete(self) -> bool:
        """Whether every step was done, or undone as asked."""
        return all(step.outcome in (Outcome.APPLIED, Outcome.UNDONE) for step in self.steps)

    @property
    def conflict(self) -> bool:
        """Whether something had changed meanwhile."""
        return any(step.outcome is Outcome.CONFLICT for step in self.steps)


@value
class Tools:
    """What a run works with; `seam` is announced each operation on files."""

    clock: Clock
    works: Mapping[str, Work] = field(default_factory=dict)
    seam: Seam = no_seam
    progress: Progress = no_progress


def apply_plan(plan: Plan, terms: Terms, site: Site, who: Who, tools: Tools) -> RunResult:
    """Carries out a plan, or those of its steps that were chosen.

    Raises PlanChangedError where a file is not what the plan was made from (nothing is written then), DoctorBusyError
    and ConflictError where another doctor or engine is at work, StateError where no manifest can be written,
    BadInputError for a step that the plan does not have.
    """
    wanted = chosen(plan, terms.steps)
    refused = {step.repair_id: outcome for step in wanted if (outcome := _refusal(step, terms)) is not None}
    steps = [step for step in wanted if step.repair_id not in refused]
    if not steps:
        outcomes = tuple(StepOutcome(step.repair_id, refused[step.repair_id]) for step in wanted)
        return RunResult("", "", RunState.FAILED if wanted else RunState.COMPLETED, outcomes)
    disk = Disk(site.roots, tools.seam)
    journal = any(step.needs_stop for step in steps)
    with the_only_doctor(site, who, tools, live=terms.live, journal=journal) as (run_id, made_state_dir):
        check_unchanged(steps, disk, made_state_dir=made_state_dir)
        manifest = _manifest(run_id, plan, terms, site, who, tools.clock.now_ms())
        record = RunRecord(disk, site.state_dir, manifest)
        record.begin()
        execution = Execution(disk, record, tools.works, made_state_dir=made_state_dir)
        outcomes = tuple(_steps(wanted, refused, execution, tools.progress))
        result = finish(record, outcomes, site, who, tools, "applied")
        forget_old_runs(site.state_dir)
        return result


def check_unchanged(steps: Sequence[RepairStep], disk: Disk, *, made_state_dir: bool = False) -> None:
    """Looks at every file first, so that a plan that has become old changes nothing at all. Raises PlanChangedError."""
    seen: set[tuple[Root, str]] = {(Root.STATE, ".")} if made_state_dir else set()
    for change in (change for step in steps for change in step.changes):
        place, whole = (change.root, change.target), change.action is not Action.CHMOD
        if place in seen or RUN in change.target:
            continue
        if whole:
            # Later changes of this target build on this one.
            seen.add(place)
        path = disk.path(*place)
        if not same(disk.facts(path), change.before, content=whole):
            raise PlanChangedError(
                f"{path} is not what the plan was made from; nothing was written.",
                fix="Look at the new plan first.",
            )


def finish(
    record: RunRecord, outcomes: Sequence[StepOutcome], site: Site, who: Who, tools: Tools, verb: str
) -> RunResult:
    """Ends a run: the audit row first, so that no run is finished without one."""
    applied = sum(outcome.outcome in (Outcome.APPLIED, Outcome.UNDONE) for outcome in outcomes)
    state = RunState.COMPLETED if applied == len(outcomes) else RunState.PARTIAL if applied else RunState.FAILED
    now, trouble = tools.clock.now_ms(), ""
    manifest = record.manifest
    payload = {
        "attestation": who.attestation,
        "address": who.address,
        "state": state.value,
        "rolls_back": manifest.rolls_back,
        "plan_digest": manifest.plan_digest,
        "force": manifest.force,
        "steps": {outcome.repair_id: outcome.outcome.value for outcome in outcomes},
        "notes": {outcome.repair_id: list(outcome.notes) for outcome in outcomes if outcome.notes},
        "gaps": [list(outcome.gap) for outcome in outcomes if outcome.gap is not None],
        "targets": sorted({f"{entry.root.value}:{entry.target}" for entry in manifest.entries}),
    }
    try:
        append_pending(site.state_dir, PendingRow(now, manifest.run_id, who.operator, verb, payload))
        record.tell(outcomes)
        record.mark(state, now)
    except OSError as error:
        trouble = f"The run's manifest could not be finished: {reason_of(error)}. The next doctor will look at it."
    return RunResult(manifest.run_id, str(record.path), state, tuple(outcomes), trouble)


@contextmanager
def the_only_doctor(
    site: Site, who: Who, tools: Tools, *, live: bool, journal: bool = False
) -> Iterator[tuple[str, bool]]:
    """Keeps other doctors and, without a live engine, engines away; one that cannot be kept away matters only where the
    `journal` is repaired. Gives the run's id, and whether the state directory had to be made for it."""
    run_id = IdSource(tools.clock).new()
    made = not os.path.lexists(site.state_dir)
    if made:
        with suppress(OSError):
            make_dirs(site.state_dir)
    _check_ours(site.state_dir)
    lock, engine = DoctorLock(site.state_dir), EngineLock(site.state_dir)
    lock.acquire(who, run_id, tools.clock.now_ms())
    try:
        if not live:
            try:
                engine.acquire()
            except StateError as error:
                if error.code == "locked":
                    fix = "Try again: it does the work."
                    raise ConflictError(error.message, fix=fix, code="engine_running") from None
                if journal:
                    raise
        with _registries(site.state_dir):
            yield run_id, made
    finally:
        engine.release()
        lock.release()


def _check_ours(state_dir: Path) -> None:
    """Raises StateError for a state directory of another account, to which what is written here would be closed, and
    for one whose records would be made elsewhere."""
    try:
        owner = os.stat(state_dir).st_uid
    except OSError:
        return
    if owner != os.geteuid():
        name = account_of(owner)
        whom = f"'#{owner}'" if name == str(owner) else name
        raise StateError(
            f"Nothing was repaired: {state_dir} belongs to {name}, and files that are made here would not be theirs.",
            fix=f"Run it as {name}: sudo -u {whom} palyra doctor …",
            code="foreign_state",
        )
    for place in (runs_dir(state_dir).parent, runs_dir(state_dir)):
        if place.is_symlink():
            raise StateError(
                f"Nothing was repaired: {place} is a link, and a repair writes down what it does there.",
                fix="Put a directory of its own in its place.",
                code="linked",
            )


@contextmanager
def _registries(state_dir: Path) -> Iterator[None]:
    """Keeps others from writing the private files, where there is a lock for them at all."""
    if not (state_dir / LOCK_FILE).is_file():
        yield
        return
    with private_lock(state_dir):
        yield


def chosen(plan: Plan, wanted: Collection[str] | None) -> list[RepairStep]:
    """The steps of these ids; all of them for None. Raises BadInputError for one that the plan does not have."""
    if wanted is None:
        return list(plan.steps)
    unknown = sorted(set(wanted) - {step.repair_id for step in plan.steps})
    if unknown:
        raise BadInputError(f"The plan has no step {', '.join(unknown)}.", fix="Look at the new plan first.")
    return [step for step in plan.steps if step.repair_id in wanted]


def _refusal(step: RepairStep, terms: Terms) -> Outcome | None:
    if step.force and not terms.force:
        return Outcome.BLOCKED
    return Outcome.NEEDS_STOP if step.needs_stop and terms.live else None


def _steps(
    wanted: Sequence[RepairStep], refused: Mapping[str, Outcome], execution: Execution, progress: Progress
) -> Iterator[StepOutcome]:
    stopped = False
    for done, step in enumerate(wanted):
        if step.repair_id in refused:
            yield StepOutcome(step.repair_id, refused[step.repair_id])
        elif stopped:
            yield StepOutcome(step.repair_id, Outcome.NOT_RUN)
        else:
            progress(done, len(wanted), step.repair_id)
            outcome = execution.carry_out(step)
            stopped = outcome.outcome is not Outcome.APPLIED
            yield outcome


def _manifest(run_id: str, plan: Plan, terms: Terms, site: Site, who: Who, now: int) -> Manifest:
    return Manifest(
        run_id=run_id,
        kind=RunKind.REPAIR,
        state=RunState.RUNNING,
        created_at_ms=now,
        version=__version__,
        operator=who.operator,
        attestation=who.attestation,
        state_dir=str(site.state_dir),
        config_path=site.config_path,
        plan_digest=plan.digest,
        force=terms.force,
    )
