"""Errors that say what is wrong and what to do next. No traceback reaches an operator."""

from collections.abc import Sequence


class PalyraError(Exception):
    """Base of every error that is meant to be read by a person.

    `message` says what is wrong and names the thing; `fix` says what to do next; `code` is stable for programs.
    """

    code = "error"

    def __init__(self, message: str, *, fix: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.message} {self.fix}".strip()

    @property
    def lines(self) -> tuple[str, ...]:
        """What is said of it, line by line. A line feed inside of one was quoted from somewhere and is no end of it."""
        return (str(self),)


class JournalUnavailableError(PalyraError):
    """The journal cannot be written: nothing new may be held."""

    code = "journal_unavailable"


class UnwrittenError(JournalUnavailableError):
    """It is begun in memory; the journal is tried again until it takes it, or Palyra ends."""


class StateError(PalyraError):
    """The state directory cannot be used (locked by another engine, not ours, newer than this program)."""

    code = "state"


class NotFoundError(PalyraError):
    """There is no such thing."""

    code = "not_found"


class ConflictError(PalyraError):
    """The thing changed meanwhile; the message carries its present state."""

    code = "conflict"


class BadInputError(PalyraError):
    """What was given cannot be taken."""

    code = "bad_input"


class ManyProblemsError(BadInputError):
    """Several things that are wrong at once, a line for each."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self._lines = tuple(lines)

    @property
    def lines(self) -> tuple[str, ...]:
        return self._lines


class EngineGoneError(PalyraError):
    """The engine this console is attached to has gone away."""

    code = "engine_gone"
