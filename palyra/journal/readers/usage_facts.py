"""Where the numbers of usage come from when no running sum knows them: sums of days, and the rows themselves.

A span is put together from as few entries as possible: the longest steps first, rounded to the nearest boundary, what
is too much taken off again; and only what is shorter than the shortest step is read from rows.
"""

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from palyra.core.errors import BadInputError
from palyra.core.usage_filter import UsageFilter
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
WHOLE = ""
"""As a key: everything together."""

WHOLE_KEY = "''"
TAG_KEY = "each_tag.key || '=' || each_tag.value"
"""SQL of the keys that are no column."""

Span = tuple[int, int]
DAYS = "usage_days"
"""The table of what each user used of each model, by UTC days."""
DAY_STEPS = (DAY_MS,)
REASON_STEPS = (DAY_MS, HOUR_MS)
"""Of the counts of why decisions were made."""

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
MANY = "session"
"""The key of which there are about as many as there are runs."""
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


def days_know(by: str, where: UsageFilter) -> bool:
    """Whether the sums of days know these keys."""
    return {*where.given, by} - {WHOLE} == {"user", "model"}


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


class Facts:
    """A statement in the making that yields (bucket, key, metrics…) rows: spans are unpacked once each, then joined."""

    def __init__(self) -> None:
        self.tables: list[str] = []
        self.sources: list[str] = []
        self.parameters: list[Any] = []
        self._bound: list[Any] = []

    def add_spans(self, spans: Sequence[Sequence[int]]) -> str:
        """Names a table of (bucket, sign, first, last)."""
        name = f"spans_{len(self.tables)}"
        self.add_table(
            f"{name} AS MATERIALIZED (SELECT value ->> 0 AS bucket, value ->> 1 AS sign, value ->> 2 AS first,"
            " value ->> 3 AS last FROM json_each(?))",
            [json.dumps(spans)],
        )
        return name

    def add_table(self, table: str, bound: Sequence[Any]) -> None:
        """Joins a table that a fact is in."""
        self.tables.append(table)
        self.parameters += bound

    def add(self, source: str, bound: Sequence[Any]) -> None:
        """Narrows to rows of which a fact holds."""
        self.sources.append(source)
        self._bound += bound

    def ended(self, around: str = "{}") -> tuple[str, list[Any]]:
        """The statement, all sources together within `around`, and its parameters."""
        tables = f"WITH RECURSIVE {', '.join(self.tables)} " if self.tables else ""
        return tables + around.format(" UNION ALL ".join(self.sources)), [*self.parameters, *self._bound]


def add_days(query: Facts, parts: Sequence[Piece], by: str, where: UsageFilter) -> None:
    """What the sums of days say of whole days. A user's are looked up, others lie next to each other."""
    conditions, bound = conditions_of(where, of_rows=False)
    if where.user is None:
        spans = query.add_spans([[part.span, part.sign, part.start, part.end] for part in parts])
        days = "day >= first AND day < last"
    else:
        spans = query.add_spans(
            [[part.span, part.sign, day, 0] for part in parts for day in range(part.start, part.end, DAY_MS)]
        )
        days = "day = first"
    query.add(
        f"SELECT bucket, {COLUMNS.get(by, WHOLE_KEY)} AS key, {signed(METRICS)} FROM {spans} CROSS JOIN {DAYS}"
        f" WHERE {days}{conditions}",
        bound,
    )


def add_rows(
    query: Facts, parts: Sequence[Piece], by: str, where: UsageFilter, only: Sequence[str] | None = None
) -> None:
    """What rows say, with `only` of these keys alone.

    Where keys are few, each table is summed by itself: what is sorted for that is a third as wide.
    """
    spans = query.add_spans([[part.span, part.sign, part.start, part.end] for part in parts])
    conditions, bound = conditions_of(where)
    key = TAG_KEY if by == "tag" else COLUMNS.get(by, WHOLE_KEY)
    tags = ", json_each(tags) AS each_tag" if by == "tag" else ""
    among, chosen = _among(key, only)
    many, grouped = (True, "") if by == MANY else (False, " GROUP BY 1, 2")
    for table, at, what in (("runs", "finished_at", OF_RUNS), ("usage", "at", OF_USAGE)):
        query.add(
            f"SELECT bucket, {key} AS key, {signed(what, summed=not many)} FROM {spans} CROSS JOIN {table}{tags}"
            f" WHERE {table}.{at} >= first AND {table}.{at} < last{conditions}{among}{grouped}",
            [*bound, *chosen],
        )


def _among(key: str, only: Sequence[str] | None) -> tuple[str, list[Any]]:
    if only is None:
        return "", []
    # Sessions are looked up in their own index; of other keys most rows of a time are meant.
    column = key if key == COLUMNS[MANY] else f"+{key}"
    return f" AND {column} IN (SELECT value FROM json_each(?))", [json.dumps(list(only))]


def leading_keys(by: str, since: int, until: int, where: UsageFilter, most: int) -> tuple[str, list[Any]]:
    """SQL that yields (key, cost, attempts) of the keys whose attempts in [since, until) cost most, `most` of them and
    all that come to the same as the last, from a place (-cost, -attempts) on that is given twice behind the parameters;
    nothing where there are fewer. Reads a fraction of what a whole breakdown does."""
    conditions, bound = conditions_of(where)
    sql = (
        f"WITH places AS MATERIALIZED (SELECT {COLUMNS[by]} AS key, sum(ifnull(charge, 0)) AS cost,"
        f" sum(corrects IS NULL) AS attempts FROM usage WHERE at >= ? AND at < ?{conditions} GROUP BY 1)"
        " SELECT key, cost, attempts FROM places WHERE (-cost, -attempts) >= (?, ?) AND (cost, attempts) >="
        " (SELECT cost, attempts FROM places WHERE (-cost, -attempts) > (?, ?)"
        f" ORDER BY cost DESC, attempts DESC LIMIT 1 OFFSET {most - 1:d})"
    )
    return sql, [since, until, *bound]


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
        # The plus keeps the index of all times, which is by provider, from being taken for one of these times.
        conditions.append(f"{'+' if of_rows and name == 'provider' else ''}{column} = ?{partial}")
        parameters.append(wanted)
    return "".join(f" AND {condition}" for condition in conditions), parameters


def named(facts: Iterable[str]) -> str:
    """The number that stands for a name in rows."""
    return ", ".join(f"{fact} AS {name}" for fact, name in zip(facts, METRICS, strict=True))


def signed(facts: Iterable[str], *, summed: bool = False) -> str:
    """The same, added or taken off; `summed` over the rows of a group."""
    around = "sum(sign * ({}))" if summed else "sign * ({})"
    return named("0" if fact == "0" else around.format(fact) for fact in facts)
