"""What the scheduler tells of jobs that do not do well."""

from palyra.core.conditions import Clear, Condition, Domain, Severity
from palyra.journal.job_rows import JobRow

FAULTED, REVIEW, FAILING, REPLACE = "faulted", "review", "failing", "replace"
JOURNAL = "storage:journal"
JOURNAL_FAILURES = 3


def key(job_id: str, what: str) -> str:
    """The key under which a trouble of a job is told and cleared."""
    return f"job:{job_id}:{what}"


def clear_all(clear: Clear, job_id: str) -> None:
    """Nothing is wrong any more with a job that is not there."""
    for what in (FAULTED, REVIEW, FAILING, REPLACE):
        clear(key(job_id, what))


def faulted(job: JobRow) -> Condition:
    """Its schedule cannot be read any more."""
    summary = f"The job {job.name} cannot be planned"
    return _told(job, FAULTED, Severity.HIGH, summary, job.why)


def needs_review(job: JobRow) -> Condition:
    """Somebody has to decide about slots that were missed."""
    summary = f"Slots of the job {job.name} were missed for more than a day"
    return _told(job, REVIEW, Severity.MEDIUM, summary, "decide whether to run, replay or skip them")


def failing(job: JobRow) -> Condition:
    """Its last fires failed, one after the other."""
    return _told(job, FAILING, Severity.MEDIUM, f"{job.failures} fires of the job {job.name} in a row failed")


def replace_timed_out(job: JobRow) -> Condition:
    """A fire that was to make room goes on."""
    return _told(job, REPLACE, Severity.MEDIUM, f"A fire of the job {job.name} did not make room for the next")


def no_journal() -> Condition:
    """Nothing can be written down, so nothing may fire."""
    return Condition(Domain.STORAGE, JOURNAL, Severity.CRITICAL, "The journal cannot be written: no job is started")


def _told(job: JobRow, what: str, severity: Severity, summary: str, cause: str = "") -> Condition:
    return Condition(
        Domain.SCHEDULER,
        key(job.job_id, what),
        severity,
        summary,
        cause,
        job.job_id,
        related={"job": job.job_id},
    )
