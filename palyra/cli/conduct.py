"""How a program that Typer describes is run: usage that was wrong is told as everything else is."""

import io
from collections.abc import Sequence

import typer

from palyra.cli.options import REFUSED
from palyra.cli.output import complain


def conduct(app: typer.Typer, arguments: Sequence[str] | None = None) -> int:
    """Runs it on these arguments, or the process's own, and returns its exit code.

    Typer quotes what it was given as it was: a script that hands on somebody's word would let that one write to the
    terminal.
    """
    try:
        code = app(arguments, standalone_mode=False)
    except typer.TyperException as error:
        told = io.StringIO()
        show = getattr(error, "show", None)
        show(file=told) if show is not None else told.write(f"Error: {error.format_message()}")
        complain(*told.getvalue().rstrip("\n").split("\n"))
        return error.exit_code
    except typer.Abort:
        complain("Nothing was done.")
        return REFUSED
    return code if isinstance(code, int) else 0
