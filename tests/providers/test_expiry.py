"""Each credential ends in exactly one class of time."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from palyra.providers.credentials import CredentialHealth, CredentialStanding
from palyra.providers.expiry import expiry_bucket, expiry_counts

NOW = 1_795_348_800_000
MINUTE = 60_000
HOUR = 60 * MINUTE


def standing(health: str, left_ms: int | None = None) -> CredentialStanding:
    return CredentialStanding(
        "c", health, CredentialHealth(health), expires_at=None if left_ms is None else NOW + left_ms
    )


@pytest.mark.parametrize(
    ("health", "left_ms", "bucket"),
    [
        ("disabled", HOUR, "unavailable"),
        ("unreadable", None, "unavailable"),
        ("missing", -1, "unavailable"),
        ("expired", 0, "expired"),
        ("expired", None, "expired"),
        ("rejected", -1, "expired"),
        ("rejected", None, "no_expiry"),
        ("static", None, "no_expiry"),
        ("expiring", 1, "le_5m"),
        ("expiring", 5 * MINUTE, "le_5m"),
        ("expiring", 5 * MINUTE + 1, "le_15m"),
        ("expiring", 15 * MINUTE, "le_15m"),
        ("ok", 15 * MINUTE + 1, "le_60m"),
        ("ok", HOUR, "le_60m"),
        ("ok", HOUR + 1, "le_24h"),
        ("ok", 24 * HOUR, "le_24h"),
        ("ok", 24 * HOUR + 1, "gt_24h"),
    ],
)
def test_a_credential_is_in_the_class_of_its_end(health: str, left_ms: int | None, bucket: str) -> None:
    assert expiry_bucket(standing(health, left_ms), NOW).value == bucket


@given(some.lists(some.tuples(some.sampled_from(CredentialHealth), some.none() | some.integers(-HOUR, 99 * HOUR))))
def test_all_classes_together_are_all_credentials(given: list[tuple[CredentialHealth, int | None]]) -> None:
    counts = expiry_counts(expiry_bucket(standing(health.value, left), NOW) for health, left in given)
    assert sum(counts.values()) == len(given)
    assert len(counts) == 8
