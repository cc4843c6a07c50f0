"""Mistakes that nobody has made, to see that the harness would find them: `--plant NAME`."""

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from palyra.core import private_files
from palyra.journal import writer
from palyra.journal.changes import HoldEnded, UsageRecorded
from palyra.journal.journal import Journal


def told_too_early() -> None:
    """A unit is called durable before it is written."""
    submit = writer.Writer.submit

    def early(self: writer.Writer, changes: Any, **how: Any) -> Any:
        submit(self, changes, **how).add_done_callback(lambda done: done.cancelled() or done.exception())
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        told.set_result(None)
        return told

    writer.Writer.submit = early  # type: ignore[method-assign]


def forgets_usage() -> None:
    """Of what ends with a charge, the charge is not written."""
    submit = Journal.submit

    def forgetful(self: Journal, unit: Any, **how: Any) -> Any:
        ended = any(isinstance(change, HoldEnded) for change in unit)
        return submit(self, [one for one in unit if not (ended and isinstance(one, UsageRecorded))], **how)

    Journal.submit = forgetful  # type: ignore[method-assign]


def writes_in_place() -> None:
    """A file is written over where it lies."""

    def put(path: Path, data: bytes, backups: int, dress: os.stat_result | None = None) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)

    private_files._put = put


PLANTS: Mapping[str, Callable[[], None]] = {
    "told_too_early": told_too_early,
    "forgets_usage": forgets_usage,
    "writes_in_place": writes_in_place,
}
