"""What must be true of an installation at rest after a death, read without the program."""

import sqlite3
import stat
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from palyra.journal.audit import HeadFile
from palyra.journal.backups import BACKUP_DIRECTORY, HEAD_SUFFIX, copies
from palyra.journal.migrations import version_of
from tests.faults.copies import Told
from tests.faults.promises import broken, look, standing
from tests.simulation.books import Books
from tests.years.verdict import fires_at_rest, tasks_at_rest

RELEASES = 'orphan_holds = "release"'
TWICE = """
SELECT {owner}, count(*) FROM run_owners JOIN runs USING (run_id)
WHERE {owner} <> '' AND {other} AND runs.state = 'completed' GROUP BY 1 HAVING count(*) > 1
"""


def verdict(home: Path, before: Sequence[Told], at_rest: Sequence[Told]) -> list[str]:
    """Everything that does not fit. `before` is what was told until the death, `at_rest` by the engine after it."""
    try:
        return list(_judged(home, before, at_rest))
    except Exception as error:
        # What cannot be read is no installation at rest.
        told = [line["fault"] for line in (*before, *at_rest) if "fault" in line]
        return [*told, "".join(traceback.format_exception(error))]


def _judged(home: Path, before: Sequence[Told], at_rest: Sequence[Told]) -> list[str]:
    faults = [line["fault"] for line in (*before, *at_rest) if "fault" in line]
    journal = home / "state" / "journal.db"
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as database:
        faults += [f"integrity: {row[0]}" for row in database.execute("PRAGMA integrity_check") if row[0] != "ok"]
        faults += tasks_at_rest(database)
        faults += fires_at_rest(database)
        faults += _done_twice(database)
        faults += _sent(database, before)
        released = RELEASES in (home / "palyra.toml").read_text()
        faults += _answers(database, before, released=released)
        secrets: dict[str, str] = next((line["secrets"] for line in at_rest if "secrets" in line), {})
        faults += broken(standing(before), look(home, database, secrets))
    books = Books()
    books.read(home / "state")
    books.at_rest()
    return [*faults, *books.faults, *files_of(home)]


def _done_twice(database: sqlite3.Connection) -> Iterator[str]:
    for owner, other in (("fire_id", "task_id = ''"), ("task_id", "true")):
        for name, count in database.execute(TWICE.format(owner=owner, other=other)):
            yield f"{owner} {name} has {count} completed runs"
    for name, count in database.execute(
        "SELECT fire_id, count(*) FROM job_attempts WHERE state = 'completed' GROUP BY 1 HAVING count(*) > 1"
    ):
        yield f"fire {name} has {count} completed attempts"


def _sent(database: sqlite3.Connection, told: Sequence[Told]) -> Iterator[str]:
    """No byte without a hold that is written down, and none twice for one hold."""
    holds = {row[0] for row in database.execute("SELECT hold_id FROM holds")}
    for hold_id, count in Counter(line["sent"] for line in told if "sent" in line).items():
        if hold_id not in holds:
            yield f"a byte was sent for the hold {hold_id or '(none)'}, which nobody wrote down"
        if count > 1:
            yield f"{count} calls were sent for the hold {hold_id}"


def _answers(database: sqlite3.Connection, told: Sequence[Told], *, released: bool) -> Iterator[str]:
    """Who was answered is charged as told, or, where the death came before that was durable, by reading or bound; with
    `released`, as the file says, not at all then."""
    database.row_factory = sqlite3.Row
    corrected = {row[0] for row in database.execute("SELECT DISTINCT run_id FROM usage WHERE corrects IS NOT NULL")}
    runs = {row["run_id"]: row for row in database.execute("SELECT * FROM runs")}
    for line in told:
        run_id = line.get("answered") or line.get("streamed") or line.get("refused_run") or line.get("run", [""])[0]
        if not run_id:
            continue
        run = runs.get(run_id)
        if run is None:
            yield f"run {run_id} is not there, and somebody was told of it: {line}"
        elif "run" in line and run_id not in corrected:
            now = [run_id, *(run[name] for name in ("state", "reason", "cost", "input_tokens", "output_tokens"))]
            if line["run"] != now:
                yield f"a console was told {line['run']}, and it is {now}"
        elif run["state"] == "completed":
            if "answered" in line and run["cost"] != line["cost"] and run_id not in corrected:
                yield f"run {run_id} was told to cost {line['cost']}, and costs {run['cost']}"
        elif "answered" in line and (run["state"], run["reason"]) != ("failed", "interrupted"):
            yield f"run {run_id} was answered, and is {run['state']} ({run['reason']})"
        elif "answered" in line and not released and not _charged(database, run_id, line["cost"]):
            yield f"run {run_id} was answered, and nothing is charged for it"


def _charged(database: sqlite3.Connection, run_id: str, cost: Any) -> bool:
    held = database.execute("SELECT state FROM holds WHERE run_id = ? ORDER BY attempt DESC", (run_id,)).fetchone()
    return held is not None and (held[0] == "settled" or not cost)


def copies_of(home: Path, schema: int) -> Iterator[str]:
    """The journal as it was before it was brought up to date lies beside it, whole, with the audit's head."""
    directory = home / "state" / BACKUP_DIRECTORY
    found = copies(path.name for path in directory.glob("*"))
    if schema not in {one.version for one in found}:
        yield f"there is no copy of the journal as it was with schema {schema}"
    for one in found:
        path = directory / one.name
        with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as database:
            whole, version = database.execute("PRAGMA integrity_check").fetchone()[0], version_of(database)
        if (whole, version) != ("ok", one.version):
            yield f"{one.name} is no copy: {whole}, schema {version}"
        if HeadFile(path.with_suffix(HEAD_SUFFIX)).read() is None:
            yield f"{one.name} has no head of the audit beside it"


def files_of(home: Path) -> Iterator[str]:
    """Nothing half written is left, and nobody else may look."""
    for path in sorted(home.rglob("*")):
        name = str(path.relative_to(home))
        mode = stat.S_IMODE(path.lstat().st_mode)
        wanted = 0o700 if path.is_dir() else 0o600
        if mode != wanted:
            yield f"{name} has the mode {mode:04o}"
        # What is left beside the configuration is another program's to leave, and the doctor's to find.
        if ".tmp." in path.name and path.parent != home:
            yield f"{name} is left over"
