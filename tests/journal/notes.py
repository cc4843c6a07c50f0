"""Notes as rows, and their vectors."""

import struct
from collections.abc import Sequence
from hashlib import sha256

from palyra.journal.note_rows import MemoryNoteRow, MemoryVectorRow
from tests.journal.samples import T0

MODEL = "words-2"


def a_note(number: int, text: str, *, owner: str = "ann", scope: str = "job", value: str = "nightly") -> MemoryNoteRow:
    return MemoryNoteRow(
        number=number,
        note_id=f"note-{number}",
        version=1,
        scope=scope,
        scope_value=value,
        owner=owner,
        digest=sha256(text.encode()).hexdigest(),
        bytes=len(text.encode()),
        created_at=T0,
        used_at=T0 + number,
        recalled_at=None,
        recall_count=0,
        expires_at=None,
        run_id="",
        tags=("kept",),
        text=text,
    )


def packed(numbers: Sequence[float]) -> bytes:
    """A vector of length one."""
    length = sum(one * one for one in numbers) ** 0.5
    return struct.pack(f"<{len(numbers)}f", *(one / length for one in numbers))


def a_vector(number: int, *numbers: float, model: str = MODEL) -> MemoryVectorRow:
    return MemoryVectorRow(number, 1, model, packed(numbers))
