"""The built-in provider's vectors: made from a hash, so that equal text has an equal vector and nothing is learned."""

import json
import math
import struct
from base64 import b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from palyra.providers.embedding_input import EmbeddingInput

DIMENSIONS = 64
_WORDS = struct.Struct(">8I")
_HALF = 2**31


def vector(item: str | tuple[int, ...], dimensions: int = DIMENSIONS) -> tuple[float, ...]:
    """Numbers of single precision and together of length one: SHA-256 over a counter and the text, in words of 32
    bits."""
    text = item.encode("utf-8", "surrogatepass") if isinstance(item, str) else json.dumps(item).encode()
    words = (
        word for block in range(DIMENSIONS // 8) for word in _WORDS.unpack(sha256(b"%d:%b" % (block, text)).digest())
    )
    numbers = [word / _HALF - 1 for word, _ in zip(words, range(dimensions), strict=False)]
    length = math.sqrt(sum(number * number for number in numbers)) or 1.0
    packing = struct.Struct(f"<{dimensions}f")
    return packing.unpack(packing.pack(*(number / length for number in numbers)))


def embeddings_body(asked: EmbeddingInput, model: str, usage: Mapping[str, object]) -> dict[str, Any]:
    """A whole answer. An empty `usage` is left out."""
    data = [
        {"object": "embedding", "index": index, "embedding": embedding}
        for index, embedding in enumerate(_embeddings(asked))
    ]
    body: dict[str, Any] = {"object": "list", "data": data, "model": model}
    return {**body, "usage": usage} if usage else body


def _embeddings(asked: EmbeddingInput) -> Iterator[list[float] | str]:
    for item in asked.items:
        numbers = vector(item, asked.dimensions or DIMENSIONS)
        yield b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode() if asked.base64 else list(numbers)
