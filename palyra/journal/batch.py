"""Units of changes as SQL values, and the one statement that writes a whole batch of them.

A batch is rows of a temporary view whose triggers do the writing: `INSERT INTO batch VALUES (…), (…), …` is a single
call into SQLite, transaction and fsync included, so the interpreter lock changes hands once per batch, and changes
apply exactly in the order in which they were submitted, whatever their kinds.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from typing import Any

from palyra.journal import entities, tables
from palyra.journal.audit_chain import Link, LinkDraft, append, canonical_payload
from palyra.journal.changes import (
    AlertSaved,
    ApprovalSaved,
    AuditAdded,
    Change,
    CredentialNoted,
    DecisionMade,
    GrantSaved,
    HoldCorrected,
    HoldEnded,
    HoldGrown,
    HoldTaken,
    Metered,
    NameKept,
    PlanKept,
    PolicySaved,
    RunNoted,
    RunSaved,
    TermsKept,
    UsageRecorded,
)
from palyra.journal.entity import EntityForgotten, EntitySaved
from palyra.journal.statements import insert_into, new_value, replaced
from palyra.journal.tables import NULL, Values, clean, dumps, moves_text, own_json

(
    NOTHING,
    RUN,
    NOTE,
    DECISION,
    HOLD,
    ENDED,
    USAGE,
    AUDIT,
    PLAN,
    NAME,
    GROWN,
    METERED,
    TERMS,
    APPROVAL,
    GRANT,
    POLICY,
    ALERT,
    CREDENTIAL,
    CORRECTED,
    ENTITY,
) = range(20)
"""What a row of the view is, in its first column; a row of nothing only fills the statement up. From ENTITY on there
are the kinds of `entities`."""

SELDOM = NAME
"""From here on there are the kinds that not every request has."""
GROUP = 18
"""How many of those stand together."""

WIDTH = 1 + max(
    len(table.columns)
    for table in (tables.RUNS, tables.HOLDS, tables.USAGE, tables.APPROVALS, tables.GRANTS, tables.DECISIONS)
)
_PAD: tuple[tuple[int, ...], ...] = tuple((0,) * (WIDTH - filled) for filled in range(WIDTH + 1))

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384)
"""Rows a prepared statement takes; a batch is padded up to the next size."""
MAX_ROWS = SIZES[-1]

REFUSALS = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.ProgrammingError,
    sqlite3.InterfaceError,
    OverflowError,
    UnicodeEncodeError,
)
"""What SQLite and its binding raise when the values of a unit are at fault, and not the disk."""

IMMUTABLE_OF_A_RUN = frozenset({"run_id", "principal", "session", "job", "accepted_at"})


@dataclass(slots=True)
class Unit:
    """Changes that become durable together or not at all, encoded; `rows` counts the rows of the view, links too."""

    values: list[Any] = field(default_factory=list)
    rows: int = 0
    drafts: list[LinkDraft] = field(default_factory=list)


EMPTY = Unit()
"""Nothing to write."""


def encode(changes: Sequence[Change]) -> Unit:
    """Raises TypeError, ValueError or RecursionError for data that is no JSON."""
    unit = Unit()
    for change in changes:
        kind, values = _ENCODERS[type(change)](change, unit)
        if kind != AUDIT:
            unit.values.append(kind)
            unit.values += [NULL if value is None else value for value in values]
            unit.values += _PAD[len(values) + 1]
        unit.rows += 1
        if kind == DECISION:
            unit.rows += 1
    return unit


def assemble(units: Iterable[Unit], head: Link) -> tuple[list[Any], int, Link]:
    """The values of all rows in submit order with the audit links sealed onto `head`, their number, the new head."""
    values: list[Any] = []
    rows = 0
    for unit in units:
        values += unit.values
        rows += unit.rows
        for draft in unit.drafts:
            head = append(head, draft)
            values += (
                AUDIT,
                head.seq,
                draft.at,
                draft.kind,
                draft.subject,
                draft.actor,
                draft.payload,
                head.digest,
                *_PAD[8],
            )
    return values, rows, head


def write(database: sqlite3.Connection, values: list[Any], rows: int) -> None:
    """Writes rows in one transaction; within a transaction that is open already, in as many statements as needed."""
    if rows <= MAX_ROWS:
        _insert(database, values, rows)
        return
    opened = not database.in_transaction
    if opened:
        database.execute("BEGIN IMMEDIATE")
    for start in range(0, rows, MAX_ROWS):
        part = min(MAX_ROWS, rows - start)
        _insert(database, values[start * WIDTH : (start + part) * WIDTH], part)
    if opened:
        database.execute("COMMIT")


def _insert(database: sqlite3.Connection, values: list[Any], rows: int) -> None:
    if rows == 0:
        return
    size = next(size for size in SIZES if size >= rows)
    if size > rows:
        values = values + [NOTHING] * (WIDTH * (size - rows))
    database.execute(_statement(size), values)


@cache
def _statement(rows: int) -> str:
    row = f"({', '.join('?' * WIDTH)})"
    return f"INSERT INTO batch VALUES {', '.join([row] * rows)}"


def prepare(database: sqlite3.Connection) -> None:
    """Makes the view and its triggers for this connection.

    A row passes by the condition of each trigger of its view, and every condition costs as much as a column: what is
    not in every request has views of its own, one for each group.
    """
    triggers = sorted(_triggers())
    seldom = [one for one in triggers if one[0] >= SELDOM]
    groups = [seldom[start : start + GROUP] for start in range(0, len(seldom), GROUP)]
    row = ", ".join(f"NEW.v{column}" for column in range(WIDTH))
    for place, group in enumerate(groups):
        _make_view(database, f"batch_{place}", [(f"= {kind}", sql) for kind, sql in group])
    often = [(f"= {kind}", sql) for kind, sql in triggers if kind < SELDOM]
    handed_on = [
        (f"BETWEEN {group[0][0]} AND {group[-1][0]}", f"INSERT INTO batch_{place} VALUES ({row})")
        for place, group in enumerate(groups)
    ]
    _make_view(database, "batch", [*often, *handed_on])


def _make_view(database: sqlite3.Connection, name: str, triggers: Iterable[tuple[str, str]]) -> None:
    """A view whose rows do what the triggers say that they meet the conditions of."""
    names = ", ".join(f"NULL AS v{column}" for column in range(WIDTH))
    database.execute(f"CREATE TEMP VIEW {name} AS SELECT {names}")
    for place, (condition, sql) in enumerate(triggers):
        database.execute(
            f"CREATE TEMP TRIGGER {name}_{place} INSTEAD OF INSERT ON {name} WHEN NEW.v0 {condition} BEGIN {sql}; END"
        )


def _triggers() -> list[tuple[int, str]]:
    runs_kept = [name for name in tables.RUNS.columns if name not in IMMUTABLE_OF_A_RUN]
    newer = "excluded.version > {0}.version"
    return [
        (
            RUN,
            f"{insert_into(tables.RUNS)} ON CONFLICT (run_id) DO UPDATE SET {replaced(runs_kept)}"
            f" WHERE {newer.format('runs')} AND runs.finished_at IS NULL",
        ),
        (NOTE, _note()),
        (DECISION, insert_into(tables.DECISIONS)),
        (HOLD, insert_into(tables.HOLDS)),
        (GROWN, f"{_SLICE_LOGGED}; {_update_hold('bound_usd', 'bound_tokens', 'moves')}"),
        (METERED, _update_hold("metered_input", "metered_output", "metered_usd")),
        (
            ENDED,
            _update_hold(
                "state",
                "terminal_at",
                "actual_usd",
                "actual_tokens",
                "requests",
                "usage_source",
                "overrun",
                "recovered",
                "moves",
            ),
        ),
        (CORRECTED, _CORRECTED),
        (USAGE, _usage()),
        (
            APPROVAL,
            f"{insert_into(tables.APPROVALS)} ON CONFLICT (approval_id) DO UPDATE SET"
            f" {replaced(tables.APPROVALS.columns[1:])} WHERE {newer.format('approvals')}",
        ),
        (
            GRANT,
            f"{insert_into(tables.GRANTS)} ON CONFLICT (grant_id) DO UPDATE SET"
            f" {replaced(tables.GRANTS.columns[1:])} WHERE {newer.format('grants')}",
        ),
        (POLICY, insert_into(tables.POLICIES)),
        (
            ALERT,
            f"{insert_into(tables.ALERTS)} ON CONFLICT (alert_id) DO UPDATE SET"
            f" {replaced(tables.ALERTS.columns[1:])} WHERE excluded.revision > alerts.revision",
        ),
        (
            CREDENTIAL,
            f"{insert_into(tables.CREDENTIALS)} ON CONFLICT (provider, credential, fingerprint) DO UPDATE SET"
            f" {replaced(tables.CREDENTIALS.columns[3:])} WHERE true",
        ),
        (AUDIT, insert_into(tables.AUDIT)),
        (NAME, "INSERT INTO replay_names (id, body) VALUES (NEW.v1, NEW.v2) ON CONFLICT (id) DO NOTHING"),
        (PLAN, _PLAN_LOGGED),
        (TERMS, f"INSERT INTO replay_log (at, kind, ref) VALUES (NEW.v1, 4, 0); {_body_of_newest(2)}"),
        *((ENTITY + place, sql) for place, sql in entities.triggers()),
    ]


def _body_of_newest(column: int) -> str:
    return f"INSERT INTO replay_bodies (seq, body) SELECT max(seq), NEW.v{column} FROM replay_log"


_SLICE_LOGGED = f"""
INSERT INTO replay_log (at, kind, ref, usd, tokens)
SELECT NEW.v5, 1, runs.seq, nullif(NEW.v2, {NULL}) - holds.bound_usd, NEW.v3 - holds.bound_tokens
FROM holds JOIN runs ON runs.run_id = holds.run_id
WHERE hold_id = NEW.v1 AND holds.state = 'held' AND holds.bound_tokens <> NEW.v3
"""
_PLAN_LOGGED = f"""
INSERT INTO replay_log (at, kind, ref, scope, shape, usd, tokens, outcome)
SELECT NEW.v2, 0, seq, NEW.v3, NEW.v4, nullif(NEW.v5, {NULL}), NEW.v6, NEW.v7 FROM runs WHERE run_id = NEW.v1;
{_body_of_newest(8)}
"""


_CORRECTED = f"""
UPDATE holds SET actual_usd = nullif(NEW.v2, {NULL}), actual_tokens = NEW.v3, overrun = NEW.v4, moves = NEW.v5
WHERE hold_id = NEW.v1 AND state IN ('settled', 'expired');
UPDATE runs SET version = version + 1, input_tokens = NEW.v6, output_tokens = NEW.v7, cost = nullif(NEW.v8, {NULL})
WHERE run_id = (SELECT run_id FROM holds WHERE hold_id = NEW.v1 AND state IN ('settled', 'expired'))
"""


def _usage() -> str:
    """A correction has no hold of its own that could be taken: one that is written again is known by its flags."""
    columns = tables.USAGE.columns
    values = ", ".join(new_value(column, name in tables.USAGE.nullable) for column, name in enumerate(columns, start=1))
    corrects, flags, run = (f"NEW.v{columns.index(name) + 1}" for name in ("corrects", "flags", "run_id"))
    again = f"SELECT 1 FROM usage WHERE run_id = {run} AND corrects = {corrects} AND flags = {flags}"
    return (
        f"INSERT INTO usage ({', '.join(columns)}) SELECT {values}"
        f" WHERE {corrects} = {NULL} OR {flags} NOT LIKE '[\"correction:%' OR NOT EXISTS ({again})"
        " ON CONFLICT (hold_id) DO NOTHING"
    )


def _note() -> str:
    """A run ends once: when its end is written again, because nobody knew that it had been, no second line tells it."""
    columns = ", ".join(f"NEW.v{column}" for column in range(1, len(tables.NOTES.columns) + 1))
    told = "SELECT 1 FROM run_notes WHERE run_id = NEW.v1 AND kind = 'run_terminal'"
    return (
        f"INSERT INTO {tables.NOTES.name} ({', '.join(tables.NOTES.columns)}) SELECT {columns}"
        f" WHERE NEW.v3 <> 'run_terminal' OR NOT EXISTS ({told})"
    )


def _update_hold(*columns: str) -> str:
    changes = ", ".join(
        f"{name} = {new_value(column, name in tables.HOLDS.nullable)}" for column, name in enumerate(columns, start=2)
    )
    return f"UPDATE holds SET {changes} WHERE hold_id = NEW.v1 AND state = 'held'"


def _decision(change: DecisionMade, unit: Unit) -> tuple[int, Values]:
    row = change.row
    body = own_json(row.body)
    codes = own_json(row.reason_codes)
    payload = {
        "action": row.action,
        "body_sha256": sha256(body.encode()).hexdigest(),
        "mode": row.mode,
        "outcome": row.outcome,
        "reason_codes": row.reason_codes,
        "run_id": row.run_id,
    }
    unit.drafts.append(LinkDraft(row.at, "decision", row.decision_id, "engine", own_json(payload)))
    return DECISION, (row.decision_id, row.run_id or None, row.at, row.mode, row.outcome, row.action, codes, body)


def _audit(change: AuditAdded, unit: Unit) -> tuple[int, Values]:
    payload = canonical_payload(change.payload)
    unit.drafts.append(LinkDraft(change.at, change.kind, clean(change.subject), clean(change.actor), payload))
    return AUDIT, ()


def _hold_ended(change: HoldEnded, unit: Unit) -> tuple[int, Values]:
    return ENDED, (
        change.hold_id,
        change.state,
        change.terminal_at,
        change.actual_usd,
        change.actual_tokens,
        change.requests,
        change.usage_source,
        change.overrun,
        int(change.recovered),
        moves_text(change.moves),
    )


_ENCODERS: dict[type[Change], Callable[[Any, Unit], tuple[int, Values]]] = {
    RunSaved: lambda change, unit: (RUN, tables.run_values(change.row)),
    RunNoted: lambda change, unit: (NOTE, (change.run_id, change.at, change.kind, dumps(change.data))),
    DecisionMade: _decision,
    HoldTaken: lambda change, unit: (HOLD, tables.hold_values(change.row)),
    HoldGrown: lambda change, unit: (
        GROWN,
        (change.hold_id, change.bound_usd, change.bound_tokens, moves_text(change.moves), change.at),
    ),
    Metered: lambda change, unit: (
        METERED,
        (change.hold_id, change.metered_input, change.metered_output, change.metered_usd),
    ),
    HoldEnded: _hold_ended,
    HoldCorrected: lambda change, unit: (
        CORRECTED,
        (
            change.hold_id,
            change.actual_usd,
            change.actual_tokens,
            change.overrun,
            moves_text(change.moves),
            change.input_tokens,
            change.output_tokens,
            change.cost,
        ),
    ),
    UsageRecorded: lambda change, unit: (USAGE, tables.usage_values(change.row)),
    ApprovalSaved: lambda change, unit: (APPROVAL, tables.approval_values(change.row)),
    GrantSaved: lambda change, unit: (GRANT, tables.grant_values(change.row)),
    PolicySaved: lambda change, unit: (POLICY, tables.policy_values(change.row)),
    AlertSaved: lambda change, unit: (ALERT, tables.alert_values(change.row)),
    CredentialNoted: lambda change, unit: (CREDENTIAL, tables.credential_values(change.row)),
    AuditAdded: _audit,
    NameKept: lambda change, unit: (NAME, (change.name, change.body)),
    PlanKept: lambda change, unit: (
        PLAN,
        (
            change.run_id,
            change.at,
            change.scope,
            change.shape,
            change.usd,
            change.tokens,
            change.outcome,
            change.body,
        ),
    ),
    EntitySaved: lambda change, unit: (ENTITY + entities.place_of(change), change.values),
    EntityForgotten: lambda change, unit: (ENTITY + entities.place_of(change), change.key),
    TermsKept: lambda change, unit: (TERMS, (change.at, dumps(change.body))),
}
