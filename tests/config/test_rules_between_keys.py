"""Keys that must suit each other; jobs, webhooks, probes."""

import pytest

from palyra.config.amounts import parse_duration, parse_size, spell_duration, spell_size
from palyra.config.operations import HealingMode
from tests.config.loading import found, load, sound


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('[journal]\ndisk_low = "64MiB"\n', "journal.disk_low"),
        ('[journal]\ndisk_stop = "1GiB"\n', "journal.disk_stop"),
        ("[smart_routing]\ncomplexity_low = 0.75\n", "smart_routing.complexity_low"),
        ("[smart_routing]\ncomplexity_high = 0.35\n", "smart_routing.complexity_high"),
        ('[approvals]\npark_seconds = 61\nttl = "1m"\n', "approvals.park_seconds"),
        ('[breaker]\ncooldown = "5m1s"\n', "breaker.cooldown"),
        ('[breaker]\ncooldown_cap = "29s"\n', "breaker.cooldown_cap"),
        ("[leases]\nprovider_start = 65\n", "leases.provider_start"),
        ("[leases]\ncredential_max = 1\n", "leases.credential_max"),
    ],
)
def test_an_order_that_does_not_hold_is_a_conflict(text: str, key: str) -> None:
    assert found(text) == [("conflict", key)]


@pytest.mark.parametrize(
    "text",
    [
        '[journal]\ndisk_low = "65MiB"\n',
        '[approvals]\npark_seconds = 60\nttl = "1m"\n',
        '[breaker]\ncooldown_cap = "30s"\n',
        "[leases]\nprovider_start = 64\ncredential_max = 2\n",
    ],
)
def test_an_order_that_just_holds_is_fine(text: str) -> None:
    assert found(text) == []


def test_a_broken_value_is_not_also_in_conflict() -> None:
    assert found("[leases]\nprovider_start = 0\nprovider_max = 0\n") == [
        ("out_of_range", "leases.provider_start"),
        ("out_of_range", "leases.provider_max"),
    ]


def test_healing_features_follow_the_mode_unless_they_say_otherwise() -> None:
    features = sound('[healing]\nmode = "observe_only"\n[healing.features]\njobs = "disabled"\n').healing.features
    assert (features.runs, features.jobs) == (HealingMode.OBSERVE_ONLY, HealingMode.DISABLED)


def job(
    *lines: str, name: str = "j", schedule: str = 'every = "1h"', action: str = 'action = "prompt"\nprompt = "x"'
) -> str:
    return "\n".join(["[[jobs]]", f'name = "{name}"', schedule, action, *lines, ""])


@pytest.mark.parametrize(
    "schedule",
    ['cron = "0 3 * * 1-5"', 'every = "1s"', 'every = "366d"', "every = 90", "at = 2026-12-24T18:00:00+01:00"],
)
def test_a_job_has_one_schedule(schedule: str) -> None:
    row = sound(job(schedule=schedule)).jobs[0]
    assert [row.cron, row.every, row.at].count(None) == 2


@pytest.mark.parametrize(
    ("schedule", "problem"),
    [
        ("", ("missing", "jobs[0]")),
        ('cron = "0 3 * * *"\nevery = "1h"', ("conflict", "jobs[0].every")),
        ('every = "200ms"', ("out_of_range", "jobs[0].every")),
        ("at = 2026-12-24T18:00:00", ("wrong_type", "jobs[0].at")),
        ("at = 2026-12-24", ("wrong_type", "jobs[0].at")),
        ('at = "2026-12-24T18:00:00Z"', ("wrong_type", "jobs[0].at")),
        ('cron = "0 3 * *"', ("bad_schedule", "jobs[0].cron")),
    ],
)
def test_other_schedules_are_refused(schedule: str, problem: tuple[str, str]) -> None:
    assert found(job(schedule=schedule)) == [problem]


@pytest.mark.parametrize(
    ("action", "problem"),
    [
        ('action = "prompt"', ("missing", "jobs[0].prompt")),
        ('action = "task"', ("missing", "jobs[0].task")),
        ('action = "maintenance"', ("missing", "jobs[0].maintenance")),
        ('action = "task"\ntask = "summary"\ninput = "y"\nprompt = "x"', ("conflict", "jobs[0].prompt")),
        ('action = "task"\ntask = "summary"', ("missing", "jobs[0].input")),
        ('action = "task"\ntask = "delegation_prompt"\ninput = "x"', ("conflict", "jobs[0].task")),
        ('action = "task"\ntask = "cooking"', ("unknown_choice", "jobs[0].task")),
        ('action = "maintenance"\nmaintenance = "cleaning"', ("unknown_choice", "jobs[0].maintenance")),
        ('action = "dance"\nprompt = "x"', ("unknown_choice", "jobs[0].action")),
        ('prompt = "x"', ("missing", "jobs[0].action")),
        (f'action = "prompt"\nprompt = "{"x" * 16_385}"', ("out_of_range", "jobs[0].prompt")),
        (f'action = "prompt"\nprompt = "{"é" * 8_193}"', ("out_of_range", "jobs[0].prompt")),
        ('action = "prompt"\nprompt = "x"\nmodel = "none-such"', ("bad_reference", "jobs[0].model")),
    ],
)
def test_a_job_needs_what_its_action_needs(action: str, problem: tuple[str, str]) -> None:
    assert found(job(action=action)) == [problem]


@pytest.mark.parametrize(
    "action",
    [
        f'action = "prompt"\nprompt = "{"x" * 16_384}"',
        'action = "task"\ntask = "summary"\ninput = "x"',
        'action = "maintenance"\nmaintenance = "rollup_check"',
    ],
)
def test_a_job_that_has_it_is_fine(action: str) -> None:
    assert found(job(action=action)) == []


@pytest.mark.parametrize(("name", "code"), [("", "out_of_range"), ("é" * 65, "out_of_range"), ("System.x", "conflict")])
def test_a_jobs_name_is_short_and_not_palyras_own(name: str, code: str) -> None:
    assert found(job(name=name)) == [(code, "jobs[0].name")]


def test_job_names_are_unique_whatever_their_case() -> None:
    assert found(job(name="Nightly") + job(name="nightly")) == [("duplicate_id", "jobs[1].name")]
    assert sound(job(name="é" * 64)).jobs[0].session == f"job:{'é' * 64}"


def test_a_job_takes_its_zone_from_the_scheduler_and_that_from_governance() -> None:
    zones = '[governance]\ntimezone = "Asia/Tokyo"\n'
    assert sound(zones + job()).jobs[0].timezone == "Asia/Tokyo"
    zones += '[scheduler]\ntimezone = "Europe/Prague"\n'
    assert sound(zones + job()).jobs[0].timezone == "Europe/Prague"
    assert sound(zones + job('timezone = "UTC"')).jobs[0].timezone == "UTC"


def webhook(name: str = "w", url: str = "https://x.example", *lines: str) -> str:
    return "\n".join(["[[notifications.webhook]]", f'name = "{name}"', f'url = "{url}"', *lines, ""])


def test_webhooks_have_names_and_callable_addresses() -> None:
    assert found(webhook() + webhook()) == [("duplicate_id", "notifications.webhook[1].name")]
    assert found(webhook(url="https://10.0.0.1")) == [("bad_url", "notifications.webhook[0].url")]
    assert found(webhook("w", "https://10.0.0.1", "allow_private = true")) == []
    assert found(webhook(url="http://x.example")) == [("bad_url", "notifications.webhook[0].url")]
    assert found('[[notifications.webhook]]\nname = "w"\n') == [("missing", "notifications.webhook[0].url")]


def test_a_webhook_of_pagerduty_needs_its_routing_key() -> None:
    address = "https://events.pagerduty.com/v2/enqueue"
    assert found(webhook("w", address, 'format = "pagerduty"')) == [("missing", "notifications.webhook[0].secret_ref")]
    key = 'secret_ref = "global/pagerduty"'
    assert sound(webhook("w", address, 'format = "pagerduty"', key)).notifications.webhook[0].format == "pagerduty"
    assert found(webhook("w", address, 'format = "pagerduty"', 'secret_ref = "x"')) == [
        ("bad_reference", "notifications.webhook[0].secret_ref")
    ]


def probe(target: str, kind: str = "http", *lines: str) -> str:
    return "\n".join(["[[probes]]", 'id = "p"', f'target = "{target}"', f'kind = "{kind}"', *lines, ""])


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("http", "http://10.0.0.5:8080/health"),
        ("http", "https://x.example"),
        ("tcp", "db.internal:5432"),
        ("tcp", "[::1]:1"),
        ("unix", "/run/x.sock"),
        ("unix", "/" + "x" * 106),
    ],
)
def test_a_probe_looks_at_a_target_of_its_kind(kind: str, target: str) -> None:
    assert sound(probe(target, kind)).probes[0].target == target


@pytest.mark.parametrize(
    ("kind", "target", "code"),
    [
        ("http", "db.internal:5432", "bad_url"),
        ("http", "/run/x.sock", "bad_url"),
        ("http", "https://u:p@x.example", "bad_url"),
        ("tcp", "https://x.example", "wrong_type"),
        ("tcp", "x.example:0", "out_of_range"),
        ("tcp", "x.example:65536", "out_of_range"),
        ("unix", "run/x.sock", "wrong_type"),
        ("unix", "/" + "x" * 107, "wrong_type"),
        ("unix", "/" + "é" * 54, "wrong_type"),
    ],
)
def test_a_probe_with_another_target_is_refused(kind: str, target: str, code: str) -> None:
    assert found(probe(target, kind)) == [(code, "probes[0].target")]


def test_a_probes_secret_travels_only_in_confidence() -> None:
    secret = 'secret_ref = "global/x"'
    assert found(probe("http://10.0.0.5", "http", secret)) == [("bad_url", "probes[0].target")]
    assert found(probe("https://10.0.0.5", "http", secret)) == []
    assert found(probe("http://localhost:1", "http", secret)) == []
    # These kinds only connect: nothing is sent that anybody could read.
    assert found(probe("db.internal:5432", "tcp", secret)) == []
    assert found(probe("/run/x.sock", "unix", secret)) == []


def test_a_probe_ends_before_the_next_one_begins() -> None:
    assert found(probe("https://x.example", "http", 'interval = "5s"', 'timeout = "5s"')) == [
        ("conflict", "probes[0].timeout")
    ]
    assert found(probe("https://x.example", "http", 'interval = "6s"', 'timeout = "5s"')) == []


def test_probe_ids_are_unique() -> None:
    assert found(probe("https://x.example") * 2) == [("duplicate_id", "probes[1].id")]


@pytest.mark.parametrize(("spelled", "milliseconds"), [("1d2h3m4s5ms", 93_784_005), ("90s", 90_000), ("0s", 0)])
def test_durations_are_spelled_as_they_are_read(spelled: str, milliseconds: int) -> None:
    assert parse_duration(spelled) == milliseconds
    assert parse_duration(spell_duration(milliseconds)) == milliseconds


@pytest.mark.parametrize(("spelled", "size"), [("64MiB", 64 * 1024**2), ("1GiB", 1024**3), ("3KiB", 3072), ("7B", 7)])
def test_sizes_are_spelled_as_they_are_read(spelled: str, size: int) -> None:
    assert (parse_size(spelled), spell_size(size)) == (size, spelled)


def test_a_message_names_the_limits_in_words() -> None:
    (problem,) = load('[gateway]\nidle_timeout = "2h"\nmax_body = "1GiB"\n').problems[:1]
    assert "1s to 10m" in str(problem)


@pytest.mark.parametrize(
    ("spelled", "shown"),
    [
        ("true", "got true"),
        ('"7"', 'got "7"'),
        ("7.50", "got 7.50"),
        ("[1, 2]", "got a list"),
        ("{ a = 1 }", "got a table"),
        ("2026-01-02", "got a date"),
        ("2026-01-02T03:04:05Z", "got a datetime"),
        (f'"{"x" * 100}"', f'got "{"x" * 60}…"'),
        ('"a\\nb"', 'got "a\\nb"'),
        ("1e300", "got a number of many digits"),
    ],
)
def test_a_message_shows_what_was_found_in_brief(spelled: str, shown: str) -> None:
    (problem,) = load(f"[tasks]\nconcurrency = {spelled}\n").problems
    assert problem.message == f"a whole number was expected, {shown}"
    assert problem.fix == "Write a whole number from 1 to 256"


def test_an_absurd_number_is_not_spelled_out() -> None:
    (problem,) = load(f"[tasks]\nconcurrency = {'9' * 4000}\n").problems
    assert problem.message == "a number of many digits is outside 1-256"


def test_a_missing_key_says_what_to_write() -> None:
    (problem,) = load("[providers.p]\n").problems
    assert problem.fix == "Write one of: deterministic, openai_compatible, anthropic"
