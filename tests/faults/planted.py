"""Mistakes that nobody has made, to see that the harness would find them: `--plant NAME`."""

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from palyra.core import private_files
from palyra.journal import journal, writer
from palyra.journal.changes import HoldEnded, UsageRecorded
from palyra.journal.connection import Connection, open_writer


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
    submit = journal.Journal.submit

    def forgetful(self: journal.Journal, unit: Any, **how: Any) -> Any:
        ended = any(isinstance(change, HoldEnded) for change in unit)
        return submit(self, [one for one in unit if not (ended and isinstance(one, UsageRecorded))], **how)

    journal.Journal.submit = forgetful  # type: ignore[method-assign]


def writes_in_place() -> None:
    """A file is written over where it lies."""

    def put(path: Path, data: bytes, backups: int, dress: os.stat_result | None = None) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)

    private_files._put = put


def commits_unsynced() -> None:
    """SQLite leaves it to the system when a commit reaches the disk, as its setting NORMAL has it."""

    async def careless(path: Path, checkpoint_pages: int) -> Connection:
        connection = await open_writer(path, checkpoint_pages)
        await connection.run(lambda database: database.execute("PRAGMA synchronous = NORMAL"))
        return connection

    pytest.MonkeyPatch().setattr(journal, "open_writer", careless)


def renames_unsynced() -> None:
    """A file takes its place before its bytes are on the disk."""

    def write_new(path: Path, data: bytes, dress: os.stat_result | None = None) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)

    private_files._write_new = write_new


def names_unsynced() -> None:
    """The name that a file or a directory has got may be forgotten."""
    private_files.sync_dir = lambda directory: None


PLANTS: Mapping[str, Callable[[], None]] = {
    "told_too_early": told_too_early,
    "forgets_usage": forgets_usage,
    "writes_in_place": writes_in_place,
    "commits_unsynced": commits_unsynced,
    "renames_unsynced": renames_unsynced,
    "names_unsynced": names_unsynced,
}
"""Only where the power fails are the last three found."""
