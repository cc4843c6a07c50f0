"""What was used and what it cost: totals, timelines, breakdowns, single rows, and samples to learn from.

Whole UTC hours and days come from the roll-ups, the parts of an hour or day at the ends of a period from the rows
themselves, so every sum is exact whatever the period.
"""

import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

from palyra.core.errors import BadInputError
from palyra.core.windows import DAY_MS, HOUR_MS, Interval, window_for
from palyra.journal.readers.query import CHUNK, Query
from palyra.journal.rows import UsageBucket, UsageRow, UsageSample, UsageSlice, UsageTotals
from palyra.journal.tables import USAGE, usage_row

MAX_PERIOD_MS = 366 * DAY_MS + DAY_MS
"""A year of local days, which may be an hour longer than a year of UTC days."""
MAX_ENTRIES = 500

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
_SUMS = ", ".join(f"sum({name}) AS {name}" for name in METRICS)


@dataclass(frozen=True, slots=True)
class _RollUp:
    """A roll-up table, the column and length of its periods, and its keys among the columns of runs and usage."""

    table: str
    period: str
    length: int


_HOURS = _RollUp("usage_hours", "hour", HOUR_MS)
_PRINCIPAL_DAYS = _RollUp("principal_days", "day", DAY_MS)
_DAYS = _RollUp("usage_days", "day", DAY_MS)

_BREAKDOWNS: dict[str, tuple[_RollUp | None, str]] = {
    "model": (_HOURS, "model"),
    "provider": (_HOURS, "provider"),
    "user": (_PRINCIPAL_DAYS, "principal"),
    "session": (None, "session"),
    "agent": (None, "agent"),
    "job": (None, "job"),
    "key": (None, "key_id"),
    "channel": (None, "channel"),
}
BREAKDOWNS = (*_BREAKDOWNS, "tag")


class UsageReaders(Query):
    async def usage_of_run(self, run_id: str) -> tuple[UsageRow, ...]:
        """In the order of the attempts."""
        return await self._rows(USAGE, usage_row, "WHERE run_id = ? ORDER BY attempt, seq LIMIT 1000", (run_id,))

    async def usage_totals(self, since: int, until: int, *, principal: str = "") -> UsageTotals:
        """Sums over [since, until). Runs count when they end, tokens and cost when an attempt settles."""
        buckets = await self._bucketed([(since, until)], "''", principal)
        return buckets[0].get("", UsageTotals())

    async def usage_timeline(
        self, since: int, until: int, *, bucket: str = "hour", zone: str = "UTC", principal: str = ""
    ) -> tuple[UsageBucket, ...]:
        """[since, until) cut at UTC hours or at the days of an IANA zone, a series per model; nothing is left out.

        The first and the last bucket may be parts. Raises BadInputError for another bucket, an unknown zone, or a
        period that ends before it starts or is longer than a year.
        """
        _check_period(since, until)
        if bucket == "hour":
            cuts = _hour_cuts(since, until)
        elif bucket == "day":
            cuts = _day_cuts(since, until, zone)
        else:
            raise BadInputError(f"{bucket!r} is no bucket of a timeline.", fix="Use hour or day.")
        spans = list(pairwise(cuts))
        series = await self._bucketed(spans, "model", principal)
        return tuple(UsageBucket(start, end, found) for (start, end), found in zip(spans, series, strict=True))

    async def usage_breakdown(
        self, since: int, until: int, by: str = "model", *, limit: int = 10, offset: int = 0
    ) -> tuple[UsageSlice, ...]:
        """The dearest entries of [since, until) by model, provider, user, session, agent, job, key, channel or tag.

        A tag's entry is `name=value`; work with several tags counts in each. Raises BadInputError for another `by`.
        """
        if by not in BREAKDOWNS:
            raise BadInputError(f"{by!r} is no breakdown of usage.", fix=f"Use one of: {', '.join(BREAKDOWNS)}.")
        page = (max(1, min(limit, MAX_ENTRIES)), max(0, offset))
        if by == "tag":
            sql, parameters = _tag_facts(), (since, until, since, until)
        else:
            roll_up, column = _BREAKDOWNS[by]
            sql, parameters = _facts(roll_up, column, [(since, until)])
        return await self._listed(
            f"SELECT json_group_array(json_array(key, {', '.join(METRICS)})) FROM ("
            f" SELECT key, {_SUMS} FROM ({sql})"
            " GROUP BY key ORDER BY cost DESC, attempts DESC, runs DESC, key LIMIT ? OFFSET ?)",
            lambda values: UsageSlice(values[0], UsageTotals(*values[1:])),
            (*parameters, *page),
        )

    async def samples(self, newest: int = 10_000) -> AsyncIterator[tuple[UsageSample, ...]]:
        """The `newest` attempts of each provider and model that ever settled, oldest first, in chunks."""
        models = await self._listed(
            "SELECT json_group_array(json_array(provider, model)) FROM"
            " (SELECT DISTINCT provider, model FROM usage_hours WHERE attempts > 0 LIMIT -1)",
            tuple,
        )
        for provider, model in models:
            (last,) = await self._listed(_BEFORE_NEWEST, lambda values: int(values[0]), (provider, model, newest))
            while found := await self._listed(
                _SAMPLES, lambda values: (values[0], _sample(values[1])), (provider, model, last)
            ):
                yield tuple([sample for _, sample in found])
                last = found[-1][0]

    async def _bucketed(
        self, spans: Sequence[tuple[int, int]], key: str, principal: str
    ) -> list[dict[str, UsageTotals]]:
        sql, parameters = _facts(_DAYS if principal else _HOURS, key, spans, principal)
        found = await self._listed(
            f"SELECT json_group_array(json_array(bucket, key, {', '.join(METRICS)})) FROM ("
            f" SELECT bucket, key, {_SUMS} FROM ({sql})"
            " GROUP BY bucket, key ORDER BY bucket, key LIMIT -1)",
            lambda values: (values[0], values[1], UsageTotals(*values[2:])),
            parameters,
        )
        buckets: list[dict[str, UsageTotals]] = [{} for _ in spans]
        for index, name, totals in found:
            buckets[index][name] = totals
        return buckets


def _facts(
    roll_up: _RollUp | None, key: str, spans: Sequence[tuple[int, int]], principal: str = ""
) -> tuple[str, tuple[Any, ...]]:
    """SQL that yields (bucket, key, metrics…) rows whose sums are exact for each span, and its parameters."""
    whole, parts = _split(spans, roll_up.length if roll_up else 0)
    of_one = "AND principal = ?" if principal else ""
    one = (principal,) if principal else ()
    sources: list[str] = []
    parameters: list[Any] = []
    if roll_up is not None and whole:
        sources.append(
            f"SELECT span.value ->> 0 AS bucket, {key} AS key, {', '.join(METRICS)} FROM json_each(?) AS span"
            f" CROSS JOIN {roll_up.table} WHERE {roll_up.period} >= span.value ->> 1"
            f" AND {roll_up.period} < span.value ->> 2 {of_one}"
        )
        parameters += (json.dumps(whole), *one)
    for table, at, facts in (("runs", "finished_at", OF_RUNS), ("usage", "at", OF_USAGE)):
        sources.append(
            f"SELECT span.value ->> 0 AS bucket, {key} AS key, {named(facts)} FROM json_each(?) AS span"
            f" CROSS JOIN {table} WHERE {at} >= span.value ->> 1 AND {at} < span.value ->> 2 {of_one}"
        )
        parameters += (json.dumps(parts), *one)
    return " UNION ALL ".join(sources), tuple(parameters)


def _tag_facts() -> str:
    return " UNION ALL ".join(
        f"SELECT tag.key || '=' || tag.value AS key, {named(facts)} FROM {table}, json_each(tags) AS tag"
        f" WHERE {at} >= ? AND {at} < ?"
        for table, at, facts in (("runs", "finished_at", OF_RUNS), ("usage", "usage.at", OF_USAGE))
    )


def named(facts: Iterable[str]) -> str:
    return ", ".join(f"{fact} AS {name}" for fact, name in zip(facts, METRICS, strict=True))


def _split(spans: Sequence[tuple[int, int]], length: int) -> tuple[list[list[int]], list[list[int]]]:
    """Spans as [index, start, end]: those made of whole periods of `length`, and what is left at the ends."""
    whole: list[list[int]] = []
    parts: list[list[int]] = []
    for index, (start, end) in enumerate(spans):
        first, last = (-(-start // length) * length, end // length * length) if length else (end, end)
        if first < last:
            whole.append([index, first, last])
            parts += [[index, a, b] for a, b in ((start, first), (last, end)) if a < b]
        elif start < end:
            parts.append([index, start, end])
    return whole, parts


def _check_period(since: int, until: int) -> None:
    if until < since:
        raise BadInputError("A period cannot end before it starts.", fix="Swap its ends.")
    if until - since > MAX_PERIOD_MS:
        raise BadInputError("A period can be at most 366 days long.", fix="Ask for a shorter one.")


def _hour_cuts(since: int, until: int) -> list[int]:
    first = since // HOUR_MS * HOUR_MS + HOUR_MS
    return [since, *range(first, until, HOUR_MS), until] if since < until else []


def _day_cuts(since: int, until: int, zone: str) -> list[int]:
    cuts = [since] if since < until else []
    try:
        while cuts and cuts[-1] < until:
            end = window_for(Interval.DAILY, zone, cuts[-1]).end
            cuts.append(min(until, end) if end is not None else until)
    except ValueError as error:
        raise BadInputError(f"{error}.") from error
    return cuts


_SAMPLE = [field.name for field in fields(UsageSample)]
_SAMPLES = f"""
SELECT json_group_array(json_array(seq, json_array({", ".join(_SAMPLE).replace("flags", "json(flags)")})))
FROM (
  SELECT usage.*, ifnull(holds.expected_input, 0) AS expected_input, ifnull(runs.input_bytes, 0) AS input_bytes,
    ifnull(runs.streaming, 0) AS streaming, ifnull(holds.overrun, 0) AS overrun
  FROM usage LEFT JOIN holds ON holds.hold_id = usage.hold_id LEFT JOIN runs ON runs.run_id = usage.run_id
  WHERE usage.provider = ? AND usage.model = ? AND usage.seq > ? ORDER BY usage.seq LIMIT {CHUNK}
)
"""
_BEFORE_NEWEST = """
SELECT json_array(json_array(ifnull(min(seq), 0) - 1)) FROM
  (SELECT seq FROM usage WHERE provider = ? AND model = ? ORDER BY seq DESC LIMIT ?)
"""


def _sample(values: list[Any]) -> UsageSample:
    record = dict(zip(_SAMPLE, values, strict=True))
    record["flags"] = tuple(record["flags"])
    record["streaming"] = bool(record["streaming"])
    return UsageSample(**record)
