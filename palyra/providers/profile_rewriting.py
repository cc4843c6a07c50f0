"""Rewriting `auth_profiles.toml`: a profile added or removed, bad records moved aside; comments and order stay.

Pure: texts in, texts out. What is written is read again and compared with what it should say; where a file cannot be
rewritten without changing anything else, a PalyraError says so and a person has to.
"""

import copy
import tomllib
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from palyra.config.lines import Path, TooDeepError, lines_of, places_of
from palyra.core.errors import BadInputError, ConflictError, NotFoundError, PalyraError
from palyra.core.reasons import reason_of
from palyra.core.values import value
from palyra.providers.auth_profiles import (
    MAX_PROFILES,
    VERSION,
    AuthProfile,
    ProfileProblem,
    judge,
)

UNKNOWN_FILE = "auth_profiles.unknown.toml"
QUARANTINE_FILE = "auth_profiles.quarantine.toml"
BACKUPS = 5
BY_HAND = "Change it by hand."
CHANGES_MORE = "Rewriting the file would change more than that; nothing was written."


@value
class Normalised:
    """A file put in order: `text` as it is to be, and what is to be appended to the sidecars, empty where nothing is.

    The same `text` means that nothing was to be done.
    """

    text: str
    unknown: str = ""
    quarantine: str = ""
    problems: tuple[ProfileProblem, ...] = ()


def normalise(text: str, at_ms: int) -> Normalised:
    """Stamps a missing version, takes out unknown root keys and records that cannot be used; drops nothing.

    `at_ms` (UTC unix ms) dates what is moved. Raises ProfilesFaultError for a file that is no TOML or of a later
    version, PalyraError where it cannot be rewritten without changing anything else.
    """
    judged = judge(text.encode())
    bad, unknown = judged.bad, judged.unknown
    if not bad and not unknown and not judged.unstamped:
        return Normalised(text)
    tree = judged.tree
    records = tree.get("profile", [])
    moved = [tree["profile"] if at < 0 else records[at] for at in bad]
    kept = [one for at, one in enumerate(records) if at not in bad] if isinstance(records, list) else []

    def expect(data: dict[str, Any]) -> None:
        for name in unknown:
            del data[name]
        data.setdefault("version", VERSION)
        if bad:
            data["profile"] = kept
            if not kept:
                del data["profile"]

    stamped = f"version = {VERSION}\n{text}" if judged.unstamped else text
    rows: list[Path] = [("profile", at) for at in bad] if kept else [("profile",)] if bad else []
    made = _without(stamped, [*((name,) for name in unknown), *rows], expect)
    when = datetime.fromtimestamp(at_ms // 1000, UTC)
    quarantine = "".join(
        _block("quarantined", when, problem.message, "profile", record)
        for problem, record in zip(bad.values(), moved, strict=True)
    )
    aside = _block("unknown", when, "", "keys", {name: tree[name] for name in unknown}) if unknown else ""
    return Normalised(made, aside, quarantine, judged.problems)


def appended(existing: str, block: str) -> str:
    """A sidecar with a block added after what it says already."""
    if not existing or not block:
        return existing + block
    return existing.rstrip("\n") + "\n\n" + block


def with_profile(text: str, profile: AuthProfile) -> str:
    """With a profile added at the end. Raises BadInputError for one that could not be read again, ConflictError for an
    id that is taken, ProfilesFaultError, PalyraError."""
    judged = judge(text.encode())
    if profile.id in judged.profiles:
        raise ConflictError(f'There is an auth profile "{profile.id}" already.', fix="Choose another id.")
    if len(judged.tree.get("profile", ())) >= MAX_PROFILES:
        raise ConflictError(f"There are {MAX_PROFILES} auth profiles already.", fix="Remove one first.")
    table = tomlkit.table()
    for name, given in _fields(profile).items():
        table[name] = given
    head = f"version = {VERSION}\n" if judged.unstamped else ""
    gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    made = f"{head}{text}{gap}[[profile]]\n{table.as_string()}"

    def expect(data: dict[str, Any]) -> None:
        data.setdefault("version", VERSION)
        data["profile"] = [*data.get("profile", []), _fields(profile)]

    if not _reads_as(made, text, expect):
        raise PalyraError(CHANGES_MORE, fix=BY_HAND)
    if profile.id not in judge(made.encode()).profiles:
        problem = list(judge(made.encode()).bad.values())[-1]
        raise BadInputError(f"The profile cannot be used: {problem.message}.")
    return made


def without_profile(text: str, profile_id: str) -> str:
    """Without the profile of this id; another record of the same id stays, and counts from then on. Raises
    NotFoundError, ProfilesFaultError, PalyraError."""
    judged = judge(text.encode())
    if profile_id not in judged.profiles:
        raise NotFoundError(f'There is no auth profile "{profile_id}".', fix="See `palyra auth list`.")
    records = judged.tree["profile"]
    at = next(
        place
        for place, record in enumerate(records)
        if place not in judged.bad and isinstance(record, dict) and record.get("id") == profile_id
    )
    left = [record for place, record in enumerate(records) if place != at]

    def expect(data: dict[str, Any]) -> None:
        data["profile"] = left
        if not left:
            del data["profile"]

    return _without(text, [("profile", at) if left else ("profile",)], expect)


def _fields(profile: AuthProfile) -> dict[str, Any]:
    """A profile as it is written; what is as usual is left out."""
    fields: dict[str, Any] = {
        "id": profile.id,
        "provider": profile.provider,
        "type": profile.type.value,
        "vault_ref": profile.vault_ref,
    }
    if profile.expires_at is not None:
        fields["expires_at"] = datetime.fromtimestamp(profile.expires_at // 1000, UTC)
    if not profile.enabled:
        fields["enabled"] = False
    return fields


def _without(text: str, gone: Sequence[Path], expect: Callable[[dict[str, Any]], None]) -> str:
    """Without what is at these paths. Raises PalyraError."""
    try:
        for leave_out in (_lines_left, _parts_left):
            made = leave_out(text, gone)
            if _is_left_of(made, text) and _reads_as(made, text, expect):
                return made
    except (TOMLKitError, TooDeepError, TypeError, AttributeError, ValueError, KeyError, IndexError) as error:
        raise PalyraError(f"The file cannot be rewritten: {reason_of(error)}.", fix=BY_HAND) from None
    raise PalyraError(CHANGES_MORE, fix=BY_HAND)


def _lines_left(text: str, gone: Sequence[Path]) -> str:
    """Whole lines left out, which is right where nothing else stands on them. Comments on lines of their own stay."""
    lines = text.split("\n")
    begins = [0, *accumulate(len(line) + 1 for line in lines)]
    places = places_of(text)
    left_out: set[int] = set()
    for path, number in lines_of(text).items():
        if any(path[: len(one)] == one for one in gone):
            begin, end = places.values.get(path, (0, 0))
            left_out.update(
                (number - 1, *range(bisect_right(begins, begin) - 1, bisect_left(begins, end) if end else 0))
            )
    made: list[str] = []
    for at, line in enumerate(lines):
        if at in left_out:
            continue
        if at - 1 in left_out and at < len(lines) - 1 and not line.strip() and not (made and made[-1].strip()):
            left_out.add(at)  # of the empty lines before and after, one goes with what was between
        else:
            made.append(line)
    return "\n".join(made)


def _parts_left(text: str, gone: Sequence[Path]) -> str:
    """Parts of lines left out, of an array on one line for instance."""
    document = tomlkit.parse(text)
    for *way, last in sorted(gone, key=lambda path: [str(path[0]), *path[1:]], reverse=True):
        inside: Any = document
        for step in way:
            inside = inside[step]
        del inside[last]
    return tomlkit.dumps(document)


def _is_left_of(made: str, text: str) -> bool:
    """Whether something was left out of a text and nothing moved: each character is found behind the one before."""
    rest = iter(text)
    return all(character in rest for character in made)


def _reads_as(made: str, text: str, expect: Callable[[dict[str, Any]], None]) -> bool:
    expected = copy.deepcopy(tomllib.loads(text))
    expect(expected)
    try:
        return tomllib.loads(made) == expected
    except tomllib.TOMLDecodeError:
        return False


def _block(name: str, when: datetime, why: str, part: str, data: Any) -> str:
    """An entry of a sidecar, which stays TOML however many are appended."""
    entry = tomlkit.table()
    entry["moved_at"] = when
    if why:
        entry["reason"] = why
    entry[part] = dict(data) if isinstance(data, Mapping) else data
    document = tomlkit.document()
    listed = tomlkit.aot()
    listed.append(entry)
    document[name] = listed
    return tomlkit.dumps(document)
