"""What the doctor says: one value, as JSON for programs and as text for people."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from palyra import __version__
from palyra.core.errors import PalyraError
from palyra.core.plural import plural
from palyra.core.redact import redact
from palyra.core.values import value
from palyra.doctor.advice import Advice, together
from palyra.doctor.examining import Examination
from palyra.doctor.finding import CheckResult, Finding, Severity, Status

if TYPE_CHECKING:
    from palyra.doctor.applying import RunResult
    from palyra.doctor.change import PlannedChange
    from palyra.doctor.manifest import Manifest
    from palyra.doctor.plan import Plan, RepairStep

SCHEMA_VERSION = 1
NOTHING = Examination((), ())


class Mode(StrEnum):
    """What the doctor was asked for."""

    DIAGNOSTICS = "diagnostics"
    PREVIEW = "repair_preview"
    APPLY = "repair_apply"
    ROLLBACK = "rollback"


@value
class Trouble:
    """Why the doctor itself did not come to its end."""

    code: str
    message: str
    fix: str = ""

    @classmethod
    def of(cls, error: Exception) -> "Trouble":
        """What kept the doctor from it, in words, without secrets."""
        if isinstance(error, PalyraError):
            return cls(error.code, error.message, error.fix)
        told = f"The doctor failed, which is a fault of its own: {type(error).__name__}: {error}"
        return cls("crashed", told, "Report it; with --skip the check at fault can be left out.")


@value
class Report:
    """`result` is what came of an apply or rollback, `after` what was found after it; `advice` knows the commands that
    come next. Times are UTC unix ms."""

    mode: Mode
    generated_at_ms: int = 0
    config_path: str = ""
    state_dir: str = ""
    engine_running: bool = False
    engine_pid: int | None = None
    strict: bool = False
    found: Examination = NOTHING
    plan: "Plan | None" = None
    result: "RunResult | None" = None
    after: Examination | None = None
    runs: "tuple[Manifest | PalyraError, ...] | None" = None
    trouble: Trouble | None = None
    advice: Advice = Advice()

    @property
    def last(self) -> Examination:
        """What was found last, by which --strict judges."""
        return self.after or self.found

    def failed(self, error: Exception) -> "Report":
        """The same, ended by that error."""
        return replace(self, trouble=Trouble.of(error))


def report_json(report: Report) -> dict[str, Any]:
    """The document, without secrets; members that say nothing are left out where they may be."""
    engine: dict[str, Any] = {"running": report.engine_running}
    if report.engine_pid is not None:
        engine["pid"] = report.engine_pid
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "generated_at_ms": report.generated_at_ms,
        "mode": report.mode.value,
        "version": __version__,
        "config_path": report.config_path,
        "state_dir": report.state_dir,
        "engine": engine,
        "strict": report.strict,
        "summary": _summary(report.found),
        "checks": [_check(one) for one in report.found.checks],
        "findings": [_finding(one) for one in report.found.findings],
    }
    if report.plan is not None:
        steps = [_step(step) for step in report.plan.steps]
        document["plan"] = {"digest": report.plan.digest, "steps": steps}
    if report.result is not None:
        document["result"] = _result(report.result, report.after, report.advice)
    if report.runs is not None:
        document["runs"] = [_run(one) for one in report.runs]
    if report.trouble is not None:
        trouble = report.trouble
        document["error"] = {"code": trouble.code, "message": redact(trouble.message), "fix": redact(trouble.fix)}
    return document


def _summary(found: Examination) -> dict[str, int]:
    return {
        **{severity.value: found.count(severity) for severity in Severity},
        "skipped": found.went(Status.SKIPPED),
        "error": found.went(Status.ERROR),
        "passed": found.went(Status.PASS),
    }


def _check(one: CheckResult) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": one.id,
        "severity": one.severity.value,
        "status": one.status.value,
        "took_ms": one.took_ms,
    }
    if one.reason:
        told["reason"] = redact(one.reason)
    return told


def _finding(one: Finding) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": redact(one.id),
        "check": one.check,
        "severity": one.severity.value,
        "object": redact(one.object),
        "message": redact(one.message),
        "evidence": [redact(text) for text in one.evidence],
        "repairs": list(one.repairs),
    }
    if one.manual:
        told["manual"] = redact(one.manual)
    return told


def _step(step: "RepairStep") -> dict[str, Any]:
    from palyra.doctor.diff import diff_of

    return {
        "repair_id": step.repair_id,
        "title": redact(step.title),
        "impact": redact(step.impact),
        "force": step.force,
        "needs_stop": step.needs_stop,
        "security": step.security,
        "notes": [redact(note) for note in step.notes],
        "changes": [
            {"target": change.target, "action": change.action.value, "diff": diff_of(change)} for change in step.changes
        ],
    }


def _result(result: "RunResult", after: Examination | None, advice: Advice) -> dict[str, Any]:
    steps = []
    for step in result.steps:
        told: dict[str, Any] = {"repair_id": step.repair_id, "outcome": step.outcome.value}
        if step.error:
            told["error"] = redact(step.error)
        if step.notes:
            told["notes"] = [redact(note) for note in step.notes]
        steps.append(told)
    document: dict[str, Any] = {"run_id": result.run_id, "manifest": result.manifest, "steps": steps}
    if after is not None:
        document["after"] = {
            "summary": _summary(after),
            "findings": [_finding(one) for one in after.findings],
        }
    if result.run_id:
        document["rollback_command"] = advice.take_back(result.run_id)
    if result.trouble:
        document["trouble"] = redact(result.trouble)
    return document


def _run(one: "Manifest | PalyraError") -> dict[str, Any]:
    if isinstance(one, PalyraError):
        return {"error": redact(str(one))}
    return {
        "run_id": one.run_id,
        "kind": one.kind.value,
        "state": one.state.value,
        "created_at_ms": one.created_at_ms,
        "finished_at_ms": one.finished_at_ms,
        "operator": one.operator,
        "rolls_back": one.rolls_back,
        "steps": [{"repair_id": step.repair_id, "outcome": step.outcome.value} for step in one.steps],
    }


_HEADINGS = {
    Severity.BLOCKING: "Must be put right",
    Severity.WARNING: "Should be looked at",
    Severity.INFO: "Good to know",
}


def report_text(report: Report) -> list[str]:
    """For a person: what was found, the worst first, each with what to do; then the plan, or what came of it."""
    lines: list[str] = []
    if report.runs is not None:
        lines += _runs_text(report.runs)
    elif report.found.checks:
        lines += _heading(report)
        lines += _found_text(report.found)
        if report.mode is Mode.DIAGNOSTICS and any(one.repairs for one in report.found.findings):
            lines.append(f"See what would be repaired: {report.advice.preview()}")
    if report.plan is not None and report.result is None:
        lines += _plan_text(report.plan, report)
    if report.result is not None:
        lines += _result_text(report.result, report.after, report.advice)
    if report.trouble is not None:
        lines += ["", f"{report.trouble.message} {report.trouble.fix}".strip()]
    return [redact(line) for line in lines]


def _heading(report: Report) -> list[str]:
    engine = f"an engine runs (pid {report.engine_pid})" if report.engine_running else "no engine runs"
    return [
        f"state          {report.state_dir} ({engine})",
        f"configuration  {report.config_path or 'none; defaults'}",
    ]


_WITHOUT_A_FULL_ANSWER = (
    ("Could not be answered", (Status.ERROR,)),
    ("Could not be asked", (Status.SKIPPED,)),
    ("Looked at in part", (Status.PASS, Status.FAIL)),
)


def _found_text(found: Examination) -> list[str]:
    lines: list[str] = []
    for severity in Severity:
        own = [one for one in found.findings if one.severity is severity]
        if own:
            lines += ["", f"{_HEADINGS[severity]} ({len(own)})"]
            for one in own:
                lines += _finding_text(one)
    for heading, statuses in _WITHOUT_A_FULL_ANSWER:
        checks = [one for one in found.checks if one.status in statuses and one.reason]
        if checks:
            told = together([(one.id, one.reason) for one in checks])
            lines += ["", f"{heading} ({len(checks)})", *(f"  {line}" for line in told)]
    passed = found.went(Status.PASS)
    whole = "Everything is in order: " if not found.findings and passed == len(found.checks) else ""
    return [*lines, "", f"{whole}{passed} of {plural(len(found.checks), 'check')} passed."]


def _finding_text(one: Finding) -> Iterable[str]:
    yield f"  {one.message}  [{one.check}]"
    yield from (f"      {text}" for text in one.evidence)
    if one.repairs:
        yield f"    repair: {', '.join(one.repairs)}"
    if one.manual:
        yield f"    {'or ' if one.repairs else ''}by hand: {one.manual}"


def _plan_text(plan: "Plan", report: Report) -> list[str]:
    from palyra.doctor.diff import diff_of

    if not plan.steps:
        none = "Nothing of this can be repaired by itself." if report.found.findings else "There is nothing to repair."
        return ["", none]
    lines = ["", f"Plan {plan.digest} ({plural(len(plan.steps), 'step')}; nothing is written yet)"]
    for number, step in enumerate(plan.steps, start=1):
        lines += ["", f"{number}. {step.title}  [{step.repair_id}{_marks(step)}]", f"   {step.impact}"]
        lines += [f"   {note}" for note in step.notes]
        for change in step.changes:
            lines.append(f"   {change.action.value} {_place(change)}")
            lines += [f"     {line}" for line in diff_of(change).splitlines()]
    if report.trouble is not None:
        return lines
    return [*lines, "", f"Apply it: {report.advice.apply(plan)}"]


def _place(change: "PlannedChange") -> str:
    if change.target != ".":
        return change.target.replace("{run}", "<run>")
    return "the state directory" if change.root.value == "state" else "the directory of the configuration"


def _marks(step: "RepairStep") -> str:
    marks = (
        ("needs --force", step.force),
        ("engine stopped", step.needs_stop),
        ("security", step.security),
    )
    return "".join(f" · {text}" for text, holds in marks if holds)


_OUTCOMES = {
    "applied": "applied",
    "undone": "undone",
    "blocked": "not applied: it needs --force",
    "needs_stop": "not applied: stop the engine first",
    "failed": "failed, and was undone",
    "not_run": "not tried, since a step before it failed",
    "conflict": "not applied: a file was changed meanwhile",
    "planned": "planned",
}


def _result_text(result: "RunResult", after: Examination | None, advice: Advice) -> list[str]:
    lines = ["", f"Run {result.run_id}" if result.run_id else "Nothing was written."]
    for step in result.steps:
        error = f": {step.error}" if step.error else ""
        lines.append(f"  {step.repair_id}  {_OUTCOMES.get(step.outcome.value, step.outcome.value)}{error}")
        lines += [f"      {note}" for note in step.notes]
    if result.trouble:
        lines.append(f"  {result.trouble}")
    if after is not None:
        left = f"{after.count(Severity.BLOCKING)} blocking, {plural(after.count(Severity.WARNING), 'warning')}"
        told = [one for one in after.findings if one.severity is not Severity.INFO]
        lines += ["", f"Looked at again: {left} left.", *(f"  {one.message}  [{one.check}]" for one in told)]
    if any(step.outcome.value == "blocked" for step in result.steps):
        lines += [f"See what it would change: {advice.preview()}", f"Then do it by force: {advice.force()}"]
    if result.run_id:
        lines.append(f"Take it back: {advice.take_back(result.run_id)}")
    return lines


def _runs_text(runs: "Sequence[Manifest | PalyraError]") -> list[str]:
    from datetime import UTC, datetime

    if not runs:
        return ["There are no recovery runs."]
    lines = []
    for one in runs:
        if isinstance(one, PalyraError):
            lines.append(str(one))
            continue
        at = datetime.fromtimestamp(one.created_at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        steps = ", ".join(step.repair_id for step in one.steps) or "nothing"
        lines.append(f"{one.run_id}  {at}  {one.kind.value} {one.state.value}  by {one.operator}: {steps}")
    return lines
