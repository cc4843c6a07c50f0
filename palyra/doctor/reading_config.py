"""Reading the configuration: which file it is, its bytes as TOML, and what it means."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from palyra.config.lines import MAX_DEPTH, TooDeepError, lines_of
from palyra.config.paths import MAX_FILE, SYSTEM_FILE, config_candidates
from palyra.doctor.files import Files
from palyra.doctor.installation import (
    ConfigCandidate,
    ConfigFiles,
    Document,
    Kind,
    NothingToReadError,
    Reading,
)

if TYPE_CHECKING:
    from palyra.config.load import LoadResult

UNPARSEABLE = "the configuration cannot be parsed (config.syntax); defaults are assumed"
NOT_THERE = "the configuration file that was named is not there (config.found); defaults are assumed"
_PLACE = re.compile(r"\(at (?:line (\d+), column (\d+)|end of document)\)$")
_BACKUP = re.compile(r"\.bak\.([1-9][0-9]{0,2})$")
_BOM = b"\xef\xbb\xbf"
WHOLE_FILE = frozenset({"syntax", "too_large", "encoding", "unreadable"})
"""Codes of problems with the file as a whole."""


def read_config_files(
    files: Files, named: Path | None, environ: Mapping[str, str], system_file: Path = SYSTEM_FILE
) -> ConfigFiles:
    """Every place in order; the first that is there, or cannot be looked at, is the configuration."""
    candidates: list[ConfigCandidate] = []
    chosen: ConfigCandidate | None = None
    for place in config_candidates(named, environ, system_file):
        one = files.look(place.path, follow=True, limit=MAX_FILE)
        target = files.look(place.path.resolve(), read=False) if one.facts is not None else one
        candidate = ConfigCandidate(place.source, place.named, one, target)
        candidates.append(candidate)
        if chosen is None and (place.named or one.facts is not None or one.problem):
            chosen = candidate
    beside = (chosen or candidates[0]).target.path
    names = _names_beside(files, beside)
    numbers = {int(match[1]): name for name in names if (match := _BACKUP.search(name)) is not None}
    backups = {number: files.look(beside.with_name(numbers[number]), limit=MAX_FILE) for number in sorted(numbers)}
    begun = [name for name in names if name.startswith(f"{beside.name}.tmp.")]
    temporaries = tuple(files.look(beside.with_name(name), limit=MAX_FILE) for name in begun)
    return ConfigFiles(tuple(candidates), chosen, backups, beside.parent.is_dir(), temporaries)


def _names_beside(files: Files, path: Path) -> list[str]:
    try:
        return [name for name in files.names(path.parent) if name.startswith(f"{path.name}.")]
    except OSError:
        return []


def read_document(config_files: ConfigFiles) -> Document:
    """The chosen file's data. Raises NothingToReadError when there is none, or no bytes of it."""
    chosen = config_files.chosen
    if chosen is None or chosen.missing:
        raise NothingToReadError("there is no configuration file")
    data = chosen.input.data
    if data is None:
        return Document(fault=why_unread(chosen))
    return parse(data)


def why_unread(candidate: ConfigCandidate) -> str:
    """Why a file that is there has no bytes."""
    if candidate.input.problem:
        return candidate.input.problem
    facts = candidate.target.facts
    if facts is None:
        return "it is a link to nothing"
    return "it is no regular file" if facts.kind is not Kind.FILE else "it cannot be read"


def parse(data: bytes) -> Document:
    """TOML data of these bytes, or why they are none."""
    if data.startswith(_BOM):
        return Document(fault="it begins with a byte order mark", line=1, column=1)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Document(fault=f"byte {error.start} is not UTF-8", line=line)
    try:
        lines_of(text)
        return Document(tomllib.loads(text))
    except TooDeepError as error:
        return Document(fault=f"values nest deeper than {MAX_DEPTH} levels", line=error.line)
    except RecursionError:
        return Document(fault="values nest too deep")
    except ValueError as error:
        return _fault(str(error), text)


def _fault(said: str, text: str) -> Document:
    place = _PLACE.search(said)
    if place is None:
        return Document(fault=said)
    message = said[: place.start()].strip()
    if place[1] is None:
        return Document(fault=message, line=text.count("\n") + 1, column=len(text) - text.rfind("\n"))
    return Document(fault=message, line=int(place[1]), column=int(place[2]))


def read_settings(config_files: ConfigFiles, document: Reading[Document], environ: Mapping[str, str]) -> "LoadResult":
    """What the file and the environment mean. Raises NothingToReadError where the file cannot be parsed."""
    from palyra.config.load import interpret

    chosen = config_files.chosen
    if chosen is None:
        return interpret(None, None, environ, {})
    if chosen.missing:
        raise NothingToReadError(NOT_THERE)
    if document.found is None or document.found.fault or chosen.input.data is None:
        raise NothingToReadError(UNPARSEABLE)
    loaded = interpret(chosen.input.data, chosen.input.path, environ, {})
    if any(problem.code in WHOLE_FILE and not problem.key for problem in loaded.problems):
        raise NothingToReadError(UNPARSEABLE)
    return loaded
