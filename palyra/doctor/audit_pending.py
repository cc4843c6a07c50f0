"""Audit rows of repairs, kept in a file until an engine adds them to the chain.

The file is `recovery/audit-pending.jsonl`: a line of JSON each, appended and flushed to the disk. A row is known by its
run and verb, so that none is added twice.
"""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from palyra.core.private_files import sync_dir
from palyra.core.redact import redact_data
from palyra.core.regular_files import read_regular
from palyra.core.values import value
from palyra.doctor.installation import LAST_MS
from palyra.doctor.leftovers import is_text
from palyra.doctor.runs import RECOVERY

PENDING_FILE = "audit-pending.jsonl"
_MOST = 16 * 1024 * 1024


@value
class PendingRow:
    """`at` in UTC unix ms, `subject` the id of the run, `verb` what was done: with both a row is known again."""

    at: int
    subject: str
    actor: str
    verb: str
    payload: Mapping[str, Any]


def pending_path(state_dir: Path) -> Path:
    """Where deeds wait for a journal that can take them."""
    return state_dir / RECOVERY / PENDING_FILE


def append_pending(state_dir: Path, row: PendingRow) -> None:
    """Writes a row down, durably. Raises OSError."""
    line = {
        "at": row.at,
        "subject": row.subject,
        "actor": row.actor,
        "verb": row.verb,
        "payload": redact_data(dict(row.payload)),
    }
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    path = pending_path(state_dir)
    descriptor = os.open(path, flags, 0o600)
    try:
        # A line that was cut short by a crash is ended first, so that it costs only itself.
        left = memoryview(b"\n" + json.dumps(line, sort_keys=True).encode() + b"\n")
        while left:
            # A disk that fills up takes a part and says so only of the rest.
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_dir(path.parent)


def read_pending(state_dir: Path) -> list[PendingRow]:
    """Every row that can be read, in the order they were written. Raises OSError."""
    try:
        data = read_regular(pending_path(state_dir), _MOST)
    except FileNotFoundError:
        return []
    rows: list[PendingRow] = []
    for line in data.splitlines():
        with suppress(ValueError, TypeError, KeyError, RecursionError):
            told = json.loads(line)
            at, payload = told["at"], told["payload"]
            names = str(told["subject"]), str(told["actor"]), str(told["verb"])
            if isinstance(at, int) and 0 <= at < LAST_MS and isinstance(payload, dict) and all(map(is_text, names)):
                rows.append(PendingRow(at, *names, payload))
    return rows


def forget_pending(state_dir: Path, known: int) -> None:
    """Removes the file once `known` rows, all it holds, are in the chain; one that has grown meanwhile stays."""
    if len(read_pending(state_dir)) == known:
        pending_path(state_dir).unlink(missing_ok=True)
