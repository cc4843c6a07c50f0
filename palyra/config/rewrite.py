"""Changing one key of a configuration file, with its comments, order and all else as they are."""

import copy
import os
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from palyra.config.amounts import toml_float
from palyra.config.load import interpret
from palyra.config.paths import MAX_FILE, read_config_file
from palyra.core.errors import BadInputError, ConflictError, PalyraError, StateError
from palyra.core.private_files import replace_file
from palyra.core.reasons import reason_of

BY_HAND = "Change it by hand."


def set_defaults(path: Path, models: Mapping[str, str], environ: Mapping[str, str]) -> tuple[str, ...]:
    """Writes models by their role into `[defaults]` of a file, all or none; it keeps its mode, and a link stays one.

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
        problems = "\n".join(f"  {problem}" for problem in loaded.problems)
        raise BadInputError(f"The configuration could not be used with that:\n{problems}")
    if read_whole(target, path) != before:
        raise ConflictError(f"{path} was changed meanwhile; nothing was written.", fix="Try again.")
    if after != before:
        replace_file(target, after)
    in_force = {role: getattr(loaded.config.defaults, role) for role in models}
    return tuple(
        f"But {loaded.origins[f'defaults.{role}']} says {in_force[role]}, which comes first."
        for role, model in models.items()
        if in_force[role] != model
    )


def with_value(data: bytes, table: str, key: str, text: str) -> bytes:
    """A TOML file with one text key of a top-level table set. Raises PalyraError where that cannot be done without
    changing anything else."""
    try:
        source = data.decode()
        expected: dict[str, Any] = copy.deepcopy(tomllib.loads(source, parse_float=toml_float))
        expected.setdefault(table, {})[key] = text
        document = tomlkit.parse(source)
        if table not in document:
            document[table] = tomlkit.table()
        document[table][key] = text
        written = tomlkit.dumps(document)
        same = same_data(tomllib.loads(written, parse_float=toml_float), expected)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, TOMLKitError, TypeError, AttributeError) as error:
        raise PalyraError(f"The file cannot be rewritten: {reason_of(error)}.", fix=BY_HAND) from None
    if not same:
        raise PalyraError("Rewriting the file would change more than that key; nothing was written.", fix=BY_HAND)
    return written.encode()


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
    if found.data is None or len(found.data) > MAX_FILE:
        raise StateError(f"{named} cannot be read: {found.refused or 'it is not there, or too large'}.")
    return found.data
