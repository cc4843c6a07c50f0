"""What was used, from the journal: timelines, breakdowns, the runs and attempts behind them, and why."""

from dataclasses import replace

from palyra.control.queries import Answer, RunsPage
from palyra.control.snapshots import Snapshot
from palyra.control.usage_queries import (
    DecisionGlance,
    InsightsAnswer,
    InsightsQuery,
    UsageAnswer,
    UsageEntry,
    UsageNumbers,
    UsageQuery,
    UsageRecord,
    UsageRowsPage,
    UsageRowsQuery,
    UsageRunsQuery,
    UsageStep,
)
from palyra.control.views import run_view, usage_numbers
from palyra.core.clock import Clock
from palyra.core.errors import BadInputError
from palyra.core.windows import DAY_MS, FARTHEST_MS, HOUR_MS
from palyra.journal.readers import Readers
from palyra.journal.readers.usage import MAX_PERIOD_MS
from palyra.journal.rows import DecisionRow, UsageBucket, UsageRow, UsageSlice, UsageTotals

AUTO_HOURS_MS = 72 * HOUR_MS
"""Timelines up to this long are cut at hours, longer ones at days."""
DEFAULT_MS = 30 * DAY_MS
INSIGHT_MS = DAY_MS
SORTED_AT_MOST = 20_000
"""Attempts among which the middle one is looked for: more would have to be read for one number."""


class UsageRecords:
    """Errors: BadInputError, JournalUnavailableError."""

    def __init__(self, readers: Readers, clock: Clock) -> None:
        self._readers = readers
        self._clock = clock

    async def usage(self, query: UsageQuery) -> UsageAnswer:
        """Usage of a period. Raises BadInputError."""
        if query.bucket not in ("auto", "hour", "day", "none"):
            raise BadInputError(f"{query.bucket!r} is no bucket.", fix="Use hour, day, auto or none.")
        since, until = self._period(query.since, query.until, DEFAULT_MS)
        bucket = query.bucket
        if bucket == "auto":
            bucket = "hour" if until - since <= AUTO_HOURS_MS else "day"
        buckets: tuple[UsageBucket, ...] = ()
        where = query.where
        async with self._readers.at_one_moment() as readers:
            total = await readers.usage_totals(since, until, where=where)
            if bucket != "none":
                buckets = await readers.usage_timeline(
                    since, until, bucket=bucket, zone=query.timezone, by=query.by, where=where
                )
            page = await readers.usage_breakdown(
                since, until, query.by, limit=query.limit, cursor=query.cursor, where=where
            )
            median = None
            if total.attempts <= SORTED_AT_MOST:
                median = await readers.median_latency(since, until, total.attempts, where=where)
        return UsageAnswer(
            since=since,
            until=until,
            by=query.by,
            bucket=bucket,
            timezone=query.timezone,
            total=usage_numbers(total),
            timeline=tuple(_step(one) for one in buckets),
            breakdown=tuple(_entry(one, total) for one in page.entries),
            next_cursor=page.cursor,
            median_latency_ms=median,
        )

    async def runs(self, query: UsageRunsQuery) -> RunsPage:
        """A page of the runs behind a piece of usage. Raises BadInputError."""
        self._period(query.since, query.until, DEFAULT_MS)
        readers, since, until = self._readers, query.since, query.until
        page = await readers.usage_runs(
            since,
            until,
            where=query.where,
            terms=query.terms,
            cursor=query.cursor,
            limit=query.limit,
            upward=query.upward,
        )
        total = None
        if query.counted:
            total = await readers.count_usage_runs(since, until, where=query.where, terms=query.terms)
        return RunsPage(tuple(run_view(row) for row in page.runs), page.cursor, page.newer, total)

    async def rows(self, query: UsageRowsQuery) -> UsageRowsPage:
        """A page of settled attempts. Raises BadInputError."""
        self._period(query.since, query.until, DEFAULT_MS)
        page = await self._readers.usage_rows(
            query.since, query.until, where=query.where, cursor=query.cursor, limit=query.limit
        )
        return UsageRowsPage(tuple(_record(row) for row in page.rows), page.cursor)

    async def insights(self, query: InsightsQuery) -> InsightsAnswer:
        """Without what alarms now and where budgets are going, which the journal alone does not tell."""
        since, until = self._period(query.since, query.until, INSIGHT_MS)
        async with self._readers.at_one_moment() as readers:
            decisions = await readers.decisions(query.limit)
            reasons = await readers.decision_reasons(since, until)
            total = await readers.usage_totals(since, until)
            mix = await readers.usage_breakdown(since, until, "model")
        return InsightsAnswer(
            since=since,
            until=until,
            decisions=tuple(_glance(row) for row in decisions),
            reasons=reasons,
            mix=tuple(_entry(one, total) for one in mix.entries),
        )

    def _period(self, since: int | None, until: int | None, length: int) -> tuple[int, int]:
        """Raises BadInputError for one that ends before it starts, is longer than a year, or lies in no calendar."""
        end = self._clock.now_ms() + 1 if until is None else until
        if not 0 <= end <= FARTHEST_MS:
            raise BadInputError("A period ends within the years 1970 to 9998.", fix="Name another end.")
        start = end - length if since is None else since
        if end < start:
            raise BadInputError("A period cannot end before it starts.", fix="Swap its ends.")
        if end - start > MAX_PERIOD_MS:
            raise BadInputError("A period can be at most 366 days long.", fix="Ask for a shorter one.")
        return start, end


def with_present(answer: Answer, shot: Snapshot) -> Answer:
    """Insights together with what a snapshot with budgets tells of now; any other answer as it is."""
    if not isinstance(answer, InsightsAnswer):
        return answer
    forecasts = tuple(view.forecast for view in shot.budgets if view.forecast is not None)
    return replace(answer, alerts=shot.alerts, forecasts=forecasts)


def _step(bucket: UsageBucket) -> UsageStep:
    series = {key: usage_numbers(totals) for key, totals in bucket.series.items()}
    return UsageStep(bucket.start, bucket.end, usage_numbers(bucket.total), series)


def _entry(item: UsageSlice, whole: UsageTotals) -> UsageEntry:
    numbers = usage_numbers(item.totals)
    return UsageEntry(item.key, numbers, _share(numbers, usage_numbers(whole)))


def _share(part: UsageNumbers, whole: UsageNumbers) -> float:
    """Of cost, or of tokens where nothing cost anything."""
    if whole.cost_nano_usd:
        return part.cost_nano_usd / whole.cost_nano_usd
    return part.total_tokens / whole.total_tokens if whole.total_tokens else 0.0


def _record(row: UsageRow) -> UsageRecord:
    scope = row.scope
    return UsageRecord(
        at=row.at,
        run_id=row.run_id,
        attempt=row.attempt,
        provider=row.provider,
        model=row.model,
        user=scope.principal,
        session=scope.session,
        agent=scope.agent,
        job=scope.job,
        key=scope.key_id,
        channel=scope.channel,
        tags=dict(scope.tags),
        input_tokens=row.input_total,
        cached_tokens=row.cache_read,
        cache_write_tokens=row.write_5m + row.write_1h,
        output_tokens=row.output_total,
        reasoning_tokens=row.reasoning,
        tool_uses=row.tool_uses,
        charge_nano_usd=row.charge,
        price_state=row.price_state,
        usage_source=row.usage_source,
        flags=row.flags,
        latency_ms=row.latency_ms,
        correction=bool(row.corrects),
    )


def _glance(row: DecisionRow) -> DecisionGlance:
    model = str(row.body.get("actual_model") or row.body.get("requested_model") or "")
    return DecisionGlance(
        row.decision_id, row.run_id, row.at, row.mode, row.outcome, row.action, model, row.reason_codes
    )
