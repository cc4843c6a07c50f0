"""Where a counter is going: what it will have used when its window ends, and when it reaches its limit.

The rate is the burn of the newest quarter of the window's elapsed part, so that a forecast follows a change of pace and
forgets an early burst. Whole numbers only: amounts in the metric's unit, instants in UTC unix ms.
"""

from palyra.core.values import value
from palyra.core.windows import ROLLING, Interval, Window

LEAST_ELAPSED_PERCENT = 10
"""A younger window says too little about its end."""


@value
class Forecast:
    """`projected` is the use at `window_end`, rounded down; `burned` what was used since `burn_since`.

    `reaches_at` is the first instant at which use is at the limit or above it: now if it is already, None if it will
    not be before the window ends or there is no limit.
    """

    at: int
    window_end: int
    used: int
    burned: int
    burn_since: int
    projected: int
    limit: int | None
    reaches_at: int | None


def has_calendar(interval: Interval) -> bool:
    """Whether windows of this kind begin and end, so that there is an end to forecast."""
    return interval not in ROLLING and interval is not Interval.LIFETIME


def burn_since(window: Window, at: int) -> int | None:
    """Where the newest quarter of the elapsed window begins; None while too little of it has elapsed, or at no end."""
    if window.end is None or not window.start <= at < window.end:
        return None
    elapsed = at - window.start
    if elapsed * 100 < (window.end - window.start) * LEAST_ELAPSED_PERCENT:
        return None
    return at - elapsed // 4


def forecast(window: Window, at: int, *, used: int, burned: int, limit: int | None) -> Forecast | None:
    """Carries the present burn on to the end of a calendar window.

    `used` is settled and held, `burned` what was settled since `burn_since(window, at)`, `limit` the hard limit and
    what grants add to it. None while too little of the window has elapsed.
    """
    since = burn_since(window, at)
    if since is None or window.end is None:
        return None
    quarter = max(1, at - since)
    projected = used + burned * (window.end - at) // quarter
    return Forecast(
        at, window.end, used, burned, since, projected, limit, _reached(window.end, at, used, burned, quarter, limit)
    )


def _reached(end: int, at: int, used: int, burned: int, quarter: int, limit: int | None) -> int | None:
    if limit is None:
        return None
    if used >= limit:
        return at
    if burned <= 0:
        return None
    reached = at + -(-(limit - used) * quarter // burned)
    return reached if reached < end else None
