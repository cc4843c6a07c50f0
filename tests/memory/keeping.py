"""What tests of memory are made of: a memory with any limits, and a model of embeddings that does as it is told."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from palyra.core.clock import ManualClock
from palyra.core.ids import IdSource
from palyra.core.scope import Scope
from palyra.journal.journal import Journal
from palyra.memory.indexing import Embed, EmbeddingError
from palyra.memory.memory import Kept, Memory
from palyra.memory.note import NoteAsk, NotePlace, NoteScope
from palyra.memory.standing import MemoryLimits

NIGHTLY = NotePlace(NoteScope.JOB, "nightly")
WORK = Scope("ann", "s1", job="nightly")
DAY_S = 86_400
MODEL = "acme/embed"


@dataclass
class Model:
    """Two numbers for a text: how many words are about cats and about disks. `down` is why it does not answer."""

    down: str = ""
    refuses: str = ""
    asked: list[tuple[str, list[str]]] = field(default_factory=list)

    async def embed(self, owner: str, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        self.asked.append((owner, list(texts)))
        if self.down:
            raise EmbeddingError(self.down)
        if self.refuses and any(self.refuses in text for text in texts):
            raise EmbeddingError("a text is refused", of_text=True)
        return [[text.lower().count("cat") + 0.1, text.lower().count("disk") + 0.1] for text in texts]


class Keeping:
    """`times` is what the vacuum's schedule says whenever it is asked."""

    def __init__(self, journal: Journal, clock: ManualClock) -> None:
        self.journal = journal
        self.clock = clock
        self.times: tuple[int | None, int | None] = (None, None)

    async def memory(self, limits: MemoryLimits | None = None, embed: Embed | None = None) -> Memory:
        made = Memory(
            limits or MemoryLimits(embeddings_model=MODEL if embed else ""),
            self.journal,
            self.clock,
            IdSource(self.clock),
            lambda now: self.times,
            embed,
        )
        await made.restore()
        return made


async def keep(memory: Memory, text: str, place: NotePlace = NIGHTLY, owner: str = "ann", **more: object) -> Kept:
    return await memory.add(NoteAsk(text, place, owner, **more))  # type: ignore[arg-type]
