"""Vectors without a model: texts that share words or parts of words are near each other. Equal everywhere and always.

Each word and each three letters of it are hashed to one of 64 directions and a sign (feature hashing), so unrelated
texts are about at right angles. Source: Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", 2009.
"""

import math
import struct
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from zlib import crc32

from palyra.core.word_forms import words_of

DIMENSIONS = 64
WORDS_MODEL = "words-64"
"""The name that these vectors are kept under."""
MAX_WORDS = 32
"""How many different words of a text are searched for."""
SHORT_WORDS = (0.1, 0.1, 0.25, 0.5)
"""The weight of a word by its length; longer ones, which say more, have 1."""
PART = 0.4
"""The weight of three letters of a word, in that of the word."""
SPREADING = 2_654_435_761
"""2³² divided by the golden ratio: spreads checksums over the 64 directions. Source: Knuth, TAOCP 3, section 6.4."""

_PACKING = struct.Struct(f"<{DIMENSIONS}f")


def search_words(text: str) -> list[str]:
    """The words that tell most about a text: the longest, each once, at most `MAX_WORDS`."""
    return sorted(dict.fromkeys(words_of(text)), key=len, reverse=True)[:MAX_WORDS]


def words_vector(text: str) -> bytes:
    """The vector of a text, of length one, packed."""
    numbers = [0.0] * DIMENSIONS
    for word, count in Counter(words_of(text) or [text]).items():
        often = 1 + math.log(count)
        for direction, weight in _directions(word):
            numbers[direction] += often * weight
    if not any(numbers):
        numbers[_hashed(text)[0]] = 1.0
    return _PACKING.pack(*to_length_one(numbers))


def pack(numbers: Sequence[float]) -> bytes:
    """A model's vector as it is kept. Raises ValueError for one that has no direction."""
    return struct.pack(f"<{len(numbers)}f", *to_length_one(numbers))


def to_length_one(numbers: Sequence[float]) -> list[float]:
    """Raises ValueError for a vector without a direction."""
    length = math.hypot(*numbers)
    if not math.isfinite(length) or length == 0:
        raise ValueError("a vector without a direction")
    return [number / length for number in numbers]


@lru_cache(maxsize=8192)
def _directions(word: str) -> tuple[tuple[int, float], ...]:
    weight = SHORT_WORDS[len(word)] if len(word) < len(SHORT_WORDS) else 1.0
    marked = f"^{word}$"
    parts = [marked[start : start + 3] for start in range(len(marked) - 2)]
    features = [(word, weight), *((part, PART * weight) for part in parts)]
    hashed = [(*_hashed(feature), own) for feature, own in features]
    return tuple((direction, sign * own) for direction, sign, own in hashed)


def _hashed(feature: str) -> tuple[int, int]:
    """A direction and a sign."""
    number = crc32(feature.encode("utf-8", "surrogatepass")) * SPREADING & 0xFFFF_FFFF
    return number >> 26, 1 if number & 1 << 25 else -1
