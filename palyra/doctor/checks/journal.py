"""The journal: there, sound, of this version, unbroken, adding up, and without work of engines that are gone."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from palyra.core.plural import plural
from palyra.doctor.checks.check import JOURNAL_S, Check
from palyra.doctor.finding import Finding, Severity
from palyra.doctor.installation import Installation, NothingToReadError, NotReadError

if TYPE_CHECKING:
    from palyra.journal.examination import Examined, JobTrouble

FILE = "journal.db"
HEAD_FILE = "audit.head"
WAL = "journal.db-wal"
MIB = 1024**2
LARGE_WAL = 256 * MIB
FREE_SHARE = 0.25
FEW_PAGES = 2_560
"""So many pages (10 MiB) may be free as they like."""
MOST_SHOWN = 10


def opens(found: Installation) -> Iterator[Finding]:
    """The journal is there and can be opened."""
    tree = found.state.get()
    if not tree.at(FILE).exists:
        yield from _missing(found)
        return
    refused = found.journal.get().refused
    if refused:
        yield Finding(
            "journal.open",
            Severity.BLOCKING,
            FILE,
            f"The journal cannot be opened: {refused}.",
            repairs=("journal.salvage",) if tree.at(FILE).is_file else (),
            manual=_restore(found),
        )


def _missing(found: Installation) -> Iterator[Finding]:
    """What is left beside it tells that there was one."""
    traces = [name for name in (HEAD_FILE, WAL) if found.state.get().at(name).exists]
    if traces:
        message = f"There is no journal, though there was one: {' and '.join(traces)} are left."
        yield Finding("journal.open", Severity.BLOCKING, FILE, message, manual=_restore(found))


def _restore(found: Installation) -> str:
    newest = f" ({copy} is there)" if (copy := _newest_copy(found)) else ""
    return f"Put back a copy from backups/{newest} or from wherever this machine is backed up to."


def _newest_copy(found: Installation) -> str:
    """The newest copy that this program can read, relative to the state directory; '' where there is none."""
    from palyra.journal.backups import BACKUP_DIRECTORY, copies
    from palyra.journal.schema import LATEST

    prefix = f"{BACKUP_DIRECTORY}/"
    names = (name.removeprefix(prefix) for name in found.state.get().entries if name.startswith(prefix))
    known = [one.name for one in copies(names) if one.version <= LATEST]
    return prefix + known[-1] if known else ""


def _examined(found: Installation, part: str) -> "Examined":
    """What was found; for checks of one part. Raises as a Reading does."""
    read = found.journal.get()
    if read.examined is None:
        raise NothingToReadError("the journal cannot be opened (journal.open)")
    if part in read.examined.problems and read.examined.integrity:
        raise NothingToReadError("the journal is damaged (journal.integrity)")
    if part in read.examined.problems:
        raise NotReadError(read.examined.problems[part])
    return read.examined


def _rows(found: Installation, part: str) -> "Examined":
    """As `_examined`, of what can only be read in a journal of this version."""
    examined = _examined(found, part)
    if not examined.current:
        raise NothingToReadError(f"the journal has schema version {examined.version} (journal.schema)")
    return examined


def integrity(found: Installation) -> Iterator[Finding]:
    """SQLite finds it whole."""
    examined = _examined(found, "integrity")
    if examined.integrity:
        yield Finding(
            "journal.integrity",
            Severity.BLOCKING,
            FILE,
            "The journal is damaged.",
            examined.integrity[:MOST_SHOWN],
            ("journal.salvage",),
            _restore(found),
        )
    if not examined.integrity and (examined := _examined(found, "foreign_keys")).foreign_keys:
        yield Finding(
            "journal.integrity",
            Severity.BLOCKING,
            "foreign keys",
            f"{plural(len(examined.foreign_keys), 'row')} of the journal refer to rows that are not there.",
            examined.foreign_keys[:MOST_SHOWN],
            ("journal.salvage",),
        )


def schema(found: Installation) -> Iterator[Finding]:
    """It is of this version's schema."""
    from palyra.journal.schema import LATEST

    version = _examined(found, "").version
    if version > LATEST:
        message = f"The journal was written by a newer Palyra (schema {version}; this one knows {LATEST})."
        put_back = f" or put back the copy from before its upgrade, {copy}" if (copy := _newest_copy(found)) else ""
        manual = f"Start the newer Palyra{put_back}."
        yield Finding("journal.schema", Severity.BLOCKING, FILE, message, manual=manual)
    elif version < LATEST:
        message = f"The journal has schema {version}; {LATEST} is current. The next start brings it up to date."
        yield Finding("journal.schema", Severity.WARNING, FILE, message, repairs=("journal.migrate",))


def audit(found: Installation) -> Iterator[Finding]:
    """The chain of the audit holds."""
    report = _examined(found, "audit").audit
    if report is None or report.ok:
        return
    evidence = () if report.first_bad is None else (f"the first bad row is {report.first_bad}",)
    yield Finding(
        "journal.audit",
        Severity.BLOCKING,
        "audit" if report.head_status.value in ("ok", "behind") else HEAD_FILE,
        f"The audit chain is broken: {report.message}.",
        evidence,
        manual="Rows were changed or cut off outside Palyra. Keep a copy of the state directory, find out who had"
        " access, and restore the journal from a backup if the rows matter. This is never repaired.",
    )


def newest_links(found: Installation) -> str:
    """What of the chain was not followed."""
    examined = _examined(found, "audit")
    if examined.audit is None or examined.audit_whole:
        return ""
    return f"the newest {examined.audit.count:,} of {examined.audit.head.seq:,} links were followed; --deep follows all"


def rollups(found: Installation) -> Iterator[Finding]:
    """Sums of usage are the sums of their rows."""
    examined = _rows(found, "sums")
    if examined.sums:
        looked = "" if examined.sums_whole else " of the newest rows"
        yield Finding(
            "journal.rollups",
            Severity.WARNING,
            "sums",
            f"{plural(len(examined.sums), 'sum')}{looked} differ from the rows.",
            examined.sums[:MOST_SHOWN],
            ("journal.rollups",),
        )


def newest_rows(found: Installation) -> str:
    """What of the sums was not counted again."""
    return "" if _rows(found, "sums").sums_whole else "only the newest rows were counted again; --deep counts all"


def holds(found: Installation) -> Iterator[Finding]:
    """No hold is left of an engine that is gone."""
    examined = _rows(found, "holds")
    alive = found.engine.get().boot_id
    dead = Counter(hold.boot_id for hold in examined.holds if not alive or hold.boot_id != alive)
    for boot_id, count in dead.items():
        own = [hold for hold in examined.holds if hold.boot_id == boot_id]
        yield Finding(
            "journal.holds",
            Severity.WARNING,
            boot_id,
            f"{plural(count, 'hold')} of an engine that is gone are still open.",
            tuple(f"run {hold.run_id}, taken {_at(hold.created_at)}" for hold in own[:MOST_SHOWN]),
            manual="The next start of the engine ends them as governance.orphan_holds says.",
        )


def size(found: Installation) -> Iterator[Finding]:
    """The journal and its log are no larger than they should be."""
    told = _examined(found, "size").size
    if told is None:
        return
    if told.wal_bytes > LARGE_WAL:
        message = f"The journal's write-ahead log has {told.wal_bytes // MIB:,} MiB."
        manual = "It shrinks at the next checkpoint: run the job system.journal_checkpoint, or restart the engine."
        yield Finding("journal.size", Severity.INFO, WAL, message, manual=manual)
    if told.pages and told.free > FEW_PAGES and told.free / told.pages > FREE_SHARE:
        message = f"{told.free / told.pages:.0%} of the journal's pages are free."
        manual = "Run the job system.journal_vacuum, which gives them back to the disk."
        yield Finding("journal.size", Severity.INFO, FILE, message, manual=manual)


def jobs(found: Installation) -> Iterator[Finding]:
    """Every job can be planned, and none waits for somebody."""
    for job in _rows(found, "jobs").jobs:
        yield Finding("scheduler.jobs", Severity.WARNING, job.name, _told(job), manual=_ADVICE[job.state])


_ADVICE = {
    "faulted": "Correct the job (`palyra jobs edit`, or [[jobs]] and a reload), then resume it.",
    "paused": "Resume it (`palyra jobs resume`), or leave it be if that is meant.",
    "unreadable": "Delete the job and make it again.",
}


def _told(job: "JobTrouble") -> str:
    if job.state == "unreadable":
        return f"What the job {job.name} is to do cannot be read."
    why = f": {job.why}" if job.why else ""
    by = f" by {job.by}" if job.by else ""
    return f"The job {job.name} is {job.state}{by} since {_at(job.since)}{why}."


def tasks(found: Installation) -> Iterator[Finding]:
    """No task is left in the hands of an engine that is gone."""
    alive = found.engine.get().boot_id
    for task in _rows(found, "tasks").tasks:
        if not alive or task.boot_id != alive:
            yield Finding(
                "tasks.orphans",
                Severity.WARNING,
                task.task_id,
                f"The task {task.task_id} ({task.kind}) is running under an engine that is gone.",
                (f"engine {task.boot_id}",),
                manual="The next start of the engine takes it up again or ends it.",
            )


def _at(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


CHECKS = (
    Check("journal.open", Severity.BLOCKING, opens, JOURNAL_S),
    Check("journal.integrity", Severity.BLOCKING, integrity, JOURNAL_S),
    Check("journal.schema", Severity.BLOCKING, schema, JOURNAL_S),
    Check("journal.audit", Severity.BLOCKING, audit, JOURNAL_S, newest_links),
    Check("journal.rollups", Severity.WARNING, rollups, JOURNAL_S, newest_rows),
    Check("journal.holds", Severity.WARNING, holds, JOURNAL_S),
    Check("journal.size", Severity.INFO, size, JOURNAL_S),
)
WORK = (
    Check("scheduler.jobs", Severity.WARNING, jobs, JOURNAL_S),
    Check("tasks.orphans", Severity.WARNING, tasks, JOURNAL_S),
)
