"""Loading: find the file, lay the layers, read and check them, and say everything that is wrong at once.

Reading the file is the only thing done outside; `interpret` is a pure function of its bytes and the environment.
"""

import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from palyra.config.amounts import spell_size, toml_float
from palyra.config.environment import read_environment
from palyra.config.fill import fill
from palyra.config.findings import Findings
from palyra.config.layers import Layer, all_origins, merge
from palyra.config.lines import MAX_DEPTH, TooDeepError, lines_of, set_twice
from palyra.config.model import LoadedConfig
from palyra.config.paths import BYTE_ORDER_MARK, MAX_FILE, SYSTEM_FILE, config_candidates, read_config_file
from palyra.config.problem import Code, Fault, LayerName, Origin, Problem
from palyra.config.rules import check_rules
from palyra.config.shape import Form, dotted, entry_at
from palyra.config.validate import read_tree
from palyra.config.versions import CURRENT, migrate
from palyra.core.redact import redact
from palyra.core.values import value

_DIGITS = re.compile(r"[0-9_]+")
_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@value
class LoadResult:
    """What loading made of the installation.

    `config` is None when there is any problem; warnings never stand in the way. `origins` knows every key by its
    dotted name. `path` is the file that was chosen, also when it is broken; None when there is none. `legible` has the
    values that are well, whatever is wrong with others: those are as by default.
    """

    config: LoadedConfig | None
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    origins: Mapping[str, Origin] = field(default_factory=dict)
    path: Path | None = None
    legible: LoadedConfig = field(default_factory=LoadedConfig)


@value
class Sources:
    """Where a configuration is looked for, so that it can be read again: the file asked for, the environment and the
    values of the command line as `load_config` takes them."""

    named: Path | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, str | None] = field(default_factory=dict)
    system_file: Path = SYSTEM_FILE

    def load(self) -> LoadResult:
        """What is there now."""
        return load_config(self.named, self.environ, self.flags, system_file=self.system_file)


@dataclass(slots=True)
class _File:
    """A file as far as it could be read."""

    layer: Layer
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)


def load_config(
    config_path: Path | None,
    environ: Mapping[str, str],
    flags: Mapping[str, str | None] | None = None,
    *,
    system_file: Path = SYSTEM_FILE,
) -> LoadResult:
    """Finds and loads the configuration.

    `flags` are values given on the command line, by dotted key (`gateway.bind`); None is not given.
    """
    for candidate in config_candidates(config_path, environ, system_file):
        read = read_config_file(candidate.path)
        if read.data is None and read.refused is None and not candidate.named:
            continue
        if read.data is None:
            why = read.refused or "there is no such file"
            asked = f" (asked for by {candidate.source})" if candidate.named else ""
            unreadable = Problem(
                Code.UNREADABLE,
                "",
                Origin(LayerName.FILE, str(candidate.path)),
                f"the file cannot be read{asked}: {why}",
                "Make it readable for this account, or name another file",
            )
            broken = _File(_empty_layer(candidate.path), [unreadable])
            return _load(broken, environ, flags or {}, candidate.path)
        return interpret(read.data, candidate.path, environ, flags or {})
    return interpret(None, None, environ, flags or {})


def interpret(
    data: bytes | None, path: Path | None, environ: Mapping[str, str], flags: Mapping[str, str | None]
) -> LoadResult:
    """What a file's bytes (None: no file) and the environment mean. `path` only names the file in messages."""
    file = _File(_empty_layer(path)) if data is None else _read_file(data, path or Path("palyra.toml"))
    return _load(file, environ, flags, path)


def _load(file: _File, environ: Mapping[str, str], flags: Mapping[str, str | None], path: Path | None) -> LoadResult:
    providers = file.layer.tree.get("providers")
    environment = read_environment(environ, list(providers) if isinstance(providers, dict) else [])
    flag_layer, flag_problems = _read_flags(flags)
    merged = merge((file.layer, environment.layer, flag_layer))
    reading = read_tree(merged)
    config = fill(reading.config)
    found = Findings(reading, config, merged)
    check_rules(found)
    problems = [
        *file.problems,
        *merged.problems,
        *environment.problems,
        *flag_problems,
        *reading.problems,
        *found.problems,
    ]
    return LoadResult(
        config=None if problems else config,
        problems=_in_order(problems),
        warnings=_in_order([*file.warnings, *environment.warnings]),
        origins=all_origins(merged),
        path=path,
        legible=config,
    )


def _in_order(problems: list[Problem]) -> tuple[Problem, ...]:
    """Sorted by line, the environment after the file; messages without anything known to be secret."""
    clean = (replace(problem, message=redact(problem.message)) for problem in problems)
    return tuple(sorted(dict.fromkeys(clean), key=lambda problem: (problem.origin.order, problem.key)))


def _empty_layer(path: Path | None) -> Layer:
    return Layer({}, {}, Origin(LayerName.FILE, path.name) if path is not None else Origin())


def _read_file(data: bytes, path: Path) -> _File:
    file = _File(_empty_layer(path))
    whole = Origin(LayerName.FILE, path.name)
    try:
        tree, places = _parse(data, path.name)
    except Fault as fault:
        file.problems.append(fault.at("", whole))
        return file
    except _PlacedError as placed:
        file.problems.append(placed.fault.at("", replace(whole, line=placed.line)))
        return file
    try:
        migrated = migrate(tree)
    except Fault as fault:
        at = places.get(("version",), whole)
        file.problems.append(fault.at("version", at))
        if fault.code is Code.VERSION_NEWER:
            # Its other keys mean what a newer program says they mean.
            return file
        tree["version"] = CURRENT
        file.layer = Layer(tree, places, whole)
        return file
    if migrated.changes:
        file.warnings.append(
            Problem(
                Code.MISSING,
                "version",
                whole,
                f"the file has no version and is read as version {migrated.written}",
                f"Write version = {CURRENT} as its first line",
            )
        )
    if not migrated.written:
        # Nobody wrote it, so that its origin is not the file.
        del migrated.tree["version"]
    file.layer = Layer(migrated.tree, places, whole)
    return file


class _PlacedError(Exception):
    def __init__(self, fault: Fault, line: int) -> None:
        super().__init__(fault.message)
        self.fault = fault
        self.line = line


def _parse(data: bytes, name: str) -> tuple[dict[str, Any], dict[tuple[str | int, ...], Origin]]:
    """The data of a file and where each key stands. Raises Fault or _PlacedError."""
    if len(data) > MAX_FILE:
        raise Fault(Code.TOO_LARGE, f"the file is larger than {spell_size(MAX_FILE)}", "Make it smaller")
    if data.startswith(BYTE_ORDER_MARK):
        raise Fault(Code.ENCODING, "the file begins with a byte order mark", "Save it as UTF-8 without one")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        fault = Fault(Code.ENCODING, f"byte {error.start} is not UTF-8", "Save the file as UTF-8")
        raise _PlacedError(fault, data.count(b"\n", 0, error.start) + 1) from None
    too_deep = Fault(Code.TOO_LARGE, f"values nest deeper than {MAX_DEPTH} levels", "Nest less deeply")
    try:
        lines = lines_of(text)
        tree = tomllib.loads(text, parse_float=toml_float)
    except TooDeepError as error:
        raise _PlacedError(too_deep, error.line) from None
    except RecursionError:
        raise too_deep from None
    except ValueError as error:
        raise _syntax(str(error), text) from None
    return tree, {path: Origin(LayerName.FILE, name, line) for path, line in lines.items()}


def _syntax(message: str, text: str) -> _PlacedError:
    """tomllib's own words; its line and column go where the other messages have theirs."""
    place = _PLACE.search(message)
    if place is None:
        # Without a place it is Python refusing to make an int of thousands of digits.
        runs = (run for run in _DIGITS.finditer(text) if len(run[0].replace("_", "")) > sys.get_int_max_str_digits())
        at = next((text.count("\n", 0, run.start()) + 1 for run in runs), 0)
        return _PlacedError(Fault(Code.SYNTAX, "a number has too many digits", "Shorten it"), at)
    line = int(place[1] or text.count("\n") + 1)
    column = f", column {place[2]}" if place[2] else ""
    said, fix = message[: place.start()], "Correct the line"
    if said.startswith("Cannot") and (twice := set_twice(text).get(line)) is not None:
        path, first = twice
        said, fix = f"{dotted(path)} stands on line {first} already", "Keep one of the two"
    return _PlacedError(Fault(Code.SYNTAX, f"this is no TOML: {said} (line {line}{column})", fix), line)


def _read_flags(flags: Mapping[str, str | None]) -> tuple[Layer, list[Problem]]:
    tree: dict[str, Any] = {}
    problems: list[Problem] = []
    origin = Origin(LayerName.FLAG)
    for key, text in flags.items():
        path = tuple(key.split("."))
        entry = entry_at(LoadedConfig, path)
        if text is None or entry is None or entry.form is not Form.VALUE or entry.kind is None:
            continue
        try:
            value = entry.kind.from_text(text)
        except Fault as fault:
            problems.append(fault.at(key, origin))
            continue
        tree.setdefault(path[0], {})[path[1]] = value
    return Layer(tree, {}, origin), problems
