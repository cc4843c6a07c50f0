"""Writing the file a fresh installation begins with."""

import os
from collections.abc import Mapping
from pathlib import Path

from palyra.config.load import interpret
from palyra.config.minimal import minimal_file
from palyra.config.paths import SYSTEM_FILE, config_candidates, read_config_file
from palyra.config.problem import Code
from palyra.config.rewrite import KEPT_BACKUPS
from palyra.core.errors import ConflictError, PalyraError, StateError
from palyra.core.private_files import backups_of, make_dirs, write_private
from palyra.core.reasons import reason_of
from palyra.core.values import value


@value
class InitialisedFile:
    """`target` is where a link led; `backup` holds what was there before, None where nothing was."""

    target: Path
    backup: Path | None = None


def initialise(named: Path | None, environ: Mapping[str, str], *, force: bool) -> InitialisedFile:
    """Writes the minimal file, 0600, to the place named by `--config` or the environment, else to the user's own.

    Raises ConflictError for a file that is there without `force`, PalyraError for one of a newer version even so, and
    StateError where it cannot be written.
    """
    path = config_candidates(named, environ, SYSTEM_FILE)[0].path
    target = Path(os.path.realpath(path))
    found = read_config_file(target)
    there = found.data is not None or found.refused is not None
    if there and not force:
        raise ConflictError(f"{path} is there already.", fix="--force replaces it and keeps it as a backup.")
    if found.data is not None:
        codes = {problem.code for problem in interpret(found.data, target, {}, {}).problems}
        if Code.VERSION_NEWER in codes:
            raise PalyraError(f"{path} was written by a newer Palyra; it is left alone.", fix="Upgrade Palyra.")
    elif found.refused is not None and not target.is_file():
        raise StateError(f"{path} cannot be replaced: {found.refused}.", fix="Name another file.")
    try:
        make_dirs(target.parent)
    except OSError as error:
        raise StateError(f"{target.parent} cannot be made: {reason_of(error)}.", fix="Name another file.") from None
    write_private(target, minimal_file(), backups=KEPT_BACKUPS)
    return InitialisedFile(target, backups_of(target)[0] if there else None)
