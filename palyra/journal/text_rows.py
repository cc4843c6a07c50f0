"""What a run was asked and what it was answered."""

from palyra.core.values import value
from palyra.journal.entity import Entity

PROMPT, ANSWER = "prompt", "answer"


@value
class RunText:
    """One `part` of a run: its prompt or its answer.

    `redacted`: what looked like a secret was taken out. `cut`: `text` holds only the first of the `size` bytes of UTF-8
    it had.
    """

    run_id: str
    part: str
    redacted: bool
    cut: bool
    text: str
    size: int


RUN_TEXTS = Entity(RunText, "run_texts", ["run_id", "part"], version="")
