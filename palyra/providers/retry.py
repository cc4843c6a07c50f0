"""Whether an attempt that failed is made once more on the same model, and after how long."""

from collections.abc import Callable

from palyra.core.values import value
from palyra.providers.errors import ErrorClass, ProviderError

RETRIED_STATUSES = frozenset({408, 409, 429, 500, 502, 503, 504, 529})
TRANSPORT = frozenset({ErrorClass.NETWORK_UNAVAILABLE, ErrorClass.PROVIDER_TIMEOUT})
LONGEST_FLOOR_S = 10.0
"""A provider that asks to wait longer than this is not waited for: another one is asked at once."""
WAITING_IN_SUM_S = 30.0
"""How long one run waits between its attempts, all together."""

Draw = Callable[[float, float], float]
"""A random number between two, as `random.uniform` draws it."""


@value
class RetrySettings:
    """The `[retries]` keys."""

    max: int = 2
    base_ms: int = 150


@value
class RetryRule:
    """When and how soon. `draw` is where chance comes from."""

    settings: RetrySettings
    draw: Draw

    def delay_s(self, error: ProviderError, made: int, waited_s: float, *, elsewhere: bool = False) -> float | None:
        """Seconds to wait before the next attempt; None: no attempt follows on this model.

        `made` counts the retries made on it so far, `waited_s` sums what the run has waited by now. The n-th retry
        waits random(0, base · 2ⁿ⁻¹), and at least as long as the provider asked for. What it asked for does not bind
        one that goes `elsewhere`: with another credential, which nobody asked to wait.
        """
        if made >= self.settings.max or not retriable(error):
            return None
        floor = 0.0 if elsewhere or error.retry_after_ms is None else error.retry_after_ms / 1000
        if floor > LONGEST_FLOOR_S:
            return None
        delay = max(floor, self.draw(0.0, self.settings.base_ms / 1000 * 2**made))
        return delay if waited_s + delay <= WAITING_IN_SUM_S else None


def retriable(error: ProviderError) -> bool:
    """Whether the same request may do better soon, by its class, its status and what the provider said of it."""
    if error.should_retry is False or not error.retry:
        return False
    return error.error_class in TRANSPORT or error.upstream_status in RETRIED_STATUSES
