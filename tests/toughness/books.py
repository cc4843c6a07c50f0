"""What lies on disk, read without the program's own code: the rows of a journal nobody is writing to."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEYS = {
    "runs": ("run_id",),
    "holds": ("hold_id",),
    "usage": ("hold_id",),
    "usage_sums": (),
    "usage_days": (),
    "decision_reasons": (),
    "approvals": ("approval_id",),
    "grants": ("grant_id",),
    "policies": ("policy_id",),
    "decisions": ("decision_id",),
    "run_notes": ("seq",),
    "audit": ("seq",),
    "alerts": ("alert_id",),
    "replay_names": ("id",),
    "replay_log": ("seq",),
    "replay_bodies": ("seq",),
    "credentials": ("provider", "credential", "fingerprint"),
    "deliveries": ("delivery_id",),
    "webhooks": ("name",),
    "told": ("subject",),
    "reporters": ("principal", "name"),
    "incidents": ("incident_id",),
    "incident_timeline": ("entry_id",),
    "remedy_attempts": ("attempt_id",),
    "incident_episodes": ("incident_id", "episode"),
    "tasks": ("task_id",),
    "task_inputs": ("task_id",),
    "task_results": ("task_id",),
    "run_owners": ("run_id",),
    "run_texts": ("run_id", "part"),
    "folded_holds": ("seq",),
    "folded": ("one",),
    "jobs": ("job_id",),
    "job_fires": ("fire_id",),
    "job_attempts": ("attempt_id",),
    "memory_notes": ("number",),
    "memory_vectors": ("number",),
    "memory_upkeep": ("upkeep_id",),
    **dict.fromkeys(("memory_words", *(f"memory_words_{part}" for part in ("config", "data", "docsize", "idx"))), ()),
    "memory_vocabulary": (),
}
"""What names a row where its primary key does not; empty where only the whole row does."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Books:
    """All rows by table and key."""

    tables: Mapping[str, Mapping[tuple[Any, ...], Row]]

    def __getitem__(self, table: str) -> Mapping[tuple[Any, ...], Row]:
        return self.tables[table]

    def run(self, run_id: str) -> Row | None:
        return self["runs"].get((run_id,))

    def holds_of(self, run_id: str) -> list[Row]:
        return [row for row in self["holds"].values() if row["run_id"] == run_id]

    @property
    def open_holds(self) -> dict[str, Row]:
        return {row["hold_id"]: row for row in self["holds"].values() if row["state"] == "held"}


def read_books(state_dir: Path) -> Books:
    """Opens the journal for reading only."""
    database = sqlite3.connect(f"file:{state_dir}/journal.db?mode=ro", uri=True)
    try:
        database.row_factory = sqlite3.Row
        found = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        tables = {}
        for table in [row["name"] for row in found]:
            columns = database.execute("SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk", (table,))
            key = KEYS[table] if table in KEYS else tuple(row["name"] for row in columns)
            rows = [dict(row) for row in database.execute(f"SELECT * FROM {table}")]
            tables[table] = {tuple(row[name] for name in key or row): row for row in rows}
        return Books(tables)
    finally:
        database.close()
