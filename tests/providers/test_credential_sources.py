"""Credentials by profile, reference, variable and configuration; the file of profiles is read record by record."""

from pathlib import Path

import pytest

from palyra.config.load import load_config
from palyra.core.redact import Secret
from palyra.providers.auth_profiles import AuthProfiles, ProfileType, read_profiles
from palyra.providers.credential_sources import CredentialSources
from palyra.providers.credentials import CredentialHealth, Pool
from palyra.providers.fingerprints import KEY_FILE, Fingerprints
from palyra.vault.secrets import Resolution, SecretState


class Vault:
    """Entries by reference; a state in place of text is what reading that entry comes to."""

    def __init__(self, **entries: str | SecretState) -> None:
        self.entries = {f"global/{name}": entry for name, entry in entries.items()}

    def resolve(self, ref: str) -> Resolution:
        entry = self.entries.get(ref, SecretState.MISSING)
        if isinstance(entry, SecretState):
            return Resolution(entry)
        return Resolution(SecretState.RESOLVED, Secret(entry))


def pool(tmp_path: Path, provider: str, sources: CredentialSources) -> Pool:
    path = tmp_path / "palyra.toml"
    path.write_text(f'version = 1\n[providers.p]\nkind = "openai_compatible"\n{provider}\n', encoding="utf-8")
    result = load_config(path, {}, {})
    assert result.config is not None, result.problems
    return sources.pools(result.config)["p"]


PROFILES = """
version = 1
[[profile]]
id = "one"
provider = "p"
type = "api_key"
vault_ref = "global/one"
[[profile]]
id = "two"
provider = "p"
type = "token"
vault_ref = "global/two"
expires_at = 1970-01-01T00:00:01Z
[[profile]]
id = "off"
provider = "p"
type = "api_key"
vault_ref = "global/off"
enabled = false
[[profile]]
id = "other"
provider = "q"
type = "api_key"
vault_ref = "global/other"
[[profile]]
id = "crooked"
provider = "p"
type = "api_key"
vault_ref = "openai"
"""


def test_profiles_resolve_in_the_order_the_provider_lists_them(tmp_path: Path) -> None:
    vault = Vault(one="sk-first-key-1", two="sk-second-key-2", off="sk-third", other="sk-fourth")
    profiles = read_profiles(PROFILES.encode(), {"p", "q"})
    assert profiles.problems == ()
    listed = 'auth_profiles = ["two", "one", "off", "other", "crooked", "absent"]'
    offers = pool(tmp_path, listed, CredentialSources({}, vault, profiles)).offers
    assert [(one.id, one.secret is not None, one.flaw, one.expires_at) for one in offers] == [
        ("two", True, None, 1000),
        ("one", True, None, None),
        ("off", False, CredentialHealth.DISABLED, None),
        ("other", False, CredentialHealth.MISSING, None),
        ("crooked", False, CredentialHealth.MISSING, None),
        ("absent", False, CredentialHealth.MISSING, None),
    ]
    assert [one.detail for one in offers[2:]] == [
        'auth profile "off" is switched off',
        'auth profile "other" is for the provider "q"',
        "the vault reference of crooked is not written as one",
        'there is no usable auth profile "absent"',
    ]


@pytest.mark.parametrize(
    ("entry", "flaw"),
    [
        (SecretState.LOCKED, CredentialHealth.UNREADABLE),
        (SecretState.WRONG_KEY, CredentialHealth.UNREADABLE),
        (SecretState.TAMPERED, CredentialHealth.UNREADABLE),
        (SecretState.MISSING, CredentialHealth.MISSING),
        ("  ", CredentialHealth.MISSING),
    ],
)
def test_an_entry_that_cannot_be_read_is_told_apart_from_none(
    tmp_path: Path, entry: str | SecretState, flaw: CredentialHealth
) -> None:
    sources = CredentialSources({}, Vault(key=entry))
    (offer,) = pool(tmp_path, 'api_key_vault_ref = "global/key"', sources).offers
    assert (offer.id, offer.secret, offer.flaw) == ("vault:global/key", None, flaw)
    assert offer.detail


def test_without_a_vault_every_reference_is_missing(tmp_path: Path) -> None:
    (offer,) = pool(tmp_path, 'api_key_vault_ref = "global/key"', CredentialSources({})).offers
    assert (offer.flaw, offer.detail) == (CredentialHealth.MISSING, "the vault has no entry for vault:global/key")


@pytest.mark.parametrize(
    ("row", "identity"),
    [
        ('api_key = "sk-inline-key"', "api_key"),
        ('api_key_env = "KEY"', "env:KEY"),
        ('api_key_vault_ref = "global/key"', "vault:global/key"),
    ],
)
def test_single_credentials_are_pools_of_one(tmp_path: Path, row: str, identity: str) -> None:
    sources = CredentialSources({"KEY": " sk-of-a-variable\n"}, Vault(key="sk-of-the-vault"))
    (offer,) = pool(tmp_path, row, sources).offers
    assert offer.id == identity
    assert offer.secret is not None
    assert offer.secret.reveal().startswith("sk-")
    assert not offer.secret.reveal().endswith("\n")


@pytest.mark.parametrize("key", ["", "  ", "sk-with\nbreak", "sk-žluť"])
def test_a_variable_without_a_usable_key_is_told(tmp_path: Path, key: str) -> None:
    (offer,) = pool(tmp_path, 'api_key_env = "KEY"', CredentialSources({"KEY": key})).offers
    assert offer.flaw is CredentialHealth.MISSING
    assert "KEY" in offer.detail


def test_the_vendors_own_address_needs_a_credential_and_another_one_may_not(tmp_path: Path) -> None:
    vendor = pool(tmp_path, "", CredentialSources({}))
    assert vendor.required
    assert "api_key_env" in vendor.detail
    assert not pool(tmp_path, 'base_url = "http://localhost:11434/v1"', CredentialSources({})).required


GOOD = '[[profile]]\nid = "a"\nprovider = "p"\ntype = "token"\nvault_ref = "global/a"\n'


@pytest.mark.parametrize(
    ("text", "usable", "problems"),
    [
        (GOOD, ["a"], []),
        ("version = 1\n" + GOOD, ["a"], []),
        ("version = 2\n" + GOOD, [], ["has version 2; this Palyra knows 1: upgrade Palyra"]),
        ("version = true\n" + GOOD, [], ["has a version that is no whole number from 1 on"]),
        ("version = 0\n" + GOOD, [], ["has a version that is no whole number from 1 on"]),
        ("colour = 1\n" + GOOD, ["a"], [':1 unknown key "colour"']),
        ("profile = 7\n", [], [":1 profiles are written as [[profile]]"]),
        (GOOD + GOOD, ["a"], [':6 profile "a" is declared already in line 1']),
        (GOOD + GOOD.replace('"a"', '"b"').replace("token", "api"), ["a"], [":6 type is not written"]),
        (GOOD + '[[profile]]\nid = "b"\n', ["a"], [":6 a profile needs provider"]),
        (GOOD + 'api_key = "sk-inline"\n', [], [':1 unknown key "api_key" in a profile']),
        (GOOD.replace("global/a", ""), [], [":1 vault_ref is not written"]),
        (GOOD.replace('"p"', '"x"'), [], [':1 there is no provider "x"']),
        (GOOD + "expires_at = 2026-01-01T00:00:00\n", [], [":1 expires_at is not written"]),
        (GOOD + "expires_at = 2026-01-01T00:00:00+01:00\n", ["a"], []),
        (GOOD.replace("token", "api_key") + "expires_at = 2026-01-01T00:00:00Z\n", [], [":1 only profiles of type"]),
        (GOOD + 'enabled = "yes"\n', [], [":1 enabled is not written"]),
        ("[[profile\n", [], ["is no TOML"]),
        ("a = " + "[" * 40 + "]" * 40, [], ["nests too deep"]),
    ],
)
def test_one_broken_record_costs_only_itself(text: str, usable: list[str], problems: list[str]) -> None:
    found = read_profiles(text.encode(), {"p"})
    assert list(found.profiles) == usable
    assert len(found.problems) == len(problems)
    for problem, told in zip(found.problems, problems, strict=True):
        assert told in str(problem)
    assert bool(found.unusable) is any(":" not in told[:1] for told in problems)


def test_a_key_pasted_in_place_of_its_reference_is_not_repeated() -> None:
    found = read_profiles(GOOD.replace("token", "sk-live-pasted-key").encode(), {"p"})
    assert "sk-live" not in str(found.problems[0])


def test_what_is_no_text_gives_no_profile_and_the_provider_says_so(tmp_path: Path) -> None:
    profiles = read_profiles(b"\xff\xfe", {"p"})
    assert profiles.unusable == "auth_profiles.toml is not UTF-8"
    found = pool(tmp_path, 'auth_profiles = ["a"]', CredentialSources({}, Vault(), profiles))
    assert found == Pool(detail="auth_profiles.toml is not UTF-8")


def test_at_most_so_many_profiles_are_read() -> None:
    text = "".join(GOOD.replace('"a"', f'"a{number}"') for number in range(2050))
    found = read_profiles(text.encode(), {"p"})
    assert len(found.profiles) == 2048
    assert [problem.message for problem in found.problems] == ["only the first 2048 profiles are read"]


def test_a_profile_is_read_in_full() -> None:
    profile = read_profiles(PROFILES.encode(), {"p", "q"}).profiles["two"]
    assert (profile.provider, profile.type, profile.vault_ref, profile.expires_at, profile.enabled, profile.line) == (
        "p",
        ProfileType.TOKEN,
        "global/two",
        1000,
        True,
        8,
    )
    assert AuthProfiles({}).problems == ()


def test_fingerprints_tell_keys_apart_and_are_the_same_after_a_restart(tmp_path: Path) -> None:
    first = Fingerprints.open(tmp_path)
    again = Fingerprints.open(tmp_path)
    other, key = Secret("sk-another-key"), Secret("sk-some-key")
    assert first.of(key) == again.of(key) != first.of(other)
    assert len(first.of(key)) == 12
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert "sk-some" not in first.of(key)


def test_a_key_file_that_holds_no_key_is_made_anew(tmp_path: Path) -> None:
    before = Fingerprints.open(tmp_path).of(Secret("sk-some-key"))
    (tmp_path / KEY_FILE).write_text("not a key\n")
    after = Fingerprints.open(tmp_path)
    assert after.of(Secret("sk-some-key")) != before
    assert Fingerprints.open(tmp_path).of(Secret("sk-some-key")) == after.of(Secret("sk-some-key"))
