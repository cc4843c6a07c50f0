"""The engine's log file: rotating, redacted, written by a thread of its own so that the loop never waits for a disk."""

import json
import logging
import logging.handlers
import queue
from pathlib import Path

from palyra.core.redact import redact
from palyra.core.safe_text import safe

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


class EngineLog:
    """Owns the `palyra` logger while open; nothing is printed on a terminal. `style`: text or json."""

    def __init__(
        self,
        path: Path,
        *,
        level: str = "info",
        style: str = "text",
        max_size: int = 10 * 1024 * 1024,
        keep: int = 5,
    ) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = logging.handlers.RotatingFileHandler(path, maxBytes=max_size, backupCount=keep, encoding="utf-8")
        path.chmod(0o600)
        target.setFormatter(_RedactedJson() if style == "json" else _Redacted(FORMAT))
        lines: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
        self.path = path
        self._target = target
        self._handler = logging.handlers.QueueHandler(lines)
        self._listener = logging.handlers.QueueListener(lines, target)
        self._logger = logging.getLogger("palyra")
        self._logger.setLevel(level.upper())
        self._logger.propagate = False
        self._logger.addHandler(self._handler)
        self._listener.start()

    def close(self) -> None:
        """Writes what is queued and gives the logger back."""
        self._logger.removeHandler(self._handler)
        self._logger.propagate = True
        self._listener.stop()
        self._target.close()
