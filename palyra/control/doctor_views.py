"""What the doctor found, plans and did, as consoles see it: without secrets and without the bytes of files."""

from palyra.control.codec import decode
from palyra.control.doctor_queries import (
    ChangeView,
    CheckView,
    FindingView,
    RepairsDone,
    RunOfRepairs,
    StepOutcomeView,
    StepView,
)
from palyra.control.snapshots import CommandResult
from palyra.core.errors import BadInputError, ConflictError, NotFoundError, PalyraError
from palyra.core.redact import redact
from palyra.doctor.applying import RunResult
from palyra.doctor.diff import diff_of
from palyra.doctor.examining import Examination
from palyra.doctor.finding import CheckResult, Finding
from palyra.doctor.manifest import Manifest, Outcome, RunState, StepOutcome
from palyra.doctor.plan import RepairStep

OUTCOME = "outcome"
"""Where a result's data has what came of the repairs, as JSON of RepairsDone."""


def finding_view(one: Finding) -> FindingView:
    """A finding as consoles see it, secrets taken out."""
    return FindingView(
        redact(one.id),
        one.check,
        one.severity.value,
        redact(one.object),
        redact(one.message),
        tuple(map(redact, one.evidence)),
        one.repairs,
        redact(one.manual),
    )


def check_view(one: CheckResult) -> CheckView:
    """What came of one check."""
    return CheckView(one.id, one.severity.value, one.status.value, one.took_ms, redact(one.reason))


def step_view(step: RepairStep) -> StepView:
    """A step of a repair, with what it changes as diffs."""
    changes = tuple(ChangeView(one.target, one.action.value, diff_of(one)) for one in step.changes)
    return StepView(
        step.repair_id,
        redact(step.title),
        redact(step.impact),
        step.force,
        step.needs_stop,
        step.security,
        tuple(map(redact, step.notes)),
        changes,
    )


def outcome_view(step: StepOutcome) -> StepOutcomeView:
    """What came of one step."""
    return StepOutcomeView(step.repair_id, step.outcome.value, redact(step.error), tuple(map(redact, step.notes)))


def run_of_repairs(run: Manifest | PalyraError) -> RunOfRepairs:
    """An earlier run of the doctor, or why nobody can tell what it did."""
    if isinstance(run, PalyraError):
        return RunOfRepairs(fault=redact(str(run)))
    return RunOfRepairs(
        run.run_id,
        run.kind.value,
        run.state.value,
        run.created_at_ms,
        run.finished_at_ms,
        run.operator,
        run.rolls_back or "",
        tuple(map(outcome_view, run.steps)),
    )


def run_result(result: CommandResult) -> RunResult:
    """What an engine did, as the doctor that asked for it tells it. Raises PalyraError where it did nothing."""
    if OUTCOME not in result.data:
        kind = {"not_found": NotFoundError, "conflict": ConflictError, "stale": ConflictError, "invalid": BadInputError}
        raise kind.get(result.status, PalyraError)(result.message, fix=result.fix, code=result.code or None)
    done: RepairsDone = decode(RepairsDone, result.data[OUTCOME])
    steps = tuple(StepOutcome(one.repair_id, Outcome(one.outcome), one.error, one.notes) for one in done.steps)
    return RunResult(done.run_id, done.manifest, RunState(done.state), steps, done.trouble)


def repairs_done(result: RunResult, left: Examination) -> RepairsDone:
    """What came of a run, with what is left to find."""
    return RepairsDone(
        result.run_id,
        result.manifest,
        result.state.value,
        result.complete and not result.trouble,
        result.conflict,
        tuple(map(outcome_view, result.steps)),
        redact(result.trouble),
        tuple(map(finding_view, left.findings)),
    )
