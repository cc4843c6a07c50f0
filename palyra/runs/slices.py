"""The budget of a stream, taken slice by slice: each durable before its tokens pass, the next one ahead of need."""

import asyncio
from collections.abc import Callable, Sequence

from palyra.core.clock import Clock
from palyra.core.errors import JournalUnavailableError
from palyra.governance.evaluate import UsageBudgetEvaluation
from palyra.governance.ledger import Ledger
from palyra.journal.changes import Change
from palyra.runs.attempt import Attempt

Submit = Callable[[Sequence[Change]], "asyncio.Future[None]"]
Against = Callable[[tuple[UsageBudgetEvaluation, ...]], None]


class Slices:
    """Cover for one streamed attempt.

    `first` output tokens are held already; `ceiling` is the most the provider will send (None: unknown), beyond which
    no slice is needed. `against` hears once of the budgets that refused a slice, or would have in a looser mode.
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
    ) -> None:
        self._attempt = attempt
        self._ledger = ledger
        self._submit = submit
        self._clock = clock
        self._ceiling = ceiling
        self._slice = slice_tokens
        self._against = against
        self._told = False
        self._covered = first
        """Output tokens that durable slices cover."""
        self._taken = first
        """The same, with the slice that is becoming durable."""
        self._ahead_at = first - first // 2
        self._pending: asyncio.Future[None] | None = None
        self.exhausted = False

    def covers(self, needed: int) -> bool:
        pending = self._pending
        if pending is not None and pending.done() and not pending.cancelled() and pending.exception() is None:
            self._landed()
        if needed > self._ahead_at and self._pending is None:
            self._take()
        return needed <= self._covered or self._complete

    async def reaches(self, needed: int) -> bool:
        while not self.covers(needed):
            if self._pending is None:
                return False
            try:
                await asyncio.shield(self._pending)
            except JournalUnavailableError:
                # What is not durable may not be spent: the answer ends where its durable budget does.
                self.exhausted = True
                self._pending = None
                return False
            self._landed()
        return True

    @property
    def _complete(self) -> bool:
        return self._ceiling is not None and self._covered >= self._ceiling

    def _landed(self) -> None:
        self._pending = None
        self._covered = self._taken

    def _take(self) -> None:
        """Takes the next slice, smaller ones where a whole one does not fit."""
        if self.exhausted or (self._ceiling is not None and self._taken >= self._ceiling):
            return
        tokens = self._slice if self._ceiling is None else min(self._slice, self._ceiling - self._taken)
        now = self._clock.now_ms()
        while tokens:
            growth = self._ledger.grow(self._attempt.hold.hold_id, self._price_of(tokens), tokens, now)
            if growth.against and not self._told and (growth.change is not None or tokens == 1):
                self._told = True
                self._against(growth.against)
            if growth.change is not None:
                reading = self._attempt.reading(self._ledger)
                unit: list[Change] = [growth.change]
                if reading is not None:
                    unit.append(reading)
                self._pending = self._submit(unit)
                self._ahead_at = self._taken + tokens - tokens // 2
                self._taken += tokens
                return
            tokens //= 2
        self.exhausted = True

    def _price_of(self, tokens: int) -> int | None:
        """What the slice adds to the bound (nano-dollars); None where nobody knows the price."""
        before = self._attempt.estimate.bound_at(self._taken)
        after = self._attempt.estimate.bound_at(self._taken + tokens)
        return None if before is None or after is None else after - before
