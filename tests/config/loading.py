"""Loading from text, as the tests want it."""

from collections.abc import Mapping
from pathlib import Path

from palyra.config.load import LoadResult, interpret
from palyra.config.model import LoadedConfig

FILE = Path("/somewhere/palyra.toml")


def load(text: str, env: Mapping[str, str] | None = None, flags: Mapping[str, str | None] | None = None) -> LoadResult:
    """What a file of this text means; a text without a version gets one, on the line of its first key."""
    return interpret(versioned(text).encode(), FILE, env or {}, flags or {})


def versioned(text: str) -> str:
    return text if "version" in text else f"version = 1\n{text}"


def sound(
    text: str, env: Mapping[str, str] | None = None, flags: Mapping[str, str | None] | None = None
) -> LoadedConfig:
    """The configuration of a text without problems."""
    result = load(text, env, flags)
    assert result.config is not None, "\n".join(map(str, result.problems))
    assert result.problems == ()
    return result.config


def found(
    text: str, env: Mapping[str, str] | None = None, flags: Mapping[str, str | None] | None = None
) -> list[tuple[str, str]]:
    """The code and key of each problem, in order."""
    result = load(text, env, flags)
    assert (result.config is None) == bool(result.problems)
    return [(problem.code.value, problem.key) for problem in result.problems]
