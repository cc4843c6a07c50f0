"""Where the rules between keys put what they find."""

from collections.abc import Iterator
from typing import Any

from palyra.config.layers import Merged
from palyra.config.model import LoadedConfig
from palyra.config.problem import Code, Problem
from palyra.config.shape import Path, dotted
from palyra.config.validate import Reading


class Findings:
    """A configuration being checked, and the problems found. Values that are broken already are not asked about."""

    def __init__(self, reading: Reading, config: LoadedConfig, merged: Merged) -> None:
        self.config = config
        self.problems: list[Problem] = []
        self._reading = reading
        self._merged = merged

    def sound(self, *paths: Path) -> bool:
        """Whether nothing is wrong."""
        return self._reading.sound(*paths)

    def is_set(self, path: Path) -> bool:
        """Whether any layer gives this key."""
        return any(layer.sets(path) for layer in self._merged.layers)

    def names(self, table: str) -> list[str]:
        """The names in a table of named tables, also of those that could not be read."""
        tree: Any = self._merged.tree.get(table)
        return list(tree) if isinstance(tree, dict) else []

    def where(self, path: Path) -> str:
        """How a message cites another key: `budgets[0].policy_id (palyra.toml:3)`."""
        return f"{dotted(path)} ({self._merged.place(path).place})"

    def add(self, code: Code, path: Path, message: str, fix: str = "", suggestions: tuple[str, ...] = ()) -> None:
        """Notes a problem."""
        self.problems.append(Problem(code, dotted(path), self._merged.place(path), message, fix, suggestions))

    def unique(self, values: Iterator[tuple[Path, str]], noun: str) -> None:
        """Every value once; a repetition names both places."""
        first: dict[str, Path] = {}
        for path, value in values:
            if not self.sound(path):
                continue
            if (earlier := first.setdefault(value, path)) != path:
                self.add(
                    Code.DUPLICATE_ID,
                    path,
                    f'{noun} "{value}" is taken by {self.where(earlier)}',
                    "Give each its own",
                )
