"""Which jobs there are, for how long, and how much goes wrong meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from palyra.core.windows import DAY_MS, HOUR_MS
from palyra.journal.job_rows import JobRow
from palyra.scheduler.zone_changes import rules_version
from tests.scheduler.rows import T0, a_job

YEAR_MS = 1461 * DAY_MS // 4


@dataclass(frozen=True)
class Plan:
    """`quiet_s`: seconds between two acts of people or of fate, on average; `mishap`: how probable one is while an
    attempt is under way; `commits`: between two deaths, on average; `offs`: how long the engine is off then."""

    jobs: Sequence[JobRow]
    until: int
    quiet_s: float
    mishap: float
    commits: float
    offs: Sequence[float]
    leaps: Sequence[float]
    """Seconds by which a wall clock jumps, or a machine sleeps."""


def cron(name: str, expression: str, zone: str = "UTC", **rules: Any) -> JobRow:
    return job(name, "cron", expression, timezone=zone, **rules)


def job(name: str, schedule: str, expression: str, **rules: Any) -> JobRow:
    return a_job(name, schedule=schedule, expression=expression, zone_rules=rules_version(), **rules)


def task(name: str, expression: str, zone: str = "UTC", **rules: Any) -> JobRow:
    return cron(name, expression, zone, action="task", work={"task": "summary", "input": "the day"}, **rules)


def upkeep(name: str, expression: str, **rules: Any) -> JobRow:
    return cron(name, expression, action="maintenance", work={"maintenance": "health_check"}, **rules)


TWICE: dict[str, Any] = {"max_attempts": 3, "backoff_ms": 2_000}
CATCH_UP: dict[str, Any] = {"misfire": "catch_up", **TWICE}

CENTURY_JOBS = (
    cron("new-year", "0 0 1 1 *", "Pacific/Auckland", **CATCH_UP),
    cron("leap-day", "30 2 29 2 *", "Europe/Prague", **TWICE),
    cron("first", "0 9 1 */2 *", "America/New_York", **CATCH_UP),
    cron("last-days", "59 23 31 1,10 *", "Europe/Prague", **TWICE),
    cron("gap", "30 2 * 2-4 sun", "Europe/Prague", **CATCH_UP),
    cron("overlap", "15,45 1 1-2 11 *", "America/New_York", concurrency="queue", **CATCH_UP),
    cron("half-hour", "0,20 2 1-2 10 *", "Australia/Lord_Howe", concurrency="replace", **TWICE),
    cron("either", "0 3 13 11 fri", "America/Sao_Paulo", concurrency="replace", jitter_ms=60_000),
    cron("late", "0 6 15 */4 *", "Asia/Kathmandu", misfire="catch_up", max_lateness=6 * HOUR_MS),
    task("weekly", "30 1 * 3 sun", "Europe/London", jitter_ms=30_000, **CATCH_UP),
    task("quarterly", "0 12 1 */4 *", "Asia/Tokyo", concurrency="queue"),
    upkeep("upkeep", "30 3 1 */4 *"),
    job("quarters", "every", "90d", **CATCH_UP),
    job("weeks", "every", "60d12h", concurrency="queue", **TWICE),
    job("long", "every", "366d"),
    *(job(f"once-{year}", "at", f"{year}-02-28T23:59:59.500Z", **TWICE) for year in range(2030, 2126, 7)),
)
DAILY_JOBS = (
    cron("daily", "30 2 * * *", "Europe/Prague", **CATCH_UP),
    task("evenings", "0 22 * * 1-5", "America/New_York", concurrency="queue", **TWICE),
    cron("twice", "0 1,13 * * *", "Australia/Lord_Howe", concurrency="replace", jitter_ms=60_000, **TWICE),
    job("thirties", "every", "30h", **CATCH_UP),
)
MINUTE_JOBS = (
    cron("minutes", "* 2 * * *", "Europe/Prague", concurrency="queue", **TWICE),
    cron("sevenths", "*/14 */6 * * *", "Australia/Lord_Howe", **CATCH_UP),
    cron("hours", "5 */2 * * *", "Europe/Prague", concurrency="replace", **TWICE),
    task("quarter-hours", "*/15 9-11 * * 1-5", "America/New_York", **CATCH_UP),
    job("odd-times", "every", "1h25m30s", concurrency="queue", jitter_ms=20_000, **TWICE),
    upkeep("health", "*/10 4 * * *"),
    *DAILY_JOBS,
)
OFFS = (0.01, 0.5, 5, 40, 900, 40_000)


def century(years: int = 100) -> Plan:
    """Yearly to weekly jobs."""
    far = (3, 90, 7_200, 100_000, 400_000)
    return Plan(CENTURY_JOBS, T0 + years * YEAR_MS, 40 * 86_400, 0.04, 300, (*OFFS, 200_000, 9_000_000), far)


def days(years: int = 4) -> Plan:
    """Daily jobs, of which many come each year."""
    far = (3, 90, 7_200, 100_000)
    return Plan(DAILY_JOBS, T0 + years * YEAR_MS, 3 * 86_400, 0.05, 250, (*OFFS, 300_000), far)


def minutes(for_days: int = 30) -> Plan:
    """What comes every few minutes, beside what comes every day."""
    return Plan(MINUTE_JOBS, T0 + for_days * DAY_MS, 3_600, 0.02, 200, OFFS, (2, 30, 400, 7_200))
