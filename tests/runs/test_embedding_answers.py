"""Vectors out of a provider's answer, whatever it holds."""

import pytest

from palyra.memory.indexing import EmbeddingError
from palyra.runs.embeddings import read_vectors


def test_vectors_come_in_the_order_of_their_indexes() -> None:
    body = b'{"data": [{"index": 1, "embedding": [3, 4.5]}, {"index": 0, "embedding": [1, 2]}]}'
    assert read_vectors(body, 2) == [[1.0, 2.0], [3.0, 4.5]]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"data": {}}',
        b'{"data": [{"embedding": [1]}]}',
        b'{"data": [{"index": 1, "embedding": [1]}]}',
        b'{"data": [{"index": 0, "embedding": "AAAA"}]}',
        b'{"data": [{"index": 0, "embedding": [null]}]}',
        b'{"data": [{"index": 1e999, "embedding": [1]}]}',
        b'{"data": [{"index": 0, "embedding": [' + b"9" * 400 + b"]}]}",
        b"[" * 100_000,
    ],
)
def test_what_holds_no_vectors_says_so(body: bytes) -> None:
    with pytest.raises(EmbeddingError, match="cannot be read"):
        read_vectors(body, 1)
