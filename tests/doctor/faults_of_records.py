"""Ways in which the journal, what is served, and what all stands on go wrong."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

from palyra.core.ids import encode
from palyra.doctor.installation import Installation, Online, Reached, Reading
from palyra.doctor.surroundings import Surroundings, Terminal
from palyra.journal.examination import Examined, JournalSize
from palyra.journal.schema import LATEST
from tests.doctor.fault import BLOCKING, INFO, WARNING, Fault
from tests.doctor.faults_of_config import swapped
from tests.doctor.faults_of_secrets import gone, put
from tests.doctor.healthy import CONFIG, NOW, Patient
from tests.journal.samples import T0
from tests.journal.test_migrating import older

JOURNAL, HEAD = "journal.db", "audit.head"
SALVAGE = ("journal.salvage",)
DAY = 86_400_000
RUN = encode(T0, 7)

Inflict = Callable[[Patient], object]


def sql(*statements: str) -> Inflict:
    """Statements on the journal's file as somebody with a shell would run them, its triggers left out."""

    def inflict(patient: Patient) -> None:
        with closing(sqlite3.connect(patient.state / JOURNAL, isolation_level=None)) as database:
            triggers = database.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
            for name, _ in triggers:
                database.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                database.execute(statement)
            for _, text in triggers:
                database.execute(text)
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        for end in ("-wal", "-shm"):
            (patient.state / f"{JOURNAL}{end}").unlink(missing_ok=True)

    return inflict


def bytes_at(place: Callable[[int], int], data: bytes) -> Inflict:
    """Bytes written over the journal's, at a place found from its size."""

    def inflict(patient: Patient) -> None:
        path = patient.state / JOURNAL
        with path.open("r+b") as file:
            file.seek(place(path.stat().st_size))
            file.write(data)

    return inflict


def halved(patient: Patient) -> None:
    path = patient.state / JOURNAL
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def a_directory(patient: Patient) -> None:
    (patient.state / JOURNAL).unlink()
    (patient.state / JOURNAL).mkdir(0o700)


def a_page(of: str) -> Inflict:
    """Overwrites the root page of a table."""

    def inflict(patient: Patient) -> None:
        path = patient.state / JOURNAL
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            (page,) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (of,)).fetchone()
        with path.open("r+b") as file:
            file.seek((page - 1) * 4096)
            file.write(b"\xa5" * 4096)

    return inflict


def free_pages(patient: Patient) -> None:
    """Pages nobody uses any more, whose list points nowhere."""
    sql("CREATE TABLE junk (a)", "INSERT INTO junk VALUES (zeroblob(300000))", "DROP TABLE junk")(patient)
    path = patient.state / JOURNAL
    with path.open("r+b") as file:
        file.seek(32)
        trunk = int.from_bytes(file.read(4), "big")
        assert trunk
        file.seek((trunk - 1) * 4096)
        file.write(b"\xff" * 4096)


def damaged_wal(patient: Patient) -> None:
    """The newest rows are in the WAL alone, as after a power cut, and nobody can read it."""
    with closing(sqlite3.connect(patient.state / JOURNAL, isolation_level=None)) as database:
        database.execute(
            "INSERT INTO audit (seq, at, kind, subject, actor, payload, digest)"
            " SELECT seq + 1, at, 'x', subject, actor, '{}', 'd' FROM audit ORDER BY seq DESC LIMIT 1"
        )
        (seq,) = database.execute("SELECT max(seq) FROM audit").fetchone()
        kept = {name: (patient.state / name).read_bytes() for name in (JOURNAL, f"{JOURNAL}-wal")}
    for name, data in kept.items():
        patient.write(name, data)
    head(lambda told: told.update(seq=seq, digest="d"))(patient)
    with (patient.state / f"{JOURNAL}-wal").open("r+b") as file:
        file.seek(32 + 24 + 100)
        file.write(b"\xa5" * 100)


def of_an_older_palyra(patient: Patient) -> None:
    gone(JOURNAL, HEAD)(patient)
    older(patient.state, LATEST - 1).close()
    (patient.state / JOURNAL).chmod(0o600)


def head(change: Callable[[dict[str, Any]], None]) -> Inflict:
    def inflict(patient: Patient) -> None:
        told = json.loads((patient.state / HEAD).read_bytes())
        change(told)
        patient.write(HEAD, json.dumps(told))

    return inflict


def later(patient: Patient) -> None:
    patient.now = T0 - DAY


def task(state: str) -> str:
    columns = {
        "task_id": "t1", "version": 1, "kind": "summary", "source": "api", "state": state, "owner": "ann",
        "session": "s", "created_at": T0, "updated_at": T0, "dedupe_key": "", "job": "", "labels": "{}",
        "fire_id": "", "parent_run_id": "", "parent_task_id": "", "marks": "[]", "model": "auto", "token_budget": 0,
        "priority": 0, "not_before": 0, "waits": "", "timeout_ms": 1, "attempt": 1, "max_attempts": 3,
        "backoff_ms": 1, "interruptions": 0, "boot_id": "gone", "worker_id": "w", "fence": 1, "lease_until": T0,
        "target_run_id": "", "tokens": 0, "reason": "", "error": "", "decision_id": "",
    }  # fmt: skip
    values = ", ".join(repr(value) for value in columns.values())
    return f"INSERT INTO tasks ({', '.join(columns)}) VALUES ({values})"


def job(name: str, source: str, state: str, since: int, work: str = "{}") -> str:
    columns = {
        "job_id": f"id-{name}", "revision": 1, "version": 1, "name": name, "name_key": name, "source": source,
        "schedule": "cron", "expression": "0 0 * * *", "timezone": "UTC", "action": "maintenance", "work": work,
        "owner": "local", "session": "s", "created_at": T0, "updated_at": T0, "created_by": "palyra", "labels": "{}",
        "rules": "{}", "state": state, "why": "it cannot run", "state_by": "ann", "state_at": since, "anchor": 0,
        "planned_after": 0, "zone_rules": "", "fired": 0, "failures": 0,
    }  # fmt: skip
    values = ", ".join(repr(value) for value in columns.values())
    return f"INSERT INTO jobs ({', '.join(columns)}) VALUES ({values})"


def read_as(change: Callable[[Installation], Installation]) -> Inflict:
    """What no file can bring about."""

    def inflict(patient: Patient) -> None:
        patient.alter = change

    return inflict


def around(**fields: Any) -> Inflict:
    def change(found: Installation) -> Installation:
        told: Surroundings = replace(found.surroundings.get(), **fields)
        return replace(found, surroundings=Reading(found=told))

    return read_as(change)


def journal_as(**fields: Any) -> Inflict:
    def change(found: Installation) -> Installation:
        read = found.journal.get()
        assert read.examined is not None
        examined: Examined = replace(read.examined, **fields)
        return replace(found, journal=Reading(found=replace(read, examined=examined)))

    return read_as(change)


def zones(**fields: Any) -> Inflict:
    return read_as(lambda found: replace(found, zones=Reading(found=replace(found.zones.get(), **fields))))


def reached(**fields: Any) -> Inflict:
    return read_as(lambda found: replace(found, online=Reading(found=Online(**fields))))


def run_left(state: str | None) -> Inflict:
    told = {"run_id": RUN, "kind": "repair", "state": state, "created_at_ms": T0}
    return put(f"recovery/runs/{RUN}/manifest.json", "{" if state is None else json.dumps(told))


def alone(text: str) -> Inflict:
    """A configuration with this provider and no other."""
    return lambda patient: patient.configure(f"version = 1\n\n{text}")


NO_KEY = """\
[providers.only]
kind = "openai_compatible"
api_key_env = "NOT_SET"

[[models]]
provider = "only"
upstream = "m"
"""
NO_CHAT = """\
[providers.only]
kind = "deterministic"

[[models]]
provider = "only"
upstream = "embed"
role = "embeddings"
"""
UNPRICED = 'upstream = "claude-3-5-haiku-latest"'

JOURNAL_FAULTS = (
    Fault("it is gone", gone(JOURNAL), "journal.open", BLOCKING, (), JOURNAL),
    Fault("an empty file", put(JOURNAL, b""), "journal.open", BLOCKING, SALVAGE, JOURNAL),
    Fault("no database", put(JOURNAL, b"no database" * 1000), "journal.open", BLOCKING, SALVAGE, JOURNAL),
    Fault(
        "its header is overwritten", bytes_at(lambda size: 0, b"\xff" * 100), "journal.open", BLOCKING, SALVAGE, JOURNAL
    ),
    Fault("its first page is gone", bytes_at(lambda size: 0, b"\0" * 4096), "journal.open", BLOCKING, SALVAGE, JOURNAL),
    Fault(
        "its list of tables is damaged",
        bytes_at(lambda size: 100, b"\xa5" * 3996),
        "journal.open",
        BLOCKING,
        SALVAGE,
        JOURNAL,
    ),
    Fault(
        "a directory in its place",
        a_directory,
        "journal.open",
        BLOCKING,
        (),
        JOURNAL,
    ),
    Fault(
        "somebody else's database",
        lambda patient: (gone(JOURNAL)(patient), sql("CREATE TABLE t (a)")(patient)),
        "journal.open",
        BLOCKING,
        SALVAGE,
        JOURNAL,
    ),
    Fault("cut in half", halved, "journal.open", BLOCKING, SALVAGE, JOURNAL),
    Fault("a damaged page of runs", a_page("runs"), "journal.integrity", BLOCKING, SALVAGE, JOURNAL),
    Fault("a damaged page of holds", a_page("holds"), "journal.integrity", BLOCKING, SALVAGE, JOURNAL),
    Fault("a damaged page of the chain", a_page("audit"), "journal.integrity", BLOCKING, SALVAGE, JOURNAL),
    Fault("a damaged index", a_page("runs_by_time"), "journal.integrity", BLOCKING, SALVAGE, JOURNAL),
    Fault(
        "notes of a run that is gone",
        sql("PRAGMA foreign_keys = OFF", "INSERT INTO run_notes (run_id, at, kind, data) VALUES ('no', 1, 'x', '{}')"),
        "journal.integrity",
        BLOCKING,
        SALVAGE,
        "foreign keys",
    ),
    Fault("of a newer Palyra", sql("PRAGMA user_version = 9999"), "journal.schema", BLOCKING, (), JOURNAL),
    Fault("a damaged list of free pages", free_pages, "journal.integrity", BLOCKING, SALVAGE, JOURNAL),
    Fault("a damaged WAL", damaged_wal, "journal.audit", BLOCKING, (), HEAD),
    Fault(
        "of an older Palyra",
        of_an_older_palyra,
        "journal.schema",
        WARNING,
        ("journal.migrate",),
        JOURNAL,
    ),
    Fault(
        "an edited link",
        sql("UPDATE audit SET actor = 'mallory' WHERE seq = 9"),
        "journal.audit",
        BLOCKING,
        (),
        "audit",
    ),
    Fault("a missing link", sql("DELETE FROM audit WHERE seq = 9"), "journal.audit", BLOCKING, (), "audit"),
    Fault(
        "an edited decision",
        sql("UPDATE decisions SET outcome = 'allowed!' WHERE seq = 3"),
        "journal.audit",
        BLOCKING,
        (),
        "audit",
    ),
    Fault(
        "links cut off the end",
        sql("DELETE FROM audit WHERE seq > 20", "DELETE FROM decisions WHERE seq > 20"),
        "journal.audit",
        BLOCKING,
        (),
        HEAD,
    ),
    Fault("the head is gone", gone(HEAD), "journal.audit", BLOCKING, (), HEAD),
    Fault("the head is damaged", put(HEAD, "{"), "journal.audit", BLOCKING, (), HEAD),
    Fault(
        "the head of another chain",
        head(lambda told: told.update(digest="0" * 64)),
        "journal.audit",
        BLOCKING,
        (),
        HEAD,
    ),
    Fault("the head is ahead", head(lambda told: told.update(seq=100_000)), "journal.audit", BLOCKING, (), HEAD),
    Fault(
        "a changed sum",
        sql("UPDATE usage_days SET cost = cost + 1"),
        "journal.rollups",
        WARNING,
        ("journal.rollups",),
        "sums",
    ),
    Fault("a lost sum", sql("DELETE FROM usage_days"), "journal.rollups", WARNING, ("journal.rollups",), "sums"),
    Fault(
        "a count of decisions that is wrong",
        sql("UPDATE decision_reasons SET decisions = decisions + 1"),
        "journal.rollups",
        WARNING,
        ("journal.rollups",),
        "sums",
    ),
    Fault(
        "an open hold",
        sql("UPDATE holds SET state = 'held', terminal_at = NULL WHERE seq = 1"),
        "journal.holds",
        WARNING,
        (),
        "boot-1",
    ),
    Fault(
        "a large WAL",
        journal_as(size=JournalSize(4096, 1000, 0, 300 * 1024**2)),
        "journal.size",
        INFO,
        (),
        "journal.db-wal",
    ),
    Fault("many free pages", journal_as(size=JournalSize(4096, 10_000, 4_000, 0)), "journal.size", INFO, (), JOURNAL),
    Fault("a faulted job", sql(job("digest", "config", "faulted", T0)), "scheduler.jobs", WARNING, (), "digest"),
    Fault(
        "a system job that is paused",
        sql(job("system.x", "system", "paused", NOW - 2 * DAY)),
        "scheduler.jobs",
        WARNING,
        (),
        "system.x",
    ),
    Fault(
        "a job that cannot be read",
        sql(job("digest", "config", "active", T0, work="{")),
        "scheduler.jobs",
        WARNING,
        (),
        "digest",
    ),
    Fault("a task of the dead", sql(task("running")), "tasks.orphans", WARNING, (), "t1"),
    Fault("a cancelled task of the dead", sql(task("cancel_requested")), "tasks.orphans", WARNING, (), "t1"),
    Fault("a clock that is behind", later, "env.clock", WARNING, (), "clock"),
)

OTHER_FAULTS = (
    Fault(
        "a model without a price",
        swapped(UNPRICED, 'upstream = "claude-of-nobody"'),
        "pricing.coverage",
        WARNING,
        (),
        "second/claude-of-nobody",
    ),
    Fault(
        "a key nobody knows",
        swapped('scope_kind = "provider"\nscope_id = "upstream"', 'scope_kind = "key"\nscope_id = "gone"'),
        "budgets.scope",
        INFO,
        (),
        "upstream-day",
    ),
    Fault(
        "a model nobody knows",
        swapped('scope_kind = "provider"\nscope_id = "upstream"', 'scope_kind = "model"\nscope_id = "upstream/gone"'),
        "budgets.scope",
        INFO,
        (),
        "upstream-day",
    ),
    Fault(
        "a job nobody knows",
        swapped('scope_kind = "provider"\nscope_id = "upstream"', 'scope_kind = "job"\nscope_id = "gone"'),
        "budgets.scope",
        INFO,
        (),
        "upstream-day",
    ),
    Fault("no credential", alone(NO_KEY), "providers.usable", BLOCKING, (), "providers"),
    Fault("no chat model", alone(NO_CHAT), "providers.usable", BLOCKING, (), "providers"),
    Fault("the vault's key is lost", gone("vault/vault.key"), "providers.usable", BLOCKING, (), "providers"),
    Fault(
        "an unreachable provider",
        reached(providers=(Reached("upstream", "no answer"),)),
        "providers.reachable",
        WARNING,
        (),
        "upstream",
    ),
    Fault(
        "a probe that is down",
        reached(probes=(Reached("search", "it answered 500"),)),
        "probes.search",
        WARNING,
        (),
        "search",
    ),
    Fault(
        "a critical probe that is down",
        reached(probes=(Reached("search", "it answered 500", critical=True),)),
        "probes.search",
        BLOCKING,
        (),
        "search",
    ),
    Fault("an old Python", around(python=(3, 10, 4)), "env.python", BLOCKING, (), "python"),
    Fault(
        "a package that is missing",
        around(packages={"aiohttp": "it is not installed"}),
        "env.python",
        BLOCKING,
        (),
        "aiohttp",
    ),
    Fault("an old SQLite", around(sqlite=(3, 34, 1)), "env.sqlite", BLOCKING, (), "sqlite"),
    Fault("no zone rules", around(zones_missing="no module named tzdata"), "env.zones", BLOCKING, (), "tzdata"),
    Fault("a zone that is gone", zones(unknown=("Europe/Atlantis",)), "env.zones", BLOCKING, (), "Europe/Atlantis"),
    Fault("other rules in the system", zones(differing=("Africa/Cairo",)), "env.zones", INFO, (), "Africa/Cairo"),
    Fault("a small terminal", around(terminal=Terminal(60, 20, "utf-8")), "env.terminal", INFO, (), "size"),
    Fault(
        "a terminal in Latin-1", around(terminal=Terminal(120, 40, "iso-8859-1")), "env.terminal", INFO, (), "encoding"
    ),
    Fault("a repair cut short", run_left("running"), "recovery.unfinished", BLOCKING, ("recovery.undo",), RUN),
    Fault("a manifest that cannot be read", run_left(None), "recovery.unfinished", BLOCKING, (), RUN),
)

FAULTS = (*JOURNAL_FAULTS, *OTHER_FAULTS)
assert CONFIG.count(UNPRICED) == 1
