"""Every error a caller can be told: its status, its type and its code, as clients rely on them."""

TABLE: dict[tuple[int, str], frozenset[str]] = {
    (400, "invalid_request_error"): frozenset(
        {
            "invalid_json",
            "duplicate_member",
            "invalid_field",
            "invalid_header",
            "capability_missing",
            "context_window_exceeded",
            "content_policy_blocked",
        }
    ),
    (401, "authentication_error"): frozenset({"invalid_api_key"}),
    (402, "budget_exceeded"): frozenset({"budget_blocked", "price_unknown_blocked"}),
    (402, "budget_approval_required"): frozenset({"budget_approval_required"}),
    (402, "budget_denied"): frozenset({"budget_denied"}),
    (403, "permission_error"): frozenset(
        {
            "model_not_allowed",
            "mode_not_allowed",
            "principal_not_allowed",
            "pinned_value",
            "tag_locked",
            "role_missing",
            "feature_off",
            "host_not_allowed",
            "origin_not_allowed",
            "four_eyes",
        }
    ),
    (404, "not_found_error"): frozenset({"model_not_found", "unknown_path"}),
    (405, "not_found_error"): frozenset({"method_not_allowed"}),
    (408, "invalid_request_error"): frozenset({"timeout"}),
    (409, "conflict_error"): frozenset({"already_decided", "read_only", "stale_version", "wrong_state"}),
    (410, "run_cancelled"): frozenset({"run_cancelled"}),
    (412, "invalid_request_error"): frozenset({"stale_revision"}),
    (413, "request_too_large"): frozenset({"body_too_large"}),
    (414, "invalid_request_error"): frozenset({"url_too_long"}),
    (415, "invalid_request_error"): frozenset({"unsupported_media_type"}),
    (428, "invalid_request_error"): frozenset({"revision_required"}),
    (429, "rate_limit_error"): frozenset({"upstream_rate_limited", "queue_full", "too_often"}),
    (431, "invalid_request_error"): frozenset({"headers_too_large"}),
    (500, "api_error"): frozenset({"internal_error"}),
    (502, "api_error"): frozenset({"upstream_auth", "upstream_quota", "upstream_error", "malformed_response"}),
    (503, "overloaded_error"): frozenset(
        {
            "engine_draining",
            "too_many_runs",
            "no_candidate",
            "upstream_overloaded",
            "lease_timeout",
            "breaker_open",
            "network_unavailable",
            "journal_unavailable",
            "access_unavailable",
        }
    ),
    (504, "timeout_error"): frozenset({"provider_timeout", "run_timeout"}),
}
"""500 is a fault of ours: nothing a caller does leads there."""

CONSOLE_ONLY = frozenset(
    {
        "role_missing",
        "feature_off",
        "four_eyes",
        "already_decided",
        "read_only",
        "stale_version",
        "wrong_state",
        "stale_revision",
        "revision_required",
    }
)
"""What only operators are told."""

RETRY_AFTER = frozenset({429, 503})
"""Statuses that say when to come back."""

ROWS = sorted((status, kind, code) for (status, kind), codes in TABLE.items() for code in codes)
