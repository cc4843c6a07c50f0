"""What can be read of a configuration that cannot be used: enough for a screen to look as its operator is used to."""

import re
import tomllib
from collections.abc import Mapping
from itertools import pairwise

from palyra.config.load import LoadResult, Sources, interpret
from palyra.config.model import LoadedConfig
from palyra.config.paths import read_config_file
from palyra.config.problem import Code

_HEADER = re.compile(r"^[ \t]*\[", re.MULTILINE)


def for_a_screen(sources: Sources) -> LoadedConfig:
    """The configuration, or what can be read of a broken one."""
    loaded = sources.load()
    return loaded.config or legible_part(loaded, sources.environ)


def legible_part(loaded: LoadResult, environ: Mapping[str, str]) -> LoadedConfig:
    """Every value that is well, and the defaults for the others. Of a file that is no TOML the tables that are."""
    if loaded.path is None or not any(problem.code is Code.SYNTAX for problem in loaded.problems):
        return loaded.legible
    data = read_config_file(loaded.path).data or b""
    text = legible_tables(data.decode("utf-8", "replace"))
    return interpret(text.encode(), loaded.path, environ, {}).legible


def legible_tables(text: str) -> str:
    """The tables of a text that are TOML by themselves; empty where those together are none."""
    starts = [0, *(match.start() for match in _HEADER.finditer(text)), len(text)]
    blocks = [text[start:end] for start, end in pairwise(starts)]
    kept = "".join(block for block in blocks if _is_toml(block))
    return kept if _is_toml(kept) else ""


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
