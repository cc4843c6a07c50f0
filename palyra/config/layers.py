"""Layers of values and how they merge: key by key, each key remembering where it was set."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from palyra.config.model import LoadedConfig
from palyra.config.problem import DEFAULT, Code, Origin, Problem
from palyra.config.providers import CREDENTIALS
from palyra.config.section import Section
from palyra.config.shape import Form, Path, dotted, entries, entry_at
from palyra.core.values import value


@value
class Layer:
    """Values of one source as a tree. `places` knows where a path was set; a path it lacks stands where its table does.

    `unset` holds paths this layer takes the value away from.
    """

    tree: dict[str, Any]
    places: Mapping[Path, Origin]
    fallback: Origin
    unset: frozenset[Path] = frozenset()

    def origin(self, path: Path) -> Origin:
        """Where a key of it was written."""
        for length in range(len(path), 0, -1):
            if (origin := self.places.get(path[:length])) is not None:
                return origin
        return self.fallback

    def sets(self, path: Path) -> bool:
        """Whether it sets the key."""
        return path in self.unset or get(self.tree, path) is not ABSENT


ABSENT = object()
"""What `get` finds where there is nothing; it equals nothing else."""


def get(tree: Any, path: Path) -> Any:
    """The value at a path, or ABSENT."""
    for part in path:
        try:
            tree = tree[part]
        except (KeyError, IndexError, TypeError):
            return ABSENT
    return tree


def remove(tree: Any, path: Path) -> None:
    """Takes a key out of a tree; one that is not there is no error."""
    parent = get(tree, path[:-1])
    if isinstance(parent, dict):
        parent.pop(path[-1], None)


@dataclass(slots=True)
class Merged:
    """The tree all layers make together, where each path was set, and what could not be merged."""

    tree: dict[str, Any] = field(default_factory=dict)
    layers: tuple[Layer, ...] = ()
    displaced: dict[Path, tuple[Origin, ...]] = field(default_factory=dict)
    """By provider: the credential keys of lower layers that a higher one displaced."""
    problems: list[Problem] = field(default_factory=list)

    def origin(self, path: Path) -> Origin:
        """Where the value at a path comes from, and what that shadows. A path nobody set is default."""
        found = [layer.origin(path) for layer in reversed(self.layers) if layer.sets(path)]
        if not found:
            return DEFAULT
        table, name = path[:-1], path[-1]
        if name in CREDENTIALS and table[:1] == ("providers",):
            found += self.displaced.get(table, ())
        entry = entry_at(LoadedConfig, path)
        if entry is not None and not entry.required:
            found.append(DEFAULT)
        return replace(found[0], shadows=tuple(found[1:]))

    def place(self, path: Path) -> Origin:
        """Where a message about a path points: as `origin`, but a key nobody set stands where its table does."""
        for length in range(len(path), 0, -1):
            for layer in reversed(self.layers):
                if layer.sets(path[:length]):
                    return layer.origin(path[:length])
        return self.layers[0].fallback if self.layers else DEFAULT


def merge(layers: tuple[Layer, ...]) -> Merged:
    """Merges layers, weakest first. A table of one layer over a plain value of another is a problem of the latter."""
    merged = Merged(layers=layers)
    _choose_credentials(merged)
    for layer in layers:
        _overlay(merged.tree, layer.tree, (), merged, layer)
        for path in layer.unset:
            remove(merged.tree, path)
    return merged


def _overlay(below: dict[str, Any], above: Mapping[str, Any], path: Path, merged: Merged, layer: Layer) -> None:
    for name, setting in above.items():
        here = (*path, name)
        if not isinstance(setting, dict):
            below[name] = setting
            continue
        present = below.get(name, {})
        if not isinstance(present, dict):
            lower = next(one for one in merged.layers if one.sets(here))
            merged.problems.append(
                Problem(
                    Code.WRONG_TYPE,
                    dotted(here),
                    lower.origin(here),
                    "a table was expected",
                    f"Write it as [{dotted(here)}]",
                )
            )
            present = {}
        below[name] = dict(present)
        _overlay(below[name], setting, here, merged, layer)


def _choose_credentials(merged: Merged) -> None:
    """Drops from each layer the credential keys that a higher layer replaces, and refuses two in one layer."""
    names = {name for layer in merged.layers for name in _tables(layer.tree.get("providers"))}
    for name in sorted(names):
        table: Path = ("providers", name)
        chosen: Layer | None = None
        dropped: list[Origin] = []
        for layer in reversed(merged.layers):
            given = [key for key in CREDENTIALS if get(layer.tree, (*table, key)) not in (ABSENT, [])]
            _refuse_second(merged, layer, table, given)
            if chosen is None and given:
                chosen = layer
                continue
            for key in given:
                origin = layer.origin((*table, key))
                dropped.append(replace(origin, key=dotted((*table, key))))
                remove(layer.tree, (*table, key))
        if dropped:
            merged.displaced[table] = tuple(dropped)


def _refuse_second(merged: Merged, layer: Layer, table: Path, given: list[str]) -> None:
    placed = sorted(given, key=lambda key: (layer.origin((*table, key)).order, given.index(key)))
    for key in placed[1:]:
        merged.problems.append(
            Problem(
                Code.CONFLICT,
                dotted((*table, key)),
                layer.origin((*table, key)),
                f"{placed[0]} and {key} both give the credential",
                "Keep one of them",
            )
        )


def _tables(tree: object) -> Iterator[str]:
    if isinstance(tree, dict):
        yield from (name for name, value in tree.items() if isinstance(value, dict))


def all_origins(merged: Merged) -> dict[str, Origin]:
    """The origin of every key, by its dotted name: those of all tables, and of every row and named table there is."""
    return {dotted(path): merged.origin(path) for path in _paths(LoadedConfig, merged.tree, ())}


def _paths(model: type[Section], tree: Any, path: Path) -> Iterator[Path]:
    for entry in entries(model).values():
        here = (*path, entry.name)
        below = get(tree, (entry.name,))
        if entry.form is Form.VALUE or entry.table is None:
            if entry.form is Form.NAMED_VALUES and isinstance(below, dict):
                yield from ((*here, name) for name in below)
            elif entry.form is Form.VALUE:
                yield here
        elif entry.form is Form.TABLE:
            yield from _paths(entry.table, below, here)
        elif entry.form is Form.NAMED_TABLES and isinstance(below, dict):
            for name, table in below.items():
                yield from _paths(entry.table, table, (*here, name))
        elif entry.form is Form.ROWS and isinstance(below, list):
            for index, row in enumerate(below):
                yield from _paths(entry.table, row, (*here, index))
