"""What goes wrong at a provider: twelve classes, how each is recognised, and what follows from it."""

import json
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from palyra.core.errors import PalyraError
from palyra.core.redact import redact_data, redact_error
from palyra.core.values import value


class ErrorClass(StrEnum):
    """Why an attempt failed. The order is the order in which an answer is matched."""

    AUTH_EXPIRED = "auth_expired"
    AUTH_INVALID = "auth_invalid"
    QUOTA_EXCEEDED = "quota_exceeded"
    CONTEXT_WINDOW_EXCEEDED = "context_window_exceeded"
    CONTENT_POLICY_BLOCKED = "content_policy_blocked"
    PERMISSION_DENIED = "permission_denied"
    RATE_LIMITED = "rate_limited"
    TRANSIENT_UPSTREAM = "transient_upstream"
    PERMANENT_UPSTREAM = "permanent_upstream"
    MALFORMED_RESPONSE = "malformed_response"
    NETWORK_UNAVAILABLE = "network_unavailable"
    PROVIDER_TIMEOUT = "provider_timeout"


@value
class ErrorRule:
    """What follows from a class. `status`, `type` and `code` are what the caller gets; `fix` says `action` in words."""

    retry: bool
    failover: bool
    status: int
    type: str
    code: str
    action: str
    fix: str


RULES: Mapping[ErrorClass, ErrorRule] = {
    ErrorClass.AUTH_EXPIRED: ErrorRule(
        False, True, 502, "api_error", "upstream_auth", "refresh_credential", "Renew the provider's credential."
    ),
    ErrorClass.AUTH_INVALID: ErrorRule(
        False, True, 502, "api_error", "upstream_auth", "fix_credential", "Set a valid credential for the provider."
    ),
    ErrorClass.QUOTA_EXCEEDED: ErrorRule(
        False, True, 502, "api_error", "upstream_quota", "top_up_account", "Top up the provider's account."
    ),
    ErrorClass.CONTEXT_WINDOW_EXCEEDED: ErrorRule(
        False,
        False,
        400,
        "invalid_request_error",
        "context_window_exceeded",
        "compact_and_retry",
        "Shorten the conversation and send it again.",
    ),
    ErrorClass.CONTENT_POLICY_BLOCKED: ErrorRule(
        False, False, 400, "invalid_request_error", "content_policy_blocked", "change_prompt", "Change the prompt."
    ),
    ErrorClass.PERMISSION_DENIED: ErrorRule(
        False,
        True,
        502,
        "api_error",
        "upstream_auth",
        "ask_operator",
        "Ask who runs the provider's account for access.",
    ),
    ErrorClass.RATE_LIMITED: ErrorRule(
        True, True, 429, "rate_limit_error", "upstream_rate_limited", "retry_after", "Wait, then send it again."
    ),
    ErrorClass.TRANSIENT_UPSTREAM: ErrorRule(
        True, True, 502, "api_error", "upstream_error", "retry_same", "Send it again."
    ),
    ErrorClass.PERMANENT_UPSTREAM: ErrorRule(
        False, False, 502, "api_error", "upstream_error", "fallback_model", "Change the request or use another model."
    ),
    ErrorClass.MALFORMED_RESPONSE: ErrorRule(
        False, True, 502, "api_error", "malformed_response", "fallback_model", "Use another model."
    ),
    ErrorClass.NETWORK_UNAVAILABLE: ErrorRule(
        True, True, 503, "overloaded_error", "network_unavailable", "check_network", "Check the way to the provider."
    ),
    ErrorClass.PROVIDER_TIMEOUT: ErrorRule(
        True, True, 504, "timeout_error", "provider_timeout", "raise_timeout", "Send it again, or raise the timeout."
    ),
}

OVERLOADED = frozenset({503, 529})
KEPT_STATUSES: Mapping[int, str] = {
    400: "invalid_request_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
}
"""Statuses of a permanent error that reach the caller as sent, with the type they have there."""


class ProviderError(PalyraError):
    """An attempt that failed at or on the way to a provider.

    `upstream_status` is the provider's HTTP status if it answered; `written` tells whether any byte of the request may
    have left; `retry_after_ms` and `should_retry` are what the provider asked for, None where it did not; `body` is
    the provider's answer, redacted, set only where its status reaches the caller as sent and it is a JSON object.
    """

    def __init__(
        self,
        error_class: ErrorClass,
        message: str,
        *,
        fix: str = "",
        upstream_status: int | None = None,
        written: bool = True,
        retry_after_ms: int | None = None,
        should_retry: bool | None = None,
        body: bytes | None = None,
    ) -> None:
        overloaded = error_class is ErrorClass.TRANSIENT_UPSTREAM and upstream_status in OVERLOADED
        code = "upstream_overloaded" if overloaded else RULES[error_class].code
        super().__init__(redact_error(message), fix=fix or RULES[error_class].fix, code=code)
        self.error_class = error_class
        self.upstream_status = upstream_status
        self.written = written
        self.retry_after_ms = retry_after_ms
        self.should_retry = should_retry
        self.body = body

    @property
    def status(self) -> int:
        """The HTTP status the caller gets."""
        if self._kept_status is not None:
            return self._kept_status
        if self.code == "upstream_overloaded":
            return 503
        return RULES[self.error_class].status

    @property
    def type(self) -> str:
        """The error type the caller gets."""
        if self._kept_status is not None:
            return KEPT_STATUSES[self._kept_status]
        return "overloaded_error" if self.status == 503 else RULES[self.error_class].type

    @property
    def _kept_status(self) -> int | None:
        kept = self.error_class is ErrorClass.PERMANENT_UPSTREAM and self.upstream_status in KEPT_STATUSES
        return self.upstream_status if kept else None

    @property
    def retry(self) -> bool:
        """Whether the same model may be asked once more."""
        return RULES[self.error_class].retry

    @property
    def failover(self) -> bool:
        """Whether another provider may be tried."""
        if self.error_class is ErrorClass.PERMANENT_UPSTREAM:
            return self.upstream_status == 404
        return RULES[self.error_class].failover

    @property
    def counts_for_breaker(self) -> bool:
        """Whether this failure says the provider itself is not well."""
        if self.error_class is ErrorClass.TRANSIENT_UPSTREAM:
            return self.upstream_status is not None and self.upstream_status >= 500
        return self.error_class in (ErrorClass.NETWORK_UNAVAILABLE, ErrorClass.PROVIDER_TIMEOUT)


_EXPIRED = re.compile(r"expired")
_QUOTA = re.compile(r"quota|billing|\bcredits?\b|insufficient_(?:credit|fund|balance)|insufficient (?:fund|balance)")
_CONTEXT = re.compile(
    r"context[_ ](?:length|window|limit|size)|maximum context|prompt is too long|input is too long"
    r"|too many (?:input )?tokens|input token count|reduce the length"
)
_POLICY_CODE = re.compile(r"policy|safety|content_filter|moderation")
_POLICY_TEXT = re.compile(
    r"content[ _](?:filter|management|policy|moderation)|usage polic|safety (?:system|setting|filter)"
)


def classify(status: int, headers: Mapping[str, str], body: bytes) -> ErrorClass:
    """The class of an answer whose status is not 2xx; the first match decides. `headers` finds lower-case names."""
    text = body[:65_536].decode("utf-8", "replace").lower()
    if status == 401:
        return ErrorClass.AUTH_EXPIRED if _EXPIRED.search(text) else ErrorClass.AUTH_INVALID
    client_fault = 400 <= status < 500
    if status == 402 or (client_fault and not _asks_to_wait(headers) and _names_quota(status, body, text)):
        return ErrorClass.QUOTA_EXCEEDED
    if status in (400, 413) and _CONTEXT.search(text):
        return ErrorClass.CONTEXT_WINDOW_EXCEEDED
    if client_fault and (_POLICY_CODE.search(_codes(body)) or (status in (400, 403) and _POLICY_TEXT.search(text))):
        return ErrorClass.CONTENT_POLICY_BLOCKED
    if status == 403:
        return ErrorClass.PERMISSION_DENIED
    if status == 429:
        return ErrorClass.RATE_LIMITED
    if status in (408, 409) or status >= 500:
        return ErrorClass.TRANSIENT_UPSTREAM
    return ErrorClass.PERMANENT_UPSTREAM


def upstream_error(status: int, headers: Mapping[str, str], body: bytes, now_ms: int, provider: str) -> ProviderError:
    """A provider's error answer as something to raise; every text in it is redacted."""
    error_class = classify(status, headers, body)
    kept = error_class is ErrorClass.PERMANENT_UPSTREAM and status in KEPT_STATUSES
    said = _message(body)
    message = f"{provider} answered {status}: {_sentence(said)}" if said else f"{provider} answered {status}."
    moved = 300 <= status < 400
    return ProviderError(
        error_class,
        f"{message} Redirects are not followed." if moved else message,
        fix="Correct the provider's base_url." if moved else "",
        upstream_status=status,
        retry_after_ms=retry_after_ms(headers, now_ms),
        should_retry=_should_retry(headers),
        body=_passed_on(body) if kept else None,
    )


def retry_after_ms(headers: Mapping[str, str], now_ms: int) -> int | None:
    """What the answer asks to wait, from `retry-after-ms`, or Retry-After in seconds or as a date; else None."""
    wait = _number(headers.get("retry-after-ms"))
    if wait is not None:
        return max(0, round(wait))
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is not None:
        return max(0, round(seconds * 1000))
    if value is None:
        return None
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0, round(moment.timestamp() * 1000) - now_ms)


def _should_retry(headers: Mapping[str, str]) -> bool | None:
    """What the provider says of it itself; None where it says nothing."""
    said = headers.get("x-should-retry", "").strip().lower()
    return {"true": True, "false": False}.get(said)


MOST_PASSED = 64 * 1024
"""The largest error body that is passed on, in bytes: it is looked through for secrets while everybody else waits."""


def _passed_on(body: bytes) -> bytes | None:
    """An error body as a caller may read it: without secrets, and the same bytes where it holds none. None for what is
    no JSON object, which no client of a wire makes sense of, and for what is too large."""
    data = _object(body) if len(body) <= MOST_PASSED else None
    if data is None:
        return None
    redacted = redact_data(data)
    return body if redacted == data else json.dumps(redacted, ensure_ascii=False).encode("utf-8", "replace")


def error_in(data: Mapping[str, Any]) -> str | None:
    """The message of an error object inside a parsed body or event; None when there is no error in it."""
    error = data.get("error")
    if error is None or error is False:
        return None
    if isinstance(error, dict):
        message = error.get("message")
        return (
            message if isinstance(message, str) and message else str(error.get("type") or "an error without a message")
        )
    return str(error)


def _message(body: bytes) -> str:
    data = _object(body)
    if data is None:
        return body[:4096].decode("utf-8", "replace").strip()
    said = error_in(data)
    if said is None:
        said = next((text for name in ("message", "detail") if isinstance(text := data.get(name), str)), "")
    return said


def _sentence(text: str) -> str:
    """With an end, since what to do about it follows."""
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _codes(body: bytes) -> str:
    """The machine-readable parts of an error body, in lower case."""
    data = _object(body) or {}
    error = data.get("error")
    if isinstance(error, dict):
        data = {**data, **error}
    return " ".join(str(data[name]) for name in ("code", "type", "status") if isinstance(data.get(name), str)).lower()


def _names_quota(status: int, body: bytes, text: str) -> bool:
    # A 404 or 422 may quote the caller's own words; only these statuses speak about the account.
    return bool(_QUOTA.search(_codes(body)) or (status in (400, 403, 429) and _QUOTA.search(text)))


def _asks_to_wait(headers: Mapping[str, str]) -> bool:
    return "retry-after" in headers or "retry-after-ms" in headers


def _number(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if 0 <= number < 1e10 else None
