"""Where `palyra` and `palyra-tui` begin: until a program is loaded and ready to hear of it, Ctrl+C just ends it."""

import sys
from importlib import import_module

from palyra.core.heap import while_loading
from palyra.core.private_process import leave_no_image
from palyra.core.signals import die_of_interrupts

DOCTOR = "doctor"


def cli() -> None:
    """`palyra`."""
    die_of_interrupts()
    leave_no_image()
    if sys.argv[1:2] == [DOCTOR]:
        sys.exit(_doctor(sys.argv[2:]))
    with while_loading():
        from palyra.main import cli as program

    program()


def _doctor(arguments: list[str]) -> int:
    """The doctor loads nothing of what it may find broken."""
    from palyra.cli.doctor import run

    return run(arguments)


def console() -> None:
    """`palyra-tui`."""
    die_of_interrupts()
    leave_no_image()
    with while_loading():
        from palyra.opening import console as program

        # What opens the screen is loaded now as well, not when it is needed.
        import_module("palyra.console")

    program()


if __name__ == "__main__":
    cli()
