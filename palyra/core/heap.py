"""Garbage collection in a process that must not pause."""

import gc

THRESHOLDS = (50_000, 50, 100)


def settle_heap() -> None:
    """To be called once everything that lives as long as the process is there: it is left alone from then on, and what
    comes later is looked at rarely. A full collection over a screen's heap takes 50 to 80 ms."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
