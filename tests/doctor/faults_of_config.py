"""Ways in which a configuration goes wrong."""

import os
import shutil
from collections.abc import Callable

from tests.doctor.fault import BLOCKING, INFO, WARNING, Fault
from tests.doctor.faults_of_state import sees
from tests.doctor.healthy import CONFIG, Patient

RESTORE, ANEW, INIT = ("config.restore_backup",), ("config.reinitialize",), ("config.initialize",)
CHMOD = ("config.permissions",)
BROKEN = CONFIG[: CONFIG.index("hard_limit = 50.0") + 6]

Inflict = Callable[[Patient], object]


def text(data: bytes | str, mode: int = 0o600) -> Inflict:
    return lambda patient: patient.configure(data, mode)


def swapped(old: str, new: str) -> Inflict:
    assert old in CONFIG
    return text(CONFIG.replace(old, new, 1))


def added(more: str) -> Inflict:
    return text(f"{CONFIG}\n{more}")


def variable(name: str, value: str) -> Inflict:
    def inflict(patient: Patient) -> None:
        patient.environ[name] = value

    return inflict


def broken_with(*backups: str | bytes | None) -> Inflict:
    def inflict(patient: Patient) -> None:
        patient.config.with_name("palyra.toml.bak.1").unlink()
        patient.configure(BROKEN)
        for number, data in enumerate(backups, start=1):
            if data is not None:
                patient.configure(data, backup=number)

    return inflict


def no_file(patient: Patient) -> None:
    patient.config.unlink()


def nowhere(patient: Patient) -> None:
    shutil.rmtree(patient.config.parent)
    patient.named = False


def a_directory(patient: Patient) -> None:
    patient.config.unlink()
    patient.config.mkdir()


def a_pipe(patient: Patient) -> None:
    patient.config.unlink()
    os.mkfifo(patient.config)


def dangling(patient: Patient) -> None:
    patient.config.unlink()
    patient.config.symlink_to(patient.root / "gone.toml")


def by_variable(patient: Patient) -> None:
    patient.environ["PALYRA_CONFIG"] = "/nowhere/palyra.toml"
    patient.named = False


WITH_SECRET = CONFIG.replace('api_key_vault_ref = "global/second"', 'api_key = "sk-inline-0123456789"')


def inline(mode: int) -> Inflict:
    return text(WITH_SECRET, mode)


def earlier(mode: int) -> Inflict:
    return lambda patient: patient.configure(WITH_SECRET, mode, backup=1)


FAULTS = (
    Fault("the named file is missing", no_file, "config.found", BLOCKING, INIT),
    Fault("no file anywhere", nowhere, "config.found", INFO, INIT),
    Fault("a link to nothing", dangling, "config.found", BLOCKING, INIT),
    Fault("a directory in its place", a_directory, "config.syntax", BLOCKING),
    Fault("a pipe in its place", a_pipe, "config.syntax", BLOCKING),
    Fault("a file the disk does not give back", sees(broken="palyra.toml"), "config.syntax", BLOCKING),
    Fault("a truncated file", text(BROKEN), "config.syntax", BLOCKING, RESTORE),
    Fault("no TOML", text("{}"), "config.syntax", BLOCKING, RESTORE),
    Fault("binary", text(bytes(range(256))), "config.syntax", BLOCKING, RESTORE),
    Fault(
        "Latin-1", text(CONFIG.replace("digest", "dép\u00eache").encode("latin-1")), "config.syntax", BLOCKING, RESTORE
    ),
    Fault("UTF-16", text(CONFIG.encode("utf-16")), "config.syntax", BLOCKING, RESTORE),
    Fault("a byte order mark", text(b"\xef\xbb\xbf" + CONFIG.encode()), "config.syntax", BLOCKING, RESTORE),
    Fault("too large", text("#" * (1024 * 1024 + 1)), "config.syntax", BLOCKING),
    Fault("too deep", text("a = " + "[" * 40 + "]" * 40), "config.syntax", BLOCKING, RESTORE),
    Fault("a key twice", text(f"version = 1\n{CONFIG}"), "config.syntax", BLOCKING, RESTORE),
    Fault("a conflict of versions left in", text(f"<<<<<<< HEAD\n{CONFIG}"), "config.syntax", BLOCKING, RESTORE),
    Fault("truncated, no backup", broken_with(), "config.syntax", BLOCKING, ANEW),
    Fault("truncated, as is its backup", broken_with(BROKEN), "config.syntax", BLOCKING, ANEW),
    Fault("truncated, an older backup is good", broken_with(BROKEN, CONFIG), "config.syntax", BLOCKING, RESTORE),
    Fault("no version", text(CONFIG.replace("version = 1\n", "", 1)), "config.version", WARNING, ("config.migrate",)),
    Fault("an empty file", text(""), "config.version", WARNING, ("config.migrate",)),
    Fault("a newer version", swapped("version = 1", "version = 99"), "config.version", BLOCKING),
    Fault("version 0", swapped("version = 1", "version = 0"), "config.version", BLOCKING),
    Fault("a version as text", swapped("version = 1", 'version = "1"'), "config.version", BLOCKING),
    Fault("a version as a flag", swapped("version = 1", "version = true"), "config.version", BLOCKING),
    Fault("a misspelt key", swapped("bind =", "bnid ="), "config.values", BLOCKING, (), "gateway.bnid"),
    Fault("an unknown table", added("[gatewy]\nbind = 1"), "config.values", BLOCKING, (), "gatewy"),
    Fault(
        "a wrong type",
        swapped("hard_limit = 5\n", 'hard_limit = "much"\n'),
        "config.values",
        BLOCKING,
        (),
        "budgets[1].hard_limit",
    ),
    Fault(
        "out of range",
        added("[smart_routing]\ncomplexity_low = 1.7"),
        "config.values",
        BLOCKING,
        (),
        "smart_routing.complexity_low",
    ),
    Fault("an unknown choice", swapped('kind = "anthropic"', 'kind = "anthropics"'), "config.values", BLOCKING),
    Fault(
        "an unknown zone",
        swapped("Europe/Prague", "Europe/Progue"),
        "config.values",
        BLOCKING,
        (),
        "governance.timezone",
    ),
    Fault(
        "a required key is missing",
        swapped('kind = "anthropic"\n', ""),
        "config.values",
        BLOCKING,
        (),
        "providers.second.kind",
    ),
    Fault(
        "soft above hard", swapped("hard_limit = 5\n", "hard_limit = 5\nsoft_limit = 6\n"), "config.values", BLOCKING
    ),
    Fault(
        "a policy twice", swapped('policy_id = "upstream-day"', 'policy_id = "all-month"'), "config.values", BLOCKING
    ),
    Fault(
        "a bad address",
        swapped("https://api.openai.com/v1", "ftp://x"),
        "config.values",
        BLOCKING,
        (),
        "providers.upstream.base_url",
    ),
    Fault("a bad schedule", swapped("0 7 * * *", "0 25 * * *"), "config.values", BLOCKING, (), "jobs[0].cron"),
    Fault("a model of nobody", swapped('provider = "second"', 'provider = "third"'), "config.values", BLOCKING),
    Fault(
        "two credentials",
        swapped('api_key_vault_ref = "global/second"', 'api_key_vault_ref = "global/second"\napi_key_env = "K"'),
        "config.values",
        BLOCKING,
    ),
    Fault(
        "open to the world", swapped("127.0.0.1:7142", "0.0.0.0:7142"), "config.values", BLOCKING, (), "gateway.bind"
    ),
    Fault("too many decimals", swapped("hard_limit = 5\n", "hard_limit = 0.0000000001\n"), "config.values", BLOCKING),
    Fault(
        "a variable of the wrong type",
        variable("PALYRA_TASKS__CONCURRENCY", "seven"),
        "config.values",
        BLOCKING,
        (),
        "tasks.concurrency",
    ),
    Fault("an unknown variable", variable("PALYRA_GATEWAY__BNID", "x"), "config.values", BLOCKING),
    Fault(
        "a variable that names no file",
        by_variable,
        "config.found",
        BLOCKING,
        INIT,
    ),
    Fault("readable", text(CONFIG, 0o644), "config.permissions", WARNING, CHMOD),
    Fault("readable by the group", text(CONFIG, 0o640), "config.permissions", WARNING, CHMOD),
    Fault("readable, with a secret", inline(0o644), "config.permissions", BLOCKING, CHMOD),
    Fault("an earlier one readable, with a secret", earlier(0o644), "config.permissions", BLOCKING, CHMOD),
    Fault("writable", text(CONFIG, 0o666), "config.permissions", BLOCKING, CHMOD),
    Fault("writable by the group", text(CONFIG, 0o660), "config.permissions", BLOCKING, CHMOD),
    Fault("of another account", sees(owners={"palyra.toml": 4242}), "config.permissions", BLOCKING),
    Fault("an inline key", inline(0o600), "config.exposure", WARNING, (), "providers.second.api_key"),
    Fault(
        "remote without TLS",
        swapped('bind = "127.0.0.1:7142"', 'bind = "0.0.0.0:7142"\nallow_remote = true'),
        "config.exposure",
        WARNING,
        (),
        "gateway.bind",
    ),
)
