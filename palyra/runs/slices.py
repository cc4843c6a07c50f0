"""The budget of a stream, taken slice by slice: each durable before its tokens pass, the next one ahead of need."""

import asyncio
from collections.abc import Callable, Iterator

from palyra.core.clock import Clock
from palyra.core.errors import JournalUnavailableError
from palyra.governance.evaluate import UsageBudgetEvaluation
from palyra.governance.holds import UnknownHoldError
from palyra.governance.ledger import Ledger
from palyra.journal.changes import Change
from palyra.runs.attempt import Attempt
from palyra.runs.durable import Submit

Against = Callable[[tuple[UsageBudgetEvaluation, ...], int], None]

LEAST_SLICE = 8
"""Output tokens of the smallest slice that is taken ahead of need."""
SHARE_OF_TAKEN = 4
"""Where a model's answers are known, a slice is at most that part of what the answer has taken so far."""
SHARE_OF_USUAL = 2
"""And the answer begins with that part of what such answers usually take."""


class Slices:
    """Cover for one streamed attempt.

    `first` output tokens are held already; `ceiling` is the most the provider was told to send (None: unknown), and no
    slice reaches beyond it before the answer does. `against` hears once of the budgets that ended the answer, or would
    have in a looser mode, and of the size of the slice they had no room for.

    `usual` are the tokens that half of such answers end within, None where too few are known. It was held for a long
    answer, so that one is only let in where it is likely to fit; once it begins, most of that is given back, and slices
    grow with it. So a stream never holds much more than it uses, and nobody is refused for what nobody will use.
    """

    def __init__(
        self,
        attempt: Attempt,
        ledger: Ledger,
        submit: Submit,
        clock: Clock,
        *,
        first: int,
        ceiling: int | None,
        slice_tokens: int,
        against: Against,
        usual: int | None = None,
    ) -> None:
        self._attempt = attempt
        self._ledger = ledger
        self._submit = submit
        self._clock = clock
        self._ceiling = ceiling
        self._slice = slice_tokens
        self._against = against
        self._usual = usual
        self._told = False
        self._covered = first
        """Output tokens that durable slices cover."""
        self._taken = first
        """The same, with the slice that is becoming durable."""
        self._ahead_at = first - first // 2
        self._pending: asyncio.Future[None] | None = None
        self._refused_at = -1
        """The ledger's version when it had no room for a slice ahead of need."""
        self._refusing: tuple[UsageBudgetEvaluation, ...] = ()
        """The budgets that had no room for the size tried last."""
        self._tried = 0
        self._lost = False
        """No slice can become durable any more."""

    def begins(self) -> None:
        """The answer is about to come: gives back what it will hardly need."""
        if self._usual is None or not self._attempt.hold.moves:
            return
        enough = max(LEAST_SLICE, self._usual // SHARE_OF_USUAL)
        growth = self._grow(enough - self._taken) if enough < self._taken else None
        if growth is not None:
            self._submit([growth], patient=True).add_done_callback(_heard)
            self._covered = self._taken
            self._ahead_at = self._taken - self._taken // 2

    def covers(self, needed: int) -> bool:
        """Whether durable slices cover so many tokens; takes the next one where half of the last is used."""
        pending = self._pending
        if pending is not None and pending.done() and not pending.cancelled() and pending.exception() is None:
            self._landed()
        due = needed > self._ahead_at and self._pending is None and self._room(needed) != 0
        if due and self._refused_at != self._ledger.version and not self._take(self._sizes(needed)):
            self._refused_at = self._ledger.version
        return needed <= self._covered

    async def reaches(self, needed: int) -> bool:
        """Waits until durable slices cover so many tokens; False where no budget is left for them."""
        while not self.covers(needed):
            if self._pending is None and not self._take(self._sizes(needed)):
                self._tell()
                return False
            assert self._pending is not None
            try:
                await asyncio.shield(self._pending)
            except JournalUnavailableError:
                # What is not durable may not be spent: the answer ends where its durable budget does.
                self._lost = True
                self._pending = None
                return False
            self._landed()
        return True

    def _room(self, needed: int) -> int | None:
        """Tokens up to the ceiling, None without one: a provider that goes on beyond it keeps to none."""
        return None if self._ceiling is None or needed > self._ceiling else max(0, self._ceiling - self._taken)

    def _landed(self) -> None:
        self._pending = None
        self._covered = self._taken

    def _next_slice(self) -> int:
        if self._usual is None:
            return self._slice
        return min(self._slice, max(LEAST_SLICE, self._taken // SHARE_OF_TAKEN))

    def _sizes(self, needed: int) -> Iterator[int]:
        """What may be taken, the best first: ahead of need the next slice; where the answer waits for so many tokens,
        whole slices at once, else ever less, at least what it waits for."""
        size, short, room = self._next_slice(), needed - self._taken, self._room(needed)
        whole = -(-max(short, 1) // size) * size
        if room is not None:
            whole = min(whole, room)
        if short <= 0:
            yield whole
            return
        while whole > short:
            yield whole
            whole //= 2
        yield short

    def _take(self, sizes: Iterator[int]) -> bool:
        """Takes the first of these sizes that the budgets have room for; False where they have none."""
        if self._lost:
            return False
        for tokens in sizes:
            growth = self._grow(tokens)
            if growth is not None:
                reading = self._attempt.reading(self._ledger)
                self._pending = self._submit([growth] if reading is None else [growth, reading])
                self._pending.add_done_callback(_heard)
                self._ahead_at = self._taken - min(tokens, self._slice) // 2
                return True
        return False

    def _grow(self, tokens: int) -> Change | None:
        now = self._clock.now_ms()
        try:
            growth = self._ledger.grow(self._attempt.hold.hold_id, self._price_of(tokens), tokens, now)
        except UnknownHoldError:
            # The run was ended over this worker's head: there is nothing left to spend.
            self._lost = True
            return None
        self._refusing = growth.against
        self._tried = tokens
        if growth.change is None:
            return None
        self._taken += tokens
        if growth.against:
            self._tell()
        return growth.change

    def _tell(self) -> None:
        if self._refusing and not self._told:
            self._told = True
            self._against(self._refusing, self._tried)

    def _price_of(self, tokens: int) -> int | None:
        """What the slice adds to the bound (nano-dollars); None where nobody knows the price."""
        before = self._attempt.estimate.bound_at(self._taken)
        after = self._attempt.estimate.bound_at(self._taken + tokens)
        return None if before is None or after is None else after - before


def _heard(written: "asyncio.Future[None]") -> None:
    """Nobody may be left who waits for a slice whose write fails."""
    if not written.cancelled():
        written.exception()
