"""The engine's log file: rotating, redacted, written by a thread of its own so that the loop never waits for a disk."""

import json
import logging
import logging.handlers
import queue
import sys
import threading
from pathlib import Path
from typing import Self

from palyra.core.errors import PalyraError
from palyra.core.redact import redact
from palyra.core.safe_text import safe
from palyra.core.values import value

log = logging.getLogger(__name__)

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _Redacted(logging.Formatter):
    """Secrets and control bytes leave every line, tracebacks included, before it is written."""

    def format(self, record: logging.LogRecord) -> str:
        return safe(redact(super().format(record)), multiline=True)


class _RedactedJson(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at_unix_ms": int(record.created * 1000),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": safe(redact(super().format(record)), multiline=True),
        }
        return json.dumps(line)


@value
class LogSettings:
    """`style`: text or json. `max_size` bytes go into one file, `keep` earlier ones stay."""

    level: str = "info"
    style: str = "text"
    max_size: int = 10 * 1024 * 1024
    keep: int = 5


class EngineLog:
    """Takes every record of the process while open: our own from the level on, those of libraries from warnings on."""

    def __init__(self, path: Path, settings: LogSettings | None = None) -> None:
        settings = settings or LogSettings()
        self._lines: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
        self._handler = logging.handlers.QueueHandler(self._lines)
        self._begin(path, _opened(path, settings), settings.level)
        logging.getLogger().addHandler(self._handler)

    def _begin(self, path: Path, target: logging.handlers.RotatingFileHandler, level: str) -> None:
        self.path = path
        self._target = target
        self._listener = logging.handlers.QueueListener(self._lines, target)
        logging.getLogger("palyra").setLevel(level.upper())
        self._listener.start()

    def configure(self, path: Path, settings: LogSettings) -> None:
        """Goes on with other settings, in another file if `path` is another. Raises OSError where that cannot be
        opened; the log goes on as it was then."""
        target = _opened(path, settings)
        self._listener.stop()
        self._target.close()
        self._begin(path, target, settings.level)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Closes; a fault of ours that ends the program is the last line."""
        if isinstance(error, Exception) and not isinstance(error, PalyraError):
            log.critical("the program failed", exc_info=error)
        self.close()

    def close(self) -> None:
        """Writes what is queued and takes no more."""
        logging.getLogger().removeHandler(self._handler)
        self._listener.stop()
        self._target.close()


def _opened(path: Path, settings: LogSettings) -> logging.handlers.RotatingFileHandler:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = logging.handlers.RotatingFileHandler(
        path, maxBytes=settings.max_size, backupCount=settings.keep, encoding="utf-8"
    )
    path.chmod(0o600)
    target.setFormatter(_RedactedJson() if settings.style == "json" else _Redacted(FORMAT))
    return target


def keep_terminal_clean() -> None:
    """From here on nothing that goes wrong unnoticed writes on the terminal: not a record without a handler, not an
    error in a finaliser or a thread. What an EngineLog is open for, it gets."""
    logging.getLogger().addHandler(logging.NullHandler())
    sys.unraisablehook = _unraisable
    threading.excepthook = _in_thread


def _unraisable(found: "sys.UnraisableHookArgs") -> None:
    log.error("ignored: %s", found.err_msg or "an error where none can be raised", exc_info=found.exc_value)


def _in_thread(found: threading.ExceptHookArgs) -> None:
    log.error("a thread failed", exc_info=found.exc_value)
