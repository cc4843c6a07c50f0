"""Questions about the configuration an engine runs on."""

from dataclasses import field
from typing import Literal

from palyra.core.values import value

INVALID = "config_invalid"
"""The code of a reload that was refused for what the file says."""

Waits = Literal["reload", "restart"]


@value
class ConfigProblemView:
    """One thing to put right. `place` is where it stands (`palyra.toml:4`), `key` the dotted key, empty for the whole
    file; `text` says all of it in a line."""

    code: str
    key: str
    place: str
    message: str
    fix: str
    suggestions: tuple[str, ...]
    text: str


@value
class ConfigQuery:
    """How the configuration stands; the file is read for it, and nothing applied."""

    kind: Literal["config"] = "config"


@value
class ConfigAnswer:
    """`path` is the file that is read, empty without one. `problems` and `warnings` are those it has now.

    `waiting` has every key whose value in the file is not the one in force, with what would apply it. `pending_restart`
    are the sections that a reload found to need a restart; `reloaded_at` (unix ms) and `reload_ok` tell of the last
    one, None before the first. `live`: an engine runs; without one nothing waits.
    """

    live: bool
    path: str
    version: int
    problems: tuple[ConfigProblemView, ...] = ()
    warnings: tuple[ConfigProblemView, ...] = ()
    waiting: dict[str, Waits] = field(default_factory=dict)
    pending_restart: tuple[str, ...] = ()
    reloaded_at: int | None = None
    reload_ok: bool | None = None
