"""ULIDs: 48 bits of unix milliseconds and 80 random bits in Crockford's base 32, sortable as text.

Source of the format: https://github.com/ulid/spec (monotonic within one millisecond).
"""

import os
from collections.abc import Callable

from palyra.core.clock import Clock

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [a + b for a in ALPHABET for b in ALPHABET]
LOWER_BITS = 20
_POOL = 2560
"""Bytes of entropy fetched at a time: a call into the kernel for each id lets other threads cut in."""


def encode(milliseconds: int, entropy: int) -> str:
    """26 characters for 48 bits of time and 80 bits of entropy."""
    return _text((milliseconds << 80) | entropy, 130)


def _text(number: int, bits: int) -> str:
    """A character for every 5 of that many bits, which are a multiple of 10."""
    return "".join([_PAIRS[(number >> shift) & 0x3FF] for shift in range(bits - 10, -1, -10)])


class IdSource:
    """Makes ids that only grow, also within one millisecond and when the clock steps back."""

    def __init__(self, clock: Clock, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._clock = clock
        self._entropy = entropy
        self._pool = b""
        self._at = 0
        self._milliseconds = -1
        self._random = 0
        self._upper = -1
        self._upper_text = ""

    def new(self) -> str:
        """26 characters, greater than every id before."""
        now = self._clock.now_ms()
        if now > self._milliseconds:
            self._milliseconds = now
            self._random = int.from_bytes(self._fresh(10)) >> 1
        else:
            self._random += 1 + self._fresh(1)[0]
        whole = (self._milliseconds << 80) | self._random
        upper = whole >> LOWER_BITS
        if upper != self._upper:
            # Ids of one millisecond differ in their last characters alone.
            self._upper, self._upper_text = upper, _text(upper, 130 - LOWER_BITS)
        return self._upper_text + _text(whole & (1 << LOWER_BITS) - 1, LOWER_BITS)

    def _fresh(self, size: int) -> bytes:
        """Entropy that no id has used."""
        end = self._at + size
        if end > len(self._pool):
            self._pool, self._at, end = self._entropy(_POOL), 0, size
        piece = self._pool[self._at : end]
        self._at = end
        return piece
