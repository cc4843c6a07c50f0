"""What is asked of the doctor, and what a doctor asks the engine whose files it looks at."""

from typing import Literal

from palyra.core.values import value
from palyra.journal.examination import Examined


@value
class JournalExaminationQuery:
    """Has the engine examine its journal; `limit_s` is for each part, None for no limit."""

    deep: bool = False
    limit_s: float | None = 30.0
    kind: Literal["journal_examination"] = "journal_examination"


@value
class JournalExamination:
    """`boot_id` is what the engine's own rows carry, empty without one."""

    boot_id: str
    examined: Examined


@value
class DoctorReportQuery:
    """What is wrong with the installation, by the checks that need no network. Nothing is changed."""

    kind: Literal["doctor_report"] = "doctor_report"


@value
class DoctorPreviewQuery:
    """What would be repaired; with `run_id`, what taking that run back would do, by `force` over later changes too.

    Raises NotFoundError for an unknown run, ConflictError for one that cannot be taken back.
    """

    run_id: str = ""
    force: bool = False
    kind: Literal["doctor_preview"] = "doctor_preview"


@value
class DoctorRunsQuery:
    """The recovery runs, the newest first, and how far one has come that is under way here."""

    kind: Literal["doctor_runs"] = "doctor_runs"


@value
class FindingView:
    """One object at fault. `severity`: blocking, warning, info."""

    id: str
    check: str
    severity: str
    object: str
    message: str
    evidence: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    manual: str = ""


@value
class CheckView:
    """How one check went. `status`: pass, fail, skipped, error."""

    id: str
    severity: str
    status: str
    took_ms: int
    reason: str = ""


@value
class ChangeView:
    """One file of a step; `diff` is text without secrets, a line each."""

    target: str
    action: str
    diff: str


@value
class StepView:
    """One repair. `force`: only when asked for by force; `needs_stop`: only while no engine runs."""

    repair_id: str
    title: str
    impact: str
    force: bool
    needs_stop: bool
    security: bool
    notes: tuple[str, ...] = ()
    changes: tuple[ChangeView, ...] = ()


@value
class StepOutcomeView:
    """What became of a step. `outcome`: applied, blocked, needs_stop, failed, not_run, conflict, undone."""

    repair_id: str
    outcome: str
    error: str = ""
    notes: tuple[str, ...] = ()


@value
class RunOfRepairs:
    """A recovery run. Times are UTC unix ms. `fault`: why its manifest cannot be read; nothing else is known then but
    what it says."""

    run_id: str = ""
    kind: str = ""
    state: str = ""
    created_at_ms: int = 0
    finished_at_ms: int | None = None
    operator: str = ""
    rolls_back: str = ""
    steps: tuple[StepOutcomeView, ...] = ()
    fault: str = ""


@value
class DoctorReport:
    """What was found, the worst first. `live`: an engine runs."""

    generated_at_ms: int
    live: bool
    config_path: str
    state_dir: str
    checks: tuple[CheckView, ...] = ()
    findings: tuple[FindingView, ...] = ()


@value
class DoctorPreview:
    """A plan. `digest` stands for every byte of it; `conflicts` are files that were changed since the run that is to be
    taken back."""

    digest: str
    live: bool
    steps: tuple[StepView, ...] = ()
    conflicts: tuple[str, ...] = ()


@value
class DoctorRuns:
    """`done` of `total` steps of the run that is under way here, and the one that was begun last; 0 of 0: none is."""

    runs: tuple[RunOfRepairs, ...] = ()
    done: int = 0
    total: int = 0
    step: str = ""


@value
class RepairsDone:
    """What came of an apply or rollback. `run_id` is empty where nothing was written. `findings` are what is left."""

    run_id: str
    manifest: str
    state: str
    complete: bool
    conflict: bool
    steps: tuple[StepOutcomeView, ...] = ()
    trouble: str = ""
    findings: tuple[FindingView, ...] = ()


DoctorAsked = DoctorReportQuery | DoctorPreviewQuery | DoctorRunsQuery
DoctorTold = DoctorReport | DoctorPreview | DoctorRuns
