"""No key is only for show: whatever a file can set is read by some room."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import palyra
from palyra.config.model import LoadedConfig
from palyra.config.section import Section
from palyra.config.shape import entries

ROOT = Path(palyra.__file__).parent
Tables = set[type[Section]]

TOLD = {"version"}
"""Read by what reads the file itself."""


def tables(model: type[Section]) -> Iterator[tuple[str, type[Section]]]:
    """Every table with the attribute by which it is reached."""
    for entry in entries(model).values():
        if entry.table is not None:
            yield entry.attribute, entry.table
            yield from tables(entry.table)


def keys(model: type[Section], above: str = "") -> Iterator[tuple[str, type[Section], str]]:
    """Every key that holds a value: its dotted name, its table and its attribute there."""
    for entry in entries(model).values():
        if entry.table is None:
            yield f"{above}{entry.name}", model, entry.attribute
        else:
            yield from keys(entry.table, f"{above}{entry.name}.")


REACHED: dict[str, Tables] = {}
for attribute, table in tables(LoadedConfig):
    REACHED.setdefault(attribute, set()).add(table)
CLASSES = {one.__name__: one for found in REACHED.values() for one in found}


class Reading:
    """What one module reads of the configuration: the names that hold a table are told by annotations, and by what they
    are taken from."""

    def __init__(self, source: str) -> None:
        self._nodes = list(ast.walk(ast.parse(source)))
        self._holds: dict[str, Tables] = {}
        self.read: set[tuple[type[Section], str]] = set()
        for node in self._nodes:
            if isinstance(node, ast.arg):
                self._learn(node.arg, self._annotated(node.annotation))
            elif isinstance(node, ast.AnnAssign):
                self._bind(node.target, self._annotated(node.annotation))
        for _ in range(2):
            # What is taken from a name that is learned further below is known in the second round.
            for node in self._nodes:
                if isinstance(node, ast.Assign):
                    for target in node.targets:
                        self._assign(target, node.value)
                elif isinstance(node, ast.For | ast.comprehension):
                    self._bind(node.target, self._tables_of(node.iter))
        self._note()

    def _note(self) -> None:
        words = {node.value for node in self._nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        for node in self._nodes:
            if isinstance(node, ast.Attribute):
                self.read |= {(table, node.attr) for table in self._tables_of(node.value)}
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
                # By name: of those that the module knows.
                self.read |= {(table, word) for table in self._tables_of(node.args[0]) for word in words}

    def _annotated(self, annotation: ast.expr | None) -> Tables:
        nodes = list(ast.walk(annotation)) if annotation is not None else []
        # A name in quotes is one as well.
        named = [node.id for node in nodes if isinstance(node, ast.Name)]
        named += [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        return {CLASSES[name] for name in named if name in CLASSES}

    def _learn(self, name: str, held: Tables) -> None:
        if held:
            self._holds.setdefault(name, set()).update(held)

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for one, taken in zip(target.elts, value.elts, strict=False):
                self._bind(one, self._tables_of(taken))
        else:
            self._bind(target, self._tables_of(value))

    def _bind(self, target: ast.expr, held: Tables) -> None:
        for node in ast.walk(target):
            if isinstance(node, ast.Name):
                self._learn(node.id, held)
            elif isinstance(node, ast.Attribute):
                self._learn(f".{node.attr}", held)

    def _tables_of(self, node: ast.expr) -> Tables:
        """Which tables an expression may hold, alone or as a list or dict of them."""
        match node:
            case ast.Name(id=name):
                return self._holds.get(name, set())
            case ast.Attribute(attr=name):
                return REACHED.get(name, set()) | self._holds.get(f".{name}", set())
            case ast.Call(func=ast.Attribute(value=held, attr="values" | "items" | "get")):
                return self._tables_of(held)
            case ast.Call(args=given):
                return {table for one in given for table in self._tables_of(one)}
            case ast.Subscript(value=held):
                return self._tables_of(held)
        return set()


def rooms() -> Iterator[str]:
    for path in sorted(ROOT.rglob("*.py")):
        source = path.read_text()
        if "config" in source and not path.is_relative_to(ROOT / "config"):
            yield source


def test_every_key_is_read_by_a_room() -> None:
    found: set[tuple[type[Section], str]] = set()
    named: set[str] = set()
    for source in rooms():
        reading = Reading(source)
        found |= reading.read
        named |= {node.attr for node in reading._nodes if isinstance(node, ast.Attribute)}
    known = list(keys(LoadedConfig))
    tables_with = Counter(attribute for _, _, attribute in known)
    unread = [
        key
        for key, table, attribute in known
        if key not in TOLD
        and (table, attribute) not in found
        # A word that is in no other table is a key wherever it is read.
        and not (tables_with[attribute] == 1 and attribute in named)
    ]
    assert unread == []


def test_a_key_that_only_sounds_alike_is_not_taken_for_read() -> None:
    read = Reading("def room(tasks: TasksConfig, other):\n    return tasks.concurrency, other.retention_days\n").read
    assert {attribute for _, attribute in read} == {"concurrency"}
    by_name = Reading(
        "NAMES = ('jitter_ms',)\ndef room(job: JobConfig):\n    return [getattr(job, n) for n in NAMES]\n"
    )
    assert {attribute for _, attribute in by_name.read} == {"jitter_ms"}
