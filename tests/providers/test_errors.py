"""Failures of providers fall into closed classes, each with its consequences."""

import json
from typing import Any

import pytest

from palyra.core.redact import Secret
from palyra.providers.errors import RULES, ErrorClass, ProviderError, classify, retry_after_ms, upstream_error

C = ErrorClass


def openai(message: str = "", **members: Any) -> bytes:
    return json.dumps({"error": {"message": message, "type": "x", "param": None, "code": None, **members}}).encode()


def anthropic(message: str, kind: str = "invalid_request_error") -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}).encode()


CLASSES: list[tuple[int, dict[str, str], bytes, ErrorClass]] = [
    (401, {}, openai("Your token has expired"), C.AUTH_EXPIRED),
    (401, {}, openai("Incorrect API key provided", code="invalid_api_key"), C.AUTH_INVALID),
    (401, {}, b"", C.AUTH_INVALID),
    (402, {}, b"", C.QUOTA_EXCEEDED),
    (402, {"retry-after": "5"}, openai("Payment required"), C.QUOTA_EXCEEDED),
    (429, {}, openai("You exceeded your current quota", code="insufficient_quota"), C.QUOTA_EXCEEDED),
    (429, {"retry-after": "7"}, openai("You exceeded your current quota"), C.RATE_LIMITED),
    (400, {}, anthropic("Your credit balance is too low to access the API."), C.QUOTA_EXCEEDED),
    (403, {}, openai("Billing is not active", code="billing_not_active"), C.QUOTA_EXCEEDED),
    (
        400,
        {},
        openai("This model's maximum context length is 8192", code="context_length_exceeded"),
        C.CONTEXT_WINDOW_EXCEEDED,
    ),
    (400, {}, anthropic("prompt is too long: 208310 tokens > 200000 maximum"), C.CONTEXT_WINDOW_EXCEEDED),
    (400, {}, anthropic("input length and `max_tokens` exceed context limit: 9 + 8 > 16"), C.CONTEXT_WINDOW_EXCEEDED),
    (413, {}, b"Please reduce the length of the messages", C.CONTEXT_WINDOW_EXCEEDED),
    (413, {}, anthropic("Request exceeds the maximum size", "request_too_large"), C.PERMANENT_UPSTREAM),
    (400, {}, openai("Rejected", code="content_policy_violation"), C.CONTENT_POLICY_BLOCKED),
    (400, {}, openai("filtered", code="content_filter"), C.CONTENT_POLICY_BLOCKED),
    (400, {}, anthropic("Output blocked by content filtering policy"), C.CONTENT_POLICY_BLOCKED),
    (403, {}, openai("moderated", code="moderation_blocked"), C.CONTENT_POLICY_BLOCKED),
    (403, {}, anthropic("Your key may not use this", "permission_error"), C.PERMISSION_DENIED),
    (429, {"retry-after": "1"}, openai("Rate limit reached"), C.RATE_LIMITED),
    (429, {}, anthropic("Number of requests exceeded", "rate_limit_error"), C.RATE_LIMITED),
    (408, {}, b"", C.TRANSIENT_UPSTREAM),
    (409, {}, b"", C.TRANSIENT_UPSTREAM),
    (500, {}, b"", C.TRANSIENT_UPSTREAM),
    (502, {}, b"<html>Bad gateway</html>", C.TRANSIENT_UPSTREAM),
    (503, {}, openai("billing system is down"), C.TRANSIENT_UPSTREAM),
    (504, {}, b"", C.TRANSIENT_UPSTREAM),
    (529, {}, anthropic("Overloaded", "overloaded_error"), C.TRANSIENT_UPSTREAM),
    (301, {"location": "http://elsewhere"}, b"", C.PERMANENT_UPSTREAM),
    (
        400,
        {},
        anthropic("max_tokens: 9000 > 64, the maximum allowed number of output tokens"),
        C.PERMANENT_UPSTREAM,
    ),
    (404, {}, openai("The model `credit-7b` does not exist", code="model_not_found"), C.PERMANENT_UPSTREAM),
    (405, {}, b"", C.PERMANENT_UPSTREAM),
    (422, {}, b"", C.PERMANENT_UPSTREAM),
]


@pytest.mark.parametrize(("status", "headers", "body", "expected"), CLASSES)
def test_an_answer_is_classified_by_the_first_match(
    status: int, headers: dict[str, str], body: bytes, expected: ErrorClass
) -> None:
    assert classify(status, headers, body) is expected


CONSEQUENCES: list[tuple[ErrorClass, int | None, bool, bool, bool, int, str]] = [
    (C.AUTH_EXPIRED, 401, False, True, False, 502, "refresh_credential"),
    (C.AUTH_INVALID, 401, False, True, False, 502, "fix_credential"),
    (C.QUOTA_EXCEEDED, 402, False, True, False, 502, "top_up_account"),
    (C.CONTEXT_WINDOW_EXCEEDED, 400, False, False, False, 400, "compact_and_retry"),
    (C.CONTENT_POLICY_BLOCKED, 403, False, False, False, 400, "change_prompt"),
    (C.PERMISSION_DENIED, 403, False, True, False, 502, "ask_operator"),
    (C.RATE_LIMITED, 429, True, True, False, 429, "retry_after"),
    (C.TRANSIENT_UPSTREAM, 408, True, True, False, 502, "retry_same"),
    (C.TRANSIENT_UPSTREAM, 409, True, True, False, 502, "retry_same"),
    (C.TRANSIENT_UPSTREAM, 500, True, True, True, 502, "retry_same"),
    (C.TRANSIENT_UPSTREAM, 503, True, True, True, 503, "retry_same"),
    (C.TRANSIENT_UPSTREAM, 529, True, True, True, 503, "retry_same"),
    (C.PERMANENT_UPSTREAM, 400, False, False, False, 400, "fallback_model"),
    (C.PERMANENT_UPSTREAM, 404, False, True, False, 404, "fallback_model"),
    (C.PERMANENT_UPSTREAM, 413, False, False, False, 413, "fallback_model"),
    (C.PERMANENT_UPSTREAM, 422, False, False, False, 422, "fallback_model"),
    (C.PERMANENT_UPSTREAM, 418, False, False, False, 502, "fallback_model"),
    (C.PERMANENT_UPSTREAM, 302, False, False, False, 502, "fallback_model"),
    (C.MALFORMED_RESPONSE, 200, False, True, False, 502, "fallback_model"),
    (C.NETWORK_UNAVAILABLE, None, True, True, True, 503, "check_network"),
    (C.PROVIDER_TIMEOUT, None, True, True, True, 504, "raise_timeout"),
]


@pytest.mark.parametrize(("error_class", "status", "retry", "failover", "breaker", "to_caller", "action"), CONSEQUENCES)
def test_what_follows_from_a_class(
    error_class: ErrorClass,
    status: int | None,
    retry: bool,
    failover: bool,
    breaker: bool,
    to_caller: int,
    action: str,
) -> None:
    error = ProviderError(error_class, "it failed", upstream_status=status)
    assert RULES[error_class].retry is retry
    assert RULES[error_class].action == action
    assert (error.failover, error.counts_for_breaker, error.status) == (failover, breaker, to_caller)
    assert error.fix


def test_every_class_has_a_rule() -> None:
    assert set(RULES) == set(ErrorClass)


@pytest.mark.parametrize(
    ("error_class", "status", "kind", "code"),
    [
        (C.AUTH_INVALID, 401, "api_error", "upstream_auth"),
        (C.PERMISSION_DENIED, 403, "api_error", "upstream_auth"),
        (C.QUOTA_EXCEEDED, 402, "api_error", "upstream_quota"),
        (C.RATE_LIMITED, 429, "rate_limit_error", "upstream_rate_limited"),
        (C.TRANSIENT_UPSTREAM, 500, "api_error", "upstream_error"),
        (C.TRANSIENT_UPSTREAM, 529, "overloaded_error", "upstream_overloaded"),
        (C.PERMANENT_UPSTREAM, 404, "not_found_error", "upstream_error"),
        (C.PERMANENT_UPSTREAM, 413, "request_too_large", "upstream_error"),
        (C.NETWORK_UNAVAILABLE, None, "overloaded_error", "network_unavailable"),
        (C.PROVIDER_TIMEOUT, None, "timeout_error", "provider_timeout"),
        (C.CONTEXT_WINDOW_EXCEEDED, 400, "invalid_request_error", "context_window_exceeded"),
    ],
)
def test_how_a_failure_is_named_to_the_caller(
    error_class: ErrorClass, status: int | None, kind: str, code: str
) -> None:
    error = ProviderError(error_class, "it failed", upstream_status=status)
    assert (error.type, error.code) == (kind, code)


NOW = 1_795_348_800_000


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "7"}, 7_000),
        ({"retry-after": "0.5"}, 500),
        ({"retry-after-ms": "1234.6", "retry-after": "9"}, 1_235),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9_000),
        ({"retry-after": "Sun, 22 Nov 2026 12:01:30 GMT"}, 90_000),
        ({"retry-after": "Sun, 22 Nov 2026 11:00:00 GMT"}, 0),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:05 -0000"}, 5_000),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e300"}, None),
        ({"retry-after": "tomorrow"}, None),
        ({"retry-after": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_how_long_a_provider_asks_to_wait(headers: dict[str, str], wait: int | None) -> None:
    assert retry_after_ms(headers, NOW) == wait


def test_a_rejected_credential_never_reaches_a_caller() -> None:
    error = upstream_error(401, {}, openai("Invalid key in header Bearer abc12345"), NOW, "acme")
    assert error.error_class is C.AUTH_INVALID
    assert error.status == 502
    assert error.body is None
    assert "abc12345" not in str(error)
    assert "acme answered 401" in error.message


def test_a_kept_answer_keeps_its_bytes_unless_it_holds_a_secret() -> None:
    body = b'{"error": {"message":  "no such model \\u00e9"}}'
    assert upstream_error(404, {}, body, NOW, "acme").body == body
    secret = Secret("swordfish-of-tests")
    leaking = upstream_error(422, {}, openai(f"got {secret.reveal()} in field 3"), NOW, "acme")
    assert leaking.body is not None
    assert b"swordfish" not in leaking.body
    assert json.loads(leaking.body)["error"]["message"] == "got [redacted] in field 3"
    plain = upstream_error(400, {}, b"nothing here about swordfish-of-tests", NOW, "acme")
    assert plain.body is None
    assert "swordfish" not in plain.message


def test_an_error_of_a_megabyte_is_told_in_part_and_not_passed_on() -> None:
    for size, passed in ((60_000, True), (1_000_000, False)):
        body = json.dumps({"error": {"message": "no " * (size // 3)}}).encode()
        error = upstream_error(422, {}, body, NOW, "acme")
        assert (error.body == body, error.body is None) == (passed, not passed)
        assert str(error).startswith("acme answered 422: no no no")
        assert len(error.message) < 1_100


@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b"[1]", b'"no"', b"\xff", b'{"error": '])
def test_an_error_that_no_client_can_read_is_told_in_our_words(body: bytes) -> None:
    error = upstream_error(422, {}, body, NOW, "acme")
    assert (error.status, error.body) == (422, None)
    assert error.message.startswith("acme answered 422")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (openai("too bad"), "too bad"),
        (b'{"error": "flat text"}', "flat text"),
        (b'{"message": "top level"}', "top level"),
        (b'{"detail": "a framework says"}', "a framework says"),
        (b"<html>oops</html>", "<html>oops</html>"),
        (b'{"error": {"type": "only_a_type"}}', "only_a_type"),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
def test_the_providers_own_words_are_kept(body: bytes, said: str) -> None:
    assert upstream_error(500, {}, body, NOW, "acme").message == f"acme answered 500: {said}."


@pytest.mark.parametrize("said", ["Too bad.", "Why?", "No!", "and so on …"])
def test_words_that_end_a_sentence_are_left_alone(said: str) -> None:
    assert upstream_error(500, {}, openai(said), NOW, "acme").message == f"acme answered 500: {said}"


def test_a_redirect_says_where_it_is_put_right() -> None:
    error = upstream_error(302, {}, b"", NOW, "acme")
    assert error.message == "acme answered 302. Redirects are not followed."
    assert "base_url" in str(error)


def test_an_empty_error_answer_still_says_who_and_what() -> None:
    assert upstream_error(500, {}, b"", NOW, "acme").message == "acme answered 500."


def test_a_long_error_is_cut() -> None:
    assert len(upstream_error(500, {}, openai("x" * 9000), NOW, "acme").message) < 1100
