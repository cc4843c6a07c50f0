"""Every kind of row that is saved whole (`Entity`), and how the writer stores it: one line for each."""

from collections.abc import Iterator, Mapping
from typing import Any

from palyra.journal.delivery_rows import DELIVERIES, REPORTERS, TOLD, WEBHOOKS
from palyra.journal.entity import Entity, EntityForgotten, EntitySaved
from palyra.journal.incident_rows import ATTEMPTS, CIRCUITS, EPISODES, INCIDENTS, TIMELINE
from palyra.journal.job_rows import JOB_ATTEMPTS, JOB_FIRES, JOBS
from palyra.journal.note_rows import NOTES, TRACES, UPKEEP, VECTORS
from palyra.journal.observation_rows import FAILURES, PROBES, SIZES
from palyra.journal.statements import insert_into, replaced
from palyra.journal.task_rows import RUN_OWNERS, TASK_INPUTS, TASK_RESULTS, TASKS
from palyra.journal.text_rows import RUN_TEXTS

ENTITIES: tuple[Entity[Any], ...] = (
    DELIVERIES,
    WEBHOOKS,
    TOLD,
    REPORTERS,
    INCIDENTS,
    TIMELINE,
    ATTEMPTS,
    EPISODES,
    CIRCUITS,
    TASKS,
    TASK_INPUTS,
    TASK_RESULTS,
    RUN_OWNERS,
    RUN_TEXTS,
    NOTES,
    VECTORS,
    UPKEEP,
    TRACES,
    JOBS,
    JOB_FIRES,
    JOB_ATTEMPTS,
    FAILURES,
    PROBES,
    SIZES,
)

_SAVED: Mapping[str, int] = {entity.table.name: 2 * place for place, entity in enumerate(ENTITIES)}


def place_of(change: EntitySaved | EntityForgotten) -> int:
    """What is to be done, among all that can be done with such rows."""
    return _SAVED[change.table] + isinstance(change, EntityForgotten)


def triggers() -> Iterator[tuple[int, str]]:
    """What a row with the values of such a change, or its key, makes the database do, by its place."""
    for entity in ENTITIES:
        place = _SAVED[entity.table.name]
        yield place, _save(entity)
        known = " AND ".join(f"{name} = NEW.v{column}" for column, name in enumerate(entity.key, start=1))
        yield place + 1, f"DELETE FROM {entity.table.name} WHERE {known}"


def _save(entity: Entity[Any]) -> str:
    table, key = entity.table, ", ".join(entity.key)
    inserted = f"{insert_into(table)} ON CONFLICT ({key}) DO"
    if not entity.version:
        return f"{inserted} NOTHING"
    columns = [name for name in table.columns if name not in entity.key]
    newer = f"excluded.{entity.version} > {table.name}.{entity.version}"
    return f"{inserted} UPDATE SET {replaced(columns)} WHERE {newer}"
