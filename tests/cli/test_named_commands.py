"""What people are told to type is there to be typed: every `palyra …` of a message is a command with those options."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import palyra
from palyra.cli.app import build_app
from palyra.main import Launcher

_NAMED = re.compile(r"(?:`|\w: )palyra ([a-z][^`\"'\n\\]*)")
_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*")
_OPTION = re.compile(r"--[a-z]+(?:-[a-z]+)*")
OF_ITS_OWN = "doctor"
"""It reads its options itself."""


@pytest.fixture(scope="module")
def app() -> Any:
    return typer.main.get_command(build_app(Launcher()))


def named() -> Iterator[tuple[str, str]]:
    """Where a command is named, and what stands behind `palyra`."""
    root = Path(palyra.__file__).parent
    for path in sorted(root.rglob("*.py")):
        text = path.read_text("utf-8")
        for found in _NAMED.finditer(text):
            line = text.count("\n", 0, found.start()) + 1
            yield f"{path.relative_to(root)}:{line}", found[1]


def fault(command: Any, text: str) -> str:
    """Why this is no command; empty where it is one."""
    for word in text.split():
        below = getattr(command, "commands", None)
        if below is None or _WORD.fullmatch(word.rstrip(".,;")) is None:
            break
        if word.rstrip(".,;") not in below:
            return f"{command.name} has no {word}"
        command = below[word.rstrip(".,;")]
    known = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    unknown = [option for option in _OPTION.findall(text) if option not in known]
    return f"{command.name} takes no {unknown[0]}" if unknown and command.name != OF_ITS_OWN else ""


def test_every_command_that_a_message_names_is_one(app: Any) -> None:
    told = list(named())
    assert len(told) > 100
    assert [f"{place}: palyra {text}: {why}" for place, text in told if (why := fault(app, text))] == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("jobs trigger", "jobs has no trigger"),
        ("runs list --sinse 1h", "list takes no --sinse"),
        ("runs show 01K", ""),
        ("doctor --repair --dry-run", ""),
    ],
)
def test_what_is_no_command_is_found(app: Any, text: str, why: str) -> None:
    assert fault(app, text) == why
