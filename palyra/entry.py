"""Where `palyra` and `palyra-tui` begin: until a program is loaded and ready to hear of it, Ctrl+C just ends it."""

from palyra.core.signals import die_of_interrupts


def cli() -> None:
    """`palyra`."""
    die_of_interrupts()
    from palyra.main import cli as program

    program()


def console() -> None:
    """`palyra-tui`."""
    die_of_interrupts()
    from palyra.main import console as program

    program()


if __name__ == "__main__":
    cli()
