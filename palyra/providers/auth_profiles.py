"""Auth profiles: `auth_profiles.toml`, read record by record, so that one broken record costs only itself.

How the file is rewritten is `profile_rewriting`'s.
"""

import tomllib
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

from palyra.config.kinds import Choice, Flag, Kind, Text
from palyra.config.lines import TooDeepError, lines_of
from palyra.config.names import PROFILE_ID, PROVIDER_ID, Moment
from palyra.config.problem import Fault
from palyra.core.values import value

PROFILES_FILE = "auth_profiles.toml"
MAX_FILE = 4 * 1024 * 1024
MAX_PROFILES = 2048
VERSION = 1


class ProfileType(StrEnum):
    """What a credential is: a key, or a token that ends."""

    API_KEY = "api_key"
    TOKEN = "token"  # noqa: S105


@value
class AuthProfile:
    """One credential by reference, whose form is looked at when it is resolved.

    `expires_at` is UTC unix ms, only for tokens; `line` is where it is written.
    """

    id: str
    provider: str
    type: ProfileType
    vault_ref: str
    expires_at: int | None = None
    enabled: bool = True
    line: int = 0


@value
class ProfileProblem:
    """What is wrong in the file. `line` 0: with the file as a whole."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"{PROFILES_FILE}:{self.line} {self.message}" if self.line else f"{PROFILES_FILE}: {self.message}"


@value
class AuthProfiles:
    """The usable profiles by id, and what is wrong with the others. `unusable` tells why there can be none at all."""

    profiles: Mapping[str, AuthProfile]
    problems: tuple[ProfileProblem, ...] = ()
    unusable: str = ""


NONE = AuthProfiles({})

_REQUIRED: Mapping[str, Kind] = {
    "id": PROFILE_ID,
    "provider": PROVIDER_ID,
    "type": Choice(ProfileType),
    "vault_ref": Text(high=300),
}
_OPTIONAL: Mapping[str, Kind] = {"expires_at": Moment(exact=True), "enabled": Flag()}


class ProfilesFaultError(Exception):
    """The file as a whole gives no profile; the message completes "auth_profiles.toml …". `newer`: it is of a later
    version of Palyra."""

    def __init__(self, what: str, *, newer: bool = False) -> None:
        super().__init__(what)
        self.newer = newer


@value
class Judged:
    """A file's data and what is to be thought of it.

    `bad` are positions in `profile` of records that cannot be used, with why; -1 stands for a `profile` that is no
    list. `unknown` are root keys. `unstamped` is whether the version is missing.
    """

    tree: Mapping[str, Any]
    profiles: Mapping[str, AuthProfile]
    bad: Mapping[int, ProfileProblem]
    unknown: Mapping[str, ProfileProblem]
    unstamped: bool
    more: tuple[ProfileProblem, ...] = ()
    """What is wrong besides."""

    @property
    def problems(self) -> tuple[ProfileProblem, ...]:
        """Everything that is wrong with the file."""
        return (*self.unknown.values(), *self.bad.values(), *self.more)


def read_profiles(data: bytes, providers: Collection[str]) -> AuthProfiles:
    """The profiles a file declares, for providers with these ids. Never raises and never writes.

    A file of a later version or that is no TOML gives no profile. Of two records with one id the first counts.
    """
    try:
        judged = judge(data)
    except ProfilesFaultError as error:
        return unreadable_profiles(str(error))
    problems = list(judged.problems)
    usable: dict[str, AuthProfile] = {}
    for name, profile in judged.profiles.items():
        if profile.provider in providers:
            usable[name] = profile
        else:
            problems.append(ProfileProblem(profile.line, f'there is no provider "{profile.provider}"'))
    return AuthProfiles(usable, tuple(problems))


def judge(data: bytes) -> Judged:
    """What a file's records are worth by their form, whichever providers there are. Raises ProfilesFaultError."""
    try:
        text = data.decode("utf-8")
        tree = tomllib.loads(text)
        lines = lines_of(text)
    except UnicodeDecodeError:
        raise ProfilesFaultError("is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ProfilesFaultError(f"is no TOML: {error}") from None
    except (TooDeepError, RecursionError):
        raise ProfilesFaultError("nests too deep") from None
    version = tree.get("version", VERSION)
    if type(version) is not int or version < 1:
        raise ProfilesFaultError("has a version that is no whole number from 1 on")
    if version > VERSION:
        raise ProfilesFaultError(f"has version {version}; this Palyra knows {VERSION}: upgrade Palyra", newer=True)
    unknown = {
        name: ProfileProblem(lines.get((name,), 0), f'unknown key "{name}"')
        for name in tree
        if name not in ("version", "profile")
    }
    bad: dict[int, ProfileProblem] = {}
    more: list[ProfileProblem] = []
    records = tree.get("profile", [])
    if not isinstance(records, list):
        bad[-1] = ProfileProblem(lines.get(("profile",), 0), "profiles are written as [[profile]]")
        records = []
    found: dict[str, AuthProfile] = {}
    for position, record in enumerate(records):
        line = lines.get(("profile", position), lines.get(("profile",), 0))
        if position >= MAX_PROFILES:
            more.append(ProfileProblem(line, f"only the first {MAX_PROFILES} profiles are read"))
            break
        profile = _profile(record, line)
        if isinstance(profile, str):
            bad[position] = ProfileProblem(line, profile)
        elif (first := found.get(profile.id)) is not None:
            bad[position] = ProfileProblem(line, f'profile "{profile.id}" is declared already in line {first.line}')
        else:
            found[profile.id] = profile
    return Judged(tree, found, bad, unknown, "version" not in tree, tuple(more))


def _profile(record: object, line: int) -> AuthProfile | str:
    """A record as a profile, or what is wrong with it."""
    if not isinstance(record, dict):
        return "a profile is a table"
    read: dict[str, Any] = {}
    if unknown := sorted(record.keys() - _REQUIRED.keys() - _OPTIONAL.keys()):
        return f'unknown key "{unknown[0]}" in a profile; secrets belong into the vault'
    for name, kind in {**_REQUIRED, **_OPTIONAL}.items():
        if name not in record:
            if name in _REQUIRED:
                return f"a profile needs {name}"
            continue
        try:
            read[name] = kind.read(record[name])
        except Fault as fault:
            # A key pasted where its reference belongs must not come back in a message.
            return f"{name} is not written as it must be. {fault.fix}."
    if "expires_at" in read and read["type"] is not ProfileType.TOKEN:
        return f'only profiles of type "{ProfileType.TOKEN}" expire'
    return AuthProfile(**read, line=line)


def unreadable_profiles(why: str) -> AuthProfiles:
    """No profile at all, and why."""
    return AuthProfiles({}, (ProfileProblem(0, why),), f"{PROFILES_FILE} {why}")
