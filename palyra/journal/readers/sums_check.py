"""Whether the sums still say what the rows say, a stretch of time after another, so that memory holds little."""

from collections.abc import Sequence

from palyra.core.errors import BadInputError
from palyra.core.values import value
from palyra.core.windows import DAY_MS
from palyra.journal.readers.query import whole
from palyra.journal.readers.usage import UsageReaders
from palyra.journal.readers.usage_facts import (
    COLUMNS,
    DAYS,
    METRICS,
    OF_RUNS,
    OF_USAGE,
    REASON_STEPS,
    TAG_KEY,
    WHOLE_KEY,
    named,
)
from palyra.journal.readers.usage_sums import KINDS, QUARTER_MS, SUMS, all_keys
from palyra.journal.rows import SumsCheck

STRETCH_ROWS = 25_000
"""Rows of one table that a stretch takes in, unless its only step has more."""
EVER = (-(1 << 62), 1 << 62)
"""Before and after every instant that a row can have."""
MOST_TOLD = 1_000

_SOURCES = (("runs", "finished_at", OF_RUNS), ("usage", "at", OF_USAGE))


@value
class _Sums:
    """`facts` is SQL of (entry…, metrics…) rows of [?1, ?2): those of the rows, and those stored, taken off them."""

    name: str
    entry: str
    metrics: tuple[str, ...]
    facts: str

    @property
    def sql(self) -> str:
        wrong = " OR ".join(f"sum({metric}) <> 0" for metric in self.metrics)
        return (
            f"SELECT json_group_array(json_array('{self.name}', {self.entry})) FROM (SELECT {self.entry}"
            f" FROM ({self.facts}) GROUP BY {self.entry} HAVING {wrong} ORDER BY {self.entry} LIMIT {MOST_TOLD})"
        )


@value
class _Group:
    """What is looked at together, and the tables and times of its rows."""

    step: int
    times: tuple[tuple[str, str], ...]
    sums: tuple[_Sums, ...]


def _rows(keys: str, facts: Sequence[str], table: str, at: str, tags: str = "") -> str:
    return f"SELECT {keys}, {named(facts)} FROM {table}{tags} WHERE {at} >= ?1 AND {at} < ?2"


def facts_of_kind(kind: str) -> str:
    """SQL of what the rows of [?1, ?2) add to the sums of a kind of key: (start, name, provider, metrics…)."""
    name = TAG_KEY if kind == "tag" else COLUMNS.get(kind, WHOLE_KEY)
    provider = "provider" if kind == "model" else "''"
    tags = ", json_each(tags) AS each_tag" if kind == "tag" else ""
    return " UNION ALL ".join(
        _rows(f"{at} - {at} % {QUARTER_MS} AS start, {name} AS name, {provider} AS provider", facts, table, at, tags)
        for table, at, facts in _SOURCES
    )


def facts_of_days() -> str:
    """The same for the days of everybody: (day, principal, model, metrics…)."""
    return " UNION ALL ".join(
        _rows(f"{at} - {at} % {DAY_MS} AS day, principal, model", facts, table, at) for table, at, facts in _SOURCES
    )


def facts_of_reasons(step: int) -> str:
    """The same for the reasons of decisions by steps of so many ms: (start, reason, 1)."""
    return (
        f"SELECT at - at % {step} AS start, code.value AS reason, 1 AS decisions FROM decisions"
        " CROSS JOIN json_each(reason_codes) AS code WHERE at >= ?1 AND at < ?2"
    )


def _of_kind(kind: str) -> _Sums:
    real = facts_of_kind(kind)
    less = ", ".join(f"ifnull(before.{metric}, 0) - entry.{metric}" for metric in METRICS)
    key = f"{{0}}.kind = '{kind}' AND {{0}}.name = keys.name AND {{0}}.provider = keys.provider"
    return _Sums(
        f"{SUMS} {kind}".strip(),
        "start, name, provider",
        METRICS,
        f"{real} UNION ALL SELECT entry.start, entry.name, entry.provider, {less} FROM ({all_keys(kind)}) AS keys"
        f" CROSS JOIN {SUMS} AS entry ON {key.format('entry')} LEFT JOIN {SUMS} AS before ON {key.format('before')}"
        f" AND before.start = (SELECT max(start) FROM {SUMS} AS last WHERE {key.format('last')}"
        " AND last.start < entry.start) WHERE entry.start >= ?1 AND entry.start < ?2",
    )


def _of_days() -> _Sums:
    real = facts_of_days()
    return _Sums(
        DAYS,
        "day, principal, model",
        METRICS,
        f"{real} UNION ALL SELECT day, principal, model, {', '.join(f'-{metric}' for metric in METRICS)} FROM {DAYS}"
        " WHERE day >= ?1 AND day < ?2",
    )


def _of_reasons(step: int) -> _Sums:
    return _Sums(
        f"decision_reasons {step}",
        "start, reason",
        ("decisions",),
        f"{facts_of_reasons(step)} UNION ALL SELECT start, reason, -decisions FROM decision_reasons"
        f" WHERE step = {step} AND start >= ?1 AND start < ?2",
    )


_ROW_TIMES = tuple((table, at) for table, at, _ in _SOURCES)
_GROUPS = (
    _Group(QUARTER_MS, _ROW_TIMES, tuple(_of_kind(kind) for kind in KINDS)),
    _Group(DAY_MS, _ROW_TIMES, (_of_days(),)),
    _Group(DAY_MS, (("decisions", "at"),), tuple(_of_reasons(step) for step in REASON_STEPS)),
)


def first_cursors(since: int) -> list[tuple[str, str]]:
    """Where checks of what happened since an instant begin: (what cursors of a part begin with, its first cursor)."""
    return [(str(number), f"{number}.{since // group.step * group.step}") for number, group in enumerate(_GROUPS)]


class SumsReaders(UsageReaders):
    """Counts sums of usage again."""

    async def check_sums(self, cursor: str = "") -> SumsCheck:
        """The next stretch: every entry in it that is not the sum of its rows, as `what [start, keys…]`.

        Start without a cursor and go on with the answer's until that is empty; each stretch is read by itself, so
        writing goes on meanwhile. What is told by sums alone by now is passed over.

        Raises BadInputError for a cursor that no stretch gave.
        """
        number, since = _place(cursor) if cursor else (0, EVER[0])
        group = _GROUPS[number]
        since = max(since, await self._rows_since())
        until = await self._end_of_stretch(group, since)
        found: list[str] = []
        for sums in group.sums:
            found += await self._listed(sums.sql, lambda values: f"{values[0]} {values[1:]}", (since, until))
        (share,) = await self._listed(_share(group), lambda values: float(values[0]), (until,))
        done = until == EVER[1]
        following = f"{number}.{until}" if not done else f"{number + 1}.{EVER[0]}" if group is not _GROUPS[-1] else ""
        return SumsCheck(tuple(found), (number + (1.0 if done else share)) / len(_GROUPS), following)

    async def newest_cursors(self, rows: int) -> list[tuple[str, str]]:
        """As `first_cursors`, where only so many of the newest rows of each table are of interest; what is summed up
        together with them is checked too."""
        return [
            (str(number), f"{number}.{await self._newest_of(group, rows) // group.step * group.step}")
            for number, group in enumerate(_GROUPS)
        ]

    async def _newest_of(self, group: _Group, rows: int) -> int:
        """When the first of the newest rows was written; of tables with fewer, the whole time there is."""
        times = ", ".join(
            f"(SELECT {at} FROM {table} WHERE {at} IS NOT NULL ORDER BY {at} DESC LIMIT 1 OFFSET ?1)"
            for table, at in group.times
        )
        (found,) = await self._listed(f"SELECT json_array(json_array({times}))", tuple, (rows - 1,))
        return max((at for at in found if at is not None), default=EVER[0])

    async def rollup_differences(self) -> tuple[str, ...]:
        """All that `check_sums` finds. Reads all rows: for checks only."""
        found: list[str] = []
        check = await self.check_sums()
        found += check.differences
        while check.cursor and len(found) < MOST_TOLD:
            check = await self.check_sums(check.cursor)
            found += check.differences
        return tuple(found)

    async def _rows_since(self) -> int:
        """From where on there are all rows."""
        sql = "SELECT json_array(json_array((SELECT until FROM folded)))"
        (until,) = await self._listed(sql, lambda values: values[0])
        return EVER[0] if until is None else int(until)

    async def _end_of_stretch(self, group: _Group, since: int) -> int:
        """So far that no table has many more rows in between than it should."""
        ends = ", ".join(
            f"(SELECT {at} FROM {table} WHERE {at} >= ?1 ORDER BY {at} LIMIT 1 OFFSET {STRETCH_ROWS})"
            for table, at in group.times
        )
        (ends_at,) = await self._listed(f"SELECT json_array(json_array({ends}))", tuple, (since,))
        told = [at // group.step * group.step + group.step for at in ends_at if at is not None]
        return min(told, default=EVER[1])


def _share(group: _Group) -> str:
    """SQL of how much of the time from the first row to the last has passed at ?1."""
    firsts = ", ".join(f"(SELECT min({at}) FROM {table} WHERE {at} IS NOT NULL)" for table, at in group.times)
    lasts = ", ".join(f"(SELECT max({at}) FROM {table} WHERE {at} IS NOT NULL)" for table, at in group.times)
    return (
        "SELECT json_array(json_array(max(0.0, min(1.0, (?1 - first) * 1.0 / max(1, last - first)))))"
        f" FROM (SELECT ifnull(min(value), 0) AS first FROM json_each(json_array({firsts}))),"
        f" (SELECT ifnull(max(value), 0) AS last FROM json_each(json_array({lasts})))"
    )


def _place(cursor: str) -> tuple[int, int]:
    number, _, since = cursor.partition(".")
    try:
        place = whole(number), whole(since)
    except ValueError:
        place = (-1, 0)
    if not 0 <= place[0] < len(_GROUPS):
        raise BadInputError(f"{cursor!r} is no cursor of a check.", fix="Start again without one.") from None
    return place
