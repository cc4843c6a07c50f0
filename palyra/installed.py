"""What an engine started here would run on, or why none can."""

import os
from dataclasses import replace
from pathlib import Path

from palyra.config.load import Sources
from palyra.config.problem import Code, LayerName, Problem
from palyra.core.errors import ManyProblemsError, PalyraError
from palyra.core.plural import plural
from palyra.core.reasons import reason_of
from palyra.core.redact import redact
from palyra.engine import Installation

REPAIR = "`palyra doctor` tells what can be repaired, and `palyra-tui` opens on it."
_WHOLE = (Code.SYNTAX, Code.TOO_LARGE, Code.ENCODING)


class ConfigError(ManyProblemsError):
    """A configuration that cannot be used; the message holds every problem, a line each. `path` is its file's."""

    def __init__(self, problems: tuple[Problem, ...], path: Path | None = None) -> None:
        self.problems = problems
        self.path = str(path or "")
        head = f"The configuration has {plural(len(problems), 'problem')}:"
        super().__init__([head, *(f"  {problem}" for problem in problems), REPAIR])


def installed(sources: Sources, state_dir: Path) -> Installation:
    """What an engine started now would run on. Raises ConfigError with all problems at once."""
    loaded = sources.load()
    if loaded.config is None:
        raise ConfigError(loaded.problems, loaded.path)
    return Installation(loaded.config, state_dir, loaded.path, sources=sources, warnings=loaded.warnings)


def trouble_of(error: Exception, state_dir: Path) -> str:
    """Why no engine runs: one line without a full stop and without secrets, files of the state by their names in it."""
    if isinstance(error, ConfigError):
        told = _of_configuration(error.problems)
    elif isinstance(error, PalyraError):
        told = error.message.replace(f"{state_dir}{os.sep}", "").replace(f" on {state_dir}", "") or error.code
    else:
        told = f"the engine failed to start: {type(error).__name__}: {reason_of(error)}"
    return redact(told.splitlines()[0].rstrip("."))


def _of_configuration(problems: tuple[Problem, ...]) -> str:
    first, others = problems[0], len(problems) - 1
    origin = replace(first.origin, shadows=())
    name = Path(origin.name).name if origin.layer is LayerName.FILE else str(origin)
    if first.code is Code.UNREADABLE:
        what = f"{name} cannot be read: {first.message.rpartition(': ')[2]}"
    elif first.code is Code.VERSION_NEWER:
        what = f"{name} is of a newer Palyra"
    elif origin.layer is LayerName.FILE and origin.line:
        what = f"{name} line {origin.line} is not valid"
    else:
        what = f"{name} is not valid"
    more = f", and {plural(others, 'problem')} more" if others and first.code not in _WHOLE else ""
    return what + more
