"""What the example file says beside the model's own words: headings, and rows that belong together."""

HEAD = """\
# Palyra's configuration, with every key there is. Copy what you need to ~/.config/palyra/palyra.toml (or name another
# file with --config); `palyra config init` writes a short one to begin with.
#
# Nothing here is needed for a first start. A line beginning with "#" and no blank is a setting: in a plain table at its
# default (or an example, where the words above it say that it is unset), in rows an example. Remove the "#" to use it.
# Every key can also come from the environment, as PALYRA_<SECTION>__<KEY> (PALYRA_GATEWAY__BIND), but those of rows in
# double brackets. `palyra config check` finds what is wrong, `palyra config show` tells every value and its origin,
# `palyra reload` applies what may change while an engine runs.
#
# Durations: "90s", "1h30m" (d, h, m, s, ms) or whole seconds. Sizes: "64MiB" (B, KiB, MiB, GiB) or bytes. Dollars:
# 12.50 or "12.50", to the billionth. Relative paths count from the state directory.
"""

SECTIONS = {
    "gateway": "The gateway that clients point their base address at.",
    "providers": "Who answers. Without an enabled one the built-in `deterministic` echoes, free of charge.",
    "models": "Models of those providers.",
    "defaults": "Which models `auto` begins with.",
    "budgets": "What may be spent. Here: each user 5 dollars a day, then an operator is asked; everybody 200 a month; "
    "and a warning about a team.",
    "governance": "What budgets, estimates and alerts do where nothing else is said.",
    "approvals": "A request over a budget that asks an operator.",
    "pricing": "Prices that replace the built-in list: a rate of your own, and a contract from July on.",
    "smart_routing": "How models are chosen for `auto`, and how strictly plans apply.",
    "runs": "A run's limits, and what is kept of it.",
    "breaker": "A provider that fails is left alone for a while.",
    "retries": "What is tried again on the same model.",
    "failover": "What is tried on another one.",
    "leases": "How many requests at a time a provider and a credential get.",
    "cache": "Answering an equal request of the same caller again, without asking the provider.",
    "scheduler": "When jobs run.",
    "jobs": "Work that comes again: a question each morning, a task each half hour, Palyra's own work once.",
    "tasks": "The background queue.",
    "healing": "Work that stands still is noticed.",
    "notifications": "Who is told when something needs a person.",
    "probes": "Services outside that are looked at.",
    "memory": "The notes that jobs and tasks keep.",
    "journal": "The database that remembers.",
    "console": "The screen.",
    "vault": "Where secrets are kept at rest.",
    "logging": "The engine's log.",
}
"""Every section in the order of the file."""

BELOW = {
    "healing.features": "Part by part.",
    "healing.silent_after": "Without a sign of life for this long, work counts as silent.",
    "healing.stalled_after": "Alive but without progress for this long, it counts as stalled.",
    "notifications.webhook": "Addresses that are told: one of your own, a channel of Slack, PagerDuty.",
}

VALUES = {
    "gateway.tls_cert": '"/etc/palyra/cert.pem"',
    "gateway.tls_key": '"/etc/palyra/key.pem"',
    "approvals.max_grant_usd": "50",
    "defaults.chat": '"small"',
    "defaults.embeddings": '"openai/text-embedding-3-small"',
    "memory.embeddings_model": '"openai/text-embedding-3-small"',
    "console.keys": '"approval.allow_once" = "f2"',
    "console.ascii": "true",
}
"""Examples for keys of plain tables that are unset by default."""

Row = tuple[str, str, dict[str, str]]
"""The table its keys belong to, its heading, and its keys as TOML."""

ROWS: dict[str, tuple[Row, ...]] = {
    "providers": (
        (
            "providers",
            "[providers.own]",
            {
                "kind": '"openai_compatible"',
                "enabled": "true",
                "probe": "true",
                "discover": "true",
                "discover_route": "false",
                "allow_private": "true",
                "base_url": '"http://10.0.0.5:8000/v1"',
                "auth_scheme": '"bearer"',
                "connect_timeout": '"5s"',
                "first_byte_timeout": '"120s"',
                "idle_timeout": '"60s"',
                "total_timeout": '"600s"',
                "discovery_ttl": '"5m"',
                "max_tokens_field": '"max_tokens"',
                "pricing_provider": '"openai"',
                "usage_dialect": '"auto"',
                "trust_reported_cost": "false",
            },
        ),
        (
            "providers",
            "[providers.anthropic]",
            {"kind": '"anthropic"', "auth_profiles": '["anthropic-1", "anthropic-2"]'},
        ),
        (
            "providers",
            "[providers.spare]",
            {"kind": '"anthropic"', "api_key_vault_ref": '"global/anthropic"'},
        ),
        ("providers", "[providers.openai]", {"kind": '"openai_compatible"', "api_key_env": '"UPSTREAM_OPENAI_KEY"'}),
        ("providers", "[providers.trial]", {"kind": '"openai_compatible"', "api_key": '"an-example"'}),
        ("providers", "[providers.rehearsal]", {"kind": '"deterministic"'}),
        (
            "providers.script",
            "[[providers.rehearsal.script]]",
            {
                "delay_ms": "250",
                "text": '"Hello."',
                "usage": "{ prompt_tokens = 3, completion_tokens = 2 }",
                "malformed": "false",
            },
        ),
        ("providers.script", "[[providers.rehearsal.script]]", {"status": "429", "retry_after": "2"}),
        ("providers.script", "[[providers.rehearsal.script]]", {"drop_after_chunks": "3"}),
    ),
    "models": (
        (
            "models",
            "[[models]]",
            {
                "provider": '"own"',
                "upstream": '"acme-7b"',
                "id": '"acme"',
                "role": '"chat"',
                "enabled": "true",
                "aliases": '["house"]',
                "failover": '["small"]',
                "max_context": "32768",
                "max_output": "4096",
                "streaming": "true",
                "tools": "false",
                "json": "true",
                "vision": "false",
                "reasoning": "false",
                "responses": "false",
                "tier": '"low"',
                "free": "false",
                "image_tokens_bound": "5000",
            },
        ),
        ("models", "[[models]]", {"provider": '"openai"', "upstream": '"gpt-4o-mini"', "aliases": '["small"]'}),
        (
            "models",
            "[[models]]",
            {"provider": '"openai"', "upstream": '"text-embedding-3-small"', "role": '"embeddings"'},
        ),
    ),
    "budgets": (
        (
            "budgets",
            "[[budgets]]",
            {
                "policy_id": '"user-day"',
                "name": '"Each user, each day"',
                "enabled": "true",
                "scope_kind": '"user"',
                "scope_id": '"*"',
                "metric_kind": '"estimated_cost_usd"',
                "interval_kind": '"daily"',
                "timezone": '"Europe/Prague"',
                "hard_limit": '"5.00"',
                "soft_limit": '"80%"',
                "action": '"approval_required"',
                "routing_override": '"degrade"',
                "on_unknown_price": '"flat:1.00"',
            },
        ),
        ("budgets", "[[budgets]]", {"policy_id": '"all-month"', "hard_limit": "200"}),
        (
            "budgets",
            "[[budgets]]",
            {
                "policy_id": '"team-red"',
                "scope_kind": '"tag"',
                "scope_id": '"team=red"',
                "metric_kind": '"total_tokens"',
                "interval_kind": '"rolling_24h"',
                "soft_limit": "5_000_000",
            },
        ),
    ),
    "pricing": (
        (
            "pricing",
            "[[pricing]]",
            {
                "provider": '"own"',
                "model": '"acme-*"',
                "input": "0.20",
                "output": '"0.60"',
                "cache_read": "0.02",
                "cache_write": "0.25",
                "cache_write_1h": "0.40",
                "reasoning": "0.60",
                "audio_input": "1",
                "audio_output": "2",
                "image_input": "0.20",
                "web_search": "10",
                "per_request": "0",
            },
        ),
        (
            "pricing",
            "[[pricing]]",
            {
                "provider": '"openai"',
                "model": '"gpt-4o-mini"',
                "from": "2026-07-01",
                "to": "2027-07-01T00:00:00+02:00",
                "discount": '"0.15"',
            },
        ),
    ),
    "jobs": (
        (
            "jobs",
            "[[jobs]]",
            {
                "name": '"morning report"',
                "enabled": "true",
                "cron": '"0 8 * * mon-fri"',
                "timezone": '"Europe/Prague"',
                "jitter_ms": "0",
                "misfire": '"catch_up"',
                "max_lateness": '"2h"',
                "concurrency": '"forbid"',
                "max_attempts": "3",
                "backoff_ms": "1000",
                "max_duration": '"1h"',
                "max_runs": "500",
                "action": '"prompt"',
                "prompt": '"What happened yesterday?"',
                "model": '"auto"',
                "max_tokens": "800",
                "json": "false",
                "owner": '"local"',
                "session": '"reports"',
                "channel": '"ops"',
                "agent": '"reporter"',
                "tags": '["team=red"]',
                "remember": "true",
                "recall": "3",
            },
        ),
        (
            "jobs",
            "[[jobs]]",
            {
                "name": '"tidy inbox"',
                "every": '"30m"',
                "action": '"task"',
                "task": '"classification"',
                "input": '"Sort what came in."',
            },
        ),
        (
            "jobs",
            "[[jobs]]",
            {
                "name": '"new year vacuum"',
                "at": "2027-01-01T03:00:00+01:00",
                "action": '"maintenance"',
                "maintenance": '"journal_vacuum"',
            },
        ),
    ),
    "notifications.webhook": (
        (
            "notifications.webhook",
            "[[notifications.webhook]]",
            {
                "name": '"own"',
                "url": '"https://ops.example.com/palyra"',
                "format": '"json"',
                "events": '["opened", "reopened", "escalated", "resolved"]',
                "min_severity": '"medium"',
                "secret_ref": '"global/webhook-own"',
                "allow_private": "false",
            },
        ),
        (
            "notifications.webhook",
            "[[notifications.webhook]]",
            {
                "name": '"channel"',
                "format": '"slack"',
                "url": '"https://hooks.slack.com/services"',
                "secret_ref": '"global/slack-channel"',
                "min_severity": '"high"',
            },
        ),
        (
            "notifications.webhook",
            "[[notifications.webhook]]",
            {
                "name": '"pager"',
                "format": '"pagerduty"',
                "url": '"https://events.pagerduty.com/v2/enqueue"',
                "secret_ref": '"global/pagerduty"',
                "min_severity": '"critical"',
            },
        ),
    ),
    "probes": (
        (
            "probes",
            "[[probes]]",
            {
                "id": '"browser"',
                "target": '"https://browser.example.com/health"',
                "kind": '"http"',
                "component": '"browser"',
                "enabled": "true",
                "interval": '"60s"',
                "timeout": '"5s"',
                "expect_status": "[200, 204]",
                "fail_after": "3",
                "recover_after": "1",
                "critical": "false",
                "secret_ref": '"global/browser-probe"',
            },
        ),
        ("probes", "[[probes]]", {"id": '"mail"', "target": '"127.0.0.1:25"', "kind": '"tcp"'}),
        ("probes", "[[probes]]", {"id": '"agent"', "target": '"/run/agent.sock"', "kind": '"unix"'}),
    ),
}
