"""What is wrong with a configuration, and where each value came from."""

from enum import StrEnum

from palyra.core.values import value


class Code(StrEnum):
    """The closed list of what can be wrong."""

    SYNTAX = "syntax"
    TOO_LARGE = "too_large"
    ENCODING = "encoding"
    UNREADABLE = "unreadable"
    UNKNOWN_KEY = "unknown_key"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    UNKNOWN_CHOICE = "unknown_choice"
    PRECISION = "precision"
    MISSING = "missing"
    CONFLICT = "conflict"
    DUPLICATE_ID = "duplicate_id"
    BAD_REFERENCE = "bad_reference"
    BAD_URL = "bad_url"
    BAD_SCHEDULE = "bad_schedule"
    INSECURE_BIND = "insecure_bind"
    ENV_INVALID = "env_invalid"
    ENV_UNKNOWN = "env_unknown"
    VERSION_INVALID = "version_invalid"
    VERSION_NEWER = "version_newer"


class LayerName(StrEnum):
    """Where a value can come from, weakest first."""

    DEFAULT = "default"
    FILE = "file"
    ENV = "env"
    FLAG = "flag"


@value
class Origin:
    """Where a value was set. `name` is the file's name or the variable's; `line` counts from 1, 0 when there is none.

    `key` is set only on a shadowed origin that set another key (a credential given in another form). `shadows` lists
    what this origin overrides, strongest first.
    """

    layer: LayerName = LayerName.DEFAULT
    name: str = ""
    line: int = 0
    key: str = ""
    shadows: tuple["Origin", ...] = ()

    def __str__(self) -> str:
        """`default`, `file:3`, `env PALYRA_GATEWAY__BIND` or `flag`."""
        if self.layer is LayerName.FILE:
            return f"file:{self.line}" if self.line else "file"
        if self.layer is LayerName.ENV:
            return f"env {self.name}"
        return self.layer

    @property
    def place(self) -> str:
        """How a message points at it: `palyra.toml:4`, `env PALYRA_GATEWAY__BIND`, `flag`."""
        if self.layer is LayerName.FILE:
            return f"{self.name}:{self.line}" if self.line else self.name
        return str(self)

    @property
    def order(self) -> tuple[int, int, str]:
        """Sorts the file by line, then the environment by name, then flags."""
        layers = list(LayerName)
        return (layers.index(self.layer), self.line, self.name)


DEFAULT = Origin()
LONGEST_KEY = 200
"""Characters of a key that are told: no key of ours is longer."""


@value
class Problem:
    """One thing to put right. Never holds the value of a secret.

    `key` is the dotted key (`budgets[2].timezone`), empty for the file as a whole.
    """

    code: Code
    key: str
    origin: Origin
    message: str
    fix: str = ""
    suggestions: tuple[str, ...] = ()

    def __str__(self) -> str:
        """`palyra.toml:4 gateway.bnid: unknown key. Did you mean "bind"?` Not yet safe for a terminal."""
        key = self.key if len(self.key) <= LONGEST_KEY else f"{self.key[:LONGEST_KEY]}…"
        head = f"{self.origin.place} {key}".strip()
        tail = [f"{self.message}."]
        if self.suggestions:
            tail.append(f"Did you mean {either(self.suggestions)}?")
        if self.fix:
            tail.append(f"{self.fix}.")
        return f"{head}: {' '.join(tail)}"


class Fault(Exception):
    """What is wrong with one value; a Problem once its place is known."""

    def __init__(self, code: Code, message: str, fix: str = "", suggestions: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fix = fix
        self.suggestions = suggestions

    def at(self, key: str, origin: Origin) -> Problem:
        """The same fault, of another key."""
        return Problem(self.code, key, origin, self.message, self.fix, self.suggestions)


def either(words: tuple[str, ...]) -> str:
    """`"a"`, `"a" or "b"`, `"a", "b" or "c"`."""
    quoted = [f'"{word}"' for word in words]
    return " or ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)
