"""What a response object of the responses wire says of itself, whole or as a stream's last event wraps it."""

from collections.abc import Mapping
from typing import Any

from palyra.providers.errors import ErrorClass, ProviderError, error_in

CALLS = frozenset({"function_call", "custom_tool_call"})
"""Output items by which the caller is asked to run a tool."""

_CLASSES: Mapping[str, ErrorClass] = {
    "rate_limit_exceeded": ErrorClass.RATE_LIMITED,
    "insufficient_quota": ErrorClass.QUOTA_EXCEEDED,
    "context_length_exceeded": ErrorClass.CONTEXT_WINDOW_EXCEEDED,
    "server_error": ErrorClass.TRANSIENT_UPSTREAM,
    "vector_store_timeout": ErrorClass.TRANSIENT_UPSTREAM,
    "image_content_policy_violation": ErrorClass.CONTENT_POLICY_BLOCKED,
}


def items_of(response: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The output items."""
    output = response.get("output")
    return [item for item in output if type(item) is dict] if type(output) is list else []


def types_of(items: list[dict[str, Any]]) -> tuple[str, ...]:
    """The types of output items, in order; some of them are uses of a tool that the provider charges for."""
    return tuple(kind for item in items if type(kind := item.get("type")) is str)


def finish_of(response: Mapping[str, Any]) -> str:
    """Why the answer ended, as `completed_reason` understands it."""
    if response.get("status") == "incomplete":
        details = response.get("incomplete_details")
        reason = details.get("reason") if type(details) is dict else None
        return reason if type(reason) is str else "max_output_tokens"
    return "tool_calls" if not CALLS.isdisjoint(types_of(items_of(response))) else "stop"


def failure_of(response: Mapping[str, Any]) -> ProviderError | None:
    """What went wrong where the response says that it failed."""
    if response.get("status") not in ("failed", "cancelled"):
        return None
    error = response.get("error")
    code = error.get("code") if type(error) is dict else None
    kind = _CLASSES.get(code, ErrorClass.PERMANENT_UPSTREAM) if type(code) is str else ErrorClass.PERMANENT_UPSTREAM
    return ProviderError(kind, f"The provider's response failed: {error_in(response) or 'no reason given'}")
