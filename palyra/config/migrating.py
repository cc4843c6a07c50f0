"""Bringing a configuration file itself to the current version: what is there stays to the letter.

A step adds or moves lines in the text; tomllib then reads the result, which must hold exactly the data the versions'
own steps make of the old data. Text is edited rather than written anew from a parsed document, since that is what
leaves comments, order, spaces and even mixed line endings alone.
"""

import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from palyra.config.amounts import toml_float
from palyra.config.problem import Fault
from palyra.config.rewrite import BY_HAND, KEPT_BACKUPS, line_ending, read_whole, same_data
from palyra.config.versions import migrate
from palyra.core.errors import ConflictError, PalyraError
from palyra.core.private_files import backups_of, replace_file
from palyra.core.reasons import reason_of
from palyra.core.values import value


@value
class Rewritten:
    """A file's bytes in the current version, the version it had, and what was changed; nothing where it is current."""

    data: bytes
    written: int
    changes: tuple[str, ...]


@value
class MigratedFile:
    """What became of a file. `target` is where a link led; `backup` holds the old bytes, None where nothing changed or
    nothing was to be written."""

    target: Path
    rewritten: Rewritten
    backup: Path | None = None


def _stamp(text: str) -> str:
    ending = line_ending(text)
    return f"version = 1{ending}{ending if text.strip() else ''}{text}"


EDITS: tuple[Callable[[str], str], ...] = (_stamp,)
"""EDITS[n] does to the text what the step from version n does to the data."""


def migrated(data: bytes) -> Rewritten:
    """A file's bytes brought to the current version. Raises PalyraError for what is no such file, is of a newer
    version, or could not be rewritten without changing something else."""
    try:
        text = data.decode()
        tree = _read(text)
        told = migrate(tree)
    except Fault as fault:
        raise PalyraError(f"The file is not rewritten: {fault.message}.", fix=f"{fault.fix}.") from None
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise PalyraError(
            f"The file cannot be read: {reason_of(error)}.", fix="`palyra config check` tells more."
        ) from (None)
    for edit in EDITS[told.written :]:
        text = edit(text)
    try:
        same = same_data(_read(text), told.tree)
    except ValueError:
        same = False
    if not same:
        raise PalyraError("Rewriting the file would change what it says; nothing was written.", fix=BY_HAND)
    return Rewritten(text.encode(), told.written, told.changes)


def migrate_file(path: Path, *, dry_run: bool = False) -> MigratedFile:
    """Brings a file to the current version, where a link leads; the old bytes become `.bak.1`, its mode stays.

    Raises StateError where it cannot be read or written, ConflictError where it has changed meanwhile, PalyraError as
    `migrated` does.
    """
    target = Path(os.path.realpath(path))
    before = read_whole(target, path)
    rewritten = migrated(before)
    if not rewritten.changes or dry_run:
        return MigratedFile(target, rewritten)
    if read_whole(target, path) != before:
        raise ConflictError(f"{path} was changed meanwhile; nothing was written.", fix="Try again.")
    replace_file(target, rewritten.data, backups=KEPT_BACKUPS)
    return MigratedFile(target, rewritten, backups_of(target)[0])


def _read(text: str) -> dict[str, Any]:
    return tomllib.loads(text, parse_float=toml_float)
