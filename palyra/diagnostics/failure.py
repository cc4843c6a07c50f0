"""What counts as a failure, and of which class it is."""

from collections.abc import Mapping
from enum import StrEnum


class Source(StrEnum):
    """What failed, in one word."""

    PROVIDER = "provider"
    PROBE = "probe"
    WEBHOOK = "webhook"
    JOB = "job"
    TASK = "task"
    JOURNAL = "journal"
    GATEWAY = "gateway"
    COLLECTOR = "collector"
    CONFIG = "config"


class FailureClass(StrEnum):
    """Whose business a failure is."""

    CONFIG = "config"
    CREDENTIAL = "credential"
    UPSTREAM = "upstream"
    NETWORK = "network"
    REQUEST = "request"
    PRODUCT = "product"


UNREACHABLE, TIMED_OUT, REFUSED_ADDRESS, BAD_STATUS = "unreachable", "timed_out", "address_refused", "bad_status"
"""Why a probe failed, beside vault states."""

_CLASSES: Mapping[str, FailureClass] = {
    **dict.fromkeys(
        ("invalid_reload", "invalid_ref", "unknown_model", "model_not_found", "model_not_allowed", REFUSED_ADDRESS),
        FailureClass.CONFIG,
    ),
    **dict.fromkeys(
        (
            "auth_invalid",
            "auth_expired",
            "permission_denied",
            "quota_exceeded",
            "missing_auth",
            "missing",
            "locked",
            "wrong_key",
            "tampered",
            "damaged",
            "newer",
        ),
        FailureClass.CREDENTIAL,
    ),
    **dict.fromkeys(
        (
            "rate_limited",
            "transient_upstream",
            "permanent_upstream",
            "malformed_response",
            "provider_timeout",
            BAD_STATUS,
        ),
        FailureClass.UPSTREAM,
    ),
    **dict.fromkeys(("network_unavailable", UNREACHABLE, TIMED_OUT), FailureClass.NETWORK),
    **dict.fromkeys(("context_window_exceeded", "content_policy_blocked"), FailureClass.REQUEST),
}


def failure_class(code: str) -> FailureClass:
    """By the code of what went wrong; what is known nowhere is our own."""
    return _CLASSES.get(code, FailureClass.PRODUCT)


_REFUSED = ("budget_", "approval_", "price_unknown", "mode_", "not_allowed_for_key", "grant_")
_ENDED_BY_SOMEBODY = frozenset({"engine_stopping", "parent_cancelled", "replaced", "self_healing", "by_operator"})


def is_failure(state: str, reason: str) -> bool:
    """Whether work that ended has failed: what a budget refused or somebody ended has not."""
    return state == "failed" and reason not in _ENDED_BY_SOMEBODY and not reason.startswith(_REFUSED)
