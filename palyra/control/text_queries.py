"""What a run was asked and answered, where that is kept (`runs.store_content`)."""

from dataclasses import replace
from typing import Literal

from palyra.core.redact import redact
from palyra.core.values import value

PARTS = ("prompt", "answer")


@value
class RunTextsQuery:
    """The kept texts of a run. Answer: RunTexts."""

    run_id: str
    kind: Literal["run_texts"] = "run_texts"


@value
class RunTextView:
    """`part`: prompt or answer. `redacted`: what looked like a secret was taken out before it was kept. `cut`: the text
    holds only the first of the `size` bytes it had."""

    part: str
    redacted: bool
    cut: bool
    text: str
    size: int


@value
class RunTexts:
    """The prompt, then the answer; those of them that were kept."""

    run_id: str
    texts: tuple[RunTextView, ...]

    def of(self, part: str) -> RunTextView | None:
        """One of its texts, where it was kept."""
        return next((one for one in self.texts if one.part == part), None)

    def for_viewers(self) -> "RunTexts":
        """Without what looks like a secret, however they were kept."""
        return RunTexts(self.run_id, tuple(replace(one, text=redact(one.text), redacted=True) for one in self.texts))
