"""What a request for embeddings asks to be embedded: texts, or texts as tokens already."""

from collections.abc import Iterator
from typing import Any, NoReturn

from palyra.core.values import value
from palyra.providers.prompt import NO_NEEDS, PromptFacts, json_size
from palyra.providers.strict_json import invalid

BYTES_OF_TOKEN = 4
"""How many bytes of text a token given as a number stands for in the size of a prompt."""

MAX_DIMENSIONS = 1_000_000
FORMATS = ("float", "base64")


@value
class EmbeddingInput:
    """`items` are what each vector is asked for: a text, or a list of token numbers."""

    items: tuple[str | tuple[int, ...], ...]
    dimensions: int | None
    base64: bool

    @property
    def facts(self) -> PromptFacts:
        """Nothing but its size matters to estimates; a token given as a number counts as four bytes."""
        return PromptFacts(
            size=sum(json_size(item) if isinstance(item, str) else len(item) * BYTES_OF_TOKEN for item in self.items),
            media=(),
            server_tools=(),
            cache_marks=False,
            cache_one_hour=False,
            needs=NO_NEEDS,
            latest_text="",
        )


def read_embedding_input(data: dict[str, Any]) -> EmbeddingInput:
    """Raises RequestError naming the field and what to send instead."""
    if data.get("stream"):
        invalid("stream", "Embeddings are not streamed.", "Leave stream out.")
    dimensions = data.get("dimensions")
    if dimensions is not None and (type(dimensions) is not int or not 1 <= dimensions <= MAX_DIMENSIONS):
        invalid("dimensions", f"dimensions must be a whole number from 1 to {MAX_DIMENSIONS}.", "Send such a number.")
    form = data.get("encoding_format")
    if form is not None and form not in FORMATS:
        invalid("encoding_format", "encoding_format must be float or base64.", "Send one of them, or leave it out.")
    return EmbeddingInput(tuple(_items(data.get("input"))), dimensions, form == "base64")


def _items(given: object) -> Iterator[str | tuple[int, ...]]:
    if type(given) is str:
        yield given
        return
    if type(given) is not list or not given:
        _refuse()
    if type(given[0]) is int:
        yield _tokens(given)
        return
    for item in given:
        if type(item) is str and type(given[0]) is str:
            yield item
        elif type(item) is list and item and type(given[0]) is list:
            yield _tokens(item)
        else:
            _refuse()


def _tokens(given: list[Any]) -> tuple[int, ...]:
    if not all(type(token) is int and token >= 0 for token in given):
        _refuse()
    return tuple(given)


def _refuse() -> NoReturn:
    invalid(
        "input",
        "input must be a text, a list of texts, a list of token numbers or a list of such lists, and not empty.",
        "Send what is to be embedded in one of these forms.",
    )
