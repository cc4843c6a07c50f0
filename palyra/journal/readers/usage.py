"""What was used and what it cost: totals, timelines, breakdowns, single rows, and samples to learn from.

Every sum is exact, whatever the period, the zone and the key: `usage_sums` says where it comes from.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from itertools import pairwise
from operator import add, sub
from typing import Any, TypeVar

from palyra.core.errors import BadInputError
from palyra.core.terms import Term
from palyra.core.usage_filter import ANYTHING, UsageFilter
from palyra.core.windows import DAY_MS, Interval, window_for
from palyra.journal.readers.matching import matching
from palyra.journal.readers.query import CHUNK, whole
from palyra.journal.readers.run_pages import FIELDS, RunPages, Turn
from palyra.journal.readers.usage_facts import (
    MANY,
    METRICS,
    WHOLE,
    Span,
    check_key,
    conditions_of,
    leading_keys,
    reason_facts,
)
from palyra.journal.readers.usage_sums import all_keys, curves, facts, kind_for
from palyra.journal.rows import (
    RunPage,
    UsageBucket,
    UsagePage,
    UsageRow,
    UsageRowPage,
    UsageSample,
    UsageSlice,
    UsageTotals,
)
from palyra.journal.tables import USAGE, usage_row

R = TypeVar("R")

MAX_PERIOD_MS = 366 * DAY_MS + DAY_MS
"""A year of local days, which may be an hour longer than a year of UTC days."""
MAX_ENTRIES = 50
"""Entries on a page of a breakdown."""
LEADING_MOST = 500
"""Keys that are looked up by themselves; where more come to the same, all are read."""
MAX_SERIES = 12
"""Series that a timeline tells apart: the dearest."""
MAX_ROWS = 1_000

_FIRST = (-(2**62), 0)
"""Before any place of a breakdown."""
_SUMS = ", ".join(f"sum({name}) AS {name}" for name in METRICS)
_NAMES = ", ".join(METRICS)
_SOMETHING = " OR ".join(f"sum({name}) <> 0" for name in METRICS)
"""What is added and taken off again leaves an entry of nothing."""


class UsageReaders(RunPages):
    """Reads usage."""

    async def usage_of_run(self, run_id: str) -> tuple[UsageRow, ...]:
        """In the order of the attempts."""
        return await self._rows(USAGE, usage_row, "WHERE run_id = ? ORDER BY attempt, seq LIMIT 1000", (run_id,))

    async def usage_totals(
        self, since: int, until: int, *, principal: str = "", where: UsageFilter = ANYTHING
    ) -> UsageTotals:
        """Sums over [since, until). Runs count when they end, tokens and cost when an attempt settles."""
        return (await self._totals([(since, until)], _of(principal, where)))[0]

    async def spent_on_day(self, at: int, zone: str) -> int:
        """Nano-dollars charged on the local day of a zone that an instant (unix ms) lies in; what nobody can price is
        not in it. Raises BadInputError for an unknown zone."""
        try:
            day = window_for(Interval.DAILY, zone, at)
        except ValueError as error:
            raise BadInputError(f"{error}.") from error
        return (await self.usage_totals(day.start, day.end or at + 1)).cost

    async def usage_timeline(
        self,
        since: int,
        until: int,
        *,
        bucket: str = "hour",
        zone: str = "UTC",
        by: str = "model",
        principal: str = "",
        where: UsageFilter = ANYTHING,
    ) -> tuple[UsageBucket, ...]:
        """[since, until) cut at the hours or the days of an IANA zone, a series per key; no bucket is left out.

        The first and the last bucket may be parts. The dearest `MAX_SERIES` keys of the whole period are told apart.
        Raises BadInputError for another bucket or key, an unknown zone, or a period that ends before it starts or is
        longer than a year.
        """
        check_key(by)
        _check_period(since, until)
        if bucket not in ("hour", "day"):
            raise BadInputError(f"{bucket!r} is no bucket of a timeline.", fix="Use hour or day.")
        where = _of(principal, where)
        edges = _cuts(since, until, Interval.HOURLY if bucket == "hour" else Interval.DAILY, zone)
        if not edges:
            return ()
        if kind_for(by, where) is not None:
            return await self._drawn(edges, by, where)
        spans = list(pairwise(edges))
        series, others = await self._series(spans, by, where)
        if by == "tag":
            totals = await self._totals(spans, where)
        else:
            totals = [_sum([*found.values(), other]) for found, other in zip(series, others, strict=True)]
        return tuple(
            UsageBucket(start, end, total, found)
            for (start, end), total, found in zip(spans, totals, series, strict=True)
        )

    async def usage_breakdown(
        self,
        since: int,
        until: int,
        by: str = "model",
        *,
        limit: int = 10,
        cursor: str = "",
        where: UsageFilter = ANYTHING,
    ) -> UsagePage:
        """The dearest entries of [since, until), at most `limit` (50), by model, provider, user, session, agent, job,
        key, channel or tag; `cursor` comes from the page before.

        A tag's entry is `name=value`; work with several tags counts in each. Raises BadInputError for another `by` and
        for a cursor that no page gave.
        """
        check_key(by)
        limit = max(1, min(limit, MAX_ENTRIES))
        only = None
        if by == MANY:
            only = await self._leading(by, since, until, where, limit + 1, _place(cursor)[:2] if cursor else _FIRST)
        sql, parameters = facts(by, [(since, until)], where, only)
        after = "WHERE (-cost, -attempts, -runs, key) > (?, ?, ?, ?)" if cursor else ""
        found = await self._listed(
            f"SELECT json_group_array(json_array(key, {_NAMES})) FROM (SELECT * FROM ("
            f" SELECT key, {_SUMS} FROM ({sql}) GROUP BY key HAVING {_SOMETHING})"
            f" {after} ORDER BY cost DESC, attempts DESC, runs DESC, key LIMIT ?)",
            lambda values: UsageSlice(values[0], UsageTotals._make(values[1:])),
            (*parameters, *(_place(cursor) if cursor else ()), limit + 1),
        )
        page = found[:limit]
        following = ""
        if len(found) > limit:
            last = page[-1].totals
            following = json.dumps([-last.cost, -last.attempts, -last.runs, page[-1].key])
        return UsagePage(page, following)

    async def median_latency(self, since: int, until: int, attempts: int, *, where: UsageFilter = ANYTHING) -> int:
        """The lower median of the latency (ms) of the `attempts` attempts that settled in [since, until); 0 for none.

        Reads every one of them.
        """
        conditions, bound = conditions_of(where)
        found = await self._listed(
            "SELECT json_group_array(json_array(latency_ms)) FROM (SELECT latency_ms FROM usage"
            f" WHERE at >= ? AND at < ? AND corrects IS NULL{conditions} ORDER BY latency_ms LIMIT 1 OFFSET ?)",
            lambda values: int(values[0]),
            (since, until, *bound, max(0, attempts - 1) // 2),
        )
        return found[0] if found else 0

    async def usage_runs(
        self,
        since: int,
        until: int,
        *,
        where: UsageFilter = ANYTHING,
        terms: Sequence[Term] = (),
        cursor: str = "",
        limit: int = 50,
        upward: bool = False,
    ) -> RunPage:
        """The runs that ended in [since, until), the last first: those that its numbers count. At most 500 a page;
        `terms` and `upward` as for `runs`."""
        conditions, parameters = _ended(since, until, where, terms)
        return await self._page_of_runs("finished_at", conditions, parameters, Turn(cursor, limit, upward))

    async def count_usage_runs(
        self, since: int, until: int, *, where: UsageFilter = ANYTHING, terms: Sequence[Term] = ()
    ) -> int:
        """How many of them there are."""
        return await self._count_of_runs(*_ended(since, until, where, terms))

    async def usage_rows(
        self, since: int, until: int, *, where: UsageFilter = ANYTHING, cursor: str = "", limit: int = MAX_ROWS
    ) -> UsageRowPage:
        """The attempts that settled in [since, until), the first first, at most 1000 a page."""
        conditions, bound = conditions_of(where)
        rows, following = await self._paged(
            f"SELECT json_group_array(json_array(at, seq, {USAGE.array()})) FROM (SELECT * FROM usage"
            f" WHERE at >= ? AND at < ?{conditions}{' AND (at, seq) > (?, ?)' if cursor else ''}"
            " ORDER BY at, seq LIMIT ?)",
            usage_row,
            (since, until, *bound),
            cursor,
            max(1, min(limit, MAX_ROWS)),
        )
        return UsageRowPage(rows, following)

    async def decision_reasons(self, since: int, until: int) -> dict[str, int]:
        """How many decisions of [since, until) gave each reason, the most frequent first."""
        sql, parameters = reason_facts(since, until)
        found = await self._listed(
            "SELECT json_group_array(json_array(reason, decisions)) FROM ("
            f" SELECT reason, sum(decisions) AS decisions FROM ({sql})"
            " GROUP BY reason HAVING sum(decisions) <> 0 ORDER BY decisions DESC, reason LIMIT -1)",
            lambda values: (str(values[0]), int(values[1])),
            parameters,
        )
        return dict(found)

    async def samples(self, newest: int = 10_000) -> AsyncIterator[tuple[UsageSample, ...]]:
        """The `newest` attempts of each provider and model that ever settled, oldest first, in chunks; the model used
        last comes last."""
        models = await self._listed(_USED_MODELS, tuple)
        for provider, model in models:
            (last,) = await self._listed(_BEFORE_NEWEST, lambda values: int(values[0]), (provider, model, newest))
            while found := await self._listed(
                _SAMPLES, lambda values: (values[0], _sample(values[1])), (provider, model, last)
            ):
                yield tuple([sample for _, sample in found])
                last = found[-1][0]

    async def _leading(
        self, by: str, since: int, until: int, where: UsageFilter, most: int, place: Sequence[int]
    ) -> Sequence[str] | None:
        """The keys among which the dearest from a place on are; None where nothing short of all of them tells."""
        sql, bound = leading_keys(by, since, until, where, most)
        found = await self._listed(
            f"SELECT json_group_array(json_array(key, cost, attempts)) FROM ({sql} LIMIT {LEADING_MOST + 1})",
            tuple,
            (*bound, *place, *place),
        )
        # Who has only runs comes after all who have an attempt or a cost.
        dear = [(cost, attempts) for _, cost, attempts in found]
        return [key for key, *_ in found] if dear and min(dear) > (0, 0) and len(dear) <= LEADING_MOST else None

    async def _totals(self, spans: Sequence[Span], where: UsageFilter) -> list[UsageTotals]:
        """Of each span, everything together."""
        sql, parameters = facts(WHOLE, spans, where)
        found = await self._listed(
            f"SELECT json_group_array(json_array(bucket, {_NAMES})) FROM ("
            f" SELECT bucket, {_SUMS} FROM ({sql}) GROUP BY bucket LIMIT -1)",
            lambda values: (values[0], UsageTotals._make(values[1:])),
            parameters,
        )
        totals = [UsageTotals()] * len(spans)
        for index, numbers in found:
            totals[index] = numbers
        return totals

    async def _drawn(self, edges: Sequence[int], by: str, where: UsageFilter) -> tuple[UsageBucket, ...]:
        """A timeline out of running sums. Of many keys a few are shown: which is asked first, and no other is read."""
        dearest = await self.usage_breakdown(edges[0], edges[-1], by, limit=MAX_SERIES, where=where)
        sql, parameters = curves(by, edges, where, [entry.key for entry in dearest.entries])
        drawn = await self._listed(sql, _curve, parameters)
        come_up: dict[str | None, list[Sums]] = {}
        for key, at, totals in drawn:
            if at == 0 and key not in come_up and len(totals) == len(edges):
                come_up[key] = totals
            else:
                sums = come_up.setdefault(key, [_NOTHING] * len(edges))
                sums[at : at + len(totals)] = map(_add, sums[at:], totals)
        whole = come_up.get(None, [_NOTHING] * len(edges))
        steps = {key: map(_less, sums[1:], sums) for key, sums in come_up.items() if key is not None}
        return tuple(
            UsageBucket(start, end, total, {key: part for key in steps if any(part := next(steps[key]))})
            for (start, end), total in zip(pairwise(edges), map(_less, whole[1:], whole), strict=True)
        )

    async def _series(
        self, spans: Sequence[Span], by: str, where: UsageFilter
    ) -> tuple[list[dict[str, UsageTotals]], list[UsageTotals]]:
        """The dearest keys in each span, and all others of it together."""
        sql, parameters = facts(by, spans, where)
        found = await self._listed(
            f"WITH cells AS MATERIALIZED (SELECT bucket, key, {_SUMS} FROM ({sql}) GROUP BY bucket, key"
            f" HAVING {_SOMETHING}),"
            " dearest AS MATERIALIZED (SELECT key FROM cells GROUP BY key"
            f" ORDER BY sum(cost) DESC, sum(attempts) DESC, sum(runs) DESC, key LIMIT {MAX_SERIES})"
            f" SELECT json_group_array(json_array(bucket, key, {_NAMES})) FROM ("
            f" SELECT bucket, key, {_NAMES} FROM cells WHERE key IN dearest UNION ALL"
            f" SELECT bucket, NULL, {_SUMS} FROM cells WHERE key NOT IN dearest GROUP BY bucket LIMIT -1)",
            lambda values: (values[0], values[1], UsageTotals._make(values[2:])),
            parameters,
        )
        series: list[dict[str, UsageTotals]] = [{} for _ in spans]
        others = [UsageTotals()] * len(spans)
        for index, name, totals in found:
            if name is None:
                others[index] = totals
            else:
                series[index][name] = totals
        return series, others

    async def _paged(
        self, sql: str, decode: Callable[[list[Any]], R], parameters: Sequence[Any], cursor: str, limit: int
    ) -> tuple[tuple[R, ...], str]:
        """A page of what `sql` yields as [time, seq, row], and the cursor of the next."""
        place = _row_place(cursor) if cursor else ()
        found = await self._listed(
            sql, lambda values: (values[0], values[1], decode(values[2])), (*parameters, *place, limit + 1)
        )
        page = found[:limit]
        following = f"{page[-1][0]}.{page[-1][1]}" if len(found) > limit else ""
        return tuple(row for _, _, row in page), following


def _ended(since: int, until: int, where: UsageFilter, terms: Sequence[Term]) -> tuple[list[str], list[int | str]]:
    conditions, bound = conditions_of(where)
    matched, patterns = matching(terms, FIELDS)
    return [f"finished_at >= ? AND finished_at < ?{conditions}", *matched], [since, until, *bound, *patterns]


def _of(principal: str, where: UsageFilter) -> UsageFilter:
    return replace(where, user=principal) if principal else where


_NOTHING = UsageTotals()
Sums = Sequence[int]


def _curve(values: list[Any]) -> tuple[str | None, int, list[Sums]]:
    """Of a key (None: everything together) what had come up to the edges from the given one on."""
    key, *rest = values
    if len(rest) == 2:
        return key, rest[0], [rest[1]]
    return key, 0, [_NOTHING if sums is None else sums for sums in rest[0]]


def _add(one: Sums, other: Sums) -> Sums:
    return [*map(add, one, other)]


def _less(one: Sums, other: Sums) -> UsageTotals:
    return UsageTotals._make(map(sub, one, other))


def _sum(parts: Iterable[UsageTotals]) -> UsageTotals:
    return UsageTotals._make(map(sum, zip(*parts, strict=True)))


def _place(cursor: str) -> tuple[Any, ...]:
    try:
        cost, attempts, runs, key = json.loads(cursor)
        return whole(cost), whole(attempts), whole(runs), str(key)
    except (ValueError, TypeError, RecursionError):
        raise BadInputError(f"{cursor!r} is no cursor of a breakdown.", fix="Start again without one.") from None


def _row_place(cursor: str) -> tuple[int, int]:
    at, _, seq = cursor.partition(".")
    try:
        return whole(at), whole(seq)
    except ValueError:
        raise BadInputError(f"{cursor!r} is no cursor of a page.", fix="Start again without one.") from None


def _check_period(since: int, until: int) -> None:
    if until < since:
        raise BadInputError("A period cannot end before it starts.", fix="Swap its ends.")
    if until - since > MAX_PERIOD_MS:
        raise BadInputError("A period can be at most 366 days long.", fix="Ask for a shorter one.")


@lru_cache(maxsize=16)
def _cuts(since: int, until: int, interval: Interval, zone: str) -> tuple[int, ...]:
    """Where a period is cut; a screen asks for the same one again and again."""
    cuts = [since] if since < until else []
    try:
        while cuts and cuts[-1] < until:
            end = window_for(interval, zone, cuts[-1]).end
            cuts.append(min(until, end) if end is not None else until)
    except ValueError as error:
        said = str(error)
        raise BadInputError(said if said.endswith("?") else f"{said}.") from error
    return tuple(cuts)


_SAMPLE = [field.name for field in fields(UsageSample)]
_FLAGS, _STREAMING = _SAMPLE.index("flags"), _SAMPLE.index("streaming")
_SAMPLES = f"""
SELECT json_group_array(json_array(seq, json_array({", ".join(_SAMPLE).replace("flags", "json(flags)")})))
FROM (
  SELECT usage.*, ifnull(holds.expected_input, 0) AS expected_input, ifnull(runs.input_bytes, 0) AS input_bytes,
    ifnull(runs.streaming, 0) AS streaming, ifnull(holds.overrun, 0) AS overrun
  FROM usage LEFT JOIN holds ON holds.hold_id = usage.hold_id LEFT JOIN runs ON runs.run_id = usage.run_id
  WHERE usage.provider = ? AND usage.model = ? AND usage.seq > ? AND usage.corrects IS NULL
  ORDER BY usage.seq LIMIT {CHUNK}
)
"""
_USED_MODELS = f"""
SELECT json_group_array(json_array(provider, model)) FROM (
  SELECT provider, model
  FROM (SELECT provider, name AS model FROM ({all_keys("model")})) AS used
  ORDER BY (SELECT max(seq) FROM usage WHERE usage.provider = used.provider AND usage.model = used.model) LIMIT -1
)
"""
_BEFORE_NEWEST = """
SELECT json_array(json_array(ifnull(min(seq), 0) - 1)) FROM
  (SELECT seq FROM usage WHERE provider = ? AND model = ? ORDER BY seq DESC LIMIT ?)
"""


def _sample(values: list[Any]) -> UsageSample:
    """Many are read at a start: they are made by place."""
    values[_FLAGS] = tuple(values[_FLAGS])
    values[_STREAMING] = bool(values[_STREAMING])
    return UsageSample(*values)
