"""What a fake engine says of usage: a day or a month of made-up numbers, the same on every run."""

from palyra.control.snapshots import ForecastView
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
    UsageStep,
)

HOUR = 3_600_000
DAY = 24 * HOUR
CENT = 10_000_000
USD = 100 * CENT

NAMES = {
    "model": ("openai/gpt-5.4", "anthropic/claude-haiku-5", "openai/gpt-5.4-mini"),
    "provider": ("openai", "anthropic"),
    "user": ("agent-ci", "maria", "nightly"),
    "session": ("build-771", "thesis", "default:k1"),
    "key": ("ci-runner", "laptop"),
    "agent": ("coder", ""),
    "job": ("", "nightly-report"),
    "tag": ("team=blue", "team=red"),
}
ATTEMPTS = 450


def usage_answer(
    query: UsageQuery | InsightsQuery | UsageRowsQuery, now: int, *, used: bool, text: str
) -> UsageAnswer | InsightsAnswer | UsageRowsPage:
    match query:
        case UsageQuery():
            return _usage(query, now, used=used, text=text)
        case InsightsQuery():
            return _insights(query, now, used=used, text=text)
        case UsageRowsQuery():
            return _rows(query, used=used, text=text)


def _usage(query: UsageQuery, now: int, *, used: bool, text: str) -> UsageAnswer:
    until = now + 1 if query.until is None else query.until
    since = until - DAY if query.since is None else query.since
    step = HOUR if query.bucket == "hour" or (query.bucket != "day" and until - since <= 72 * HOUR) else DAY
    steps = []
    for number, start in enumerate(range(since - since % step, until, step)):
        weights = [(number * 7 + place * 5) % 11 * (3 - place) for place in range(1 if text else 3)]
        names = [text] if text else list(NAMES[query.by])
        shares: dict[str, list[UsageNumbers]] = {}
        for place, weight in enumerate(weights if used else []):
            shares.setdefault(names[place % len(names)], []).append(_numbers(weight))
        series = {name: _sum(parts) for name, parts in shares.items()}
        steps.append(UsageStep(start, start + step, _sum(list(series.values())), series))
    totals = {name: _sum([item.series[name] for item in steps]) for name in (steps[0].series if steps else ())}
    total = _sum([item.total for item in steps])
    entries = sorted(
        (_entry(name, numbers, total) for name, numbers in totals.items() if numbers.requests),
        key=lambda entry: -entry.numbers.cost_nano_usd,
    )
    shown = () if query.bucket == "none" else tuple(steps)
    bucket = "none" if query.bucket == "none" else "hour" if step == HOUR else "day"
    start = int(query.cursor or 0)
    kept = tuple(entries[start : start + query.limit])
    following = str(start + query.limit) if start + query.limit < len(entries) else ""
    median = 1_400 if used else None
    return UsageAnswer(since, until, query.by, bucket, query.timezone, total, shown, kept, following, median)


def _insights(query: InsightsQuery, now: int, *, used: bool, text: str) -> InsightsAnswer:
    mix = _usage(UsageQuery(query.since, query.until, bucket="hour"), now, used=used, text=text)
    reasons = {"cheapest_capable": 1_204, "budget_allowed_premium_model": 38, "unhealthy": 6} if used else {}
    if used and text:
        reasons = {text: 3}
    forecasts = (
        ForecastView("team-day", "*", "estimated_cost_usd", now + DAY // 2, 52 * USD, 45 * USD, now + 5 * HOUR),
        ForecastView(text or "month", "*", "estimated_cost_usd", now + 9 * DAY, 931 * USD, 1_200 * USD, None),
    )
    return InsightsAnswer(
        mix.since,
        mix.until,
        tuple(
            DecisionGlance(f"d{number}", f"r{number}", now - number * 1_000, "enforced", "ok", "proceed", "gpt-5.4", ())
            for number in range(query.limit)
        ),
        reasons,
        mix.breakdown,
        (),
        forecasts if used else (),
    )


def _rows(query: UsageRowsQuery, *, used: bool, text: str) -> UsageRowsPage:
    start = int(query.cursor or 0)
    count = ATTEMPTS if used else 0
    page = tuple(_record(number, query.since, text) for number in range(start, min(start + query.limit, count)))
    following = start + query.limit
    return UsageRowsPage(page, str(following) if following < count else "")


def _record(number: int, since: int, text: str) -> UsageRecord:
    return UsageRecord(
        at=since + number,
        run_id=f"r{number:03}",
        attempt=1,
        provider="openai",
        model=text or "openai/gpt-5.4",
        user=text or "maria",
        session="thesis",
        agent="",
        job="",
        key="laptop",
        channel="",
        tags={},
        input_tokens=1_000,
        cached_tokens=0,
        cache_write_tokens=0,
        output_tokens=100,
        reasoning_tokens=0,
        tool_uses=0,
        charge_nano_usd=131_250_001,
        price_state="known",
        usage_source="provider",
        flags=(),
        latency_ms=1_900,
    )


def _entry(name: str, numbers: UsageNumbers, total: UsageNumbers) -> UsageEntry:
    share = numbers.cost_nano_usd / total.cost_nano_usd if total.cost_nano_usd else 0.0
    return UsageEntry(name, numbers, share)


def _numbers(weight: int) -> UsageNumbers:
    return UsageNumbers(
        requests=weight * 4,
        ok=weight * 4,
        attempts=weight * 4,
        input_tokens=weight * 9_000,
        output_tokens=weight * 2_100,
        cost_nano_usd=weight * 131_250_001,
        average_latency_ms=1_900 if weight else 0,
        refused=weight // 9,
    )


def _sum(numbers: list[UsageNumbers]) -> UsageNumbers:
    requests = sum(item.requests for item in numbers)
    latency = sum(item.average_latency_ms * item.requests for item in numbers)
    return UsageNumbers(
        requests=requests,
        ok=sum(item.ok for item in numbers),
        attempts=sum(item.attempts for item in numbers),
        refused=sum(item.refused for item in numbers),
        input_tokens=sum(item.input_tokens for item in numbers),
        output_tokens=sum(item.output_tokens for item in numbers),
        cost_nano_usd=sum(item.cost_nano_usd for item in numbers),
        average_latency_ms=latency // requests if requests else 0,
    )
