"""Where the numbers of usage come from: roll-ups for whole steps, rows for what sticks out; SQL that sums to the unit.

A span is put together from as few entries as possible: the longest steps first, rounded to the nearest boundary, what
is too much taken off again. So a day of Los Angeles is a UTC day, less six and two hours of its start, plus those of
the next; and only what is shorter than the shortest step is read from rows.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from palyra.core.errors import BadInputError
from palyra.core.usage_filter import ANYTHING, UsageFilter
from palyra.core.windows import DAY_MS, HOUR_MS

METRICS = (
    "runs",
    "ok",
    "failed",
    "refused",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost",
    "unpriced",
    "latency_ms",
    "attempts",
)
OF_RUNS = (
    "1",
    "state = 'completed'",
    "state = 'failed'",
    "state = 'refused'",
    *["0"] * 8,
)
OF_USAGE = (
    *["0"] * 4,
    "input_total",
    "output_total",
    "cache_read",
    "reasoning",
    "ifnull(charge, 0)",
    "charge IS NULL",
    "latency_ms",
    "1",
)
QUARTER_MS = HOUR_MS // 4
WHOLE = ""
"""As a key: everything together."""

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class RollUp:
    """A table of sums, its steps (longest first, each a multiple of the next), and the keys it knows.

    `step` and `start` are the expressions for an entry's length and start.
    """

    table: str
    steps: tuple[int, ...]
    keys: frozenset[str]
    step: str = "step"
    start: str = "start"


BY_MODEL = RollUp("model_usage", (DAY_MS, 6 * HOUR_MS, HOUR_MS, QUARTER_MS), frozenset({"model", "provider"}))
BY_PRINCIPAL = RollUp("principal_usage", (32 * DAY_MS, DAY_MS, HOUR_MS), frozenset({"user"}))
BY_BOTH = RollUp("usage_days", (DAY_MS,), frozenset({"user", "model"}), str(DAY_MS), "day")
REASON_STEPS = (DAY_MS, HOUR_MS)
"""Of the counts of why decisions were made."""
ROLL_UPS = (BY_MODEL, BY_PRINCIPAL, BY_BOTH)

COLUMNS = {
    "model": "model",
    "provider": "provider",
    "user": "principal",
    "session": "session",
    "agent": "agent",
    "job": "job",
    "key": "key_id",
    "channel": "channel",
}
KEYS = (*COLUMNS, "tag")
"""What usage can be broken down by and filtered by, and the columns of runs and usage that hold it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """[start, end) of a span's sum, added or (sign -1) taken off; `step` 0 means rows."""

    span: int
    sign: int
    step: int
    start: int
    end: int


def check_key(by: str) -> None:
    """Raises BadInputError for what usage cannot be broken down by."""
    if by not in KEYS:
        raise BadInputError(f"{by!r} is no breakdown of usage.", fix=f"Use one of: {', '.join(KEYS)}.")


def roll_up_for(by: str, where: UsageFilter) -> RollUp | None:
    """The roll-up that knows these keys; None when only the rows do."""
    wanted = {*where.given, by} - {WHOLE}
    return next((one for one in ROLL_UPS if wanted <= one.keys), None)


def pieces(spans: Sequence[Span], steps: Sequence[int]) -> list[Piece]:
    """What adds up to each span."""
    found: list[Piece] = []
    for number, (start, end) in enumerate(spans):
        last = steps[-1] if steps else 0
        inner, outer = (-(-start // last) * last, end // last * last) if last else (end, end)
        if inner >= outer:
            inner = outer = end
        found += [Piece(number, 1, 0, a, b) for a, b in ((start, inner), (outer, end)) if a < b]
        _cover(found, number, 1, inner, outer, steps)
    return found


def _cover(found: list[Piece], number: int, sign: int, start: int, end: int, steps: Sequence[int]) -> None:
    """[start, end), whose ends stand on the shortest step, of the longest steps that serve."""
    if start >= end:
        return
    step, shorter = steps[0], steps[1:]
    if not shorter:
        found.append(Piece(number, sign, step, start, end))
        return
    first, last = ((edge + step // 2) // step * step for edge in (start, end))
    if first >= last or end - start < step:
        _cover(found, number, sign, start, end, shorter)
        return
    found.append(Piece(number, sign, step, first, last))
    _cover(found, number, sign, start, first, shorter)
    _cover(found, number, -sign, first, start, shorter)
    _cover(found, number, sign, last, end, shorter)
    _cover(found, number, -sign, end, last, shorter)


def facts(by: str, spans: Sequence[Span], where: UsageFilter = ANYTHING) -> tuple[str, list[Any]]:
    """SQL that yields (bucket, key, metrics…) rows whose sums are exact for each span, and its parameters."""
    roll_up = roll_up_for(by, where)
    parts = pieces(spans, roll_up.steps if roll_up else ())
    sources: list[str] = []
    parameters: list[Any] = []
    if roll_up is not None:
        conditions, bound = _conditions(where, of_rows=False)
        signed = ", ".join(f"(span.value ->> 1) * {name} AS {name}" for name in METRICS)
        key = COLUMNS.get(by, "''")
        for step in roll_up.steps:
            ranges = [[part.span, part.sign, part.start, part.end] for part in parts if part.step == step]
            if not ranges:
                continue
            sources.append(
                f"SELECT span.value ->> 0 AS bucket, {key} AS key, {signed} FROM json_each(?) AS span"
                f" CROSS JOIN {roll_up.table} WHERE {roll_up.step} = {step}"
                f" AND {roll_up.start} >= span.value ->> 2 AND {roll_up.start} < span.value ->> 3{conditions}"
            )
            parameters += [json.dumps(ranges), *bound]
    left = [[part.span, part.start, part.end] for part in parts if part.step == 0]
    if left or not sources:
        of_rows, bound_rows = row_facts(by, left, where)
        sources.append(of_rows)
        parameters += bound_rows
    return " UNION ALL ".join(sources), parameters


def row_facts(by: str, spans: Sequence[Sequence[int]], where: UsageFilter) -> tuple[str, list[Any]]:
    """The same from the rows alone; spans as [bucket, start, end]."""
    conditions, bound = _conditions(where, of_rows=True)
    sources: list[str] = []
    parameters: list[Any] = []
    for table, at, what in (("runs", "finished_at", OF_RUNS), ("usage", "at", OF_USAGE)):
        tags = ", json_each(tags) AS each_tag" if by == "tag" else ""
        key = "each_tag.key || '=' || each_tag.value" if by == "tag" else COLUMNS.get(by, "''")
        sources.append(
            f"SELECT span.value ->> 0 AS bucket, {key} AS key, {named(what)} FROM json_each(?) AS span"
            f" CROSS JOIN {table}{tags} WHERE {table}.{at} >= span.value ->> 1 AND {table}.{at} < span.value ->> 2"
            f"{conditions}"
        )
        parameters += [json.dumps(list(spans)), *bound]
    return " UNION ALL ".join(sources), parameters


def reason_facts(since: int, until: int) -> tuple[str, list[Any]]:
    """SQL that yields (reason, decisions) rows whose sums are exact for [since, until), and its parameters."""
    sources: list[str] = []
    parameters: list[Any] = []
    for piece in pieces([(since, until)], REASON_STEPS):
        if piece.step:
            sources.append(
                f"SELECT reason, {piece.sign} * decisions AS decisions FROM decision_reasons"
                f" WHERE step = {piece.step} AND start >= ? AND start < ?"
            )
        else:
            sources.append(
                "SELECT code.value AS reason, 1 AS decisions FROM decisions CROSS JOIN json_each(reason_codes) AS code"
                " WHERE at >= ? AND at < ?"
            )
        parameters += (piece.start, piece.end)
    return " UNION ALL ".join(sources) or "SELECT '' AS reason, 0 AS decisions", parameters


def conditions_of_runs(where: UsageFilter) -> tuple[str, list[Any]]:
    """` AND …` for the rows of runs or usage, and its parameters."""
    return _conditions(where, of_rows=True)


def _conditions(where: UsageFilter, *, of_rows: bool) -> tuple[str, list[Any]]:
    conditions: list[str] = []
    parameters: list[Any] = []
    for name, value in where.given.items():
        if name == "tag":
            tag, _, text = value.partition("=")
            conditions.append("EXISTS (SELECT 1 FROM json_each(tags) AS has WHERE has.key = ? AND has.value = ?)")
            parameters += [tag, text]
            continue
        column = COLUMNS[name]
        partial = f" AND {column} <> ''" if of_rows and name in ("agent", "job") and value else ""
        conditions.append(f"{column} = ?{partial}")
        parameters.append(value)
    return "".join(f" AND {condition}" for condition in conditions), parameters


def named(facts: Iterable[str]) -> str:
    return ", ".join(f"{fact} AS {name}" for fact, name in zip(facts, METRICS, strict=True))
