"""Where the numbers of usage come from: roll-ups for whole steps, rows for what sticks out; SQL that sums to the unit.

A span is put together from as few entries as possible: the longest steps first, rounded to the nearest boundary, what
is too much taken off again. So a day of Los Angeles is a UTC day, less six and two hours of its start, plus those of
the next; and only what is shorter than the shortest step is read from rows.
"""

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from palyra.core.errors import BadInputError
from palyra.core.usage_filter import ANYTHING, UsageFilter
from palyra.core.values import value
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
    "corrects IS NULL",
)
QUARTER_MS = HOUR_MS // 4
WHOLE = ""
"""As a key: everything together."""

Span = tuple[int, int]


@value
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
BY_PRINCIPAL = RollUp("principal_usage", (32 * DAY_MS, DAY_MS, 6 * HOUR_MS, HOUR_MS), frozenset({"user"}))
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


class Piece(NamedTuple):
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


@lru_cache(maxsize=16)
def pieces(spans: tuple[Span, ...], steps: tuple[int, ...]) -> Sequence[Piece]:
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
    if first >= last or 4 * (end - start) < 3 * step:
        _cover(found, number, sign, start, end, shorter)
        return
    found.append(Piece(number, sign, step, first, last))
    _cover(found, number, sign, start, first, shorter)
    _cover(found, number, -sign, first, start, shorter)
    _cover(found, number, sign, last, end, shorter)
    _cover(found, number, -sign, end, last, shorter)


def facts(
    by: str, spans: Sequence[Span], where: UsageFilter = ANYTHING, only: Sequence[str] | None = None
) -> tuple[str, list[Any]]:
    """SQL that yields (bucket, key, metrics…) rows whose sums are exact for each span, and its parameters.

    With `only`, of these few keys alone; where a roll-up is ordered by them, nothing else is looked at.
    """
    roll_up = roll_up_for(by, where)
    parts = pieces(tuple(spans), roll_up.steps if roll_up else ())
    query = _Query()
    if roll_up is not None:
        for step in roll_up.steps:
            for sign in (1, -1):
                found = [part for part in parts if (part.step, part.sign) == (step, sign)]
                if found:
                    _add_roll_up(query, roll_up, found, by, where, only)
    left = [part for part in parts if part.step == 0]
    if left or not query.sources:
        _add_rows(query, left, by, where, only)
    return query.text, query.parameters


class _Query:
    """A statement in the making: spans are unpacked once each, then joined."""

    def __init__(self) -> None:
        self.spans: list[str] = []
        self.sources: list[str] = []
        self.parameters: list[Any] = []
        self._bound: list[Any] = []

    def add_spans(self, spans: Sequence[Sequence[int]]) -> str:
        name = f"spans_{len(self.spans)}"
        self.spans.append(
            f"{name} AS MATERIALIZED (SELECT value ->> 0 AS bucket, value ->> 1 AS first, value ->> 2 AS last"
            " FROM json_each(?))"
        )
        self.parameters.append(json.dumps(spans))
        return name

    def add(self, source: str, bound: Sequence[Any]) -> None:
        self.sources.append(source)
        self._bound += bound

    @property
    def text(self) -> str:
        self.parameters += self._bound
        self._bound = []
        return f"WITH {', '.join(self.spans)} {' UNION ALL '.join(self.sources)}"


def _add_roll_up(
    query: _Query, roll_up: RollUp, parts: Sequence[Piece], by: str, where: UsageFilter, only: Sequence[str] | None
) -> None:
    step, sign = parts[0].step, "-" if parts[0].sign < 0 else ""
    key = COLUMNS.get(by, "''")
    metrics = ", ".join(f"{sign}{name} AS {name}" for name in METRICS)
    conditions, bound = conditions_of(where, of_rows=False)
    if only is not None and roll_up is BY_PRINCIPAL:
        spans = query.add_spans(
            [[part.span, start, 0] for part in parts for start in range(part.start, part.end, step)]
        )
        query.add(
            f"SELECT bucket, {key} AS key, {metrics} FROM {spans} CROSS JOIN json_each(?) AS wanted"
            f" CROSS JOIN {roll_up.table} WHERE {roll_up.step} = {step} AND {roll_up.start} = first"
            f" AND {key} = wanted.value{conditions}",
            [json.dumps(list(only)), *bound],
        )
        return
    among, chosen = _among(key, only)
    spans = query.add_spans([[part.span, part.start, part.end] for part in parts])
    query.add(
        f"SELECT bucket, {key} AS key, {metrics} FROM {spans} CROSS JOIN {roll_up.table} WHERE {roll_up.step} = {step}"
        f" AND {roll_up.start} >= first AND {roll_up.start} < last{conditions}{among}",
        [*bound, *chosen],
    )


def _add_rows(query: _Query, parts: Sequence[Piece], by: str, where: UsageFilter, only: Sequence[str] | None) -> None:
    spans = query.add_spans([[part.span, part.start, part.end] for part in parts])
    conditions, bound = conditions_of(where)
    key = "each_tag.key || '=' || each_tag.value" if by == "tag" else COLUMNS.get(by, "''")
    tags = ", json_each(tags) AS each_tag" if by == "tag" else ""
    among, chosen = _among(key, only)
    for table, at, what in (("runs", "finished_at", OF_RUNS), ("usage", "at", OF_USAGE)):
        query.add(
            f"SELECT bucket, {key} AS key, {named(what)} FROM {spans} CROSS JOIN {table}{tags}"
            f" WHERE {table}.{at} >= first AND {table}.{at} < last{conditions}{among}",
            [*bound, *chosen],
        )


def _among(key: str, only: Sequence[str] | None) -> tuple[str, list[Any]]:
    return ("", []) if only is None else (f" AND {key} IN (SELECT value FROM json_each(?))", [json.dumps(list(only))])


def reason_facts(since: int, until: int) -> tuple[str, list[Any]]:
    """SQL that yields (reason, decisions) rows whose sums are exact for [since, until), and its parameters."""
    sources: list[str] = []
    parameters: list[Any] = []
    for piece in pieces(((since, until),), REASON_STEPS):
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


def conditions_of(where: UsageFilter, *, of_rows: bool = True) -> tuple[str, list[Any]]:
    """` AND …` for the rows of runs or usage, or for those of a roll-up; and its parameters."""
    conditions: list[str] = []
    parameters: list[Any] = []
    for name, wanted in where.given.items():
        if name == "tag":
            tag, _, text = wanted.partition("=")
            conditions.append("EXISTS (SELECT 1 FROM json_each(tags) AS has WHERE has.key = ? AND has.value = ?)")
            parameters += [tag, text]
            continue
        column = COLUMNS[name]
        partial = f" AND {column} <> ''" if of_rows and name in ("agent", "job") and wanted else ""
        conditions.append(f"{column} = ?{partial}")
        parameters.append(wanted)
    return "".join(f" AND {condition}" for condition in conditions), parameters


def named(facts: Iterable[str]) -> str:
    return ", ".join(f"{fact} AS {name}" for fact, name in zip(facts, METRICS, strict=True))
