"""How soon credentials end, in classes of which each credential is in exactly one."""

from collections.abc import Iterable
from enum import StrEnum

from palyra.providers.credentials import CredentialHealth, CredentialStanding


class ExpiryBucket(StrEnum):
    """When a credential ends; upper bounds belong to their class."""

    EXPIRED = "expired"
    LE_5M = "le_5m"
    LE_15M = "le_15m"
    LE_60M = "le_60m"
    LE_24H = "le_24h"
    GT_24H = "gt_24h"
    NO_EXPIRY = "no_expiry"
    UNAVAILABLE = "unavailable"
    """There is none to speak of: it is switched off, missing or cannot be read."""


_MINUTE_MS = 60_000
_BOUNDS = (
    (0, ExpiryBucket.EXPIRED),
    (5 * _MINUTE_MS, ExpiryBucket.LE_5M),
    (15 * _MINUTE_MS, ExpiryBucket.LE_15M),
    (60 * _MINUTE_MS, ExpiryBucket.LE_60M),
    (1_440 * _MINUTE_MS, ExpiryBucket.LE_24H),
)
_UNAVAILABLE = frozenset({CredentialHealth.DISABLED, CredentialHealth.UNREADABLE, CredentialHealth.MISSING})


def expiry_bucket(one: CredentialStanding, now: int) -> ExpiryBucket:
    """The class of one credential at an instant (unix ms)."""
    if one.health in _UNAVAILABLE:
        return ExpiryBucket.UNAVAILABLE
    if one.health is CredentialHealth.EXPIRED:
        return ExpiryBucket.EXPIRED
    if one.expires_at is None:
        return ExpiryBucket.NO_EXPIRY
    left = one.expires_at - now
    return next((bucket for bound, bucket in _BOUNDS if left <= bound), ExpiryBucket.GT_24H)


def expiry_counts(buckets: Iterable[ExpiryBucket]) -> dict[str, int]:
    """How many are in each class, the empty ones included."""
    counts = {bucket.value: 0 for bucket in ExpiryBucket}
    for bucket in buckets:
        counts[bucket.value] += 1
    return counts
