"""Auth profiles: `auth_profiles.toml`, read record by record, so that one broken record costs only itself."""

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


def read_profiles(data: bytes, providers: Collection[str]) -> AuthProfiles:
    """The profiles a file declares, for providers with these ids. Never raises and never writes.

    A file of a later version or that is no TOML gives no profile. Of two records with one id the first counts.
    """
    try:
        text = data.decode("utf-8")
        tree = tomllib.loads(text)
        lines = lines_of(text)
    except UnicodeDecodeError:
        return unreadable_profiles("is not UTF-8")
    except tomllib.TOMLDecodeError as error:
        return unreadable_profiles(f"is no TOML: {error}")
    except (TooDeepError, RecursionError):
        return unreadable_profiles("nests too deep")
    version = tree.get("version", VERSION)
    if type(version) is not int or version < 1:
        return unreadable_profiles("has a version that is no whole number from 1 on")
    if version > VERSION:
        return unreadable_profiles(f"has version {version}; this Palyra knows {VERSION}: upgrade Palyra")
    problems = [
        ProfileProblem(lines.get((name,), 0), f'unknown key "{name}"')
        for name in tree
        if name not in ("version", "profile")
    ]
    records = tree.get("profile", [])
    if not isinstance(records, list):
        problems.append(ProfileProblem(lines.get(("profile",), 0), "profiles are written as [[profile]]"))
        records = []
    found: dict[str, AuthProfile] = {}
    for position, record in enumerate(records):
        line = lines.get(("profile", position), lines.get(("profile",), 0))
        if position >= MAX_PROFILES:
            problems.append(ProfileProblem(line, f"only the first {MAX_PROFILES} profiles are read"))
            break
        profile = _profile(record, line, providers)
        if isinstance(profile, str):
            problems.append(ProfileProblem(line, profile))
        elif (first := found.get(profile.id)) is not None:
            problems.append(ProfileProblem(line, f'profile "{profile.id}" is declared already in line {first.line}'))
        else:
            found[profile.id] = profile
    return AuthProfiles(found, tuple(problems))


def _profile(record: object, line: int, providers: Collection[str]) -> AuthProfile | str:
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
    if read["provider"] not in providers:
        return f'there is no provider "{read["provider"]}"'
    return AuthProfile(**read, line=line)


def unreadable_profiles(why: str) -> AuthProfiles:
    """No profile at all, and why."""
    return AuthProfiles({}, (ProfileProblem(0, why),), f"{PROFILES_FILE} {why}")
