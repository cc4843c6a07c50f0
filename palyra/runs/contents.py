"""Keeping what a run was asked and answered, where the configuration wants that."""

import asyncio
import logging
from collections.abc import Callable

from palyra.config.choices import StoreContent
from palyra.core.bounded import bounded
from palyra.core.redact import redact
from palyra.core.values import value
from palyra.journal.changes import Change
from palyra.journal.text_rows import ANSWER, PROMPT, RUN_TEXTS, RunText
from palyra.providers.request import ParsedRequest
from palyra.providers.transcript import answer_words, prompt_words, streamed_words
from palyra.providers.wires import Wire
from palyra.runs.intermediary import Intermediary
from palyra.runs.request import Answer, Client

log = logging.getLogger(__name__)

MOST_KEPT = 256 * 1024
"""Bytes of a prompt or an answer that are kept."""
MOST_HEARD = 4 * 1024 * 1024
"""Bytes of a stream that are listened to: events are many times as long as the words in them."""
LARGE = 16 * 1024
"""Bytes from which words are looked for in a thread."""


class Overheard(Intermediary):
    """A caller's connection whose stream is listened to."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._heard: list[bytes] = []
        self._size = 0

    @property
    def heard(self) -> bytes:
        """What passed, up to MOST_HEARD bytes."""
        return b"".join(self._heard)

    async def write(self, data: bytes) -> None:
        """Passes on, and remembers while there is room."""
        if self._size < MOST_HEARD:
            self._heard.append(data)
            self._size += len(data)
        await self._client.write(data)


class Contents:
    """The words of one run, whose stream goes through `client`."""

    def __init__(self, wire: Wire, prompt: "Words", client: Client, *, redacted: bool) -> None:
        self._wire = wire
        self._prompt = prompt
        self._redacted = redacted
        self.client = Overheard(client)

    def asked(self, run_id: str) -> list[Change]:
        """The prompt, to be written with the run's first row."""
        return self._kept(run_id, PROMPT, self._prompt)

    async def answered(self, run_id: str, answer: Answer | None) -> list[Change]:
        """The answer, as far as the caller got it; nothing where nobody said a word."""
        heard = self.client.heard if answer is None else answer.body

        def read() -> Words:
            said = streamed_words(self._wire, heard) if answer is None else answer_words(heard)
            return _words(said, redacted=self._redacted)

        try:
            return self._kept(run_id, ANSWER, await _worked_out(len(heard), read))
        except Exception:
            log.exception("the answer of run %s could not be kept", run_id)
            return []

    def _kept(self, run_id: str, part: str, words: "Words") -> list[Change]:
        if not words.size:
            return []
        return [RUN_TEXTS.saved(RunText(run_id, part, self._redacted, words.cut, words.text, words.size))]


@value
class Words:
    """As many of them as are kept, whether that is not all, and how many bytes there were."""

    text: str
    cut: bool
    size: int


async def listening(wanted: StoreContent, parsed: ParsedRequest, client: Client) -> Contents | None:
    """What keeps the words of a run; None where none are kept."""
    if wanted is StoreContent.NONE:
        return None
    redacted = wanted is StoreContent.REDACTED
    try:
        prompt = await _worked_out(len(parsed.body), lambda: _words(prompt_words(parsed.data), redacted=redacted))
    except Exception:
        # A run is worth more than what is kept of it.
        log.exception("a prompt could not be kept")
        prompt = Words("", cut=False, size=0)
    return Contents(parsed.wire, prompt, client, redacted=redacted)


def _words(said: str, *, redacted: bool) -> Words:
    # Cut first, half of a secret could be left, which nobody would know for one.
    shown = redact(said) if redacted else said
    kept = bounded(shown, MOST_KEPT)
    return Words(kept, len(kept) < len(shown), len(said.encode("utf-8", "replace")))


async def _worked_out(size: int, work: Callable[[], Words]) -> Words:
    return work() if size < LARGE else await asyncio.to_thread(work)
