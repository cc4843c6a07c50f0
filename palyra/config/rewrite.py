"""Changing one key of a configuration file, with its comments, order and all else as they are."""

import copy
import os
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from tomlkit import item

from palyra.config.amounts import spell_size, toml_float
from palyra.config.lines import TooDeepError, places_of
from palyra.config.load import interpret
from palyra.config.paths import BYTE_ORDER_MARK, MAX_FILE, read_config_file
from palyra.core.errors import ConflictError, ManyProblemsError, PalyraError, StateError
from palyra.core.private_files import replace_file
from palyra.core.reasons import reason_of

BY_HAND = "Change it by hand."
KEPT_BACKUPS = 5
"""How many of the files that were replaced are kept beside it."""


def set_defaults(path: Path, models: Mapping[str, str], environ: Mapping[str, str]) -> tuple[str, ...]:
    """Writes models by their role into `[defaults]` of a file, all or none; it keeps its mode, a link stays one, and
    the old bytes become `.bak.1`.

    Returns words of warning, none where there is nothing to say. Raises BadInputError for a configuration that
    could not be used then, StateError where the file cannot be read or written, ConflictError where it has changed
    meanwhile.
    """
    target = Path(os.path.realpath(path))
    before = after = read_whole(target, path)
    for role, model in models.items():
        after = with_value(after, "defaults", role, model)
    loaded = interpret(after, path, environ, {})
    if loaded.config is None:
        head = "The configuration could not be used with that:"
        raise ManyProblemsError([head, *(f"  {problem}" for problem in loaded.problems)])
    if read_whole(target, path) != before:
        raise ConflictError(f"{path} was changed meanwhile; nothing was written.", fix="Try again.")
    if after != before:
        replace_file(target, after, backups=KEPT_BACKUPS)
    in_force = {role: getattr(loaded.config.defaults, role) for role in models}
    return tuple(
        f"But {loaded.origins[f'defaults.{role}']} says {in_force[role]}, which comes first."
        for role, model in models.items()
        if in_force[role] != model
    )


def with_value(data: bytes, table: str, key: str, text: str) -> bytes:
    """A TOML file with one text key of a top-level table set; every other line stays. Raises PalyraError where that
    cannot be done without changing anything else."""
    try:
        source = data.decode()
        before = tomllib.loads(source, parse_float=toml_float)
        expected: dict[str, Any] = copy.deepcopy(before)
        expected.setdefault(table, {})[key] = text
        for written in _edited(source, table, key, text):
            if _reads_as(written, expected):
                return written.encode()
    except (UnicodeDecodeError, ValueError, RecursionError, TooDeepError, TypeError, AttributeError) as error:
        raise PalyraError(f"The file cannot be rewritten: {reason_of(error)}.", fix=BY_HAND) from None
    raise PalyraError("Rewriting the file would change more than that key; nothing was written.", fix=BY_HAND)


def _edited(source: str, table: str, key: str, text: str) -> Iterator[str]:
    """Ways to set the key, of which the first that reads as it should is right. Text is edited rather than written anew
    from a parsed document, since that is what leaves comments, order and spaces alone."""
    places, ending = places_of(source), line_ending(source)
    spelled = item(text).as_string()
    if (span := places.values.get((table, key))) is not None:
        yield f"{source[: span[0]]}{spelled}{source[span[1] :]}"
    if (head := places.heads.get((table,))) is not None:
        yield _below(source, head, f"{key} = {spelled}", ending)
    if (span := places.values.get((table,))) is not None:
        inside = source[span[0] + 1 : span[1] - 1].rstrip()
        yield f"{source[: span[0]]}{{{inside}{',' * bool(inside)} {key} = {spelled} }}{source[span[1] :]}"
    beside = [span for path, span in places.values.items() if path[0] == table and len(path) == 2]
    for _, end in beside[-1:]:
        yield _below(source, end, f"{table}.{key} = {spelled}", ending)
    gap = "" if source.endswith("\n") or not source else ending
    yield f"{source}{gap}{ending * bool(source.strip())}[{table}]{ending}{key} = {spelled}{ending}"


def _below(source: str, place: int, line: str, ending: str) -> str:
    """With a line more below the one a place is in."""
    end = source.find("\n", place)
    if end < 0:
        return f"{source}{ending}{line}{ending}"
    return f"{source[: end + 1]}{line}{ending}{source[end + 1 :]}"


def _reads_as(written: str, expected: Mapping[str, Any]) -> bool:
    try:
        return same_data(tomllib.loads(written, parse_float=toml_float), expected)
    except tomllib.TOMLDecodeError:
        return False


def line_ending(text: str) -> str:
    """How the first line of a text ends; a line feed where there is but one."""
    first_break = text.find("\n")
    return "\r\n" if first_break > 0 and text[first_break - 1] == "\r" else "\n"


def same_data(first: object, second: object) -> bool:
    """Whether two trees that `tomllib` read are the same: types, rows in their order, numbers digit by digit."""
    if type(first) is not type(second):
        return False
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same_data(first[name], second[name]) for name in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same_data, first, second))
    if isinstance(first, Decimal):
        return str(first) == str(second)
    return first == second


def read_whole(target: Path, named: Path) -> bytes:
    """The bytes of a configuration file, for rewriting it. Raises StateError."""
    found = read_config_file(target)
    refused = found.refused
    if found.data is None:
        refused = refused or "there is no such file"
    elif len(found.data) > MAX_FILE:
        refused = f"it is larger than {spell_size(MAX_FILE)}"
    elif found.data.startswith(BYTE_ORDER_MARK):
        refused = "it begins with a byte order mark"
    if found.data is None or refused is not None:
        raise StateError(f"{named} cannot be read: {refused}.", fix="`palyra config check` tells more.")
    return found.data
