"""Retries: which failures are tried once more, after how long, and where waiting ends."""

import pytest

from palyra.providers.errors import ErrorClass, ProviderError, upstream_error
from palyra.providers.retry import RetryRule, RetrySettings, retriable

NOW = 1_795_348_800_000
"""Noon of 22 November 2026, UTC."""
HIGHEST = RetryRule(RetrySettings(), lambda low, high: high)
LOWEST = RetryRule(RetrySettings(), lambda low, high: low)


def answered(status: int, body: bytes = b"", **headers: str) -> ProviderError:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return upstream_error(status, named, body, NOW, "openai")


def failed(error_class: ErrorClass) -> ProviderError:
    return ProviderError(error_class, "x")


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_what_passes_by_itself_is_tried_again(status: int) -> None:
    assert retriable(answered(status))


@pytest.mark.parametrize("status", [301, 400, 401, 402, 403, 404, 405, 410, 413, 422, 451, 501, 505, 520])
def test_what_does_not_is_not(status: int) -> None:
    assert not retriable(answered(status))


@pytest.mark.parametrize(
    ("error_class", "again"),
    [
        (ErrorClass.NETWORK_UNAVAILABLE, True),
        (ErrorClass.PROVIDER_TIMEOUT, True),
        (ErrorClass.MALFORMED_RESPONSE, False),
        (ErrorClass.AUTH_INVALID, False),
    ],
)
def test_of_what_never_was_an_answer_the_transport_is_tried_again(error_class: ErrorClass, again: bool) -> None:
    assert retriable(failed(error_class)) is again


def test_a_quota_is_no_rate_limit() -> None:
    body = b'{"error": {"code": "insufficient_quota", "message": "You exceeded your current quota"}}'
    assert not retriable(answered(429, body))
    assert retriable(answered(429, body, retry_after="1"))


def test_a_provider_that_says_no_is_obeyed() -> None:
    assert not retriable(answered(503, x_should_retry="false"))
    assert retriable(answered(503, x_should_retry="true"))
    assert not retriable(answered(400, x_should_retry="true"))
    assert retriable(answered(503, x_should_retry="perhaps"))


@pytest.mark.parametrize(("made", "highest"), [(0, 0.15), (1, 0.3)])
def test_the_range_of_the_delay_doubles(made: int, highest: float) -> None:
    assert HIGHEST.delay_s(answered(503), made, 0.0) == pytest.approx(highest)
    assert LOWEST.delay_s(answered(503), made, 0.0) == 0


def test_there_are_so_many_and_no_more() -> None:
    assert HIGHEST.delay_s(answered(503), 2, 0.0) is None
    assert RetryRule(RetrySettings(max=0), max).delay_s(answered(503), 0, 0.0) is None
    assert RetryRule(RetrySettings(max=10), min).delay_s(answered(503), 9, 0.0) == 0


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "0.5"}, 0.5),
        ({"retry_after_ms": "2500", "retry_after": "9"}, 2.5),
        ({"retry_after": "Sun, 22 Nov 2026 12:00:09 GMT"}, 9.0),
        ({"retry_after": "Sun, 22 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry_after": "10"}, 10.0),
        ({"retry_after": "10.001"}, None),
        ({"retry_after": "90"}, None),
        ({"retry_after": "soon"}, 0.0),
    ],
)
def test_what_the_provider_asks_for_is_a_floor_unless_it_is_too_long(
    headers: dict[str, str], wait: float | None
) -> None:
    assert LOWEST.delay_s(answered(429, b"", **headers), 0, 0.0) == wait


def test_a_floor_below_chance_changes_nothing() -> None:
    assert HIGHEST.delay_s(answered(503, retry_after_ms="20"), 0, 0.0) == pytest.approx(0.15)


def test_another_credential_was_not_asked_to_wait() -> None:
    assert LOWEST.delay_s(answered(429, retry_after="90"), 0, 0.0, elsewhere=True) == 0


def test_nobody_waits_longer_than_half_a_minute_in_sum() -> None:
    assert LOWEST.delay_s(answered(429, retry_after="10"), 0, 20.0) == 10
    assert LOWEST.delay_s(answered(429, retry_after="10"), 0, 20.001) is None
