"""A word on a standard stream, which may belong to a terminal or a pipe that has gone."""

import os
from contextlib import suppress

from palyra.core.safe_text import safe

STDOUT, STDERR = 1, 2


def say(descriptor: int, text: str) -> None:
    """Writes a line, made harmless, if anybody is left to read it.

    Nothing is buffered: what stays in a buffer fails once more when the process ends, and spoils its exit code.
    """
    with suppress(OSError):
        os.write(descriptor, f"{safe(text)}\n".encode())
