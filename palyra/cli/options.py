"""Options every command takes, and the one way a command runs: errors in words, exit codes with a meaning."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from palyra.cli.launch import Launch, Place
from palyra.cli.output import complain, print_json, say
from palyra.control.commands import Command
from palyra.control.snapshots import PARTLY_REFUSED, CommandResult
from palyra.core.errors import (
    BadInputError,
    ConflictError,
    EngineGoneError,
    NotFoundError,
    PalyraError,
    StateError,
)
from palyra.core.redact import redact
from palyra.core.signals import hear_interrupts

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", readable=False, help="Configuration file; else the usual places are tried."
    ),
]
"""One that cannot be read is no slip of usage: what reads it says so."""
StateDir = Annotated[Path | None, typer.Option("--state-dir", metavar="DIR", readable=False, help="State directory.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

CLAIMED: ContextVar[str] = ContextVar("CLAIMED", default="")
"""Whom `palyra --operator` names, in every command."""

DONE, REFUSED, BAD_INPUT, NOT_FOUND, CONFLICT, NO_ENGINE = range(6)

_STATUS_CODES = {
    "accepted": DONE,
    "denied": REFUSED,
    "invalid": BAD_INPUT,
    "not_found": NOT_FOUND,
    "conflict": CONFLICT,
    "stale": CONFLICT,
}


def place(config: Path | None, state_dir: Path | None) -> Place:
    """Of a command's options, and whom `palyra --operator` names."""
    return Place(config=config, state_dir=state_dir, operator=CLAIMED.get())


def given_text(text: str) -> str:
    """The text itself, or all of standard input for `-`. Raises BadInputError."""
    if text != "-":
        return text
    try:
        return typer.get_text_stream("stdin").read()
    except UnicodeDecodeError:
        raise BadInputError("Standard input is no UTF-8 text.", fix="Write it in UTF-8.") from None


def exit_code_of(error: PalyraError) -> int:
    """The exit code that an error ends a command with."""
    match error:
        case BadInputError():
            return BAD_INPUT
        case NotFoundError():
            return NOT_FOUND
        case ConflictError():
            return CONFLICT
        case EngineGoneError() | StateError():
            return NO_ENGINE
        case _:
            return REFUSED


def run_to_end(work: Callable[[], Awaitable[int]]) -> int:
    """Runs a program or a command and returns its exit code; errors meant for people are printed as such, and any
    other, which is a fault of ours, in a line."""

    async def guarded() -> int:
        try:
            return await work()
        except PalyraError as error:
            complain(*error.lines)
            return exit_code_of(error)
        except BrokenPipeError:
            raise
        except typer.Abort:
            complain("Nothing was done.")
            return REFUSED
        except Exception as error:
            complain(f"Palyra failed, which is a fault of its own: {redact(f'{type(error).__name__}: {error}')}")
            return REFUSED

    try:
        hear_interrupts()
        return asyncio.run(guarded())
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return REFUSED


def run(work: Callable[[], Awaitable[int]]) -> NoReturn:
    """Runs a command and exits with its code."""
    raise typer.Exit(run_to_end(work))


def report(result: CommandResult, *, as_json: bool) -> int:
    """Prints the engine's answer to a command and returns the exit code that says the same."""
    if as_json:
        print_json(result)
    elif result.ok:
        say(result.message)
    else:
        complain(*lines_of(result))
    return exit_code(result)


def lines_of(result: CommandResult) -> list[str]:
    """What is said of a command that was refused: where a part was, each refusal has a line."""
    told = f"{result.message} {result.fix}".strip()
    return told.split("\n") if result.code == PARTLY_REFUSED else [told]


def exit_code(result: CommandResult) -> int:
    """The exit code that a result ends a command with."""
    return _STATUS_CODES.get(result.status, REFUSED)


async def act(launch: Launch, where: Place, command: Command, *, as_json: bool) -> int:
    """Sends one command, tells what came of it, and returns the exit code that says the same. Raises PalyraError."""
    async with launch.acting(where) as control:
        return report(await control.send(command), as_json=as_json)
