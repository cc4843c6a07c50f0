"""The heap of a process that must not pause."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager

from palyra.core.values import writing_ahead

THRESHOLDS = (10_000, 250, 100)
"""Ten thousand new objects are looked at in some 5 ms; fifty thousand would take 30, and every request waits for it."""


@contextmanager
def while_loading() -> Iterator[None]:
    """Around the import of what stays for as long as the process: looking at all of it again and again while it grows
    takes a fifth of a second and finds next to nothing."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(*THRESHOLDS)
        gc.enable()


async def settle() -> None:
    """What would be made when it is needed first is made now, a little at each turn of the loop; then the heap is left
    alone. Requests come in by now, and a full collection would have them all wait for 20 to 80 ms: only what is young
    is looked through. Of what is older some hundred objects are garbage, once, and stay."""
    for _ in writing_ahead():
        await asyncio.sleep(0)
    gc.collect(0)
    _leave_alone()


def settle_heap() -> None:
    """To be called once everything that lives as long as the process is there, and nobody waits: all of it is looked
    through, is left alone from then on, and what comes later is looked at rarely."""
    gc.collect()
    _leave_alone()


def _leave_alone() -> None:
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
