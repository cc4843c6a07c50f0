"""Ways in which secrets, and who may do what, go wrong."""

import json
from collections.abc import Callable
from typing import Any

from tests.doctor.fault import BLOCKING, INFO, WARNING, Fault
from tests.doctor.faults_of_config import swapped, variable
from tests.doctor.healthy import CONFIG, PROFILES, Patient
from tests.journal.samples import T0

VAULT, KEY, REGISTRY, AUTH = "vault/vault.json", "vault/vault.key", "access_registry.json", "auth_profiles.toml"
OTHER_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"

Inflict = Callable[[Patient], object]
Edit = Callable[[Any], object]


def gone(*names: str) -> Inflict:
    def inflict(patient: Patient) -> None:
        for name in names:
            (patient.state / name).unlink()

    return inflict


def put(name: str, data: bytes | str) -> Inflict:
    return lambda patient: patient.write(name, data)


def cut(name: str) -> Inflict:
    """The first half of a file."""

    def inflict(patient: Patient) -> None:
        data = (patient.state / name).read_bytes()
        patient.write(name, data[: len(data) // 2])

    return inflict


def edited(name: str, edit: Edit) -> Inflict:
    """JSON with a change; `edit` makes it in place, or gives another."""

    def inflict(patient: Patient) -> None:
        data = json.loads((patient.state / name).read_bytes())
        given = edit(data)
        patient.write(name, json.dumps(data if given is None else given))

    return inflict


def both(*inflictions: Inflict) -> Inflict:
    return lambda patient: [inflict(patient) for inflict in inflictions]


def spoil(ref: str) -> Edit:
    """Turns the last character but the padding of a ciphertext."""

    def edit(data: dict[str, Any]) -> None:
        entry = data["entries"][ref]
        text = entry["ciphertext"]
        entry["ciphertext"] = ("B" if text[0] == "A" else "A") + text[1:]

    return edit


def swap_entries(data: dict[str, Any]) -> None:
    entries = data["entries"]
    entries["global/openai"], entries["global/second"] = entries["global/second"], entries["global/openai"]


def drop(*path: str | int) -> Edit:
    def edit(data: Any) -> None:
        for step in path[:-1]:
            data = data[step]
        del data[path[-1]]

    return edit


def assign(*path: Any) -> Edit:
    """The last part is what is put at the place of the others."""

    def edit(data: Any) -> None:
        for step in path[:-2]:
            data = data[step]
        data[path[-2]] = path[-1]

    return edit


def profiles(old: str, new: str) -> Inflict:
    assert old in PROFILES
    return put(AUTH, PROFILES.replace(old, new, 1))


def only_main(patient: Patient) -> None:
    patient.configure(CONFIG.replace('auth_profiles = ["main", "spare"]', 'auth_profiles = ["main"]'))


def no_operator_ids(data: dict[str, Any]) -> None:
    for operator in data["operators"]:
        operator["role"] = "viewer"


def every_key(**fields: Any) -> Edit:
    def edit(data: dict[str, Any]) -> None:
        for key in data["gateway_keys"]:
            key.update(fields)

    return edit


def again(name: str) -> Edit:
    """The first record once more."""

    def edit(data: dict[str, Any]) -> None:
        data[name].append(dict(data[name][0]))

    return edit


def nothing_more(patient: Patient) -> None:
    """It is there from the first start on, until somebody takes it away."""
    assert (patient.state / "gateway-key.txt").exists()


FILL, RESTORE, ANEW = ("access.backfill",), ("access.restore_backup",), ("access.reinitialize",)
BACKUPS = tuple(f"{REGISTRY}.bak.{number}" for number in (1, 2))
NORMALIZE = ("auth.normalize",)

VAULT_FAULTS = (
    Fault("its key is lost", gone(KEY), "vault.state", BLOCKING, (), VAULT),
    Fault("another key", put(KEY, f"{OTHER_KEY}\n"), "vault.state", BLOCKING, (), VAULT),
    Fault("no key in the key file", put(KEY, "secret\n"), "vault.state", BLOCKING, (), VAULT),
    Fault("an empty key file", put(KEY, ""), "vault.state", BLOCKING, (), VAULT),
    Fault(
        "a key others can read", lambda patient: (patient.state / KEY).chmod(0o644), "vault.state", BLOCKING, (), VAULT
    ),
    Fault("another key in the variable", variable("PALYRA_VAULT_KEY", OTHER_KEY), "vault.state", BLOCKING, (), VAULT),
    Fault("no key in the variable", variable("PALYRA_VAULT_KEY", "password"), "vault.state", BLOCKING, (), VAULT),
    Fault(
        "a source without a key",
        swapped("version = 1", 'version = 1\nvault = { key_source = "env" }'),
        "vault.state",
        BLOCKING,
        (),
        VAULT,
    ),
    Fault("a truncated vault", cut(VAULT), "vault.state", BLOCKING, (), VAULT),
    Fault("an empty vault file", put(VAULT, ""), "vault.state", BLOCKING, (), VAULT),
    Fault("a list for a vault", put(VAULT, "[]"), "vault.state", BLOCKING, (), VAULT),
    Fault("no version", edited(VAULT, drop("version")), "vault.state", BLOCKING, (), VAULT),
    Fault("no key check", edited(VAULT, drop("key_check")), "vault.state", BLOCKING, (), VAULT),
    Fault("entries of the wrong type", edited(VAULT, assign("entries", [])), "vault.state", BLOCKING, (), VAULT),
    Fault("a newer vault", edited(VAULT, assign("version", 2)), "vault.state", BLOCKING, (), VAULT),
    Fault("the vault is gone, its key is there", gone(VAULT), "vault.state", WARNING, (), VAULT),
    Fault("a tampered entry", edited(VAULT, spoil("global/openai")), "vault.entries", BLOCKING, (), "global/openai"),
    Fault(
        "a tampered entry nobody needs",
        edited(VAULT, spoil("global/unused")),
        "vault.entries",
        WARNING,
        (),
        "global/unused",
    ),
    Fault("two entries swapped", edited(VAULT, swap_entries), "vault.entries", BLOCKING, (), "global/second"),
    Fault("the vault is gone", gone(VAULT), "vault.references", BLOCKING, (), "provider second"),
    Fault(
        "an entry is missing",
        edited(VAULT, drop("entries", "global/second")),
        "vault.references",
        BLOCKING,
        (),
        "provider second",
    ),
    Fault(
        "a webhook's entry is missing",
        edited(VAULT, drop("entries", "global/hook")),
        "vault.references",
        BLOCKING,
        (),
        "webhook ops",
    ),
    Fault(
        "a profile's entry is missing",
        edited(VAULT, drop("entries", "global/openai")),
        "vault.references",
        BLOCKING,
        (),
        "auth profile main",
    ),
    Fault(
        "a profile's reference is none",
        profiles("global/openai", "openai"),
        "vault.references",
        BLOCKING,
        (),
        "auth profile main",
    ),
    Fault(
        "a missing entry of one that is off",
        swapped("enabled = false", 'enabled = false\napi_key_vault_ref = "global/off"'),
        "vault.references",
        WARNING,
        (),
        "provider off",
    ),
    Fault(
        "a missing entry of a profile that is off",
        both(profiles('id = "main"', 'id = "main"\nenabled = false'), edited(VAULT, drop("entries", "global/openai"))),
        "vault.references",
        WARNING,
        (),
        "auth profile main",
    ),
)

AUTH_FAULTS = (
    Fault(
        "a truncated file, its backup is good",
        put(AUTH, PROFILES[:60]),
        "auth.registry",
        BLOCKING,
        ("auth.restore_backup",),
        AUTH,
    ),
    Fault(
        "a truncated file without a backup",
        both(gone(f"{AUTH}.bak.1"), put(AUTH, PROFILES[:60])),
        "auth.registry",
        BLOCKING,
        ("auth.reinitialize",),
        AUTH,
    ),
    Fault("no UTF-8", put(AUTH, b"\xff\xfe"), "auth.registry", BLOCKING, ("auth.restore_backup",), AUTH),
    Fault("a newer file", profiles("version = 1", "version = 2"), "auth.registry", BLOCKING, (), AUTH),
    Fault(
        "a version that is none",
        profiles("version = 1", 'version = "x"'),
        "auth.registry",
        BLOCKING,
        ("auth.restore_backup",),
        AUTH,
    ),
    Fault(
        "an unknown root key", profiles("version = 1", 'version = 1\nowner = "ann"'), "auth.records", WARNING, NORMALIZE
    ),
    Fault("no version", profiles("version = 1\n", ""), "auth.records", WARNING, NORMALIZE),
    Fault("a record without a field", profiles('type = "api_key"\n', ""), "auth.records", WARNING, NORMALIZE),
    Fault(
        "a record of an unknown type",
        profiles('type = "api_key"', 'type = "cookie"'),
        "auth.records",
        WARNING,
        NORMALIZE,
    ),
    Fault(
        "a record with a secret",
        profiles('type = "api_key"', 'type = "api_key"\nkey = "sk-0123456789"'),
        "auth.records",
        WARNING,
        NORMALIZE,
    ),
    Fault("a duplicate", profiles('id = "spare"', 'id = "main"'), "auth.records", WARNING, NORMALIZE),
    Fault(
        "a record of nobody's provider",
        profiles('provider = "upstream"', 'provider = "elsewhere"'),
        "auth.records",
        WARNING,
        (),
    ),
    Fault(
        "an expired token",
        profiles("2031-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        "auth.health",
        WARNING,
        (),
        "upstream/spare",
    ),
    Fault(
        "an expiring token",
        profiles("2031-01-01T00:00:00Z", "2026-11-22T13:05:00Z"),
        "auth.health",
        WARNING,
        (),
        "upstream/spare",
    ),
    Fault(
        "every profile is off",
        both(only_main, profiles('id = "main"', 'id = "main"\nenabled = false')),
        "auth.health",
        BLOCKING,
        (),
        "upstream",
    ),
    Fault(
        "the only profile's entry is missing",
        both(only_main, edited(VAULT, drop("entries", "global/openai"))),
        "auth.health",
        BLOCKING,
        (),
        "upstream",
    ),
    Fault("the file is gone", gone(AUTH), "auth.health", BLOCKING, (), "upstream"),
    Fault("no key for any profile", gone(KEY), "auth.health", BLOCKING, (), "upstream"),
)

ACCESS_FAULTS = (
    Fault("it is gone", gone(REGISTRY), "access.registry", BLOCKING, RESTORE, REGISTRY),
    Fault("it is gone with its backups", gone(REGISTRY, *BACKUPS), "access.registry", BLOCKING, ANEW, REGISTRY),
    Fault("truncated", cut(REGISTRY), "access.registry", BLOCKING, RESTORE, REGISTRY),
    Fault(
        "truncated, without backups", both(gone(*BACKUPS), cut(REGISTRY)), "access.registry", BLOCKING, ANEW, REGISTRY
    ),
    Fault("empty", put(REGISTRY, ""), "access.registry", BLOCKING, RESTORE, REGISTRY),
    Fault("a list", put(REGISTRY, "[]"), "access.registry", BLOCKING, RESTORE, REGISTRY),
    Fault("null", put(REGISTRY, "null"), "access.registry", BLOCKING, RESTORE, REGISTRY),
    Fault("a newer one", edited(REGISTRY, assign("version", 2)), "access.registry", BLOCKING, (), REGISTRY),
    Fault("version 0", edited(REGISTRY, assign("version", 0)), "access.registry", BLOCKING, RESTORE, REGISTRY),
    Fault(
        "keys that are no list",
        edited(REGISTRY, assign("gateway_keys", {})),
        "access.registry",
        BLOCKING,
        RESTORE,
        REGISTRY,
    ),
    Fault(
        "flags that are no object",
        edited(REGISTRY, assign("feature_flags", [])),
        "access.registry",
        BLOCKING,
        RESTORE,
        REGISTRY,
    ),
    Fault(
        "a flag is missing",
        edited(REGISTRY, drop("feature_flags", "console_repair")),
        "access.flags",
        WARNING,
        FILL,
        "feature_flags.console_repair",
    ),
    Fault(
        "all flags are missing",
        edited(REGISTRY, drop("feature_flags")),
        "access.flags",
        WARNING,
        FILL,
        "feature_flags.mode_override",
    ),
    Fault("no list of operators", edited(REGISTRY, drop("operators")), "access.flags", WARNING, FILL, "operators"),
    Fault("no version", edited(REGISTRY, drop("version")), "access.flags", WARNING, FILL, "version"),
    Fault(
        "a key without a field",
        edited(REGISTRY, drop("gateway_keys", 0, "may_set_mode")),
        "access.flags",
        WARNING,
        FILL,
        "gateway_keys[0].may_set_mode",
    ),
    Fault(
        "an operator without a role",
        edited(REGISTRY, drop("operators", 0, "role")),
        "access.flags",
        WARNING,
        FILL,
        "operators[0].role",
    ),
    Fault(
        "a key without a principal",
        edited(REGISTRY, drop("gateway_keys", 0, "principal")),
        "access.records",
        WARNING,
        (),
        "gateway key 1",
    ),
    Fault(
        "a key without a hash",
        edited(REGISTRY, drop("gateway_keys", 1, "hash")),
        "access.records",
        WARNING,
        (),
        "gateway key 2",
    ),
    Fault("a key twice", edited(REGISTRY, again("gateway_keys")), "access.records", WARNING, (), "gateway key 3"),
    Fault(
        "a record that is none",
        edited(REGISTRY, assign("gateway_keys", 0, "x")),
        "access.records",
        WARNING,
        (),
        "gateway key 1",
    ),
    Fault(
        "an operator nobody can be",
        edited(REGISTRY, lambda data: data["operators"][0].update(identities=[], token_hash=None)),
        "access.records",
        WARNING,
        (),
        "operator 1",
    ),
    Fault("an operator twice", edited(REGISTRY, again("operators")), "access.records", WARNING, (), "operator 2"),
    Fault(
        "nobody is an admin",
        edited(REGISTRY, no_operator_ids),
        "access.admin",
        BLOCKING,
        ("access.owner_admin",),
        "operators",
    ),
    Fault(
        "the admin is off",
        edited(REGISTRY, assign("operators", 0, "enabled", False)),
        "access.admin",
        BLOCKING,
        ("access.owner_admin",),
        "operators",
    ),
    Fault(
        "every key is revoked", edited(REGISTRY, every_key(revoked_at=T0)), "access.keys", WARNING, (), "gateway_keys"
    ),
    Fault(
        "every key has expired", edited(REGISTRY, every_key(expires_at=T0)), "access.keys", WARNING, (), "gateway_keys"
    ),
    Fault("every key is off", edited(REGISTRY, every_key(enabled=False)), "access.keys", WARNING, (), "gateway_keys"),
    Fault("the first key lies about", nothing_more, "access.key_file", INFO, (), "gateway-key.txt"),
    Fault("there is no key", edited(REGISTRY, assign("gateway_keys", [])), "access.keys", WARNING, (), "gateway_keys"),
)

FAULTS = (*VAULT_FAULTS, *AUTH_FAULTS, *ACCESS_FAULTS)
