"""Questions about prices, answered in a thread: a name nobody knows is looked for in the whole package."""

import asyncio
from collections.abc import Awaitable, Callable

from palyra.config.model import LoadedConfig
from palyra.control.price_desk import PriceDesk
from palyra.control.prices import (
    CostAnswer,
    CostQuery,
    PriceAnswer,
    PriceAsk,
    PriceCheckAnswer,
    PriceCheckQuery,
    PriceQuery,
)
from palyra.core.clock import Clock
from palyra.journal.readers import Readers
from palyra.pricing.drift import WINDOW, DriftBook, EstimateDrift
from palyra.providers.registry import Registry
from palyra.runs.experience import estimated

Drifts = Callable[[], Awaitable[tuple[EstimateDrift, ...]]]


class PriceAnswers:
    """Answers with the prices of one configuration. `drifts` tells how far estimates are off."""

    def __init__(self, config: LoadedConfig, registry: Registry, clock: Clock, drifts: Drifts) -> None:
        self._config = config
        self._registry = registry
        self._clock = clock
        self._drifts = drifts
        self._desk: PriceDesk | None = None
        self._one_at_a_time = asyncio.Lock()

    async def answer(self, query: PriceAsk) -> PriceAnswer | CostAnswer | PriceCheckAnswer:
        """Raises BadInputError."""
        drifts = await self._drifts() if isinstance(query, PriceCheckQuery) else ()
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._work_out, query, drifts)

    def _work_out(
        self, query: PriceAsk, drifts: tuple[EstimateDrift, ...]
    ) -> PriceAnswer | CostAnswer | PriceCheckAnswer:
        if self._desk is None:
            self._desk = PriceDesk(self._config, self._registry)
        now = self._clock.now_ms()
        match query:
            case PriceQuery():
                return self._desk.price(query, now)
            case CostQuery():
                return self._desk.cost(query, now)
            case PriceCheckQuery():
                return self._desk.check(drifts, now)


async def recorded_drifts(readers: Readers) -> tuple[EstimateDrift, ...]:
    """How far estimates were off, as the journal tells."""
    book = DriftBook()
    async for samples in readers.samples(newest=2 * WINDOW):
        for sample in samples:
            if (found := estimated(sample)) is not None:
                book.add(sample.provider, sample.model, found)
    return book.drifts()
