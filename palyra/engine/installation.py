"""What an engine is started on."""

from pathlib import Path

from palyra.config.load import Sources
from palyra.config.model import LoadedConfig
from palyra.config.problem import Problem
from palyra.core.values import value


@value
class Installation:
    """What an engine is started on. `config_path` None: defaults. `demo` marks made-up traffic on every screen.

    `sources` is where the configuration can be read again, None for one that was made up; `warnings` are what was said
    when it was read.
    """

    config: LoadedConfig
    state_dir: Path
    config_path: Path | None = None
    demo: bool = False
    sources: Sources | None = None
    warnings: tuple[Problem, ...] = ()
