"""The list of keys as operators know it: defaults, what is accepted up to its limits, what is refused beyond."""

from decimal import Decimal
from pathlib import Path
from typing import Any

from palyra.config.choices import Percent, RoutingOverride, UnknownPrice
from palyra.config.operations import NoticeEvent

S, M, H, D = 1_000, 60_000, 3_600_000, 86_400_000
KIB, MIB, GIB = 1024, 1024**2, 1024**3

# section, key, default as typed, accepted (as the file spells it -> typed), refused (code -> spellings)
Row = tuple[str, str, Any, dict[str, Any], dict[str, list[str]]]


def flag(section: str, key: str, default: bool | None) -> Row:
    return (section, key, default, {"true": True, "false": False}, {"wrong_type": ['"true"', "1", "0.0"]})


def whole(section: str, key: str, default: int | None, low: int, high: int | None) -> Row:
    accepted = {str(low): low} | ({str(high): high} if high is not None else {"123456": 123456})
    beyond = [str(low - 1)] + ([str(high + 1)] if high is not None else [str(2**63)])
    return (section, key, default, accepted, {"out_of_range": beyond, "wrong_type": ['"7"', "7.0", "true", "[7]"]})


def ratio(section: str, key: str, default: float) -> Row:
    accepted = {"0": 0.0, "0.0": 0.0, "1": 1.0, "0.5": 0.5}
    return (
        section,
        key,
        default,
        accepted,
        {"out_of_range": ["-0.1", "1.7", "inf", "nan"], "wrong_type": ['"0.5"', "true"]},
    )


def duration(section: str, key: str, default: int | None, low: str, low_ms: int, high: str, high_ms: int) -> Row:
    beyond = [f'"{high_ms + 1}ms"'] + ([f'"{low_ms - 1}ms"'] if low_ms else ["-1"])
    wrong = ['"7"', '"x"', '""', '"1 s"', "1.5", "true", '"-1s"', '"1.5s"', '"1s "']
    return (
        section,
        key,
        default,
        {f'"{low}"': low_ms, f'"{high}"': high_ms},
        {"out_of_range": beyond, "wrong_type": wrong},
    )


def size(section: str, key: str, default: int, low: int, high: int) -> Row:
    beyond = [str(high + 1)] + ([str(low - 1)] if low else ["-1"])
    wrong = ['"7"', '"1MB"', '"x"', '"1 MiB"', '"-1B"', "1.5", "true", '""']
    return (section, key, default, {str(low): low, f'"{high}B"': high}, {"out_of_range": beyond, "wrong_type": wrong})


def choice(section: str, key: str, default: str | None, words: str) -> Row:
    accepted = {f'"{word}"': word for word in words.split()}
    return (section, key, default, accepted, {"unknown_choice": ['"nonsense"', '""'], "wrong_type": ["1", "true"]})


def text(section: str, key: str, default: Any, accepted: dict[str, Any], *refused: str) -> Row:
    return (section, key, default, accepted, {"wrong_type": ["3", "true", "[]", *refused]})


def zone(section: str, key: str, default: str) -> Row:
    accepted = {'"UTC"': "UTC", '"Europe/Prague"': "Europe/Prague"}
    return (
        section,
        key,
        default,
        accepted,
        {"unknown_choice": ['"Prague"', '"europe/prague"', '""'], "wrong_type": ["1"]},
    )


def usd(section: str, key: str, default: int | None) -> Row:
    accepted = {"0": 0, "0e99": 0, "2": 2 * 10**9, "0.000000001": 1, '"12.50"': 12_500_000_000, "1.50e1": 15 * 10**9}
    refused = {
        "out_of_range": ["-1", "-0.5", "inf", "nan", "9000000001", "1e300", "1e999999999999"],
        "precision": ["0.0000000001", "1e-300", '"0.1234567891"'],
        "wrong_type": ["true", '""', '"$5"', '"1e3"', '"x"', '"1_000"', "[1]"],
    }
    return (section, key, default, accepted, refused)


PATHS = {'"/etc/x.pem"': Path("/etc/x.pem"), '"x/y"': Path("x/y")}
BAD_PATHS = {"out_of_range": ['""', '"~/x"', '"a\\u0000b"'], "wrong_type": ["1"]}
REFERENCES = {
    '"global/a"': "global/a",
    '"principal:Ops:x/K.1"': "principal:Ops:x/K.1",
    '"channel:a:b/k"': "channel:a:b/k",
}
BAD_REFERENCES = {
    "bad_reference": ['"openai"', '"global/"', '"global/a/b"', '"channel:a/k"', '" global/a"'],
    "wrong_type": ["1"],
}

GATEWAY = [
    (
        "gateway",
        "bind",
        "127.0.0.1:7142",
        {'"localhost:0"': "localhost:0", '"[::1]:65535"': "[::1]:65535"},
        {
            "wrong_type": ['"127.0.0.1"', '":7142"', '"::1:80"', '"a b:1"', '"1.2.3:4"', '"x:-1"', "7142"],
            "out_of_range": ['"localhost:65536"'],
        },
    ),
    flag("gateway", "allow_remote", False),
    flag("gateway", "expose_amounts", True),
    (
        "gateway",
        "allowed_hosts",
        (),
        {'["palyra.example", "[::1]"]': ("palyra.example", "[::1]"), "[]": ()},
        {"wrong_type": ['"x"', "[1]", '["http://x"]']},
    ),
    (
        "gateway",
        "allowed_origins",
        (),
        {
            '["https://x.example"]': ("https://x.example",),
            '["http://[::1]:8080/", "app-scheme://x"]': ("http://[::1]:8080/", "app-scheme://x"),
        },
        {"wrong_type": ['"x"', "[true]", '["*"]', '["x.example"]', '["https://x.example/page"]', '["https://"]']},
    ),
    size("gateway", "max_body", 32 * MIB, KIB, 32 * MIB),
    size("gateway", "max_headers", 16 * KIB, KIB, 32 * MIB),
    size("gateway", "max_url", 4 * KIB, KIB, 32 * MIB),
    whole("gateway", "max_json_depth", 128, 8, 512),
    duration("gateway", "header_timeout", 10 * S, "1s", S, "10m", 10 * M),
    duration("gateway", "body_timeout", 60 * S, "1s", S, "10m", 10 * M),
    duration("gateway", "idle_timeout", 75 * S, "1s", S, "10m", 10 * M),
    duration("gateway", "stall_timeout", 60 * S, "1s", S, "10m", 10 * M),
    size("gateway", "stream_buffer", 256 * KIB, 64 * KIB, 16 * MIB),
    whole("gateway", "max_connections", 1024, 1, 100_000),
    whole("gateway", "max_runs", 256, 1, 100_000),
    whole("gateway", "max_waiting", 256, 1, 100_000),
    whole("gateway", "max_parked", 64, 1, 10_000),
    whole("gateway", "max_parked_per_key", 16, 1, 10_000),
    whole("gateway", "keepalive_seconds", 10, 1, 60),
    whole("gateway", "drain_seconds", 10, 0, 300),
]
JOURNAL = [
    whole("journal", "commit_window_ms", 0, 0, 50),
    whole("journal", "checkpoint_pages", 1000, 100, 100_000),
    whole("journal", "backup_keep", 3, 1, 50),
    ("journal", "disk_low", GIB, {'"65MiB"': 65 * MIB}, {"wrong_type": ['"1GB"']}),
    ("journal", "disk_stop", 64 * MIB, {"0": 0}, {"wrong_type": ['"1GB"'], "out_of_range": ["-1"]}),
]
GOVERNANCE = [
    zone("governance", "timezone", "UTC"),
    (
        "governance",
        "on_unknown_price",
        UnknownPrice(),
        {'"block"': "block", '"allow"': "allow", '"flat:0.000000001"': "flat:0.000000001"},
        {
            "unknown_choice": ['"deny"', '"flat"', '"block:1"'],
            "wrong_type": ["1", '"flat:x"'],
            "precision": ['"flat:0.0000000001"'],
            "out_of_range": ['"flat:-1"'],
        },
    ),
    choice("governance", "bound_estimator", "calibrated", "calibrated proven"),
    flag("governance", "clamp_output", True),
    whole("governance", "min_output_tokens", 64, 1, 8192),
    choice("governance", "orphan_holds", "charge", "charge release"),
    usd("governance", "spike_usd", 500_000_000),
    duration("governance", "alert_lookback", 24 * H, "1h", H, "30d", 30 * D),
    duration("governance", "alert_cooldown", 15 * M, "0s", 0, "7d", 7 * D),
    whole("governance", "model_mix_percent", 75, 51, 100),
    whole("governance", "model_mix_min_runs", 20, 1, 100_000),
]
RUNS = [
    whole("runs", "default_output_tokens", 1024, 1, 1_000_000),
    whole("runs", "slice_tokens", 512, 16, 8192),
    duration("runs", "max_duration", H, "1s", S, "24h", 24 * H),
    choice("runs", "store_content", "none", "none redacted full"),
    whole("runs", "retention_days", 400, 31, 3650),
]
ROUTING = [
    choice("smart_routing", "default_mode", "enforced", "suggest dry_run enforced"),
    flag("smart_routing", "enabled", True),
    flag("smart_routing", "auxiliary_routing_enabled", True),
    flag("smart_routing", "explicit_models", False),
    ("smart_routing", "complexity_low", 0.35, {"0": 0.0, "0.74": 0.74}, ratio("", "", 0)[4]),
    ("smart_routing", "complexity_high", 0.75, {"1": 1.0, "0.36": 0.36}, ratio("", "", 0)[4]),
]
APPROVALS = [
    whole("approvals", "park_seconds", 60, 0, 600),
    duration("approvals", "ttl", 15 * M, "1m", M, "24h", 24 * H),
    flag("approvals", "four_eyes", False),
    usd("approvals", "max_grant_usd", None),
]
RESILIENCE = [
    whole("breaker", "failures", 3, 1, 100),
    ratio("breaker", "ratio", 0.5),
    duration("breaker", "window", 30 * S, "1s", S, "10m", 10 * M),
    ("breaker", "cooldown", 30 * S, {'"1s"': S, '"5m"': 5 * M}, {"out_of_range": ['"999ms"', '"601s"']}),
    ("breaker", "cooldown_cap", 300 * S, {'"30s"': 30 * S, '"1h"': H}, {"out_of_range": ['"61m"']}),
    whole("retries", "max", 2, 0, 10),
    whole("retries", "base_ms", 150, 10, 10_000),
    flag("failover", "enabled", True),
    whole("failover", "max_candidates", 3, 1, 10),
    ("leases", "provider_start", 4, {"1": 1, "64": 64}, {"out_of_range": ["0", "1001"]}),
    ("leases", "provider_max", 64, {"4": 4, "1000": 1000}, {"out_of_range": ["0", "1001"]}),
    ("leases", "credential_start", 2, {"1": 1, "32": 32}, {"out_of_range": ["0", "1001"]}),
    ("leases", "credential_max", 32, {"2": 2, "1000": 1000}, {"out_of_range": ["0", "1001"]}),
    flag("cache", "enabled", False),
    duration("cache", "ttl", 30 * S, "1s", S, "1h", H),
    whole("cache", "entries", 128, 1, 10_000),
]
OPERATIONS = [
    flag("scheduler", "enabled", True),
    zone("scheduler", "timezone", "UTC"),
    whole("scheduler", "max_concurrent", 8, 1, 256),
    whole("scheduler", "pause_after_failures", 0, 0, 100),
    whole("tasks", "concurrency", 4, 1, 256),
    whole("tasks", "retention_days", 30, 1, 3650),
    choice("healing", "mode", "auto", "disabled observe_only auto"),
    *(
        choice("healing.features", feature, "auto", "disabled observe_only auto")
        for feature in ("runs", "tasks", "jobs", "approvals", "providers", "external", "storage", "notifications")
    ),
    *(
        duration("healing.silent_after", kind, 600 * S if kind == "approval" else 120 * S, "1s", S, "24h", 24 * H)
        for kind in ("run", "background_task", "cron_job", "approval", "external")
    ),
    duration("healing.stalled_after", "run", 300 * S, "1s", S, "24h", 24 * H),
    duration("healing.stalled_after", "background_task", 600 * S, "1s", S, "24h", 24 * H),
    choice("notifications", "bell", "auto", "auto on off"),
    choice("notifications", "osc9", "auto", "auto on off"),
    flag("memory", "enabled", True),
    whole("memory", "max_entries", 10_000, 0, None),
    size("memory", "max_bytes", 64 * MIB, 0, 2**53),
    ("memory", "ttl_days", 90, {"0": 0, "1": 1}, {"out_of_range": ["-1"], "wrong_type": ['"90"']}),
    (
        "memory",
        "vacuum_cron",
        "0 0 * * 0",
        {'"*/5  3 * jan-mar mon"': "*/5 3 * jan-mar mon"},
        {"bad_schedule": ['"0 0 * *"', '""', '"60 * * * *"'], "wrong_type": ["5"]},
    ),
    choice(
        "console",
        "theme",
        "palyra-dark",
        "palyra-dark palyra-light palyra-contrast palyra-cvd ansi-dark ansi-light",
    ),
    whole("console", "refresh_hz", 4, 1, 4),
    flag("console", "show_prompts", False),
    flag("console", "mouse", True),
    flag("console", "ascii", None),
    (
        "console",
        "timezone",
        "local",
        {'"local"': "local", '"Asia/Tokyo"': "Asia/Tokyo"},
        {"unknown_choice": ['"Mars/Olympus"'], "wrong_type": ["1"]},
    ),
    choice("vault", "key_source", "auto", "auto env file keyring"),
    ("vault", "key_file", Path("vault/vault.key"), PATHS, BAD_PATHS),
    choice("logging", "level", "info", "debug info warning error"),
    choice("logging", "format", "text", "text json"),
    ("logging", "file", Path("logs/palyra.log"), PATHS, BAD_PATHS),
    size("logging", "max_size", 10 * MIB, 64 * KIB, GIB),
    whole("logging", "keep", 5, 1, 100),
]
ID_REFUSED = {"wrong_type": ['""', '"A"', '"-a"', '"a b"', f'"{"a" * 65}"', "1"]}
ID_ACCEPTED = {f'"{"a" * 64}"': "a" * 64, '"0.x_y-z"': "0.x_y-z"}
BUDGET = '[[budgets]]\npolicy_id = "b"\nhard_limit = 10\n'
BUDGETS = [
    text("budgets", "name", "b", {f'"{"é" * 120}"': "é" * 120}),
    flag("budgets", "enabled", True),
    choice("budgets", "interval_kind", "monthly", "hourly daily weekly monthly rolling_24h rolling_30d lifetime"),
    zone("budgets", "timezone", "UTC"),
    choice("budgets", "action", "block", "block approval_required advise"),
    (
        "budgets",
        "routing_override",
        RoutingOverride(),
        {'"none"': "none", '"degrade"': "degrade", '"mode:dry_run"': "mode:dry_run"},
        {"unknown_choice": ['"mode:loose"', '"mode"', '"none:x"', '"model:"', '"model:auto"'], "wrong_type": ["1"]},
    ),
    (
        "budgets",
        "soft_limit",
        Percent(Decimal(80)),
        {'"1%"': "1%", '"100%"': "100%", '"62.5%"': "62.5%", "10": 10 * 10**9, '"0"': 0},
        {
            "out_of_range": ['"0%"', '"101%"', '"100.01%"'],
            "wrong_type": ['"80 %"', '"%"', '"8%%"', '"-1%"', "true"],
            "precision": ["0.0000000001"],
        },
    ),
    ("budgets", "on_unknown_price", UnknownPrice(), {'"block"': "block"}, {"unknown_choice": ['"flat"']}),
]
PROVIDER = '[providers.p]\nkind = "openai_compatible"\n'
PROVIDERS = [
    flag("providers.p", "enabled", True),
    flag("providers.p", "probe", True),
    flag("providers.p", "discover", True),
    flag("providers.p", "discover_route", False),
    flag("providers.p", "allow_private", False),
    flag("providers.p", "trust_reported_cost", False),
    ("providers.p", "auth_profiles", (), {'["a", "b"]': ("a", "b")}, {"wrong_type": ['"a"', '["A"]', "[1]"]}),
    ("providers.p", "api_key_vault_ref", None, REFERENCES, BAD_REFERENCES),
    (
        "providers.p",
        "api_key_env",
        None,
        {'"OPENAI_API_KEY"': "OPENAI_API_KEY", '"_x1"': "_x1"},
        {"wrong_type": ['""', '"1x"', '"sk-abc"', "1"]},
    ),
    choice("providers.p", "auth_scheme", "bearer", "bearer x-api-key"),
    duration("providers.p", "connect_timeout", 5 * S, "100ms", 100, "1h", H),
    duration("providers.p", "first_byte_timeout", 120 * S, "100ms", 100, "1h", H),
    duration("providers.p", "idle_timeout", 60 * S, "100ms", 100, "1h", H),
    duration("providers.p", "total_timeout", 600 * S, "100ms", 100, "1h", H),
    duration("providers.p", "discovery_ttl", 5 * M, "1m", M, "24h", 24 * H),
    choice("providers.p", "max_tokens_field", "max_completion_tokens", "max_tokens max_completion_tokens"),
    text("providers.p", "pricing_provider", None, {'"openai"': "openai"}),
    choice("providers.p", "usage_dialect", "auto", "auto inclusive additive"),
]
MODEL = '[providers.p]\nkind = "openai_compatible"\n[[models]]\nprovider = "p"\nupstream = "u"\n'
MODELS = [
    (
        "models",
        "id",
        "p/u",
        {'"A:b/c@d-e_f.g"': "A:b/c@d-e_f.g"},
        {"wrong_type": ['"auto"', '""', '"/x"', '"a b"', f'"{"a" * 129}"', "1"]},
    ),
    choice("models", "role", "chat", "chat embeddings audio_transcription"),
    flag("models", "enabled", True),
    ("models", "aliases", (), {'["x", "y"]': ("x", "y")}, {"wrong_type": ['"x"', '["auto"]', "[1]"]}),
    ("models", "failover", (), {'["p/u"]': ("p/u",)}, {"wrong_type": ['"x"', "[1]"], "bad_reference": []}),
    whole("models", "max_context", None, 1, 10_000_000),
    whole("models", "max_output", None, 1, 10_000_000),
    *(flag("models", key, None) for key in ("streaming", "tools", "json", "vision", "reasoning", "responses")),
    choice("models", "tier", None, "low standard premium"),
    flag("models", "free", False),
    whole("models", "image_tokens_bound", 5000, 1, 1_000_000),
]
JOB = '[[jobs]]\nname = "j"\nevery = "1h"\naction = "prompt"\nprompt = "x"\n'
JOBS = [
    flag("jobs", "enabled", True),
    zone("jobs", "timezone", "UTC"),
    whole("jobs", "jitter_ms", 0, 0, 60_000),
    choice("jobs", "misfire", "skip", "skip catch_up"),
    ("jobs", "max_lateness", None, {'"1s"': S, "90": 90 * S}, {"out_of_range": ['"999ms"', "0"]}),
    choice("jobs", "concurrency", "forbid", "forbid queue replace"),
    whole("jobs", "max_attempts", 1, 1, 16),
    whole("jobs", "backoff_ms", 1000, 1, 60_000),
    duration("jobs", "max_duration", H, "1s", S, "24h", 24 * H),
    whole("jobs", "max_runs", None, 1, None),
    ("jobs", "model", "auto", {'"auto"': "auto"}, {"wrong_type": ["1", '""']}),
    whole("jobs", "max_tokens", None, 1, 10_000_000),
    flag("jobs", "json", False),
    text("jobs", "owner", "local", {'"ops@x:1"': "ops@x:1"}, '"a b"', '"a/b"'),
    text("jobs", "session", "job:j", {'"s"': "s"}),
    text("jobs", "channel", None, {'"a/b"': "a/b"}, '"a b"'),
    text("jobs", "agent", None, {'"a/b"': "a/b"}, '"a b"'),
    (
        "jobs",
        "tags",
        (),
        {'["team=red"]': ("team=red",), repr([f"a{n}=x" for n in range(16)]): tuple(f"a{n}=x" for n in range(16))},
        {"wrong_type": ['["team"]', '["T=x"]', '"team=red"'], "out_of_range": [repr([f"a{n}=x" for n in range(17)])]},
    ),
    flag("jobs", "remember", False),
    whole("jobs", "recall", 0, 0, 8),
]
WEBHOOK = '[[notifications.webhook]]\nname = "w"\nurl = "https://x.example"\n'
WEBHOOKS = [
    (
        "notifications.webhook",
        "events",
        tuple(NoticeEvent),
        {'["opened", "alert"]': ("opened", "alert"), "[]": ()},
        {"unknown_choice": ['["closed"]'], "wrong_type": ['"opened"']},
    ),
    choice("notifications.webhook", "min_severity", "medium", "low medium high critical"),
    choice("notifications.webhook", "format", "json", "json slack"),
    ("notifications.webhook", "secret_ref", None, REFERENCES, BAD_REFERENCES),
    flag("notifications.webhook", "allow_private", False),
]
PROBE = '[[probes]]\nid = "p"\ntarget = "https://x.example"\n'
PROBES = [
    choice("probes", "component", "connector", "connector browser other"),
    flag("probes", "enabled", True),
    ("probes", "interval", 60 * S, {'"6s"': 6 * S, '"24h"': 24 * H}, {"out_of_range": ['"4999ms"', '"25h"']}),
    duration("probes", "timeout", 5 * S, "100ms", 100, "30s", 30 * S),
    (
        "probes",
        "expect_status",
        (200,),
        {"[100, 599]": (100, 599)},
        {"out_of_range": ["[99]", "[600]"], "wrong_type": ["200", '["200"]']},
    ),
    whole("probes", "fail_after", 3, 1, 100),
    whole("probes", "recover_after", 1, 1, 100),
    flag("probes", "critical", False),
    ("probes", "secret_ref", None, REFERENCES, BAD_REFERENCES),
]
STEP = '[providers.p]\nkind = "deterministic"\n[[providers.p.script]]\n'
STEPS = [
    whole("providers.p.script", "delay_ms", 0, 0, 3_600_000),
    whole("providers.p.script", "status", None, 100, 599),
    whole("providers.p.script", "retry_after", None, 0, 86_400),
    whole("providers.p.script", "drop_after_chunks", None, 0, None),
    ("providers.p.script", "usage", None, {"{prompt_tokens = 3}": {"prompt_tokens": 3}}, {"wrong_type": ["3", "[]"]}),
    text("providers.p.script", "text", None, {'""': "", '"x"': "x"}),
    flag("providers.p.script", "malformed", False),
]
PRICE = '[providers.p]\nkind = "deterministic"\n[[pricing]]\nprovider = "p"\nmodel = "m"\nper_request = 1\n'
PRICES = [
    usd("pricing", rate, None)
    for rate in (
        "input",
        "output",
        "cache_read",
        "cache_write",
        "cache_write_1h",
        "reasoning",
        "audio_input",
        "audio_output",
        "image_input",
        "web_search",
    )
] + [
    (
        "pricing",
        "from",
        None,
        {"1970-01-02": D, "1970-01-01T01:00:00.5+01:00": 500},
        {"wrong_type": ['"1970-01-02"', "1970-01-01T00:00:00", "3", "10:00:00"]},
    ),
    (
        "pricing",
        "to",
        None,
        {"1970-01-02": D, "1970-01-01T00:00:00Z": 0},
        {"wrong_type": ['"1970-01-02"', "1970-01-01T00:00:00", "3"]},
    ),
]

TABLES: list[tuple[str, list[Row]]] = [
    *(("", rows) for rows in (GATEWAY, JOURNAL, GOVERNANCE, RUNS, ROUTING, APPROVALS, RESILIENCE, OPERATIONS)),
    (BUDGET, BUDGETS),
    (PROVIDER, PROVIDERS),
    (STEP, STEPS),
    (MODEL, MODELS),
    (PRICE, PRICES),
    (JOB, JOBS),
    (WEBHOOK, WEBHOOKS),
    (PROBE, PROBES),
]
