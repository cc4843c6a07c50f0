"""A word on a standard stream, which may belong to a terminal or a pipe that has gone."""

import os
from contextlib import suppress

from palyra.core.safe_text import safe

STDOUT, STDERR = 1, 2


def say(descriptor: int, text: str) -> None:
    """Writes one or more lines, made harmless, if anybody is left to read them.

    Nothing is buffered: what stays in a buffer fails once more when the process ends, and spoils its exit code.
    """
    lines = "\n".join(safe(line) for line in text.split("\n"))
    with suppress(OSError):
        os.write(descriptor, f"{lines}\n".encode())
