"""What the dead left behind, as far as that is proven."""

from enum import StrEnum
from pathlib import Path

from palyra.core.values import value


def is_text(name: str) -> bool:
    """Whether a file's name is one that can be written down, and not bytes that stand for nothing."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


class Left(StrEnum):
    """What a process left that is gone."""

    TEMPORARY = "temporary"
    SOCKET = "socket"
    MARKER = "marker"
    ROTATION = "rotation"


@value
class Leftover:
    """Something nobody needs any more. `name` is relative to the state directory, or absolute for what lies beside the
    configuration. `removable`: whose it was is proven dead; `proof` says how, or why not, and `manual` what a person
    does then."""

    name: str
    path: Path
    what: Left
    removable: bool
    proof: str
    manual: str = ""
