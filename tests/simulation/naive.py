"""What the rules say, done the slow and obvious way, without a line of the program's own arithmetic."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

BUCKETS = {"rolling_24h": (MINUTE, 1_440), "rolling_30d": (HOUR, 720)}
"""Length of a bucket in ms, and how many buckets back still count."""


@cache
def zone_of(name: str) -> ZoneInfo:
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def local(zone: str, at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC).astimezone(zone_of(zone))


def instant(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def window_start(interval: str, zone: str, at: int) -> int:
    """Where a charge at an instant is counted. For zones whose clocks never skip or repeat a midnight."""
    if interval in BUCKETS:
        return at - at % BUCKETS[interval][0]
    if interval == "lifetime":
        return 0
    return _calendar(interval, zone, at - at % MINUTE)


@cache
def _calendar(interval: str, zone: str, at: int) -> int:
    if interval == "hourly":
        while local(zone, at).minute:
            at -= MINUTE
        return at
    now = local(zone, at)
    day = now.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if interval == "weekly":
        day -= timedelta(days=now.weekday())
    elif interval == "monthly":
        day = day.replace(day=1)
    return instant(day.replace(fold=0))


def counts_from(interval: str, zone: str, at: int) -> tuple[int, int | None]:
    """The starts of the cells a request at an instant is judged by: the first, and the last (None: any later too)."""
    if interval in BUCKETS:
        bucket, span = BUCKETS[interval]
        return (at // bucket - span) * bucket, None
    start = window_start(interval, zone, at)
    return start, start


def value_of(policy: Mapping[str, str], scope: Mapping[str, Any], provider: str, model: str) -> str | None:
    """The counter that an attempt moves in one policy; None where it moves none."""
    if policy["enabled"] != "true":
        return None
    kind, wanted = policy["scope_kind"], policy["scope_id"]
    if kind == "global":
        return "*"
    if kind == "tag":
        name, _, value = wanted.partition("=")
        there = scope["tags"].get(name)
        return f"{name}={there}" if there is not None and value in ("*", there) else None
    values = {**scope, "user": scope["principal"], "key": scope["key_id"], "provider": provider, "model": model}
    there = values[kind]
    return there if there and wanted in ("*", there) else None


def nano(text: str) -> int:
    return int(Decimal(text) * 1_000_000_000)


def limit_of(policy: Mapping[str, str]) -> int | None:
    """The hard limit in the policy's own unit."""
    text = policy["hard_limit"]
    if text == "none":
        return None
    return nano(text) if policy["metric_kind"] == "estimated_cost_usd" else int(text)


def soft_of(policy: Mapping[str, str]) -> int | None:
    text = policy["soft_limit"]
    if text.endswith("%"):
        hard = limit_of(policy)
        return None if hard is None else int(Decimal(hard) * Decimal(text[:-1]) / 100)
    return nano(text) if policy["metric_kind"] == "estimated_cost_usd" else int(text)


STRICTNESS = ("suggest", "dry_run", "enforced")


def mode_of(policy: Mapping[str, str], over_soft: bool, default: str, requested: str) -> str:
    """Its own mode while over soft, else the default; a request can only raise it."""
    override = policy["routing_override"]
    own = override.removeprefix("mode:") if override.startswith("mode:") and over_soft else default
    return max(own, requested or own, key=STRICTNESS.index)


def worth(policy: Mapping[str, str], usd: int | None, tokens: int, requests: int = 1) -> int:
    """What an amount is in one policy's unit, an unknown price by its own rule."""
    metric = policy["metric_kind"]
    if metric == "total_tokens":
        return tokens
    if metric == "requests":
        return requests
    if usd is not None:
        return usd
    rule = policy["on_unknown_price"]
    return nano(rule.removeprefix("flat:")) if rule.startswith("flat:") else 0


def charge_of(rates: list[dict[str, Any]]) -> int:
    """Sum of count x usd / per, rounded half to even to a nano-dollar."""
    exact = sum(
        (Decimal(part["count"]) * Decimal(str(part["usd"])) / Decimal(part["per"]) for part in rates), Decimal()
    )
    return int((exact * 1_000_000_000).to_integral_value(ROUND_HALF_EVEN))
