"""From a merged tree to typed values: pydantic reads, its findings become problems.

A value at fault is taken out (or replaced by its kind's example where the key is required) and the rest read again, so
that the rules between keys can still be asked about everything that is well.
"""

import copy
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from palyra.config.kinds import LOADING
from palyra.config.layers import ABSENT, Merged, get
from palyra.config.meanings import MEANINGS
from palyra.config.model import LoadedConfig
from palyra.config.problem import Code, LayerName, Problem
from palyra.config.shape import Path, dotted, entries, entry_at, key_names, table_at
from palyra.config.suggest import MOST, nearest

_MOST_SUGGESTED = 200
"""Beyond this many unknown keys nobody reads suggestions, and looking them up would take minutes."""


@dataclass(slots=True)
class Reading:
    """What could be read. `broken` holds the paths whose value in `config` is not the operator's."""

    config: LoadedConfig
    broken: frozenset[Path]
    problems: list[Problem] = field(default_factory=list)
    _above: frozenset[Path] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._above = frozenset(path[:length] for path in self.broken for length in range(len(path) + 1))

    def sound(self, *paths: Path) -> bool:
        """Whether nothing at, above or below any of these paths is broken."""
        return not any(
            path in self._above or any(path[:length] in self.broken for length in range(len(path))) for path in paths
        )


def read_tree(merged: Merged) -> Reading:
    """Reads a merged tree; every fault of a single value is listed."""
    tree = copy.deepcopy(merged.tree)
    try:
        return Reading(_read(tree), frozenset())
    except ValidationError as error:
        faults = _placed(tree, error)
    problems = _problems(merged, faults)
    broken: set[Path] = set()
    while True:
        for path, _ in faults:
            _repair(tree, path)
            broken.add(path)
        # Repairing a row that was no table at all leaves its required keys to be filled in a further round.
        try:
            return Reading(_read(tree), frozenset(broken), problems)
        except ValidationError as error:
            faults = _placed(tree, error)


def _read(tree: dict[str, Any]) -> LoadedConfig:
    return LoadedConfig.model_validate(tree, context=LOADING, by_alias=True, by_name=False)


def _placed(tree: dict[str, Any], error: ValidationError) -> list[tuple[Path, ErrorDetails]]:
    """Each fault with the path of the key at fault. pydantic marks the name of a free table itself with `[key]`."""
    faults = error.errors(include_url=False, include_input=False)
    return [(_path_of(tree, fault["loc"]), fault) for fault in faults]


def _path_of(tree: dict[str, Any], location: Path) -> Path:
    marked = location[-1:] == ("[key]",) and get(tree, location) is ABSENT
    return location[:-1] if marked else location


def _repair(tree: dict[str, Any], path: Path) -> None:
    """Takes a faulty value out of the tree, or puts one in that reads."""
    parent, name = get(tree, path[:-1]), path[-1]
    if isinstance(parent, list) and isinstance(name, int):
        parent[name] = {}
    elif isinstance(parent, dict):
        entry = entry_at(LoadedConfig, path)
        if entry is not None and entry.required and entry.kind is not None:
            parent[name] = entry.kind.example
        else:
            parent.pop(name, None)


def _problems(merged: Merged, faults: Iterable[tuple[Path, ErrorDetails]]) -> list[Problem]:
    problems: list[Problem] = []
    unknown = 0
    for path, fault in faults:
        match fault["type"]:
            case "extra_forbidden":
                unknown += 1
                suggestions = key_suggestions(path) if unknown <= _MOST_SUGGESTED else ()
                fix = "" if suggestions else "Remove it"
                problem = Problem(Code.UNKNOWN_KEY, dotted(path), merged.place(path), "unknown key", fix, suggestions)
            case "missing":
                entry = entry_at(LoadedConfig, path)
                hint = entry.kind.hint if entry is not None and entry.kind is not None else ""
                problem = Problem(Code.MISSING, dotted(path), merged.place(path), "this key is required", hint)
            case "model_type" | "dict_type":
                rows = dotted(tuple(part for part in path if not isinstance(part, int)))
                in_row = any(isinstance(part, int) for part in path)
                fix = f"Write each as [[{rows}]]" if in_row else f"Write it as [{dotted(path)}]"
                problem = Problem(Code.WRONG_TYPE, dotted(path), merged.place(path), "a table was expected", fix)
            case "tuple_type":
                message = "an array of tables was expected"
                fix = f"Write it as [[{dotted(path)}]]"
                problem = Problem(Code.WRONG_TYPE, dotted(path), merged.place(path), message, fix)
            case _:
                problem = _refused(merged, path, fault)
        problems.append(problem)
    return problems


def _refused(merged: Merged, path: Path, fault: ErrorDetails) -> Problem:
    """What a kind said. A variable that cannot be read as its key's type is a problem of the environment."""
    said = fault["ctx"]
    code = Code(fault["type"])
    origin = merged.place(path)
    if code is Code.WRONG_TYPE and origin.layer is LayerName.ENV:
        code = Code.ENV_INVALID
    return Problem(code, dotted(path), origin, said["message"], said["fix"], said["suggestions"])


def key_suggestions(path: Path) -> tuple[str, ...]:
    """Keys an unknown key may mean, by what other programs call them or by how they are spelled: of its own table by
    their name, of other tables with the table's name."""
    name = str(path[-1])
    table = table_at(LoadedConfig, path[:-1])
    own = list(entries(table)) if table is not None else []
    if near := _meant(name, own):
        return near
    elsewhere = _keys_by_name()
    return tuple(key for word in _meant(name, elsewhere) for key in elsewhere[word])[:MOST]


def _meant(name: str, known: Collection[str]) -> tuple[str, ...]:
    """Those of some known words that a word may stand for, at most three."""
    meant = [word for word in (name, *MEANINGS.get(name, ())) if word in known]
    return tuple(dict.fromkeys([*meant, *nearest(name, known)]))[:MOST]


@cache
def _keys_by_name() -> Mapping[str, tuple[str, ...]]:
    """Every dotted key by its last part."""
    by_name: dict[str, tuple[str, ...]] = {}
    for key in key_names(LoadedConfig):
        name = key.rpartition(".")[2]
        by_name[name] = (*by_name.get(name, ()), key)
    return by_name
