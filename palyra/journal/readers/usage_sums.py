"""Usage out of running sums: what a period came to is what had come up to its end, less what had up to its start.

Only what an end stands off the quarters of an hour is read from rows: it is added to the sum of the nearest quarter,
or taken off it.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from palyra.core.usage_filter import ANYTHING, UsageFilter
from palyra.core.windows import HOUR_MS
from palyra.journal.readers.usage_facts import (
    DAY_STEPS,
    METRICS,
    WHOLE,
    WHOLE_KEY,
    Facts,
    Piece,
    Span,
    add_days,
    add_rows,
    days_know,
    pieces,
    signed,
)

SUMS = "usage_sums"
QUARTER_MS = HOUR_MS // 4
KINDS = (WHOLE, "model", "provider", "user", "agent", "key", "tag")

_NAMES = ", ".join(METRICS)
_AT_MARK = f"""
(SELECT json_array({_NAMES}) FROM {SUMS} AS entry
 WHERE entry.kind = {{kind}} AND entry.name = {{keys}}.name AND entry.provider = {{keys}}.provider
 AND entry.start < mark ORDER BY entry.start DESC LIMIT 1)
"""


def kind_for(by: str, where: UsageFilter) -> str | None:
    """The kind of entries that know these keys; None when none does."""
    given = set(where.given)
    if "tag" in given and by == "tag":
        return None
    wanted = {*given, by} - {WHOLE}
    if wanted == {"model", "provider"}:
        return "model"
    if len(wanted) > 1:
        return None
    kind = next(iter(wanted), WHOLE)
    return kind if kind in KINDS else None


@lru_cache(maxsize=16)
def nearest(edges: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[Piece, ...]]:
    """For each instant the nearest end of a quarter, and the rows that must be added to what had come up to there."""
    marks = tuple([(edge + QUARTER_MS // 2) // QUARTER_MS * QUARTER_MS for edge in edges])
    parts = [
        Piece(number, 1 if mark < edge else -1, 0, min(mark, edge), max(mark, edge))
        for number, (mark, edge) in enumerate(zip(marks, edges, strict=True))
        if mark != edge
    ]
    return marks, tuple(parts)


def facts(
    by: str, spans: Sequence[Span], where: UsageFilter = ANYTHING, only: Sequence[str] | None = None
) -> tuple[str, list[Any]]:
    """SQL that yields (bucket, key, metrics…) rows whose sums are exact for each span, and its parameters. `only` of
    these keys alone, where no sums know them."""
    query = Facts()
    kind = kind_for(by, where)
    if kind is not None:
        _add_sums(query, kind, by, spans, where)
        return query.ended()
    known = days_know(by, where)
    parts = pieces(tuple(spans), DAY_STEPS if known else ())
    if any(part.step for part in parts):
        add_days(query, [part for part in parts if part.step], by, where)
    left = [part for part in parts if not part.step]
    if left or not query.sources:
        add_rows(query, left, by, where, only)
    return query.ended()


def _add_sums(query: Facts, kind: str, by: str, spans: Sequence[Span], where: UsageFilter) -> None:
    marked: list[tuple[int, int, int, int]] = []
    rows: list[Piece] = []
    for number, span in enumerate(spans):
        marks, parts = nearest(span)
        if marks[0] == marks[1]:
            rows.append(Piece(number, 1, 0, *span))
            continue
        marked += [(number, 1, marks[1], 0), (number, -1, marks[0], 0)]
        rows += [part._replace(span=number, sign=part.sign if part.span else -part.sign) for part in parts]
    if marked:
        keys = _add_keys(query, kind, where, None)
        marks_at = query.add_spans(marked)
        key = WHOLE_KEY if by == WHOLE else "entry.provider" if (by, kind) == ("provider", "model") else "entry.name"
        query.add(
            f"SELECT bucket, {key} AS key, {signed(METRICS)} FROM {marks_at} CROSS JOIN {keys}"
            f" CROSS JOIN {SUMS} AS entry WHERE entry.kind = '{kind}' AND entry.name = {keys}.name"
            f" AND entry.provider = {keys}.provider AND entry.start = (SELECT max(start) FROM {SUMS} AS last"
            f" WHERE last.kind = '{kind}' AND last.name = {keys}.name AND last.provider = {keys}.provider"
            " AND last.start < first)",
            (),
        )
    if rows or not marked:
        add_rows(query, rows, by, where)


def curves(by: str, edges: Sequence[int], where: UsageFilter, only: Sequence[str]) -> tuple[str, list[Any]]:
    """SQL that yields JSON rows of what had come up to each edge, and its parameters; None where nothing had.

    `[key, [[metrics…], …]]` for each entry that knows a key of `only`, and with a key of null for everything together;
    `[key, edge, [metrics…]]` for what has to be added there.
    """
    query = Facts()
    marks, parts = nearest(tuple(edges))
    query.add_table("marks AS MATERIALIZED (SELECT value AS mark FROM json_each(?))", [json.dumps(marks)])
    for of, chosen in ((by, only), (WHOLE, None)):
        kind = kind_for(of, where)
        assert kind is not None, "whoever knows a part of this knows the whole"
        keys = _add_keys(query, kind, where, chosen, of)
        key = "null" if of == WHOLE else f"{keys}.provider" if (of, kind) == ("provider", "model") else f"{keys}.name"
        cells = _AT_MARK.format(kind=f"'{kind}'", keys=keys)
        query.add(
            f"SELECT '[' || json_quote({key}) || ',[' || (SELECT group_concat(ifnull({cells}, 'null')) FROM marks)"
            f" || ']]' AS line FROM {keys}",
            (),
        )
        if parts:
            rows = Facts()
            add_rows(rows, parts, of, where, chosen)
            sql, bound = rows.ended()
            sums = ", ".join(f"sum({name})" for name in METRICS)
            query.add(
                f"SELECT json_array({'null' if of == WHOLE else 'key'}, bucket, json_array({sums})) FROM ({sql})"
                " GROUP BY bucket, key",
                bound,
            )
    return query.ended("SELECT '[' || ifnull(group_concat(line), '') || ']' FROM ({})")


def all_keys(kind: str) -> str:
    """SQL that yields (name, provider) of every key of a kind."""
    query = Facts()
    query.add(f"SELECT name, provider FROM {_add_keys(query, kind, ANYTHING, None)}", ())
    return query.ended()[0]


def _add_keys(query: Facts, kind: str, where: UsageFilter, only: Sequence[str] | None, by: str = WHOLE) -> str:
    """Names a table of the keys (name, provider) that are meant: every one is found by a look of its own."""
    name = f"keys_{len(query.tables)}"
    given = where.given
    if kind == WHOLE:
        query.add_table(f"{name} AS MATERIALIZED (SELECT '' AS name, '' AS provider)", ())
    elif kind != "model" and kind in given:
        query.add_table(f"{name} AS MATERIALIZED (SELECT ? AS name, '' AS provider)", [given[kind]])
    elif kind != "model" and only is not None:
        query.add_table(
            f"{name} AS MATERIALIZED (SELECT value AS name, '' AS provider FROM json_each(?))", [json.dumps(list(only))]
        )
    else:
        names = f"FROM {SUMS} WHERE kind = '{kind}'"
        query.add_table(
            f"names_of_{name} (name) AS (SELECT min(name) {names} UNION ALL"
            f" SELECT (SELECT min(name) {names} AND name > names_of_{name}.name) FROM names_of_{name}"
            " WHERE name IS NOT NULL)",
            (),
        )
        named = f"{names} AND name = {{0}}.name"
        query.add_table(
            f"all_{name} (name, provider) AS (SELECT name, (SELECT min(provider) {named.format(f'names_of_{name}')})"
            f" FROM names_of_{name} WHERE name IS NOT NULL UNION ALL"
            f" SELECT name, (SELECT min(provider) {named.format(f'all_{name}')} AND provider > all_{name}.provider)"
            f" FROM all_{name} WHERE provider IS NOT NULL)"
            if kind == "model"
            else f"all_{name} (name, provider) AS (SELECT name, '' FROM names_of_{name} WHERE name IS NOT NULL)",
            (),
        )
        conditions = "".join(
            f" AND {column} = ?" for column, key in (("name", "model"), ("provider", "provider")) if key in given
        )
        bound: list[Any] = [given[key] for key in ("model", "provider") if key in given]
        if only is not None:
            column = "provider" if by == "provider" else "name"
            conditions += f" AND {column} IN (SELECT value FROM json_each(?))"
            bound.append(json.dumps(list(only)))
        query.add_table(
            f"{name} AS MATERIALIZED (SELECT name, provider FROM all_{name} WHERE provider IS NOT NULL{conditions})",
            bound,
        )
    return name
